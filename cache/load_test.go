package cache

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

var errSource = errors.New("source is down")

// TestOneLoad: however many ask for a cold key, the source is asked once.
func TestOneLoad(t *testing.T) {
	const callers = 10_000
	var loads atomic.Int64
	release := make(chan struct{})
	c := newCache(t, Options[int, int]{Load: func(_ context.Context, k int) (int, error) {
		loads.Add(1)
		<-release
		return k * 2, nil
	}})
	var wg sync.WaitGroup
	var begun atomic.Int64
	for range callers {
		wg.Go(func() {
			if begun.Add(1) == callers {
				close(release)
			}
			v, err := c.Fetch(t.Context(), 21)
			if err != nil || v != 42 {
				t.Errorf("%v, %v", v, err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, int64(1), loads.Load())
}

// TestWriteWins: a Set or Delete during a load is never undone by it.
func TestWriteWins(t *testing.T) {
	rounds := 20_000
	if testing.Short() {
		rounds = 2000
	}
	for round := range rounds {
		var loading chan struct{}
		c, err := New(Options[int, int]{MaxEntries: 4, Load: func(context.Context, int) (int, error) {
			close(loading)
			for range round % 7 {
				runtime.Gosched()
			}
			return 1, nil
		}})
		require.NoError(t, err)
		loading = make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() { _, _ = c.Fetch(context.Background(), 5) })
		<-loading
		for range round % 5 {
			runtime.Gosched()
		}
		set := round%2 == 0
		if set {
			c.Set(5, 2)
		} else {
			c.Delete(5)
		}
		wg.Wait()
		v, ok := c.Peek(5)
		if set {
			require.True(t, ok)
			require.Equal(t, 2, v)
		} else {
			require.False(t, ok)
		}
	}
}

func TestWaitersHaveTheirOwnContexts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var cause error
		c, err := New(Options[int, int]{Load: func(ctx context.Context, _ int) (int, error) {
			select {
			case <-time.After(time.Minute):
				return 1, nil
			case <-ctx.Done():
				cause = ctx.Err()
				return 0, ctx.Err()
			}
		}})
		require.NoError(t, err)
		// The caller that started the load gives up; another gets its result.
		first, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		var wg sync.WaitGroup
		wg.Go(func() {
			_, err := c.Fetch(first, 1)
			require.ErrorIs(t, err, context.DeadlineExceeded)
		})
		wg.Go(func() {
			v, err := c.Fetch(t.Context(), 1)
			require.NoError(t, err)
			require.Equal(t, 1, v)
		})
		wg.Wait()
		require.NoError(t, cause)
		// When the last leaves, the load ends.
		second, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = c.Fetch(second, 2)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		synctest.Wait()
		require.ErrorIs(t, cause, context.Canceled)
		require.NoError(t, c.Close())
		_, err = c.Fetch(t.Context(), 3)
		require.ErrorIs(t, err, ErrClosed)
		v, err := c.Fetch(t.Context(), 1)
		require.NoError(t, err, "what is there is served after Close")
		require.Equal(t, 1, v)
	})
}

func TestLoadersThatDoNotReturn(t *testing.T) {
	c := newCache(t, Options[string, int]{Load: func(_ context.Context, how string) (int, error) {
		switch how {
		case "panic":
			panic("on purpose")
		case "exit":
			runtime.Goexit()
		}
		return 0, errSource
	}})
	_, err := c.Fetch(t.Context(), "panic")
	var p *PanicError
	require.ErrorAs(t, err, &p)
	require.Equal(t, "on purpose", p.Value)
	require.Contains(t, err.Error(), "on purpose")
	_, err = c.Fetch(t.Context(), "exit")
	require.ErrorIs(t, err, ErrGoexit)
	_, err = c.Fetch(t.Context(), "error")
	require.ErrorIs(t, err, errSource)
	v, err := c.FetchFunc(t.Context(), "exit", func(context.Context) (int, error) { return 3, nil })
	require.NoError(t, err)
	require.Equal(t, 3, v)
	_, err = newCache(t, Options[int, int]{}).Fetch(t.Context(), 1)
	require.ErrorIs(t, err, ErrNoLoader)
	// Callbacks about a loaded value may fail as well.
	bad := newCache(t, Options[int, int]{MaxWeight: 10, Weigh: func(k, _ int) int64 {
		if k == 1 {
			runtime.Goexit()
		}
		panic("weigh")
	}, Load: func(context.Context, int) (int, error) { return 1, nil }})
	_, err = bad.Fetch(t.Context(), 1)
	require.ErrorIs(t, err, ErrGoexit)
	_, err = bad.Fetch(t.Context(), 2)
	require.ErrorAs(t, err, &p)
	s := c.Stats()
	require.Equal(t, uint64(4), s.Loads)
	require.Equal(t, uint64(3), s.LoadErrors)
	require.Zero(t, s.Loading)
}

