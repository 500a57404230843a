package trie

import (
	"iter"
	"slices"
	"strings"
	"sync/atomic"
)

// A delta holds what was changed since the base was built: a small radix trie in ordinary
// nodes that one writer changes while any number of readers search it, without a lock.
//
//	reader                                 writer (holds Index.mu)
//	  loads best, children, leaf ◀── atomic ── stores the leaf, then best from the leaf up
//
// Once an update has returned, best is exact all the way up, which is all that the search
// needs. A search that runs beside the update may look at its term too early or too late,
// and find it as it was before, or after. Lists of children are replaced, never changed,
// and so are nodes that are split.
//
// The writer itself finds keys in a map, for most updates are to terms that were updated a
// moment ago.
//
// A leaf is the whole truth about its key: the score, not a difference, and a tombstone
// where the key is deleted. A key that a delta has, in whatever form, hides those of the
// layers below.
type delta struct {
	root  deltaNode
	nodes map[string]*deltaNode // by key, tombstones among them; the writer's
	// hides is a filter of the keys that are in a layer below as well, so that most hits
	// of those layers need no look into this one.
	hides [hideWords]atomic.Uint64
}

type deltaNode struct {
	label    string
	best     atomic.Uint64 // 0: nothing alive below; else the best score + 1, at most the greatest number
	leaf     atomic.Pointer[leaf]
	children atomic.Pointer[deltaKids]

	parent *deltaNode // the writer's
	key    string     // of the leaf; the writer's
}

// deltaKids are a node's children, by the first bytes of their labels, which stand apart so
// that to find one is to look at one line of memory. They are immutable.
type deltaKids struct {
	first string
	nodes []*deltaNode
}

// leaf is immutable.
type leaf struct {
	value
	deleted bool
	seq     uint64 // the update that made it
	born    uint64 // the update that brought the key into this delta
}

// rank is a leaf's contribution to best.
func (l *leaf) rank() uint64 {
	if l == nil || l.deleted {
		return 0
	}
	return max(l.score+1, l.score)
}

var noKids deltaKids

func (n *deltaNode) kids() *deltaKids {
	if k := n.children.Load(); k != nil {
		return k
	}
	return &noKids
}

// child returns the child whose label begins with b, nil if there is none.
func (n *deltaNode) child(b byte) *deltaNode {
	k := n.kids()
	if i := strings.IndexByte(k.first, b); i >= 0 {
		return k.nodes[i]
	}
	return nil
}

// setChild puts c in the place of the child with the same first byte, or where it belongs.
func (n *deltaNode) setChild(c *deltaNode) {
	old := n.kids()
	k := &deltaKids{first: old.first, nodes: slices.Clone(old.nodes)}
	b := c.label[0]
	at := 0
	for at < len(k.first) && k.first[at] < b {
		at++
	}
	if at < len(k.first) && k.first[at] == b {
		k.nodes[at] = c
	} else {
		k.first = k.first[:at] + c.label[:1] + k.first[at:]
		k.nodes = slices.Insert(k.nodes, at, c)
	}
	n.children.Store(k)
}

// get returns the leaf of key, nil if there is none.
func (d *delta) get(key []byte) *leaf {
	n := &d.root
	for len(key) > 0 {
		next := n.child(key[0])
		if next == nil || len(key) < len(next.label) || string(key[:len(next.label)]) != next.label {
			return nil
		}
		n, key = next, key[len(next.label):]
	}
	return n.leaf.Load()
}

const hideWords = 1 << 13 // 64 KiB: some eight bits for each of 65,536 keys

// hideBits are the word and the two bits of it that stand for key.
func hideBits(key []byte) (int, uint64) {
	h := uint64(hashSeed)
	for _, b := range key {
		h = hashByte(h, b)
	}
	h = hashMix(h)
	return int(h >> 40 % hideWords), 1<<(h>>6&63) | 1<<(h>>12&63)
}

// empty reports whether nothing was ever put.
func (d *delta) empty() bool { return d.root.children.Load() == nil }

// over returns the leaf of a key that a layer below has, nil if there is none.
func (d *delta) over(key []byte) *leaf {
	if d == nil {
		return nil
	}
	word, bits := hideBits(key)
	if d.hides[word].Load()&bits != bits {
		return nil
	}
	return d.get(key)
}

// put makes a copy of l the leaf of key; below says whether a layer below has the key, which
// counts only for one that the delta has not. Only the writer calls it.
func (d *delta) put(key []byte, l leaf, below bool) {
	n := d.nodes[view(key)]
	l.born = l.seq
	if n == nil {
		if below && !planted(bugFilterMisses) {
			word, bits := hideBits(key)
			d.hides[word].Or(bits)
		}
		n = d.insert(key)
	} else {
		l.born = n.leaf.Load().born
	}
	n.leaf.Store(&l)
	// Up from the leaf, for as long as that changes anything.
	rank := l.rank()
	for ; n != nil; n = n.parent {
		best := n.best.Load()
		if rank < best {
			// What was best may have been this: look at all that is below.
			rank = n.leaf.Load().rank()
			for _, k := range n.kids().nodes {
				rank = max(rank, k.best.Load())
			}
		}
		if rank == best {
			return
		}
		n.best.Store(rank)
		if planted(bugBestStops) {
			return
		}
	}
}

