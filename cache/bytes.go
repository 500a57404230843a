package cache

import (
	"errors"
	"fmt"
	"hash/maphash"
	"iter"
	"math"
	"sync"
	"time"
)

var (
	// ErrTooLarge is returned for keys above 65,535 bytes and for entries above a sixteenth
	// of BytesOptions.MaxBytes.
	ErrTooLarge = errors.New("cache: entry too large")
	// ErrCorrupt is wrapped by errors about a damaged snapshot.
	ErrCorrupt = errors.New("cache: corrupt snapshot")
)

// BytesOptions describe a Bytes.
type BytesOptions struct {
	// MaxBytes bounds keys, values and 32 bytes for each entry. 0 means 64 MiB; the least
	// is 64 KiB, the most 256 GiB. The index takes 16 bytes an entry beside that, or less.
	MaxBytes int64
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Bytes is a cache of byte strings in a few large buffers without pointers: the garbage
// collector does not see its entries, however many there are. For many goroutines.
//
// Eight shards by hash; each keeps entries one behind the other in two rings, as S3-FIFO
// does: newcomers in a tenth of the space, and in the rest those that were used more than
// once there, or that come back soon after they were let go, or for which there is room. What is used while in the large
// ring gets another round. Source: Yang et al., "FIFO Queues are All You Need for Cache
// Eviction" (2023).
type Bytes struct {
	opts   BytesOptions
	seed   maphash.Seed
	base   time.Time
	shards [bytesShards]bytesShard
}

const (
	bytesShards  = 8
	minBytes     = 64 << 10
	maxBytes     = 256 << 30
	defaultBytes = 64 << 20
	maxKey       = math.MaxUint16
)

// BytesStats is a snapshot of a Bytes' counts.
type BytesStats struct {
	Entries                   int
	Size, MaxBytes            int64 // of the live entries with their headers
	Hits, Misses              uint64
	Evicted, Expired, Deleted uint64
}

// NewBytes makes a cache of bytes. Errors wrap ErrOptions.
func NewBytes(o BytesOptions) (*Bytes, error) {
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultBytes
	}
	if o.MaxBytes < minBytes || o.MaxBytes > maxBytes {
		return nil, fmt.Errorf("%w: MaxBytes %d is not in 64 KiB … 256 GiB", ErrOptions, o.MaxBytes)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	b := &Bytes{opts: o, seed: maphash.MakeSeed(), base: o.Now()}
	each := o.MaxBytes / bytesShards
	small := each / 10 &^ (align - 1)
	for i := range b.shards {
		b.shards[i].small.size = small
		b.shards[i].main.size = (each - small) &^ (align - 1)
	}
	return b, nil
}

// now is milliseconds since the cache was made, from 1.
func (b *Bytes) now() int64 { return b.opts.Now().Sub(b.base).Milliseconds() + 1 }

// end is the point at which a time to live is over; 0 is never.
func (b *Bytes) end(ttl time.Duration) int64 {
	if ttl <= 0 || ttl >= forever {
		return 0
	}
	return b.now() + max(1, ttl.Milliseconds())
}

// shard locks the key's shard.
func (b *Bytes) shard(key []byte) (*bytesShard, uint32) {
	h := maphash.Bytes(b.seed, key)
	s := &b.shards[h>>61]
	s.mu.Lock()
	return s, max(uint32(h), 1)
}

// Append appends the value of key to dst, and reports whether there is one. It counts as a
// use.
func (b *Bytes) Append(dst, key []byte) ([]byte, bool) {
	dst, _, ok := b.AppendVersion(dst, key)
	return dst, ok
}

// AppendVersion is Append that also gives the value's version, for Swap. Every write gives
// an entry a version that its key never had.
func (b *Bytes) AppendVersion(dst, key []byte) (val []byte, version uint64, ok bool) {
	s, h := b.shard(key)
	defer s.mu.Unlock()
	e, ok := s.get(h, key, b.now)
	if !ok {
		s.stats.Misses++
		return dst, 0, false
	}
	s.stats.Hits++
	e.use()
	return append(dst, e.value()...), e.version(), true
}

// Has reports whether there is an entry for key. It does not count as a use.
func (b *Bytes) Has(key []byte) bool {
	s, h := b.shard(key)
	defer s.mu.Unlock()
	_, ok := s.get(h, key, b.now)
	return ok
}

// Set stores a copy of val under a copy of key for ttl; 0 means for ever, less than 0 is
// Delete. The error is ErrTooLarge; then nothing has changed.
func (b *Bytes) Set(key, val []byte, ttl time.Duration) error {
	_, _, err := b.put(key, val, ttl, func(uint64) bool { return true })
	return err
}

// Swap stores val if the present entry has that version; version 0 means if there is none.
// It returns the version that is there afterwards, 0 for none, and whether val was stored.
func (b *Bytes) Swap(key, val []byte, version uint64, ttl time.Duration) (now uint64, swapped bool, err error) {
	return b.put(key, val, ttl, func(v uint64) bool { return v == version })
}

func (b *Bytes) put(key, val []byte, ttl time.Duration, allowed func(uint64) bool) (uint64, bool, error) {
	if len(key) > maxKey || int64(len(key))+int64(len(val))+headerSize > b.opts.MaxBytes/16 || int64(len(val)) > math.MaxUint32 {
		return 0, false, ErrTooLarge
	}
	end := b.end(ttl)
	s, h := b.shard(key)
	defer s.mu.Unlock()
	e, ok := s.get(h, key, b.now)
	was := uint64(0)
	if ok {
		was = e.version()
	}
	if !allowed(was) {
		return was, false, nil
	}
	if ttl < 0 {
		if ok {
			s.drop(e, &s.stats.Deleted)
		}
		return 0, true, nil
	}
	s.version++
	if ok && e.size() == entrySize(len(key), len(val)) {
		e.overwrite(val, s.version, end)
		return s.version, true, nil
	}
	if ok {
		s.drop(e, nil)
	}
	s.add(h, key, val, s.version, end, b.now())
	return s.version, true, nil
}

// Touch gives the entry of key a new time to live, as in Set, and reports whether there is
// one. It counts as a use.
func (b *Bytes) Touch(key []byte, ttl time.Duration) bool {
	end := b.end(ttl)
	s, h := b.shard(key)
	defer s.mu.Unlock()
	e, ok := s.get(h, key, b.now)
	if !ok {
		return false
	}
	if ttl < 0 {
		s.drop(e, &s.stats.Deleted)
		return true
	}
	e.use()
	e.setEnd(end)
	return true
}

// Delete removes the entry of key and reports whether there was one.
func (b *Bytes) Delete(key []byte) bool {
	s, h := b.shard(key)
	defer s.mu.Unlock()
	e, ok := s.get(h, key, b.now)
	if ok {
		s.drop(e, &s.stats.Deleted)
	}
	return ok
}

// Clear removes all entries and gives the memory back.
func (b *Bytes) Clear() {
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		s.stats.Deleted += uint64(s.index.n)
		s.index, s.live = byteIndex{}, 0
		s.small, s.main = ring{size: s.small.size}, ring{size: s.main.size}
		s.mu.Unlock()
	}
}

