package snowflake

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

// Tickets are the other way to ids: numbers that are counted in one place, taken from there
// in blocks and given out locally. They are small and dense, which Generator's are not, and
// need a store, which Generator does not.
//
//	              block in use             spare
//	Next ◀── 4007 4008 … 4999 │ 5000 … 5999 ◀── Take, in the background, when half is used
//	                                               │ primary ✗ ─▶ secondary ✗ ─▶ Fallback
//
// Each step of the chain is used only while those before it fail: a spare block bridges
// short failures without anybody noticing.
//
// Source: Flickr's "Ticket Servers" (2010) for counters with a step and an offset.

// Block is a row of numbers: First, First+Step, …, Count of them.
type Block struct {
	First ID
	Count int64
	Step  int64 // 0 means 1
}

// TicketSource gives out blocks, no number twice. StoreTickets is one. Take asks for n
// numbers; a block may have fewer, but one at least.
type TicketSource interface {
	Take(ctx context.Context, n int64) (Block, error)
}

// TicketOptions configures Tickets. Only Sources must be set.
type TicketOptions struct {
	// Sources are asked in this order. Their numbers must differ: see CounterOptions.
	Sources []TicketSource
	// Block is how many numbers are taken at once (0: 1,000). What is left of them at the
	// end is never used.
	Block int64
	// Timeout is for one Take (0: one second).
	Timeout time.Duration
	// Retry is how long sources are left alone after all of them failed (0: one second).
	Retry time.Duration
	// Fallback makes ids when there is neither a block nor a source (nil: Next fails). It
	// may be Generator.Next.
	Fallback func() (ID, error)
	// Below keeps the two kinds apart: tickets are below it, ids of Fallback are not
	// (0: 2^52, which Classic, Wide and Long are beyond some weeks after their epoch).
	// Others are refused with ErrRange.
	Below ID
	// Logger is told when a source fails (nil: silent).
	Logger *slog.Logger
}

