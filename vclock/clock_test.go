package vclock

import (
	"errors"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
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
	any := NewClock(ClockOptions{Now: w.now, MaxOffset: -1})
	_, err = any.Observe(NewTimestamp(w.t.Add(time.Hour)))
	require.NoError(t, err)
}

// A restart with the wall clock set back repeats no stamp.
func TestClockBoundSurvivesRestart(t *testing.T) {
	w := &fake{time.UnixMilli(1_000_000_000)}
	var saved Timestamp
	calls := 0
	o := ClockOptions{Now: w.now, Bound: func(b Timestamp) error { saved, calls = b, calls+1; return nil }}
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
	w.t = w.t.Add(-10 * time.Minute)
	o.Last = saved
	require.Greater(t, now(t, NewClock(o)), last)
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

func TestClockIsStrictAcrossGoroutines(t *testing.T) {
	var bounds sync.Map
	c := NewClock(ClockOptions{Bound: func(b Timestamp) error { bounds.Store(b, true); return nil }, BoundAhead: time.Millisecond})
	const workers, each = 4, 20_000
	var wg sync.WaitGroup
	var got [workers][]Timestamp
	for w := range workers {
		wg.Go(func() {
			for range each {
				s, err := c.Now()
				if err != nil {
					t.Error(err)
					return
				}
				got[w] = append(got[w], s)
			}
		})
	}
	wg.Wait()
	seen := map[Timestamp]bool{}
	for _, g := range got {
		for i, s := range g {
			if seen[s] || i > 0 && s <= g[i-1] {
				t.Fatal("a stamp was given twice or out of order")
			}
			seen[s] = true
		}
	}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, err := plainClock.Now(); err != nil {
			t.Fatal(err)
		}
	}))
}

var plainClock = NewClock(ClockOptions{})
