package frontier

import (
	"math"
	"time"
)

// When is a page to be visited again? Pages change like a Poisson process, each at a rate
// of its own. A visit shows whether the page changed at least once in the time t since the
// visit before, so the likelihood of the rate r is
//
//	1 - exp(-r t)   if it changed        exp(-r t)   if not
//
// One step along its gradient, by the logarithm of r, after each visit:
//
//	r t exp(-r t) / (1 - exp(-r t))      -r t
//
// with steps that grow smaller converges to the most likely rate, needs four bytes a page,
// and works for visits at any distance. (Cho, Garcia-Molina, "Estimating frequency of
// change", 2003, show why counting changes does not.) The steps stop shrinking after a
// while, so that a page that changes its ways is found out.
//
// The next visit is due when the page has changed with probability 1/2, bounded by
// Options.RecrawlMin and RecrawlMax. So the pause is cut for a page that is found changed
// each time, and grows for one that never is.

const (
	minRate = -30 // logarithms of changes a second: one in 300,000 years …
	maxRate = 5   // … to a hundred

	maxStep = 1.5  // first steps
	minStep = 0.15 // and those of a page that is known
)

// rateFor is the rate of a page that has changed with probability 1/2 after a pause.
func rateFor(pause time.Duration) float64 {
	return math.Log(math.Ln2 / max(pause.Seconds(), 1e-3))
}

// learn returns the rate after a visit so long after the one before.
func learn(rate float64, visits uint32, elapsed time.Duration, changed bool) float64 {
	x := math.Exp(rate) * max(elapsed.Seconds(), 1e-3)
	grad := -x
	if changed {
		grad = 1
		if x > 1e-9 {
			grad = x * math.Exp(-x) / -math.Expm1(-x)
		}
	}
	step := max(2*maxStep/float64(visits+1), minStep)
	// A long absence without a change says much, but not more than a factor of four.
	return rate + min(max(step*grad, -2*math.Ln2), 2*math.Ln2)
}

// next notes the visit that ends now in the entry, and returns the pause until the next.
func (o *Options) next(e *entry, now int64, r Result) time.Duration {
	every := min(max(r.Every, o.RecrawlMin), o.RecrawlMax)
	rate := rateFor(every)
	if e.visits > 0 {
		elapsed := time.Duration(max(foundTime(now)-e.last, 0)) * time.Second
		rate = learn(float64(e.rate), e.visits, elapsed, r.Changed)
	}
	low, high := rateFor(o.RecrawlMax), rateFor(o.RecrawlMin)
	rate = min(max(rate, low-1, minRate), high+1, maxRate)
	if e.visits < math.MaxUint32 {
		e.visits++
	}
	e.attempts, e.last, e.rate = 0, foundTime(now), float32(rate)
	seconds := math.Ln2 / math.Exp(rate)
	return min(max(time.Duration(seconds*float64(time.Second)), o.RecrawlMin), o.RecrawlMax)
}
