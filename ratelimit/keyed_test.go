package ratelimit

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/internal/testkit"
)

var algorithms = []Algorithm{GCRA, TokenBucket, LeakyBucket, FixedWindow, SlidingLog, SlidingCounter}

// Every algorithm decides as its definition does: several keys, one to three limits, all
// or nothing; with what the decision promises checked on the way.
func TestKeyedAgainstDefinitions(t *testing.T) {
	for _, a := range algorithms {
		t.Run(a.String(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				var limits []Limit
				for i := range rapid.IntRange(1, 3).Draw(t, "limits") {
					limits = append(limits, Limit{
						Name: fmt.Sprint(i), Events: rapid.Int64Range(1, 20).Draw(t, "events"),
						Per: time.Duration(rapid.Int64Range(1, 10000).Draw(t, "per")), Burst: rapid.Int64Range(1, 20).Draw(t, "burst"),
					})
				}
				clock := &hand{}
				k, err := NewKeyed[int](KeyedOptions{Limits: limits, Algorithm: a, Now: clock.now})
				require.NoError(t, err)
				models := map[int][]model{}
				for range 150 {
					key := rapid.IntRange(0, 2).Draw(t, "key")
					if models[key] == nil {
						for _, l := range limits {
							models[key] = append(models[key], newModel(a, l))
						}
					}
					clock.advance(time.Duration(rapid.Int64Range(0, int64(limits[0].Per)/limits[0].Events+1).Draw(t, "gap")))
					n := rapid.Int64Range(1, 4).Draw(t, "n")
					want, takes := true, []func(){}
					for _, m := range models[key] {
						ok, take := m.admits(clock.unix(), n)
						want, takes = want && ok, append(takes, take)
					}
					before := k.Peek(key)
					d := k.Take(key, n)
					require.Equal(t, want, d.OK, "%v %v", d, limits)
					if want {
						require.GreaterOrEqual(t, before.Remaining, n)
						for _, take := range takes {
							take()
						}
						if a != LeakyBucket {
							require.Zero(t, d.Delay)
						}
					} else {
						require.Equal(t, before.Remaining, k.Peek(key).Remaining, "nothing taken")
						require.Positive(t, d.RetryAfter)
					}
				}
			})
		})
	}
}

// RetryAfter is the first instant at which the same is admitted, and after ResetAfter all
// of the quota is there.
func TestKeyedRetryAfterIsExact(t *testing.T) {
	for _, a := range algorithms {
		t.Run(a.String(), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				l := Limit{Events: rapid.Int64Range(1, 50).Draw(t, "events"), Per: time.Duration(rapid.Int64Range(1, 1000).Draw(t, "per")), Burst: rapid.Int64Range(1, 20).Draw(t, "burst")}
				clock := &hand{}
				k, err := NewKeyed[string](KeyedOptions{Limits: []Limit{l}, Algorithm: a, Now: clock.now})
				require.NoError(t, err)
				quota := k.Peek("").Quota
				for range 60 {
					clock.advance(time.Duration(rapid.Int64Range(0, int64(l.Per)).Draw(t, "gap")))
					n := rapid.Int64Range(1, quota).Draw(t, "n")
					switch d := k.Take("", n); {
					case !d.OK:
						clock.advance(d.RetryAfter - 1)
						require.False(t, k.Take("", n).OK, "one early: %v", d)
						clock.advance(1)
						require.True(t, k.Take("", n).OK, "in time: %v", d)
					case rapid.Bool().Draw(t, "reset"):
						clock.advance(d.ResetAfter)
						require.Equal(t, quota, k.Peek("").Remaining)
					}
				}
			})
		})
	}
}

