package sstable

import (
	"sync"
	"sync/atomic"
)

// Cache keeps decoded data blocks, bounded in bytes, for any number of tables.
//
// It is split into shards by the block's place. A hit takes a shard's read lock, looks
// into a map and sets a flag; blocks are the garbage collector's, so a hit needs no
// reference count and an evicted block lives as long as somebody reads it. Eviction is
// CLOCK: a hand goes round the shard's slots, spares each block that was hit since the
// last time round, and takes the first that was not.
type Cache struct {
	shards [cacheShards]cacheShard
}

const cacheShards = 16

type blockID struct {
	file, off uint64
}

type cacheShard struct {
	mu    sync.RWMutex
	index map[blockID]int32 // guarded by mu: slot of each block
	slots []slot            // guarded by mu
	free  []int32           // guarded by mu: empty slots
	hand  int               // guarded by mu
	bytes int64             // guarded by mu
	limit int64

	hits, misses atomic.Int64
	_            [64]byte // shards do not share cache lines
}

type slot struct {
	id    blockID
	block []byte
	hit   *atomic.Bool
}

// CacheStats counts what a cache did.
type CacheStats struct {
	Hits, Misses int64
	Bytes        int64
	Blocks       int64
}

// slotCost is what a block costs beside its bytes.
const slotCost = 96

// NewCache makes a cache of at most size bytes; with less than a few blocks' worth it
// holds nothing.
func NewCache(size int64) *Cache {
	c := &Cache{}
	for i := range c.shards {
		c.shards[i] = cacheShard{index: map[blockID]int32{}, limit: size / cacheShards}
	}
	return c
}

func (c *Cache) shard(id blockID) *cacheShard {
	h := (id.file*0x9e3779b97f4a7c15 ^ id.off) * 0xbf58476d1ce4e5b9
	return &c.shards[h>>60]
}

func (c *Cache) get(id blockID) []byte {
	s := c.shard(id)
	s.mu.RLock()
	i, ok := s.index[id]
	if !ok {
		s.mu.RUnlock()
		s.misses.Add(1)
		return nil
	}
	e := &s.slots[i]
	b, hit := e.block, e.hit
	s.mu.RUnlock()
	if !hit.Load() {
		hit.Store(true)
	}
	s.hits.Add(1)
	return b
}

func (c *Cache) put(id blockID, b []byte) {
	s := c.shard(id)
	cost := int64(cap(b)) + slotCost
	if cost > s.limit {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.index[id]; ok {
		return
	}
	for s.bytes+cost > s.limit {
		s.evict()
	}
	i := int32(len(s.slots))
	if n := len(s.free); n > 0 {
		i, s.free = s.free[n-1], s.free[:n-1]
	} else {
		s.slots = append(s.slots, slot{})
	}
	s.slots[i] = slot{id, b, new(atomic.Bool)}
	s.index[id] = i
	s.bytes += cost
}

// evict takes out one block; there is one.
func (s *cacheShard) evict() {
	for {
		i := s.hand
		s.hand = (s.hand + 1) % len(s.slots)
		e := &s.slots[i]
		if e.block == nil {
			continue
		}
		if e.hit.Load() {
			e.hit.Store(false)
			continue
		}
		s.remove(int32(i))
		return
	}
}

func (s *cacheShard) remove(i int32) {
	e := &s.slots[i]
	s.bytes -= int64(cap(e.block)) + slotCost
	delete(s.index, e.id)
	*e = slot{}
	s.free = append(s.free, i)
}

// Drop takes out all blocks of a table. O(cache).
func (c *Cache) Drop(file uint64) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for j := range s.slots {
			if s.slots[j].block != nil && s.slots[j].id.file == file {
				s.remove(int32(j))
			}
		}
		s.mu.Unlock()
	}
}

// Stats is a snapshot of the counters.
func (c *Cache) Stats() (st CacheStats) {
	for i := range c.shards {
		s := &c.shards[i]
		st.Hits += s.hits.Load()
		st.Misses += s.misses.Load()
		s.mu.RLock()
		st.Bytes += s.bytes
		st.Blocks += int64(len(s.index))
		s.mu.RUnlock()
	}
	return st
}
