package cache

import (
	"context"
	"errors"
	"runtime/debug"
	"time"
)

// FetchMany is Fetch for many keys, with one LoadMany for all that neither are there nor
// being loaded. Keys that the source does not have are missing in the answer and no error.
// If loads fail, what was found is returned beside the first error.
func (c *Cache[K, V]) FetchMany(ctx context.Context, keys []K) (map[K]V, error) {
	got := make(map[K]V, len(keys))
	old := map[K]V{} // stale values, should the load fail
	wait := map[K]*flight[V]{}
	batch := &party{}
	var load []K
	var first error
	fail := func(err error) {
		if first == nil {
			first = err
		}
	}
	for _, k := range keys {
		if _, done := got[k]; done || wait[k] != nil {
			continue
		}
		h := c.hash.of(k)
		v, st := c.glance(ctx, h, k, c.loaderOf(k))
		switch {
		case st == fresh:
			got[k] = v
			continue
		case st == refused:
			continue
		case st == stale && c.opts.StaleOnError > 0:
			old[k] = v
		}
		var f *flight[V]
		var err error
		if c.opts.LoadMany == nil {
			f, err = c.join(ctx, h, k, c.loaderOf(k))
		} else if f = c.enlist(h, k, batch); f != nil && f.party == batch {
			load = append(load, k)
		}
		switch {
		case err != nil:
			fail(err)
		case f != nil:
			wait[k] = f
		default: // stored in the meantime
			if v, ok := c.Get(k); ok {
				got[k] = v
			}
		}
	}
	if len(load) > 0 {
		c.loadMany(ctx, load, wait, batch)
	}
	for k, f := range wait {
		select {
		case <-f.done:
			f.party.waiting.Add(-1)
		case <-ctx.Done():
			f.party.leave()
			fail(context.Cause(ctx))
			continue
		}
		v, err := f.v, f.err
		if f.again {
			v, err = c.fetch(ctx, c.hash.of(k), k, c.manyOf(k))
		}
		switch {
		case err == nil:
			got[k] = v
		case errors.Is(err, ErrNotFound):
		default:
			if v, ok := old[k]; ok {
				got[k] = v
			} else {
				fail(err)
			}
		}
	}
	return got, first
}

func (c *Cache[K, V]) loaderOf(k K) loader[V] {
	if c.opts.Load != nil {
		return func(ctx context.Context) (V, error) { return c.opts.Load(ctx, k) }
	}
	return c.manyOf(k)
}

// manyOf loads one key with LoadMany.
func (c *Cache[K, V]) manyOf(k K) loader[V] {
	if c.opts.LoadMany == nil {
		if c.opts.Load == nil {
			return nil
		}
		return func(ctx context.Context) (V, error) { return c.opts.Load(ctx, k) }
	}
	return func(ctx context.Context) (V, error) {
		m, err := c.opts.LoadMany(ctx, []K{k})
		v, ok := m[k]
		if err == nil && !ok {
			err = ErrNotFound
		}
		return v, err
	}
}

// enlist enters the flight of k, or registers one of the batch's. nil: k is there by now.
func (c *Cache[K, V]) enlist(h uint32, k K, batch *party) *flight[V] {
	s := c.stripe(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.flights[k]; f != nil && !f.party.abandoned.Load() {
		f.party.waiting.Add(1)
		return f
	}
	if n := c.table.Load().find(h, k); n != nil && !c.dead(n, n.meta.Load(), c.now()) {
		return nil
	}
	f := &flight[V]{done: make(chan struct{}), party: batch}
	batch.waiting.Add(1)
	s.register(k, f)
	return f
}

// loadMany starts the load of a batch, or fails its flights if it may not start.
func (c *Cache[K, V]) loadMany(ctx context.Context, keys []K, flights map[K]*flight[V], batch *party) {
	var zero V
	lctx, cancel, err := c.loads.begin(ctx, c.opts.LoadTimeout)
	if err != nil {
		batch.setCancel(func() {})
		for _, k := range keys {
			c.land(flights[k], c.hash.of(k), k, zero, err)
		}
		return
	}
	batch.setCancel(cancel)
	mine := make(map[K]*flight[V], len(keys)) // the caller goes on to read its own
	for _, k := range keys {
		mine[k] = flights[k]
	}
	go func() {
		var got map[K]V
		began, err := time.Now(), error(ErrGoexit)
		defer func() {
			if p := recover(); p != nil {
				err = &PanicError{Value: p, Stack: debug.Stack()}
			}
			c.loads.end(began, err)
			defer c.loads.wait.Done()
			for k, f := range mine {
				v, ok := got[k]
				kerr := err
				if err == nil && !ok {
					kerr = ErrNotFound
				}
				c.land(f, c.hash.of(k), k, v, kerr)
			}
			cancel()
		}()
		got, err = c.opts.LoadMany(lctx, keys)
	}()
}
