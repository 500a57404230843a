package keyspace

import (
	"math"
	"math/bits"
)

// Sorted is a sorted set: members by score, then by name, with an index by name.
//
// The order is a skip list whose links know how many members they pass over, so that a
// member's rank and the member of a rank are found in logarithmic time:
//
//	level 1  head ──3──────────────▶ c ──2──────▶ nil      a link's span: members passed
//	level 0  head ─1▶ a ─1▶ b ─1▶ c ─1▶ d ─1▶ nil
//
// Source: Pugh, "Skip Lists: A Probabilistic Alternative to Balanced Trees" (1990), §3.4 of
// his cookbook for the spans.
type Sorted struct {
	byName map[string]*node
	head   *node
	levels int
	rng    uint64
	names  int64 // bytes of all names
}

type node struct {
	name  string
	score float64
	back  *node
	next  []link
}

type link struct {
	to   *node
	span int
}

const (
	maxLevel  = 20
	perMember = 112
)

func newSorted() *Sorted {
	return &Sorted{byName: map[string]*node{}, head: &node{next: make([]link, maxLevel)}, levels: 1, rng: 0x9e3779b97f4a7c15}
}

// Len is the number of members.
func (s *Sorted) Len() int { return len(s.byName) }

// Size is what the set costs by the account.
func (s *Sorted) Size() int64 { return s.names + perMember*int64(len(s.byName)) }

// Score is a member's score, and whether it is there.
func (s *Sorted) Score(name []byte) (float64, bool) {
	if n := s.byName[string(name)]; n != nil {
		return n.score, true
	}
	return 0, false
}

// before tells whether n comes before a place in the order.
func (n *node) before(score float64, name string) bool {
	return n.score < score || n.score == score && n.name < name
}

// Put sets a member's score, which must be a number, and tells whether the member is new.
func (s *Sorted) Put(name []byte, score float64) bool {
	old := s.byName[string(name)]
	if old != nil {
		if old.score == score {
			return false
		}
		s.unlink(old)
		old.score = score
		s.link(old)
		return false
	}
	n := &node{name: string(name), score: score}
	n.next = make([]link, s.height())
	s.byName[n.name] = n
	s.names += int64(len(name))
	s.link(n)
	return true
}

// height draws a level: each next one is a quarter as likely.
func (s *Sorted) height() int {
	s.rng ^= s.rng << 13
	s.rng ^= s.rng >> 7
	s.rng ^= s.rng << 17
	return min(1+bits.TrailingZeros64(s.rng|1<<62)/2, maxLevel)
}

// path finds, for each level, the last node before a place, and its rank.
func (s *Sorted) path(score float64, name string) (prev [maxLevel]*node, rank [maxLevel]int) {
	x, r := s.head, 0
	for l := s.levels - 1; l >= 0; l-- {
		for to := x.next[l].to; to != nil && to.before(score, name); to = x.next[l].to {
			r += x.next[l].span
			x = to
		}
		prev[l], rank[l] = x, r
	}
	return prev, rank
}

func (s *Sorted) link(n *node) {
	prev, rank := s.path(n.score, n.name)
	for s.levels < len(n.next) {
		prev[s.levels], rank[s.levels] = s.head, 0
		s.head.next[s.levels] = link{nil, len(s.byName) - 1}
		s.levels++
	}
	for l := range s.levels {
		if l >= len(n.next) {
			prev[l].next[l].span++
			continue
		}
		p := &prev[l].next[l]
		passed := rank[0] - rank[l]
		n.next[l] = link{p.to, p.span - passed}
		*p = link{n, passed + 1}
	}
	n.back = nil
	if prev[0] != s.head {
		n.back = prev[0]
	}
	if after := n.next[0].to; after != nil {
		after.back = n
	}
}

func (s *Sorted) unlink(n *node) {
	prev, _ := s.path(n.score, n.name)
	for l := range s.levels {
		p := &prev[l].next[l]
		if p.to == n {
			*p = link{n.next[l].to, p.span + n.next[l].span - 1}
		} else {
			p.span--
		}
	}
	if after := n.next[0].to; after != nil {
		after.back = n.back
	}
	for s.levels > 1 && s.head.next[s.levels-1].to == nil {
		s.levels--
	}
}

// Delete removes a member and tells whether it was there.
func (s *Sorted) Delete(name []byte) bool {
	n := s.byName[string(name)]
	if n == nil {
		return false
	}
	s.unlink(n)
	delete(s.byName, n.name)
	s.names -= int64(len(n.name))
	return true
}

// Rank is how many members come before one, and whether that is there.
func (s *Sorted) Rank(name []byte) (int, bool) {
	n := s.byName[string(name)]
	if n == nil {
		return 0, false
	}
	_, rank := s.path(n.score, n.name)
	return rank[0], true
}

// at is the node of a rank, nil if there is none.
func (s *Sorted) at(rank int) *node {
	if rank < 0 || rank >= len(s.byName) {
		return nil
	}
	x, r := s.head, rank+1
	for l := s.levels - 1; l >= 0; l-- {
		for x.next[l].to != nil && x.next[l].span <= r {
			r -= x.next[l].span
			x = x.next[l].to
		}
	}
	return x
}

// Range visits the members of ranks from to to, both included, in the other order if
// reverse is set; ranks count from the end then.
func (s *Sorted) Range(from, to int, reverse bool, visit func(name string, score float64) bool) {
	from, to = max(from, 0), min(to, len(s.byName)-1)
	if from > to {
		return
	}
	first := from
	if reverse {
		first = len(s.byName) - 1 - from
	}
	for n := s.at(first); n != nil && from <= to; from++ {
		if !visit(n.name, n.score) {
			return
		}
		if reverse {
			n = n.back
		} else {
			n = n.next[0].to
		}
	}
}

// Bound is one end of a range of scores.
type Bound struct {
	Score float64
	Open  bool // the score itself is out
}

// RanksByScore are the first and the last rank of the members between two scores; there
// are none if the first is above the last.
func (s *Sorted) RanksByScore(lo, hi Bound) (first, last int) {
	return s.countBefore(lo.Score, lo.Open), s.countBefore(hi.Score, !hi.Open) - 1
}

// countBefore counts scores below one, and those equal to it if asked to.
func (s *Sorted) countBefore(score float64, equal bool) int {
	return s.count(func(n *node) bool { return n.score < score || equal && n.score == score })
}

// Lex is one end of a range of names, in a set whose scores are all equal.
type Lex struct {
	Name string
	Open bool
	Inf  int // -1: before all names, 1: after all
}

// RanksByLex is RanksByScore for names.
func (s *Sorted) RanksByLex(lo, hi Lex) (first, last int) {
	before := func(b Lex, equal bool) int {
		switch b.Inf {
		case -1:
			return 0
		case 1:
			return len(s.byName)
		}
		return s.count(func(n *node) bool { return n.name < b.Name || equal && n.name == b.Name })
	}
	return before(lo, lo.Open), before(hi, !hi.Open) - 1
}

// count is how many members hold at the begin of the order; in none after the first that
// does not.
func (s *Sorted) count(holds func(*node) bool) int {
	x, r := s.head, 0
	for l := s.levels - 1; l >= 0; l-- {
		for to := x.next[l].to; to != nil && holds(to); to = x.next[l].to {
			r += x.next[l].span
			x = to
		}
	}
	return r
}

// ValidScore tells whether a score has a place in the order.
func ValidScore(f float64) bool { return !math.IsNaN(f) }
