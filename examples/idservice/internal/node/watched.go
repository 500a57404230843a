package node

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/snowflake"
)

// watched is a store that tells when a record was last written: by then the lease was the
// node's.
type watched struct {
	snowflake.Store
	written atomic.Int64 // in Unix nanoseconds; 0: never
}

// CompareAndSet implements snowflake.Store.
func (w *watched) CompareAndSet(ctx context.Context, key string, rev int64, value []byte) (int64, error) {
	rev, err := w.Store.CompareAndSet(ctx, key, rev, value)
	if err == nil {
		w.written.Store(time.Now().UnixNano())
	}
	return rev, err
}

// age is how long ago a record was last written.
func (w *watched) age() time.Duration {
	at := w.written.Load()
	if at == 0 {
		return 0
	}
	return time.Since(time.Unix(0, at))
}
