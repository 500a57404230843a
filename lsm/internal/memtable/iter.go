package memtable

import (
	"sync/atomic"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

// Iter walks the entries of a table; see key.Iterator. It may run beside the writer, and
// may or may not come across what is added meanwhile. Keys and values that it returns are
// valid for as long as anyone holds them. It has nothing to fail and nothing to close.
type Iter struct {
	t  *Table
	at ref // 0: nowhere
	w  []uint64
}

// Iter returns an iterator that stands nowhere.
func (t *Table) Iter() *Iter { return &Iter{t: t} }

// set goes to node r; the head and 0 are nowhere.
func (i *Iter) set(r ref) bool {
	if r == 0 || r == i.t.head {
		i.at, i.w = 0, nil
		return false
	}
	i.at, i.w = r, i.t.nodes.at(r)
	return true
}

// First goes to the first entry.
func (i *Iter) First() bool {
	return i.set(next(i.t.nodes.at(i.t.head), 0))
}

// Last goes to the last entry.
func (i *Iter) Last() bool { return i.set(i.t.newest()) }

// SeekGE goes to the first entry at or after (k, t).
func (i *Iter) SeekGE(k []byte, t key.Trailer) bool {
	s := search(k, t)
	return i.set(i.t.seek(&s, nil).after)
}

// SeekLT goes to the last entry of a key below k.
func (i *Iter) SeekLT(k []byte) bool {
	s := search(k, key.MaxTrailer)
	return i.set(i.t.seek(&s, nil).before)
}

// Next goes one entry on.
func (i *Iter) Next() bool {
	return i.at != 0 && i.set(next(i.w, 0))
}

// Prev goes one entry back.
func (i *Iter) Prev() bool {
	return i.at != 0 && i.set(ref(uint32(atomic.LoadUint64(&i.w[1]))))
}

// Valid reports whether the iterator stands on an entry.
func (i *Iter) Valid() bool { return i.at != 0 }

// Key is the entry's user key.
func (i *Iter) Key() []byte { return i.t.key(i.w) }

// Trailer is the entry's trailer.
func (i *Iter) Trailer() key.Trailer { return key.Trailer(i.w[0]) }

// Value is the entry's stored value.
func (i *Iter) Value() []byte {
	_, v := i.t.entry(i.w)
	return v
}

// Err is always nil.
func (i *Iter) Err() error { return nil }

// Close does nothing.
func (i *Iter) Close() error { return nil }
