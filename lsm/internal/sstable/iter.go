package sstable

import (
	"bytes"
	"sort"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

// readAhead is how many bytes an iterator reads at once that goes past the cache.
const readAhead = 256 << 10

// Iter walks the entries of a table; see key.Iterator. It holds no lock and pins nothing:
// forgetting to close it costs memory until it is collected, and no more.
type Iter struct {
	t     *Reader
	ahead int // bytes to read at once, past the cache; 0: block by block, through it

	number int    // of the block
	b      *block // nil: nowhere
	off    int    // of the entry
	next   int    // of the one after it
	key    []byte
	value  []byte
	tr     key.Trailer
	err    error

	// entries before the current one, from a restart on; see before
	stack     []saved
	stackOf   *block
	stackKeys []byte

	// past the cache
	own      block
	data     []byte // of own
	run      []byte // blocks from runFrom up to runTo, as stored
	runFrom  int
	runTo    int
	ownIs    int // the number of the block in own
	ownValid bool
}

// Iter returns an iterator that stands nowhere. With fill it goes through the cache, as a
// user's scan does. Without, it is for walking through a table once, as a compaction does:
// it reads runs of blocks past the cache, into memory that it uses over and over.
func (t *Reader) Iter(fill bool) *Iter {
	if fill {
		return &Iter{t: t}
	}
	return &Iter{t: t, ahead: readAhead}
}

// leave makes the iterator stand nowhere.
func (i *Iter) leave() bool {
	i.b = nil
	return false
}

func (i *Iter) fail(err error) bool {
	i.err = err
	return i.leave()
}

// enter makes block n the current one, standing on none of its entries yet.
func (i *Iter) enter(n int) bool {
	if n < 0 || n >= i.t.index.blocks() {
		return i.leave()
	}
	if i.b == nil || i.number != n {
		var err error
		if i.ahead > 0 {
			i.b, err = i.fromRun(n)
		} else {
			i.b, err = i.t.block(n)
		}
		if err != nil {
			return i.fail(err)
		}
		i.number = n
		i.key = append(i.key[:0], i.b.data[:i.b.common]...)
	}
	return true
}

// fromRun returns block n from the run that was read, or reads another run: one that begins
// with n, or ends with it if the iterator is on its way back.
func (i *Iter) fromRun(n int) (*block, error) {
	if i.ownValid && i.ownIs == n {
		return &i.own, nil
	}
	offsets := i.t.index.offsets
	if n < i.runFrom || n >= i.runTo {
		from, to := n, n+1
		if n == i.runFrom-1 {
			for from > 0 && offsets[to]-offsets[from-1] <= uint64(i.ahead) {
				from--
			}
		} else {
			for to < i.t.index.blocks() && offsets[to+1]-offsets[from] <= uint64(i.ahead) {
				to++
			}
		}
		size := int(offsets[to] - offsets[from])
		if cap(i.run) < size {
			i.run = make([]byte, size)
		}
		i.run, i.runFrom, i.runTo = i.run[:size], 0, 0
		if err := i.t.readAt(i.run, int64(offsets[from])); err != nil {
			return nil, err
		}
		i.runFrom, i.runTo = from, to
	}
	i.ownValid, i.stack = false, i.stack[:0]
	base := offsets[i.runFrom]
	stored := i.run[offsets[n]-base : offsets[n+1]-base]
	if err := i.t.decode(&i.own, stored, offsets[n], i.data); err != nil {
		return nil, err
	}
	i.data, i.ownIs, i.ownValid = i.own.data, n, true
	return &i.own, nil
}

// load decodes the entry at off, whose predecessor's key is in i.key.
func (i *Iter) load(off int) bool {
	e, ok := i.b.entry(off)
	keep := i.b.common + e.shared
	if !ok || keep > len(i.key) {
		return i.fail(i.t.damaged(i.number))
	}
	i.off, i.next, i.tr = off, e.end, e.trailer
	i.key = append(i.key[:keep], i.b.data[e.key:e.value]...)
	i.value = i.b.data[e.value:e.end:e.end]
	return true
}

// first goes to the first entry of block n.
func (i *Iter) first(n int) bool { return i.enter(n) && i.load(i.b.common) }

// last goes to the last entry of block n.
func (i *Iter) last(n int) bool { return i.enter(n) && i.before(i.b.limit) }

// saved is an entry that was decoded on the way to a later one.
type saved struct {
	off, next int
	from, to  int // of the key in stackKeys
	valueFrom int // the value ends where the entry does
	tr        key.Trailer
}

// before goes to the entry of the current block that ends at off. Entries can only be
// decoded forwards, from a restart on; those passed on the way are what the next steps
// back will ask for, so they are put on a stack.
func (i *Iter) before(off int) bool {
	if n := len(i.stack); n > 0 && i.stackOf == i.b && i.stack[n-1].next == off {
		s := &i.stack[n-1]
		i.stack = i.stack[:n-1]
		i.off, i.next, i.tr = s.off, s.next, s.tr
		i.key = append(i.key[:0], i.stackKeys[s.from:s.to]...)
		i.value = i.b.data[s.valueFrom:s.next:s.next]
		return true
	}
	i.stack, i.stackOf, i.stackKeys = i.stack[:0], i.b, i.stackKeys[:0]
	r := sort.Search(i.b.restarts, func(r int) bool { return i.b.offset(r) >= off }) - 1
	if !i.load(i.b.offset(max(r, 0))) {
		return false
	}
	for i.next < off {
		from := len(i.stackKeys)
		i.stackKeys = append(i.stackKeys, i.key...)
		i.stack = append(i.stack, saved{i.off, i.next, from, len(i.stackKeys), i.next - len(i.value), i.tr})
		if !i.load(i.next) {
			return false
		}
	}
	if i.next != off {
		return i.fail(i.t.damaged(i.number))
	}
	return true
}

// First goes to the first entry.
func (i *Iter) First() bool {
	i.err = nil
	return i.first(0)
}

// Last goes to the last entry.
func (i *Iter) Last() bool {
	i.err = nil
	return i.last(i.t.index.blocks() - 1)
}

// SeekGE goes to the first entry at or after (k, t).
func (i *Iter) SeekGE(k []byte, t key.Trailer) bool {
	i.err = nil
	n := i.t.index.find(k, t)
	if !i.enter(n) {
		return false
	}
	off, ok := i.search(k, t)
	if !ok {
		return i.fail(i.t.damaged(n))
	}
	for off < i.b.limit {
		if !i.load(off) {
			return false
		}
		if key.Compare(i.key, i.tr, k, t) >= 0 {
			return true
		}
		off = i.next
	}
	return i.first(n + 1)
}

// search returns where to begin to look for the first entry at or after (k, t) in the
// current block.
func (i *Iter) search(k []byte, t key.Trailer) (off int, ok bool) {
	b := i.b
	if len(k) >= b.common && bytes.Equal(k[:b.common], b.data[:b.common]) {
		r, ok := b.restart(k[b.common:], t)
		return b.offset(max(r, 0)), ok
	}
	if bytes.Compare(k, b.data[:b.common]) < 0 {
		return b.common, true
	}
	return b.limit, true
}

// SeekLT goes to the last entry of a key below k.
func (i *Iter) SeekLT(k []byte) bool {
	if i.SeekGE(k, key.MaxTrailer) {
		return i.Prev()
	}
	if i.err != nil {
		return false
	}
	return i.Last()
}

// Next goes one entry on.
func (i *Iter) Next() bool {
	switch {
	case i.b == nil:
		return false
	case i.next < i.b.limit:
		return i.load(i.next)
	}
	return i.first(i.number + 1)
}

// Prev goes one entry back.
func (i *Iter) Prev() bool {
	switch {
	case i.b == nil:
		return false
	case i.off > i.b.common:
		return i.before(i.off)
	}
	return i.last(i.number - 1)
}

// Valid reports whether the iterator stands on an entry.
func (i *Iter) Valid() bool { return i.b != nil }

// Key is the entry's user key.
func (i *Iter) Key() []byte { return i.key }

// Trailer is the entry's trailer.
func (i *Iter) Trailer() key.Trailer { return i.tr }

// Value is the entry's stored value.
func (i *Iter) Value() []byte { return i.value }

// Err is the error that ended the walk.
func (i *Iter) Err() error { return i.err }

// Close ends the walk and returns its error.
func (i *Iter) Close() error {
	i.leave()
	return i.err
}
