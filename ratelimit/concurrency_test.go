package ratelimit

import (
	"container/heap"
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/internal/testkit"
)

func TestConcurrencyOptions(t *testing.T) {
	for _, o := range []ConcurrencyOptions{
		{Limit: -1},
		{Min: 5, Limit: 2},
		{Max: 3, Limit: 4},
		{Min: -1},
		{Adaptation: 9},
		{MaxQueue: -1},
		{MaxWait: -1},
		{Timeout: -1},
		{Window: -1},
		{Memory: -1},
		{Max: 1 << 30},
	} {
		_, err := NewConcurrency(o)
		require.ErrorIs(t, err, ErrOptions, "%+v", o)
	}
	require.Equal(t, "vegas", Vegas.String())
	require.Equal(t, "adaptation(9)", Adaptation(9).String())
}

func TestPermits(t *testing.T) {
	c, err := NewConcurrency(ConcurrencyOptions{Limit: 2})
	require.NoError(t, err)
	a, ok := c.TryAcquire()
	require.True(t, ok)
	b, err := c.Acquire(t.Context())
	require.NoError(t, err)
	_, ok = c.TryAcquire()
	require.False(t, ok)
	_, err = c.Acquire(t.Context())
	require.ErrorIs(t, err, ErrFull)
	a.Done(OK)
	a.Done(OK) // again is nothing
	Permit{}.Done(OK)
	require.Equal(t, 1, c.Stats().InFlight)
	again, ok := c.TryAcquire()
	require.True(t, ok)
	a.Done(OK) // not this one's
	require.Equal(t, 2, c.Stats().InFlight)
	again.Done(Dropped)
	b.Done(Ignore)
	require.Zero(t, c.Stats().InFlight)
	require.EqualValues(t, 1, c.Stats().Dropped)
}

func TestQueueServesByPriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := NewConcurrency(ConcurrencyOptions{Limit: 1, MaxQueue: 4})
		require.NoError(t, err)
		p, err := c.Acquire(t.Context())
		require.NoError(t, err)
		var order []int
		var dropped atomic.Int32
		var wg sync.WaitGroup
		for i, priority := range []int{0, 5, 0, 1, 5, -1} { // the last but one drops the later 0
			wg.Go(func() {
				p, err := c.AcquirePriority(t.Context(), priority)
				if err != nil {
					require.ErrorIs(t, err, ErrFull)
					dropped.Add(1)
					return
				}
				order = append(order, i)
				p.Done(OK)
			})
			synctest.Wait()
		}
		p.Done(OK)
		wg.Wait()
		require.Equal(t, []int{1, 4, 3, 0}, order)
		require.EqualValues(t, 2, dropped.Load())
	})
}

func TestQueueDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := NewConcurrency(ConcurrencyOptions{Limit: 1, MaxQueue: 4, MaxWait: time.Second})
		require.NoError(t, err)
		p, err := c.Acquire(t.Context())
		require.NoError(t, err)
		_, err = c.Acquire(t.Context())
		require.ErrorIs(t, err, ErrDeadline)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err = c.Acquire(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		_, err = c.Acquire(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.Zero(t, c.Stats().Waiting)
		p.Done(OK)
		require.Zero(t, c.Stats().InFlight)
	})
}

func TestConcurrencyRace(t *testing.T) {
	for _, a := range []Adaptation{Fixed, Vegas} {
		c, err := NewConcurrency(ConcurrencyOptions{Adaptation: a, Limit: 3, Max: 3, MaxQueue: 10, Window: time.Microsecond})
		require.NoError(t, err)
		var flying atomic.Int32
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				for i := range 500 {
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Microsecond)
					if p, err := c.AcquirePriority(ctx, g%3); err == nil {
						if flying.Add(1) > 3 {
							t.Error("too many")
						}
						flying.Add(-1)
						p.Done(Outcome(i % 3))
					}
					cancel()
				}
			})
		}
		wg.Wait()
		st := c.Stats()
		require.Zero(t, st.InFlight)
		require.Zero(t, st.Waiting)
	}
}

// world is a server with workers, a queue before them, and clients that send too much, on
// a clock that jumps from event to event.
type world struct {
	clock   hand
	rng     *rand.Rand
	service time.Duration
	workers []int64 // when each is free
	ends    completions
	c       *Concurrency
	done    int
	took    []time.Duration
	limits  []int
}

type completion struct {
	at, since int64
	p         Permit
}

type completions []completion

func (q completions) Len() int           { return len(q) }
func (q completions) Less(i, j int) bool { return q[i].at < q[j].at }
func (q completions) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *completions) Push(x any)        { *q = append(*q, x.(completion)) }
func (q *completions) Pop() any {
	n := len(*q) - 1
	x := (*q)[n]
	*q = (*q)[:n]
	return x
}