// The table of algorithms in the documents: what comes through around the edge of a window.
func TestEdges(t *testing.T) {
	l := Limit{Events: 100, Per: time.Minute, Burst: 1}
	for a, want := range map[Algorithm]int{FixedWindow: 200, SlidingLog: 100, SlidingCounter: 101} {
		clock := &hand{}
		k, err := NewKeyed[string](KeyedOptions{Limits: []Limit{l}, Algorithm: a, Now: clock.now})
		require.NoError(t, err)
		clock.advance(time.Minute - time.Duration(clock.unix()%int64(time.Minute)) - time.Second)
		got := 0
		for range 2 {
			for range 150 {
				if k.Allow("x") {
					got++
				}
			}
			clock.advance(2 * time.Second)
		}
		require.Equal(t, want, got, "%v", a)
	}
	// 80 in the last window, half of it slid out, 30 in this: 70 of 100.
	clock := &hand{}
	k, err := NewKeyed[string](KeyedOptions{Limits: []Limit{l}, Algorithm: SlidingCounter, Now: clock.now})
	require.NoError(t, err)
	clock.advance(time.Minute - time.Duration(clock.unix()%int64(time.Minute)))
	require.True(t, k.Take("x", 80).OK)
	clock.advance(90 * time.Second)
	require.True(t, k.Take("x", 30).OK)
	require.EqualValues(t, 30, k.Peek("x").Remaining)
}

// The textbook's token buckets, and limits as well-known services state them.
func TestTextbook(t *testing.T) {
	for _, c := range []struct {
		limit Limit
		pause time.Duration
		again int
	}{
		{Limit{Events: 2, Per: time.Second, Burst: 10}, 5 * time.Second, 10},
		{Limit{Events: 10, Per: time.Second, Burst: 100}, 3 * time.Second, 30},
		{Limit{Events: 900, Per: 15 * time.Minute, Burst: 900}, time.Minute, 60},
		{Limit{Events: 5000, Per: time.Hour, Burst: 5000}, time.Hour, 5000},
		{Limit{Events: 10_000, Per: 30 * 24 * time.Hour, Burst: 10_000}, 24 * time.Hour, 333},
		{Limit{Events: 10_000, Per: time.Second, Burst: 5000}, 100 * time.Millisecond, 1000},
	} {
		for _, a := range []Algorithm{GCRA, TokenBucket} {
			clock := &hand{}
			k, err := NewKeyed[string](KeyedOptions{Limits: []Limit{c.limit}, Algorithm: a, Now: clock.now})
			require.NoError(t, err)
			count := func() (n int) {
				for k.Allow("x") {
					n++
				}
				return n
			}
			require.EqualValues(t, c.limit.Burst, count())
			clock.advance(c.pause)
			require.Equal(t, c.again, count(), "%v", c.limit)
		}
	}
}

func TestLeakyBucketDrainsEvenly(t *testing.T) {
	clock := &hand{}
	k, err := NewKeyed[string](KeyedOptions{Limits: []Limit{{Events: 3, Per: time.Second, Burst: 4}}, Algorithm: LeakyBucket, Now: clock.now})
	require.NoError(t, err)
	for i := range 4 {
		d := k.Take("x", 1)
		require.True(t, d.OK)
		require.Equal(t, time.Duration(math.Ceil(float64(i)*1e9/3)), d.Delay)
	}
	require.False(t, k.Take("x", 1).OK)
	clock.advance(time.Second / 3)
	require.False(t, k.Allow("x"), "a third of a nanosecond early")
	clock.advance(1)
	require.True(t, k.Allow("x"))
}

