package bloom

import (
	"encoding"
	"encoding/binary"
	"fmt"
	"io"
	"unsafe"

	"github.com/cespare/xxhash/v2"
)

// An encoded filter, all numbers little-endian:
//
//	 0  magic "ABLM"
//	 4  version (1)
//	 5  kind
//	 6  zero (2 bytes)
//	 8  a   u64   blocked, counting: lines;  fuse: seed;       classic: 0; scalable: stages
//	16  b   u64   blocked, counting: 0;      fuse: segLength;  classic: 0; scalable: bits of the target rate
//	24  c   u64   blocked, counting: 0;      fuse: segSpan;    classic: 0; scalable: 0
//	32  length of the payload in bytes u64
//	40  zero (24 bytes)
//	64  payload
//	 …  xxHash64 of all before
//
// The header is a cache line long, so that the payload of an encoding that starts at a
// line's border does so too and can be looked up in place.

const (
	magic       = "ABLM"
	version     = 1
	headerSize  = 64
	trailerSize = 8
)

type kind uint8

const (
	kindBlocked kind = iota + 1
	kindCounting
	kindClassic
	kindFuse8
	kindFuse16
	kindScalable
)

type header struct {
	kind       kind
	a, b, c    uint64
	payloadLen uint64
}

func (h header) append(b []byte) []byte {
	b = append(b, magic...)
	b = append(b, version, byte(h.kind), 0, 0)
	for _, v := range [...]uint64{h.a, h.b, h.c, h.payloadLen} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return append(b, make([]byte, headerSize-40)...)
}

// seal appends the checksum of what was appended since start.
func seal(b []byte, start int) []byte {
	return binary.LittleEndian.AppendUint64(b, xxhash.Sum64(b[start:]))
}

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

// parseHeader reads a header without trusting it; the checksum is judged later.
func parseHeader(b []byte) (header, error) {
	if len(b) < headerSize {
		return header{}, corrupt("%d bytes are no header", len(b))
	}
	if string(b[:4]) != magic {
		return header{}, corrupt("magic")
	}
	if b[4] != version {
		return header{}, corrupt("version %d, this library reads %d", b[4], version)
	}
	return header{
		kind: kind(b[5]),
		a:    binary.LittleEndian.Uint64(b[8:]), b: binary.LittleEndian.Uint64(b[16:]), c: binary.LittleEndian.Uint64(b[24:]),
		payloadLen: binary.LittleEndian.Uint64(b[32:]),
	}, nil
}

// open checks an encoding whole and returns its header and payload.
func open(b []byte, want ...kind) (header, []byte, error) {
	h, err := parseHeader(b)
	if err != nil {
		return h, nil, err
	}
	if uint64(len(b)) < headerSize+trailerSize || h.payloadLen != uint64(len(b))-headerSize-trailerSize {
		return h, nil, corrupt("%d bytes do not match the stated payload of %d", len(b), h.payloadLen)
	}
	end := len(b) - trailerSize
	if xxhash.Sum64(b[:end]) != binary.LittleEndian.Uint64(b[end:]) {
		return h, nil, corrupt("checksum")
	}
	for _, k := range want {
		if h.kind == k {
			return h, b[headerSize:end], nil
		}
	}
	return h, nil, corrupt("kind %d is another filter's", h.kind)
}

