package router

import (
	"hash/maphash"
	"sync"
	"time"
)

// cache keeps the answers for hot prefixes for a moment, so that a prefix that a thousand
// people type is asked of the nodes once. What is too old to be an answer is kept as
// well, while there is room: it is better than nothing when the nodes that know are away.
//
// It forgets by generations: what was not asked for since the maps were last turned over
// goes with the older one. That is within a factor of two of least recently used, and a
// hit costs one look-up and writes nothing.
type cache struct {
	seed   maphash.Seed
	shards [16]cacheShard
}

type cacheShard struct {
	mu         sync.Mutex
	young, old map[cacheKey]*entry // guarded by mu
	max        int                 // of young
}

type cacheKey struct {
	prefix string
	limit  int
	edits  int
}

type entry struct {
	generation uint64
	found      []Suggestion // not to be changed
	until      time.Time
}

func newCache(entries int) *cache {
	c := &cache{seed: maphash.MakeSeed()}
	for i := range c.shards {
		c.shards[i] = cacheShard{young: map[cacheKey]*entry{}, max: max(1, entries/2/len(c.shards))}
	}
	return c
}

func (c *cache) shard(k cacheKey) *cacheShard {
	return &c.shards[maphash.Comparable(c.seed, k)%uint64(len(c.shards))]
}

// get returns what is known, however old; nil: nothing.
func (c *cache) get(k cacheKey) *entry {
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.young[k]; e != nil {
		return e
	}
	e := s.old[k]
	if e != nil {
		s.put(k, e)
	}
	return e
}

func (c *cache) put(k cacheKey, e *entry) {
	s := c.shard(k)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.put(k, e)
}

// put adds to the young ones. The caller holds mu.
func (s *cacheShard) put(k cacheKey, e *entry) {
	if len(s.young) >= s.max && s.young[k] == nil {
		s.old, s.young = s.young, make(map[cacheKey]*entry, s.max)
	}
	s.young[k] = e
}
