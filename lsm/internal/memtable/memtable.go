// Package memtable holds the newest entries in memory, in order: a skip list in two
// pointer-free arrays, which the garbage collector never looks into.
//
//	links   [ key at │ key length │ value length │ trailer │ prefix │ prev │ next₀ │ next₁ … ]
//	                       offsets of other nodes in links ──────────┴───────┴───────┘
//	data    [ …key value key value… ]
//
// One goroutine writes at a time (the store's commit leader); any number read at the same
// time without a lock. A node is complete before the first link to it is stored, and
// nodes are neither moved nor removed, so whatever link a reader follows leads to a good
// node. A reader that walks by stale links may miss entries that were added after it
// began; those are newer than the sequence number it reads at.
//
// A node starts with the first eight bytes of its key: most comparisons end there,
// without touching the key itself, which is one cache miss saved a step.
//
// Pugh, "Skip Lists: A Probabilistic Alternative to Balanced Trees" (1990).
package memtable

import (
	"bytes"
	"math/bits"
	"sync/atomic"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

const (
	maxHeight = 14 // at one node in four a level higher, good for hundreds of millions

	fKeyAt   = 0
	fKeyLen  = 1
	fValLen  = 2
	fTrailer = 3 // two words, high first
	fPrefix  = 5 // two words, high first
	fPrev    = 7
	fNext    = 8 // as many as the node is high
)

// MaxSize is the most bytes that a table can hold.
const MaxSize = 1<<32 - 1<<20

// Table is one memtable.
type Table struct {
	links  []uint32
	data   []byte
	used   int // words of links
	filled int // bytes of data
	height atomic.Int32
	rnd    uint64
	count  atomic.Int64
	size   atomic.Int64
	splice [maxHeight]uint32 // where the last insert went

	spans atomic.Pointer[spanList]
}

// head is the offset of the node before the first; it has no key. Offset 0 means none.
const head = 4

// New makes a table that takes entries of at least size bytes in total, counted by Cost.
func New(size int) *Table {
	size = min(max(size, 1<<10), MaxSize)
	t := &Table{links: make([]uint32, size/4+64), data: make([]byte, size), rnd: 0x9e3779b97f4a7c15}
	t.used = head + fNext + maxHeight
	t.height.Store(1)
	t.links[head+fPrev] = 0
	t.spans.Store(&spanList{})
	return t
}

// Cost is an upper bound for what an entry with a key and a value of these lengths takes
// of a table's size.
func Cost(keyLen, valueLen int) int { return max(keyLen+valueLen, 4*(fNext+maxHeight)) }

// Fits reports whether an entry that costs so much still fits.
func (t *Table) Fits(cost, entries int) bool {
	return t.filled+cost <= len(t.data) && t.used+entries*(fNext+maxHeight) <= len(t.links)
}

// Size is the number of bytes in use.
func (t *Table) Size() int64 { return t.size.Load() }

// Len is the number of entries, range tombstones included.
func (t *Table) Len() int { return int(t.count.Load()) }

// Empty reports whether nothing was added.
func (t *Table) Empty() bool { return t.Len() == 0 }

func (t *Table) word(i uint32) uint32 { return t.links[i] }

func (t *Table) long(i uint32) uint64 { return uint64(t.links[i])<<32 | uint64(t.links[i+1]) }

func (t *Table) next(n uint32, level int) uint32 {
	return atomic.LoadUint32(&t.links[n+fNext+uint32(level)])
}

func (t *Table) keyOf(n uint32) []byte {
	at := t.word(n + fKeyAt)
	end := at + t.word(n+fKeyLen)
	return t.data[at:end:end]
}

func (t *Table) valueOf(n uint32) []byte {
	at := t.word(n+fKeyAt) + t.word(n+fKeyLen)
	end := at + t.word(n+fValLen)
	return t.data[at:end:end]
}

func (t *Table) trailerOf(n uint32) key.Trailer { return key.Trailer(t.long(n + fTrailer)) }

// less reports whether node n comes before the internal key (k, tr), whose prefix is p.
func (t *Table) less(n uint32, p uint64, k []byte, tr key.Trailer) bool {
	if q := t.long(n + fPrefix); q != p {
		return q < p
	}
	if c := bytes.Compare(t.keyOf(n), k); c != 0 {
		return c < 0
	}
	return t.trailerOf(n) > tr
}

// Add inserts an entry; the caller has made sure that it Fits, that no other Add runs,
// and that (k, seq) is new. It copies k and v.
func (t *Table) Add(seq uint64, kind key.Kind, k, v []byte) {
	if kind == key.RangeDelete {
		t.addSpan(key.Span{Start: bytes.Clone(k), End: bytes.Clone(v), Seq: seq})
		t.count.Add(1)
		t.size.Add(int64(Cost(len(k), len(v))))
		return
	}
	p, tr := key.Prefix(k), key.Pack(seq, kind)
	height := int(t.height.Load())
	prev := &t.splice
	// Start from where the last insert went if that still lies before k: keys that come
	// in order find their place at once.
	n := uint32(head)
	for level := height - 1; level >= 0; level-- {
		if s := prev[level]; s > head && (n == head || t.after(s, n)) && t.less(s, p, k, tr) {
			n = s
		}
		for {
			x := t.links[n+fNext+uint32(level)]
			if x == 0 || !t.less(x, p, k, tr) {
				break
			}
			n = x
		}
		prev[level] = n
	}
	h := t.randomHeight()
	for ; height < h; height++ {
		prev[height] = head
	}

	node := uint32(t.used)
	t.used += fNext + h
	at := t.filled
	t.filled += copy(t.data[at:], k)
	t.filled += copy(t.data[t.filled:], v)
	w := t.links[node : node+uint32(fNext+h)]
	w[fKeyAt], w[fKeyLen], w[fValLen] = uint32(at), uint32(len(k)), uint32(len(v))
	w[fTrailer], w[fTrailer+1] = uint32(tr>>32), uint32(tr)
	w[fPrefix], w[fPrefix+1] = uint32(p>>32), uint32(p)
	w[fPrev] = prev[0]
	for level := range h {
		w[fNext+level] = t.links[prev[level]+fNext+uint32(level)]
	}
	if after := w[fNext]; after != 0 {
		atomic.StoreUint32(&t.links[after+fPrev], node)
	}
	for level := range h {
		atomic.StoreUint32(&t.links[prev[level]+fNext+uint32(level)], node)
		prev[level] = node
	}
	if int32(h) > t.height.Load() {
		t.height.Store(int32(h))
	}
	t.count.Add(1)
	t.size.Add(int64(len(k) + len(v) + 4*(fNext+h)))
}

// after reports whether node a comes after node b.
func (t *Table) after(a, b uint32) bool {
	return t.less(b, t.long(a+fPrefix), t.keyOf(a), t.trailerOf(a))
}

func (t *Table) randomHeight() int {
	t.rnd ^= t.rnd << 13
	t.rnd ^= t.rnd >> 7
	t.rnd ^= t.rnd << 17
	return min(1+bits.TrailingZeros64(t.rnd|1<<62)/2, maxHeight)
}

// seekGE returns the first node at or after (k, tr), 0 if there is none.
func (t *Table) seekGE(k []byte, tr key.Trailer) uint32 {
	p := key.Prefix(k)
	n := uint32(head)
	x := uint32(0)
	for level := int(t.height.Load()) - 1; level >= 0; level-- {
		for {
			y := t.next(n, level)
			if y == 0 || y == x || !t.less(y, p, k, tr) {
				x = y
				break
			}
			n = y
		}
	}
	return x
}

// Get returns the newest version of k that is visible at seq; ok is false if there is
// none. The value is part of the table.
func (t *Table) Get(k []byte, seq uint64) (v []byte, tr key.Trailer, ok bool) {
	n := t.seekGE(k, key.Newest(seq))
	if n == 0 || !bytes.Equal(t.keyOf(n), k) {
		return nil, 0, false
	}
	return t.valueOf(n), t.trailerOf(n), true
}
