// Package simnet is time and a network for tests: one goroutine runs everything that
// happens, in an order that a seed decides, so that a run can be had again.
package simnet

import (
	"container/heap"
	"math/rand/v2"
)

// World is a clock with what is still to happen. It is not safe for concurrent use.
type World struct {
	Rand *rand.Rand

	now    int64
	seq    uint64
	events events
}

// New makes a world at time 1.
func New(seed uint64) *World {
	return &World{Rand: rand.New(rand.NewPCG(seed, 0x5eed)), now: 1}
}

// Now is the time in milliseconds.
func (w *World) Now() int64 { return w.now }

// After lets f happen so many milliseconds from now, after all that was to happen at
// that time before.
func (w *World) After(ms int64, f func()) {
	w.seq++
	heap.Push(&w.events, event{at: w.now + max(ms, 0), seq: w.seq, do: f})
}

// Run lets things happen until a time, or until nothing is left.
func (w *World) Run(until int64) {
	for len(w.events) > 0 && w.events[0].at <= until {
		e := heap.Pop(&w.events).(event)
		w.now = e.at
		e.do()
	}
	w.now = max(w.now, until)
}

// Chance is true with probability p.
func (w *World) Chance(p float64) bool { return w.Rand.Float64() < p }

// Between is a number from lo to hi, both included.
func (w *World) Between(lo, hi int64) int64 { return lo + w.Rand.Int64N(hi-lo+1) }

type event struct {
	at  int64
	seq uint64
	do  func()
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].seq < e[j].seq
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any)   { *e = append(*e, x.(event)) }
func (e *events) Pop() any {
	old := *e
	last := old[len(old)-1]
	old[len(old)-1] = event{}
	*e = old[:len(old)-1]
	return last
}
