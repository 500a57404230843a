package key

import (
	"bytes"
	"slices"
	"sort"
)

// Span is a range tombstone: all versions older than Seq of keys from Start up to, not
// including, End are gone.
type Span struct {
	Start, End []byte
	Seq        uint64
}

// Cover answers which range tombstone lies over a key. It is made of fragments that do
// not overlap, so that one binary search finds all that matter:
//
//	tombstones   ├────── 7 ──────┤
//	                   ├──── 9 ────────┤
//	fragments    ├─ 7 ─┤ 9,7 ├─── 9 ───┤
//
// A Cover is immutable. The zero Cover covers nothing.
type Cover struct {
	frags []fragment
}

type fragment struct {
	start, end []byte
	seqs       []uint64 // newest first
}

// NewCover fragments spans, which may come in any order and overlap. Empty and inverted
// spans are ignored. The cover keeps their keys. O(n log n), more where many overlap.
func NewCover(spans []Span) Cover {
	spans = slices.DeleteFunc(slices.Clone(spans), func(s Span) bool { return bytes.Compare(s.Start, s.End) >= 0 })
	if len(spans) == 0 {
		return Cover{}
	}
	slices.SortFunc(spans, func(a, b Span) int { return bytes.Compare(a.Start, b.Start) })
	bounds := make([][]byte, 0, 2*len(spans))
	for _, s := range spans {
		bounds = append(bounds, s.Start, s.End)
	}
	slices.SortFunc(bounds, bytes.Compare)
	bounds = slices.CompactFunc(bounds, bytes.Equal)

	var c Cover
	var open []Span // those that reach into the present fragment
	next := 0
	for i := 0; i+1 < len(bounds); i++ {
		at, end := bounds[i], bounds[i+1]
		open = slices.DeleteFunc(open, func(s Span) bool { return bytes.Compare(s.End, at) <= 0 })
		for ; next < len(spans) && bytes.Equal(spans[next].Start, at); next++ {
			open = append(open, spans[next])
		}
		if len(open) == 0 {
			continue
		}
		seqs := make([]uint64, len(open))
		for j, s := range open {
			seqs[j] = s.Seq
		}
		slices.SortFunc(seqs, func(a, b uint64) int {
			if a > b {
				return -1
			}
			return 1
		})
		c.frags = append(c.frags, fragment{at, end, slices.Compact(seqs)})
	}
	return c
}

// Empty reports whether nothing is covered.
func (c Cover) Empty() bool { return len(c.frags) == 0 }

// Seq is the newest tombstone not newer than limit that lies over k; 0 if there is none.
// O(log fragments).
func (c Cover) Seq(k []byte, limit uint64) uint64 {
	i := sort.Search(len(c.frags), func(i int) bool { return bytes.Compare(c.frags[i].end, k) > 0 })
	if i == len(c.frags) || bytes.Compare(c.frags[i].start, k) > 0 {
		return 0
	}
	for _, s := range c.frags[i].seqs {
		if s <= limit {
			return s
		}
	}
	return 0
}

// Spans returns the fragments as spans, in order of start and then newest first.
func (c Cover) Spans() []Span {
	var out []Span
	for _, f := range c.frags {
		for _, s := range f.seqs {
			out = append(out, Span{f.start, f.end, s})
		}
	}
	return out
}

// Clip returns the parts of the spans within [lower, upper); nil is unbounded.
func Clip(spans []Span, lower, upper []byte) []Span {
	var out []Span
	for _, s := range spans {
		if lower != nil && bytes.Compare(s.Start, lower) < 0 {
			s.Start = lower
		}
		if upper != nil && bytes.Compare(s.End, upper) > 0 {
			s.End = upper
		}
		if bytes.Compare(s.Start, s.End) < 0 {
			out = append(out, s)
		}
	}
	return out
}
