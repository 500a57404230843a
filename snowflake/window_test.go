package snowflake

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/internal/testkit"
)

// TestWindows takes ids in bursts with pauses in between, some of them shorter than a unit.
// Windows are opened, used and closed, and no id's time is more than a unit behind the clock.
func TestWindows(t *testing.T) {
	rng := testkit.Rand(t)
	for _, layout := range []Layout{Classic, Wide, ample, JS53, Long} {
		synctest.Test(t, func(t *testing.T) {
			l := inBubble(layout.resolve())
			g := newTest(t, Options{Layout: l})
			var last ID
			opened := 0
			for range 100 {
				for range 1 + rng.IntN(1000) {
					now := time.Now()
					id := next(t, g)
					if id <= last || now.Sub(l.Time(id)) >= 2*l.Unit {
						require.Failf(t, "bad id", "%v after %v at %v", l.Split(id), l.Split(last), now)
					}
					last = id
				}
				if g.free.Load() != 0 {
					opened++
				}
				switch rng.IntN(3) {
				case 0:
					time.Sleep(time.Duration(rng.Int64N(int64(l.Unit))))
				case 1: // no window outlives its unit
					time.Sleep(l.Unit + 1)
					require.Zero(t, g.free.Load())
				}
			}
			require.Greater(t, opened, 10, "a test without windows proves nothing")
		})
	}
}

// TestWindowIsShort: within a window the clock is looked at again after a few ids, timer or
// no timer.
func TestWindowIsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newTest(t, Options{Layout: inBubble(ample)})
		for range 1000 {
			next(t, g)
		}
		require.NotZero(t, g.free.Load())
		// As if the timer were late: nobody runs it while the clock goes on.
		g.wall.base = g.wall.base.Add(-3 * time.Millisecond)
		begin := g.tick(g.now())
		for range windowIDs + 1 {
			next(t, g)
		}
		require.Equal(t, begin, stateOf(g, next(t, g))>>g.seqBits)
	})
}

// TestWindowOnlyForTheSystemsClock: every id of somebody else's clock looks at it, and slow
// ones of the system's do.
func TestWindowOnlyForTheSystemsClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		looks := 0
		g := newTest(t, Options{Layout: inBubble(ample), Now: func() time.Time { looks++; return time.Now() }})
		before := looks
		for range 1000 {
			next(t, g)
		}
		require.GreaterOrEqual(t, looks-before, 1000)
		require.Zero(t, g.free.Load())

		g = newTest(t, Options{Layout: inBubble(ample)})
		for range 20 {
			for range windowFrom {
				next(t, g)
			}
			require.Zero(t, g.free.Load())
			time.Sleep(time.Millisecond)
		}
	})
}

// TestWindowAndMark: a window ends at what the mark allows, and the lost lease closes it.
func TestWindowAndMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &memLease{}
		g, err := New(Options{Layout: inBubble(ample), Lease: l, MarkEvery: 4 * time.Millisecond})
		require.NoError(t, err)
		for range 1000 {
			next(t, g)
		}
		require.NotZero(t, g.free.Load())
		require.LessOrEqual(t, g.free.Load(), g.limit.Load())
		l.set(ErrLeaseLost)
		near := g.state.Load() + 2*windowIDs + 10
		g.hard = near
		g.limit.Store(near)
		last := near
		for err == nil {
			var id ID
			if id, err = g.Next(); err == nil {
				last = stateOf(g, id)
				require.LessOrEqual(t, last, near, "not durable")
			}
		}
		require.InDelta(t, near, last, 1)
		require.ErrorIs(t, err, ErrLeaseLost)
		require.Zero(t, g.free.Load())
		require.NoError(t, g.Close())
	})
}

// TestCloseWithAWindow: nothing runs after Close, and nothing is issued.
func TestCloseWithAWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for range 50 {
			g, err := New(Options{Layout: inBubble(ample)})
			require.NoError(t, err)
			var wg sync.WaitGroup
			for range 3 {
				wg.Go(func() {
					last := ID(0)
					for {
						id, err := g.Next()
						if err != nil {
							if err != ErrClosed {
								t.Error(err)
							}
							return
						}
						if id <= last {
							t.Errorf("%d after %d", id, last)
						}
						last = id
					}
				})
			}
			for g.free.Load() == 0 {
				next(t, g)
			}
			require.NoError(t, g.Close())
			wg.Wait()
			g.openWindow(1)
			require.Zero(t, g.free.Load(), "a window, and a timer, after Close")
		}
	})
}
