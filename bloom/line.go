package bloom

import (
	"math"
	"math/bits"
	"unsafe"
)

// The blocked layout. A filter is an array of lines, each a cache line of eight 64-bit
// words; a key owns one bit in every word of one line:
//
//	hash ──┬─ high bits: line ───────────────▶ ┌────┬────┬────┬────┬────┬────┬────┬────┐
//	       │                                   │ w0 │ w1 │ w2 │ w3 │ w4 │ w5 │ w6 │ w7 │
//	       └─ remixed: eight 6-bit positions ─▶└─b0─┴─b1─┴─b2─┴─b3─┴─b4─┴─b5─┴─b6─┴─b7─┘
//
// A look-up touches one cache line: eight independent loads and shifts and no branch,
// which is all that a processor needs to overlap the misses of several look-ups. The
// price against a classic filter is some five per cent more bits, since lines fill
// unevenly. Spreading the bits over the words, rather than choosing eight bits of 512,
// costs two of those five per cent and saves the data-dependent choice of the word.
//
// Invariant: the line comes from the hash's high bits (multiply-shift, no division), the
// positions from a product whose every bit depends on lower bits of the hash, which are
// free of the line's choice for any filter that fits memory.

const (
	lineWords = 8
	lineBits  = 64 * lineWords
	mixer     = 0x9e3779b97f4a7c15 // 2^64 / golden ratio, odd
)

// lineOf returns the index of the first word of h's line among n lines.
func lineOf(h uint64, n uint64) uint64 {
	hi, _ := bits.Mul64(h, n)
	return hi * lineWords
}

// positions returns 48 bits that hold the eight positions of h, six bits each.
func positions(h uint64) uint64 { return (h * mixer) >> 16 }

// has reports whether all eight bits of x are set in line w.
func (w *line) has(x uint64) bool {
	m := w[0] >> (x & 63) & (w[1] >> (x >> 6 & 63)) & (w[2] >> (x >> 12 & 63)) & (w[3] >> (x >> 18 & 63)) &
		(w[4] >> (x >> 24 & 63)) & (w[5] >> (x >> 30 & 63)) & (w[6] >> (x >> 36 & 63)) & (w[7] >> (x >> 42 & 63))
	return m&1 != 0
}

// add sets the eight bits of x.
func (w *line) add(x uint64) {
	w[0] |= 1 << (x & 63)
	w[1] |= 1 << (x >> 6 & 63)
	w[2] |= 1 << (x >> 12 & 63)
	w[3] |= 1 << (x >> 18 & 63)
	w[4] |= 1 << (x >> 24 & 63)
	w[5] |= 1 << (x >> 30 & 63)
	w[6] |= 1 << (x >> 36 & 63)
	w[7] |= 1 << (x >> 42 & 63)
}

type line [lineWords]uint64

// newWords allocates words that start at a cache line's border, so that no line of the
// filter straddles two of memory.
func newWords(n uint64) []uint64 {
	buf := make([]uint64, n+lineWords-1)
	skip := uint64(0)
	if at := uintptr(unsafe.Pointer(unsafe.SliceData(buf))) % (lineWords * 8); at != 0 {
		skip = uint64((lineWords*8 - at) / 8)
	}
	return buf[skip : skip+n : skip+n]
}

// Rate is the expected rate of false positives of a blocked filter that holds keys keys
// in lines cache lines of 64 bytes: the mean over the Poisson-distributed load c of a
// line of (1 - (63/64)^c)^8.
func Rate(keys, lines float64) float64 { return rate(keys, lines, 64) }

// rate is Rate for words of so many cells.
func rate(keys, lines, cells float64) float64 {
	if keys <= 0 || lines <= 0 {
		return 0
	}
	load := keys / lines
	if load > 1e4 {
		return 1
	}
	empty := math.Log1p(-1 / cells)
	// Sum outwards from the mode; a Poisson tail beyond twelve deviations is nothing.
	spread := 12*math.Sqrt(load) + 12
	from, to := math.Max(0, math.Floor(load-spread)), math.Ceil(load+spread)
	var sum float64
	for c := from; c <= to; c++ {
		lg, _ := math.Lgamma(c + 1)
		p := math.Exp(c*math.Log(load) - load - lg)
		sum += p * math.Pow(-math.Expm1(c*empty), lineWords)
	}
	return math.Min(sum, 1)
}

// linesFor is the least number of lines that hold n keys at rate fpr or below.
func linesFor(n uint64, fpr, cells float64) uint64 {
	lo, hi := 1.0, float64(n)+1
	for rate(float64(n), hi, cells) > fpr && hi < 1<<58 {
		hi *= 2
	}
	for hi-lo > 0.5 {
		mid := math.Floor((lo + hi) / 2)
		if mid == lo {
			break
		}
		if rate(float64(n), mid, cells) > fpr {
			lo = mid
		} else {
			hi = mid
		}
	}
	if rate(float64(n), lo, cells) <= fpr {
		return uint64(lo)
	}
	return uint64(hi)
}

// clamp brings a caller's size and rate into the range that filters support: 1 key to
// 2^40, one false positive in two to one in a billion.
func clamp(n int, fpr float64) (uint64, float64) {
	if n < 1 {
		n = 1
	}
	if math.IsNaN(fpr) || fpr <= 0 {
		fpr = 1e-9
	}
	return min(uint64(n), 1<<40), math.Min(math.Max(fpr, 1e-9), 0.5)
}
