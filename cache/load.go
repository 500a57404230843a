package cache

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// A flight is one load of one key, however many wait for it. It is registered in the key's
// stripe, where every write of the key strikes it out; a flight that was struck out still
// answers those who wait, but does not store. So a Set or Delete during a load wins, and a
// Fetch that begins after it gets no older value.
//
//	Fetch ─▶ hit? ─▶ flight there? ─▶ wait            loader ─▶ still registered? ─▶ store ─▶ wake all
//	                  │ no: register, start ──────────▶
//
// The loader runs in a goroutine of its own, so that no caller's end is another's, with the
// values of the first caller's context but not its end. When the last waiter leaves, the
// load's context ends.
type flight[V any] struct {
	done  chan struct{}
	v     V
	err   error
	again bool // it was abandoned while somebody joined: ask again
	party *party
}

// party is who waits for a load: for one flight, or for all flights of a LoadMany.
type party struct {
	waiting   atomic.Int64
	abandoned atomic.Bool
	cancel    atomic.Pointer[context.CancelFunc] // nil while a LoadMany is being put together
}

func (p *party) leave() {
	if p.waiting.Add(-1) > 0 {
		return
	}
	if stop := p.cancel.Load(); stop != nil {
		p.abandoned.Store(true)
		(*stop)()
	}
}

func (p *party) setCancel(stop context.CancelFunc) { p.cancel.Store(&stop) }

func (s *stripe[K, V]) supersede(k K) {
	if len(s.flights) > 0 {
		delete(s.flights, k)
	}
}

// loads is what all loads of a cache share.
type loads struct {
	max     int64
	running atomic.Int64
	mu      sync.Mutex
	closed  bool
	stop    context.CancelFunc
	ctx     context.Context
	wait    sync.WaitGroup

	ended, failed, refused, nanos atomic.Uint64
	usual                         atomic.Int64 // moving mean of a load's time
}

func (l *loads) init(limit int) {
	l.max = math.MaxInt64
	if limit > 0 {
		l.max = int64(limit)
	}
}

// begin admits a load and gives it its context.
func (l *loads) begin(from context.Context, timeout time.Duration) (context.Context, context.CancelFunc, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, nil, ErrClosed
	}
	if l.running.Load() >= l.max {
		l.refused.Add(1)
		return nil, nil, ErrOverloaded
	}
	if l.ctx == nil {
		l.ctx, l.stop = context.WithCancel(context.Background())
	}
	l.running.Add(1)
	l.wait.Add(1)
	ctx, cancel := context.WithCancel(context.WithoutCancel(from))
	if timeout > 0 {
		ctx, cancel = context.WithTimeout(context.WithoutCancel(from), timeout)
	}
	unhook := context.AfterFunc(l.ctx, cancel)
	return ctx, func() { unhook(); cancel() }, nil
}

// end counts a load before its waiters are woken, so that they find it counted; wait.Done
// comes last.
func (l *loads) end(began time.Time, err error) {
	d := time.Since(began)
	l.ended.Add(1)
	l.nanos.Add(uint64(max(0, d)))
	if err != nil && !errors.Is(err, ErrNotFound) {
		l.failed.Add(1)
	} else {
		if u := l.usual.Load(); u == 0 {
			l.usual.Store(int64(d))
		} else {
			l.usual.Store(u + (int64(d)-u)/8)
		}
	}
	l.running.Add(-1)
}

func (l *loads) stats(s *Stats) {
	s.Loads, s.LoadErrors, s.Refused = l.ended.Load(), l.failed.Load(), l.refused.Load()
	s.LoadTime, s.Loading = time.Duration(l.nanos.Load()), int(l.running.Load())
}

// Close ends all loads and waits for them. Everything but loading works on. To call it is
// not necessary, and more than once does nothing.
func (c *Cache[K, V]) Close() error {
	l := &c.loads
	l.mu.Lock()
	l.closed = true
	if l.stop != nil {
		l.stop()
	}
	l.mu.Unlock()
	l.wait.Wait()
	return nil
}

// Fetch is Get, and if there is nothing Load. Of all that ask for a key at the same time one
// load is made. ctx bounds this caller's wait alone. Errors are the loader's own, ErrNotFound
// also from memory, *PanicError, ErrGoexit, ErrOverloaded, ErrNoLoader, ErrClosed, or ctx's.
func (c *Cache[K, V]) Fetch(ctx context.Context, k K) (V, error) {
	h := c.hash.of(k)
	if n := c.table.Load().find(h, k); n != nil {
		if m := n.meta.Load(); !c.careful && c.plain(m) {
			n.use()
			if s := c.shadows; s != nil && s.sampled(h) {
				s.see(h, true)
			}
			return c.load(n), nil
		}
	}
	if c.opts.Load == nil {
		return c.fetch(ctx, h, k, nil)
	}
	return c.fetch(ctx, h, k, func(ctx context.Context) (V, error) { return c.opts.Load(ctx, k) })
}

