// Package sim replays traces of keys against the policies of package cache, and against
// Belady's optimum, which knows the future: how far is a policy from the best that any
// could do?
//
//	trace := sim.Zipf(1_000_000, 50_000, 1.0, 1)
//	fmt.Println(sim.Run(cache.Adaptive, 1000, trace, 1), sim.Belady(1000, trace))
//
// Run drives the real cache, not a model of it. With a seed other than 0 the result is
// reproducible; the adaptive policy depends on the seed by some tenths of a point, so
// compare means over several.
//
// The command cache/sim/cachesim prints tables and draws curves.
package sim

import (
	"container/heap"
	"fmt"
	"math"

	"github.com/ashlar-go/ashlar/cache"
)

// Result is what a replay counted.
type Result struct {
	Requests, Hits int
}

// Ratio is hits over requests, 0 for an empty trace.
func (r Result) Ratio() float64 {
	if r.Requests == 0 {
		return 0
	}
	return float64(r.Hits) / float64(r.Requests)
}

func (r Result) String() string { return fmt.Sprintf("%.2f %%", 100*r.Ratio()) }

// Run replays a trace, one Get a request and a Set after each miss, on a new cache of so
// many entries.
func Run(p cache.Policy, entries int, trace []uint64, seed uint64) (Result, error) {
	o := cache.Options[uint64, struct{}]{MaxEntries: entries, Policy: p, Seed: seed}
	if p == cache.Unbounded {
		o.MaxEntries = 0
	}
	c, err := cache.New(o)
	if err != nil {
		return Result{}, err
	}
	r := Result{Requests: len(trace)}
	for _, k := range trace {
		if _, ok := c.Get(k); ok {
			r.Hits++
		} else {
			c.Set(k, struct{}{})
		}
	}
	return r, nil
}

// Belady replays a trace on the cache that always evicts the key whose next use is
// furthest away: no policy that stores every missed key can hit more often. It takes
// O(n log n) time for n requests.
//
// Source: Belady, "A study of replacement algorithms for a virtual-storage computer" (1966).
func Belady(entries int, trace []uint64) Result {
	r := Result{Requests: len(trace)}
	if entries <= 0 {
		return r
	}
	next := make([]int, len(trace))
	last := map[uint64]int{}
	for i := len(trace) - 1; i >= 0; i-- {
		next[i] = math.MaxInt
		if j, ok := last[trace[i]]; ok {
			next[i] = j
		}
		last[trace[i]] = i
	}
	resident := map[uint64]int{} // key → its next use
	var far farthest
	for i, k := range trace {
		if _, ok := resident[k]; ok {
			r.Hits++
		} else if len(resident) == entries {
			for {
				v := heap.Pop(&far).(use)
				if resident[v.key] == v.next { // not one that was used since
					delete(resident, v.key)
					break
				}
			}
		}
		resident[k] = next[i]
		heap.Push(&far, use{k, next[i]})
	}
	return r
}

type use struct {
	key  uint64
	next int
}

// farthest is a heap whose top is used latest.
type farthest []use

func (h farthest) Len() int           { return len(h) }
func (h farthest) Less(i, j int) bool { return h[i].next > h[j].next }
func (h farthest) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *farthest) Push(x any)        { *h = append(*h, x.(use)) }

func (h *farthest) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