func appendWords(b []byte, words []uint64) []byte {
	for _, w := range words {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	return b
}

// readWords fills words from a payload of exactly their size.
func readWords(words []uint64, p []byte) {
	for i := range words {
		words[i] = binary.LittleEndian.Uint64(p[8*i:])
	}
}

// linesOf checks that a payload is what h promises and returns the number of lines.
func linesOf(h header, p []byte) (uint64, error) {
	if h.a == 0 || uint64(len(p)) != h.a*lineWords*8 || h.a > 1<<55 {
		return 0, corrupt("%d lines in %d bytes", h.a, len(p))
	}
	return h.a, nil
}

// AppendBinary appends the encoding of the filter. The error is always nil.
func (f *Filter) AppendBinary(b []byte) ([]byte, error) {
	start := len(b)
	b = header{kind: kindBlocked, a: f.lines, payloadLen: uint64(len(f.words)) * 8}.append(b)
	return seal(appendWords(b, f.words), start), nil
}

// MarshalBinary encodes the filter. The error is always nil.
func (f *Filter) MarshalBinary() ([]byte, error) { return f.AppendBinary(nil) }

// UnmarshalBinary replaces the filter by the one encoded in b, which it copies. The
// error matches ErrCorrupt and leaves the filter as it was.
func (f *Filter) UnmarshalBinary(b []byte) error {
	h, p, err := open(b, kindBlocked)
	if err != nil {
		return err
	}
	lines, err := linesOf(h, p)
	if err != nil {
		return err
	}
	*f = *newLines(lines)
	readWords(f.words, p)
	return nil
}

// View returns a filter that reads b in place, for look-ups straight from a mapped file
// or a cached block: b must not change, and must live, as long as the filter. The
// checksum is verified once, here. Where b is not aligned to eight bytes, or the machine
// is big-endian, the words are copied. Writing to a filter made by View writes to b.
func View(b []byte) (*Filter, error) {
	h, p, err := open(b, kindBlocked)
	if err != nil {
		return nil, err
	}
	lines, err := linesOf(h, p)
	if err != nil {
		return nil, err
	}
	at := unsafe.Pointer(unsafe.SliceData(p))
	if !littleEndian || uintptr(at)%8 != 0 {
		f := newLines(lines)
		readWords(f.words, p)
		return f, nil
	}
	return &Filter{words: unsafe.Slice((*uint64)(at), lines*lineWords), lines: lines}, nil
}

var littleEndian = func() bool {
	x := uint16(1)
	return *(*byte)(unsafe.Pointer(&x)) == 1
}()

// WriteTo writes the encoding of the filter.
func (f *Filter) WriteTo(w io.Writer) (int64, error) { return writeTo(w, f) }

// ReadFrom replaces the filter by one read from r, which is read no further than the
// encoding reaches. Memory grows with what arrives, not with what the header announces.
func (f *Filter) ReadFrom(r io.Reader) (int64, error) { return readFrom(r, f) }

func writeTo(w io.Writer, f encoding.BinaryAppender) (int64, error) {
	b, err := f.AppendBinary(nil)
	if err != nil {
		return 0, err
	}
	n, err := w.Write(b)
	return int64(n), err
}

func readFrom(r io.Reader, f encoding.BinaryUnmarshaler) (int64, error) {
	b := make([]byte, headerSize)
	n, err := io.ReadFull(r, b)
	if err != nil {
		return int64(n), corrupt("cut short after %d bytes: %v", n, err)
	}
	h, err := parseHeader(b)
	if err != nil {
		return int64(n), err
	}
	const step = 1 << 20
	rest := h.payloadLen + trailerSize
	if rest < trailerSize || rest > 1<<58 {
		return int64(n), corrupt("payload of %d bytes", h.payloadLen)
	}
	for rest > 0 {
		at := len(b)
		b = append(b, make([]byte, min(rest, step))...)
		m, err := io.ReadFull(r, b[at:])
		if err != nil {
			return int64(at + m), corrupt("cut short after %d bytes: %v", at+m, err)
		}
		rest -= uint64(m)
	}
	return int64(len(b)), f.UnmarshalBinary(b)
}

// AppendBinary appends the encoding of the filter. The error is always nil.
func (c *Counting) AppendBinary(b []byte) ([]byte, error) {
	start := len(b)
	b = header{kind: kindCounting, a: c.lines, payloadLen: uint64(len(c.words)) * 8}.append(b)
	return seal(appendWords(b, c.words), start), nil
}

// MarshalBinary encodes the filter. The error is always nil.
func (c *Counting) MarshalBinary() ([]byte, error) { return c.AppendBinary(nil) }

// UnmarshalBinary replaces the filter by the one encoded in b, which it copies. The
// error matches ErrCorrupt and leaves the filter as it was.
func (c *Counting) UnmarshalBinary(b []byte) error {
	h, p, err := open(b, kindCounting)
	if err != nil {
		return err
	}
	lines, err := linesOf(h, p)
	if err != nil {
		return err
	}
	*c = Counting{words: newWords(lines * lineWords), lines: lines}
	readWords(c.words, p)
	return nil
}

// AppendBinary appends the encoding of the filter. The error is always nil.
func (f *Fuse) AppendBinary(b []byte) ([]byte, error) {
	start := len(b)
	h := header{kind: kindFuse8, a: f.seed, b: uint64(f.segLength), c: uint64(f.segSpan), payloadLen: uint64(len(f.prints8))}
	if f.prints16 != nil {
		h.kind, h.payloadLen = kindFuse16, uint64(len(f.prints16))*2
	}
	b = append(h.append(b), f.prints8...)
	for _, p := range f.prints16 {
		b = binary.LittleEndian.AppendUint16(b, p)
	}
	return seal(b, start), nil
}

// MarshalBinary encodes the filter. The error is always nil.
func (f *Fuse) MarshalBinary() ([]byte, error) { return f.AppendBinary(nil) }

// UnmarshalBinary replaces the filter by the one encoded in b, which it copies. The
// error matches ErrCorrupt and leaves the filter as it was.
func (f *Fuse) UnmarshalBinary(b []byte) error {
	h, p, err := open(b, kindFuse8, kindFuse16)
	if err != nil {
		return err
	}
	width := uint64(1)
	if h.kind == kindFuse16 {
		width = 2
	}
	// Together these keep every place of every hash inside the payload.
	if h.b < 4 || h.b > 1<<18 || h.b&(h.b-1) != 0 || h.c == 0 || h.c%h.b != 0 || h.c > 1<<32-1<<20 || (h.c+2*h.b)*width != uint64(len(p)) {
		return corrupt("segments of %d in %d do not fit %d bytes", h.b, h.c, len(p))
	}
	g := Fuse{seed: h.a, segLength: uint32(h.b), segSpan: uint32(h.c)}
	if width == 1 {
		g.prints8 = append([]uint8(nil), p...)
	} else {
		g.prints16 = make([]uint16, len(p)/2)
		for i := range g.prints16 {
			g.prints16[i] = binary.LittleEndian.Uint16(p[2*i:])
		}
	}
	*f = g
	return nil
}
