package vclock

import (
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// fake is a wall clock that is set by hand.
type fake struct{ t time.Time }

func (f *fake) now() time.Time { return f.t }

func now(t *testing.T, c *Clock) Timestamp {
	t.Helper()
	s, err := c.Now()
	require.NoError(t, err)
	return s
}

func TestClockFollowsTime(t *testing.T) {
	w := &fake{time.UnixMilli(1_000_000)}
	c := NewClock(ClockOptions{Now: w.now})
	a := now(t, c)
	require.Equal(t, w.t, a.Time())
	b := now(t, c)
	require.Equal(t, a+1, b)
	require.Equal(t, uint16(1), b.Logical())
	w.t = w.t.Add(-time.Hour)
	require.Equal(t, b+1, now(t, c), "the wall clock was set back")
	w.t = w.t.Add(2 * time.Hour)
	require.Equal(t, w.t, now(t, c).Time())
	require.Equal(t, "1970-01-01T01:16:40.000Z+0", c.Last().String())
	raw, err := a.AppendBinary(nil)
	require.NoError(t, err)
	require.Len(t, raw, 8)
	require.Zero(t, NewTimestamp(time.Unix(-5, 0)))
}

func TestClockCarries(t *testing.T) {
	w := &fake{time.UnixMilli(5)}
	c := NewClock(ClockOptions{Now: w.now})
	first := now(t, c)
	for range math.MaxUint16 + 1 {
		now(t, c)
	}
	require.Equal(t, first.Time().Add(time.Millisecond), c.Last().Time())
}

func TestClockObserves(t *testing.T) {
	w := &fake{time.UnixMilli(1_000_000)}
	c := NewClock(ClockOptions{Now: w.now})
	remote := NewTimestamp(w.t.Add(400 * time.Millisecond))
	s, err := c.Observe(remote)
	require.NoError(t, err)
	require.Equal(t, remote+1, s)
	require.Greater(t, now(t, c), s)
	_, err = c.Observe(NewTimestamp(w.t.Add(time.Hour)))
	require.ErrorIs(t, err, ErrOffset)
	_, err = c.Observe(math.MaxUint64)
	require.ErrorIs(t, err, ErrOffset)
	require.Less(t, c.Last().Time(), w.t.Add(time.Second), "a broken clock drags nobody along")
	old, err := c.Observe(5)
	require.NoError(t, err)
	require.Greater(t, old, s)
	lenient := NewClock(ClockOptions{Now: w.now, MaxOffset: -1})
	_, err = lenient.Observe(NewTimestamp(w.t.Add(time.Hour)))
	require.NoError(t, err)
}

// A restart with the wall clock set back repeats no stamp, and a peer accepts what the
// restarted clock gives while the wall clock is right.
func TestClockBoundSurvivesRestart(t *testing.T) {
	w := &fake{time.UnixMilli(1_000_000_000)}
	var saved Timestamp
	calls := 0
	o := ClockOptions{Now: w.now, Bound: func(b Timestamp) error {
		require.Greater(t, b, saved, "bounds only grow")
		saved, calls = b, calls+1
		return nil
	}}
	c := NewClock(o)
	var last Timestamp
	for range 5000 {
		w.t = w.t.Add(time.Millisecond)
		s := now(t, c)
		require.Greater(t, s, last)
		require.LessOrEqual(t, s, saved)
		last = s
	}
	require.LessOrEqual(t, calls, 20, "once in 250 ms")
	o.Last = saved
	peer := NewClock(ClockOptions{Now: w.now})
	s := now(t, NewClock(o))
	require.Greater(t, s, last)
	_, err := peer.Observe(s)
	require.NoError(t, err)
	w.t = w.t.Add(-10 * time.Minute)
	o.Last = saved
	require.Greater(t, now(t, NewClock(o)), s)
}

func TestClockBoundAhead(t *testing.T) {
	start := time.UnixMilli(1_000_000)
	for want, o := range map[time.Duration]ClockOptions{
		250 * time.Millisecond: {},
		50 * time.Millisecond:  {MaxOffset: 100 * time.Millisecond},
		2 * time.Second:        {BoundAhead: 2 * time.Second},
		0:                      {BoundAhead: time.Nanosecond},
	} {
		o.Now = func() time.Time { return start }
		var bound Timestamp
		o.Bound = func(b Timestamp) error { bound = b; return nil }
		s := now(t, NewClock(o))
		require.Equal(t, want, bound.Time().Sub(start))
		require.LessOrEqual(t, s, bound)
	}
	o := ClockOptions{MaxOffset: -1, Now: func() time.Time { return start }}
	var bound Timestamp
	o.Bound = func(b Timestamp) error { bound = b; return nil }
	now(t, NewClock(o))
	require.Equal(t, 250*time.Millisecond, bound.Time().Sub(start))
}

// Stamps, options and wall clocks from the end of time, and from before it began.
func TestClockEnds(t *testing.T) {
	w := &fake{time.UnixMilli(1_000_000)}
	c := NewClock(ClockOptions{Now: w.now, MaxOffset: -1})
	before := now(t, c)
	_, err := c.Observe(math.MaxUint64)
	require.ErrorIs(t, err, ErrClockEnd)
	require.Equal(t, before, c.Last(), "a refused stamp leaves no trace")
	s, err := c.Observe(math.MaxUint64 - 1)
	require.NoError(t, err)
	require.Equal(t, Timestamp(math.MaxUint64), s)
	_, err = c.Now()
	require.ErrorIs(t, err, ErrClockEnd, "no stamp is given twice, not even the last")
	_, err = NewClock(ClockOptions{Last: math.MaxUint64}).Now()
	require.ErrorIs(t, err, ErrClockEnd)

	var bounds []Timestamp
	c = NewClock(ClockOptions{Now: w.now, Last: math.MaxUint64 - 3, Bound: func(b Timestamp) error { bounds = append(bounds, b); return nil }})
	for range 3 {
		now(t, c)
	}
	_, err = c.Now()
	require.ErrorIs(t, err, ErrClockEnd)
	require.Equal(t, []Timestamp{math.MaxUint64}, bounds)

	for _, far := range []time.Time{time.Unix(math.MaxInt64/2, 0), time.Date(300_000_000, 1, 1, 0, 0, 0, 0, time.UTC), time.UnixMilli(maxMillis + 1)} {
		require.Equal(t, Timestamp(maxMillis<<logicalBits), NewTimestamp(far), far)
	}
	for _, past := range []time.Time{{}, time.Unix(-5, 0), time.Unix(math.MinInt64/2, 0), time.UnixMilli(-1)} {
		require.Zero(t, NewTimestamp(past))
	}
	require.Equal(t, Timestamp(maxMillis<<logicalBits), NewTimestamp(time.UnixMilli(maxMillis)))
	s, err = NewClock(ClockOptions{Now: func() time.Time { return time.Time{} }}).Now()
	require.NoError(t, err)
	require.Equal(t, Timestamp(1), s, "a wall clock before 1970 counts on")
}

func TestZeroClock(t *testing.T) {
	var c Clock
	before := time.Now().Add(-time.Millisecond)
	s := now(t, &c)
	require.WithinRange(t, s.Time(), before, time.Now().Add(time.Millisecond))
	_, err := c.Observe(NewTimestamp(time.Now().Add(time.Hour)))
	require.ErrorIs(t, err, ErrOffset)
}

// The clock against its definition, over wall clocks that jump, and stamps from anywhere.
func TestClockAgainstDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const start = 1_000_000
		w := &fake{time.UnixMilli(start)}
		c := NewClock(ClockOptions{Now: w.now})
		var last Timestamp
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			w.t = w.t.Add(time.Duration(rapid.IntRange(-3000, 3000).Draw(t, "jump")) * time.Millisecond)
			wall := NewTimestamp(w.t)
			want := max(last+1, wall)
			var got Timestamp
			var err error
			if rapid.Bool().Draw(t, "observe") {
				remote := NewTimestamp(w.t.Add(time.Duration(rapid.IntRange(-1000, 1000).Draw(t, "ahead"))*time.Millisecond)) + Timestamp(rapid.Uint16().Draw(t, "logical"))
				got, err = c.Observe(remote)
				if ahead := remote.Time().Sub(w.t); ahead > 500*time.Millisecond {
					var off *OffsetError
					if !errors.As(err, &off) || off.Ahead != ahead || off.Remote != remote || off.Max != 500*time.Millisecond {
						t.Fatalf("%v ahead: %v", ahead, err)
					}
					continue
				}
				want = max(want, remote+1)
			} else {
				got, err = c.Now()
			}
			if err != nil || got != want || c.Last() != got || got.Compare(last) <= 0 {
				t.Fatalf("%v %v, want %v", got, err, want)
			}
			last = got
		}
	})
}