func TestKeyedBadInput(t *testing.T) {
	good := []Limit{PerSecond(10)}
	for _, o := range []KeyedOptions{
		{},
		{Limits: []Limit{PerSecond(0)}},
		{Limits: good, MaxKeys: -1},
		{Limits: good, OnFull: 7},
		{Limits: good, Algorithm: 99},
		{Limits: make([]Limit, 9)},
		{Limits: good, Tiers: map[string][]Limit{"": good}},
		{Limits: good, Tiers: map[string][]Limit{"x": nil}},
		{Limits: []Limit{{Events: 1 << 33, Per: time.Hour, Burst: 1}}, Algorithm: FixedWindow},
		{Limits: []Limit{{Events: 1 << 30, Per: time.Hour, Burst: 1}}, Algorithm: SlidingLog},
	} {
		_, err := NewKeyed[string](o)
		if len(o.Limits) == 1 && o.Limits[0] != good[0] {
			require.ErrorIs(t, err, ErrLimit)
		} else {
			require.ErrorIs(t, err, ErrOptions)
		}
	}
	for _, a := range algorithms {
		for _, limits := range [][]Limit{good, {PerSecond(10), PerHour(10)}} {
			k, err := NewKeyed[string](KeyedOptions{Limits: limits, Algorithm: a})
			require.NoError(t, err)
			require.True(t, k.Allow("x"))
			left := k.Peek("x").Remaining
			for _, n := range []int64{-1, math.MinInt64, 11, math.MaxUint32, 1 << 40, math.MaxInt64} {
				d := k.Take("x", n)
				require.False(t, d.OK)
				require.Equal(t, Never, d.RetryAfter, "%v %d", a, n)
				require.GreaterOrEqual(t, d.Remaining, left)
				require.False(t, k.Take("new", n).OK)
			}
			require.ErrorIs(t, k.Charge("x", 0), ErrCost)
			require.ErrorIs(t, k.Charge("x", math.MinInt64), ErrCost)
			require.NoError(t, k.Charge("x", math.MaxInt64))
			require.NoError(t, k.Charge("x", math.MaxInt64))
			d := k.Peek("x")
			require.Negative(t, d.Remaining, "%v", a)
			require.False(t, d.OK)
			require.Positive(t, d.RetryAfter)
			require.ErrorIs(t, k.Wait(t.Context(), "x", 11), ErrNever)
			require.ErrorIs(t, k.Wait(t.Context(), "x", 0), ErrCost)
		}
	}
}

func TestClockGoesBack(t *testing.T) {
	for _, a := range algorithms {
		clock := &hand{}
		clock.advance(2 * time.Hour)
		k, err := NewKeyed[string](KeyedOptions{Limits: []Limit{PerMinute(5)}, Algorithm: a, Now: clock.now})
		require.NoError(t, err)
		clock.advance(time.Hour)
		count := func() (n int) {
			for range 10 {
				if k.Allow("x") {
					n++
				}
			}
			return n
		}
		require.Equal(t, 5, count())
		clock.advance(-time.Hour)
		require.Zero(t, count(), "%v", a)
		clock.advance(time.Hour)
		require.Zero(t, count(), "%v", a)
		clock.advance(2 * time.Minute)
		require.Equal(t, 5, count())
	}
}

// Far back, under a rate that leaves the clock few bits.
func TestClockGoesFarBack(t *testing.T) {
	clock := &hand{}
	k, err := NewKeyed[string](KeyedOptions{Limits: []Limit{{Events: 4_294_967_291, Per: time.Second, Burst: 3}}, Now: clock.now})
	require.NoError(t, err)
	clock.advance(100 * 24 * time.Hour)
	require.True(t, k.Take("x", 3).OK)
	clock.advance(-99 * 24 * time.Hour)
	d := k.Take("x", 1)
	require.False(t, d.OK)
	require.LessOrEqual(t, d.Remaining, int64(0))
	require.Positive(t, d.RetryAfter)
	require.NoError(t, k.SetTier("", PerHour(10)))
	require.False(t, k.Allow("x"))
}

func TestNegativeBalanceIsPaidBack(t *testing.T) {
	clock := &hand{}
	k, err := NewKeyed[string](KeyedOptions{Limits: []Limit{PerSecond(10)}, Now: clock.now})
	require.NoError(t, err)
	require.NoError(t, k.Charge("x", 35))
	require.EqualValues(t, -25, k.Peek("x").Remaining)
	clock.advance(2500 * time.Millisecond)
	require.False(t, k.Allow("x"))
	clock.advance(100 * time.Millisecond)
	require.True(t, k.Allow("x"))
	k.Forget("x")
	require.EqualValues(t, 10, k.Peek("x").Remaining)
}

