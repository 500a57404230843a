package merkle

import (
	"math/bits"
	"sync"
)

// The tree that two replicas compare.
//
// A key's hash picks a leaf by its top bits; every item that hashes there is added to the
// leaf's sum, and to the sum of each node on the way down to it:
//
//	hash  1010 0111 0001 1100 …          Levels 4, Fanout 16: four bits a level
//	       │    │    │    │
//	root ──a────7────1────c─→ leaf 0xa71c
//	Σ      Σ    Σ    Σ    Σ              each Σ += digest(new) − digest(old)
//
// Nothing is ever rehashed: a parent's sum is the sum of its children's, so one change is one
// addition a level, in any order, whatever else the leaf holds. There are no dirty lists and
// no rebuilds. Trees of disjoint sets add up. (Riak's TicTac trees have the same shape, with
// XOR; see Sum for why that is a trap.)
//
// A node holds the sums of its children beside each other, so that one comparison of the
// protocol reads one run of memory, and pointers to the nodes below:
//
//	      node                 node                     node (last level)
//	┌─ epoch, sums ─┐    ┌─ epoch, sums ─┐       ┌─ epoch, sums of 16 leaves ─┐
//	│ kids ·········│───→│ kids ·········│─ … ──→│ no kids                    │
//	└───────────────┘    └───────────────┘       └────────────────────────────┘
//
// Nodes come into being when the first key arrives below them, so an empty tree is tiny.
// A View takes the root pointer and moves the tree's epoch on; from then on Update copies a
// node of an older epoch before it writes to it, and the View keeps what it saw. An exchange
// that stops at the root therefore costs some dozens of bytes, whatever the tree's size.
//
// Invariants: a node's sum in its parent is the sum of its own sums; a node whose epoch is
// older than the tree's is never written.

// SyncOptions is the geometry and the key of a [Sync]. Trees can be compared only if all of it
// is equal. The zero value is 4 levels of 16 (65,536 leaves) without a secret.
//
// More leaves mean fewer items sent for one difference and more memory. A full tree takes
// about 30 bytes a leaf; a node that no key has reached takes none:
//
//	Levels  Fanout   leaves   memory      keys for about 15 a leaf
//	     2      16      256     8 KiB                        4,000
//	     3      16    4,096   122 KiB                       60,000
//	     4      16   65,536   1.9 MiB                    1,000,000
//	     5      16  1,048,576  30 MiB                   16,000,000
type SyncOptions struct {
	// Levels is the number of steps from the root to a leaf; 0 means 4.
	Levels int
	// Fanout is the number of children of a node; 0 means 16. It is rounded up to a power
	// of two from 2 to 256, and Levels is then lowered until there are at most 2^20 leaves.
	Fanout int
	// Seed is the secret of the cluster: who knows it can make sets that compare as equal.
	Seed [2]uint64
}

const (
	maxFanout    = 256
	maxLeafBits  = 20
	stdLevels    = 4
	stdFanout    = 16
	bytesPerFold = 8
)

// normal replaces zeros by defaults and brings the rest into range.
func (o SyncOptions) normal() SyncOptions {
	if o.Fanout == 0 {
		o.Fanout = stdFanout
	}
	if o.Levels == 0 {
		o.Levels = stdLevels
	}
	fan := min(max(o.Fanout, 2), maxFanout)
	bitsPerLevel := bits.Len(uint(fan - 1))
	o.Fanout = 1 << bitsPerLevel
	o.Levels = min(max(o.Levels, 1), maxLeafBits/bitsPerLevel)
	return o
}

// shape is what follows from the options; it is shared, and never written, by a tree and its views.
type shape struct {
	SyncOptions
	keys
	bits int // of the hash that one level uses
	leaf int // bits of a leaf's number
}

// leafOf returns the leaf that a key's hash belongs to.
func (s *shape) leafOf(hash uint64) uint32 { return uint32(hash >> (64 - s.leaf)) }

// leaves returns the number of leaves.
func (s *shape) leaves() int { return 1 << s.leaf }

// node holds the sums of its Fanout children and, unless these are leaves, the nodes below.
type node struct {
	epoch uint64
	sums  []Sum
	kids  []*node
}

// Sync is the fingerprint of a set of (key, version) items, kept up to date change by change,
// by which two replicas find where they differ; see [Session].
//
// All methods may be called by any number of goroutines; updates of one tree take turns under
// a short lock. The tree does not hold the items: whoever changes the stored item calls
// [Sync.Update] with the old and the new version in the same critical section, or the two
// drift apart (which [Sync.SelfCheck] finds).
type Sync struct {
	geo *shape

	mu    sync.Mutex
	epoch uint64
	root  *node
	sum   Sum
	view  *View // of the present state, if one was taken; nil after a change
}

// NewSync returns an empty tree. Options out of range are brought to the nearest that are
// allowed; [Sync.Options] tells which are in force.
func NewSync(o SyncOptions) *Sync {
	o = o.normal()
	width := bits.Len(uint(o.Fanout - 1))
	return &Sync{geo: &shape{
		SyncOptions: o,
		keys:        newKeys(o.Seed),
		bits:        width,
		leaf:        width * o.Levels,
	}}
}