// Goroutines that waited for one another's bound find it moved, and leave it there.
func TestClockBoundIsNotMovedTwice(t *testing.T) {
	var bounds []Timestamp
	c := NewClock(ClockOptions{Bound: func(b Timestamp) error { bounds = append(bounds, b); return nil }})
	high := uint64(NewTimestamp(time.UnixMilli(1_000_000)))
	require.NoError(t, c.extend(high))
	require.NoError(t, c.extend(high+1))
	require.NoError(t, c.extend(high-5_000<<logicalBits))
	require.Len(t, bounds, 1)
}

func TestClockBoundFails(t *testing.T) {
	full := errors.New("disk full")
	fail := true
	c := NewClock(ClockOptions{Bound: func(Timestamp) error {
		if fail {
			return full
		}
		return nil
	}})
	_, err := c.Now()
	require.ErrorIs(t, err, full)
	require.Zero(t, c.Last())
	fail = false
	now(t, c)
}

// Whoever sees a stamp gives a greater one, whichever goroutine gave it, and no stamp is
// given twice, with the bound being moved all the time.
func TestClockIsStrictAcrossGoroutines(t *testing.T) {
	var inBound atomic.Int32
	var bound atomic.Uint64
	c := NewClock(ClockOptions{BoundAhead: time.Millisecond, Bound: func(b Timestamp) error {
		if inBound.Add(1) != 1 || bound.Swap(uint64(b)) >= uint64(b) {
			t.Error("Bound is called twice at a time, or goes back")
		}
		inBound.Add(-1)
		return nil
	}})
	const workers = 8
	each := 20_000
	if testing.Short() {
		each = 4_000
	}
	var wg sync.WaitGroup
	var seen atomic.Uint64 // the latest stamp that anybody told of
	var got [workers][]Timestamp
	for w := range workers {
		wg.Go(func() {
			for n := range each {
				before := Timestamp(seen.Load())
				var s Timestamp
				var err error
				if n%7 == 0 {
					s, err = c.Observe(before)
				} else {
					s, err = c.Now()
				}
				if err != nil || s <= before || uint64(s) > bound.Load() {
					t.Errorf("after %v: %v %v, bound %v", before, s, err, Timestamp(bound.Load()))
					return
				}
				seen.Store(uint64(s))
				got[w] = append(got[w], s)
			}
		})
	}
	wg.Wait()
	all := map[Timestamp]bool{}
	for _, g := range got {
		for _, s := range g {
			if all[s] {
				t.Fatal("a stamp was given twice")
			}
			all[s] = true
		}
	}
	require.Len(t, all, workers*each)
}

// While the wall clock stands still every stamp is the last one plus one, so that a stamp
// given twice shows in the sum. No call is made between reading the word and swapping it:
// only many tries find a swap that does not compare.
func TestClockGivesEachStampOnce(t *testing.T) {
	frozen := time.UnixMilli(1_000_000)
	c := NewClock(ClockOptions{Now: func() time.Time { return frozen }})
	const workers = 4
	each := 1_000_000
	if testing.Short() {
		each = 50_000
	}
	first := now(t, c)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for range each {
				if _, err := c.Now(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, first+Timestamp(workers*each), c.Last())
}
