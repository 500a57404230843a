package sstable

import (
	"sync"
	"sync/atomic"
)

// The block cache keeps blocks as they are after decompression and parsing. It is not a
// map. A table knows its blocks by number, so every open table has a slot for each:
//
//	table 17   slots  │ ● │ · │ ● │ · │ · │ ● │      a hit: one load from the slot
//	                    │       │           │
//	shard      oldest ──┴───────┴───────────┴── newest
//	             ▲ hand
//
// A hit is a load and, at most once per round of the hand, a store: no lock, no hash, no
// allocation. What a shard's lock protects is which blocks it holds, and who must go:
// new blocks enter at one end, the hand walks from the other, spares the visited ones,
// which lose the mark, and takes the first that is not. A scan's blocks, never visited
// again, go on the hand's first pass.
//
// A block that goes is forgotten, not freed: whoever still reads it keeps it alive, and
// the collector has it afterwards. So nothing is pinned, counted or given back by hand,
// and values may be handed out that point into blocks. The slots take eight bytes a
// block, a fifth of a per cent of a table of 4 KiB blocks.
//
// Invariants, under a shard's lock: a block is in the list of its shard if and only if its
// slot points to it; used is the sum of the list's costs and at most
// capacity.
//
// Source of the eviction: Zhang et al., "SIEVE is Simpler than LRU" (NSDI 2024).

// Cache holds blocks of any number of tables, within a size. It is safe for concurrent use.
type Cache struct {
	shards  []cacheShard
	next    atomic.Uint64 // where the next table's blocks begin to be spread
	scratch sync.Pool     // *[]byte, what was read before it is decompressed
}

type cacheShard struct {
	hits, misses atomic.Int64
	_            [48]byte // counters change all the time; what follows, seldom

	mu             sync.Mutex
	capacity, used int64
	count          int64
	evicted        int64
	newest, oldest *block
	hand           *block // nil: at the oldest
	_              [64]byte
}

// blockCost is what a block costs besides its data.
const blockCost = 128

// Shards are few, for a hit takes no lock, and not small, so that an uneven spread of the
// blocks wastes little.
const (
	maxShards = 16
	minShard  = 1 << 20
)

// NewCache makes a cache that holds blocks of up to size bytes in all; 0 or less makes one
// that holds nothing.
func NewCache(size int64) *Cache {
	n := 1
	for n < maxShards && size/int64(n*2) >= minShard {
		n *= 2
	}
	c := &Cache{shards: make([]cacheShard, n)}
	for i := range c.shards {
		c.shards[i].capacity = max(size, 0) / int64(n)
	}
	return c
}

// CacheStats counts what a cache did.
type CacheStats struct {
	Hits, Misses, Evicted int64
	Blocks                int64
	Bytes                 int64 // of the blocks held, and what it takes to hold them
	Capacity              int64 // bytes
}

// Stats returns the counters. They are read one after the other, not all at one time.
func (c *Cache) Stats() CacheStats {
	var s CacheStats
	for i := range c.shards {
		sh := &c.shards[i]
		s.Hits += sh.hits.Load()
		s.Misses += sh.misses.Load()
		sh.mu.Lock()
		s.Evicted += sh.evicted
		s.Blocks += sh.count
		s.Bytes += sh.used
		s.Capacity += sh.capacity
		sh.mu.Unlock()
	}
	return s
}

// shard returns the shard of block number i of a table that begins at base.
func (c *Cache) shard(base uint64, i int) *cacheShard {
	return &c.shards[(base+uint64(i))&uint64(len(c.shards)-1)]
}

// add puts b into its slot, unless another is there by now, which it then returns.
func (s *cacheShard) add(slot *atomic.Pointer[block], b *block) *block {
	cost := b.cost()
	if cost > s.capacity {
		return b
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := slot.Load(); other != nil {
		return other
	}
	for s.used+cost > s.capacity {
		s.evict()
	}
	b.home = slot
	b.older = s.newest
	if s.newest != nil {
		s.newest.newer = b
	} else {
		s.oldest = b
	}
	s.newest = b
	s.used += cost
	s.count++
	slot.Store(b)
	return b
}

// evict moves the hand to the first block that was not visited since it last passed, and
// removes it.
func (s *cacheShard) evict() {
	b := s.hand
	for {
		if b == nil {
			b = s.oldest
		}
		if !b.visited.Load() {
			break
		}
		b.visited.Store(false)
		b = b.newer
	}
	s.hand = b.newer
	s.remove(b)
	s.evicted++
}

// remove takes b out of the list and its slot.
func (s *cacheShard) remove(b *block) {
	if s.hand == b {
		s.hand = b.newer
	}
	if b.newer != nil {
		b.newer.older = b.older
	} else {
		s.newest = b.older
	}
	if b.older != nil {
		b.older.newer = b.newer
	} else {
		s.oldest = b.newer
	}
	b.home.Store(nil)
	b.newer, b.older = nil, nil
	s.used -= b.cost()
	s.count--
}

// drop removes the block in slot, if there is one.
func (s *cacheShard) drop(slot *atomic.Pointer[block]) {
	if slot.Load() == nil {
		return
	}
	s.mu.Lock()
	if b := slot.Load(); b != nil {
		s.remove(b)
	}
	s.mu.Unlock()
}

func (b *block) cost() int64 { return int64(cap(b.data)) + blockCost }

// buffer lends a buffer of n bytes; give it back with release.
func (c *Cache) buffer(n int) *[]byte {
	p, _ := c.scratch.Get().(*[]byte)
	if p == nil {
		p = new([]byte)
	}
	if cap(*p) < n {
		*p = make([]byte, n)
	}
	*p = (*p)[:n]
	return p
}

// release takes a buffer back, unless it is so large that keeping it would be waste.
func (c *Cache) release(p *[]byte) {
	if cap(*p) <= 1<<20 {
		c.scratch.Put(p)
	}
}
