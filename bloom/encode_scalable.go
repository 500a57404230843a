package bloom

import (
	"encoding/binary"
	"math"
)

// The payload of a scalable filter is its stages one after another, each its size and
// its remaining room (u64 both) and the complete encoding of its filter.

// AppendBinary appends the encoding of the filter. The error is always nil.
func (s *Scalable) AppendBinary(b []byte) ([]byte, error) {
	start := len(b)
	n := uint64(0)
	for _, st := range s.stages {
		n += 16 + headerSize + uint64(len(st.words))*8 + trailerSize
	}
	b = header{kind: kindScalable, a: uint64(len(s.stages)), b: math.Float64bits(s.fpr), payloadLen: n}.append(b)
	for _, st := range s.stages {
		b = binary.LittleEndian.AppendUint64(b, uint64(st.size))
		b = binary.LittleEndian.AppendUint64(b, uint64(st.room))
		b, _ = st.AppendBinary(b)
	}
	return seal(b, start), nil
}

// MarshalBinary encodes the filter. The error is always nil.
func (s *Scalable) MarshalBinary() ([]byte, error) { return s.AppendBinary(nil) }

// UnmarshalBinary replaces the filter by the one encoded in b, which it copies. The
// error matches ErrCorrupt and leaves the filter as it was.
func (s *Scalable) UnmarshalBinary(b []byte) error {
	h, p, err := open(b, kindScalable)
	if err != nil {
		return err
	}
	t := Scalable{fpr: math.Float64frombits(h.b)}
	if !(t.fpr >= 1e-9 && t.fpr <= 0.5) || h.a == 0 || h.a > 64 {
		return corrupt("%d stages for a rate of %v", h.a, t.fpr)
	}
	for range h.a {
		if len(p) < 16+headerSize {
			return corrupt("a stage is missing")
		}
		size, room := binary.LittleEndian.Uint64(p), binary.LittleEndian.Uint64(p[8:])
		if size == 0 || size > 1<<41 || room > size {
			return corrupt("room for %d of %d keys", room, size)
		}
		sub, err := parseHeader(p[16:])
		if err != nil {
			return err
		}
		if sub.payloadLen > uint64(len(p)) {
			return corrupt("a stage is cut short")
		}
		n := 16 + headerSize + sub.payloadLen + trailerSize
		if n > uint64(len(p)) {
			return corrupt("a stage is cut short")
		}
		f := new(Filter)
		if err := f.UnmarshalBinary(p[16:n]); err != nil {
			return err
		}
		t.stages = append(t.stages, stage{f, int(size), int(room)})
		p = p[n:]
	}
	if len(p) > 0 {
		return corrupt("%d bytes after the last stage", len(p))
	}
	*s = t
	return nil
}