// insert returns the node of a key that the delta does not have.
func (d *delta) insert(key []byte) *deltaNode {
	whole := string(key)
	n, rest := &d.root, whole
	for rest != "" {
		next := n.child(rest[0])
		if next == nil {
			next = &deltaNode{label: rest, parent: n}
			n.setChild(next)
		} else if shared := commonPrefix(next.label, rest); shared < len(next.label) {
			next = d.split(next, shared)
			n.setChild(next)
		}
		n, rest = next, rest[len(next.label):]
	}
	n.key = whole
	if d.nodes == nil {
		d.nodes = map[string]*deltaNode{}
	}
	d.nodes[whole] = n
	return n
}

// split returns a node with the first at bytes of n's label and, as its only child, a copy
// of n with the rest. Readers that still hold n find in it what they would have found.
func (d *delta) split(n *deltaNode, at int) *deltaNode {
	upper := &deltaNode{label: n.label[:at], parent: n.parent}
	lower := &deltaNode{label: n.label[at:], parent: upper, key: n.key}
	lower.best.Store(n.best.Load())
	lower.leaf.Store(n.leaf.Load())
	lower.children.Store(n.children.Load())
	for _, k := range lower.kids().nodes {
		k.parent = lower
	}
	if n.key != "" {
		d.nodes[n.key] = lower
	}
	upper.best.Store(n.best.Load())
	upper.setChild(lower)
	return upper
}

// commonPrefix is common for strings.
func commonPrefix(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

// leaves iterates in key order; the key is valid until the next.
func (d *delta) leaves() iter.Seq2[[]byte, *leaf] {
	return func(yield func([]byte, *leaf) bool) {
		d.root.walk(nil, yield)
	}
}

func (n *deltaNode) walk(path []byte, yield func([]byte, *leaf) bool) bool {
	path = append(path, n.label...)
	if l := n.leaf.Load(); l != nil && !yield(path, l) {
		return false
	}
	for _, k := range n.kids().nodes {
		if !k.walk(path, yield) {
			return false
		}
	}
	return true
}

// deltaCursor produces the completions of a prefix in a delta, best first. Without a
// fuzzyQuery they are those that begin with it, with one those of exactly so many edits.
type deltaCursor struct {
	buf   []byte
	front frontier[deltaEntry]
	q     *fuzzyQuery
	edits int
	seq   uint64 // of the last hit's leaf
}

// deltaEntry is a node with the path of its parent, or a leaf with its own.
type deltaEntry struct {
	node *deltaNode
	leaf *leaf
	at   reading
}

func (c *deltaCursor) start(d *delta, prefix []byte) {
	c.q, c.buf = nil, c.buf[:0]
	c.front.reset(0)
	n, rest := &d.root, prefix
	for len(rest) > 0 {
		next := n.child(rest[0])
		if next == nil {
			return
		}
		if len(next.label) >= len(rest) {
			if strings.HasPrefix(next.label, view(rest)) {
				c.buf = append(c.buf, prefix[:len(prefix)-len(rest)]...)
				c.push(next, 0, len(c.buf), reading{})
			}
			return
		}
		if string(rest[:len(next.label)]) != next.label {
			return
		}
		n, rest = next, rest[len(next.label):]
	}
	c.push(n, 0, 0, reading{}) // the root
}

func (c *deltaCursor) startFuzzy(d *delta, q *fuzzyQuery, edits int) {
	c.q, c.edits = q, edits // buf holds keys that are still in use
	c.front.reset(0)
	c.push(&d.root, len(c.buf), 0, reading{state: startEdits(q, edits)})
}

func (c *deltaCursor) push(n *deltaNode, off, size int, at reading) {
	best := n.best.Load()
	if best == 0 {
		return
	}
	if best < ^uint64(0) {
		best--
	}
	first := 0
	if n.label != "" {
		first = order(true, n.label[0])
	}
	c.front.push(with[deltaEntry]{entry{best: best, path: off, size: uint32(size), first: uint16(first)}, deltaEntry{node: n, at: at}}, c.buf)
}

func (c *deltaCursor) next(h *hit) bool {
	for !c.front.empty() {
		e := c.front.pop(c.buf)
		if l := e.extra.leaf; l != nil {
			h.key = slices.Clip(e.of(c.buf))
			h.score, h.show = l.score, l.show
			c.seq = l.seq
			return true
		}
		n, at := e.extra.node, e.extra.at
		off := len(c.buf)
		c.buf = append(c.buf, e.of(c.buf)...)
		c.buf = append(c.buf, n.label...)
		size := len(c.buf) - off
		if c.q != nil && !at.read(c.q, c.edits, c.buf[off:]) {
			c.buf = c.buf[:off]
			continue
		}
		if l := n.leaf.Load(); l != nil && !l.deleted {
			last := at
			if c.q == nil || last.state.sure || last.end(c.q, c.edits) {
				c.front.push(with[deltaEntry]{entry{best: l.score, path: off, size: uint32(size)}, deltaEntry{leaf: l}}, c.buf)
			}
		}
		for _, k := range n.kids().nodes {
			c.push(k, off, size, at)
		}
	}
	return false
}