// The table against a map: same decisions for thousands of keys that come and go, with
// growth, reuse of idle places, Forget and changes of the rules in between.
func TestTableAgainstMap(t *testing.T) {
	rng := testkit.Rand(t)
	for _, a := range []Algorithm{GCRA, FixedWindow, SlidingLog, SlidingCounter} {
		clock := &hand{}
		l := Limit{Events: 3, Per: time.Second, Burst: 3}
		k, err := NewKeyed[uint64](KeyedOptions{Limits: []Limit{l}, Algorithm: a, Now: clock.now})
		require.NoError(t, err)
		models := map[uint64]model{}
		for i := range 30_000 {
			key := rng.Uint64N(3000) + uint64(i/300)*100
			if models[key] == nil {
				models[key] = newModel(a, l)
			}
			switch rng.IntN(200) {
			case 0:
				k.Forget(key)
				delete(models, key)
				continue
			case 1:
				require.NoError(t, k.SetTier("", l))
			}
			ok, take := models[key].admits(clock.unix(), 1)
			require.Equal(t, ok, k.Allow(key), "%v: step %d key %d", a, i, key)
			if ok {
				take()
			}
			clock.advance(time.Duration(rng.IntN(300_000)))
		}
		require.Less(t, k.Len(), 20_000, "idle keys are forgotten")
		require.Equal(t, k.Len(), k.Stats().Keys)
	}
}

// Made-up keys by the million neither grow the table nor touch those that are there.
func TestAttackByNewKeys(t *testing.T) {
	keys := 1_000_000
	if testing.Short() || testkit.Race {
		keys = 100_000
	}
	for _, full := range []OnFull{DenyNew, Evict} {
		clock := &hand{}
		k, err := NewKeyed[uint64](KeyedOptions{Limits: []Limit{PerHour(2)}, MaxKeys: keys / 10, OnFull: full, Now: clock.now})
		require.NoError(t, err)
		for key := range uint64(100) {
			require.True(t, k.Take(key, 2).OK)
		}
		clock.advance(time.Millisecond)
		var size int64
		for i := range keys {
			k.Allow(uint64(i) + 1000)
			if i == keys/5 {
				size = k.Stats().Bytes
			}
		}
		st := k.Stats()
		require.LessOrEqual(t, st.Keys, keys/10)
		require.LessOrEqual(t, st.Bytes, size*12/10)
		held := 0
		for key := range uint64(100) {
			if !k.Peek(key).OK {
				held++
			}
		}
		if full == DenyNew {
			require.Equal(t, 100, held)
			require.Equal(t, keys/10, st.Keys, "no room is lost")
			require.NotZero(t, st.Full)
		} else {
			require.NotZero(t, st.Evicted)
			require.True(t, k.Allow(1<<40), "a new key is served")
		}
		// Once they are idle there is room again for all.
		clock.advance(2 * time.Hour)
		admitted := 0
		for i := range keys / 10 {
			if k.Allow(uint64(i) + 1<<50) {
				admitted++
			}
		}
		require.Greater(t, admitted, keys/10*8/10)
	}
}

func TestBytesAKey(t *testing.T) {
	n := 1_000_000
	if testing.Short() || testkit.Race {
		n = 100_000
	}
	k, err := NewKeyed[uint64](KeyedOptions{Limits: []Limit{PerHour(2)}, MaxKeys: n})
	require.NoError(t, err)
	worst := 0.0
	for i := range n {
		require.True(t, k.Allow(uint64(i)))
		if i > n/2 && i%(n/64) == 0 || i == n-1 {
			worst = max(worst, float64(k.Stats().Bytes)/float64(i+1)-8)
		}
	}
	require.LessOrEqual(t, worst, 40.0, "bytes a key, the key aside")
	t.Logf("at most %.1f bytes a key beside the key", worst)
}

