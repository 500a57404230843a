package main

import (
	"math"
	"math/bits"
	"time"
)

// A histogram counts durations in buckets whose width grows with the value, so that it has
// a fixed size and the same relative error everywhere:
//
//	0 … 255 ns       one bucket for each nanosecond
//	256 … 511        128 buckets of 2 ns
//	512 … 1023       128 buckets of 4 ns, and so on by powers of two
//
// A bucket is at most 1/128 of its lower end wide and stands for its middle: a quantile is
// off by 0.4 % at most. The idea is that of HdrHistogram. Not safe for concurrent use;
// each worker fills its own, and they are added up at the end.
type histogram struct {
	counts [buckets]int64
	n      int64
	sum    float64
	max    time.Duration
}

const (
	subBits = 7
	sub     = 1 << subBits
	expMax  = 33 // the last octave ends at 2^41 ns, 36 minutes; what is longer counts there
	buckets = (expMax + 2) * sub
)

// bucketOf is the index of a duration's bucket.
func bucketOf(d time.Duration) int {
	v := uint64(max(d, 0))
	exp := max(bits.Len64(v)-subBits-1, 0)
	if exp > expMax {
		return buckets - 1
	}
	// The leading bit of v>>exp is counted in, hence one octave more for exp 0.
	return exp*sub + int(v>>exp)
}

// middle is the value that a bucket stands for.
func middle(i int) time.Duration {
	if i < 2*sub {
		return time.Duration(i)
	}
	exp := i/sub - 1
	low := uint64(i-exp*sub) << exp
	return time.Duration(low + 1<<exp/2)
}

// add counts one duration; less than nothing is nothing.
func (h *histogram) add(d time.Duration) {
	h.counts[bucketOf(d)]++
	h.n++
	h.sum += float64(max(d, 0))
	h.max = max(h.max, d)
}

// merge adds what another one has counted.
func (h *histogram) merge(o *histogram) {
	for i, c := range o.counts {
		h.counts[i] += c
	}
	h.n += o.n
	h.sum += o.sum
	h.max = max(h.max, o.max)
}

// quantile is the least duration that a fraction q of all does not exceed; 0 if there is
// none.
func (h *histogram) quantile(q float64) time.Duration {
	rank := max(int64(math.Ceil(q*float64(h.n))), 1)
	var seen int64
	for i, c := range h.counts {
		if seen += c; seen >= rank && c > 0 {
			if i == buckets-1 {
				return h.max
			}
			return min(middle(i), h.max)
		}
	}
	return h.max
}

func (h *histogram) mean() time.Duration {
	if h.n == 0 {
		return 0
	}
	return time.Duration(h.sum / float64(h.n))
}
