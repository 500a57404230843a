package main

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/examples/idservice/internal/client"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/ledger"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/local"
	"github.com/ashlar-go/ashlar/snowflake"
)

// crowd are clients of all nodes, over both protocols, that enter what they get in a ledger.
type crowd struct {
	book    *ledger.Ledger // nil: nobody counts any more
	refused atomic.Int64
	first   atomic.Int64 // the least id seen
	last    atomic.Int64 // the greatest
	trouble atomic.Pointer[error]
}

// note enters ids.
func (c *crowd) note(ids []snowflake.ID) error {
	if len(ids) == 0 || c.book == nil {
		return nil
	}
	for old := c.first.Load(); (old == 0 || int64(ids[0]) < old) && !c.first.CompareAndSwap(old, int64(ids[0])); {
		old = c.first.Load()
	}
	end := int64(ids[len(ids)-1])
	for old := c.last.Load(); end > old && !c.last.CompareAndSwap(old, end); {
		old = c.last.Load()
	}
	return c.book.Add(ids...)
}

// fail keeps the first error that is no refusal of a node's.
func (c *crowd) fail(err error) { c.trouble.CompareAndSwap(nil, &err) }

// err is what went wrong among the clients, if anything did.
func (c *crowd) err() error {
	if p := c.trouble.Load(); p != nil {
		return *p
	}
	return nil
}

// each calls f for a client of each protocol of each host, all at once, and waits.
func each(hosts []*local.Host, f func(client.Taker)) {
	var wg sync.WaitGroup
	for _, h := range hosts {
		for _, t := range []client.Taker{client.NewHTTP(h.HTTP), client.NewRedis(h.Redis)} {
			wg.Go(func() {
				defer t.Close()
				f(t)
			})
		}
	}
	wg.Wait()
}

// again is how long a client leaves a node alone that refused.
const again = 20 * time.Millisecond

// insist takes n ids from a node, and asks again as long as it refuses for a reason that may
// pass, until ctx ends.
func (c *crowd) insist(ctx context.Context, t client.Taker, n int) ([]snowflake.ID, error) {
	for {
		ids, err := t.Take(ctx, n)
		if _, refused := errors.AsType[*client.Refused](err); !refused {
			return ids, errors.Join(err, c.note(ids))
		}
		c.refused.Add(1)
		timer := time.NewTimer(again)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, errors.Join(err, ctx.Err())
		}
	}
}

// rush takes total ids as fast as it can.
func (c *crowd) rush(ctx context.Context, hosts []*local.Host, total, batch int64, progress func(done int64)) error {
	var next atomic.Int64
	each(hosts, func(t client.Taker) {
		for c.err() == nil && ctx.Err() == nil {
			at := next.Add(batch) - batch
			if at >= total {
				return
			}
			one, cancel := context.WithTimeout(ctx, patience)
			_, err := c.insist(one, t, int(min(batch, total-at)))
			cancel()
			if err != nil {
				c.fail(err)
				return
			}
			progress(min(at+batch, total))
		}
	})
	return errors.Join(c.err(), ctx.Err())
}

// stroll takes batch ids every so often, until ctx ends. A node that refuses, or that cannot
// be reached, is asked again.
func (c *crowd) stroll(ctx context.Context, hosts []*local.Host, batch int, every time.Duration) {
	each(hosts, func(t client.Taker) {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			ids, err := t.Take(ctx, batch)
			switch {
			case errors.Is(err, client.ErrAnswer):
				c.fail(err)
			case err != nil:
				c.refused.Add(1)
			}
			if err := c.note(ids); err != nil {
				c.fail(err)
				return
			}
		}
	})
}
