package ring

import (
	"iter"
	"math"
)

// Change is what an update did.
type Change struct{ Old, New *View }

// Range is a range of hashes, both ends included; it never wraps.
type Range struct{ First, Last uint64 }

// Move says that a range has other owners now. From and To are shared: read-only.
type Move struct {
	Range
	From, To []Node
}

// Moves yields, in the order of hashes, the maximal ranges whose first n owners differ in
// number, identity or order. n above Options.Replicas means all of the preference list.
// O(points).
func (c Change) Moves(n int) iter.Seq[Move] {
	return func(yield func(Move) bool) {
		var open Move
		var has bool
		for r := range c.ranges() {
			from, to := head(c.Old.OwnersOf(r.Last), n), head(c.New.OwnersOf(r.Last), n)
			if same(from, to) {
				continue
			}
			if has && open.Last+1 == r.First && same(open.From, from) && same(open.To, to) {
				open.Last = r.Last
				continue
			}
			if has && !yield(open) {
				return
			}
			open, has = Move{r, from, to}, true
		}
		if has {
			yield(open)
		}
	}
}

// ranges yields the ranges within which neither view has a point but at the end.
func (c Change) ranges() iter.Seq[Range] {
	return func(yield func(Range) bool) {
		a, b := c.Old.points, c.New.points
		first := uint64(0)
		for len(a) > 0 || len(b) > 0 {
			last := uint64(math.MaxUint64)
			if len(a) > 0 {
				last = a[0].at
			}
			if len(b) > 0 {
				last = min(last, b[0].at)
			}
			for len(a) > 0 && a[0].at == last {
				a = a[1:]
			}
			for len(b) > 0 && b[0].at == last {
				b = b[1:]
			}
			if !yield(Range{first, last}) || last == math.MaxUint64 {
				return
			}
			first = last + 1
		}
		yield(Range{first, math.MaxUint64})
	}
}

func head(nodes []Node, n int) []Node { return nodes[:min(max(n, 0), len(nodes))] }

func same(a, b []Node) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].ID != b[i].ID {
			return false
		}
	}
	return true
}

// Moved returns how much data the change moves and how much any placement with the same
// shares would have to, both as fractions of one full copy of the data: a node's gain that
// it must be sent. The first n owners hold data.
func (c Change) Moved(n int) (moved, least float64) {
	share := map[string]float64{}
	for r := range c.ranges() {
		size := (float64(r.Last-r.First) + 1) / (1 << 64)
		from, to := head(c.Old.OwnersOf(r.Last), n), head(c.New.OwnersOf(r.Last), n)
		for _, t := range to {
			share[t.ID] += size
			if !has(from, t.ID) {
				moved += size
			}
		}
		for _, f := range from {
			share[f.ID] -= size
		}
	}
	for _, s := range share {
		least += max(s, 0)
	}
	return moved, least
}

func has(nodes []Node, id string) bool {
	for _, n := range nodes {
		if n.ID == id {
			return true
		}
	}
	return false
}