func TestNotFoundIsRemembered(t *testing.T) {
	var clock testClock
	loads := 0
	o := Options[int, int]{NotFoundTTL: time.Minute, TTL: time.Hour, Now: clock.now}
	o.Load = func(_ context.Context, k int) (int, error) {
		loads++
		return 7, fmt.Errorf("no %d: %w", k, ErrNotFound)
	}
	o.OnRemove = func(r Removal[int, int]) { t.Errorf("told of %v", r) }
	c := newCache(t, o)
	for range 3 {
		_, err := c.Fetch(t.Context(), 1)
		require.ErrorIs(t, err, ErrNotFound)
		_, ok := c.Get(1)
		require.False(t, ok)
	}
	require.Equal(t, 1, loads)
	require.Zero(t, liveOf(c))
	clock.advance(2 * time.Minute)
	_, err := c.Fetch(t.Context(), 1)
	require.ErrorIs(t, err, ErrNotFound)
	require.Equal(t, 2, loads)
	v, added := c.Add(1, 5)
	require.True(t, added)
	require.Equal(t, 5, v)
	v, err = c.Fetch(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, 5, v)
}

func TestOverload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, err := New(Options[int, int]{MaxLoads: 3, Load: func(_ context.Context, k int) (int, error) {
			time.Sleep(time.Second)
			return k, nil
		}})
		require.NoError(t, err)
		var wg sync.WaitGroup
		var refused atomic.Int64
		for k := range 10 {
			wg.Go(func() {
				began := time.Now()
				if _, err := c.Fetch(t.Context(), k); errors.Is(err, ErrOverloaded) {
					refused.Add(1)
					require.Zero(t, time.Since(began))
				}
			})
		}
		wg.Wait()
		require.Equal(t, int64(7), refused.Load())
		require.Equal(t, uint64(7), c.Stats().Refused)
		require.NoError(t, c.Close())
	})
}

// source is a loader whose answers are set by the test.
type source struct {
	mu    sync.Mutex
	v     int
	err   error
	loads int
	delay time.Duration
}

func (s *source) load(context.Context, int) (int, error) {
	time.Sleep(s.delay)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.loads++
	return s.v, s.err
}

func (s *source) set(v int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.v, s.err = v, err
}

func TestStaleWhileRevalidate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &source{v: 1, delay: time.Second}
		var failed atomic.Int64
		c, err := New(Options[int, int]{TTL: time.Minute, StaleFor: time.Minute, Load: src.load, OnLoadError: func(int, error) { failed.Add(1) }})
		require.NoError(t, err)
		fetch := func() int {
			v, err := c.Fetch(t.Context(), 1)
			require.NoError(t, err)
			return v
		}
		require.Equal(t, 1, fetch())
		src.set(2, nil)
		time.Sleep(61 * time.Second)
		_, ok := c.Get(1)
		require.False(t, ok, "Get serves nothing stale")
		began := time.Now()
		require.Equal(t, 1, fetch())
		require.Zero(t, time.Since(began))
		time.Sleep(2 * time.Second)
		require.Equal(t, 2, fetch())
		// The source fails: stale until the window ends, then the error.
		src.set(0, errSource)
		time.Sleep(90 * time.Second)
		require.Equal(t, 2, fetch())
		time.Sleep(35 * time.Second)
		_, err = c.Fetch(t.Context(), 1)
		require.ErrorIs(t, err, errSource)
		require.Equal(t, int64(1), failed.Load())
		require.NoError(t, c.Close())
	})
}

func TestStaleOnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &source{v: 1}
		c, err := New(Options[int, int]{TTL: time.Minute, StaleOnError: time.Hour, Load: src.load})
		require.NoError(t, err)
		_, err = c.Fetch(t.Context(), 1)
		require.NoError(t, err)
		src.set(0, errSource)
		time.Sleep(2 * time.Minute)
		v, err := c.Fetch(t.Context(), 1)
		require.NoError(t, err)
		require.Equal(t, 1, v)
		src.set(3, nil)
		v, err = c.Fetch(t.Context(), 1)
		require.NoError(t, err)
		require.Equal(t, 3, v, "the source is asked, not spared")
		src.set(0, ErrNotFound)
		time.Sleep(2 * time.Minute)
		_, err = c.Fetch(t.Context(), 1)
		require.ErrorIs(t, err, ErrNotFound)
		require.Zero(t, c.Len(), "gone at the source is gone here")
		require.NoError(t, c.Close())
	})
}

func TestRefreshAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &source{v: 1}
		c, err := New(Options[int, int]{TTL: time.Minute, RefreshAhead: 10 * time.Second, Load: src.load})
		require.NoError(t, err)
		for range 100 {
			_, err = c.Fetch(t.Context(), 1)
			require.NoError(t, err)
			time.Sleep(5 * time.Second)
		}
		require.InDelta(t, 500/50, src.loads, 2, "reloaded before each end, and not more often")
		require.True(t, c.Refresh(2))
		require.NoError(t, c.Close())
		require.False(t, c.Refresh(2))
		require.Zero(t, c.Stats().LoadErrors)
	})
}

func TestEarlyRefresh(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		src := &source{v: 1, delay: time.Second}
		c, err := New(Options[int, int]{TTL: time.Minute, EarlyBeta: 1, Load: src.load})
		require.NoError(t, err)
		slow := 0
		for range 30_000 { // fifty minutes
			began := time.Now()
			_, err = c.Fetch(t.Context(), 1)
			require.NoError(t, err)
			if time.Since(began) > 0 {
				slow++
			}
			time.Sleep(100 * time.Millisecond)
		}
		require.InDelta(t, 52, src.loads, 6)
		// Without early loads, each would have had one who waits; one in forty has now.
		require.LessOrEqual(t, slow, src.loads/5, "hardly anybody waits")
		require.NoError(t, c.Close())
	})
}

func TestFetchMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var batches [][]int
		o := Options[int, int]{NotFoundTTL: time.Minute}
		o.LoadMany = func(_ context.Context, ks []int) (map[int]int, error) {
			batches = append(batches, ks)
			time.Sleep(time.Second)
			m := map[int]int{}
			for _, k := range ks {
				if k < 0 {
					return nil, errSource
				}
				if k < 100 {
					m[k] = k * 2
				}
			}
			m[12345] = 1 // nobody asked
			return m, nil
		}
		c, err := New(o)
		require.NoError(t, err)
		c.Set(1, 2)
		var wg sync.WaitGroup
		wg.Go(func() {
			got, err := c.FetchMany(t.Context(), []int{1, 2, 3, 2, 500})
			require.NoError(t, err)
			require.Equal(t, map[int]int{1: 2, 2: 4, 3: 6}, got)
		})
		synctest.Wait()
		wg.Go(func() { // overlaps with the batch under way
			got, err := c.FetchMany(t.Context(), []int{3, 4})
			require.NoError(t, err)
			require.Equal(t, map[int]int{3: 6, 4: 8}, got)
		})
		wg.Wait()
		require.Equal(t, [][]int{{2, 3, 500}, {4}}, batches)
		require.False(t, c.Has(12345))
		got, err := c.FetchMany(t.Context(), []int{500, 4})
		require.NoError(t, err)
		require.Equal(t, map[int]int{4: 8}, got)
		require.Len(t, batches, 2, "what was not found is remembered")
		got, err = c.FetchMany(t.Context(), []int{-1, 4})
		require.ErrorIs(t, err, errSource)
		require.Equal(t, map[int]int{4: 8}, got, "what is there is given beside the error")
		short, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err = c.FetchMany(short, []int{50, 51})
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.NoError(t, c.Close())
	})
}

func TestFetchManyOneByOne(t *testing.T) {
	c := newCache(t, Options[int, int]{Load: func(_ context.Context, k int) (int, error) {
		if k == 3 {
			return 0, ErrNotFound
		}
		return k, nil
	}})
	got, err := c.FetchMany(t.Context(), []int{1, 2, 3})
	require.NoError(t, err)
	require.Equal(t, map[int]int{1: 1, 2: 2}, got)
	_, err = newCache(t, Options[int, int]{}).FetchMany(t.Context(), []int{1})
	require.ErrorIs(t, err, ErrNoLoader)
}
