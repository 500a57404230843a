package bloom

import "sync/atomic"

// Concurrent is Filter with a lock-free Add: any number of goroutines may add and ask at
// the same time. Once AddHash has returned, every look-up that starts later sees the key.
type Concurrent struct {
	lines []atomicLine
}

type atomicLine [lineWords]atomic.Uint64

// NewConcurrent makes a filter for n keys with a rate of false positives of at most fpr,
// under the same bounds as New.
func NewConcurrent(n int, fpr float64) *Concurrent {
	keys, fpr := clamp(n, fpr)
	return &Concurrent{lines: make([]atomicLine, linesFor(keys, fpr, 64))}
}

func (c *Concurrent) line(h uint64) *atomicLine {
	return &c.lines[lineOf(h, uint64(len(c.lines)))/lineWords]
}

// AddHash adds the key with hash h and reports whether that changed the filter: false
// means that the key may have been there already. Of several goroutines that add one
// new key at the same time, at least one is told true.
func (c *Concurrent) AddHash(h uint64) (added bool) {
	l, x := c.line(h), positions(h)
	for i := range l {
		bit := uint64(1) << (x >> (6 * i) & 63)
		// Most bits of a busy filter are set: a load is shared by all cores, a write is not.
		if l[i].Load()&bit == 0 && l[i].Or(bit)&bit == 0 {
			added = true
		}
	}
	return added
}

// Add adds a key; see AddHash.
func (c *Concurrent) Add(key []byte) bool { return c.AddHash(Hash(key)) }

// AddString adds a key; see AddHash.
func (c *Concurrent) AddString(key string) bool { return c.AddHash(HashString(key)) }

// HasHash reports whether the key with hash h may have been added; false is sure.
func (c *Concurrent) HasHash(h uint64) bool {
	l, x := c.line(h), positions(h)
	m := l[0].Load() >> (x & 63) & (l[1].Load() >> (x >> 6 & 63)) & (l[2].Load() >> (x >> 12 & 63)) & (l[3].Load() >> (x >> 18 & 63)) &
		(l[4].Load() >> (x >> 24 & 63)) & (l[5].Load() >> (x >> 30 & 63)) & (l[6].Load() >> (x >> 36 & 63)) & (l[7].Load() >> (x >> 42 & 63))
	return m&1 != 0
}

// Has reports whether key may have been added; false is sure.
func (c *Concurrent) Has(key []byte) bool { return c.HasHash(Hash(key)) }

// HasString reports whether key may have been added; false is sure.
func (c *Concurrent) HasString(key string) bool { return c.HasHash(HashString(key)) }

// Bits is the filter's size in bits.
func (c *Concurrent) Bits() int { return len(c.lines) * lineBits }

// Snapshot copies the present content into a Filter, which can be encoded. Keys whose
// Add runs at the same time may or may not be in it.
func (c *Concurrent) Snapshot() *Filter {
	f := newLines(uint64(len(c.lines)))
	for i := range c.lines {
		for j := range c.lines[i] {
			f.words[i*lineWords+j] = c.lines[i][j].Load()
		}
	}
	return f
}
