package snowflake

import (
	"fmt"
	"sync/atomic"
	"time"
)

// counters are of what happens seldom: an id itself is not counted, for that would cost as
// much as making it.
type counters struct {
	waits, waited, absorbed, refused, marks, markErrors atomic.Int64
}

// Stats tells what a generator has been through.
type Stats struct {
	Node       uint64
	Last       ID            // no id issued is greater; 0 before the first and after Close
	Ahead      time.Duration // how far Last is ahead of Options.Now; negative: behind; 0 without
	Skew       time.Duration // how far the generator's clock is ahead of Options.Now
	Waits      int64         // calls that waited because the sequence was used up
	Waited     time.Duration // how long, together
	Absorbed   int64         // steps back of the clock that were smoothed over
	Refused    int64         // calls that failed because of one
	Marks      int64         // marks stored
	MarkErrors int64         // marks that could not be stored
	MarkedTo   time.Time     // no id has this time or a later one; zero without a mark
	Lost       bool          // the lease is lost
}

// Stats returns a snapshot. It may be called beside everything else.
func (g *Generator) Stats() Stats {
	wall := g.wall.now()
	last := g.state.Load()
	s := Stats{
		Node:       g.o.Node,
		Skew:       time.Duration(g.skew.Load().at(wall)),
		Waits:      g.count.waits.Load(),
		Waited:     time.Duration(g.count.waited.Load()),
		Absorbed:   g.count.absorbed.Load(),
		Refused:    g.count.refused.Load(),
		Marks:      g.count.marks.Load(),
		MarkErrors: g.count.markErrors.Load(),
	}
	if last != g.born && last < closedState {
		s.Last = g.id(last)
		s.Ahead = time.Duration(int64(last>>g.seqBits)*int64(g.o.Layout.Unit) - wall)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	s.Lost = g.lost != nil
	if g.o.Mark != nil && g.hard != 0 {
		s.MarkedTo = g.o.Layout.tickTime(g.hard>>g.seqBits + 1)
	}
	return s
}

// String is one line for a log.
func (s Stats) String() string {
	return fmt.Sprintf("node %d: last %d, %v ahead (skew %v), %d waits of %v, clock back %d times and refused %d, %d marks and %d failed",
		s.Node, s.Last, s.Ahead, s.Skew, s.Waits, s.Waited, s.Absorbed, s.Refused, s.Marks, s.MarkErrors)
}