func (w *world) run(d time.Duration, everyNs int64) {
	w.done, w.took, w.limits = 0, nil, nil
	end := w.clock.ns.Load() + int64(d)
	for next := w.clock.ns.Load(); next < end; {
		if len(w.ends) > 0 && w.ends[0].at <= next {
			e := heap.Pop(&w.ends).(completion)
			w.clock.ns.Store(e.at)
			e.p.Done(OK)
			w.done++
			w.took = append(w.took, time.Duration(e.at-e.since))
			continue
		}
		w.clock.ns.Store(next)
		w.limits = append(w.limits, w.c.Limit())
		if p, ok := w.c.TryAcquire(); ok {
			i := 0
			for j := range w.workers {
				if w.workers[j] < w.workers[i] {
					i = j
				}
			}
			at := max(w.workers[i], next) + int64(float64(w.service)*(0.8+0.4*w.rng.Float64()))
			w.workers[i] = at
			heap.Push(&w.ends, completion{at, next, p})
		}
		next += int64(float64(everyNs) * 2 * w.rng.Float64())
	}
}

func (w *world) p99() time.Duration {
	slices.Sort(w.took)
	return w.took[len(w.took)*99/100]
}

func (w *world) meanLimit() float64 {
	sum := 0
	for _, l := range w.limits {
		sum += l
	}
	return float64(sum) / float64(len(w.limits))
}

// The story that other libraries get wrong: fifty workers, latency ten times as high for
// five minutes, and back.
func TestAdaptiveLimitsThroughAnIncident(t *testing.T) {
	if testing.Short() {
		t.Skip("short: seven simulated minutes for each algorithm")
	}
	seed := testkit.Seed(t)
	const workers, normal = 50, 100 * time.Millisecond
	start := func(a Adaptation, limit int) *world {
		w := &world{rng: rand.New(rand.NewPCG(seed, 1)), service: normal, workers: make([]int64, workers)}
		var err error
		w.c, err = NewConcurrency(ConcurrencyOptions{Adaptation: a, Limit: limit, Now: w.clock.now})
		require.NoError(t, err)
		return w
	}
	every := int64(normal) / workers / 2 // twice what the server can do
	best := 0
	for _, limit := range []int{50, 55, 60} {
		w := start(Fixed, limit)
		w.run(30*time.Second, every)
		w.run(time.Minute, every)
		best = max(best, w.done)
	}
	for _, a := range []Adaptation{Gradient, Vegas} {
		for _, first := range []int{5, 20, 400} {
			t.Run(a.String(), func(t *testing.T) {
				w := start(a, first)
				w.run(2*time.Minute, every)
				w.run(time.Minute, every)
				require.InDelta(t, workers, w.meanLimit(), workers/5, "before")
				require.GreaterOrEqual(t, float64(w.done), 0.95*float64(best), "goodput")
				require.LessOrEqual(t, w.p99(), 2*normal*12/10)
				before := slices.Max(w.limits)

				w.service = 10 * normal
				w.run(5*time.Minute, every)
				require.LessOrEqual(t, slices.Max(w.limits), before+5, "it must not grow in the incident")
				require.GreaterOrEqual(t, w.done, 50*5*60*8/10, "what the slow server can do is used")

				w.service = normal
				w.run(time.Minute, every)
				w.run(time.Minute, every)
				require.InDelta(t, workers, w.meanLimit(), workers/5, "after")
			})
		}
	}
}

// A server that loses half of its workers: latency is the limiter's own queue, and the
// limit follows.
func TestAdaptiveLimitFollowsCapacity(t *testing.T) {
	if testing.Short() {
		t.Skip("short: simulated minutes")
	}
	for _, a := range []Adaptation{Gradient, Vegas} {
		w := &world{rng: testkit.Rand(t), service: 100 * time.Millisecond, workers: make([]int64, 50)}
		var err error
		w.c, err = NewConcurrency(ConcurrencyOptions{Adaptation: a, Now: w.clock.now})
		require.NoError(t, err)
		w.run(time.Minute, int64(time.Millisecond))
		w.workers = w.workers[:25]
		w.run(time.Minute, int64(time.Millisecond))
		w.run(time.Minute, int64(time.Millisecond))
		require.InDelta(t, 25, w.meanLimit(), 8, "%v", a)
		w.workers = make([]int64, 50)
		w.run(time.Minute, int64(time.Millisecond))
		w.run(time.Minute, int64(time.Millisecond))
		require.InDelta(t, 50, w.meanLimit(), 10, "%v", a)
	}
}

func TestAIMDFollowsDrops(t *testing.T) {
	clock := &hand{}
	var changes int
	c, err := NewConcurrency(ConcurrencyOptions{
		Adaptation: AIMD, Limit: 20, Max: 30, Timeout: time.Second, Now: clock.now,
		OnChange: func(int, int) { changes++ },
	})
	require.NoError(t, err)
	round := func(took time.Duration, o Outcome) {
		var ps []Permit
		for {
			p, ok := c.TryAcquire()
			if !ok {
				break
			}
			ps = append(ps, p)
		}
		clock.advance(took)
		for _, p := range ps {
			p.Done(o)
		}
	}
	for range 60 {
		round(200*time.Millisecond, OK)
	}
	require.Equal(t, 30, c.Limit())
	for range 2 {
		round(200*time.Millisecond, Dropped) // sixty: one window
	}
	require.Equal(t, 27, c.Limit())
	for range 2 {
		round(2*time.Second, OK) // longer than Timeout
	}
	require.Equal(t, 25, c.Limit())
	round(2*time.Second, Ignore)
	require.Equal(t, 25, c.Limit())
	require.Positive(t, changes)
}
