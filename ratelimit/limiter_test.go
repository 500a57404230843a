package ratelimit

import (
	"math"
	"math/big"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/internal/testkit"
)

// bucket is the textbook token bucket on rational numbers: the oracle.
type bucket struct {
	rate, tokens, most *big.Rat // a nanosecond
	last               int64
}

func newBucket(l Limit) *bucket {
	most := new(big.Rat).SetInt64(l.Burst)
	return &bucket{rate: big.NewRat(l.Events, int64(l.Per)), tokens: new(big.Rat).Set(most), most: most}
}

func (b *bucket) take(now, n int64) bool {
	b.tokens.Add(b.tokens, new(big.Rat).Mul(b.rate, new(big.Rat).SetInt64(now-b.last)))
	if b.last = now; b.tokens.Cmp(b.most) > 0 {
		b.tokens.Set(b.most)
	}
	cost := new(big.Rat).SetInt64(n)
	if b.tokens.Cmp(cost) < 0 {
		return false
	}
	b.tokens.Sub(b.tokens, cost)
	return true
}

// levels is the same bucket on whole numbers: a level of Burst×Per, Events more each
// nanosecond, Per less each event. It is fast, and it is not the arithmetic of Limiter.
type levels struct{ level, last int64 }

func (b *levels) take(l Limit, now, n int64) bool {
	full := l.Burst * int64(l.Per)
	if d := now - b.last; d > full/l.Events {
		b.level = full
	} else {
		b.level = min(full, b.level+d*l.Events)
	}
	b.last = now
	if b.level < n*int64(l.Per) {
		return false
	}
	b.level -= n * int64(l.Per)
	return true
}

var oddLimits = []Limit{
	PerSecond(3),
	PerMinute(7),
	{Events: 999_983, Per: time.Second, Burst: 17},
	{Events: 1, Per: 24 * time.Hour, Burst: 2},
	{Events: 100, Per: 7 * time.Nanosecond, Burst: 1000},
	{Events: 4_294_967_291, Per: time.Second, Burst: 5},
	{Events: 13, Per: 1000003 * time.Microsecond, Burst: 1},
}

func limitGen() *rapid.Generator[Limit] {
	return rapid.Custom(func(t *rapid.T) Limit {
		return Limit{
			Events: rapid.Int64Range(1, 1<<20).Draw(t, "events"),
			Per:    time.Duration(rapid.Int64Range(1, int64(time.Hour)).Draw(t, "per")),
			Burst:  rapid.Int64Range(1, 1000).Draw(t, "burst"),
		}
	})
}

func TestAgainstRationalBucket(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := limitGen().Draw(t, "limit")
		lim, err := New(l)
		require.NoError(t, err)
		oracle, now := newBucket(l), int64(0)
		event := int64(l.Per)/l.Events + 1
		for range 200 {
			now += rapid.Int64Range(0, 3*event).Draw(t, "gap") * rapid.SampledFrom([]int64{0, 1, 1, 1, l.Burst}).Draw(t, "times")
			n := rapid.Int64Range(1, min(l.Burst, 5)).Draw(t, "n")
			require.Equal(t, oracle.take(now, n), lim.take(now, n).OK, "%v at %d: %d", l, now, n)
			used := new(big.Rat).Sub(oracle.most, oracle.tokens)
			full, _ := used.Quo(used, oracle.rate).Float64()
			d := lim.take(now, 0)
			require.InDelta(t, full, float64(d.ResetAfter), 1.5)
			left, _ := oracle.tokens.Float64()
			require.Equal(t, int64(math.Floor(left)), d.Remaining)
		}
	})
}

