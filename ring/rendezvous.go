package ring

import (
	"cmp"
	"math"
	"slices"
)

// Rendezvous is highest-random-weight hashing: every node draws a number for the key, and
// the highest owns it. When a node goes, its keys spread over all others in proportion to
// their weights, and nothing else moves. It needs no state but the nodes; a lookup asks
// each of them. It is immutable.
//
// Thaler, Ravishankar (1998); weights by the logarithm method (Schindelhauer, Schomaker
// 2005): -w/ln(u) for u uniform in (0, 1) is the larger of two with probability w/(w+w').
type Rendezvous struct {
	nodes []Node
	bases []uint64
	equal bool // all weights are the same
}

// NewRendezvous makes a rendezvous of nodes. A node with an ID that was given before, an
// empty one, or a negative weight is left out.
func NewRendezvous(nodes ...Node) *Rendezvous {
	r := &Rendezvous{}
	for _, n := range nodes {
		if n.ID != "" && n.Weight >= 0 && !has(r.nodes, n.ID) {
			r.nodes = append(r.nodes, n)
		}
	}
	slices.SortFunc(r.nodes, func(a, b Node) int { return cmp.Compare(a.ID, b.ID) })
	for _, n := range r.nodes {
		r.bases = append(r.bases, HashString(0, n.ID))
	}
	r.equal = !slices.ContainsFunc(r.nodes, func(n Node) bool { return n.weight() != r.nodes[0].weight() })
	return r
}

// draw is what node i draws for a hash: 53 bits.
func (r *Rendezvous) draw(i int, h uint64) uint64 { return mix(h^r.bases[i]) >> 11 }

func (r *Rendezvous) score(i int, h uint64) float64 {
	u := (float64(r.draw(i, h)) + 0.5) / (1 << 53)
	return -float64(r.nodes[i].weight()) / math.Log(u)
}

// Pick is the node for the hash h; ok is false only without nodes. No allocation.
func (r *Rendezvous) Pick(h uint64) (n Node, ok bool) {
	if len(r.nodes) == 0 {
		return n, false
	}
	if r.equal {
		return r.nodes[r.highest(h)], true
	}
	at, best := 0, 0.0
	for i := range r.nodes {
		if s := r.score(i, h); s > best {
			at, best = i, s
		}
	}
	return r.nodes[at], true
}

// highest is Pick for equal weights: the score grows with the draw, so that no logarithm
// is needed to compare two.
func (r *Rendezvous) highest(h uint64) (at int) {
	best := r.draw(0, h)
	for i, base := range r.bases[1:] {
		if d := mix(h^base) >> 11; d > best {
			at, best = i+1, d
		}
	}
	return at
}

// Owners appends to dst the first n nodes for the hash h in the order of preference.
func (r *Rendezvous) Owners(dst []Node, h uint64, n int) []Node {
	order := make([]int, len(r.nodes))
	scores := make([]float64, len(r.nodes))
	for i := range order {
		order[i], scores[i] = i, r.score(i, h)
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	for _, i := range order[:min(max(n, 0), len(order))] {
		dst = append(dst, r.nodes[i])
	}
	return dst
}
