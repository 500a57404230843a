package router

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLimiter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	l := newLimiter(10, 5)
	for range 5 {
		_, ok := l.take("a", 1, now)
		require.True(t, ok)
	}
	wait, ok := l.take("a", 1, now)
	require.False(t, ok)
	require.Equal(t, 100*time.Millisecond, wait)
	_, ok = l.take("a", 1, now.Add(wait))
	require.True(t, ok)
	_, ok = l.take("b", 6, now)
	require.False(t, ok, "more than a burst is never there at once")
	l.max = 50
	for i := range 500 {
		_, ok := l.take(fmt.Sprint(i), 1, now)
		require.True(t, ok)
		require.LessOrEqual(t, len(l.paid), 50)
	}
	_, ok = newLimiter(-1, 0).take("a", 1_000_000, now)
	require.True(t, ok)
}

func TestHistogram(t *testing.T) {
	now := time.Now()
	l := newLatency(now)
	for i := range 1000 {
		l.add(time.Duration(i+1) * time.Microsecond)
	}
	s := l.look(now.Add(2 * time.Second))
	require.InEpsilon(t, 500, s.P50.Microseconds(), 0.26)
	require.InEpsilon(t, 990, s.P99.Microseconds(), 0.26)
	require.InEpsilon(t, 500, s.Rate, 0.01)
	for b := range 60 * 4 { // every duration is in a bucket that ends after it, and not long after
		if d := upper(b); b >= 8 && d > 0 {
			require.Equal(t, b, bucket(d-1))
			require.Equal(t, b+1, bucket(d))
		}
	}
	l.add(-1)
	l.add(1 << 62)
	l.look(now.Add(time.Minute))
	require.Zero(t, l.look(now.Add(2*time.Minute)).P50, "what is long ago is not lately")
}

func TestCacheIsBounded(t *testing.T) {
	c := newCache(160)
	hot := cacheKey{prefix: "hot"}
	c.put(hot, &entry{generation: 1})
	for i := range 10_000 {
		c.put(cacheKey{prefix: fmt.Sprint(i)}, &entry{})
		require.NotNil(t, c.get(hot), "what is asked for stays")
	}
	n := 0
	for i := range c.shards {
		n += len(c.shards[i].young) + len(c.shards[i].old)
	}
	require.LessOrEqual(t, n, 160)
}
