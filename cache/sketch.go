package cache

import "math/bits"

// sketch remembers roughly how often hashes were seen lately: a count-min sketch of 4-bit
// counters, four to a hash, all in one cache line. After ten sightings for every entry of
// the cache all counters are halved, so that old fame fades.
//
// Large caches get eight counters or more an entry, small ones 32 or more, for there the
// memory is nothing and every wrong estimate weighs. Doubling copies each half, which keeps
// every estimate.
//
// Source: Einziger, Friedman, Manes, "TinyLFU" (2017); the four-in-a-line layout is
// Caffeine's.
type sketch struct {
	words   []uint64
	mask    uint32 // of lines
	entries int    // a tenth of the sightings between two halvings
	seen    int
}

const (
	sketchLine  = 8       // words
	smallSketch = 1 << 14 // entries
)

// fit makes room for so many entries; it never shrinks.
func (s *sketch) fit(entries int) {
	s.entries = max(s.entries, entries, 8)
	need := entries / 2
	if entries < smallSketch {
		need = entries * 2
	}
	want := sketchLine
	for want < need {
		want *= 2
	}
	if len(s.words) == 0 {
		s.words = make([]uint64, want)
	}
	for len(s.words) < want {
		w := make([]uint64, 2*len(s.words))
		copy(w[copy(w, s.words):], s.words)
		s.words = w
	}
	s.mask = uint32(len(s.words)/sketchLine - 1)
}

// line gives a hash's line and the bits that choose four counters in it.
func (s *sketch) line(h uint32) (*[sketchLine]uint64, uint32) {
	x := uint64(h) * 0x9e3779b97f4a7c15
	x ^= x >> 29
	x *= 0xbf58476d1ce4e5b9
	return (*[sketchLine]uint64)(s.words[uint32(x>>40)&s.mask*sketchLine:]), uint32(x) ^ uint32(x>>32)
}

func (s *sketch) count(h uint32) uint64 {
	l, x := s.line(h)
	c := l[x&1] >> (x >> 1 & 15 << 2) & 15
	c = min(c, l[2+x>>8&1]>>(x>>9&15<<2)&15)
	c = min(c, l[4+x>>16&1]>>(x>>17&15<<2)&15)
	return min(c, l[6+x>>24&1]>>(x>>25&15<<2)&15)
}

func (s *sketch) add(h uint32) {
	l, x := s.line(h)
	grown := bump(&l[x&1], x>>1)
	grown = bump(&l[2+x>>8&1], x>>9) || grown
	grown = bump(&l[4+x>>16&1], x>>17) || grown
	grown = bump(&l[6+x>>24&1], x>>25) || grown
	if !grown {
		return
	}
	if s.seen++; s.seen >= 10*s.entries+s.entries*3/8+1 {
		s.halve()
	}
}

func bump(w *uint64, x uint32) bool {
	shift := x & 15 << 2
	if *w>>shift&15 == 15 {
		return false
	}
	*w += 1 << shift
	return true
}

func (s *sketch) halve() {
	odd := 0
	for i, w := range s.words {
		odd += bits.OnesCount64(w & 0x1111111111111111)
		s.words[i] = w >> 1 & 0x7777777777777777
	}
	s.seen = (s.seen - odd/4) / 2
}
