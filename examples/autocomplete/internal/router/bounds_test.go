package router

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLimiter(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	limiter := func(perSecond float64, burst, clients int) *Router {
		l, err := newLimiter(perSecond, burst, clients, func() time.Time { return now })
		require.NoError(t, err)
		return &Router{limit: l}
	}
	r := limiter(10, 5, maxClients)
	for range 5 {
		require.NoError(t, r.Take("a", 1))
	}
	err := r.Take("a", 1)
	require.ErrorIs(t, err, ErrLimited)
	require.Equal(t, &LimitError{100 * time.Millisecond}, err)
	now = now.Add(100 * time.Millisecond)
	require.NoError(t, r.Take("a", 1))
	require.ErrorIs(t, r.Take("b", 6), ErrRequest, "more than a burst is never there at once")
	require.NoError(t, r.Take("b", 5), "and costs nothing")
	require.Equal(t, uint64(2), r.Counters.Limited.Load())

	r = limiter(10, 5, 1000)
	for i := range 20_000 {
		require.NoError(t, r.Take(fmt.Sprint(i), 1))
		require.LessOrEqual(t, r.limit.Len(), 1000)
	}
	require.NoError(t, limiter(-1, 0, maxClients).Take("a", 1_000_000))
	for _, rate := range []float64{1e-12, 1e12} {
		_, err := newLimiter(rate, 200, maxClients, nil)
		require.Error(t, err, "%v", rate)
	}
}

func TestCacheIsBounded(t *testing.T) {
	c, err := newCache(160)
	require.NoError(t, err)
	hot := question{prefix: "hot"}
	c.Set(hot, &kept{generation: 1})
	for range 20 {
		c.Get(hot)
	}
	for i := range 10_000 {
		c.Set(question{prefix: fmt.Sprint(i)}, &kept{})
		_, ok := c.Get(hot)
		require.True(t, ok, "what is asked for stays")
		require.LessOrEqual(t, c.Len(), 160)
	}
}
