package cache

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func hotKeys(c *Cache[int, int]) (keys []int) {
	for k := range c.Hot() {
		keys = append(keys, k)
	}
	return keys
}

// TestHotOrder: what was used often comes before what was not, and under LRU the order is
// that of use.
func TestHotOrder(t *testing.T) {
	for _, p := range allPolicies() {
		c := newCache(t, Options[int, int]{MaxEntries: 100, Policy: p, Seed: 7})
		for i := range 100 {
			c.Set(i, i)
		}
		for range 3 {
			c.Get(20)
		}
		for range 2 {
			c.Get(10)
		}
		keys := hotKeys(c)
		require.Len(t, keys, 100, p)
		switch p {
		case LRU:
			require.Equal(t, []int{10, 20, 99, 98}, keys[:4])
		case FIFO:
			require.Equal(t, []int{99, 98, 97, 96}, keys[:4])
		case LFU, Adaptive, TinyLFU, S3FIFO:
			require.Equal(t, []int{20, 10}, keys[:2], p)
		case SIEVE:
			require.ElementsMatch(t, []int{20, 10}, keys[:2])
		}
		check(t, c)
	}
}

func TestHotStopsAndMayUseTheCache(t *testing.T) {
	c := newCache(t, Options[int, int]{MaxWeight: 10, Weigh: func(_, v int) int64 { return int64(v) }})
	c.Set(1, 3)
	c.Set(2, 0)
	c.Set(3, 4)
	require.Equal(t, 2, hotKeys(c)[0], "what is pinned comes first")
	for k, i := range c.Hot() {
		require.Equal(t, 2, k)
		require.Zero(t, i.Weight)
		c.Clear()
		break
	}
	require.Empty(t, hotKeys(c))
}

func TestInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCache(t, Options[int, int]{MaxWeight: 10, Weigh: func(_, v int) int64 { return int64(v) }, Idle: time.Minute, StaleFor: time.Hour})
		c.SetTTL(1, 3, time.Hour)
		c.Set(2, 2)
		time.Sleep(30 * time.Second)
		c.Get(1)
		time.Sleep(20 * time.Second)
		i, ok := c.Info(1)
		require.True(t, ok)
		require.Equal(t, int64(3), i.Weight)
		require.InDelta(t, time.Hour-50*time.Second, i.TTL, float64(2*time.Millisecond))
		require.Equal(t, 50*time.Second, i.Age)
		require.Equal(t, 20*time.Second, i.Unused)
		require.Positive(t, i.Uses)
		i, ok = c.Info(2)
		require.True(t, ok)
		require.Zero(t, i.TTL, "for ever")
		time.Sleep(20 * time.Second)
		_, ok = c.Info(2)
		require.False(t, ok, "idle")
		require.Equal(t, []int{1}, hotKeys(c))
		_, ok = c.Info(3)
		require.False(t, ok)
	})
}
