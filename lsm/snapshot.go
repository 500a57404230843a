package lsm

import (
	"iter"
	"slices"
	"sync/atomic"
)

// Snapshot is a frozen view of the database: it sees all writes before it and none after.
// It keeps the versions it sees from being compacted away, so Close it. It is safe for
// concurrent use. Values still expire.
type Snapshot struct {
	db     *DB
	seq    uint64
	closed atomic.Bool
}

// Snapshot freezes the present state. On a closed database all its methods return
// ErrClosed.
func (db *DB) Snapshot() *Snapshot {
	db.snapMu.Lock()
	defer db.snapMu.Unlock()
	s := &Snapshot{db: db, seq: db.visible.Load()}
	db.snaps[s.seq]++
	return s
}

// Close lets go of the view. Further calls do nothing.
func (s *Snapshot) Close() error {
	if s.closed.Swap(true) {
		return nil
	}
	s.db.snapMu.Lock()
	defer s.db.snapMu.Unlock()
	if s.db.snaps[s.seq]--; s.db.snaps[s.seq] == 0 {
		delete(s.db.snaps, s.seq)
	}
	return nil
}

// snapshots returns the sequence numbers that must stay readable, ascending.
func (db *DB) snapshots() []uint64 {
	db.snapMu.Lock()
	defer db.snapMu.Unlock()
	out := make([]uint64, 0, len(db.snaps))
	for s := range db.snaps {
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

func (s *Snapshot) acquire() *readState {
	if s.closed.Load() {
		return nil
	}
	return s.db.acquire()
}

// Get returns a copy of key's value, or ErrNotFound.
func (s *Snapshot) Get(key []byte) ([]byte, error) { return s.AppendGet(nil, key) }

// AppendGet appends key's value to dst, or returns ErrNotFound.
func (s *Snapshot) AppendGet(dst, key []byte) ([]byte, error) {
	st := s.acquire()
	if st == nil {
		return dst, ErrClosed
	}
	defer st.release()
	return s.db.get(st, dst, key, s.seq)
}

// Has reports whether key is there.
func (s *Snapshot) Has(key []byte) (bool, error) { return has(s.Get(key)) }

// GetMany is DB.GetMany on the frozen view.
func (s *Snapshot) GetMany(keys [][]byte, yield func(i int, value []byte) error) error {
	st := s.acquire()
	if st == nil {
		return ErrClosed
	}
	defer st.release()
	return s.db.getMany(st, keys, s.seq, yield)
}

// Scan is DB.Scan on the frozen view.
func (s *Snapshot) Scan(r Range) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		st := s.acquire()
		if st == nil {
			yield(Entry{}, ErrClosed)
			return
		}
		defer st.release()
		s.db.scan(st, view{seq: s.seq}, r, nil, yield)
	}
}
