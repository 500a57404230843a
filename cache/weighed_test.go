package cache_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/cache"
	"github.com/ashlar-go/ashlar/cache/sim"
)

// TestUnevenWeights: regions of a cache bound by weight are hardly ever exactly full. What
// is left over must not let scans into the main region, nor shuffle the two.
func TestUnevenWeights(t *testing.T) {
	trace := sim.Scan(60_000, 10_000, 2000, 0.9, 1)
	ratio := func(weigh func(k, v uint64) int64) float64 {
		c, err := cache.New(cache.Options[uint64, uint64]{MaxWeight: 100_000, Weigh: weigh, Seed: 1})
		require.NoError(t, err)
		hits := 0
		for _, k := range trace {
			if _, ok := c.Get(k); ok {
				hits++
			} else {
				c.Set(k, k)
			}
		}
		return float64(hits) / float64(len(trace))
	}
	even := ratio(func(uint64, uint64) int64 { return 100 })
	uneven := ratio(func(k, _ uint64) int64 { return 97 + int64(k%7) })
	require.InDelta(t, even, uneven, 0.015)
}
