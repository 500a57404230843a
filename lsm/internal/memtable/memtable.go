// Package memtable keeps the newest writes in memory, in order.
//
// A Table is a skip list in an arena, written by one goroutine at a time and read by any
// number beside it without a lock. It only grows; when it is large enough it is written
// out as a sorted table and dropped whole.
//
// Costs: Add and Get take O(log n) steps, of which only those that advance touch memory
// that is not in cache yet; keys that arrive in ascending order are added in O(1). An entry
// takes 24 bytes, 24 more on average for its links, and its key and value rounded up to 8.
package memtable

import (
	"bytes"
	"sync/atomic"
	"unsafe"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

// A skip list whose links carry the beginning of the key that they lead to.
//
//	head ─┬──────────────[k…|●]──────────────▶ nil
//	      ├──────────────[k…|●]────[r…|●]────▶ nil
//	      └─[c…|●]─[g…|●]─[k…|●]─[n…|●]─[r…|●]▶ nil
//	          ▲ prev ──┘
//
// A search compares with the successor before it decides whether to go there. In a plain
// list that comparison is a visit: a cache miss for the node and another for its key,
// paid also by every step that goes down instead of on. Here the link holds the first
// eleven bytes of the successor's key, and the successor is touched only if those are
// equal to the searched key's. Going down is free, for the links of a node lie together.
//
// A link is two words, which no processor reads at once:
//
//	word 0   bytes 0–7 of the successor's key
//	word 1   bytes 8–10, and the successor's ref (40 bits)
//
// Entries are only ever inserted, so that over time a link leads to smaller and smaller
// keys. The writer stores word 1 and then word 0; a reader loads word 0 and then word 1.
// What it may see besides the truth is the beginning of an earlier, larger successor
// beside a later ref. Being too large, it can turn the reader down where it should have
// gone on, never on where it should have gone down; and going down loses nothing, since
// the level below leads to the same nodes. On level 0, where it would matter, the reader
// confirms with the nodes' own keys.
//
// A node, in words:
//
//	0  trailer
//	1  prev: ref of the node before, on level 0 (40 bits) | levels
//	2  key's length << 32 | value's length, and bigValue
//	3  links, two words a level
//	…  key bytes, value bytes; or key bytes, number of the value in bigs
//
// Invariants: on every level the nodes ascend in internal-key order; a node is on all
// levels below its height; a node is complete before the first link leads to it; prev of
// a node is reachable from the head and before it. Nodes are never moved nor removed.
//
// Source: W. Pugh, "Skip Lists: A Probabilistic Alternative to Balanced Trees" (1990).

const (
	maxHeight = 20
	linkAt    = 3
	bigValue  = 1 << 31  // flag in word 2
	bigLen    = 32 << 10 // values from here on have their own allocation
)

// Table is a sorted set of entries and a set of range tombstones. Use New.
type Table struct {
	arena  arena
	head   ref
	height atomic.Int32
	length atomic.Int64
	size   atomic.Int64
	bigs   atomic.Pointer[[][]byte]
	spans  atomic.Pointer[spanSet]

	// the writer's own
	last ref            // the greatest entry
	path [maxHeight]ref // where the last Add went in
	rand uint64
}

// New makes an empty table, with memory for arenaSize bytes of entries set aside (at
// least 4 KiB, at most 1 GiB). A table may outgrow it; it is then a little slower.
func New(arenaSize int) *Table {
	t := &Table{rand: 0x9e3779b97f4a7c15}
	t.arena.init(arenaSize)
	t.head = t.arena.alloc(linkAt + 2*maxHeight)
	w := t.arena.at(t.head)
	for level := range maxHeight {
		w[linkAt+2*level] = ^uint64(0)
	}
	t.height.Store(1)
	t.size.Store(int64(t.arena.next) * 8)
	for i := range t.path {
		t.path[i] = t.head
	}
	t.last = t.head
	return t
}

// Len is the number of entries and range tombstones.
func (t *Table) Len() int { return int(t.length.Load()) }

// Size is the number of bytes in use.
func (t *Table) Size() int64 { return t.size.Load() }

// searched is a key with its beginning at hand, as links have it.
type searched struct {
	key     []byte
	trailer key.Trailer
	w0, w1  uint64
}

func search(k []byte, tr key.Trailer) searched {
	w0, w1 := link(k)
	return searched{k, tr, w0, w1}
}

// link returns the two words of a link to a node with key k, but for the ref.
func link(k []byte) (w0, w1 uint64) {
	w0 = key.Prefix(k)
	for i := 8; i < min(len(k), 11); i++ {
		w1 |= uint64(k[i]) << (8 * (15 - i))
	}
	return w0, w1
}

// userKey returns the key of the node at w.
func userKey(w []uint64) []byte {
	return bytesAt(w, keyAt(w), w[2]>>32)
}

// keyAt is the word where the key of the node at w begins.
func keyAt(w []uint64) uint64 { return linkAt + 2*(w1levels(w)) }

func w1levels(w []uint64) uint64 { return atomic.LoadUint64(&w[1]) >> refBits }

// bytesAt returns n bytes from word at of w. The bounds were set by Add.
func bytesAt(w []uint64, at, n uint64) []byte {
	if n == 0 {
		return nil
	}
	words := w[at : at+(n+7)/8]
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), n)
}

