package router

import (
	"math/bits"
	"sync"
	"sync/atomic"
	"time"
)

// Counters count since the router's start.
type Counters struct {
	Requests, Errors, Limited  atomic.Uint64 // suggestions asked for; failed; refused by the limit
	Hits, Misses, Degraded     atomic.Uint64 // answered from the cache; by nodes; without all the nodes
	Searches, Picked           atomic.Uint64 // logged; of them, those that were suggestions
	Rebuilds, RebuildsRefused  atomic.Uint64
	NodeFailures, BatchQueries atomic.Uint64
}

// histogram counts durations in buckets that are a quarter of a power of two wide: a
// quantile is known to 12 per cent.
type histogram struct {
	counts [64 * 4]atomic.Uint64
	total  atomic.Uint64
}

func bucket(d time.Duration) int {
	n := uint64(max(d, 4))
	top := bits.Len64(n) - 1
	return top*4 + int(n>>(top-2)&3)
}

// upper is where a bucket ends.
func upper(b int) time.Duration {
	top, part := max(b/4, 2), uint64(b%4)
	return time.Duration((4 + part + 1) << (top - 2)) // bucket gives no top below 2
}

func (h *histogram) add(d time.Duration) {
	h.counts[bucket(d)].Add(1)
	h.total.Add(1)
}

// latency is a histogram of the last ten to twenty seconds.
type latency struct {
	mu       sync.Mutex
	now, was atomic.Pointer[histogram]
	turned   time.Time // guarded by mu
	rate     float64   // guarded by mu: requests per second before the last turn
}

const turn = 10 * time.Second

func newLatency(now time.Time) *latency {
	l := &latency{turned: now}
	l.now.Store(&histogram{})
	l.was.Store(&histogram{})
	return l
}

func (l *latency) add(d time.Duration) { l.now.Load().add(d) }

// Latency is what people waited lately.
type Latency struct {
	P50, P95, P99 time.Duration
	Rate          float64 // requests per second
}

// look turns the histograms over if it is time, and reads them.
func (l *latency) look(now time.Time) Latency {
	l.mu.Lock()
	defer l.mu.Unlock()
	if age := now.Sub(l.turned); age >= turn {
		h := l.now.Swap(&histogram{})
		l.rate = float64(h.total.Load()) / age.Seconds()
		l.was.Store(h)
		l.turned = now
	}
	var counts [64 * 4]uint64
	total := uint64(0)
	for _, h := range []*histogram{l.now.Load(), l.was.Load()} {
		for i := range counts {
			n := h.counts[i].Load()
			counts[i] += n
			total += n
		}
	}
	quantile := func(q float64) time.Duration {
		sum := uint64(0)
		for i, n := range counts {
			if sum += n; n > 0 && float64(sum) >= q*float64(total) {
				return upper(i)
			}
		}
		return 0
	}
	s := Latency{P50: quantile(0.5), P95: quantile(0.95), P99: quantile(0.99), Rate: l.rate}
	if age := now.Sub(l.turned).Seconds(); age >= 1 {
		s.Rate = float64(l.now.Load().total.Load()) / age
	}
	return s
}
