package sstable

import (
	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

// Iter walks the point entries of a table.
type Iter struct {
	t    *Reader
	i    int // present block
	b    blockIter
	fill bool
	err  error
}

var _ key.Iterator = (*Iter)(nil)

// Iter returns an iterator at no entry. Without fill it leaves the cache as it is, which
// is what a compaction wants.
func (t *Reader) Iter(fill bool) *Iter { return &Iter{t: t, i: -1, fill: fill} }

// open loads block i; false at either end of the table or on an error.
func (it *Iter) open(i int) bool {
	if it.err != nil {
		return false
	}
	if i < 0 || i >= it.t.index.len() {
		it.b = blockIter{key: it.b.key[:0]}
		it.i = i
		return false
	}
	if i == it.i && it.b.n > 0 && !it.b.bad {
		return true
	}
	block, err := it.t.block(i, it.fill)
	if err != nil {
		it.err = err
		it.b = blockIter{}
		return false
	}
	it.i = i
	if !it.b.init(block) {
		return it.damaged()
	}
	return true
}

func (it *Iter) damaged() bool {
	it.err = it.t.corrupt(int64(it.t.index.handles[it.i].off), "unreadable block")
	it.b = blockIter{}
	return false
}

// check turns a bad block into an error.
func (it *Iter) check(ok bool) bool {
	if it.b.bad {
		return it.damaged()
	}
	return ok
}

// First moves to the first entry.
func (it *Iter) First() bool { return it.open(0) && it.check(it.b.first()) }

// Last moves to the last entry.
func (it *Iter) Last() bool { return it.open(it.t.index.len()-1) && it.check(it.b.last()) }

// SeekGE moves to the first entry at or after (k, t).
func (it *Iter) SeekGE(k []byte, t key.Trailer) bool {
	return it.open(it.t.index.find(k, t)) && it.check(it.b.seekGE(k, t))
}

// SeekLT moves to the last entry of a key before k.
func (it *Iter) SeekLT(k []byte) bool {
	i := it.t.index.find(k, key.Newest(key.MaxSeq))
	if i < it.t.index.len() {
		if !it.open(i) {
			return false
		}
		if it.check(it.b.seekLT(k)) {
			return true
		}
	}
	return it.open(i-1) && it.check(it.b.last())
}

// Next moves to the next entry.
func (it *Iter) Next() bool {
	if !it.b.valid() {
		return false
	}
	if it.check(it.b.step()) {
		return true
	}
	return it.open(it.i+1) && it.check(it.b.first())
}

// Prev moves to the entry before.
func (it *Iter) Prev() bool {
	if !it.b.valid() {
		return false
	}
	if it.check(it.b.prev()) {
		return true
	}
	return it.open(it.i-1) && it.check(it.b.last())
}

// Valid reports whether the iterator is at an entry.
func (it *Iter) Valid() bool { return it.b.valid() }

// Key is the user key.
func (it *Iter) Key() []byte { return it.b.key }

// Trailer is the sequence number and kind.
func (it *Iter) Trailer() key.Trailer { return it.b.trailer }

// Value is the value as stored.
func (it *Iter) Value() []byte { return it.b.val }

// Err is what stopped the iterator short of the end.
func (it *Iter) Err() error { return it.err }

// Close does nothing: blocks belong to the garbage collector.
func (it *Iter) Close() error { return nil }
