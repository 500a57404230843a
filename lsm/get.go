package lsm

import (
	"encoding/binary"

	"github.com/ashlar-go/ashlar/bloom"
	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

// Get returns a copy of key's value. ErrNotFound if it is not there; any other error
// means that it could not be told.
func (db *DB) Get(key []byte) ([]byte, error) { return db.AppendGet(nil, key) }

// AppendGet appends key's value to dst: without an allocation if dst has room and the
// block is cached.
func (db *DB) AppendGet(dst, key []byte) ([]byte, error) {
	s := db.acquire()
	if s == nil {
		return dst, ErrClosed
	}
	// The state first, then the number: what the number admits is then in the state.
	v, err := db.get(s, dst, key, db.visible.Load())
	s.release()
	return v, err
}

// Has reports whether key is there.
func (db *DB) Has(key []byte) (bool, error) { return has(db.Get(key)) }

func has(_ []byte, err error) (bool, error) {
	if err == ErrNotFound { //nolint:errorlint // never wrapped by this package
		return false, nil
	}
	return err == nil, err
}

// GetMany calls yield for each of keys that is there, in the order of keys, all on one
// consistent view; value is valid during the call. It stops at the first error, yield's
// too, and returns it.
func (db *DB) GetMany(keys [][]byte, yield func(i int, value []byte) error) error {
	s := db.acquire()
	if s == nil {
		return ErrClosed
	}
	defer s.release()
	return db.getMany(s, keys, db.visible.Load(), yield)
}

func (db *DB) getMany(s *readState, keys [][]byte, seq uint64, yield func(int, []byte) error) error {
	var buf []byte
	for i, k := range keys {
		v, err := db.get(s, buf[:0], k, seq)
		if err == ErrNotFound { //nolint:errorlint // never wrapped by this package
			continue
		}
		if err != nil {
			return err
		}
		buf = v
		if err := yield(i, v); err != nil {
			return err
		}
	}
	return nil
}

// get looks a key up as of seq.
func (db *DB) get(s *readState, dst, k []byte, seq uint64) ([]byte, error) {
	at := len(dst)
	v, t, found, err := db.newest(s, dst, k, seq)
	if err != nil {
		return dst[:at], err
	}
	if !found {
		return dst[:at], ErrNotFound
	}
	switch t.Kind() {
	case key.Set:
		return v, nil
	case key.SetExpiring:
		if db.expired(v[at:]) {
			return dst[:at], ErrNotFound
		}
		return append(v[:at], v[at+8:]...), nil
	}
	return dst[:at], ErrNotFound
}

// expired judges the value of a SetExpiring entry.
func (db *DB) expired(v []byte) bool {
	return len(v) < 8 || int64(binary.BigEndian.Uint64(v)) <= db.o.Now().UnixMilli()
}

// newest finds the newest version of k visible at seq, unless a range tombstone lies over
// it: sources from the newest to the oldest, and the first that knows the key decides.
func (db *DB) newest(s *readState, dst, k []byte, seq uint64) ([]byte, key.Trailer, bool, error) {
	m := s.mem
	for i := -1; ; i++ {
		if i >= 0 {
			if i == len(s.imms) {
				break
			}
			m = s.imms[i]
		}
		cover := m.CoverSeq(k, seq)
		if v, t, ok := m.Get(k, seq); ok && t.Seq() > cover {
			return append(dst, v...), t, true, nil
		}
		if cover > 0 {
			return dst, key.Pack(cover, key.Delete), true, nil
		}
	}
	h := bloom.Hash(k)
	for level, tables := range s.v.levels {
		for i := first(level, tables, k); i < len(tables); i++ {
			t := tables[i]
			if string(t.Meta().Smallest) > string(k) {
				if level > 0 {
					break
				}
				continue
			}
			if level == 0 && string(t.Meta().Largest) < string(k) {
				continue
			}
			cover := t.CoverSeq(k, seq)
			v, tr, ok, err := t.Get(k, h, seq, dst)
			if err != nil {
				return dst, 0, false, public("", err)
			}
			if ok && tr.Seq() > cover {
				return v, tr, true, nil
			}
			if cover > 0 {
				return dst, key.Pack(cover, key.Delete), true, nil
			}
		}
	}
	return dst, 0, false, nil
}

// first is where a look-up starts in a level: at the first table in level 0, at the one
// that may hold k in the others. (Two may, where one ends in the exclusive end of a range
// tombstone at which the next begins.)
func first(level int, tables []*table, k []byte) int {
	if level == 0 {
		return 0
	}
	return find(tables, k)
}
