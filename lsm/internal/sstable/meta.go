package sstable

import (
	"encoding/binary"
	"math"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

// Meta says what is in a table.
type Meta struct {
	FileNum uint64
	Size    uint64 // of the file, in bytes

	// Smallest and Largest are the least and the greatest user key, the bounds of range
	// tombstones included; nil in an empty table. LargestOpen says that Largest is only
	// the end of a tombstone, which deletes up to it and not the key itself.
	Smallest, Largest []byte
	LargestOpen       bool

	SmallestSeq, LargestSeq uint64

	Entries  uint64 // points of all kinds
	Deletes  uint64 // of them, deletions
	Expiring uint64 // of them, values that expire
	Spans    uint64 // range tombstones

	// MinExpiry and MaxExpiry bound when the expiring values do, in milliseconds of Unix
	// time; zero if there are none.
	MinExpiry, MaxExpiry int64

	RawBytes uint64 // of keys and values, before compression
}

// properties is the encoding of a Meta: nine words, flags, and the two keys, each with its
// length as u32. What the footer knows already is left out.
const (
	propertyWords   = 10
	flagLargestOpen = 1
)

func (m *Meta) append(dst []byte) []byte {
	var flags uint64
	if m.LargestOpen {
		flags |= flagLargestOpen
	}
	for _, v := range [propertyWords]uint64{
		m.Entries, m.Deletes, m.Expiring, m.Spans, m.SmallestSeq, m.LargestSeq,
		uint64(m.MinExpiry), uint64(m.MaxExpiry), m.RawBytes, flags,
	} {
		dst = binary.LittleEndian.AppendUint64(dst, v)
	}
	for _, k := range [...][]byte{m.Smallest, m.Largest} {
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(k)))
		dst = append(dst, k...)
	}
	return dst
}

// parseMeta reads properties; detail says what is wrong with them.
func parseMeta(p []byte) (m Meta, detail string) {
	if len(p) < 8*propertyWords+8 {
		return m, "properties: too short"
	}
	var minExpiry, maxExpiry, flags uint64
	for i, v := range [propertyWords]*uint64{
		&m.Entries, &m.Deletes, &m.Expiring, &m.Spans, &m.SmallestSeq, &m.LargestSeq,
		&minExpiry, &maxExpiry, &m.RawBytes, &flags,
	} {
		*v = binary.LittleEndian.Uint64(p[8*i:])
	}
	m.MinExpiry, m.MaxExpiry = int64(minExpiry), int64(maxExpiry)
	m.LargestOpen = flags&flagLargestOpen != 0
	p = p[8*propertyWords:]
	for _, k := range [...]*[]byte{&m.Smallest, &m.Largest} {
		if len(p) < 4 || uint64(binary.LittleEndian.Uint32(p)) > uint64(len(p)-4) {
			return m, "properties: key out of bounds"
		}
		n := 4 + binary.LittleEndian.Uint32(p)
		*k, p = p[4:n:n], p[n:]
	}
	switch {
	case len(p) != 0 || flags&^flagLargestOpen != 0:
		return m, "properties: bytes left over"
	case m.Deletes > m.Entries || m.Expiring > m.Entries-m.Deletes:
		return m, "properties: impossible counts"
	case m.SmallestSeq > m.LargestSeq || m.LargestSeq > key.MaxSeq:
		return m, "properties: impossible sequence numbers"
	}
	if m.Entries+m.Spans == 0 {
		m.Smallest, m.Largest = nil, nil
	}
	return m, ""
}

// note takes an entry into account.
func (m *Meta) note(t key.Trailer, keyLen int, v []byte) {
	m.noteSeq(t.Seq())
	m.Entries++
	m.RawBytes += uint64(keyLen + len(v))
	switch t.Kind() {
	case key.Delete:
		m.Deletes++
	case key.SetExpiring:
		if m.Expiring++; m.Expiring == 1 {
			m.MinExpiry, m.MaxExpiry = math.MaxInt64, math.MinInt64
		}
		ms, _, _ := key.Expiry(v)
		m.MinExpiry, m.MaxExpiry = min(m.MinExpiry, ms), max(m.MaxExpiry, ms)
	}
}

// noteSeq takes a sequence number into account. Call it before counting the entry.
func (m *Meta) noteSeq(seq uint64) {
	if m.Entries+m.Spans == 0 {
		m.SmallestSeq, m.LargestSeq = seq, seq
		return
	}
	m.SmallestSeq, m.LargestSeq = min(m.SmallestSeq, seq), max(m.LargestSeq, seq)
}
