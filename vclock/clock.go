package vclock

import (
	"encoding/binary"
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

// ErrOffset is matched by Observe's error for a stamp too far ahead of this clock.
var ErrOffset = errors.New("vclock: remote clock too far ahead")

const logicalBits = 16

// Timestamp is a hybrid logical time. The zero Timestamp is before all others.
type Timestamp uint64

// NewTimestamp is the first stamp of the millisecond of t; times before 1970 are 1970.
func NewTimestamp(t time.Time) Timestamp {
	return Timestamp(max(t.UnixMilli(), 0)) << logicalBits
}

// Time is the physical part, to the millisecond.
func (t Timestamp) Time() time.Time { return time.UnixMilli(int64(t >> logicalBits)) }

// Logical is the logical part.
func (t Timestamp) Logical() uint16 { return uint16(t) }

// String is the physical part in UTC and the logical part.
func (t Timestamp) String() string {
	return fmt.Sprintf("%s+%d", t.Time().UTC().Format("2006-01-02T15:04:05.000Z"), t.Logical())
}

// AppendBinary appends the stamp in eight big-endian bytes, which sort as stamps do. The
// error is always nil.
func (t Timestamp) AppendBinary(b []byte) ([]byte, error) {
	return binary.BigEndian.AppendUint64(b, uint64(t)), nil
}

// ClockOptions configures a Clock. The zero value is a good clock.
type ClockOptions struct {
	Now       func() time.Time // physical time (time.Now)
	MaxOffset time.Duration    // how far ahead of Now an observed stamp may be (500 ms); negative: any
	Last      Timestamp        // the first stamp is greater: what an earlier run bounded itself by

	// Bound, if set, is called before the clock gives stamps up to the one it is handed,
	// so that it can be persisted and become Last after a restart: then no stamp is
	// given twice even if the wall clock was set back meanwhile. It is called about once
	// in BoundAhead, not at the same time by two goroutines, and stamps wait for it.
	Bound      func(Timestamp) error
	BoundAhead time.Duration // (3 s)
}

// Clock is a hybrid logical clock. It is safe for concurrent use and takes no lock but
// around Bound.
type Clock struct {
	o     ClockOptions
	last  atomic.Uint64
	bound atomic.Uint64
	mu    sync.Mutex // held while Bound runs
}

// NewClock makes a clock.
func NewClock(o ClockOptions) *Clock {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.MaxOffset == 0 {
		o.MaxOffset = 500 * time.Millisecond
	}
	if o.BoundAhead <= 0 {
		o.BoundAhead = 3 * time.Second
	}
	c := &Clock{o: o}
	c.last.Store(uint64(o.Last))
	c.bound.Store(uint64(o.Last))
	if o.Bound == nil {
		c.bound.Store(1<<64 - 1)
	}
	return c
}

// Now returns a stamp greater than all that this clock gave or observed. The error is
// that of Bound, nil without one; no stamp was given then.
func (c *Clock) Now() (Timestamp, error) { return c.advance(0) }

// Observe takes note of a stamp that came with a message and returns a greater one. A
// stamp more than MaxOffset ahead of the wall clock is refused (ErrOffset): following it
// would drag this clock, and all that hear from it, along with a broken one.
func (c *Clock) Observe(remote Timestamp) (Timestamp, error) {
	if c.o.MaxOffset >= 0 {
		if ahead := remote.Time().Sub(c.o.Now()); ahead > c.o.MaxOffset {
			return 0, fmt.Errorf("%w: by %v, at most %v", ErrOffset, ahead, c.o.MaxOffset)
		}
	}
	return c.advance(uint64(remote))
}

// Last is the greatest stamp given or observed so far.
func (c *Clock) Last() Timestamp { return Timestamp(c.last.Load()) }

func (c *Clock) advance(seen uint64) (Timestamp, error) {
	wall := uint64(NewTimestamp(c.o.Now()))
	for {
		old := c.last.Load()
		next := max(max(old, seen)+1, wall)
		if next > c.bound.Load() {
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
	bound := next + uint64(c.o.BoundAhead.Milliseconds())<<logicalBits
	if err := c.o.Bound(Timestamp(bound)); err != nil {
		return fmt.Errorf("vclock: persist the clock's bound: %w", err)
	}
	c.bound.Store(bound)
	return nil
}
