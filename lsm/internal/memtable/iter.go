package memtable

import (
	"sync/atomic"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

// Iter walks the point entries of a table. It sees entries that are added while it walks
// or does not; callers filter by sequence number.
type Iter struct {
	t *Table
	n uint32 // 0: at no entry
}

var _ key.Iterator = (*Iter)(nil)

// Iter returns an iterator at no entry.
func (t *Table) Iter() *Iter { return &Iter{t: t} }

// First moves to the first entry.
func (i *Iter) First() bool { return i.to(i.t.next(head, 0)) }

// Last moves to the last entry.
func (i *Iter) Last() bool {
	n := uint32(head)
	for level := int(i.t.height.Load()) - 1; level >= 0; level-- {
		for x := i.t.next(n, level); x != 0; x = i.t.next(n, level) {
			n = x
		}
	}
	return i.to(n)
}

// SeekGE moves to the first entry at or after (k, t).
func (i *Iter) SeekGE(k []byte, t key.Trailer) bool { return i.to(i.t.seekGE(k, t)) }

// SeekLT moves to the last entry of a key before k.
func (i *Iter) SeekLT(k []byte) bool {
	p := key.Prefix(k)
	n := uint32(head)
	for level := int(i.t.height.Load()) - 1; level >= 0; level-- {
		for {
			x := i.t.next(n, level)
			if x == 0 || !i.t.less(x, p, k, key.Newest(key.MaxSeq)) {
				break
			}
			n = x
		}
	}
	return i.to(n)
}

// Next moves to the next entry.
func (i *Iter) Next() bool {
	if i.n == 0 {
		return false
	}
	return i.to(i.t.next(i.n, 0))
}

// Prev moves to the entry before.
func (i *Iter) Prev() bool {
	if i.n == 0 {
		return false
	}
	return i.to(atomic.LoadUint32(&i.t.links[i.n+fPrev]))
}

func (i *Iter) to(n uint32) bool {
	if n == head {
		n = 0
	}
	i.n = n
	return n != 0
}

// Valid reports whether the iterator is at an entry.
func (i *Iter) Valid() bool { return i.n != 0 }

// Key is the user key.
func (i *Iter) Key() []byte { return i.t.keyOf(i.n) }

// Trailer is the sequence number and kind.
func (i *Iter) Trailer() key.Trailer { return i.t.trailerOf(i.n) }

// Value is the value as stored.
func (i *Iter) Value() []byte { return i.t.valueOf(i.n) }

// Err is always nil.
func (i *Iter) Err() error { return nil }

// Close does nothing.
func (i *Iter) Close() error { return nil }
