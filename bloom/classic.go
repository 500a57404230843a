package bloom

import (
	"bytes"
	"encoding/binary"
	"math"
	"math/bits"

	standard "github.com/bits-and-blooms/bloom/v3"
)

// Classic is the textbook filter, k bits anywhere in the array: the least space of the
// filters that grow key by key (9.6 bits a key at 1 %), at the price of k cache misses a
// look-up. It is bits-and-blooms' filter, and exchanges encodings with it.
type Classic struct{ f *standard.BloomFilter }

// NewClassic makes a filter for n keys with a rate of false positives of about fpr,
// under the same bounds as New.
func NewClassic(n int, fpr float64) *Classic {
	keys, fpr := clamp(n, fpr)
	return &Classic{standard.NewWithEstimates(uint(min(keys, math.MaxInt32*uint64(bits.UintSize/32))), fpr)}
}

// Add adds a key.
func (c *Classic) Add(key []byte) { c.f.Add(key) }

// AddString adds a key.
func (c *Classic) AddString(key string) { c.f.AddString(key) }

// Has reports whether key may have been added; false is sure.
func (c *Classic) Has(key []byte) bool { return c.f.Test(key) }

// HasString reports whether key may have been added; false is sure.
func (c *Classic) HasString(key string) bool { return c.f.TestString(key) }

// Union makes c a filter of the keys of both. ErrMismatch if they differ in size or in
// the number of probes.
func (c *Classic) Union(o *Classic) error {
	if c.f.Cap() != o.f.Cap() || c.f.K() != o.f.K() {
		return ErrMismatch
	}
	return c.f.Merge(o.f)
}

// Len estimates how many distinct keys were added. O(size).
func (c *Classic) Len() int { return int(c.f.ApproximatedSize()) }

// FPR is the expected rate of false positives of the filter as it is now. O(size).
func (c *Classic) FPR() float64 {
	return math.Pow(float64(c.f.BitSet().Count())/float64(c.f.Cap()), float64(c.f.K()))
}

// Bits is the filter's size in bits.
func (c *Classic) Bits() int { return int(c.f.Cap()) }

// Reset empties the filter and keeps its memory.
func (c *Classic) Reset() { c.f.ClearAll() }

// AppendStandard appends the filter in the format of bits-and-blooms, which has no
// checksum: use it to talk to that library, and AppendBinary for what is to be kept.
func (c *Classic) AppendStandard(b []byte) ([]byte, error) {
	var buf bytes.Buffer
	if _, err := c.f.WriteTo(&buf); err != nil {
		return b, err
	}
	return append(b, buf.Bytes()...), nil
}

// ParseStandard reads a filter in the format of bits-and-blooms. What can be checked is:
// sizes that are possible and agree with each other and with the length of b. A flipped
// bit elsewhere goes unseen, for the format has no checksum.
func ParseStandard(b []byte) (*Classic, error) {
	// Big-endian m, k, and the bit set: its length in bits, then its words.
	if len(b) < 24 {
		return nil, corrupt("%d bytes are no header", len(b))
	}
	m, k, length := binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), binary.BigEndian.Uint64(b[16:])
	words := (length + 63) / 64
	if m == 0 || m != length || k == 0 || k > 1<<10 || length > math.MaxInt || words*8 != uint64(len(b))-24 {
		return nil, corrupt("%d probes in %d bits of %d do not fit %d bytes", k, m, length, len(b))
	}
	f := new(standard.BloomFilter)
	if _, err := f.ReadFrom(bytes.NewReader(b)); err != nil {
		return nil, corrupt("%v", err)
	}
	return &Classic{f}, nil
}

// AppendBinary appends the encoding of the filter: the standard format inside an
// envelope with a checksum.
func (c *Classic) AppendBinary(b []byte) ([]byte, error) {
	p, err := c.AppendStandard(nil)
	if err != nil {
		return b, err
	}
	start := len(b)
	b = header{kind: kindClassic, payloadLen: uint64(len(p))}.append(b)
	return seal(append(b, p...), start), nil
}

// MarshalBinary encodes the filter; see AppendBinary.
func (c *Classic) MarshalBinary() ([]byte, error) { return c.AppendBinary(nil) }

// UnmarshalBinary replaces the filter by the one encoded in b, which it copies. The
// error matches ErrCorrupt and leaves the filter as it was.
func (c *Classic) UnmarshalBinary(b []byte) error {
	_, p, err := open(b, kindClassic)
	if err != nil {
		return err
	}
	d, err := ParseStandard(p)
	if err != nil {
		return err
	}
	*c = *d
	return nil
}
