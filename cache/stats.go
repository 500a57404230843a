package cache

import (
	"fmt"
	"math/bits"
	"strings"
	"sync/atomic"
	"time"
)

// Cause says why a value left the cache.
type Cause uint8

const (
	Evicted  Cause = iota // there was no room
	Expired               // its time had passed
	Deleted               // Delete, DeleteFunc, Update or Clear
	Replaced              // a new value took its place
	causes
)

func (c Cause) String() string {
	names := [...]string{"evicted", "expired", "deleted", "replaced"}
	if int(c) < len(names) {
		return names[c]
	}
	return fmt.Sprintf("Cause(%d)", uint8(c))
}

// Removal tells of a value that left.
type Removal[K comparable, V any] struct {
	Key   K
	Value V
	Cause Cause
}

// removals are collected under locks and told after.
type removals[K comparable, V any] struct{ list []Removal[K, V] }

// note keeps a removal if somebody wants to be told.
func (c *Cache[K, V]) note(n *node[K], cause Cause, rs *removals[K, V]) {
	if c.opts.OnRemove != nil && n.meta.Load()&metaAbsent == 0 { // an ErrNotFound is no value
		rs.list = append(rs.list, Removal[K, V]{n.key, c.load(n), cause})
	}
}

func (c *Cache[K, V]) tell(rs *removals[K, V]) {
	for _, r := range rs.list {
		c.opts.OnRemove(r)
	}
}

const (
	hit = iota
	miss
)

const counterLanes = 16

// counters of hits and misses come in lanes, for many goroutines count at the same time.
type counters struct {
	inserts uint64         // under Cache.mu
	removed [causes]uint64 // under Cache.mu; replaced values are counted in the stripes
	ages    *[64]uint64    // under Cache.mu
	lanes   atomic.Pointer[[counterLanes]lane]
}

type lane struct {
	n [2]atomic.Uint64
	_ [48]byte
}

// count chooses a lane by the address of something on the caller's stack: goroutines have
// stacks of their own.
func (c *counters) count(stack uintptr, what int) {
	c.lanes.Load()[stack>>10*0x9e37>>4&(counterLanes-1)].n[what].Add(1)
}

func (c *counters) age(d time.Duration) {
	c.ages[bits.Len64(uint64(max(0, d/time.Millisecond)))&63]++
}

// Stats is a snapshot of a cache's counts since it was made.
type Stats struct {
	Entries int
	Weight  int64 // of all entries; their number in a cache without Weigh
	Bound   int64
	Window  float64 // adaptive: the window's present share of the bound
	Hits    uint64  // of Get, with Options.CountHits
	Misses  uint64  // of Get, with Options.CountHits
	Inserts uint64
	Removed [causes]uint64 // by Cause
	// Ages, with Options.Ages: how many entries were evicted at an age below 2^i
	// milliseconds and not below half of that.
	Ages       [64]uint64
	Loads      uint64 // that ended, for better or worse
	LoadErrors uint64 // ErrNotFound is none
	LoadTime   time.Duration
	Loading    int // loads that run now
	Refused    uint64
}

// Stats takes the lock for a moment; counts of loads and of hits may be of slightly
// different moments.
func (c *Cache[K, V]) Stats() Stats {
	s := Stats{Bound: c.Bound()}
	c.mu.Lock()
	s.Entries, s.Weight = c.Len(), c.Weight()
	s.Inserts, s.Removed = c.counters.inserts, c.counters.removed
	if c.counters.ages != nil {
		s.Ages = *c.counters.ages
	}
	c.mu.Unlock()
	for i := range c.stripes {
		c.stripes[i].mu.Lock()
		s.Removed[Replaced] += c.stripes[i].replaced
		c.stripes[i].mu.Unlock()
	}
	if c.shadows != nil {
		s.Window = c.shadows.share()
	}
	if lanes := c.counters.lanes.Load(); lanes != nil {
		for i := range lanes {
			s.Hits += lanes[i].n[hit].Load()
			s.Misses += lanes[i].n[miss].Load()
		}
	}
	c.loads.stats(&s)
	return s
}

// HitRatio is hits over hits and misses; 0 if there were none.
func (s Stats) HitRatio() float64 {
	if s.Hits+s.Misses == 0 {
		return 0
	}
	return float64(s.Hits) / float64(s.Hits+s.Misses)
}

// MedianAge is the middle age at eviction, to a power of two; 0 without Options.Ages.
func (s Stats) MedianAge() time.Duration {
	var all, n uint64
	for _, x := range s.Ages {
		all += x
	}
	for i, x := range s.Ages {
		if n += x; all > 0 && 2*n >= all {
			return time.Duration(1<<min(i, 40)) * time.Millisecond
		}
	}
	return 0
}

func (s Stats) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d entries, weight %d of %d, inserts %d", s.Entries, s.Weight, s.Bound, s.Inserts)
	if s.Hits+s.Misses > 0 {
		fmt.Fprintf(&b, ", hits %.1f %%", 100*s.HitRatio())
	}
	for c, n := range s.Removed {
		if n > 0 {
			fmt.Fprintf(&b, ", %v %d", Cause(c), n)
		}
	}
	if s.Window > 0 {
		fmt.Fprintf(&b, ", window %.0f %%", 100*s.Window)
	}
	if s.Loads > 0 {
		fmt.Fprintf(&b, ", loads %d (%d failed, mean %v)", s.Loads, s.LoadErrors, (s.LoadTime / time.Duration(s.Loads)).Round(time.Microsecond))
	}
	return b.String()
}
