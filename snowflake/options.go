package snowflake

import (
	"context"
	"fmt"
	"log/slog"
	"time"
)

// Options configures a Generator. The zero value makes Classic ids for node 0 from the
// system's clock, unique as long as the clock is not set back between two runs: set Mark or
// Lease where that must hold.
type Options struct {
	// Layout cuts the bits (zero: Classic).
	Layout Layout

	// Node is the fixed worker id. No two generators that run at once may share one.
	Node uint64

	// Lease is a leased worker id, in place of Node and Mark. The generator owns it: Close
	// releases it.
	Lease Lease

	// Mark is where the generator announces how far its ids may reach before it issues
	// them, so that the next run begins beyond (nil: nowhere, and then ids may come again
	// after a restart with the clock set back). The generator owns it: Close closes it, if
	// it is an io.Closer.
	Mark Mark

	// MarkEvery is the time between two announcements, each of which reaches twice as far
	// (0: one second). After a crash the first ids may be that much, twice, ahead of the
	// clock; after Close they are not. If that is more than MaxBack, New fails until the
	// clock has caught up. It is also how long a call waits at most for a Store.
	MarkEvery time.Duration

	// MaxAhead is how far ids may run ahead of the clock when a unit's sequence is used up
	// (0: 10 ms, at least one unit; negative: not at all). Beyond, calls wait.
	MaxAhead time.Duration

	// MaxBack is how far the clock may be set back, or be behind the Mark at the start,
	// without an error (0: 5 s; negative: not at all; at most a year). Within it, the generator goes on
	// with a clock of its own, which runs slower by an eighth until it meets the true one.
	// Beyond, calls fail with a ClockError until the clock has caught up.
	MaxBack time.Duration

	// Now is the clock (nil: the system's). It is called by several goroutines at once, and
	// for every id or batch, which the system's is not: see the package's costs.
	Now func() time.Time

	// Logger is told about steps of the clock, failing marks and lost leases (nil: silent).
	Logger *slog.Logger
}

// Mark is a durable high-water mark of ids. FileMark is one.
//
// A mark is a time t with this meaning: no id was or will be issued whose Layout.Time is t
// or later. Store is called before the ids up to t are issued, by one goroutine at a time.
// The mark grows, but for the last one, of Generator.Close, which says how far the ids
// really came.
type Mark interface {
	// Load returns the mark, and the zero time if there was never one. A mark that cannot
	// be read must be an error.
	Load(ctx context.Context) (time.Time, error)
	// Store replaces the mark. It is durable when Store returns nil; after an error either
	// mark may stand.
	Store(ctx context.Context, t time.Time) error
}

// Lease is a worker id that belongs to nobody else, together with its mark. The mark
// belongs to the node, not to the holder, and is what makes a lease safe: whoever leases
// the node next begins beyond it, and Store fails for him who lost the lease. So the ids of
// the two never meet, whatever their clocks say and however long one of them was suspended.
// AcquireFile and Acquire make leases.
type Lease interface {
	Mark
	// Node is the worker id.
	Node() uint64
	// Release lets others have the node at once. It may be called again, and after a loss.
	Release(ctx context.Context) error
}

const (
	defaultMarkEvery = time.Second
	defaultMaxAhead  = 10 * time.Millisecond
	defaultMaxBack   = 5 * time.Second
	mostBack         = 365 * 24 * time.Hour
)

// validate fills in defaults and refuses what contradicts itself.
func (o Options) validate() (Options, error) {
	if err := o.Layout.Validate(); err != nil {
		return o, err
	}
	o.Layout = o.Layout.resolve()
	if o.Lease != nil {
		if o.Mark != nil || o.Node != 0 {
			return o, fmt.Errorf("%w: a Lease brings its own Node and Mark", ErrOptions)
		}
		o.Node, o.Mark = o.Lease.Node(), o.Lease
	}
	if most := o.Layout.MaxNode(); o.Node > most {
		return o, fmt.Errorf("%w: %d of at most %d", ErrNode, o.Node, most)
	}
	if o.MarkEvery < 0 {
		return o, fmt.Errorf("%w: MarkEvery %v is negative", ErrOptions, o.MarkEvery)
	}
	if o.MarkEvery == 0 {
		o.MarkEvery = defaultMarkEvery
	}
	// With a mark in every unit there would be nothing but marks.
	o.MarkEvery = min(max(o.MarkEvery, 2*o.Layout.Unit), 24*time.Hour)
	switch {
	case o.MaxAhead < 0:
		o.MaxAhead = 0
	case o.MaxAhead == 0:
		o.MaxAhead = max(defaultMaxAhead, o.Layout.Unit)
	}
	switch {
	case o.MaxBack < 0:
		o.MaxBack = 0
	case o.MaxBack == 0:
		o.MaxBack = defaultMaxBack
	}
	o.MaxBack = min(o.MaxBack, mostBack)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}
