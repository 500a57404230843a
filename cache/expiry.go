package cache

import (
	"math/rand/v2"
	"time"
)

// The meta word of an entry:
//
//	31                          4   3     2     1 0
//	[ end of life, 28 bits, 0: none | unit | absent | uses ]
//
// uses counts hits since a hand last came by. absent marks the memory of an ErrNotFound.
// The end is a point of the cache's clock in ticks of 2²⁰ ns (unit 0) or 2²⁸ ns (unit 1),
// modulo 2²⁸: a time up to 2²⁷ ticks ahead is to come, any other is past. So four bytes hold
// what others keep in eight. The price is that an entry which stays 1.6 days after its end
// would seem alive again. So no more than half a day passes between two rounds of the sweep:
// who reads the clock to judge or to store an entry, and finds the last round older, sweeps
// first (see time).
const (
	metaAbsent = 1 << 2
	metaCoarse = 1 << 3
	endShift   = 4
	endMask    = 1<<28 - 1
	fineBits   = 20
	coarseBits = 28

	maxFine  = 12 * time.Hour
	maxTTL   = 365 * 24 * time.Hour
	maxStale = 30 * 24 * time.Hour
	forever  = 100 * maxTTL

	sweepPeriod = 12 * time.Hour
)

// lifeOf encodes the end of a life of ttl (0: none) that begins now. keep is added for the
// time in which a stale entry may still be of use.
func lifeOf(now int64, ttl, keep time.Duration) uint32 {
	if ttl == 0 || ttl >= forever {
		return 0
	}
	ttl = min(ttl, maxTTL) + keep
	unit, bits := uint32(0), fineBits
	if ttl > maxFine {
		unit, bits = metaCoarse, coarseBits
	}
	tick, end := now>>bits, (now+int64(ttl))>>bits
	e := uint32(max(end, tick+1)) & endMask
	if e == 0 {
		e = endMask
	}
	return e<<endShift | unit
}

func bitsOf(meta uint32) int { return fineBits + int(meta&metaCoarse) } // metaCoarse is 8

// over reports whether the entry's end, less ahead, has come.
func over(meta uint32, now int64, ahead time.Duration) bool {
	if meta>>endShift == 0 {
		return false
	}
	d := (meta>>endShift - uint32((now+int64(ahead))>>bitsOf(meta))) & endMask
	return d == 0 || d > endMask/2
}

// left is the time until the entry's end; negative if it is past.
func left(meta uint32, now int64) time.Duration {
	b := bitsOf(meta)
	d := int32((meta>>endShift-uint32(now>>b))<<endShift) >> endShift
	return time.Duration(d) << b
}

// now is the cache's clock in nanoseconds. It starts well above zero, so that a clock that
// steps back does not go below.
func (c *Cache[K, V]) now() int64 {
	if c.opts.Now == nil {
		return clockStart + int64(time.Since(c.base))
	}
	return clockStart + int64(c.opts.Now().Sub(c.base))
}

const clockStart = int64(10 * maxTTL)

// time is now, after a sweep if one is overdue. Not under locks.
func (c *Cache[K, V]) time() int64 {
	now := c.now()
	if now-c.sweptFrom.Load() > int64(sweepPeriod) && c.timed.Load() {
		c.DeleteExpired()
	}
	return now
}

// life is the meta word of an entry stored now.
func (c *Cache[K, V]) life(ttl time.Duration) uint32 {
	if ttl == 0 {
		return 0
	}
	if j := c.opts.Jitter; j > 0 && ttl < forever {
		ttl -= time.Duration(rand.Float64() * j * float64(min(ttl, maxTTL)))
		ttl = max(ttl, 1)
	}
	c.timed.Store(true)
	return lifeOf(c.time(), ttl, c.keep)
}

// dead reports whether an entry must not be served by Get any more.
func (c *Cache[K, V]) dead(n *node[K], m uint32, now int64) bool {
	if m&metaAbsent != 0 || over(m, now, c.keep) {
		return true
	}
	if c.opts.Idle > 0 {
		return now-c.extra(n).touched.Load() >= int64(c.opts.Idle)
	}
	return false
}

// gone reports whether an entry is of no more use to anybody.
func (c *Cache[K, V]) gone(n *node[K], m uint32, now int64) bool {
	if over(m, now, 0) {
		return true
	}
	return c.opts.Idle > 0 && now-c.extra(n).touched.Load() >= int64(c.opts.Idle)
}

// expire removes n if it is gone.
func (c *Cache[K, V]) expire(n *node[K], now int64) {
	var rs removals[K, V]
	c.mu.Lock()
	if n.pos != none && c.gone(n, n.meta.Load(), now) {
		c.drop(n, Expired, &rs)
	}
	c.mu.Unlock()
	c.tell(&rs)
}

// sweep looks at a few places of the table and removes what has expired there. Every insert
// into a cache with times to live does it, so the memory of expired entries comes back
// without a goroutine: a full round takes half as many inserts as the table has places.
func (c *Cache[K, V]) sweep(rs *removals[K, V]) {
	now := c.now()
	t := c.table.Load()
	for range 2 {
		if c.hand >= len(t.buckets)*places {
			c.hand = 0
			c.sweptFrom.Store(c.roundFrom)
			c.roundFrom = now
		}
		if n := t.buckets[c.hand/places].node[c.hand%places].Load(); n != nil && c.gone(n, n.meta.Load(), now) {
			c.drop(n, Expired, rs)
		}
		c.hand++
	}
}

// DeleteExpired removes all entries whose time has passed and returns how many. Nobody needs
// to call it: expired entries are never served and leave as new ones are stored. It takes
// the lock for the time of a walk over the whole cache.
func (c *Cache[K, V]) DeleteExpired() int {
	var rs removals[K, V]
	c.mu.Lock()
	n := c.sweepAll(&rs)
	c.mu.Unlock()
	c.tell(&rs)
	return n
}

func (c *Cache[K, V]) sweepAll(rs *removals[K, V]) (count int) {
	now := c.now()
	// What is there was stored at most half a day after the last round began.
	since := time.Duration(now - c.sweptFrom.Load())
	fine, all := since > sweepPeriod+maxFine, since > sweepPeriod+maxTTL+maxStale
	for n := range c.table.Load().all() {
		m := n.meta.Load()
		if c.gone(n, m, now) || m>>endShift != 0 && (all || fine && m&metaCoarse == 0) {
			c.drop(n, Expired, rs)
			n.meta.Or(metaAbsent) // for a look-up that holds n already
			count++
		}
	}
	c.hand, c.roundFrom = 0, now
	c.sweptFrom.Store(now)
	return count
}
