package main

import (
	"context"
	"sync"
	"time"
)

// worker does one request after the other; it belongs to one goroutine at a time.
type worker interface {
	// do sends a request and waits for its answer. A note is counted under its name;
	// failed says that it stands for an error.
	do() (note string, failed bool)
}

// result is what has come of one run.
type result struct {
	latency histogram // of all requests, failed ones too
	late    histogram // how long after its time an open loop's request was handed over
	ok      int64
	notes   map[string]int64
	failed  int64
	took    time.Duration
}

// perSecond is how many requests succeeded in a second.
func (r *result) perSecond() float64 {
	if r.took <= 0 {
		return 0
	}
	return float64(r.ok) / r.took.Seconds()
}

func (r *result) one(w worker, since time.Time) {
	note, failed := w.do()
	r.latency.add(time.Since(since))
	if failed {
		r.failed++
	} else {
		r.ok++
	}
	if note != "" {
		r.notes[note]++
	}
}

func (r *result) merge(o *result) {
	r.latency.merge(&o.latency)
	r.ok += o.ok
	r.failed += o.failed
	for k, n := range o.notes {
		r.notes[k] += n
	}
}

func newResult() *result { return &result{notes: map[string]int64{}} }

// closedLoop lets every worker send its next request when the last one is answered. It
// shows what the store can do, and nothing about how long users would wait: while the
// store stalls, nobody asks.
func closedLoop(ctx context.Context, workers []worker, d time.Duration) *result {
	start := time.Now()
	total := each(workers, func(w worker, r *result) {
		for ctx.Err() == nil {
			now := time.Now()
			if now.Sub(start) >= d {
				return
			}
			r.one(w, now)
		}
	})
	total.took = time.Since(start)
	return total
}

// openLoop sends requests when they are due, whatever became of those before, and counts
// latency from then: a request that had to wait for a free worker has waited, and a stall
// is felt by all who came while it lasted. The run goes on until all are answered.
//
// Pause waits, as time.Sleep does; it runs on one goroutine.
func openLoop(ctx context.Context, workers []worker, a *arrivals, d time.Duration, pause func(time.Duration)) *result {
	start := time.Now()
	due := make(chan time.Time, 1<<16) // once it is full its sender is late, and the times still count
	var late histogram
	var sender sync.WaitGroup
	sender.Go(func() {
		defer close(due)
		for at := a.next(); at < d && ctx.Err() == nil; at = a.next() {
			if wait := at - time.Since(start); wait > 0 {
				pause(wait)
			}
			late.add(time.Since(start) - at)
			due <- start.Add(at)
		}
	})
	total := each(workers, func(w worker, r *result) {
		for at := range due {
			if ctx.Err() == nil {
				r.one(w, at)
			}
		}
	})
	sender.Wait()
	total.took = time.Since(start)
	total.late = late
	return total
}

// each runs f for every worker and adds the results up.
func each(workers []worker, f func(worker, *result)) *result {
	results := make([]*result, len(workers))
	var wg sync.WaitGroup
	for i, w := range workers {
		results[i] = newResult()
		wg.Go(func() { f(w, results[i]) })
	}
	wg.Wait()
	total := newResult()
	for _, r := range results {
		total.merge(r)
	}
	return total
}
