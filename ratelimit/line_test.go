package ratelimit

import (
	"context"
	"math"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/internal/testkit"
)

// The case that golang.org/x/time/rate gets wrong (golang/go#56924): a reservation that is
// cancelled after another was made gives back all of it.
func TestCancelGivesBackAll(t *testing.T) {
	lim, err := New(PerHour(15))
	require.NoError(t, err)
	ten, err := lim.Reserve(10, 0)
	require.NoError(t, err)
	_, err = lim.Reserve(5, 0)
	require.NoError(t, err)
	require.False(t, lim.Allow())
	ten.Cancel()
	ten.Cancel() // again is nothing
	require.True(t, lim.AllowN(10))
	require.False(t, lim.Allow())
}

func TestCancelInFrontOfAPromise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lim, err := New(PerSecond(1))
		require.NoError(t, err)
		require.True(t, lim.Allow())
		var rs []Reservation
		for i := range 4 {
			r, err := lim.Reserve(1, time.Minute)
			require.NoError(t, err)
			require.Equal(t, time.Duration(i+1)*time.Second, r.Delay())
			rs = append(rs, r)
		}
		rs[1].Cancel()
		require.Equal(t, 3*time.Second, rs[2].Delay(), "a promise does not move")
		again, err := lim.Reserve(1, time.Minute)
		require.NoError(t, err)
		require.Equal(t, 2*time.Second, again.Delay(), "the hole serves the next")
		rs[3].Cancel()
		tail, err := lim.Reserve(1, time.Minute)
		require.NoError(t, err)
		require.Equal(t, 4*time.Second, tail.Delay())
		// Cancelling all leaves a limiter as if nothing had been reserved.
		for _, r := range append(rs, again, tail) {
			r.Cancel()
		}
		r, err := lim.Reserve(1, time.Minute)
		require.NoError(t, err)
		require.Equal(t, time.Second, r.Delay())
	})
}

// Whatever is reserved, cancelled, waited for and taken, and when: no window sees more
// than it may, and when all is cancelled that was not used, all is there again.
func TestReservationsAgainstWindows(t *testing.T) {
	rounds := 60
	if testing.Short() {
		rounds = 15
	}
	rng := testkit.Rand(t)
	for range rounds {
		synctest.Test(t, func(t *testing.T) {
			l := Limit{Events: 1 + rng.Int64N(7), Per: time.Duration(1+rng.Int64N(5)) * time.Second, Burst: 1 + rng.Int64N(12)}
			lim, err := New(l)
			require.NoError(t, err)
			type act struct {
				at time.Duration
				n  int64
			}
			type held struct {
				r Reservation
				act
			}
			var acts []act
			var pending []held
			start := time.Now()
			var mu sync.Mutex // of acts
			var wg sync.WaitGroup
			for range 300 {
				switch rng.IntN(8) {
				case 6, 7:
					n := 1 + rng.Int64N(l.Burst)
					wg.Go(func() {
						ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
						defer cancel()
						if n%3 == 0 { // gives up, where deadlines are known beforehand
							var giveUp context.CancelFunc
							ctx, giveUp = context.WithCancel(t.Context())
							time.AfterFunc(l.Per*time.Duration(n), giveUp)
						}
						if lim.WaitN(ctx, n) == nil {
							mu.Lock()
							acts = append(acts, act{time.Since(start), n})
							mu.Unlock()
						}
					})
					synctest.Wait()
				case 0, 1:
					n := 1 + rng.Int64N(l.Burst)
					if r, err := lim.Reserve(n, time.Duration(rng.Int64N(int64(20*time.Second)))); err == nil {
						pending = append(pending, held{r, act{time.Since(start) + r.Delay(), n}})
					}
				case 2:
					if len(pending) > 0 {
						i := rng.IntN(len(pending))
						if pending[i].at >= time.Since(start) {
							pending[i].r.Cancel()
							pending = slices.Delete(pending, i, i+1)
						}
					}
				case 3:
					if n := 1 + rng.Int64N(l.Burst); lim.AllowN(n) {
						mu.Lock()
						acts = append(acts, act{time.Since(start), n})
						mu.Unlock()
					}
				default:
					time.Sleep(time.Duration(rng.Int64N(int64(l.Per))))
				}
				pending = slices.DeleteFunc(pending, func(h held) bool {
					if h.at <= time.Since(start) && rng.IntN(3) == 0 {
						mu.Lock()
						acts = append(acts, h.act)
						mu.Unlock()
						return true
					}
					return false
				})
				for _, h := range pending {
					if d := h.at - time.Since(start); d > 0 {
						require.Equal(t, d, h.r.Delay(), "a reservation's time does not change")
					}
				}
			}
			wg.Wait()
			for _, h := range pending {
				acts = append(acts, h.act)
			}
			slices.SortFunc(acts, func(a, b act) int { return int(a.at - b.at) })
			for i := range acts {
				sum := int64(0)
				for _, b := range acts[i:] {
					sum += b.n
					// Reserved times are rounded up to nanoseconds, which can bring two
					// events one nanosecond closer.
					most := float64(l.Burst) + float64(l.Events)*(b.at-acts[i].at+1).Seconds()/l.Per.Seconds()
					require.LessOrEqual(t, float64(sum), most+1e-9, "%v: from %v to %v", l, acts[i].at, b.at)
				}
			}
		})
	}
}