func TestAgainstTokenBucket(t *testing.T) {
	decisions := 10_000_000
	if testing.Short() || testkit.Race {
		decisions = 500_000
	}
	rng := testkit.Rand(t)
	for _, l := range oddLimits {
		lim, err := New(l)
		require.NoError(t, err)
		oracle, now := levels{level: l.Burst * int64(l.Per)}, int64(0)
		event := int64(l.Per)/l.Events + 1
		for range decisions / len(oddLimits) {
			x := rng.Uint64()
			switch gap := int64(x >> 8 % uint64(2*event)); x & 255 {
			case 0:
				now += gap * l.Burst
			case 1, 2, 3, 4, 5, 6, 7, 8, 9: // at the same instant
			default:
				now += gap
			}
			n := 1 + int64(x>>40)%min(l.Burst, 3)
			if want, got := oracle.take(l, now, n), lim.allow(now, n); want != got {
				t.Fatalf("%v at %d: %d: want %v, got %v", l, now, n, want, got)
			}
		}
	}
}

func TestRetryAfterIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := limitGen().Draw(t, "limit")
		lim, err := New(l)
		require.NoError(t, err)
		now := int64(0)
		for range 50 {
			n := rapid.Int64Range(1, l.Burst).Draw(t, "n")
			d := lim.take(now, n)
			if d.OK {
				require.Zero(t, d.RetryAfter)
				continue
			}
			require.False(t, lim.allow(now+int64(d.RetryAfter)-1, n), "a nanosecond early")
			now += int64(d.RetryAfter)
			require.True(t, lim.allow(now, n), "in time")
		}
	})
}

func TestBadLimits(t *testing.T) {
	for _, l := range []Limit{
		{},
		PerSecond(0), PerSecond(-1), PerSecond(math.MinInt64),
		{Events: 1, Per: 0, Burst: 1},
		{Events: 1, Per: -time.Second, Burst: 1},
		{Events: 1, Per: time.Second, Burst: 0},
		{Events: 1, Per: time.Second, Burst: -1},
		{Events: 1, Per: math.MaxInt64, Burst: 1},
		{Events: 1, Per: time.Hour, Burst: math.MaxInt64},
		{Events: math.MaxInt64, Per: time.Second, Burst: 1},
		{Events: math.MaxInt64, Per: math.MaxInt64 - 1, Burst: math.MaxInt64},
		{Events: int64(math.Float64bits(math.NaN())), Per: time.Second, Burst: 1},
	} {
		require.ErrorIs(t, l.Validate(), ErrLimit, "%v", l)
		_, err := New(l)
		require.ErrorIs(t, err, ErrLimit)
		lim, err := New(PerSecond(1))
		require.NoError(t, err)
		require.ErrorIs(t, lim.SetLimit(l), ErrLimit)
		require.Equal(t, PerSecond(1), lim.Limit())
	}
	require.Error(t, new(Limiter).SetLimit(PerSecond(1)))
}

func TestBadCosts(t *testing.T) {
	l := PerHour(10)
	for _, n := range []int64{-1, -100, math.MinInt64, 11, 1 << 40, math.MaxInt64} {
		lim, err := New(l)
		require.NoError(t, err)
		require.True(t, lim.AllowN(4))
		require.False(t, lim.AllowN(n))
		d := lim.Take(n)
		require.False(t, d.OK)
		require.Equal(t, Never, d.RetryAfter)
		require.EqualValues(t, 6, d.Remaining, "nothing taken, nothing given back")
		_, err = lim.Reserve(n, Never)
		require.Error(t, err)
		require.Error(t, lim.WaitN(t.Context(), n))
		if n < 0 {
			require.ErrorIs(t, lim.Charge(n), ErrCost)
			require.Zero(t, lim.TakeUpTo(n))
		} else {
			require.NoError(t, lim.Charge(n))
			require.Negative(t, lim.Take(0).Remaining)
			require.False(t, lim.Allow())
		}
	}
}

func TestZeroLimiterDenies(t *testing.T) {
	var l Limiter
	require.False(t, l.Allow())
	require.False(t, l.AllowN(0))
	require.False(t, l.AllowAt(time.Now(), 1).OK)
	require.Zero(t, l.TakeUpTo(5))
	require.NoError(t, l.Charge(1))
	require.Zero(t, l.Limit())
	require.ErrorIs(t, l.Wait(t.Context()), ErrNever)
	_, err := l.Reserve(1, Never)
	require.ErrorIs(t, err, ErrNever)
	Reservation{}.Cancel()
	require.Zero(t, Reservation{}.Delay())
}

