package lsm

import (
	"bytes"
	"encoding/binary"
	"iter"
	"time"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
	"github.com/ashlar-go/ashlar/lsm/internal/merge"
)

// Entry is one key and its value. The slices are valid until the next step of the scan;
// Clone what you keep.
type Entry struct {
	Key, Value []byte
	Expires    time.Time // zero: never
}

// Clone is a copy with memory of its own.
func (e Entry) Clone() Entry {
	return Entry{bytes.Clone(e.Key), bytes.Clone(e.Value), e.Expires}
}

// Range selects keys k with Start <= k < End. A nil Start or End is no bound; the zero
// Range is every key.
type Range struct {
	Start, End []byte
	Reverse    bool // from the end to the start
	KeysOnly   bool // entries come without values
}

// Prefix is the range of keys that start with p.
func Prefix(p []byte) Range {
	end := bytes.Clone(p)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return Range{Start: p, End: end[:i+1]}
		}
	}
	return Range{Start: p}
}

// Scan ranges over entries in the order of their keys, on one consistent view: writes
// after its start are not in it. Nothing stays open: leaving the loop ends it. An error
// is yielded last, with an empty Entry.
//
//	for e, err := range db.Scan(lsm.Prefix([]byte("user/"))) {
//		if err != nil {
//			return err
//		}
//		…
//	}
func (db *DB) Scan(r Range) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		s := db.acquire()
		if s == nil {
			yield(Entry{}, ErrClosed)
			return
		}
		defer s.release()
		db.scan(s, view{seq: db.visible.Load()}, r, nil, yield)
	}
}

// view says which versions a reader may see.
type view struct {
	seq uint64
	own *overlay // a transaction's own writes; nil: none
}

// sources are all iterators of a state, newest first.
func (s *readState) sources() []key.Iterator {
	out := make([]key.Iterator, 0, 8)
	out = append(out, s.mem.Iter())
	for _, m := range s.imms {
		out = append(out, m.Iter())
	}
	for level, tables := range s.v.levels {
		if level == 0 {
			for _, t := range tables {
				out = append(out, t.Iter(true))
			}
		} else if len(tables) > 0 {
			out = append(out, &levelIter{tables: tables, fill: true})
		}
	}
	return out
}

// covers are all range tombstones of a state.
func (s *readState) covers() []key.Cover {
	var out []key.Cover
	out = append(out, s.mem.Covers()...)
	for _, m := range s.imms {
		out = append(out, m.Covers()...)
	}
	if c := s.v.cover(); !c.Empty() {
		out = append(out, c)
	}
	return out
}

// scanner resolves the versions that the sources hold into entries.
type scanner struct {
	db     *DB
	it     key.Iterator
	covers []key.Cursor
	view   view
	now    int64
	key    []byte // of the entry that was found
	val    []byte
	kind   key.Kind
}

// sees reports whether a version may be seen and is not under a range tombstone.
func (c *scanner) sees(k []byte, t key.Trailer) (visible, covered bool) {
	seq := t.Seq()
	if seq >= ownSeq {
		return true, c.view.own.cover(k) > seq
	}
	if seq > c.view.seq {
		return false, false
	}
	if c.view.own != nil && c.view.own.cover(k) > 0 {
		return true, true
	}
	for i := range c.covers {
		if c.covers[i].At(k) > seq {
			return true, true
		}
	}
	return true, false
}

// live reports whether a version stands for a value.
func (c *scanner) live(kind key.Kind, v []byte) bool {
	switch kind {
	case key.Set:
		return true
	case key.SetExpiring:
		return len(v) >= 8 && int64(binary.BigEndian.Uint64(v)) > c.now
	}
	return false
}

// forward finds the next key with a value, from where the iterator stands. Of each key
// the newest visible version decides; the others are passed over.
func (c *scanner) forward(ok bool) bool {
	for ok {
		k, t := c.it.Key(), c.it.Trailer()
		visible, covered := c.sees(k, t)
		if !visible {
			ok = c.it.Next()
			continue
		}
		c.key = append(c.key[:0], k...)
		found := !covered && c.live(t.Kind(), c.it.Value())
		if found {
			c.kind = t.Kind()
			c.val = append(c.val[:0], c.it.Value()...)
		}
		for ok = c.it.Next(); ok && bytes.Equal(c.it.Key(), c.key); ok = c.it.Next() {
		}
		if found {
			return true
		}
	}
	return false
}

// backward does the same towards the start: versions of one key come oldest first there,
// so the last visible one decides.
func (c *scanner) backward(ok bool) bool {
	for ok {
		c.key = append(c.key[:0], c.it.Key()...)
		found := false
		for ; ok && bytes.Equal(c.it.Key(), c.key); ok = c.it.Prev() {
			visible, covered := c.sees(c.key, c.it.Trailer())
			if !visible {
				continue
			}
			c.kind = c.it.Trailer().Kind()
			if found = !covered && c.live(c.kind, c.it.Value()); found {
				c.val = append(c.val[:0], c.it.Value()...)
			}
		}
		if c.it.Err() != nil {
			return false // newer versions of the key may be what could not be read
		}
		if found {
			return true
		}
	}
	return false
}

// scan yields the entries of r. read, if set, is told how far the scan looked.
func (db *DB) scan(s *readState, v view, r Range, read func(from, to []byte), yield func(Entry, error) bool) {
	if r.Start != nil && r.End != nil && bytes.Compare(r.Start, r.End) >= 0 {
		return
	}
	sources := s.sources()
	if v.own != nil {
		sources = append([]key.Iterator{v.own.Iter()}, sources...)
	}
	c := &scanner{db: db, it: merge.New(sources...), view: v, now: db.o.Now().UnixMilli()}
	for _, cover := range s.covers() {
		c.covers = append(c.covers, cover.Cursor(v.seq))
	}
	defer c.it.Close()
	step := c.forward
	var ok bool
	switch {
	case r.Reverse && r.End != nil:
		step, ok = c.backward, c.it.SeekLT(r.End)
	case r.Reverse:
		step, ok = c.backward, c.it.Last()
	case r.Start != nil:
		ok = c.it.SeekGE(r.Start, key.Newest(key.MaxSeq))
	default:
		ok = c.it.First()
	}
	for ok = step(ok); ok; ok = step(c.it.Valid()) {
		if r.Reverse && r.Start != nil && bytes.Compare(c.key, r.Start) < 0 ||
			!r.Reverse && r.End != nil && bytes.Compare(c.key, r.End) >= 0 {
			break
		}
		if db.closed.Load() {
			yield(Entry{}, ErrClosed)
			return
		}
		e := Entry{Key: c.key, Value: c.val}
		if c.kind == key.SetExpiring {
			e.Expires = time.UnixMilli(int64(binary.BigEndian.Uint64(c.val)))
			e.Value = c.val[8:]
		}
		if r.KeysOnly {
			e.Value = nil
		}
		if !yield(e, nil) {
			if read != nil {
				if r.Reverse {
					read(c.key, r.End)
				} else {
					read(r.Start, append(bytes.Clone(c.key), 0))
				}
			}
			return
		}
	}
	if err := c.it.Err(); err != nil {
		yield(Entry{}, public("", err))
		return
	}
	if read != nil {
		read(r.Start, r.End)
	}
}
