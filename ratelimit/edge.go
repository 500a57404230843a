package ratelimit

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// EdgeOptions are the options of NewEdge.
type EdgeOptions struct {
	// Every is the time between synchronisations. 0 means 100 ms; less than 0 means that
	// only calls of Sync synchronise, and no goroutine is started.
	Every time.Duration
	// Timeout bounds each call of the store. 0 means 1 s.
	Timeout time.Duration
	// MaxKeys bounds the counts kept here. 0 means 1,000,000.
	MaxKeys int
	// OnError is told of synchronisations that failed; counts are kept and sent later.
	OnError func(error)
	Now     func() time.Time // nil means time.Now
}

// Edge counts in this process and synchronises with a Store from time to time: no decision
// waits for the network, and the shared limit is kept eventually.
//
// A key that is new here starts with its whole quota; what is admitted is reported at the
// next synchronisation, where the store's balance may go below zero, and the store's
// balance, with what all others have reported, is taken over. So k edges, synchronising
// every s, together admit in any time w at most
//
//	Burst + Events×w/Per + (k-1) × (Burst + Events×s/Per)
//
// and what went beyond is paid back: in the long run the rate is that of one limiter. A
// synchronisation whose answer is lost may be counted twice, which refuses more. Edges work
// with GCRA, TokenBucket and FixedWindow (where Burst in the formula is Events, and a
// window's excess is forgotten with it).
type Edge struct {
	store Store
	o     EdgeOptions

	mu      sync.Mutex
	local   *Memory
	pending map[id]*report

	syncing sync.Mutex // one at a time
	cancel  context.CancelFunc
	done    chan struct{}
	closing sync.Once
	last    error // of the last synchronisation
}

// report is what was admitted here and not yet reported.
type report struct {
	req   Request
	n     int64
	quiet int // synchronisations since it was last asked for
}

const (
	edgeBatch = 64 // requests a round trip
	edgeQuiet = 32 // synchronisations for which a key that is not asked for is still followed
)

// NewEdge counts limits of s here. ErrOptions says what is wrong with o.
func NewEdge(s Store, o EdgeOptions) (*Edge, error) {
	if s == nil || o.Timeout < 0 {
		return nil, fmt.Errorf("%w: store %v, timeout %v", ErrOptions, s, o.Timeout)
	}
	m, err := NewMemory(MemoryOptions{MaxKeys: o.MaxKeys, Now: o.Now})
	if err != nil {
		return nil, err
	}
	if o.Every == 0 {
		o.Every = 100 * time.Millisecond
	}
	if o.Timeout == 0 {
		o.Timeout = time.Second
	}
	e := &Edge{store: s, o: o, local: m, pending: map[id]*report{}, done: make(chan struct{})}
	var ctx context.Context
	ctx, e.cancel = context.WithCancel(context.Background())
	if o.Every < 0 {
		close(e.done)
	} else {
		go e.run(ctx)
	}
	return e, nil
}

func (e *Edge) run(ctx context.Context) {
	defer close(e.done)
	t := time.NewTicker(e.o.Every)
	defer t.Stop()
	for {
		select {
		case <-t.C:
			if err := e.Sync(ctx); err != nil && ctx.Err() == nil && e.o.OnError != nil {
				e.o.OnError(err)
			}
		case <-ctx.Done():
			return
		}
	}
}

// Take decides by what is known here. It does not block. Errors are those of Check,
// ErrOptions for an algorithm that edges do not know, ErrFull if there is no room for a
// new key.
func (e *Edge) Take(_ context.Context, reqs ...Request) (Decision, error) {
	dst := make([]Decision, len(reqs))
	if err := Check(reqs, dst); err != nil {
		return Decision{}, err
	}
	for i := range reqs {
		if a := reqs[i].Algorithm; a != GCRA && a != TokenBucket && a != FixedWindow {
			return Decision{}, fmt.Errorf("%w: no %v at an edge", ErrOptions, a)
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.local.take(reqs, dst, e.local.now()); err != nil {
		return Decision{}, err
	}
	d := tightest(dst)
	for i := range reqs {
		r := e.pending[reqs[i].id()]
		if r == nil {
			r = &report{}
			e.pending[reqs[i].id()] = r
		}
		r.req, r.quiet = reqs[i], 0
		if d.OK && reqs[i].N > 0 {
			r.n += reqs[i].N
		}
	}
	return d, nil
}

// Sync reports what was admitted here and takes over the store's balances. The first error
// is returned; what could not be reported will be at the next time.
func (e *Edge) Sync(ctx context.Context) error {
	e.syncing.Lock()
	defer e.syncing.Unlock()
	var reqs []Request
	e.mu.Lock()
	for k, r := range e.pending {
		if r.quiet++; r.n == 0 && r.quiet > edgeQuiet {
			delete(e.pending, k)
			continue
		}
		q := r.req
		q.N, q.Charge = r.n, r.n > 0
		r.n = 0 // what is admitted from now on is for the next time
		reqs = append(reqs, q)
	}
	e.mu.Unlock()
	var errs []error
	for len(reqs) > 0 {
		n := min(len(reqs), edgeBatch)
		if err := e.report(ctx, reqs[:n]); err != nil {
			errs = append(errs, err)
		}
		reqs = reqs[n:]
	}
	return errors.Join(errs...)
}

func (e *Edge) report(ctx context.Context, reqs []Request) error {
	ctx, cancel := context.WithTimeout(ctx, e.o.Timeout)
	defer cancel()
	dst := make([]Decision, len(reqs))
	err := e.store.Take(ctx, reqs, dst)
	e.mu.Lock()
	defer e.mu.Unlock()
	now := e.local.now()
	for i := range reqs {
		r := e.pending[reqs[i].id()]
		if err != nil {
			r.n += reqs[i].N
			continue
		}
		c, ferr := e.local.get(&r.req, now)
		if ferr != nil {
			continue // no room: it is not known here, so nothing was admitted either
		}
		c.s = c.rule.reckon(&dst[i], now)
		if r.n > 0 { // admitted while the store was asked
			c.s, _ = c.rule.take(c.s, &c.log, now, r.n, true)
		}
	}
	return err
}

// reckon is the state that a decision of another store tells of.
func (r *rule) reckon(d *Decision, now int64) state {
	if r.alg == FixedWindow {
		return state{at: r.edge(now), b: saturate(0, max(r.quota-d.Remaining, 0))}
	}
	return state{at: now + min(int64(d.ResetAfter), 2*maxUnits/r.e)}
}

// Close synchronises a last time and stops; it returns the error of that. Again it returns
// the same.
func (e *Edge) Close() error {
	e.closing.Do(func() {
		e.cancel()
		<-e.done
		e.last = e.Sync(context.Background())
	})
	return e.last
}
