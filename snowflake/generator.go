package snowflake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"sync"
	"sync/atomic"
	"time"
)

// The state of a generator is one word, the last id without its node,
//
//	┌────────────── time ──────────────┬── sequence ──┐
//	│ units since the epoch            │              │
//	└──────────────────────────────────┴──────────────┘
//
// and the next id is the greater of "the last one plus one" and "now, sequence 0", put in
// place by one compare-and-swap, or, once the clock's unit is begun, by one addition. When
// the sequence of a unit is used up, the sum carries into the time: ids run ahead of the
// clock, and nobody spins. When the clock goes back, the first of the two is the greater
// one: nothing repeats.
//
//	 what was announced to the Mark ────────────────────────────────────┐
//	 now + MaxAhead ───────────────────────────┐                        │
//	 now ──────────────┐                       │                        │
//	───●●●●●●●●●●●●●●●●●●●●●●●─────────────────┼────────────────────────┼───▶ time
//	                         ▲ last            ▲ beyond: wait           ▲ beyond: store first
//
// Invariants:
//
//  1. The state only grows, until Close replaces it by one that has no successor. So ids
//     strictly increase, also between goroutines, and nothing is issued after Close.
//  2. No id has a state beyond limit, and limit is never above hard, which is what Store
//     has made durable. So the next run, which begins beyond the mark, repeats nothing,
//     however this one ends; nor does the next holder of a leased node.
//  3. The state of an id is at most MaxAhead ahead of the generator's clock when it is
//     issued, and that clock at most MaxBack ahead of Options.Now. The excess is waited for,
//     outside of every lock, or it is an error.
//  4. limit, free, begun and the clock are hints for speed: a stale reading of them breaks
//     neither 1 nor 2, for hard only grows. That is why most ids need not look at the clock:
//     see window.go.
//
// Source: Twitter's Snowflake (2010) for the layout; the persisted bound is that of hybrid
// logical clocks in CockroachDB.

// Generator makes ids. It is safe for concurrent use and must not be copied.
type Generator struct {
	o    Options
	wall wallClock

	// The layout, ready for use.
	shift, seqBits uint8 // of the time in an id, of the time in a state
	node           uint64
	seqMask        uint64
	maxTick        uint64
	end            uint64 // the last state
	ahead          uint64 // MaxAhead in units
	millis         bool   // the unit is a millisecond
	adds           bool   // see addBits
	born           uint64 // the state before the first id

	skew  atomic.Pointer[skew]
	limit atomic.Uint64 // states up to here need no look at the mark
	free  atomic.Uint64 // states up to here need no look at the clock either: the window's end, or 0
	begun atomic.Uint64 // a unit that the state has reached because the clock did, or never

	_     [64]byte // the state is written all the time, what is above and below seldom
	state atomic.Uint64
	_     [64]byte

	window window
	count  counters

	mu      sync.Mutex
	hard    uint64        // the last state that the mark allows
	storing chan struct{} // closed when the running Store has ended; nil: none runs
	markErr error         // of the last Store
	lost    error         // the lease is gone: final
	cancel  context.CancelFunc
	closed  chan struct{} // not nil from the first Close on, closed at its end
	failure error         // of Close
}

const (
	// closedState has no successor and is beyond every limit, also by what is spent on
	// nothing at the end of time.
	closedState = 3 << 62
	// never is no unit.
	never = 1<<64 - 1
	// addBits is how long a sequence must be for Next to add before it looks: what
	// goroutines may spend on nothing at once must be less than a unit, or reserve would
	// take it for a clock that went back.
	addBits = 10
)

// New makes a generator. It reads the mark, if there is one. Errors match ErrLayout,
// ErrNode, ErrOptions, ErrEpoch, ErrExhausted, ErrMark, ErrCorrupt, ErrBusy, or ErrClock if
// the clock is further behind the mark than MaxBack. Lease and Mark belong to the generator
// from now on; if there is none, because of an error, they are released.
func New(o Options) (*Generator, error) {
	g, err := newGenerator(o)
	if err != nil {
		// What failed is already told, and a lease that stays taken expires.
		_ = within(context.Background(), releaseTimeout, func(ctx context.Context) error {
			return giveBack(ctx, o.Lease, o.Mark)
		})
		return nil, err
	}
	return g, nil
}

