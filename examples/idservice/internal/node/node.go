// Package node is one node of the id service: a generator, the worker id that it leases from
// a store, and a keeper that leases another when that one is lost.
//
//	       Fill ─▶ session ─▶ snowflake.Generator
//	                  ▲              │ mark, renewals
//	keeper ───────────┘              ▼
//	  lease ─▶ serve ─▶ lost ─▶ lease …   snowflake.Store
//
// Safety is the lease's, and the generator's: whatever the keeper does, no id comes twice.
// The keeper is there so that the node comes back by itself.
package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/examples/idservice/internal/api"
	"github.com/ashlar-go/ashlar/snowflake"
)

// Options configures a node. ID, Store and Workers must be set.
type Options struct {
	ID        string           // who others see in the store
	Store     snowflake.Store  // where worker ids are leased
	Layout    snowflake.Layout // of the ids (zero: Classic)
	Workers   int              // worker ids to lease: 0 to Workers-1
	Prefer    int              // the one to try first
	TTL       time.Duration    // of a lease (0: 10 s)
	MarkEvery time.Duration    // see snowflake.Options (0: 1 s)
	Now       func() time.Time // the clock (nil: the system's)
	Logger    *slog.Logger     // nil: silent
	Event     func(Event)      // is told what happens, and must not block; nil: nobody
}

// Event is something that happened to a node.
type Event struct {
	At   time.Time
	Node string
	Kind string
	Text string
}

// ErrOptions is matched by Open's error.
var ErrOptions = errors.New("idservice: bad options")

func (o Options) validate() (Options, error) {
	if o.Layout == (snowflake.Layout{}) {
		o.Layout = snowflake.Classic
	}
	if err := o.Layout.Validate(); err != nil {
		return o, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	most := o.Layout.MaxNode() + 1
	switch {
	case o.ID == "" || o.Store == nil:
		return o, fmt.Errorf("%w: a node needs a name and a store", ErrOptions)
	case o.Workers < 1 || uint64(o.Workers) > most:
		return o, fmt.Errorf("%w: %d worker ids, the layout has %d", ErrOptions, o.Workers, most)
	case o.Prefer < 0 || o.TTL < 0 || o.MarkEvery < 0:
		return o, fmt.Errorf("%w: negative", ErrOptions)
	}
	o.Prefer %= o.Workers
	if o.TTL == 0 {
		o.TTL = 10 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Event == nil {
		o.Event = func(Event) {}
	}
	return o, nil
}

// Node serves from Open to Close. It is safe for concurrent use.
type Node struct {
	o      Options
	store  *watched
	drift  drift
	meter  meter
	took   latency // of requests that got ids
	cancel context.CancelFunc
	keeper sync.WaitGroup

	session atomic.Pointer[session] // nil: no worker id
	first   sync.Once
	ready   chan struct{} // closed when the first session begins
	wrong   atomic.Bool   // requests are refused because of the clock
	count   struct{ requests, failed, issued, leases, lost atomic.Int64 }

	mu  sync.Mutex
	why error // guarded by mu: why there is no session; nil: still asking for the first time
}

// session is one lease and its generator.
type session struct {
	gen   *snowflake.Generator
	lease *snowflake.SharedLease
	once  sync.Once
	over  chan struct{}
}

// end tells the keeper that the session is of no use any more.
func (s *session) end() { s.once.Do(func() { close(s.over) }) }

// Open starts a node. It does not wait for a worker id: see Ready. Errors match ErrOptions.
func Open(o Options) (*Node, error) {
	o, err := o.validate()
	if err != nil {
		return nil, err
	}
	n := &Node{o: o, ready: make(chan struct{})}
	n.store = &watched{Store: o.Store}
	n.drift.start(o.Now)
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	n.keeper.Go(func() { n.keep(ctx) })
	return n, nil
}

// Close ends the service and releases the worker id. It may be called again.
func (n *Node) Close() error {
	n.cancel()
	n.keeper.Wait()
	return nil
}

// Ready waits until the node has had a worker id, or ctx ends.
func (n *Node) Ready(ctx context.Context) error {
	select {
	case <-n.ready:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%s: %w: %w", n.o.ID, n.reason(), ctx.Err())
	}
}

// ID is the node's name.
func (n *Node) ID() string { return n.o.ID }

// Layout implements api.Service.
func (n *Node) Layout() snowflake.Layout { return n.o.Layout }

// Fill implements api.Service.
func (n *Node) Fill(dst []snowflake.ID) error {
	n.count.requests.Add(1)
	s := n.session.Load()
	if s == nil {
		n.count.failed.Add(1)
		return n.reason()
	}
	begun := time.Now()
	err := s.gen.Fill(dst)
	if err == nil {
		n.took.add(time.Since(begun))
		n.count.issued.Add(int64(len(dst)))
		n.meter.add(int64(len(dst)))
		if n.wrong.Load() && n.wrong.CompareAndSwap(true, false) {
			n.event("clock", "is good enough again")
		}
		return nil
	}
	n.count.failed.Add(1)
	switch {
	case errors.Is(err, snowflake.ErrClock):
		if n.wrong.CompareAndSwap(false, true) {
			n.event("clock", "refuses requests: %v", err)
		}
	case errors.Is(err, snowflake.ErrLeaseLost):
		s.end()
		return fmt.Errorf("%w: %w", api.ErrNoLease, err)
	case errors.Is(err, snowflake.ErrClosed):
		return n.reason()
	}
	return err
}

// reason is why there is no worker id. It matches api.ErrNoLease.
func (n *Node) reason() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.why == nil {
		return fmt.Errorf("%w: asking for one", api.ErrNoLease)
	}
	return fmt.Errorf("%w: %w", api.ErrNoLease, n.why)
}

func (n *Node) setReason(err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.why = err
}
