// Package memtable keeps the newest writes in memory, in order.
//
// A Table is a skip list in two arenas, written by one goroutine at a time and read by any
// number beside it without a lock. It only grows; when it is large enough it is written
// out as a sorted table and dropped whole.
//
// Costs: Add and Get take O(log n) steps, of which only those that advance touch memory
// that is not in cache yet; keys that arrive in ascending order are added in O(1). An entry
// takes some 56 bytes besides its key and value.
package memtable

import (
	"bytes"
	"encoding/binary"
	"sync/atomic"

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
// list that comparison is a visit: a cache miss for the node, another for its key,
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
// Nodes and what they hold are apart, so that the nodes of a table of ordinary size, which
// are what searches walk over, fit the processor's caches. A node, in words:
//
//	0  trailer
//	1  prev: ref of the node before, on level 0 (40 bits) | levels
//	2  ref of the data (40 bits) | length of the key
//	3  links, two words a level
//
// and its data, in bytes:
//
//	u32 length of the value, and bigValue | key | value, or its number in bigs
//
// Invariants: on every level the nodes ascend in internal-key order; a node is on all
// levels below its height; a node is complete before the first link leads to it; prev of
// a node is reachable from the head and before it. Nodes are never moved nor removed.
//
// Source: W. Pugh, "Skip Lists: A Probabilistic Alternative to Balanced Trees" (1990).

const (
	maxHeight = 20
	linkAt    = 3
	dataHead  = 4
	bigValue  = 1 << 31          // flag in the value's length
	bigLen    = 32 << 10         // values from here on have their own allocation
	maxKey    = 1<<24 - 1        // what is left of word 2
	maxValue  = bigValue - 1     // what is left of the length
	minArena  = 4 << 10          // bytes
	maxArena  = 1 << 30          // bytes
	nodeCost  = 8 * (linkAt + 4) // bytes: two levels on average
)

// Table is a sorted set of entries and a set of range tombstones. Use New.
type Table struct {
	limit  int64
	nodes  arena[uint64]
	data   arena[byte]
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

// MaxSize is the largest size to ask of New, in bytes.
const MaxSize = 1<<32 - 1<<20

// New makes an empty table for about size bytes (at least 4 KiB), of which it sets the
// memory aside up to 1 GiB. A table may outgrow it; it is then a little slower.
func New(size int) *Table {
	size = max(size, minArena)
	t := &Table{rand: 0x9e3779b97f4a7c15, limit: int64(size)}
	arenaSize := min(size, maxArena)
	// Entries of thirty to two hundred bytes fit both; others spill over from one.
	t.nodes.init(arenaSize / 8 * 7 / 16)
	t.data.init(arenaSize / 4 * 3)
	t.head = t.nodes.alloc(linkAt + 2*maxHeight)
	w := t.nodes.at(t.head)
	for level := range maxHeight {
		w[linkAt+2*level] = ^uint64(0)
	}
	t.height.Store(1)
	t.last = t.head
	for i := range t.path {
		t.path[i] = t.head
	}
	return t
}

// Len is the number of entries and range tombstones.
func (t *Table) Len() int { return int(t.length.Load()) }

// Empty reports whether nothing was added.
func (t *Table) Empty() bool { return t.Len() == 0 }

// Cost is what an entry with a key and a value of these lengths adds to Size, but for what
// any entry does.
func Cost(keyLen, valueLen int) int { return dataHead + keyLen + valueLen }

// Fits reports whether so many entries of such a cost in all fit the size that New was
// asked for. More than that can be added; the answer is for deciding when a table is full.
func (t *Table) Fits(cost, entries int) bool {
	return t.size.Load()+int64(cost)+int64(entries)*nodeCost <= t.limit
}

// Size is the number of bytes that entries and range tombstones take.
func (t *Table) Size() int64 { return t.size.Load() }

// searched is a key with its beginning at hand, as links have it.
type searched struct {
	key     []byte
	trailer key.Trailer
	w0, w1  uint64
}

func search(k []byte, tr key.Trailer) searched {
	s := searched{key: k, trailer: tr, w0: key.Prefix(k)}
	for i := 8; i < min(len(k), 11); i++ {
		s.w1 |= uint64(k[i]) << (8 * (15 - i))
	}
	return s
}

// after reports whether s comes after the node at w.
func (t *Table) after(s *searched, w []uint64) bool {
	c := bytes.Compare(t.key(w), s.key)
	return c < 0 || c == 0 && key.Trailer(w[0]) > s.trailer
}

// key returns the key of the node at w.
func (t *Table) key(w []uint64) []byte {
	n := dataHead + w[2]>>refBits
	return t.data.at(ref(w[2] & refMask))[dataHead:n:n]
}

// value returns the value of the node at w.
func (t *Table) value(w []uint64) []byte {
	d := t.data.at(ref(w[2] & refMask))
	n := uint64(binary.LittleEndian.Uint32(d))
	d = d[dataHead+w[2]>>refBits:]
	if n&bigValue != 0 {
		return (*t.bigs.Load())[binary.LittleEndian.Uint64(d)]
	}
	return d[:n:n]
}

// seek returns the last node before s, or the head, and the first node at or after s, or
// 0. If path is given it receives the last node before s of every level.
func (t *Table) seek(s *searched, path *[maxHeight]ref) (prev, next ref) {
	prev = t.head
	w := t.nodes.at(prev)
	var bound ref // known to be at or after s
	for level := int(t.height.Load()) - 1; level >= 0; level-- {
		for {
			w0 := atomic.LoadUint64(&w[linkAt+2*level])
			w1 := atomic.LoadUint64(&w[linkAt+2*level+1])
			next = ref(w1 & refMask)
			if w0 > s.w0 || next == bound {
				break
			}
			nw := t.nodes.at(next)
			if w0 == s.w0 {
				if tie := w1 &^ refMask; tie > s.w1 {
					break
				} else if tie == s.w1 && !t.after(s, nw) {
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
		nw := t.nodes.at(next)
		if !t.after(s, nw) {
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
	w := t.nodes.at(at)
	for level := int(t.height.Load()) - 1; level >= 0; level-- {
		for {
			next := ref(atomic.LoadUint64(&w[linkAt+2*level+1]) & refMask)
			if next == 0 {
				break
			}
			at, w = next, t.nodes.at(next)
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
	w := t.nodes.at(at)
	if !bytes.Equal(t.key(w), k) {
		return nil, 0, false
	}
	return t.value(w), key.Trailer(w[0]), true
}
