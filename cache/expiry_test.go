package cache

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestLifeEncoding: whatever the time, an entry is alive up to a tick before its end, is
// past from there on, and for a day after.
func TestLifeEncoding(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		now := clockStart + rapid.Int64Range(0, int64(20*maxTTL)).Draw(t, "now")
		ttl := time.Duration(rapid.Int64Range(1, int64(maxTTL)).Draw(t, "ttl"))
		m := lifeOf(now, ttl, 0)
		tick := int64(1) << bitsOf(m)
		at := rapid.Int64Range(0, int64(ttl)+int64(sweepPeriod)).Draw(t, "at")
		switch {
		case at >= max(int64(ttl), tick):
			require.True(t, over(m, now+at, 0), "%v after a life of %v", time.Duration(at), ttl)
		case at <= int64(ttl)-2*tick:
			require.False(t, over(m, now+at, 0), "%v into a life of %v", time.Duration(at), ttl)
		}
		require.InDelta(t, float64(int64(ttl)-at), float64(left(m, now+at)), float64(2*tick))
	})
}

func TestTTL(t *testing.T) {
	var clock testClock
	told := map[Cause]int{}
	c := newCache(t, Options[int, int]{TTL: time.Minute, Now: clock.now, OnRemove: func(r Removal[int, int]) { told[r.Cause]++ }})
	c.Set(1, 1)
	c.SetTTL(2, 2, time.Hour)
	c.SetTTL(3, 3, 0)
	c.SetTTL(4, 4, math.MaxInt64)
	c.SetTTL(5, 5, maxTTL+time.Hour)
	require.False(t, c.SetTTL(6, 6, -1))
	clock.advance(time.Minute - 2*time.Millisecond)
	require.True(t, c.Has(1))
	clock.advance(2 * time.Millisecond)
	require.False(t, c.Has(1))
	_, ok := c.Get(1)
	require.False(t, ok)
	require.Equal(t, 1, told[Expired], "Get removes what it finds expired")
	require.Equal(t, 4, c.Len())
	clock.advance(time.Hour)
	_, ok = c.Delete(2)
	require.False(t, ok, "an expired entry is not there")
	clock.advance(maxTTL)
	require.False(t, c.Has(5), "a year is the most")
	require.True(t, c.Has(3))
	require.True(t, c.Has(4))
	check(t, c)
}

func TestTTLFuncAndJitter(t *testing.T) {
	var clock testClock
	c := newCache(t, Options[int, int]{Now: clock.now, Jitter: 0.5, TTLFunc: func(_, v int) time.Duration { return time.Duration(v) * time.Second }})
	require.False(t, c.Set(0, -1))
	for i := range 1000 {
		c.Set(i, 100)
	}
	clock.advance(49 * time.Second)
	require.Equal(t, 1000, liveOf(c))
	clock.advance(26 * time.Second)
	require.InDelta(t, 500, liveOf(c), 100, "spread")
	clock.advance(25 * time.Second)
	require.Zero(t, liveOf(c))
}

func liveOf[K comparable, V any](c *Cache[K, V]) (n int) {
	for range c.All() {
		n++
	}
	return n
}

func TestIdle(t *testing.T) {
	var clock testClock
	c := newCache(t, Options[int, string]{Idle: time.Minute, TTL: time.Hour, Now: clock.now})
	c.Set(1, "used")
	c.Set(2, "not")
	for range 50 {
		clock.advance(50 * time.Second)
		_, ok := c.Get(1)
		require.True(t, ok)
	}
	require.False(t, c.Has(2))
	clock.advance(time.Hour - 50*50*time.Second)
	require.False(t, c.Has(1), "an end is an end")
}

// TestExpiredEntriesLeave: inserts reclaim what has expired, so the cache does not fill up
// with the dead while there is room.
func TestExpiredEntriesLeave(t *testing.T) {
	var clock testClock
	c := newCache(t, Options[int, int]{MaxEntries: 10000, TTL: time.Second, Now: clock.now})
	for i := range 50_000 {
		clock.advance(time.Millisecond)
		c.Set(i, i)
		require.LessOrEqual(t, c.Len(), 4000)
	}
	clock.advance(time.Minute)
	n := c.Len()
	require.Equal(t, n, c.DeleteExpired())
	require.Zero(t, c.Len())
	check(t, c)
}

// TestNoResurrection: ends are kept modulo three days; what nobody looked at for longer
// must not come to life again.
func TestNoResurrection(t *testing.T) {
	for step := range 40 {
		var clock testClock
		c := newCache(t, Options[int, int]{TTL: time.Hour, Now: clock.now})
		c.Set(1, 1)
		clock.advance(time.Duration(step+1) * 4 * time.Hour)
		c.Set(2, 2)
		_, ok := c.Get(1)
		require.False(t, ok, "step %d", step)
	}
	for days := range 14 {
		var clock testClock
		c := newCache(t, Options[int, int]{TTL: time.Hour, Now: clock.now})
		for i := range 100 {
			c.Set(i, i)
		}
		clock.advance(time.Duration(days*24+2) * time.Hour)
		_, ok := c.Get(6)
		require.False(t, ok, "%d days", days)
		require.Zero(t, liveOf(c), "%d days", days)
		_, ok = c.Peek(7)
		require.False(t, ok)
	}
}

// TestClockSteps: a clock that goes back a day neither loses nor keeps entries for ever.
func TestClockSteps(t *testing.T) {
	var clock testClock
	c := newCache(t, Options[int, int]{TTL: 12 * time.Hour, Now: clock.now})
	c.Set(1, 1)
	clock.advance(-24 * time.Hour)
	require.True(t, c.Has(1))
	c.Set(2, 2)
	clock.advance(24*time.Hour + time.Minute)
	require.True(t, c.Has(1))
	require.False(t, c.Has(2))
	clock.advance(12 * time.Hour)
	require.False(t, c.Has(1))
}

func TestAges(t *testing.T) {
	var clock testClock
	c := newCache(t, Options[int, int]{MaxEntries: 10, Policy: FIFO, Ages: true, CountHits: true, Now: clock.now})
	for i := range 1000 {
		clock.advance(time.Second)
		c.Set(i, i)
		c.Get(i)
		c.Get(-i - 1)
	}
	s := c.Stats()
	require.Equal(t, uint64(990), s.Removed[Evicted])
	require.InDelta(t, 10, s.MedianAge().Seconds(), 7)
	require.Equal(t, 0.5, s.HitRatio())
	require.Contains(t, fmt.Sprint(s), "10 entries, weight 10 of 10, inserts 1000, hits 50.0 %, evicted 990")
}
