package key

import (
	"bytes"
	"slices"
	"sort"
)

// A Cover answers the stabbing question about range tombstones: of those that contain
// key k and are not newer than s, how new is the newest?
//
// The ends of all spans cut the keys into elementary stretches, in each of which the
// answer is the same for all keys. To write down every span in every stretch it covers
// would take n² room for n nested spans, which a user is free to make. A segment tree
// takes n log n: a span is written at the few nodes whose stretches together are it.
//
//	spans       ├───────── 9 ─────────┤
//	                 ├── 4 ──┤
//	bounds      a    c       f        k
//	stretches   │ 0  │   1   │   2    │
//
//	tree              1: {}                         stretch j is leaf j+m;
//	              2: {9}      3: {}                 its answer is on its path to the root:
//	            4: {9} ...  (m = 3)                 here 1 → leaf 4 {4}, 2 {9}, 1 {}
//
// For every stretch the newest of all is kept beside it. Who reads the present asks for
// s beyond all spans, and has the answer with one search and no walk.
//
// Invariants: bounds strictly ascend; every list ascends; top[j] is the largest number on
// the path of leaf j.
//
// Source: J. L. Bentley, "Algorithms for Klee's Rectangle Problems" (1977).
type Cover struct {
	*tree // nil: nothing is covered
}

// tree is a Cover of at least one span; it is immutable.
type tree struct {
	prefixes []uint64 // of bounds
	bounds   [][]byte
	top      []uint64
	// lists of node i: seqs[starts[i]:starts[i+1]], for nodes 1 to 2m-1
	starts []int
	seqs   []uint64
}

// NewCover makes a Cover of spans, in any order and overlapping as they like; empty ones
// are left out. It keeps their bounds' bytes. The zero Cover covers nothing. O(n log n)
// time and room.
func NewCover(spans []Span) Cover {
	sorted := make([]Span, 0, len(spans))
	for _, s := range spans {
		if !s.Empty() {
			sorted = append(sorted, s)
		}
	}
	if len(sorted) == 0 {
		return Cover{}
	}
	c := &tree{}
	for _, s := range sorted {
		c.bounds = append(c.bounds, s.Start, s.End)
	}
	slices.SortFunc(c.bounds, bytes.Compare)
	c.bounds = slices.CompactFunc(c.bounds, bytes.Equal)
	c.prefixes = make([]uint64, len(c.bounds))
	for i, b := range c.bounds {
		c.prefixes[i] = Prefix(b)
	}
	// Ascending numbers make ascending lists.
	slices.SortFunc(sorted, func(a, b Span) int {
		switch {
		case a.Seq < b.Seq:
			return -1
		case a.Seq > b.Seq:
			return 1
		}
		return 0
	})
	c.fill(sorted)
	c.rank()
	return Cover{c}
}

// Empty reports whether nothing is covered.
func (c Cover) Empty() bool { return c.tree == nil }

// stretches is m, the number of stretches between the first bound and the last.
func (c *tree) stretches() int { return len(c.bounds) - 1 }

// fill writes every span at its nodes: first counts, then numbers.
func (c *tree) fill(spans []Span) {
	m := c.stretches()
	from, to := make([]int, len(spans)), make([]int, len(spans))
	c.starts = make([]int, 2*m+1)
	for i, s := range spans {
		from[i], to[i] = c.find(s.Start), c.find(s.End)
		eachNode(from[i], to[i], m, func(node int) { c.starts[node+1]++ })
	}
	for i := 1; i < len(c.starts); i++ {
		c.starts[i] += c.starts[i-1]
	}
	c.seqs = make([]uint64, c.starts[2*m])
	next := slices.Clone(c.starts)
	for i, s := range spans {
		eachNode(from[i], to[i], m, func(node int) {
			c.seqs[next[node]] = s.Seq
			next[node]++
		})
	}
}

// rank computes the newest number of every stretch, pushing numbers down from the root.
func (c *tree) rank() {
	m := c.stretches()
	best := make([]uint64, 2*m)
	for i := 1; i < 2*m; i++ {
		best[i] = best[i>>1]
		if l := c.list(i); len(l) > 0 {
			best[i] = max(best[i], l[len(l)-1])
		}
	}
	c.top = best[m:]
}