// value returns the value of the node at w.
func (t *Table) value(w []uint64) []byte {
	n := w[2] & (1<<32 - 1)
	at := keyAt(w) + (w[2]>>32+7)/8
	if n&bigValue != 0 {
		return (*t.bigs.Load())[w[at]]
	}
	return bytesAt(w, at, n)
}

// before reports whether the node at w comes before s.
func (s *searched) after(w []uint64) bool {
	c := bytes.Compare(userKey(w), s.key)
	return c < 0 || c == 0 && key.Trailer(w[0]) > s.trailer
}

// seek returns the last node before s, or the head, and the first node at or after s, or
// 0. If path is given it receives the last node before s of every level.
func (t *Table) seek(s *searched, path *[maxHeight]ref) (prev, next ref) {
	prev = t.head
	w := t.arena.at(prev)
	var bound ref // known to be at or after s
	for level := int(t.height.Load()) - 1; level >= 0; level-- {
		for {
			w0 := atomic.LoadUint64(&w[linkAt+2*level])
			w1 := atomic.LoadUint64(&w[linkAt+2*level+1])
			next = ref(w1 & refMask)
			if w0 > s.w0 || next == bound {
				break
			}
			nw := t.arena.at(next)
			if w0 == s.w0 {
				if tie := w1 &^ refMask; tie > s.w1 {
					break
				} else if tie == s.w1 && !s.after(nw) {
					bound = next
					break
				}
			}
			prev, w = next, nw
		}
		if path != nil {
			path[level] = prev
		}
	}
	// Links may have turned us down early beside a writer: confirm with the keys.
	for next != 0 && next != bound {
		nw := t.arena.at(next)
		if !s.after(nw) {
			break
		}
		prev, w = next, nw
		next = ref(atomic.LoadUint64(&w[linkAt+1]) & refMask)
	}
	return prev, next
}

// newest returns the last node, or the head.
func (t *Table) newest() ref {
	at := t.head
	w := t.arena.at(at)
	for level := int(t.height.Load()) - 1; level >= 0; level-- {
		for {
			next := ref(atomic.LoadUint64(&w[linkAt+2*level+1]) & refMask)
			if next == 0 {
				break
			}
			at, w = next, t.arena.at(next)
		}
	}
	return at
}

// Get returns the newest version of k that is not newer than seq: its value, which must
// not be written to and lives as long as anyone holds it, and its trailer. Range
// tombstones are not looked at; ask CoverSeq. No allocation.
func (t *Table) Get(k []byte, seq uint64) (value []byte, tr key.Trailer, ok bool) {
	s := search(k, key.Pack(seq, key.MaxKind))
	_, at := t.seek(&s, nil)
	if at == 0 {
		return nil, 0, false
	}
	w := t.arena.at(at)
	if !bytes.Equal(userKey(w), k) {
		return nil, 0, false
	}
	return t.value(w), key.Trailer(w[0]), true
}