// Several limits are taken together or not at all, from several goroutines: no event is
// charged to one limit and refused by another.
func TestAllOrNothing(t *testing.T) {
	limits := []Limit{
		{Name: "a", Events: 1, Per: time.Hour, Burst: 5000},
		{Name: "b", Events: 1, Per: time.Hour, Burst: 3000},
		{Name: "c", Events: 1, Per: time.Hour, Burst: 9000},
	}
	clock := &hand{}
	k, err := NewKeyed[string](KeyedOptions{Limits: limits, Now: clock.now})
	require.NoError(t, err)
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(g), 1))
			for range 5000 {
				n := 1 + rng.Int64N(3)
				if k.Take("x", n).OK {
					admitted.Add(n)
				}
			}
		})
	}
	wg.Wait()
	require.EqualValues(t, 3000, admitted.Load())
	h, s := k.shard("x")
	at, ok := s.find(h, "x", k.now())
	require.True(t, ok)
	for i, r := range s.set.tiers[0].rules {
		x, _ := s.state(at, i)
		var d Decision
		r.tell(&d, x, nil, k.now(), 0, true)
		require.EqualValues(t, 3000, r.quota-d.Remaining)
	}
}

func TestKeyedWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, a := range algorithms {
			k, err := NewKeyed[string](KeyedOptions{Limits: []Limit{{Events: 2, Per: time.Second, Burst: 2}}, Algorithm: a})
			require.NoError(t, err)
			start := time.Now()
			for range 5 {
				require.NoError(t, k.Wait(t.Context(), "x", 1))
			}
			require.GreaterOrEqual(t, time.Since(start), time.Second)
			require.Less(t, time.Since(start), 4*time.Second)
			time.Sleep(10 * time.Second)
			require.NoError(t, k.Charge("x", 30))
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			require.ErrorIs(t, k.Wait(ctx, "x", 1), ErrDeadline)
			cancel()
			require.ErrorIs(t, k.Wait(ctx, "x", 1), context.Canceled)
			time.Sleep(time.Hour)
		}
	})
}

func TestKeyedNoAllocations(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates by itself")
	}
	for _, a := range algorithms {
		for _, limits := range [][]Limit{{PerSecond(10)}, {PerSecond(10), PerMinute(60), PerHour(1000)}} {
			k, err := NewKeyed[string](KeyedOptions{Limits: limits, Algorithm: a})
			require.NoError(t, err)
			for range 20 {
				k.Allow("x") // a log has its size
			}
			require.Zero(t, testing.AllocsPerRun(1000, func() {
				k.Allow("x")
				k.Take("x", 2)
				k.Peek("x")
			}), "%v", a)
		}
	}
}

func TestShardsAreWholeLines(t *testing.T) {
	if unsafe.Sizeof(uintptr(0)) == 8 {
		require.Zero(t, unsafe.Sizeof(table[string]{})%64)
		require.EqualValues(t, 64, unsafe.Offsetof(table[string]{}.mu))
		require.EqualValues(t, 128, unsafe.Offsetof(table[string]{}.wide))
		require.EqualValues(t, 64, unsafe.Sizeof(cell{}))
		require.EqualValues(t, 32, unsafe.Sizeof(entry[string]{}))
	}
}

func TestEventsRoundDown(t *testing.T) {
	r := &rule{pace: pace{p: 1183}, perUnit: 1 / 1183.0}
	require.Equal(t, int64(-8129241204641), r.events(-8129241204640*1183-1), "a guess that is off by two")
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.Int64Range(1, 1<<60).Draw(t, "p") >> rapid.IntRange(0, 59).Draw(t, "shift")
		r, units := &rule{pace: pace{p: max(p, 1)}}, rapid.Int64Range(-1<<62, 1<<62).Draw(t, "units")
		r.perUnit = 1 / float64(r.p)
		require.Equal(t, floorDiv(units, r.p), r.events(units))
		near := units / r.p * r.p
		for d := int64(-1); d <= 1; d++ {
			require.Equal(t, floorDiv(near+d, r.p), r.events(near+d))
		}
	})
}
