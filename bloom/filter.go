package bloom

import (
	"math"
	"math/bits"
)

// Filter is a blocked Bloom filter, the package's default: see line.go for the layout.
// Look-ups may run beside each other, not beside a write. The zero Filter is not usable.
type Filter struct {
	words []uint64 // lines × 8, at a cache line's border when ours
	lines uint64
}

// New makes a filter for n keys with a rate of false positives of at most fpr. It never
// fails: n below 1 means 1, and fpr is brought into [1e-9, 0.5]. It takes about 10.1
// bits a key at 1 %, 15.7 at 0.1 %.
func New(n int, fpr float64) *Filter {
	keys, fpr := clamp(n, fpr)
	return newLines(linesFor(keys, fpr, 64))
}

// NewBits makes a filter from a budget: bits bits of memory for each of n keys. Values
// out of range are brought to 1 key and to between 1 and 64 bits.
func NewBits(n int, bits float64) *Filter {
	keys, _ := clamp(n, 0.5)
	if math.IsNaN(bits) {
		bits = 10
	}
	bits = math.Min(math.Max(bits, 1), 64)
	return newLines(uint64(math.Ceil(float64(keys) * bits / lineBits)))
}

func newLines(n uint64) *Filter { return &Filter{words: newWords(n * lineWords), lines: n} }

func (f *Filter) line(h uint64) *line {
	at := lineOf(h, f.lines)
	return (*line)(f.words[at : at+lineWords])
}

// AddHash adds the key with hash h.
func (f *Filter) AddHash(h uint64) { f.line(h).add(positions(h)) }

// Add adds a key.
func (f *Filter) Add(key []byte) { f.AddHash(Hash(key)) }

// AddString adds a key.
func (f *Filter) AddString(key string) { f.AddHash(HashString(key)) }

// HasHash reports whether the key with hash h may have been added; false is sure.
func (f *Filter) HasHash(h uint64) bool { return f.line(h).has(positions(h)) }

// Has reports whether key may have been added; false is sure.
func (f *Filter) Has(key []byte) bool { return f.HasHash(Hash(key)) }

// HasString reports whether key may have been added; false is sure.
func (f *Filter) HasString(key string) bool { return f.HasHash(HashString(key)) }

// TestAndAddHash adds the key with hash h and reports whether it may have been there
// before, touching its line once.
func (f *Filter) TestAndAddHash(h uint64) bool {
	l, x := f.line(h), positions(h)
	had := l.has(x)
	l.add(x)
	return had
}

// HasMany sets bit i of out, counted from the lowest bit of out[0], when hashes[i] may
// have been added, clears the other bits of the words it needs, and returns how many
// may. It looks only at the first 64×len(out) hashes. In filters larger than the
// caches it is faster than single look-ups, for it overlaps their misses.
func (f *Filter) HasMany(hashes []uint64, out []uint64) int {
	hashes = hashes[:min(len(hashes), 64*len(out))]
	var n int
	for i := 0; i < len(hashes); i += 64 {
		word := f.hasUpTo64(hashes[i:min(i+64, len(hashes))])
		out[i/64] = word
		n += bits.OnesCount64(word)
	}
	return n
}

// hasUpTo64 computes all lines first and only then looks at them: no load waits for
// another's address, and the loop has no branch to mispredict.
func (f *Filter) hasUpTo64(hashes []uint64) uint64 {
	var at [64]uint64
	for i, h := range hashes {
		at[i&63] = lineOf(h, f.lines)
	}
	var out uint64
	for i, h := range hashes {
		a := at[i&63]
		w := (*line)(f.words[a : a+lineWords])
		x := positions(h)
		m := w[0] >> (x & 63) & (w[1] >> (x >> 6 & 63)) & (w[2] >> (x >> 12 & 63)) & (w[3] >> (x >> 18 & 63)) &
			(w[4] >> (x >> 24 & 63)) & (w[5] >> (x >> 30 & 63)) & (w[6] >> (x >> 36 & 63)) & (w[7] >> (x >> 42 & 63))
		out |= (m & 1) << (i & 63)
	}
	return out
}

// Bits is the filter's size in bits.
func (f *Filter) Bits() int { return len(f.words) * 64 }

// Len estimates how many distinct keys were added, from the bits that are set. It is
// within a few per cent up to twice the load that the filter was made for. O(size).
func (f *Filter) Len() int { return int(math.Round(estimate(f.words))) }

// FPR is the expected rate of false positives of the filter as it is now. O(size).
func (f *Filter) FPR() float64 {
	// Exact for this filter: the mean over its lines of the chance that eight random
	// positions are all set.
	if f.lines == 0 {
		return 0
	}
	var sum float64
	for i := 0; i < len(f.words); i += lineWords {
		p := 1.0
		for _, w := range f.words[i : i+lineWords] {
			p *= float64(bits.OnesCount64(w)) / 64
		}
		sum += p
	}
	return sum / float64(f.lines)
}

// estimate inverts the expected fill of a 64-bit word that c keys give one bit each,
// 64 (1 - (63/64)^c), line by line: lines differ in load, and the mean of the inverse
// is not the inverse of the mean.
func estimate(words []uint64) float64 {
	empty := math.Log1p(-1.0 / 64)
	var sum float64
	for i := 0; i < len(words); i += lineWords {
		set := 0
		for _, w := range words[i : i+lineWords] {
			set += bits.OnesCount64(w)
		}
		fill := math.Min(float64(set)/lineBits, 1-0.5/lineBits)
		sum += math.Log1p(-fill) / empty
	}
	return sum
}

// Reset empties the filter and keeps its memory.
func (f *Filter) Reset() { clear(f.words) }

// Clone is an independent copy.
func (f *Filter) Clone() *Filter {
	c := newLines(f.lines)
	copy(c.words, f.words)
	return c
}

// Union makes f a filter of the keys of both. ErrMismatch if they differ in size.
func (f *Filter) Union(o *Filter) error {
	if f.lines != o.lines {
		return ErrMismatch
	}
	for i, w := range o.words {
		f.words[i] |= w
	}
	return nil
}

// Intersect keeps in f the keys that are in both, and perhaps others: its rate of false
// positives is at most that of the better of the two, not that of a filter made of the
// common keys alone. ErrMismatch if they differ in size.
func (f *Filter) Intersect(o *Filter) error {
	if f.lines != o.lines {
		return ErrMismatch
	}
	for i, w := range o.words {
		f.words[i] &= w
	}
	return nil
}