func TestPeekTakesNothing(t *testing.T) {
	lim, err := New(PerHour(1))
	require.NoError(t, err)
	for range 3 {
		require.True(t, lim.AllowN(0))
	}
	require.True(t, lim.Allow())
	require.False(t, lim.AllowN(0))
}

// A clock that is set back, or callers whose reading is old, must not admit more than the
// bucket would at the latest time that anybody has seen.
func TestClocksThatDisagree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l := limitGen().Draw(t, "limit")
		lim, err := New(l)
		require.NoError(t, err)
		latest, oracle := int64(0), newBucket(l)
		for range 200 {
			now := latest + rapid.Int64Range(-int64(time.Hour), int64(time.Second)).Draw(t, "step")
			latest = max(latest, now)
			if lim.AllowAt(lim.start.Add(time.Duration(now)), 1).OK {
				require.True(t, oracle.take(latest, 1))
			}
		}
	})
}

func TestTimesOutOfRange(t *testing.T) {
	lim, err := New(PerSecond(3))
	require.NoError(t, err)
	for _, at := range []time.Time{{}, time.Unix(math.MinInt64/2, 0), time.Unix(1<<60, 0), time.Unix(0, 0), time.Now()} {
		for range 5 {
			lim.AllowAt(at, 1)
		}
	}
	require.False(t, lim.Allow())
}

// The base moves every quarter of a second under this limit, and for idle time of years.
func TestBaseMoves(t *testing.T) {
	l := Limit{Events: 4_294_967_291, Per: time.Second, Burst: 3}
	lim, err := New(l)
	require.NoError(t, err)
	first, now := lim.cell.Load(), int64(0)
	for _, step := range []int64{0, int64(time.Second), 1, int64(time.Hour), 0, 3, int64(100 * 365 * 24 * time.Hour)} {
		now += step
		require.True(t, lim.allow(now, 1), "after %d", step)
	}
	require.True(t, lim.allow(now, 2))
	require.False(t, lim.allow(now, 1))
	require.NotSame(t, first, lim.cell.Load())
}

func TestTakeUpTo(t *testing.T) {
	lim, err := New(PerHour(10))
	require.NoError(t, err)
	require.EqualValues(t, 7, lim.TakeUpTo(7))
	require.EqualValues(t, 3, lim.TakeUpTo(math.MaxInt64))
	require.Zero(t, lim.TakeUpTo(1))
}

func TestSetLimitKeepsWhatIsInUse(t *testing.T) {
	for _, c := range []struct{ burst, remaining int64 }{{20, 13}, {10, 3}, {5, -2}} {
		lim, err := New(PerHour(10))
		require.NoError(t, err)
		require.True(t, lim.AllowN(7))
		require.NoError(t, lim.SetLimit(Limit{Events: 3, Per: 24 * time.Hour, Burst: c.burst}))
		require.Equal(t, c.remaining, lim.Take(0).Remaining)
	}
}

// Goroutines on one limiter, on a clock that only the test moves, admit exactly what one
// goroutine would, while the limit is set to itself again and again.
func TestRace(t *testing.T) {
	lim, err := New(Limit{Events: 1, Per: 10 * 24 * time.Hour, Burst: 1000})
	require.NoError(t, err)
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := range 2000 {
				if lim.Allow() {
					admitted.Add(1)
				}
				if i%100 == 0 {
					_ = lim.SetLimit(lim.Limit())
				}
				admitted.Add(lim.TakeUpTo(1))
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 1000, admitted.Load())
}

func TestNoAllocations(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates by itself")
	}
	lim, err := New(PerSecond(1000))
	require.NoError(t, err)
	now := time.Now()
	require.Zero(t, testing.AllocsPerRun(5000, func() {
		lim.Allow()
		lim.AllowN(3)
		lim.AllowAt(now, 1)
		lim.Take(1)
		lim.TakeUpTo(2)
	}))
}

