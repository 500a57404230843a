package snowflake

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// load reads the mark and returns the unit to begin with; start is that of the clock, which
// says wall.
func (g *Generator) load(start uint64, wall int64) (uint64, error) {
	loaded := make(chan time.Time, 1) // not t itself: a Load that is not waited for may still write
	err := within(context.Background(), max(g.o.MarkEvery, defaultMaxBack), func(ctx context.Context) error {
		t, err := g.o.Mark.Load(ctx)
		loaded <- t
		return err
	})
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrMark, err)
	}
	t := <-loaded
	g.hard = 0
	g.limit.Store(0) // nothing before the first Store
	if t.IsZero() {
		return start, nil
	}
	floor := g.o.Layout.ceilTick(t)
	if floor <= start+g.ahead {
		return max(start, floor), nil
	}
	amount := int64(floor-g.ahead)*int64(g.o.Layout.Unit) - wall
	if amount > int64(g.o.MaxBack) {
		return 0, &ClockError{Back: time.Duration(amount), Max: g.o.MaxBack}
	}
	g.skew.Store(&skew{amount: amount, from: wall})
	return floor, nil
}

// extend makes sure that the state next, which is beyond limit, is within what the mark
// allows; now is the clock's unit. Halfway through an announcement the next one is stored
// in the background. Callers wait for it only if it is late.
func (g *Generator) extend(next, now uint64) error {
	g.mu.Lock()
	if g.lost != nil {
		defer g.mu.Unlock()
		return g.lost
	}
	if next <= g.limit.Load() || g.closed != nil {
		g.mu.Unlock()
		return nil // reserve looks again
	}
	if g.storing == nil {
		g.announce(max(now, next>>g.seqBits))
	}
	if next <= g.hard {
		g.limit.Store(g.hard)
		g.mu.Unlock()
		return nil
	}
	storing := g.storing
	g.mu.Unlock()

	timeout := time.NewTimer(g.o.MarkEvery)
	defer timeout.Stop()
	select {
	case <-storing:
	case <-timeout.C:
		return fmt.Errorf("%w: not durable after %v", ErrMark, g.o.MarkEvery)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lost != nil {
		return g.lost
	}
	if next > g.hard && g.closed == nil {
		return g.markErr
	}
	return nil
}

// announce starts a Store of a mark for the ids from the unit tick on. g.mu is held.
func (g *Generator) announce(tick uint64) {
	ahead := uint64(2 * g.o.MarkEvery / g.o.Layout.Unit)
	end := min(tick+ahead, g.maxTick+1)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	g.storing, g.cancel = done, cancel
	go func() {
		defer close(done)
		defer cancel()
		err := g.o.Mark.Store(ctx, g.o.Layout.tickTime(end))
		g.stored(end, end-(end-tick)/2, err)
	}()
}

// stored takes note that a mark for the units before end is durable, or is not. The next
// one is due at the unit half.
func (g *Generator) stored(end, half uint64, err error) {
	g.mu.Lock()
	g.storing, g.markErr = nil, nil
	lost := errors.Is(err, ErrLeaseLost)
	switch {
	case err == nil:
		g.count.marks.Add(1)
		g.hard = max(g.hard, end<<g.seqBits-1)
		g.limit.Store(min(g.hard, half<<g.seqBits))
	case lost:
		// What is left of the announcement is still ours alone, but there is nothing to be
		// gained from it.
		g.lost = err
		g.limit.Store(0)
		g.free.Store(0)
	default:
		g.count.markErrors.Add(1)
		g.markErr = fmt.Errorf("%w: %w", ErrMark, err)
		// Try again halfway to where it would hurt.
		if last := g.state.Load(); last < g.hard {
			g.limit.Store(last + (g.hard-last)/2)
		}
	}
	g.mu.Unlock()
	// A logger may ask for Stats.
	switch {
	case lost:
		g.o.Logger.Error("snowflake: lease lost", "node", g.o.Node, "err", err)
	case err != nil:
		g.o.Logger.Warn("snowflake: the mark is not durable", "node", g.o.Node, "err", err)
	}
}
