package node

import (
	"math"
	"math/rand/v2"
	"sort"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLatency(t *testing.T) {
	var l latency
	require.Equal(t, []time.Duration{0, 0}, l.quantiles(0.5, 1))
	rng := rand.New(rand.NewPCG(1, 2))
	all := []time.Duration{-1, 0, 3, 4, math.MaxInt64}
	for range 10_000 {
		all = append(all, time.Duration(rng.Int64N(1<<(1+rng.IntN(40)))))
	}
	for _, d := range all {
		b := bucket(uint64(max(d, 0)))
		require.LessOrEqual(t, d, top(b))
		if b > 0 {
			require.Greater(t, max(d, 0), top(b-1))
		}
		l.add(d)
	}
	sort.Slice(all, func(i, j int) bool { return all[i] < all[j] })
	shares := []float64{0.01, 0.5, 0.99, 1}
	for i, got := range l.quantiles(shares...) {
		want := all[max(int(math.Ceil(shares[i]*float64(len(all))))-1, 0)]
		require.GreaterOrEqual(t, got, want)
		require.LessOrEqual(t, float64(got), 1.25*float64(want)+1)
	}
}
