package snowflake

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// within runs f with a context that ends after d, and returns f's error, or ErrStalled or the
// error of ctx if f has not ended by then. Whoever does not heed a context, as a file system
// that hangs, goes on by itself; nobody waits for it any more.
func within(ctx context.Context, d time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeoutCause(ctx, d, fmt.Errorf("%w: %w after %v", ErrStalled, context.DeadlineExceeded, d))
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	var err error
	select {
	case err = <-done:
	case <-ctx.Done():
		select {
		case err = <-done: // an answer is worth more
		default:
			return context.Cause(ctx)
		}
	}
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, ErrStalled) {
		return fmt.Errorf("%w: %w", ErrStalled, err) // it did heed the context
	}
	return err
}

// timed is a store whose calls end in time. A lease's renewal and a generator's mark are made
// one after the other and ask again after an error; a call that hung for ever would end that.
// A write that was given up may still come true: SharedLease looks before it writes again.
type timed struct {
	store   Store
	timeout time.Duration
}

type answer struct {
	value []byte
	rev   int64
}

// Get implements Store.
func (s timed) Get(ctx context.Context, key string) ([]byte, int64, error) {
	a, err := s.call(ctx, func(ctx context.Context) (a answer, err error) {
		a.value, a.rev, err = s.store.Get(ctx, key)
		return a, err
	})
	return a.value, a.rev, err
}

// CompareAndSet implements Store.
func (s timed) CompareAndSet(ctx context.Context, key string, rev int64, value []byte) (int64, error) {
	a, err := s.call(ctx, func(ctx context.Context) (a answer, err error) {
		a.rev, err = s.store.CompareAndSet(ctx, key, rev, value)
		return a, err
	})
	return a.rev, err
}

func (s timed) call(ctx context.Context, f func(context.Context) (answer, error)) (answer, error) {
	got := make(chan answer, 1)
	err := within(ctx, s.timeout, func(ctx context.Context) error {
		a, err := f(ctx)
		got <- a
		return err
	})
	if err != nil {
		return answer{}, err
	}
	return <-got, nil
}