// plain reports whether an entry is alive and surely not due for a reload.
func (c *Cache[K, V]) plain(m uint32) bool {
	if m&^usesMask == 0 {
		return true
	}
	if m&metaAbsent != 0 {
		return false
	}
	now := c.now()
	return now-c.sweptFrom.Load() <= int64(sweepPeriod) && !over(m, now, c.keep) && !c.mayBeDue(m, now)
}

// FetchFunc is Fetch with a loader of its own, which callers of Fetch for the same key may
// come to share.
func (c *Cache[K, V]) FetchFunc(ctx context.Context, k K, load func(context.Context) (V, error)) (V, error) {
	return c.fetch(ctx, c.hash.of(k), k, load)
}

// Refresh loads k in the background unless a load is under way, and replaces what is there
// when it succeeds. It reports whether a load is under way now.
func (c *Cache[K, V]) Refresh(k K) bool {
	if c.opts.Load == nil {
		return false
	}
	return c.refresh(context.Background(), c.hash.of(k), k, func(ctx context.Context) (V, error) { return c.opts.Load(ctx, k) })
}

type loader[V any] func(context.Context) (V, error)

// state is what Fetch finds without loading.
type state uint8

const (
	missing state = iota
	fresh
	refused // the memory of an ErrNotFound
	stale   // may be served if the load fails
)

// glance looks for k as Fetch does, and starts a reload in the background if one is due.
func (c *Cache[K, V]) glance(ctx context.Context, h uint32, k K, load loader[V]) (v V, st state) {
	now := c.time()
	n := c.table.Load().find(h, k)
	if n == nil {
		return v, missing
	}
	m := n.meta.Load()
	switch {
	case c.gone(n, m, now):
		return v, missing
	case m&metaAbsent != 0:
		if over(m, now, c.keep) {
			return v, missing
		}
		return v, refused
	}
	v = c.load(n)
	if !c.dead(n, m, now) {
		n.use()
		if c.careful {
			c.touch(n)
			c.reorder(n)
		}
		if s := c.shadows; s != nil && s.sampled(h) {
			s.see(h, true)
		}
		if load != nil && c.due(m, now) {
			c.refresh(ctx, h, k, load)
		}
		return v, fresh
	}
	past := c.keep - left(m, now)
	if past < c.opts.StaleFor && load != nil && c.refresh(ctx, h, k, load) {
		return v, fresh
	}
	if past < max(c.opts.StaleFor, c.opts.StaleOnError) {
		return v, stale
	}
	return v, missing
}

// farthest is beyond what -ln(1-u) can be for a float u below 1.
const farthest = 37

// mayBeDue reports whether due could say yes. It draws nothing: an early reload is up to one
// draw a Fetch, two would square its chance.
func (c *Cache[K, V]) mayBeDue(m uint32, now int64) bool {
	if m>>endShift == 0 || c.opts.RefreshAhead == 0 && c.opts.EarlyBeta == 0 {
		return false
	}
	rest := left(m, now) - c.keep
	return rest < c.opts.RefreshAhead || float64(rest) <= farthest*c.opts.EarlyBeta*float64(c.loads.usual.Load())
}

// due reports whether an entry that is alive should be reloaded already.
func (c *Cache[K, V]) due(m uint32, now int64) bool {
	if m>>endShift == 0 || c.opts.RefreshAhead == 0 && c.opts.EarlyBeta == 0 {
		return false
	}
	rest := left(m, now) - c.keep
	if rest < c.opts.RefreshAhead {
		return true
	}
	return c.opts.EarlyBeta > 0 && -math.Log(1-rand.Float64())*c.opts.EarlyBeta*float64(c.loads.usual.Load()) >= float64(rest)
}

func (c *Cache[K, V]) fetch(ctx context.Context, h uint32, k K, load loader[V]) (V, error) {
	for {
		v, st := c.glance(ctx, h, k, load)
		if c.opts.CountHits {
			what := miss
			if st == fresh {
				what = hit
			}
			c.counters.count(uintptr(unsafe.Pointer(&v)), what)
		}
		switch {
		case st == fresh:
			return v, nil
		case st == refused:
			return v, ErrNotFound
		case ctx.Err() != nil:
			return *new(V), context.Cause(ctx)
		}
		f, err := c.join(ctx, h, k, load)
		if f == nil && err == nil {
			continue // it has been stored in the meantime
		}
		if err == nil {
			select {
			case <-f.done:
				f.party.waiting.Add(-1)
				if f.again {
					continue
				}
				if f.err == nil {
					return f.v, nil
				}
				err = f.err
			case <-ctx.Done():
				f.party.leave()
				return *new(V), context.Cause(ctx)
			}
		}
		if st == stale && (c.opts.StaleOnError > 0) && !errors.Is(err, ErrNotFound) {
			return v, nil
		}
		return *new(V), err
	}
}

