package bloom

// Counting is a blocked filter whose keys can be removed again: eight counters of four
// bits in one cache line take the place of Filter's eight bits, one in each word.
//
// A counter that reaches 15 stays there for ever, since what it counts is lost; removing
// such a key leaves it reported as perhaps there, never the other way round. At the load
// that the filter was made for that befalls fewer than one key in a million. Removing a
// key that was never added but is reported by chance (a false positive) takes counts
// away from other keys: only remove what you know to have added.
type Counting struct {
	words []uint64 // lines × 8, sixteen counters each
	lines uint64
}

const (
	counterBits = 4
	counters    = 64 / counterBits // in a word
	saturated   = 1<<counterBits - 1
)

// NewCounting makes a filter for n keys with a rate of false positives of at most fpr,
// under the same bounds as New. It takes about 47 bits a key at 1 %.
func NewCounting(n int, fpr float64) *Counting {
	keys, fpr := clamp(n, fpr)
	lines := linesFor(keys, fpr, counters)
	return &Counting{words: newWords(lines * lineWords), lines: lines}
}

// at returns h's line and the positions of its counters, four bits each.
func (c *Counting) at(h uint64) (*line, uint64) {
	i := lineOf(h, c.lines)
	return (*line)(c.words[i : i+lineWords]), (h * mixer) >> 32
}

func shift(x uint64, i int) uint64 { return (x >> (4 * i) & (counters - 1)) * counterBits }

// AddHash adds the key with hash h once more.
func (c *Counting) AddHash(h uint64) {
	l, x := c.at(h)
	for i := range l {
		if s := shift(x, i); l[i]>>s&saturated != saturated {
			l[i] += 1 << s
		}
	}
}

// RemoveHash takes back one AddHash of the same hash. It returns false, and changes
// nothing, if the key surely was not there.
func (c *Counting) RemoveHash(h uint64) bool {
	if !c.HasHash(h) {
		return false
	}
	l, x := c.at(h)
	for i := range l {
		if s := shift(x, i); l[i]>>s&saturated != saturated {
			l[i] -= 1 << s
		}
	}
	return true
}

// HasHash reports whether the key with hash h may be there; false is sure.
func (c *Counting) HasHash(h uint64) bool {
	l, x := c.at(h)
	for i := range l {
		if l[i]>>shift(x, i)&saturated == 0 {
			return false
		}
	}
	return true
}

// Add adds a key.
func (c *Counting) Add(key []byte) { c.AddHash(Hash(key)) }

// Remove takes back one Add; see RemoveHash.
func (c *Counting) Remove(key []byte) bool { return c.RemoveHash(Hash(key)) }

// Has reports whether key may be there; false is sure.
func (c *Counting) Has(key []byte) bool { return c.HasHash(Hash(key)) }

// Bits is the filter's size in bits.
func (c *Counting) Bits() int { return len(c.words) * 64 }

// Reset empties the filter and keeps its memory.
func (c *Counting) Reset() { clear(c.words) }