func newGenerator(o Options) (*Generator, error) {
	o, err := o.validate()
	if err != nil {
		return nil, err
	}
	l := o.Layout
	g := &Generator{
		o:       o,
		shift:   l.NodeBits + l.SeqBits,
		seqBits: l.SeqBits,
		node:    o.Node << l.SeqBits,
		seqMask: l.MaxSeq(),
		maxTick: l.maxTick(),
		end:     1<<(l.TimeBits+l.SeqBits) - 1,
		ahead:   uint64(o.MaxAhead / l.Unit),
		millis:  l.Unit == time.Millisecond,
		adds:    l.SeqBits >= addBits,
	}
	g.wall.init(l.Epoch, o.Now)
	g.limit.Store(g.end)
	g.begun.Store(never)
	g.hard = g.end
	wall := g.wall.now()
	if wall < 0 {
		return nil, fmt.Errorf("%w: %w: %v, the clock says %v", ErrEpoch, ErrClock, l.Epoch, g.wall.time())
	}
	start := uint64(wall / int64(l.Unit))
	if o.Mark != nil {
		if start, err = g.load(start, wall); err != nil {
			return nil, err
		}
	}
	if start > g.maxTick {
		return nil, fmt.Errorf("%w: since %v", ErrExhausted, l.End())
	}
	// The state before the first one of the unit, so that the first id is the first of it.
	// At tick 0 that is 0 itself: the id 0 is never issued.
	g.born = max(start<<l.SeqBits, 1) - 1
	g.state.Store(g.born)
	return g, nil
}

// Next returns an id greater than all that this generator has returned. It waits only when
// ids have run ahead of the clock by MaxAhead, and then for little more than one unit of
// the layout, or for a Store of the mark, MarkEvery at most. Errors match ErrClock or
// ErrMark, which may pass, or ErrExhausted, ErrLeaseLost or ErrClosed, which do not.
func (g *Generator) Next() (ID, error) {
	if free := g.free.Load(); free != 0 {
		if !g.adds {
			if old := g.state.Load(); old < free && g.state.CompareAndSwap(old, old+1) {
				return g.id(old + 1), nil
			}
		} else if next := g.state.Add(1); next <= free || g.look(next, free) {
			return g.id(next), nil
		}
	}
	var now uint64
	if wall, ok := g.wall.quick(); ok && g.millis {
		now = min(uint64(wall)/uint64(time.Millisecond), g.maxTick+1) // g.tick in line
	} else {
		now = g.tick(g.now())
	}
	if g.begun.Load() == now {
		// The state is in this unit or beyond already: add, which cannot fail, and look
		// afterwards. A state that turns out to be too far is spent on nothing.
		if next := g.state.Add(1); next <= g.limit.Load() && next>>(g.seqBits&63) <= now+g.ahead {
			if g.hurried(next, now) {
				g.openWindow(g.windowEnd(next, now, windowIDs))
			}
			return g.id(next), nil
		}
	}
	for {
		old := g.state.Load()
		next := max(old+1, now<<(g.seqBits&63))
		if next > g.limit.Load() || next>>(g.seqBits&63) > now+g.ahead {
			next, _, err := g.reserve(1)
			if err != nil {
				return 0, err
			}
			return g.id(next), nil
		}
		// After a failed swap the reading of the clock, which costs several swaps, still
		// serves: another goroutine went ahead, and old+1 is what counts.
		if g.state.CompareAndSwap(old, next) {
			if next == now<<(g.seqBits&63) && g.adds {
				g.begun.Store(now)
			} else if g.hurried(next, now) {
				g.openWindow(g.windowEnd(next, now, windowIDs))
			}
			return g.id(next), nil
		}
	}
}

