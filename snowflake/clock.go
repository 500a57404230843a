package snowflake

import (
	"math"
	"sync/atomic"
	"time"
)

// wallClock reads nanoseconds since an epoch. time.Now reads two clocks of the system, the
// wall's and the monotonic one, and costs twice as much as one. Most readings here are of
// the monotonic clock, to which an offset is added that is measured anew every few
// milliseconds; by then a step of the wall clock, or the end of a machine's suspension, is
// seen.
type wallClock struct {
	epoch time.Time
	user  func() time.Time // if not nil, it alone is asked

	base   time.Time
	offset atomic.Int64 // wall minus monotonic
	expiry atomic.Int64 // of offset, in monotonic nanoseconds since base
}

const (
	// offsetLife is how late a step of the wall clock may be seen.
	offsetLife = 8 * time.Millisecond
	// offsetNoise is what two measurements may differ by without a step: the two clocks are
	// not read at the same moment. Both follow the same corrections of the rate, so that
	// they do not drift apart.
	offsetNoise = 100 * time.Microsecond
)

func (c *wallClock) init(epoch time.Time, user func() time.Time) {
	c.epoch, c.user, c.base = epoch, user, time.Now()
}

// now is the time since the epoch; negative before it, and saturated 292 years away.
func (c *wallClock) now() int64 {
	if c.user != nil {
		return int64(c.user().Sub(c.epoch))
	}
	if wall, ok := c.quick(); ok {
		return wall
	}
	return c.measure()
}

// quick is now without what cannot be done in line, if the offset is still good.
func (c *wallClock) quick() (wall int64, ok bool) {
	if c.user != nil {
		return 0, false
	}
	mono := int64(time.Since(c.base))
	return mono + c.offset.Load(), mono < c.expiry.Load()
}

// measure renews the offset. Two goroutines may do so at once: either's offset will do.
func (c *wallClock) measure() int64 {
	var wall, mono int64
	gap := time.Duration(math.MaxInt64)
	for range 3 {
		before := time.Since(c.base)
		t := time.Now()
		elapsed := t.Sub(c.base)
		// Between before and elapsed the goroutine may have been interrupted, and nobody
		// knows whether before or after the wall clock was read.
		if elapsed-before < gap {
			gap = elapsed - before
			wall, mono = int64(t.Round(0).Sub(c.epoch)), int64(elapsed)
		}
		if gap < offsetNoise {
			break
		}
	}
	if wall == math.MinInt64 || wall == math.MaxInt64 {
		return wall
	}
	old, offset := c.offset.Load(), wall-mono
	if c.expiry.Load() != 0 && max(old, offset)-min(old, offset) <= int64(max(gap, offsetNoise)) {
		offset = old // no evidence of a step, and a clock that does not jitter
	}
	c.offset.Store(offset)
	c.expiry.Store(mono + int64(offsetLife))
	return mono + offset
}

// time is now as a time, for messages.
func (c *wallClock) time() time.Time { return c.epoch.Add(time.Duration(c.now())).UTC() }

// skew is a clock of the generator's own that is ahead of the true one, which was set back.
// It runs slower by 1/2^slew until the two meet, and never stands or goes back by itself:
//
//	true time    ───────╮  ╭───────────────────
//	                    ╰──╯ amount   ╱ they meet after amount << slew
//	the generator's ─────────────────╱
type skew struct {
	amount int64 // nanoseconds ahead …
	from   int64 // … at this true time
}

const slew = 3

// at is how far ahead the generator's clock is at a true time.
func (s *skew) at(wall int64) int64 {
	if s == nil {
		return 0
	}
	var passed uint64 // unsigned, for the two may be more than 292 years apart
	if wall > s.from {
		passed = uint64(wall) - uint64(s.from)
	}
	return max(s.amount-int64(passed>>slew), 0)
}

// now is the generator's clock in nanoseconds since the epoch.
func (g *Generator) now() int64 {
	wall := g.wall.now()
	if s := g.skew.Load(); s != nil {
		ahead := s.at(wall)
		if ahead == 0 {
			g.skew.CompareAndSwap(s, nil)
		}
		wall += ahead
	}
	return wall
}

// tick is the unit of a time since the epoch: at most one beyond the last, so that it can
// be shifted into a state.
func (g *Generator) tick(ns int64) uint64 {
	if ns < 0 {
		return 0
	}
	n := uint64(ns)
	switch g.o.Layout.Unit {
	case time.Millisecond:
		n /= uint64(time.Millisecond) // a constant: a multiplication
	default:
		n /= uint64(g.o.Layout.Unit)
	}
	return min(n, g.maxTick+1)
}
