package main

import (
	"context"
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// fake serves requests one at a time in a time of its own and stalls once.
type fake struct {
	takes   time.Duration
	stallAt int // number of the request
	stall   time.Duration
	n       int
}

func (f *fake) do() (string, bool) {
	f.n++
	d := f.takes
	if f.n == f.stallAt {
		d = f.stall
	}
	time.Sleep(d)
	switch {
	case f.n%10 == 0:
		return "odd", false
	case f.n%25 == 0:
		return "broken", true
	}
	return "", false
}

func TestClosedLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := closedLoop(t.Context(), []worker{&fake{takes: time.Millisecond}, &fake{takes: time.Millisecond}}, time.Second)
		require.EqualValues(t, 2000, r.latency.n)
		require.EqualValues(t, 2000-r.failed, r.ok)
		require.Equal(t, map[string]int64{"odd": 200, "broken": 40}, r.notes)
		require.EqualValues(t, 40, r.failed)
		require.Equal(t, time.Second, r.took)
		require.InDelta(t, 1960, r.perSecond(), 1e-9)
		requireClose(t, time.Millisecond, r.latency.quantile(0.5), "p50")
	})
}

// A server that stalls for a second: the closed loop sees one slow request, the open loop
// all those who came meanwhile.
func TestNoCoordinatedOmission(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stalls := func() []worker {
			return []worker{&fake{takes: 10 * time.Microsecond, stallAt: 1000, stall: time.Second}}
		}
		closed := closedLoop(t.Context(), stalls(), 5*time.Second)
		require.Less(t, closed.latency.quantile(0.999), time.Millisecond, "what a closed loop would have us believe")

		open := openLoop(t.Context(), stalls(), newArrivals(rand.New(rand.NewPCG(1, 1)), 1000), 5*time.Second, time.Sleep)
		require.InDelta(t, 5000, open.latency.n, 300)
		// A fifth of the requests came during the stall; one in the middle of it waited for half.
		require.InDelta(t, 0.5, open.latency.quantile(0.9).Seconds(), 0.06)
		require.InDelta(t, 0.95, open.latency.quantile(0.99).Seconds(), 0.02)
		require.Equal(t, time.Duration(0), open.late.max)
	})
}

// A sender that is late does not hide it: what counts is when the request was due.
func TestLateSenderCounts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		once := true
		pause := func(d time.Duration) {
			if once {
				once = false
				d += time.Second
			}
			time.Sleep(d)
		}
		r := openLoop(t.Context(), []worker{&fake{}}, newArrivals(rand.New(rand.NewPCG(1, 1)), 1000), 2*time.Second, pause)
		require.InDelta(t, 1, r.late.max.Seconds(), 0.01)
		require.InDelta(t, 1, r.latency.max.Seconds(), 0.01)
		require.InDelta(t, 0.5, r.latency.quantile(0.75).Seconds(), 0.06)
	})
}

func TestLoopsStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		r := closedLoop(ctx, []worker{&fake{takes: time.Millisecond}}, time.Hour)
		require.InDelta(t, 100, r.took.Milliseconds(), 2)
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(100*time.Millisecond, cancel)
		r = openLoop(ctx, []worker{&fake{takes: time.Millisecond}}, newArrivals(rand.New(rand.NewPCG(1, 1)), 1e4), time.Hour, time.Sleep)
		require.InDelta(t, 100, r.took.Milliseconds(), 2)
	})
}
