package snowflake

import (
	"fmt"
	"math"
	"time"
)

// reserve takes up to n consecutive states, as many as fit below MaxAhead and the limit,
// and returns the first and their number. It is where everything but the plain case of
// Next ends up: batches, waiting, steps of the clock, the mark, and the end.
func (g *Generator) reserve(n uint64) (first, count uint64, err error) {
	var p patience
	for {
		// The state before the clock: then the state cannot come from a later reading, and
		// what is more than a unit over MaxAhead is a clock that went back.
		old := g.state.Load()
		ns := g.now()
		now := g.tick(ns)
		if old >= closedState {
			return 0, 0, ErrClosed
		}
		first = max(old+1, now<<g.seqBits)
		limit := g.limit.Load()
		if first>>g.seqBits > now+g.ahead || first > limit {
			g.begun.Store(never) // or every call would spend a state on nothing
		}
		if first > g.end {
			return 0, 0, fmt.Errorf("%w: since %v", ErrExhausted, g.o.Layout.End())
		}
		if over := first >> g.seqBits; over > now+g.ahead {
			if err := g.catchUp(over-now-g.ahead, ns, &p); err != nil {
				return 0, 0, err
			}
			continue
		}
		if first > limit {
			if err := g.extend(first, now); err != nil {
				return 0, 0, err
			}
			continue
		}
		horizon := min(now+g.ahead, g.maxTick)<<g.seqBits | g.seqMask
		last := min(first+n-1, horizon, limit)
		if g.state.CompareAndSwap(old, last) {
			if p.waited > 0 {
				g.count.waits.Add(1)
				g.count.waited.Add(int64(p.waited))
				g.openWindow(g.windowEnd(last, now, g.seqMask))
			}
			return first, last - first + 1, nil
		}
	}
}

// patience is what one call has waited.
type patience struct {
	waited time.Duration
	seen   int64         // the clock before the last sleep …
	still  time.Duration // … and how long it has not moved
}

// minSleep is the least that is worth a sleep; it also bounds the number of sleeps while a
// clock stands still.
const minSleep = 50 * time.Microsecond

// catchUp deals with a state that is excess units too far ahead of the clock, which says ns.
// One unit is the sequence used up: it sleeps until the unit ends. More is a clock that went
// back: it goes on with a skew, or fails.
func (g *Generator) catchUp(excess uint64, ns int64, p *patience) error {
	if excess > 1 {
		return g.absorb()
	}
	if p.waited > 0 && ns <= p.seen {
		// Somebody else's clock that does not move would hold us for ever.
		if p.still > g.o.MaxAhead+g.o.Layout.Unit {
			return &ClockError{Back: p.still, Max: g.o.MaxAhead + g.o.Layout.Unit, Stalled: true}
		}
	} else {
		p.still, p.seen = 0, ns
	}
	unit := int64(g.o.Layout.Unit)
	d := max(time.Duration(unit-max(ns, 0)%unit), minSleep)
	time.Sleep(d)
	p.waited += d
	p.still += d
	return nil
}

// absorb makes the generator's clock as late as its ids need, if MaxBack allows.
func (g *Generator) absorb() error {
	by, amount, err := g.adoptSkew()
	if by > 0 {
		g.o.Logger.Warn("snowflake: the clock went back", "node", g.o.Node, "by", time.Duration(by), "ahead", time.Duration(amount))
	}
	return err
}

// adoptSkew is absorb without telling of it, for a logger may ask for Stats.
func (g *Generator) adoptSkew() (by, amount int64, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	// Another goroutine may have done it meanwhile. State before clock, as in reserve.
	old := g.state.Load()
	wall := g.wall.now()
	ahead := g.skew.Load().at(wall)
	now := g.tick(wall + ahead)
	if old >= closedState || (old+1)>>g.seqBits <= now+g.ahead+1 {
		return 0, 0, nil
	}
	// So far that the next state is within MaxAhead again, counted from the true clock.
	tick := int64((old+1)>>g.seqBits - g.ahead)
	amount = behind(tick*int64(g.o.Layout.Unit), wall)
	if amount > int64(g.o.MaxBack) {
		g.count.refused.Add(1)
		return 0, 0, &ClockError{Back: time.Duration(amount), Max: g.o.MaxBack}
	}
	g.skew.Store(&skew{amount: amount, from: wall})
	g.count.absorbed.Add(1)
	return amount - ahead, amount, nil
}

// behind is by how much wall is before t, which is not negative, without overflow: there
// are clocks that say year 1.
func behind(t, wall int64) int64 {
	if wall < t-math.MaxInt64 {
		return math.MaxInt64
	}
	return t - wall
}