// Len is the number of entries; expired ones count until they are found.
func (b *Bytes) Len() int { return b.Stats().Entries }

// Stats adds up the shards, one after the other.
func (b *Bytes) Stats() BytesStats {
	var t BytesStats
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		t.Entries += s.index.n
		t.Size += s.live
		t.Hits += s.stats.Hits
		t.Misses += s.stats.Misses
		t.Evicted += s.stats.Evicted
		t.Expired += s.stats.Expired
		t.Deleted += s.stats.Deleted
		s.mu.Unlock()
	}
	t.MaxBytes = b.opts.MaxBytes
	return t
}

// All yields copies of keys and values that belong to the loop, shard by shard, oldest
// first. A shard is locked while it is copied, not while the loop runs: the copy of a shard,
// an eighth of the cache, is what it costs.
func (b *Bytes) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(k, v []byte) bool) {
		for i := range b.shards {
			for _, r := range b.shards[i].copyAll(b.now()) {
				if !yield(r.key, r.val) {
					return
				}
			}
		}
	}
}

// bytesShard is one of the eight: an index and two rings.
type bytesShard struct {
	mu      sync.Mutex
	index   byteIndex
	small   ring
	main    ring
	ghost   ghost
	live    int64
	version uint64
	scratch []byte
	stats   BytesStats
}