func (o TicketOptions) validate() (TicketOptions, error) {
	switch {
	case len(o.Sources) == 0:
		return o, fmt.Errorf("%w: no ticket source", ErrOptions)
	case o.Block < 0 || o.Timeout < 0 || o.Retry < 0 || o.Below < 0:
		return o, fmt.Errorf("%w: negative", ErrOptions)
	}
	if o.Block == 0 {
		o.Block = 1000
	}
	if o.Timeout == 0 {
		o.Timeout = time.Second
	}
	if o.Retry == 0 {
		o.Retry = time.Second
	}
	if o.Below == 0 {
		o.Below = 1 << 52
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o, nil
}

// Tickets gives out ids from blocks. It is safe for concurrent use.
type Tickets struct {
	o      TicketOptions
	ctx    context.Context
	cancel context.CancelFunc
	taking sync.WaitGroup

	mu     sync.Mutex
	block  Block         // in use
	spare  Block         // taken ahead
	take   chan struct{} // closed when the running Take has ended; nil: none runs
	err    error         // of the last one
	after  time.Time     // no Take before
	closed bool
	stats  TicketStats
}

// TicketStats tells where ids came from.
type TicketStats struct {
	Issued    int64   // from blocks
	Fallbacks int64   // from Fallback
	Blocks    []int64 // taken, by source
	Failures  []int64 // of Take, by source
	Left      int64   // numbers at hand
}

// NewTickets takes no block yet. Its errors match ErrOptions.
func NewTickets(o TicketOptions) (*Tickets, error) {
	o, err := o.validate()
	if err != nil {
		return nil, err
	}
	t := &Tickets{o: o}
	t.stats.Blocks = make([]int64, len(o.Sources))
	t.stats.Failures = make([]int64, len(o.Sources))
	t.ctx, t.cancel = context.WithCancel(context.Background())
	return t, nil
}

// Next returns a number that no other call, and no other user of the sources, is given. It
// waits only when the block at hand is used up before the next one has come. Numbers
// increase as long as one source gives all blocks. Errors match ErrTickets, ErrRange,
// ErrClosed, those of Fallback, or of the context.
func (t *Tickets) Next(ctx context.Context) (ID, error) {
	t.mu.Lock()
	for {
		if t.closed {
			t.mu.Unlock()
			return 0, ErrClosed
		}
		if t.block.Count == 0 {
			t.block, t.spare = t.spare, Block{}
		}
		if t.spare.Count == 0 && t.block.Count <= t.o.Block/2 {
			t.startTake()
		}
		if t.block.Count > 0 {
			id := t.block.First
			t.block.First += ID(t.block.Step)
			t.block.Count--
			t.stats.Issued++
			t.mu.Unlock()
			return id, nil
		}
		take := t.take
		if take == nil {
			return t.fallBack()
		}
		t.mu.Unlock()
		select {
		case <-take:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
		t.mu.Lock()
	}
}

// fallBack ends a Next without a block. t.mu is held, and released.
func (t *Tickets) fallBack() (ID, error) {
	err := t.err
	if t.o.Fallback == nil {
		t.mu.Unlock()
		return 0, err
	}
	t.stats.Fallbacks++
	t.mu.Unlock()
	id, ferr := t.o.Fallback()
	if ferr != nil {
		return 0, fmt.Errorf("%w; fallback: %w", err, ferr)
	}
	if id < t.o.Below {
		return 0, fmt.Errorf("%w: the fallback's id %d might be a ticket", ErrRange, id)
	}
	return id, nil
}

// startTake takes a block in the background, unless that is being done, or has failed just
// now. t.mu is held.
func (t *Tickets) startTake() {
	if t.take != nil || time.Now().Before(t.after) {
		return
	}
	take := make(chan struct{})
	t.take = take
	t.taking.Go(func() {
		defer close(take)
		block, err := t.takeBlock()
		t.mu.Lock()
		defer t.mu.Unlock()
		t.take, t.err, t.spare = nil, err, block
		if err != nil {
			t.after = time.Now().Add(t.o.Retry)
		}
	})
}

// takeBlock asks one source after the other.
func (t *Tickets) takeBlock() (Block, error) {
	failed := ErrTickets
	for i, s := range t.o.Sources {
		ctx, cancel := context.WithTimeout(t.ctx, t.o.Timeout)
		b, err := s.Take(ctx, t.o.Block)
		cancel()
		if err == nil {
			b, err = t.check(b)
		}
		t.mu.Lock()
		if err == nil {
			t.stats.Blocks[i]++
			t.mu.Unlock()
			return b, nil
		}
		t.stats.Failures[i]++
		t.mu.Unlock()
		t.o.Logger.Warn("snowflake: no tickets from a source", "source", i, "err", err)
		failed = fmt.Errorf("%w; source %d: %w", failed, i, err)
	}
	return Block{}, failed
}

// check refuses a block with numbers that are none, or belong to Fallback.
func (t *Tickets) check(b Block) (Block, error) {
	if b.Step == 0 {
		b.Step = 1
	}
	most := int64(t.o.Below) - 1
	if b.First < 0 || b.Step < 0 || b.Count <= 0 || int64(b.First) > most || (b.Count-1) > (most-int64(b.First))/b.Step {
		return b, fmt.Errorf("%w: %d tickets from %d in steps of %d", ErrRange, b.Count, b.First, b.Step)
	}
	return b, nil
}

// Stats returns a snapshot.
func (t *Tickets) Stats() TicketStats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.stats
	s.Blocks = append([]int64(nil), s.Blocks...)
	s.Failures = append([]int64(nil), s.Failures...)
	s.Left = t.block.Count + t.spare.Count
	return s
}

// String is one line for a log.
func (s TicketStats) String() string {
	return fmt.Sprintf("%d issued, %d left, %d by the fallback; blocks by source %v, failures %v", s.Issued, s.Left, s.Fallbacks, s.Blocks, s.Failures)
}

// Close ends Take and waits for it; numbers at hand are lost. Later calls do nothing.
func (t *Tickets) Close() error {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.cancel()
	t.taking.Wait()
	return nil
}
