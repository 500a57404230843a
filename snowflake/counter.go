package snowflake

import (
	"context"
	"errors"
	"fmt"
	"strconv"
)

// CounterOptions configures StoreTickets.
type CounterOptions struct {
	// Key is the counter's name in the store.
	Key string
	// Offset and Step make the numbers Offset, Offset+Step, Offset+2·Step and so on (Step 0:
	// 1). N independent stores, each with Step N and an Offset of its own, 0 to N-1, never
	// give the same number, and need not know each other.
	Offset, Step int64
}

// StoreTickets is a TicketSource over a counter in a Store. It is safe for concurrent use,
// by any number of processes.
type StoreTickets struct {
	store Store
	o     CounterOptions
}

// NewStoreTickets asks the store for nothing yet. Its errors match ErrOptions.
func NewStoreTickets(s Store, o CounterOptions) (*StoreTickets, error) {
	if o.Step == 0 {
		o.Step = 1
	}
	if s == nil || o.Key == "" || o.Offset < 0 || o.Step < 0 || o.Offset >= o.Step && o.Step > 1 {
		return nil, fmt.Errorf("%w: a counter %q with offset %d and step %d", ErrOptions, o.Key, o.Offset, o.Step)
	}
	return &StoreTickets{s, o}, nil
}

// Take adds n to the counter and returns the numbers that it passed. When others do so at
// the same time it tries again, until the context ends. A failed Take may have taken
// numbers: then they are lost. Errors match ErrRange, ErrCorrupt or those of the store.
func (s *StoreTickets) Take(ctx context.Context, n int64) (Block, error) {
	if n <= 0 {
		return Block{}, fmt.Errorf("%w: %d tickets", ErrRange, n)
	}
	for {
		value, rev, err := s.store.Get(ctx, s.o.Key)
		if err != nil {
			return Block{}, err
		}
		var count int64
		if rev != 0 {
			count, err = strconv.ParseInt(string(value), 10, 64)
			if err != nil || count < 0 {
				return Block{}, fmt.Errorf("%w: the counter %s is %q", ErrCorrupt, s.o.Key, value)
			}
		}
		if count > (maxID-s.o.Offset)/s.o.Step-n {
			return Block{}, fmt.Errorf("%w: the counter %s is at its end", ErrRange, s.o.Key)
		}
		_, err = s.store.CompareAndSet(ctx, s.o.Key, rev, strconv.AppendInt(nil, count+n, 10))
		if err == nil {
			return Block{First: ID(s.o.Offset + count*s.o.Step), Count: n, Step: s.o.Step}, nil
		}
		if !errors.Is(err, ErrConflict) {
			return Block{}, err
		}
		if err := ctx.Err(); err != nil {
			return Block{}, err
		}
	}
}