// get finds the live entry of key; an expired one it removes.
func (s *bytesShard) get(h uint32, key []byte, now func() int64) (stored, bool) {
	at, ok := s.index.find(h, func(at uint32) bool { return string(s.at(at).key()) == string(key) })
	if !ok {
		return nil, false
	}
	e := s.at(at)
	if end := e.end(); end != 0 && end <= now() {
		s.drop(e, &s.stats.Expired)
		return nil, false
	}
	return e, true
}

// at is the entry at a place: the offset in its ring in units of eight bytes, times two,
// plus one for the main ring.
func (s *bytesShard) at(place uint32) stored {
	r := &s.small
	if place&1 == 1 {
		r = &s.main
	}
	return stored(r.buf[int64(place>>1)*align:])
}

// drop forgets an entry; its bytes are reclaimed when the ring comes round.
func (s *bytesShard) drop(e stored, count *uint64) {
	s.index.remove(e.hash(), func(at uint32) bool { return &s.at(at)[0] == &e[0] })
	e.kill()
	s.live -= e.size()
	if count != nil {
		*count++
	}
}

// add writes a new entry. Large ones go to the main ring, for they would sweep the small.
func (s *bytesShard) add(h uint32, key, val []byte, version uint64, end, now int64) {
	size := entrySize(len(key), len(val))
	toMain := size > s.small.size/4
	if s.ghost.size > 0 && s.ghost.take(h) {
		toMain = true
	}
	e, at := s.room(size, toMain, now)
	e.init(h, key, val, version, end)
	s.index.add(h, at)
	s.live += size
}

// room makes room for size bytes at the end of a ring by letting the oldest go.
func (s *bytesShard) room(size int64, inMain bool, now int64) (stored, uint32) {
	r, bit := &s.small, uint32(0)
	if inMain {
		r, bit = &s.main, 1
	}
	for walk := 0; ; {
		if off, ok := r.reserve(size); ok {
			return stored(r.buf[off:]), uint32(off/align)<<1 | bit
		}
		e := stored(r.buf[r.head:])
		if e.dead() {
			r.pop(e.size())
			continue
		}
		switch end := e.end(); {
		case end != 0 && end <= now:
			s.drop(e, &s.stats.Expired)
			r.pop(e.size())
		case !inMain && (e.uses() > 1 || s.main.size-s.main.used >= 2*e.size()) || inMain && e.uses() > 0 && walk < maxWalk:
			walk++
			s.carry(e, r, inMain, now)
		default:
			if !inMain {
				s.ghost.fit(max(64, s.index.n))
				s.ghost.add(e.hash())
			}
			s.drop(e, &s.stats.Evicted)
			r.pop(e.size())
		}
	}
}

// carry moves an entry from the head of r to the end of the main ring: promoted from the
// small one, or on another round in the main one.
func (s *bytesShard) carry(e stored, r *ring, inMain bool, now int64) {
	size, h := e.size(), e.hash()
	s.scratch = append(s.scratch[:0], e[:size]...)
	s.index.remove(h, func(at uint32) bool { return &s.at(at)[0] == &e[0] })
	e.kill()
	r.pop(size)
	kept := stored(s.scratch)
	if inMain {
		kept.setUses(kept.uses() - 1)
	} else {
		kept.setUses(0)
	}
	var to stored
	var at uint32
	if inMain { // it fits where it was, but for the gap at the ring's seam
		off, ok := r.reserve(size)
		if !ok {
			s.live -= size
			s.stats.Evicted++
			return
		}
		to, at = stored(r.buf[off:]), uint32(off/align)<<1|1
	} else {
		scratch := s.scratch
		s.scratch = nil // room may carry entries of the main ring itself
		to, at = s.room(size, true, now)
		s.scratch = scratch
	}
	copy(to[:size], kept[:size])
	s.index.add(h, at)
}
