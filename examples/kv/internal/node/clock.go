package node

import (
	"time"

	"github.com/ashlar-go/ashlar/examples/kv/internal/core"
)

// clock is the machine's. Its monotonic part goes on, too, while the computer sleeps or
// its virtual machine is suspended, when the operating system's may stand still: it takes
// the greater advance of the monotonic and the wall clock. A wall clock that is set
// forward thus ends what is under way, and that is all it does.
type clock struct {
	last time.Time
	mono int64 // microseconds
}

func (c *clock) start(now time.Time) { c.last, c.mono = now, 1000 }

func (c *clock) now(t time.Time) core.Time {
	mono := t.Sub(c.last).Microseconds()
	wall := t.Round(0).Sub(c.last.Round(0)).Microseconds()
	// Differences of the two within a tick are noise.
	if wall > mono+time.Second.Microseconds() {
		mono = wall
	}
	if mono > 0 {
		c.mono += mono
		c.last = t
	}
	return core.Time{Mono: c.mono / 1000, Wall: t.UnixMilli()}
}