// At one instant the capacity is the burst less what is held, in whatever order
// reservations come and go.
func TestCapacityAtOneInstant(t *testing.T) {
	rng := testkit.Rand(t)
	synctest.Test(t, func(t *testing.T) {
		lim, err := New(PerHour(50))
		require.NoError(t, err)
		held, left := map[Reservation]int64{}, int64(50)
		for range 2000 {
			if n := 1 + rng.Int64N(9); rng.IntN(2) == 0 {
				r, err := lim.Reserve(n, 0)
				require.Equal(t, n <= left, err == nil)
				if err == nil {
					held[r], left = n, left-n
				}
			} else {
				for r, n := range held {
					r.Cancel()
					delete(held, r)
					left += n
					break
				}
			}
			require.Equal(t, left, lim.Take(0).Remaining)
		}
	})
}

func TestCancelAfterTheTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lim, err := New(PerSecond(10))
		require.NoError(t, err)
		r, err := lim.Reserve(10, 0)
		require.NoError(t, err)
		time.Sleep(400 * time.Millisecond) // four were replaced by the rate
		require.EqualValues(t, 4, lim.Take(0).Remaining)
		r.Cancel()
		require.EqualValues(t, 10, lim.Take(0).Remaining)

		r, err = lim.Reserve(10, 0)
		require.NoError(t, err)
		time.Sleep(time.Second)
		require.True(t, lim.AllowN(10))
		r.Cancel() // nothing is left of it
		require.False(t, lim.Allow())
	})
}

func TestWaitIsFirstComeFirstServed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lim, err := New(PerSecond(1))
		require.NoError(t, err)
		start := time.Now()
		require.NoError(t, lim.Wait(t.Context()))
		var mu sync.Mutex
		var order []int
		var at []time.Duration
		var wg sync.WaitGroup
		cancels := map[int]context.CancelFunc{}
		for i := range 6 {
			ctx, cancel := context.WithCancel(t.Context())
			cancels[i] = cancel
			wg.Go(func() {
				if lim.Wait(ctx) == nil {
					mu.Lock()
					order, at = append(order, i), append(at, time.Since(start))
					mu.Unlock()
				}
			})
			synctest.Wait()
		}
		require.False(t, lim.Allow(), "nobody overtakes")
		time.Sleep(1500 * time.Millisecond)
		cancels[2]()
		cancels[4]()
		synctest.Wait()
		wg.Wait()
		require.Equal(t, []int{0, 1, 3, 5}, order)
		require.Equal(t, []time.Duration{time.Second, 2 * time.Second, 3 * time.Second, 4 * time.Second}, at, "those behind moved up")
		for _, c := range cancels {
			c()
		}
	})
}

func TestWaitBehindAPromise(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lim, err := New(PerSecond(1))
		require.NoError(t, err)
		require.True(t, lim.Allow())
		first, err := lim.Reserve(1, time.Minute)
		require.NoError(t, err)
		promise, err := lim.Reserve(1, time.Minute)
		require.NoError(t, err)
		start, done := time.Now(), make(chan time.Duration)
		go func() {
			_ = lim.Wait(t.Context())
			done <- time.Since(start)
		}()
		synctest.Wait()
		first.Cancel()
		promise.Cancel()
		require.Equal(t, time.Second, <-done)
	})
}

