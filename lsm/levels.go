package lsm

import (
	"bytes"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
	"github.com/ashlar-go/ashlar/lsm/internal/sstable"
)

// levelIter walks the tables of one sorted level as if they were one. It opens a table's
// iterator only when it gets there.
type levelIter struct {
	tables []*table
	fill   bool // read blocks go into the cache
	i      int
	it     *sstable.Iter // nil: at no table
	err    error
}

var _ key.Iterator = (*levelIter)(nil)

// open goes to table i.
func (l *levelIter) open(i int) bool {
	l.it = nil
	if i < 0 || i >= len(l.tables) {
		return false
	}
	l.i, l.it = i, l.tables[i].Iter(l.fill)
	return true
}

// settle goes on to neighbouring tables until one has an entry: a table may hold nothing
// but range tombstones.
func (l *levelIter) settle(ok bool, step int, enter func(*sstable.Iter) bool) bool {
	for !ok && l.it != nil {
		if l.err = l.it.Err(); l.err != nil {
			l.it = nil
			return false
		}
		if !l.open(l.i + step) {
			return false
		}
		ok = enter(l.it)
	}
	return ok
}

func (l *levelIter) First() bool {
	l.err = nil
	return l.open(0) && l.settle(l.it.First(), 1, (*sstable.Iter).First)
}

func (l *levelIter) Last() bool {
	l.err = nil
	return l.open(len(l.tables)-1) && l.settle(l.it.Last(), -1, (*sstable.Iter).Last)
}

func (l *levelIter) SeekGE(k []byte, t key.Trailer) bool {
	l.err = nil
	return l.open(find(l.tables, k)) && l.settle(l.it.SeekGE(k, t), 1, (*sstable.Iter).First)
}

func (l *levelIter) SeekLT(k []byte) bool {
	l.err = nil
	i := find(l.tables, k)
	if i == len(l.tables) || bytes.Compare(l.tables[i].Meta().Smallest, k) >= 0 {
		i--
	}
	return l.open(i) && l.settle(l.it.SeekLT(k), -1, (*sstable.Iter).Last)
}

func (l *levelIter) Next() bool {
	return l.it != nil && l.settle(l.it.Next(), 1, (*sstable.Iter).First)
}

func (l *levelIter) Prev() bool {
	return l.it != nil && l.settle(l.it.Prev(), -1, (*sstable.Iter).Last)
}

func (l *levelIter) Valid() bool          { return l.it != nil && l.it.Valid() }
func (l *levelIter) Key() []byte          { return l.it.Key() }
func (l *levelIter) Trailer() key.Trailer { return l.it.Trailer() }
func (l *levelIter) Value() []byte        { return l.it.Value() }
func (l *levelIter) Err() error           { return l.err }
func (l *levelIter) Close() error         { return nil }