func FuzzLimit(f *testing.F) {
	f.Add(int64(1), int64(1), int64(1), int64(1), int64(0))
	f.Add(int64(math.MaxInt64), int64(math.MaxInt64), int64(math.MaxInt64), int64(math.MinInt64), int64(math.MaxInt64))
	f.Add(int64(4294967291), int64(time.Second), int64(1<<28), int64(1<<40), int64(1<<62))
	f.Fuzz(func(t *testing.T, events, per, burst, n, at int64) {
		l := Limit{Events: events, Per: time.Duration(per), Burst: burst}
		lim, err := New(l)
		if err != nil {
			require.ErrorIs(t, err, ErrLimit)
			return
		}
		admitted := int64(0)
		for _, now := range []int64{at, 0, at, at} {
			d := lim.AllowAt(lim.start.Add(time.Duration(now)), n)
			if d.OK && n > 0 {
				admitted += n
			}
			require.LessOrEqual(t, d.Remaining, burst)
			require.GreaterOrEqual(t, d.ResetAfter, time.Duration(0))
		}
		// At one instant (time before the start is the start) no more than one burst, and
		// from the start to then no more than time gives.
		most := new(big.Rat).Mul(big.NewRat(events, per), big.NewRat(max(at, 0), 1))
		most.Add(most, big.NewRat(burst, 1))
		require.True(t, big.NewRat(admitted, 1).Cmp(most) <= 0, "%d", admitted)
		if n <= 0 || n > burst {
			require.Zero(t, admitted)
		}
	})
}

// TestShut: a limiter that refuses for long does so without looking at the clock, and
// decides all the same as its twin, which is told the time.
func TestShut(t *testing.T) {
	shut := 0
	// twins is the first step at which a limiter and its twin differ, -1 if none.
	twins := func(l Limit, pauses, costs []int64) (differ int) {
		differ = -1
		synctest.Test(t, func(*testing.T) {
			lim, _ := New(l)
			twin, _ := New(l)
			check := func(i int, n int64) {
				if twin.AllowAt(time.Now(), n).OK != lim.AllowN(n) {
					differ = i
				}
				if lim.shut.Load() {
					shut++
				}
			}
			for i, pause := range pauses {
				for range 3 {
					check(i, costs[i])
				}
				if i%2 == 1 { // just before, and at, the moment at which it may admit
					time.Sleep(max(twin.AllowAt(time.Now(), 0).RetryAfter-1, 0))
					check(i, 1)
					pause = 1
				}
				time.Sleep(time.Duration(pause))
			}
		})
		return differ
	}
	second := int64(time.Second)
	require.Equal(t, -1, twins(PerSecond(1), []int64{second / 10, 0, second / 2, 0}, []int64{1, 1, 1, 1}))
	require.NotZero(t, shut)
	rapid.Check(t, func(t *rapid.T) {
		l := Limit{
			Events: rapid.Int64Range(1, 50).Draw(t, "events"),
			Per:    time.Duration(rapid.Int64Range(int64(10*time.Millisecond), int64(10*time.Second)).Draw(t, "per")),
			Burst:  rapid.Int64Range(1, 4).Draw(t, "burst"),
		}
		pauses := rapid.SliceOfN(rapid.Int64Range(0, 4*int64(l.Per)/l.Events), 1, 30).Draw(t, "pauses")
		costs := rapid.SliceOfN(rapid.Int64Range(1, l.Burst), len(pauses), len(pauses)).Draw(t, "costs")
		require.Equal(t, -1, twins(l, pauses, costs))
	})
}

// TestShutOpens: what is given back or granted while a limiter refuses is had at once.
func TestShutOpens(t *testing.T) {
	lim, err := New(Limit{Events: 1, Per: time.Hour, Burst: 2})
	require.NoError(t, err)
	r, err := lim.Reserve(2, 0)
	require.NoError(t, err)
	require.False(t, lim.Allow())
	require.True(t, lim.shut.Load())
	require.False(t, lim.AllowN(0))
	r.Cancel()
	require.True(t, lim.Allow())
	require.True(t, lim.Allow())
	require.False(t, lim.Allow())
	require.True(t, lim.shut.Load(), "again, by the same timer")
	require.NoError(t, lim.SetLimit(Limit{Events: 1, Per: time.Hour, Burst: 3}))
	require.True(t, lim.Allow())
	require.False(t, lim.Allow())
}