// eachNode calls fn for the nodes that together are the stretches from l up to r.
func eachNode(l, r, m int, fn func(node int)) {
	for l, r = l+m, r+m; l < r; l, r = l>>1, r>>1 {
		if l&1 == 1 {
			fn(l)
			l++
		}
		if r&1 == 1 {
			r--
			fn(r)
		}
	}
}

func (c *tree) list(node int) []uint64 { return c.seqs[c.starts[node]:c.starts[node+1]] }

// find returns the stretch that holds k: -1 before the first bound, m after the last.
func (c *tree) find(k []byte) int {
	p := Prefix(k)
	lo, hi := 0, len(c.bounds) // the first bound beyond k is in [lo, hi]
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if q := c.prefixes[mid]; q < p || q == p && bytes.Compare(c.bounds[mid], k) <= 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo - 1
}

// Seq returns the highest number of a span that contains k and is at most seq; 0 if there
// is none. No allocation; O(log n), O(log² n) if there are spans newer than seq.
func (c Cover) Seq(k []byte, seq uint64) uint64 {
	if c.tree == nil {
		return 0
	}
	return c.at(c.find(k), seq)
}

// Newest returns the highest number of a span that has a key in common with the range
// from lower up to, not including, upper; nil is unbounded. 0 if there is none. O(n).
func (c Cover) Newest(lower, upper []byte) uint64 {
	if c.tree == nil {
		return 0
	}
	var best uint64
	for i, top := range c.top {
		if (lower == nil || bytes.Compare(c.bounds[i+1], lower) > 0) && (upper == nil || bytes.Compare(c.bounds[i], upper) < 0) {
			best = max(best, top)
		}
	}
	return best
}

// at is Seq for a stretch.
func (c *tree) at(stretch int, seq uint64) uint64 {
	if stretch < 0 || stretch >= len(c.top) {
		return 0
	}
	if c.top[stretch] <= seq {
		return c.top[stretch]
	}
	var best uint64
	for node := stretch + len(c.top); node > 0; node >>= 1 {
		l := c.list(node)
		if i := sort.Search(len(l), func(i int) bool { return l[i] > seq }); i > 0 {
			best = max(best, l[i-1])
		}
	}
	return best
}

// Cursor returns a cursor for reading at sequence number seq.
func (c Cover) Cursor(seq uint64) Cursor {
	cu := Cursor{cover: c.tree, seq: seq, stretch: -1}
	if c.tree != nil {
		cu.end, cu.hasEnd = c.bounds[0], true
	}
	return cu
}

// Cursor is a Cover seen by a scan. It remembers the stretch it is in: keys that come in
// order, either way, cost two comparisons each, and a search only where a stretch ends.
// The zero Cursor covers nothing.
type Cursor struct {
	cover            *tree
	seq              uint64
	stretch          int
	start, end       []byte // the stretch's bounds
	hasStart, hasEnd bool
	answer           uint64
}

// At is Seq of k.
func (cu *Cursor) At(k []byte) uint64 {
	if cu.cover == nil {
		return 0
	}
	if cu.hasEnd && bytes.Compare(k, cu.end) >= 0 || cu.hasStart && bytes.Compare(k, cu.start) < 0 {
		cu.move(k)
	}
	return cu.answer
}

// End returns the key up to which the last answer holds; ok is false if it holds for all
// keys to come.
func (cu *Cursor) End() (end []byte, ok bool) { return cu.end, cu.hasEnd }

// Start returns the key down to which the last answer holds, itself included; ok is false
// if it holds for all keys before.
func (cu *Cursor) Start() (start []byte, ok bool) { return cu.start, cu.hasStart }

// move goes to the stretch of k, which is most often the one next door.
func (cu *Cursor) move(k []byte) {
	c, m := cu.cover, cu.cover.stretches()
	s := cu.stretch + 1
	if s >= m || bytes.Compare(k, c.bounds[s]) < 0 || bytes.Compare(k, c.bounds[s+1]) >= 0 {
		s = c.find(k)
	}
	cu.stretch = s
	cu.start, cu.end = nil, nil
	if cu.hasStart = s >= 0; cu.hasStart {
		cu.start = c.bounds[s]
	}
	if cu.hasEnd = s < m; cu.hasEnd {
		cu.end = c.bounds[s+1]
	}
	cu.answer = c.at(s, cu.seq)
}
