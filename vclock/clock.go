package vclock

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A hybrid logical clock gives stamps that are close to real time and yet consistent with
// causality: whoever observed a stamp gives greater ones from then on, whatever its own
// clock says. The whole state is one word,
//
//	┌──────────── 48 bits ────────────┬── 16 bits ──┐
//	│ Unix milliseconds               │ logical     │
//	└─────────────────────────────────┴─────────────┘
//
// so that "the greater of the wall clock and the last stamp plus one" is one comparison
// and one compare-and-swap. When 65,536 stamps fall into one millisecond the logical part
// carries into the next, and stamps run ahead of the wall clock for a moment.
//
// What is not in the word does not survive a restart. If the wall clock is set back while
// the process is down, stamps come again. Bound closes that hole: the clock announces how
// far its stamps may reach before it gives them, and a restart begins beyond that.
//
//	    announced             announced, Last of the next run
//	        ▼                          ▼
//	────●●●●|●●●●●●●●●●● crash         |●●●●●●●●
//
// Invariants: stamps strictly increase; with Bound, no stamp is beyond the last bound that
// Bound took without an error.
//
// Source: Kulkarni, Demirbas, Madappa, Avva, Leone, "Logical Physical Clocks and Consistent
// Snapshots in Globally Distributed Databases" (2014).

var (
	// ErrOffset is matched by Observe's error for a stamp too far ahead of this clock.
	ErrOffset = errors.New("vclock: remote clock too far ahead")
	// ErrClockEnd is returned when there is no greater stamp: the clock was started from
	// or shown one at the end of time, which only a forged stamp or option is.
	ErrClockEnd = errors.New("vclock: clock at its end")
)

// OffsetError is Observe's error for a stamp too far ahead. It matches ErrOffset.
type OffsetError struct {
	Remote     Timestamp     // the stamp that was refused
	Ahead, Max time.Duration // how far ahead of the wall clock it is, and may be
}

// Error says by how much.
func (e *OffsetError) Error() string {
	return fmt.Sprintf("%v: by %v, at most %v", ErrOffset, e.Ahead, e.Max)
}

// Unwrap is ErrOffset.
func (e *OffsetError) Unwrap() error { return ErrOffset }

// ClockOptions configures a Clock. The zero value is a good clock for stamps that need not
// outlive the process.
type ClockOptions struct {
	// Now is physical time (nil: time.Now). It is called by several goroutines at once.
	Now func() time.Time

	// MaxOffset is how far ahead of Now an observed stamp may be (0: 500 ms). Negative
	// accepts any, and with it that one broken clock moves all others.
	MaxOffset time.Duration

	// Last is a stamp that the first one must be greater than: what an earlier run handed
	// to Bound.
	Last Timestamp

	// Bound, if set, is called before the clock gives stamps up to the one it is handed,
	// so that it can be persisted and become Last after a restart: then no stamp is given
	// twice even if the wall clock was set back meanwhile. Its argument only grows. It is
	// called about once in BoundAhead of stamps, never by two goroutines at a time; stamps
	// beyond the old bound wait for it. If it fails, so does the call that needed it, and
	// the next one tries again. It must not call the clock.
	Bound func(Timestamp) error

	// BoundAhead is how far beyond a stamp the bound is set (0: half of MaxOffset, and
	// 250 ms without one). A clock that restarts at once is that far ahead of the wall
	// clock: with more than MaxOffset, its peers would refuse its stamps. Restarts in quick
	// succession add up; wait until the wall clock is past Last to start level with it.
	BoundAhead time.Duration
}

// Clock is a hybrid logical clock. The zero Clock is NewClock(ClockOptions{}). It is safe
// for concurrent use, must not be copied, and takes no lock but around Bound.
type Clock struct {
	o     ClockOptions
	last  atomic.Uint64
	bound atomic.Uint64
	mu    sync.Mutex // held while Bound runs
}

// NewClock makes a clock.
func NewClock(o ClockOptions) *Clock {
	c := &Clock{o: o}
	c.last.Store(uint64(o.Last))
	c.bound.Store(uint64(o.Last))
	return c
}

// Now returns a stamp greater than all that this clock gave or observed. The error is that
// of Bound, or ErrClockEnd; no stamp was given then. A clock without Bound and without a
// forged Last has no errors.
func (c *Clock) Now() (Timestamp, error) { return c.advance(NewTimestamp(c.wall()), 0) }

// Observe takes note of a stamp that came with a message and returns a greater one. A
// stamp more than MaxOffset ahead of the wall clock is refused with an OffsetError:
// following it would drag this clock, and all that hear from it, along with a broken one.
// Other errors are those of Now. A refused stamp leaves no trace.
func (c *Clock) Observe(remote Timestamp) (Timestamp, error) {
	wall := c.wall()
	if most := c.maxOffset(); most >= 0 {
		if ahead := remote.Time().Sub(wall); ahead > most {
			return 0, &OffsetError{Remote: remote, Ahead: ahead, Max: most}
		}
	}
	return c.advance(NewTimestamp(wall), remote)
}

// Last is the greatest stamp given or observed so far.
func (c *Clock) Last() Timestamp { return Timestamp(c.last.Load()) }

func (c *Clock) wall() time.Time {
	if c.o.Now == nil {
		return time.Now()
	}
	return c.o.Now()
}

func (c *Clock) maxOffset() time.Duration {
	if c.o.MaxOffset == 0 {
		return 500 * time.Millisecond
	}
	return c.o.MaxOffset
}

func (c *Clock) advance(wall, seen Timestamp) (Timestamp, error) {
	for {
		old := c.last.Load()
		base := max(old, uint64(seen))
		if base == maxTimestamp {
			return 0, ErrClockEnd
		}
		next := max(base+1, uint64(wall))
		if c.o.Bound != nil && next > c.bound.Load() {
			if err := c.extend(next); err != nil {
				return 0, err
			}
			continue
		}
		// A failed swap means that another goroutine advanced: try again with the same
		// reading of the wall clock, which costs more than the swap.
		if c.last.CompareAndSwap(old, next) {
			return Timestamp(next), nil
		}
	}
}

// extend persists a bound beyond next.
func (c *Clock) extend(next uint64) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if next <= c.bound.Load() {
		return nil
	}
	ahead := uint64(c.boundAhead().Milliseconds())
	millis := min(next>>logicalBits+ahead, maxMillis)
	// All of the bound's millisecond, so that it is never below next.
	bound := millis<<logicalBits | (1<<logicalBits - 1)
	if err := c.o.Bound(Timestamp(bound)); err != nil {
		return fmt.Errorf("vclock: persist the clock's bound: %w", err)
	}
	c.bound.Store(bound)
	return nil
}

func (c *Clock) boundAhead() time.Duration {
	switch {
	case c.o.BoundAhead > 0:
		return c.o.BoundAhead
	case c.maxOffset() > 0:
		return c.maxOffset() / 2
	}
	return 250 * time.Millisecond
}
