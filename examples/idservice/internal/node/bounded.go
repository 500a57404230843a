package node

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/snowflake"
)

// bounded is a store whose calls end in time. A lease's renewal and a generator's mark are
// made one after the other and ask again after an error; a call that hung for ever would
// end that.
type bounded struct {
	store   snowflake.Store
	timeout time.Duration
	written atomic.Int64 // when a record was last written, in Unix nanoseconds; 0: never
}

// newBounded gives each call the life of a lease: nobody takes an expired one before it is
// over for as long again, so that a renewal which was slow once still comes in time.
func newBounded(s snowflake.Store, ttl time.Duration) *bounded {
	return &bounded{store: s, timeout: ttl}
}

// Get implements snowflake.Store.
func (b *bounded) Get(ctx context.Context, key string) ([]byte, int64, error) {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	return b.store.Get(ctx, key)
}

// CompareAndSet implements snowflake.Store.
func (b *bounded) CompareAndSet(ctx context.Context, key string, rev int64, value []byte) (int64, error) {
	ctx, cancel := context.WithTimeout(ctx, b.timeout)
	defer cancel()
	rev, err := b.store.CompareAndSet(ctx, key, rev, value)
	if err == nil {
		b.written.Store(time.Now().UnixNano())
	}
	return rev, err
}

// age is how long ago a record was last written.
func (b *bounded) age() time.Duration {
	at := b.written.Load()
	if at == 0 {
		return 0
	}
	return time.Since(time.Unix(0, at))
}