// join enters the flight of k, or starts one. Both results are nil if k is there by now.
func (c *Cache[K, V]) join(ctx context.Context, h uint32, k K, load loader[V]) (*flight[V], error) {
	s := c.stripe(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	if f := s.flights[k]; f != nil && !f.party.abandoned.Load() {
		f.party.waiting.Add(1)
		return f, nil
	}
	if n := c.table.Load().find(h, k); n != nil {
		now, m := c.now(), n.meta.Load()
		if !c.dead(n, m, now) || m&metaAbsent != 0 && !over(m, now, c.keep) {
			return nil, nil
		}
	}
	return c.start(ctx, s, h, k, load, false)
}

// start begins a flight for k with one waiter. Under k's stripe.
func (c *Cache[K, V]) start(ctx context.Context, s *stripe[K, V], h uint32, k K, load loader[V], background bool) (*flight[V], error) {
	if load == nil {
		return nil, ErrNoLoader
	}
	lctx, cancel, err := c.loads.begin(ctx, c.opts.LoadTimeout)
	if err != nil {
		return nil, err
	}
	f := &flight[V]{done: make(chan struct{}), party: &party{}}
	f.party.setCancel(cancel)
	f.party.waiting.Store(1)
	s.register(k, f)
	go func() {
		var v V
		began, err := time.Now(), error(ErrGoexit)
		defer func() { // also when the loader panics or leaves by Goexit
			if p := recover(); p != nil {
				err = &PanicError{Value: p, Stack: debug.Stack()}
			}
			c.loads.end(began, err)
			c.land(f, h, k, v, err)
			cancel()
			defer c.loads.wait.Done()
			if err != nil && background && c.opts.OnLoadError != nil {
				c.opts.OnLoadError(k, err)
			}
		}()
		v, err = load(lctx)
	}()
	return f, nil
}

func (s *stripe[K, V]) register(k K, f *flight[V]) {
	if s.flights == nil {
		s.flights = map[K]*flight[V]{}
	}
	s.flights[k] = f
}

// refresh reports whether a load of k is under way, after it has tried to start one that
// nobody waits for.
func (c *Cache[K, V]) refresh(ctx context.Context, h uint32, k K, load loader[V]) bool {
	s := c.stripe(h)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.flights[k] != nil {
		return true
	}
	// The waiter that start counts never leaves: the load may go on for its own sake.
	_, err := c.start(ctx, s, h, k, load, true)
	return err == nil
}

// land stores the result of a flight, unless a write has struck the flight out, and wakes
// all that wait.
func (c *Cache[K, V]) land(f *flight[V], h uint32, k K, v V, err error) {
	var rs removals[K, V]
	f.v, f.err = v, err
	f.again = err != nil && f.party.abandoned.Load()
	e := entry[K, V]{hash: h, key: k, weight: 1, flight: f}
	keep := err == nil
	if keep {
		keep, f.err = c.judge(&e, v)
	} else if errors.Is(err, ErrNotFound) {
		e.absent, e.ttl, e.weight = true, c.opts.NotFoundTTL, min(1, c.bound.Load())
		keep = e.ttl > 0
	}
	if keep {
		life, r := c.life(e.ttl), c.pack(e.value(v))
		if e.absent {
			life |= metaAbsent
		}
		c.mu.Lock()
		c.putLocked(&e, v, r, life, ifLoading, &rs)
		c.mu.Unlock()
	} else {
		c.unload(f, h, k, err == nil || errors.Is(err, ErrNotFound), &rs)
	}
	close(f.done)
	c.tell(&rs)
}

// judge asks the callbacks about a loaded value. They may panic or leave by Goexit like a
// loader, and in the middle of a landing; so they get a goroutine of their own.
func (c *Cache[K, V]) judge(e *entry[K, V], v V) (keep bool, err error) {
	if c.opts.TTLFunc == nil && c.opts.Weigh == nil {
		e.ttl = c.opts.TTL
		return true, nil
	}
	done := make(chan struct{})
	err = ErrGoexit
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				err = &PanicError{Value: p, Stack: debug.Stack()}
			}
		}()
		e.ttl = c.ttlOf(e.key, v)
		keep = c.weigh(e, v)
		err = nil
	}()
	<-done
	return keep, err
}

// value of an ErrNotFound is zero, whatever the loader returned beside it.
func (e *entry[K, V]) value(v V) V {
	if e.absent {
		return *new(V)
	}
	return v
}

// unload strikes a flight out that brought nothing to store. If the source's answer was
// that there is nothing, or nothing worth storing, what is there is removed.
func (c *Cache[K, V]) unload(f *flight[V], h uint32, k K, answered bool, rs *removals[K, V]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.stripe(h)
	s.mu.Lock()
	current := s.flights[k] == f
	if current {
		delete(s.flights, k)
	}
	s.mu.Unlock()
	if n := c.table.Load().find(h, k); n != nil && current && answered {
		cause := Deleted
		if c.dead(n, n.meta.Load(), c.now()) {
			cause = Expired
		}
		c.drop(n, cause, rs)
	}
}
