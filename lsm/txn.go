package lsm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
	"github.com/ashlar-go/ashlar/lsm/internal/memtable"
	"github.com/ashlar-go/ashlar/lsm/internal/merge"
)

// Transactions are optimistic: a transaction reads a snapshot overlaid with its own
// writes and remembers what it read, keys and ranges. When it commits, the leader of the
// write queue (so that nothing else writes meanwhile) looks whether any of that was
// written after the snapshot. If not, all its reads would give the same now, and the
// transaction takes effect at this one point: it is serializable.
//
// Kung, Robinson, "On Optimistic Methods for Concurrency Control" (1981).

// ownSeq is the first of the sequence numbers that a transaction's own writes have until
// they are committed: above all that a database gives.
const ownSeq = 1 << 55

// overlay holds the writes of one transaction for its own reads.
type overlay struct {
	*memtable.Table
	ops []op
}

// cover is the newest range tombstone of the transaction over k.
func (o *overlay) cover(k []byte) uint64 { return o.CoverSeq(k, key.MaxSeq) }

func (o *overlay) add(x op) {
	o.ops = append(o.ops, x)
	cost := memtable.Cost(len(x.k), len(x.v))
	if !o.Fits(cost, 1) {
		o.Table = memtable.New(4*(int(o.Size())+cost) + 4<<10)
		for i, p := range o.ops[:len(o.ops)-1] {
			o.Add(ownSeq+uint64(i), p.kind, p.k, p.v)
		}
	}
	o.Add(ownSeq+uint64(len(o.ops)-1), x.kind, x.k, x.v)
}

// Txn is a transaction. It is not safe for concurrent use.
type Txn struct {
	db     *DB
	snap   *Snapshot
	own    overlay
	batch  Batch
	keys   map[string]struct{} // read
	ranges []Range             // read
	done   bool
}

// Begin starts a transaction; end it with Commit or Discard. Update does both, and tries
// again on a conflict.
func (db *DB) Begin() *Txn {
	return &Txn{db: db, snap: db.Snapshot(), own: overlay{Table: memtable.New(4 << 10)}, keys: map[string]struct{}{}}
}

// Update runs fn in a transaction and commits it. On a conflict it runs fn again, with a
// new transaction, until ctx is done; fn must have no other effects. fn's error discards
// the transaction and is returned.
func (db *DB) Update(ctx context.Context, fn func(*Txn) error, opts ...WriteOption) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		t := db.Begin()
		err := fn(t)
		if err == nil {
			err = t.Commit(opts...)
		}
		t.Discard()
		if !errors.Is(err, ErrConflict) {
			return err
		}
	}
}

// Get returns a copy of key's value as the transaction sees it, or ErrNotFound.
func (t *Txn) Get(k []byte) ([]byte, error) { return t.AppendGet(nil, k) }

// AppendGet appends key's value as the transaction sees it to dst.
func (t *Txn) AppendGet(dst, k []byte) ([]byte, error) {
	s := t.acquire()
	if s == nil {
		return dst, ErrClosed
	}
	defer s.release()
	cover := t.own.cover(k)
	v, tr, ok := t.own.Table.Get(k, key.MaxSeq)
	switch {
	case ok && tr.Seq() > cover && tr.Kind() == key.Set:
		return append(dst, v...), nil
	case ok && tr.Seq() > cover && tr.Kind() == key.SetExpiring && !t.db.expired(v):
		return append(dst, v[8:]...), nil
	case ok || cover > 0:
		return dst, ErrNotFound
	}
	t.keys[string(k)] = struct{}{}
	return t.db.get(s, dst, k, t.snap.seq)
}

// Has reports whether key is there for the transaction.
func (t *Txn) Has(k []byte) (bool, error) { return has(t.Get(k)) }

// Scan is DB.Scan as the transaction sees it. Writes of the transaction during the scan
// may or may not appear in it.
func (t *Txn) Scan(r Range) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		s := t.acquire()
		if s == nil {
			yield(Entry{}, ErrClosed)
			return
		}
		defer s.release()
		t.db.scan(s, view{t.snap.seq, &t.own}, r, func(from, to []byte) {
			t.ranges = append(t.ranges, Range{Start: bytes.Clone(from), End: bytes.Clone(to)})
		}, yield)
	}
}

