package main

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The gaps are exponential: their empirical distribution keeps within the bound of
// Kolmogorov and Smirnov, which a right one misses once in a thousand seeds.
func TestArrivalsArePoisson(t *testing.T) {
	const n, rate = 50_000, 4000.0
	a := newArrivals(rand.New(rand.NewPCG(1, 2)), rate)
	gaps := make([]float64, n)
	perBin := map[time.Duration]float64{}
	last := time.Duration(0)
	for i := range gaps {
		at := a.next()
		require.GreaterOrEqual(t, at, last)
		gaps[i] = (at - last).Seconds()
		last = at
		perBin[at/(10*time.Millisecond)]++
	}
	slices.Sort(gaps)
	worst := 0.0
	for i, g := range gaps {
		want := 1 - math.Exp(-rate*g)
		worst = max(worst, math.Abs(want-float64(i)/n), math.Abs(want-float64(i+1)/n))
	}
	require.Less(t, worst, 1.95/math.Sqrt(n))
	// Independent: the counts of equal spans have the variance of their mean.
	bins := int(last / (10 * time.Millisecond))
	mean, variance := rate/100, 0.0
	for i := range bins {
		d := perBin[time.Duration(i)] - mean
		variance += d * d
	}
	require.InDelta(t, 1, variance/float64(bins)/mean, 0.15)
}

func TestZipfAgainstDefinition(t *testing.T) {
	const n, draws, s = 1000, 400_000, 0.99
	c := newChooser(n, s)
	rng := rand.New(rand.NewPCG(3, 4))
	var counts [n]float64
	for range draws {
		counts[c.draw(rng)]++
	}
	sum := 0.0
	for k := 1; k <= n; k++ {
		sum += math.Pow(float64(k), -s)
	}
	chi := 0.0
	for k := range n {
		want := draws * math.Pow(float64(k+1), -s) / sum
		chi += (counts[k] - want) * (counts[k] - want) / want
	}
	// 999 degrees of freedom: mean 999, standard deviation 45.
	require.Less(t, chi, 999+4*45.0)
}

func TestUniform(t *testing.T) {
	const n, draws = 1000, 400_000
	c := newChooser(n, 0)
	rng := rand.New(rand.NewPCG(5, 6))
	var counts [n]float64
	for range draws {
		counts[c.draw(rng)]++
	}
	chi := 0.0
	for _, x := range counts {
		chi += (x - draws/n) * (x - draws/n) / (draws / n)
	}
	require.Less(t, chi, 999+4*45.0)
	require.Zero(t, newChooser(1, 0.99).draw(rng))
	require.Zero(t, newChooser(1, 0).draw(rng))
}
