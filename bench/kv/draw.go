package main

import (
	"math"
	"math/rand/v2"
	"sort"
	"time"
)

// arrivals is a Poisson process: the gaps between requests are independent and
// exponential, as those of many users who do not know of each other.
type arrivals struct {
	rng  *rand.Rand
	gap  float64 // mean, nanoseconds
	last float64
}

func newArrivals(rng *rand.Rand, perSecond float64) *arrivals {
	return &arrivals{rng: rng, gap: float64(time.Second) / perSecond}
}

// next is when the next request is due, from the start.
func (a *arrivals) next() time.Duration {
	a.last += a.rng.ExpFloat64() * a.gap
	return time.Duration(a.last)
}

// chooser draws keys, numbers from 0. The zero exponent draws all alike, otherwise the
// k-th key is drawn in proportion to 1/k^s. (rand.Zipf wants s over 1; the customary 0.99
// is not.) It is read-only after it is made.
type chooser struct {
	n   int
	cdf []float64 // of a Zipf law; nil: uniform
}

func newChooser(n int, s float64) *chooser {
	c := &chooser{n: n}
	if s == 0 {
		return c
	}
	c.cdf = make([]float64, n)
	sum := 0.0
	for k := range c.cdf {
		sum += math.Pow(float64(k+1), -s)
		c.cdf[k] = sum
	}
	return c
}

func (c *chooser) draw(rng *rand.Rand) int {
	if c.cdf == nil {
		return rng.IntN(c.n)
	}
	x := rng.Float64() * c.cdf[c.n-1]
	return min(sort.SearchFloat64s(c.cdf, x), c.n-1)
}