func (t *Txn) acquire() *readState {
	if t.done {
		return nil
	}
	return t.snap.acquire()
}

// Put sets key to value when the transaction commits.
func (t *Txn) Put(k, v []byte) error { return t.write(key.Set, k, v, 0) }

// PutTTL is Put for a value that expires d after the commit. For the transaction's own
// reads it expires d after the call.
func (t *Txn) PutTTL(k, v []byte, d time.Duration) error {
	return t.write(key.SetExpiring, k, v, max(d, 0))
}

// Delete removes key when the transaction commits.
func (t *Txn) Delete(k []byte) error { return t.write(key.Delete, k, nil, 0) }

// DeleteRange removes the keys of [start, end) when the transaction commits.
func (t *Txn) DeleteRange(start, end []byte) error {
	if bytes.Compare(start, end) >= 0 {
		return nil
	}
	return t.write(key.RangeDelete, start, end, 0)
}

func (t *Txn) write(kind key.Kind, k, v []byte, ttl time.Duration) error {
	if t.done {
		return ErrClosed
	}
	if t.batch.add(kind, k, v, ttl); t.batch.err != nil {
		err := t.batch.err
		t.batch.err = nil
		return err
	}
	x := op{kind, bytes.Clone(k), bytes.Clone(v)}
	if kind == key.SetExpiring {
		x.v = append(expiryBytes(t.db.o.Now(), ttl), v...)
	}
	t.own.add(x)
	return nil
}

// Commit makes the transaction's writes take effect, all at once, or returns ErrConflict
// if something that it read was written meanwhile. Either way it is over.
func (t *Txn) Commit(opts ...WriteOption) error {
	if t.done {
		return ErrClosed
	}
	defer t.Discard()
	if t.batch.Len() == 0 {
		return nil // what was read was one snapshot
	}
	d, _, _ := t.db.writeOptions(opts)
	return t.db.commit(&t.batch, d, t.validate)
}

// Discard ends the transaction without a trace; after Commit it does nothing.
func (t *Txn) Discard() {
	if !t.done {
		t.done = true
		t.snap.Close()
	}
}

// validate runs in the write queue: nothing is written while it looks.
func (t *Txn) validate() error {
	s := t.db.acquire()
	if s == nil {
		return ErrClosed
	}
	defer s.release()
	for k := range t.keys {
		_, tr, ok, err := t.db.newest(s, nil, []byte(k), key.MaxSeq)
		if err != nil {
			return err
		}
		if ok && tr.Seq() > t.snap.seq {
			return fmt.Errorf("%w: key %q", ErrConflict, k)
		}
	}
	for _, r := range t.ranges {
		if err := t.validateRange(s, r); err != nil {
			return err
		}
	}
	return nil
}

func (t *Txn) validateRange(s *readState, r Range) error {
	conflict := fmt.Errorf("%w: range %q to %q", ErrConflict, r.Start, r.End)
	for _, c := range s.covers() {
		if c.Newest(r.Start, r.End) > t.snap.seq {
			return conflict
		}
	}
	// Tables without anything newer than the snapshot need no look.
	var sources []key.Iterator
	sources = append(sources, s.mem.Iter())
	for _, m := range s.imms {
		sources = append(sources, m.Iter())
	}
	for _, tables := range s.v.levels {
		for _, tb := range tables {
			if tb.Meta().LargestSeq > t.snap.seq {
				sources = append(sources, tb.Iter(true))
			}
		}
	}
	it := merge.New(sources...)
	defer it.Close()
	ok := false
	if r.Start != nil {
		ok = it.SeekGE(r.Start, key.Newest(key.MaxSeq))
	} else {
		ok = it.First()
	}
	for ; ok && (r.End == nil || bytes.Compare(it.Key(), r.End) < 0); ok = it.Next() {
		if it.Trailer().Seq() > t.snap.seq {
			return conflict
		}
	}
	return public("", it.Err())
}