// Options returns the options in force.
func (t *Sync) Options() SyncOptions { return t.geo.SyncOptions }

// Leaves returns the number of leaves; they are numbered from 0.
func (t *Sync) Leaves() int { return t.geo.leaves() }

// Leaf returns the leaf that key belongs to, so that a store can filter its scan in [Source].
func (t *Sync) Leaf(key []byte) uint32 { return t.geo.leafOf(t.geo.hash(key)) }

// Hash returns the name under which key travels in an exchange; see [Diff].
func (t *Sync) Hash(key []byte) uint64 { return t.geo.hash(key) }

// Update replaces the version of key. A version is any digest of what is stored, for instance
// a hash of its version vector; 0 means absent, so a caller whose digest happens to be 0 has
// to use another, by custom 1. Old must be the version that was given as new the last time.
//
// Update takes one addition a level. It allocates only when it is the first to reach a node
// since the tree was made or since a view was taken.
func (t *Sync) Update(key []byte, old, new uint64) {
	if old == new {
		return
	}
	h := t.geo.hash(key)
	t.add(t.geo.leafOf(h), t.geo.item(h, new).Minus(t.geo.item(h, old)))
}

// add changes the sum of a leaf and of all above it.
func (t *Sync) add(leaf uint32, d Sum) {
	t.mu.Lock()
	t.view = nil
	t.sum = t.sum.Plus(d)
	slot := &t.root
	for shift := t.geo.leaf - t.geo.bits; ; shift -= t.geo.bits {
		n := *slot
		if n == nil || n.epoch != t.epoch {
			n = t.own(n, shift == 0)
			*slot = n
		}
		i := leaf >> shift & uint32(t.geo.Fanout-1)
		n.sums[i] = n.sums[i].Plus(d)
		if shift == 0 {
			break
		}
		slot = &n.kids[i]
	}
	t.mu.Unlock()
}

// own returns a node of the present epoch: a copy of n, or an empty one.
func (t *Sync) own(n *node, last bool) *node {
	c := &node{epoch: t.epoch, sums: make([]Sum, t.geo.Fanout)}
	if !last {
		c.kids = make([]*node, t.geo.Fanout)
	}
	if n != nil {
		copy(c.sums, n.sums)
		copy(c.kids, n.kids)
	}
	return c
}

// Root returns the fingerprint of the whole set.
func (t *Sync) Root() Sum {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.sum
}

// Add merges the items of o into t; the two sets must be disjoint. Time is proportional to o's
// nodes. It fails with [ErrGeometry], and changes nothing, if the options differ.
func (t *Sync) Add(o *Sync) error {
	if o == nil {
		return nil
	}
	if t.geo.SyncOptions != o.geo.SyncOptions {
		return ErrGeometry
	}
	v := o.View() // and so never two locks at once
	t.mu.Lock()
	defer t.mu.Unlock()
	t.view = nil
	t.sum = t.sum.Plus(v.sum)
	t.root = t.merge(t.root, v.root)
	return nil
}

// merge adds the sums of o, which stays as it is, to those of n.
func (t *Sync) merge(n, o *node) *node {
	if o == nil {
		return n
	}
	if n == nil || n.epoch != t.epoch {
		n = t.own(n, o.kids == nil)
	}
	for i, s := range o.sums {
		n.sums[i] = n.sums[i].Plus(s)
	}
	for i, kid := range o.kids {
		n.kids[i] = t.merge(n.kids[i], kid)
	}
	return n
}

// View returns the tree as it is now. It takes constant time and some bytes; while the view
// is in use, updates copy the nodes that they are first to touch.
func (t *Sync) View() *View {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.view == nil {
		t.view = &View{geo: t.geo, root: t.root, sum: t.sum}
		t.epoch++
	}
	return t.view
}

// View is a [Sync] at one moment. It never changes and may be shared.
type View struct {
	geo  *shape
	root *node
	sum  Sum
}

// Root returns the fingerprint of the whole set.
func (v *View) Root() Sum { return v.sum }

// Options returns the options of the tree.
func (v *View) Options() SyncOptions { return v.geo.SyncOptions }

// Leaf returns the leaf that key belongs to.
func (v *View) Leaf(key []byte) uint32 { return v.geo.leafOf(v.geo.hash(key)) }

// LeafSum returns the fingerprint of one leaf; the empty one for a leaf beyond the tree.
func (v *View) LeafSum(leaf uint32) Sum {
	if int64(leaf) >= int64(v.geo.leaves()) {
		return Sum{}
	}
	sums := v.children(v.geo.Levels-1, leaf>>v.geo.bits)
	if sums == nil {
		return Sum{}
	}
	return sums[leaf&uint32(v.geo.Fanout-1)]
}

// children returns the sums of the children of the i-th node of a level (the root is node 0 of
// level 0); nil if they are all empty.
func (v *View) children(level int, i uint32) []Sum {
	n := v.root
	for shift := (level - 1) * v.geo.bits; shift >= 0 && n != nil; shift -= v.geo.bits {
		n = n.kids[i>>shift&uint32(v.geo.Fanout-1)]
	}
	if n == nil {
		return nil
	}
	return n.sums
}
