package key

import (
	"bytes"
	"slices"
)

// Spans returns the covered spans as pieces that either coincide or do not touch, in the
// order of CompareSpans: by start, pieces of one stretch from new to old. Together they
// delete exactly what the spans do. Where many spans overlap, many pieces come out, n² in
// the worst case; Visible bounds that.
func (c Cover) Spans() []Span {
	return c.pieces(func(stretch int, seqs []uint64) []uint64 {
		for node := stretch + len(c.top); node > 0; node >>= 1 {
			seqs = append(seqs, c.list(node)...)
		}
		slices.Sort(seqs)
		seqs = slices.Compact(seqs)
		slices.Reverse(seqs)
		return seqs
	})
}

// Visible is Spans, less what nobody can tell apart: of the tombstones of a stretch that
// lie between two neighbours of snapshots, or after the last, only the newest is kept,
// since every reader that sees an older one sees it too. snapshots ascend. At most
// (2n-1)·(len(snapshots)+1) pieces come out.
func (c Cover) Visible(snapshots []uint64) []Span {
	return c.pieces(func(stretch int, seqs []uint64) []uint64 {
		newest := c.top[stretch]
		for i := len(snapshots); newest > 0; {
			seqs = append(seqs, newest)
			for i > 0 && snapshots[i-1] >= newest {
				i--
			}
			if i == 0 {
				break
			}
			newest = c.at(stretch, snapshots[i-1])
		}
		return seqs
	})
}

// pieces makes a piece of every stretch and every number that pick chooses for it, from
// new to old, and joins neighbouring stretches for which it chooses the same.
func (c Cover) pieces(pick func(stretch int, seqs []uint64) []uint64) []Span {
	if c.tree == nil {
		return nil
	}
	var out []Span
	var seqs []uint64
	last := 0 // where the pieces of the last stretch begin
	for j := range c.stretches() {
		seqs = pick(j, seqs[:0])
		start, end := c.bounds[j], c.bounds[j+1]
		if continues(out[last:], start, seqs) {
			for i := last; i < len(out); i++ {
				out[i].End = end
			}
			continue
		}
		last = len(out)
		for _, s := range seqs {
			out = append(out, Span{Start: start, End: end, Seq: s})
		}
	}
	return out
}

// continues reports whether pieces end at start and have exactly the numbers seqs.
func continues(pieces []Span, start []byte, seqs []uint64) bool {
	if len(pieces) == 0 || len(pieces) != len(seqs) || !bytes.Equal(pieces[0].End, start) {
		return false
	}
	for i, p := range pieces {
		if p.Seq != seqs[i] {
			return false
		}
	}
	return true
}

// Clip returns the parts of spans within [lower, upper), in their order; nil is unbounded.
func Clip(spans []Span, lower, upper []byte) []Span {
	var out []Span
	for _, s := range spans {
		if lower != nil && bytes.Compare(s.Start, lower) < 0 {
			s.Start = lower
		}
		if upper != nil && bytes.Compare(s.End, upper) > 0 {
			s.End = upper
		}
		if !s.Empty() {
			out = append(out, s)
		}
	}
	return out
}
