package ratelimit_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/internal/testkit"
	"github.com/ashlar-go/ashlar/ratelimit"
	"github.com/ashlar-go/ashlar/ratelimit/ratelimittest"
)

func memory(t testing.TB, o ratelimit.MemoryOptions) *ratelimit.Memory {
	m, err := ratelimit.NewMemory(o)
	require.NoError(t, err)
	return m
}

func TestMemory(t *testing.T) {
	ratelimittest.TestStore(t, func(t *testing.T) ratelimit.Store { return memory(t, ratelimit.MemoryOptions{}) })
}

func TestMemoryIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, err := ratelimit.NewMemory(ratelimit.MemoryOptions{MaxKeys: -1})
		require.ErrorIs(t, err, ratelimit.ErrOptions)
		m := memory(t, ratelimit.MemoryOptions{MaxKeys: 100})
		take := func(key int) error {
			return m.Take(t.Context(), []ratelimit.Request{{Key: fmt.Sprint(key), Limit: ratelimit.PerMinute(5), N: 1}}, make([]ratelimit.Decision, 1))
		}
		for i := range 100 {
			require.NoError(t, take(i))
		}
		for i := range 20 {
			require.ErrorIs(t, take(1000+i), ratelimit.ErrFull)
		}
		require.NoError(t, take(5))
		time.Sleep(time.Hour)
		admitted := 0
		for i := range 100 {
			if take(2000+i) == nil {
				admitted++
			}
		}
		require.Greater(t, admitted, 90)
	})
}

// sick is a store that fails, hangs and recovers as told.
type sick struct {
	ratelimit.Store
	mode  atomic.Int32
	calls atomic.Int32
	held  chan struct{} // ends hanging
}

const (
	well int32 = iota
	fails
	hangs    // until its context ends
	deaf     // until held is closed, whatever its context says
	panicked // panics
)

var errSick = errors.New("sick")

func (s *sick) Take(ctx context.Context, reqs []ratelimit.Request, dst []ratelimit.Decision) error {
	s.calls.Add(1)
	switch s.mode.Load() {
	case fails:
		return errSick
	case hangs:
		<-ctx.Done()
		return ctx.Err()
	case deaf:
		<-s.held
	case panicked:
		panic("sick")
	}
	return s.Store.Take(ctx, reqs, dst)
}

func TestSharedFailures(t *testing.T) {
	limit := ratelimit.PerHour(10)
	for _, mode := range []int32{fails, hangs, deaf, panicked} {
		for _, policy := range []ratelimit.Failure{ratelimit.FailLocal, ratelimit.FailOpen, ratelimit.FailClosed} {
			synctest.Test(t, func(t *testing.T) {
				st := &sick{Store: memory(t, ratelimit.MemoryOptions{}), held: make(chan struct{})}
				var changes []bool
				s, err := ratelimit.NewShared(st, ratelimit.SharedOptions{
					OnFailure: policy, Nodes: 2, OnBreaker: func(open bool, err error) {
						require.Equal(t, open, err != nil)
						changes = append(changes, open)
					},
				})
				require.NoError(t, err)
				req := ratelimit.Request{Key: "x", Limit: limit, N: 1}
				d, err := s.Take(t.Context(), req)
				require.NoError(t, err)
				require.True(t, d.OK && !d.Degraded)

				st.mode.Store(mode)
				calls, start := st.calls.Load(), time.Now()
				admitted := 0
				for range 20 {
					d, err := s.Take(t.Context(), req)
					require.NoError(t, err)
					require.True(t, d.Degraded)
					if d.OK {
						admitted++
					} else {
						require.Positive(t, d.RetryAfter)
					}
				}
				require.Equal(t, map[ratelimit.Failure]int{ratelimit.FailLocal: 5, ratelimit.FailOpen: 20, ratelimit.FailClosed: 0}[policy], admitted)
				require.LessOrEqual(t, time.Since(start), 50*time.Millisecond, "one timeout at most")
				require.Equal(t, calls+1, st.calls.Load(), "then the store is left alone")
				require.True(t, s.Stats().Open)

				time.Sleep(300 * time.Millisecond)
				start = time.Now()
				_, err = s.Take(t.Context(), req)
				require.NoError(t, err)
				require.Zero(t, time.Since(start), "no caller waits for a trial")
				time.Sleep(100 * time.Millisecond)
				require.True(t, s.Stats().Open)

				st.mode.Store(well)
				close(st.held)
				time.Sleep(300 * time.Millisecond)
				_, err = s.Take(t.Context(), req)
				require.NoError(t, err)
				synctest.Wait()
				d, err = s.Take(t.Context(), req)
				require.NoError(t, err)
				require.False(t, d.Degraded)
				require.EqualValues(t, 8, d.Remaining)
				require.Equal(t, []bool{true, false}, changes)
				require.NoError(t, s.Close())
				require.NoError(t, s.Close())
				_, err = s.Take(t.Context(), req)
				require.ErrorIs(t, err, ratelimit.ErrClosed)
				require.ErrorIs(t, s.Reset(t.Context(), "x"), ratelimit.ErrClosed)
			})
		}
	}
}

func TestSharedCallersContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &sick{Store: memory(t, ratelimit.MemoryOptions{})}
		st.mode.Store(hangs)
		s, err := ratelimit.NewShared(st, ratelimit.SharedOptions{})
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err = s.Take(ctx, ratelimit.Request{Key: "x", Limit: ratelimit.PerHour(1), N: 1})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.False(t, s.Stats().Open, "the caller's hurry is no failure of the store")
		// Close ends calls under way.
		done := make(chan error)
		go func() {
			_, err := s.Take(t.Context(), ratelimit.Request{Key: "x", Limit: ratelimit.PerHour(1), N: 1})
			done <- err
		}()
		synctest.Wait()
		require.NoError(t, s.Close())
		require.ErrorIs(t, <-done, ratelimit.ErrClosed)
	})
}

func TestSharedOptions(t *testing.T) {
	m := memory(t, ratelimit.MemoryOptions{})
	_, err := ratelimit.NewShared(nil, ratelimit.SharedOptions{})
	require.ErrorIs(t, err, ratelimit.ErrOptions)
	for _, o := range []ratelimit.SharedOptions{{Timeout: -1}, {Nodes: -1}, {Failures: -1}, {Cooldown: -1}, {Lease: -1}, {LeaseTime: -1}, {MaxCalls: -1}, {OnFailure: 9}} {
		_, err := ratelimit.NewShared(m, o)
		require.ErrorIs(t, err, ratelimit.ErrOptions)
	}
	s, err := ratelimit.NewShared(m, ratelimit.SharedOptions{})
	require.NoError(t, err)
	defer s.Close()
	_, err = s.Take(t.Context())
	require.ErrorIs(t, err, ratelimit.ErrOptions)
	_, err = s.Take(t.Context(), ratelimit.Request{Key: "x"})
	require.ErrorIs(t, err, ratelimit.ErrLimit)
	require.Zero(t, s.Stats().Calls)
}

func TestRefusedAreNotAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &sick{Store: memory(t, ratelimit.MemoryOptions{})}
		s, err := ratelimit.NewShared(st, ratelimit.SharedOptions{DenyCache: 50})
		require.NoError(t, err)
		defer s.Close()
		req := ratelimit.Request{Key: "x", Limit: ratelimit.PerMinute(6), N: 4}
		ok := func(n int64) bool {
			req.N = n
			d, err := s.Take(t.Context(), req, ratelimit.Request{Key: "y", Limit: ratelimit.PerHour(1000), N: 1})
			require.NoError(t, err)
			return d.OK
		}
		require.True(t, ok(4))
		require.False(t, ok(4))
		calls := st.calls.Load()
		for range 100 {
			require.False(t, ok(4))
		}
		require.Equal(t, calls, st.calls.Load())
		require.True(t, ok(2), "less may be admitted where more was refused")
		time.Sleep(41 * time.Second)
		require.True(t, ok(4))
		require.False(t, ok(4))
		require.NoError(t, s.Reset(t.Context(), "x"))
		require.True(t, ok(4))
		for i := range 500 {
			for range 2 {
				_, err := s.Take(t.Context(), ratelimit.Request{Key: fmt.Sprint(i), Limit: ratelimit.PerHour(1), N: 1})
				require.NoError(t, err)
			}
		}
		require.NotZero(t, s.Stats().Denied)
	})
}

func TestLeases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &sick{Store: memory(t, ratelimit.MemoryOptions{})}
		var nodes []*ratelimit.Shared
		for range 3 {
			s, err := ratelimit.NewShared(st, ratelimit.SharedOptions{Lease: 10})
			require.NoError(t, err)
			defer s.Close()
			nodes = append(nodes, s)
		}
		admitted := 0
		req := ratelimit.Request{Key: "x", Limit: ratelimit.PerHour(105), N: 1}
		for i := range 300 {
			d, err := nodes[i%3].Take(t.Context(), req)
			require.NoError(t, err)
			if d.OK {
				admitted++
			}
		}
		require.Equal(t, 105, admitted, "what is leased is all spent")
		require.LessOrEqual(t, st.calls.Load(), int32(30))
		// What is not spent in time is not spent.
		require.NoError(t, nodes[0].Reset(t.Context(), "x"))
		time.Sleep(time.Hour)
		_, err := nodes[0].Take(t.Context(), req)
		require.NoError(t, err)
		time.Sleep(2 * time.Second)
		calls := st.calls.Load()
		_, err = nodes[0].Take(t.Context(), req)
		require.NoError(t, err)
		require.Equal(t, calls+1, st.calls.Load())
		st.mode.Store(fails)
		for range 12 {
			_, err = nodes[0].Take(t.Context(), req)
			require.NoError(t, err)
		}
		require.True(t, nodes[0].Stats().Open)
	})
}

