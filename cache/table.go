package cache

import (
	"iter"
	"math/bits"
	"sync/atomic"
)

// The table maps keys to nodes. Readers take no lock.
//
//	bucket, 64 bytes:  tag tag tag tag tag tag tag passed | node node node node node node node
//
// A key's hash names its home bucket (the high bits, scaled to any number of buckets) and
// a tag of 1 to 255 (the low bits; 0 is an empty place). An entry that finds its home full
// goes to a second bucket, far away, and from there to the next with room; it adds one to
// passed of every full bucket on its way, and a look-up goes on only where passed is not
// zero.
//
// Invariants, for readers beside one writer (all changes are made under Cache.mu):
//   - an entry never moves within a table; growing makes a new table (Cache.grow);
//   - an insert raises passed before the entry can be seen, a removal lowers it after;
//   - a node is stored before its tag and the tag is cleared before its node, so a reader
//     that finds a tag finds the node, nothing, or another node whose key differs.
//
// A reader that still works on the table before the last growth answers as of the moment
// at which it loaded the table's pointer: nodes, and so values, are shared by both.
//
// A look-up that hits touches the bucket's line and the node's, and for strings the key's
// bytes. The table is at most 70 % full: a hit reads 1.2 buckets then, a miss 2, even after
// endless turnover, which is the hard case, for entries do not move closer to their homes
// when room appears there. (With a step to the neighbour instead of the jump, a miss reads
// 3.5; at 85 % full it would be 60.)
//
// The idea of tags beside slots is that of the Swiss tables; passed is the overflow count
// of Bronson and Shi, "F14" (2019).
type table[K comparable] struct {
	buckets []bucket[K]
	room    int // entries before it must grow
	n       int // under Cache.mu
}

const (
	places  = 7
	maxLoad = 70 // percent
)

type bucket[K comparable] struct {
	tags atomic.Uint64
	node [places]atomic.Pointer[node[K]]
}

const (
	tagLow  = 0x01010101010101
	tagHigh = 0x80808080808080
)

func newTable[K comparable](entries int) *table[K] {
	b := max(1, (entries*100+places*maxLoad-1)/(places*maxLoad))
	return &table[K]{buckets: make([]bucket[K], b), room: max(1, b*places*maxLoad/100)}
}

func (t *table[K]) home(h uint32) int {
	return int(uint64(h) * uint64(len(t.buckets)) >> 32)
}

// after is the bucket to try after i, the one that step others came before.
func (t *table[K]) after(h uint32, i, step int) int {
	if step == 0 {
		return t.home(h * 0x9e3779b1)
	}
	if i++; i == len(t.buckets) {
		return 0
	}
	return i
}

func tagOf(h uint32) uint64 {
	if tag := uint64(h & 0xff); tag != 0 {
		return tag
	}
	return 1
}

// match marks the places of w that may hold the tag: the high bit of their bytes.
// A place above one that matches may be marked falsely.
func match(w, tag uint64) uint64 {
	x := w ^ tag*tagLow
	return (x - tagLow) & ^x & tagHigh
}

// find returns the node of k, or nil.
func (t *table[K]) find(h uint32, k K) *node[K] {
	tag, i := tagOf(h), t.home(h)
	for step := range len(t.buckets) + 1 {
		b := &t.buckets[i]
		w := b.tags.Load()
		for m := match(w, tag); m != 0; m &= m - 1 {
			if n := b.node[bits.TrailingZeros64(m)>>3].Load(); n != nil && n.key == k {
				return n
			}
		}
		if w>>56 == 0 {
			return nil
		}
		i = t.after(h, i, step)
	}
	return nil
}

// both reads the two buckets that a look-up which misses is likely to need, so that it need
// not wait for the one before it asks for the other.
func (t *table[K]) both(h uint32) uint64 {
	return t.buckets[t.home(h)].tags.Load() | t.buckets[t.after(h, 0, 0)].tags.Load()
}

// at returns the node that has hash h and place pos in the queues, or nil.
func (t *table[K]) at(h, pos uint32) *node[K] {
	tag, i := tagOf(h), t.home(h)
	for step := range len(t.buckets) + 1 {
		b := &t.buckets[i]
		w := b.tags.Load()
		for m := match(w, tag); m != 0; m &= m - 1 {
			if n := b.node[bits.TrailingZeros64(m)>>3].Load(); n != nil && n.pos == pos {
				return n
			}
		}
		if w>>56 == 0 {
			return nil
		}
		i = t.after(h, i, step)
	}
	return nil
}

// inBucket is at for bucket i alone, whose tags are w.
func (t *table[K]) inBucket(i int, w, tag uint64, pos uint32) *head {
	b := &t.buckets[i]
	for m := match(w, tag); m != 0; m &= m - 1 {
		if n := b.node[bits.TrailingZeros64(m)>>3].Load(); n != nil && n.pos == pos {
			return &n.head
		}
	}
	return nil
}

// insert adds n, which must not be there, and returns the bucket that it came to. The table
// must have room.
func (t *table[K]) insert(h uint32, n *node[K]) int {
	for i, step := t.home(h), 0; ; step++ {
		b := &t.buckets[i]
		w := b.tags.Load()
		if free := match(w, 0); free != 0 {
			p := bits.TrailingZeros64(free) >> 3
			b.node[p].Store(n)
			b.tags.Store(w | tagOf(h)<<(8*p))
			t.n++
			return i
		}
		if w>>56 != 0xff { // a full counter stays full: one look-up too many does no harm
			b.tags.Store(w + 1<<56)
		}
		i = t.after(h, i, step)
	}
}

// remove takes n out; it must be there.
func (t *table[K]) remove(h uint32, n *node[K]) {
	tag, i := tagOf(h), t.home(h)
	for step := range len(t.buckets) + 1 {
		b := &t.buckets[i]
		w := b.tags.Load()
		for m := match(w, tag); m != 0; m &= m - 1 {
			p := bits.TrailingZeros64(m) >> 3
			if b.node[p].Load() == n {
				b.tags.Store(w &^ (0xff << (8 * p)))
				b.node[p].Store(nil)
				t.n--
				t.unpass(h, step)
				return
			}
		}
		i = t.after(h, i, step)
	}
}

// unpass takes back what an entry in the bucket of that step added to those before.
func (t *table[K]) unpass(h uint32, steps int) {
	i := t.home(h)
	for step := range steps {
		if b := &t.buckets[i]; b.tags.Load()>>56 != 0xff {
			b.tags.Add(^uint64(1<<56 - 1))
		}
		i = t.after(h, i, step)
	}
}

// all yields the nodes; those that come or go meanwhile may be missed or not.
func (t *table[K]) all() iter.Seq[*node[K]] {
	return func(yield func(*node[K]) bool) {
		for i := range t.buckets {
			for p := range t.buckets[i].node {
				if n := t.buckets[i].node[p].Load(); n != nil && !yield(n) {
					return
				}
			}
		}
	}
}
