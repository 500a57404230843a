package sstable

import (
	"bytes"
	"encoding/binary"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

// index finds the data block for a key. It is kept flat: the keys themselves in one byte
// slice, and beside them their first eight bytes after what all keys of the table have in
// common, as numbers. A search compares numbers, eight to a cache line, and looks at a
// key only where two numbers are equal.
type index struct {
	common   []byte
	prefixes []uint64
	ends     []uint32 // of each key in keys
	keys     []byte
	trailers []key.Trailer
	handles  []handle
}

func (x *index) len() int { return len(x.handles) }

func (x *index) key(i int) []byte {
	start := uint32(0)
	if i > 0 {
		start = x.ends[i-1]
	}
	return x.keys[start:x.ends[i]]
}

// find is the first block whose last entry is at or after (k, t); len() if there is none.
func (x *index) find(k []byte, t key.Trailer) int {
	n := len(x.common)
	if len(k) < n || !bytes.Equal(k[:n], x.common) {
		if bytes.Compare(k, x.common) < 0 {
			return 0
		}
		return x.len()
	}
	p := key.Prefix(k[n:])
	lo, hi := 0, len(x.prefixes)
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		q := x.prefixes[mid]
		if q < p || q == p && key.Compare(x.key(mid), x.trailers[mid], k, t) < 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// parseIndex reads the index of a table whose data blocks end at limit.
func parseIndex(b []byte, limit uint64) (*index, string) {
	count, n := binary.Uvarint(b)
	if n <= 0 || count > uint64(len(b))/11 {
		return nil, "index size"
	}
	b = b[n:]
	x := &index{
		prefixes: make([]uint64, count), ends: make([]uint32, count), keys: make([]byte, 0, len(b)),
		trailers: make([]key.Trailer, count), handles: make([]handle, count),
	}
	next := uint64(0)
	for i := range int(count) {
		size, n := binary.Uvarint(b)
		if n <= 0 || uint64(len(b)-n) < size || uint64(len(b)-n)-size < 8 {
			return nil, "index entry"
		}
		b = b[n:]
		x.keys = append(x.keys, b[:size]...)
		x.ends[i] = uint32(len(x.keys))
		x.trailers[i] = key.Trailer(binary.LittleEndian.Uint64(b[size:]))
		b = b[size+8:]
		off, n := binary.Uvarint(b)
		if n <= 0 {
			return nil, "index entry"
		}
		b = b[n:]
		length, n := binary.Uvarint(b)
		if n <= 0 || length < blockTrailer || off != next || length > limit-off || length > 1<<32-1 {
			return nil, "index entry"
		}
		b = b[n:]
		x.handles[i] = handle{off, uint32(length)}
		next = off + length
		if i > 0 && key.Compare(x.key(i-1), x.trailers[i-1], x.key(i), x.trailers[i]) >= 0 {
			return nil, "index order"
		}
	}
	if len(b) > 0 || next != limit {
		return nil, "index does not cover the data"
	}
	if count > 0 {
		first, last := x.key(0), x.key(int(count)-1)
		n := 0
		for n < len(first) && n < len(last) && first[n] == last[n] {
			n++
		}
		x.common = first[:n]
		for i := range x.prefixes {
			x.prefixes[i] = key.Prefix(x.key(i)[n:])
		}
	}
	return x, ""
}

// parseSpans reads the range tombstones.
func parseSpans(b []byte, want uint64) ([]key.Span, string) {
	var out []key.Span
	for len(b) > 0 {
		var s key.Span
		seq, n := binary.Uvarint(b)
		if n <= 0 || seq > key.MaxSeq {
			return nil, "range tombstone"
		}
		s.Seq, b = seq, b[n:]
		for _, k := range []*[]byte{&s.Start, &s.End} {
			size, n := binary.Uvarint(b)
			if n <= 0 || uint64(len(b)-n) < size {
				return nil, "range tombstone"
			}
			*k, b = b[n:n+int(size)], b[n+int(size):]
		}
		out = append(out, s)
	}
	if uint64(len(out)) != want {
		return nil, "number of range tombstones"
	}
	return out, ""
}

// parseMeta reads the properties.
func parseMeta(b []byte) (m Meta, problem string) {
	for _, k := range []*[]byte{&m.Smallest, &m.Largest} {
		size, n := binary.Uvarint(b)
		if n <= 0 || uint64(len(b)-n) < size {
			return m, "properties"
		}
		*k, b = append([]byte(nil), b[n:n+int(size)]...), b[n+int(size):]
	}
	for _, p := range m.numbers() {
		v, n := binary.Uvarint(b)
		if n <= 0 {
			return m, "properties"
		}
		*p, b = v, b[n:]
	}
	for _, p := range []*int64{&m.MinExpiry, &m.MaxExpiry} {
		v, n := binary.Varint(b)
		if n <= 0 {
			return m, "properties"
		}
		*p, b = v, b[n:]
	}
	if len(b) > 0 || bytes.Compare(m.Smallest, m.Largest) > 0 {
		return m, "properties"
	}
	return m, ""
}