// Fill sets dst to increasing ids, all greater than what was returned before. Other
// goroutines' ids may lie between those of one call if it is for more than the layout has in
// MaxAhead; it then takes as long as the layout needs. After an error, which is one of
// Next's, dst is zero.
func (g *Generator) Fill(dst []ID) error {
	for rest := dst; len(rest) > 0; {
		state, n, err := g.reserve(uint64(len(rest)))
		if err != nil {
			clear(dst)
			return err
		}
		part := rest[:n]
		for len(part) > 0 {
			// Within a unit, ids differ by one.
			run := part[:min(uint64(len(part)), g.seqMask-state&g.seqMask+1)]
			id := g.id(state)
			for i := range run {
				run[i] = id + ID(i)
			}
			state += uint64(len(run))
			part = part[len(run):]
		}
		rest = rest[n:]
	}
	return nil
}

// All yields ids until the loop ends or an error, which it yields last.
func (g *Generator) All() iter.Seq2[ID, error] {
	return func(yield func(ID, error) bool) {
		for {
			id, err := g.Next()
			if !yield(id, err) || err != nil {
				return
			}
		}
	}
}

// Layout is the layout of the ids, with all defaults filled in.
func (g *Generator) Layout() Layout { return g.o.Layout }

// Node is the worker id.
func (g *Generator) Node() uint64 { return g.o.Node }

// Close ends the generator: later calls fail with ErrClosed. It stores the exact mark,
// so that the next run need not run ahead, and releases the lease or closes the mark. The
// ids are safe also if that fails, or is never done. Without a mark it waits until the
// clock is past the last id, MaxAhead and a unit at most, so that a generator made next
// repeats none. With one it takes ten seconds at most, and is an ErrStalled then: a mark or a
// lease that does not heed its context is given back when it comes round. Later calls of
// Close wait for the first and return its error.
func (g *Generator) Close() error {
	g.mu.Lock()
	if g.closed != nil {
		g.mu.Unlock()
		<-g.closed
		return g.failure
	}
	g.closed = make(chan struct{})
	// Not limit, which a running Next has already looked at: no swap from another state
	// can succeed after this one.
	last := g.state.Swap(closedState)
	storing, cancel := g.storing, g.cancel
	g.mu.Unlock()
	if storing != nil {
		cancel()
	}
	g.window.stop()
	if g.o.Mark == nil {
		g.outwait(last)
	} else {
		g.failure = within(context.Background(), 2*releaseTimeout, func(context.Context) error {
			if storing != nil {
				<-storing
			}
			return g.release(last)
		})
	}
	close(g.closed)
	return g.failure
}

// release leaves the exact mark and gives up what the generator owned.
func (g *Generator) release(last uint64) error {
	ctx, cancel := context.WithTimeout(context.Background(), releaseTimeout)
	defer cancel()
	g.mu.Lock()
	lost := g.lost
	g.mu.Unlock()
	var err error
	if lost == nil {
		// Beyond the unit of the last id; of no id, beyond the mark that was found.
		if err = g.o.Mark.Store(ctx, g.o.Layout.tickTime(last>>g.seqBits+1)); err != nil {
			err = fmt.Errorf("%w: %w", ErrMark, err)
		}
	}
	return errors.Join(err, giveBack(ctx, g.o.Lease, g.o.Mark))
}

// releaseTimeout is how long a store may take to release a lease.
const releaseTimeout = 5 * time.Second

// giveBack releases a lease and closes a mark, if there are any.
func giveBack(ctx context.Context, l Lease, m Mark) error {
	var err error
	if l != nil {
		err = l.Release(ctx)
	}
	if c, ok := m.(io.Closer); ok {
		err = errors.Join(err, c.Close())
	}
	return err
}

// outwait sleeps until the clock is past the last id, which may have run ahead of it by
// MaxAhead: a generator that is made next finds no mark, only the clock.
func (g *Generator) outwait(last uint64) {
	unit := int64(g.o.Layout.Unit)
	d := time.Duration(behind(int64(last>>g.seqBits+1)*unit, g.wall.now()))
	time.Sleep(min(d, g.o.MaxAhead+g.o.Layout.Unit))
}

// id puts the node into a state.
func (g *Generator) id(state uint64) ID {
	return ID(state>>(g.seqBits&63)<<(g.shift&63) | g.node | state&g.seqMask)
}
