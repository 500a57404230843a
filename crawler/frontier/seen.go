package frontier

import (
	"errors"
	"sync/atomic"

	"github.com/ashlar-go/ashlar/bloom"
	"github.com/ashlar-go/ashlar/lsm"
)

// seen is the set of URLs that were ever added: the s keys of the store, with a Bloom
// filter in front that spares nearly all new URLs the look-up. The filter may say "perhaps"
// of a new URL; then the store decides, so that none is lost.
//
// The filter grows by generations, each as large as all before it together: a URL is new
// if no generation has it. It is not stored. After a start it is filled again from the
// store in the background; until that is done every URL is looked up.
type seen struct {
	db       *lsm.DB
	gens     atomic.Pointer[[]*generation]
	complete atomic.Bool
	count    atomic.Int64 // URLs, when complete
}

type generation struct {
	*bloom.Concurrent
	room int64 // hashes that it may still take
}

const firstGeneration = 1 << 20

func newSeen(db *lsm.DB, hint int64) *seen {
	s := &seen{db: db}
	s.gens.Store(new([]*generation))
	s.grow(max(hint, firstGeneration))
	return s
}

// grow starts another generation.
func (s *seen) grow(room int64) *generation {
	g := &generation{Concurrent: bloom.NewConcurrent(int(room), 0.01), room: room}
	gens := append([]*generation{g}, *s.gens.Load()...)
	s.gens.Store(&gens)
	return g
}

// perhaps reports whether the hash may be in the set; false is sure.
func (s *seen) perhaps(hash uint64) bool {
	if !s.complete.Load() {
		return true
	}
	for _, g := range *s.gens.Load() {
		if g.HasHash(hash) {
			return true
		}
	}
	return false
}

// enter adds a hash to the filter and reports whether it may have been there. The caller
// is alone with it: it holds writeMu.
func (s *seen) enter(hash uint64) (perhaps bool) {
	perhaps = s.perhaps(hash)
	gens := *s.gens.Load()
	g := gens[0]
	if g.room <= 0 {
		var size int64
		for _, g := range gens {
			size += int64(g.Bits()) / 10
		}
		g = s.grow(size)
	}
	if g.AddHash(hash) {
		g.room--
		return perhaps
	}
	return true
}

// has asks the store.
func (s *seen) has(key []byte) (bool, error) {
	ok, err := s.db.Has(key)
	if err != nil {
		return false, storeError("look a URL up", err)
	}
	return ok, nil
}

// fill brings the filter level with the store, in steps during which lock is held.
func (s *seen) fill(lock func() (unlock func(), ok bool)) error {
	var hashes []uint64
	var n int64
	enter := func() bool {
		unlock, ok := lock()
		if !ok {
			return false
		}
		defer unlock()
		for _, h := range hashes {
			s.enter(h)
		}
		n += int64(len(hashes))
		hashes = hashes[:0]
		return true
	}
	r := tagRange(tagSeen)
	r.KeysOnly = true
	for e, err := range s.db.Scan(r) {
		if err != nil {
			if errors.Is(err, lsm.ErrClosed) {
				return nil
			}
			return storeError("read the set of URLs", err)
		}
		if hashes = append(hashes, filterHash(e.Key)); len(hashes) == 4096 && !enter() {
			return nil
		}
	}
	if !enter() {
		return nil
	}
	s.count.Add(n)
	s.complete.Store(true)
	return nil
}

// bytes is the memory of the filter.
func (s *seen) bytes() (n int64) {
	for _, g := range *s.gens.Load() {
		n += int64(g.Bits()) / 8
	}
	return n
}
