// Package memtable keeps the newest writes in memory, in order.
//
// A Table is a skip list in two arenas, written by one goroutine at a time and read by any
// number beside it without a lock. It only grows; when it is large enough it is written
// out as a sorted table and dropped whole.
//
// Costs: Add and Get take O(log n) steps that do not depend on how long keys are or how
// much of them is the same, and look at one or two keys in all. Keys that arrive in
// ascending order are added in O(1). An entry takes some 32 bytes besides its key and
// value.
package memtable

import (
	"bytes"
	"encoding/binary"
	"sync/atomic"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

const (
	maxHeight = 16
	bigLen    = 32 << 10  // values from here on have their own allocation
	maxKey    = 1<<31 - 1 // bytes
	maxValue  = 1<<31 - 1 // bytes
	minArena  = 4 << 10   // bytes
	maxArena  = 1 << 30   // bytes
	nodeCost  = 27        // bytes, on average
	dataCost  = 5         // bytes, on average
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
	last ref              // the greatest entry
	path [maxHeight]place // where the last Add went in
	rand uint64
}

// MaxSize is the largest size to ask of New, in bytes.
const MaxSize = 1<<32 - 1<<20

// New makes an empty table for about size bytes. It sets the memory aside, at least 4 KiB,
// at most 1 GiB. A table may outgrow it; it is then a little slower.
func New(size int) *Table {
	t := &Table{rand: 0x9e3779b97f4a7c15, limit: int64(size)}
	// Entries of thirty to two hundred bytes fit both arenas; others spill over from one.
	arenaSize := min(max(size, minArena), maxArena)
	t.nodes.init(arenaSize / 8 * 5 / 16)
	t.data.init(arenaSize / 8 * 7 &^ (dataUnit - 1))
	t.head, _ = t.nodes.alloc(nodeWords(maxHeight))
	w := t.nodes.at(t.head)
	for level := range maxHeight {
		w[linksAt+level] = noHint << commonAt
	}
	t.height.Store(1)
	t.last = t.head
	for level := range t.path {
		t.path[level].before = t.head
	}
	return t
}

// Len is the number of entries and range tombstones.
func (t *Table) Len() int { return int(t.length.Load()) }

// Empty reports whether nothing was added.
func (t *Table) Empty() bool { return t.Len() == 0 }

// Cost is what an entry with a key and a value of these lengths adds to Size, but for what
// any entry does.
func Cost(keyLen, valueLen int) int { return keyLen + valueLen }

// Fits reports whether so many entries of such a cost in all fit the size that New was
// asked for. More than that can be added; the answer is for deciding when a table is full.
func (t *Table) Fits(cost, entries int) bool {
	return t.size.Load()+int64(cost)+int64(entries)*(nodeCost+dataCost) <= t.limit
}

// Size is the number of bytes that entries and range tombstones take.
func (t *Table) Size() int64 { return t.size.Load() }

// Get returns the newest version of k that is not newer than seq: its value, which must
// not be written to and lives as long as anyone holds it, and its trailer. Range
// tombstones are not looked at; ask CoverSeq. No allocation.
func (t *Table) Get(k []byte, seq uint64) (value []byte, tr key.Trailer, ok bool) {
	s := search(k, key.Newest(seq))
	at := t.seek(&s, nil).after
	if at == 0 {
		return nil, 0, false
	}
	w := t.nodes.at(at)
	found, value := t.entry(w)
	if !bytes.Equal(found, k) {
		return nil, 0, false
	}
	return value, key.Trailer(w[0]), true
}

// The data of a node: uvarint length of the key, key, uvarint length of the value × 2,
// value. Or, for a value that has its own allocation, × 2 + 1, and u64 its number in bigs.
// Data begin at multiples of dataUnit.
const dataUnit = 4

// key returns the key of the node at w.
func (t *Table) key(w []uint64) []byte {
	d := t.data.at(dataRef(w))
	if n := uint64(d[0]); n < 0x80 {
		return d[1 : 1+n : 1+n]
	}
	n, at := binary.Uvarint(d)
	return d[at : uint64(at)+n : uint64(at)+n]
}

// entry returns the key and the value of the node at w.
func (t *Table) entry(w []uint64) (k, v []byte) {
	d := t.data.at(dataRef(w))
	n, at := binary.Uvarint(d)
	d = d[at:]
	k, d = d[:n:n], d[n:]
	n, at = binary.Uvarint(d)
	d = d[at:]
	if n&1 != 0 {
		return k, (*t.bigs.Load())[binary.LittleEndian.Uint64(d)]
	}
	n >>= 1
	return k, d[:n:n]
}

// dataRef returns where the data of the node at w begin.
func dataRef(w []uint64) ref { return ref(atomic.LoadUint64(&w[1])>>32) * dataUnit }