func TestSharedRace(t *testing.T) {
	st := &sick{Store: memory(t, ratelimit.MemoryOptions{})}
	s, err := ratelimit.NewShared(st, ratelimit.SharedOptions{Lease: 3, Cooldown: time.Microsecond, MaxCalls: 4})
	require.NoError(t, err)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 7))
			for range 300 {
				st.mode.Store(rng.Int32N(2))
				_, err := s.Take(t.Context(), ratelimit.Request{Key: fmt.Sprint(rng.IntN(5)), Limit: ratelimit.PerSecond(1000), N: 1 + rng.Int64N(2)})
				if err != nil && !errors.Is(err, ratelimit.ErrClosed) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, s.Close())
}

// Edges on one store admit no more than their bound in any time, and in the long run what
// one limiter would.
func TestEdgesKeepTheirBound(t *testing.T) {
	rng := testkit.Rand(t)
	for _, k := range []int{1, 2, 5} {
		synctest.Test(t, func(t *testing.T) {
			const every = 100 * time.Millisecond
			limit := ratelimit.Limit{Events: 100, Per: time.Second, Burst: 20}
			st := memory(t, ratelimit.MemoryOptions{})
			var edges []*ratelimit.Edge
			for range k {
				e, err := ratelimit.NewEdge(st, ratelimit.EdgeOptions{Every: every})
				require.NoError(t, err)
				edges = append(edges, e)
				time.Sleep(time.Duration(rng.Int64N(int64(every))))
			}
			var at []time.Duration
			start := time.Now()
			for time.Since(start) < 20*time.Second {
				d, err := edges[rng.IntN(k)].Take(t.Context(), ratelimit.Request{Key: "x", Limit: limit, N: 1})
				require.NoError(t, err)
				if d.OK {
					at = append(at, time.Since(start))
				}
				time.Sleep(time.Duration(rng.Int64N(int64(2 * time.Millisecond))))
			}
			worst := 0.0
			for i := range at {
				for j := i; j < len(at); j += 7 {
					most := 20 + 100*(at[j]-at[i]).Seconds() + float64(k-1)*(20+100*every.Seconds())
					worst = max(worst, float64(j-i+1)-most)
				}
			}
			require.LessOrEqual(t, worst, 0.001)
			require.InDelta(t, 2000, len(at), 20+float64(k)*30, "the long run is kept")
			for _, e := range edges {
				require.NoError(t, e.Close())
				require.NoError(t, e.Close())
			}
		})
	}
}

func TestEdgeFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &sick{Store: memory(t, ratelimit.MemoryOptions{})}
		_, err := ratelimit.NewEdge(nil, ratelimit.EdgeOptions{})
		require.ErrorIs(t, err, ratelimit.ErrOptions)
		var failed atomic.Int32
		e, err := ratelimit.NewEdge(st, ratelimit.EdgeOptions{OnError: func(error) { failed.Add(1) }})
		require.NoError(t, err)
		req := ratelimit.Request{Key: "x", Limit: ratelimit.PerHour(10), N: 1}
		_, err = e.Take(t.Context(), ratelimit.Request{Key: "x", Limit: ratelimit.PerHour(10), N: 1, Algorithm: ratelimit.SlidingLog})
		require.ErrorIs(t, err, ratelimit.ErrOptions)
		st.mode.Store(fails)
		for i := range 15 {
			d, err := e.Take(t.Context(), req)
			require.NoError(t, err)
			require.Equal(t, i < 10, d.OK)
		}
		time.Sleep(time.Second)
		require.NotZero(t, failed.Load())
		st.mode.Store(well)
		require.NoError(t, e.Sync(t.Context()))
		dst := make([]ratelimit.Decision, 1)
		req.N = 0
		require.NoError(t, st.Take(t.Context(), []ratelimit.Request{req}, dst))
		require.EqualValues(t, 0, dst[0].Remaining, "nothing was lost")
		time.Sleep(time.Minute) // quiet keys are forgotten
		calls := st.calls.Load()
		require.NoError(t, e.Sync(t.Context()))
		require.Equal(t, calls, st.calls.Load())
		require.NoError(t, e.Close())
	})
}

func TestEdgeFixedWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := memory(t, ratelimit.MemoryOptions{})
		a, err := ratelimit.NewEdge(st, ratelimit.EdgeOptions{Every: -1})
		require.NoError(t, err)
		b, err := ratelimit.NewEdge(st, ratelimit.EdgeOptions{Every: -1})
		require.NoError(t, err)
		req := ratelimit.Request{Key: "x", Limit: ratelimit.PerHour(10), N: 7, Algorithm: ratelimit.FixedWindow}
		for _, e := range []*ratelimit.Edge{a, b} {
			d, err := e.Take(t.Context(), req)
			require.NoError(t, err)
			require.True(t, d.OK)
			require.NoError(t, e.Sync(t.Context()))
		}
		require.NoError(t, a.Sync(t.Context()))
		req.N = 0
		for _, e := range []*ratelimit.Edge{a, b} {
			d, err := e.Take(t.Context(), req)
			require.NoError(t, err)
			require.EqualValues(t, -4, d.Remaining)
			require.NoError(t, e.Close())
		}
	})
}