// What a reservation gives back in front of another that cannot move goes to those who
// wait behind it, and what they leave to those behind them.
func TestHolesGoToThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lim, err := New(PerSecond(1))
		require.NoError(t, err)
		require.True(t, lim.Allow())
		var rs []Reservation
		for range 2 {
			r, err := lim.Reserve(1, time.Minute)
			require.NoError(t, err)
			rs = append(rs, r)
		}
		start := time.Now()
		var at [3]time.Duration
		var wg sync.WaitGroup
		for i := range at {
			wg.Go(func() {
				require.NoError(t, lim.Wait(t.Context()))
				at[i] = time.Since(start)
			})
			synctest.Wait()
		}
		rs[0].Cancel()
		require.Equal(t, 2*time.Second, rs[1].Delay())
		wg.Wait()
		require.Equal(t, [3]time.Duration{time.Second, 3 * time.Second, 4 * time.Second}, at)
		require.False(t, lim.Allow())
	})
}

func TestWaitFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lim, err := New(PerMinute(1))
		require.NoError(t, err)
		require.True(t, lim.Allow())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		require.ErrorIs(t, lim.Wait(ctx), ErrDeadline)
		require.Zero(t, time.Since(start), "at once")
		require.ErrorIs(t, lim.WaitN(t.Context(), 2), ErrNever)
		require.ErrorIs(t, lim.WaitN(t.Context(), 0), ErrCost)
		gone, cancelGone := context.WithCancel(t.Context())
		cancelGone()
		require.ErrorIs(t, lim.Wait(gone), context.Canceled)
		_, err = lim.Reserve(1, time.Second)
		require.ErrorIs(t, err, ErrDeadline)
		_, err = lim.Reserve(1, math.MinInt64)
		require.ErrorIs(t, err, ErrDeadline)
		time.Sleep(time.Minute)
		require.True(t, lim.Allow(), "failures took nothing")
	})
}

func TestSetLimitServesThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lim, err := New(PerHour(2))
		require.NoError(t, err)
		require.True(t, lim.AllowN(2))
		start := time.Now()
		one, two := make(chan error, 1), make(chan error, 1)
		go func() { one <- lim.Wait(t.Context()) }()
		synctest.Wait()
		go func() { two <- lim.WaitN(t.Context(), 2) }()
		synctest.Wait()
		r, err := lim.Reserve(1, Never)
		require.NoError(t, err)
		require.NoError(t, lim.SetLimit(Limit{Events: 1, Per: time.Second, Burst: 1}))
		require.ErrorIs(t, <-two, ErrNever)
		r.Cancel() // of the old limit: nothing
		require.NoError(t, <-one)
		// Two in use and one reserved are owed, with a burst of one.
		require.Equal(t, 3*time.Second, time.Since(start))
	})
}

// The base moves while somebody waits.
func TestWaitAcrossBases(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		lim, err := New(Limit{Events: 4_294_967_291, Per: time.Second, Burst: 1 << 28})
		require.NoError(t, err)
		base := lim.cell.Load()
		for range 40 {
			require.NoError(t, lim.WaitN(t.Context(), 1<<28))
			r, err := lim.Reserve(1<<28, time.Minute)
			require.NoError(t, err)
			if d := r.Delay(); d%2 == 0 {
				r.Cancel()
			} else {
				time.Sleep(d)
			}
		}
		require.NotSame(t, base, lim.cell.Load())
		time.Sleep(time.Hour)
		require.True(t, lim.AllowN(1<<28))
	})
}

func TestWaitRace(t *testing.T) {
	lim, err := New(Limit{Events: 1_000_000, Per: time.Second, Burst: 10})
	require.NoError(t, err)
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 300 {
				switch (i + g) % 4 {
				case 0:
					ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*time.Microsecond)
					_ = lim.Wait(ctx)
					cancel()
				case 1:
					if r, err := lim.Reserve(3, time.Millisecond); err == nil {
						r.Cancel()
					}
				case 2:
					lim.AllowN(2)
				default:
					if err := lim.Wait(t.Context()); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
}
