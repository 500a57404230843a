package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// exact is the definition: nearest rank in the sorted samples.
func exact(sorted []time.Duration, q float64) time.Duration {
	return sorted[max(int(math.Ceil(q*float64(len(sorted)))), 1)-1]
}

var quantiles = []float64{0, 0.001, 0.25, 0.5, 0.9, 0.99, 0.999, 1}

func requireClose(t rapid.TB, want, got time.Duration, what any) {
	t.Helper()
	if diff := math.Abs(float64(got - want)); diff > 0.01*float64(want) {
		t.Fatalf("%v: %v, want %v within 1 %%", what, got, want)
	}
}

func TestQuantilesAgainstSortedSamples(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		samples := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) time.Duration {
			return time.Duration(rapid.Int64Range(0, 1<<rapid.IntRange(0, 41).Draw(t, "bits")).Draw(t, "d"))
		}), 1, 300).Draw(t, "samples")
		var h, a, b histogram
		for i, d := range samples {
			h.add(d)
			if i%2 == 0 {
				a.add(d)
			} else {
				b.add(d)
			}
		}
		a.merge(&b)
		if a != h {
			t.Fatal("two halves are not the whole")
		}
		slices.Sort(samples)
		for _, q := range quantiles {
			requireClose(t, exact(samples, q), h.quantile(q), q)
		}
		if h.max != samples[len(samples)-1] || h.n != int64(len(samples)) {
			t.Fatal("max or n")
		}
	})
}

func TestLatencyLikeSamples(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var h histogram
	var all []time.Duration
	var sum float64
	for range 200_000 {
		d := time.Duration(math.Exp(rng.NormFloat64()*1.5+12) * (1 + 50*math.Floor(rng.Float64()*1.001)))
		h.add(d)
		all = append(all, d)
		sum += float64(d)
	}
	slices.Sort(all)
	for _, q := range quantiles {
		requireClose(t, exact(all, q), h.quantile(q), q)
	}
	requireClose(t, time.Duration(sum/float64(len(all))), h.mean(), "mean")
}

func TestEveryBucket(t *testing.T) {
	for i := range buckets - 1 {
		require.Equal(t, i, bucketOf(middle(i)), "a bucket holds its middle")
		if i > 0 {
			require.Less(t, middle(i-1), middle(i))
		}
	}
}

func TestOddDurations(t *testing.T) {
	var h histogram
	require.Zero(t, h.quantile(0.5))
	require.Zero(t, h.mean())
	h.add(-5)
	require.Zero(t, h.quantile(1))
	h.add(math.MaxInt64)
	require.Equal(t, time.Duration(math.MaxInt64), h.quantile(1), "what is off the scale is its maximum")
	require.Zero(t, testing.AllocsPerRun(100, func() { h.add(time.Millisecond) }))
}
