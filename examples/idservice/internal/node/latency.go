package node

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// latency is a distribution of durations: four buckets to each power of two, so that a
// quantile is right to a quarter, in a kilobyte and one atomic addition a request.
type latency struct {
	n [4 * 63]atomic.Int64
}

func (l *latency) add(d time.Duration) { l.n[bucket(uint64(max(d, 0)))].Add(1) }

// bucket is the one for so many nanoseconds, which are below 2^63.
func bucket(ns uint64) int {
	if ns < 4 {
		return int(ns)
	}
	e := bits.Len64(ns) - 3 // ns is 4 to 7 times 2^e
	return 4*e + int(ns>>e)
}

// top is the most that a bucket holds.
func top(bucket int) time.Duration {
	if bucket < 4 {
		return time.Duration(bucket)
	}
	e := bucket/4 - 1
	return time.Duration(uint64(bucket-4*e+1)<<e - 1)
}

// quantiles are durations which so many of all do not exceed, for rising shares; 0 without
// any.
func (l *latency) quantiles(shares ...float64) []time.Duration {
	var counts [len(l.n)]int64
	var all, seen int64
	for i := range l.n {
		counts[i] = l.n[i].Load()
		all += counts[i]
	}
	out := make([]time.Duration, 0, len(shares))
	for i, n := range counts {
		seen += n
		for n > 0 && len(out) < len(shares) && float64(seen) >= shares[len(out)]*float64(all) {
			out = append(out, top(i))
		}
	}
	for len(out) < len(shares) {
		out = append(out, 0)
	}
	return out
}
