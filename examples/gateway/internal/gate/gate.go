// Package gate is the gateway itself: what happens to a request between a client and a
// pool of backends.
//
//	request ─▶ route ─▶ who: address, key ─▶ limits: all together, or nothing is taken
//	                                            │            of address, key, user, route
//	            401, 403 ◀── not known ◀────────┤
//	                                            ▼
//	              cache ─▶ bound of what is under way ─▶ httputil.ReverseProxy ─▶ upstream.Pool
//
// Failed attempts to guess a key count for the limits of the address that makes them. Rules
// can be replaced while requests are under way: each keeps those that it began with.
package gate

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/cache"
	"github.com/ashlar-go/ashlar/examples/gateway/internal/rules"
	"github.com/ashlar-go/ashlar/examples/gateway/internal/upstream"
)

// ErrOptions means that options are out of range or contradict each other.
var ErrOptions = errors.New("gate: bad options")

const (
	defaultTimeout   = 30 * time.Second
	defaultBody      = 1 << 20
	defaultQueueWait = 100 * time.Millisecond
	// mostAudits is how many changes of the rules are remembered.
	mostAudits = 100
)

// Options are the options of New.
type Options struct {
	Name   string // of this gateway, for events and logs
	Rules  *rules.Rules
	Limits Limits
	Access *slog.Logger      // a record for each request; nil: none
	Event  func(Event)       // told of what happens; nil: nobody is. Called from any goroutine
	Dial   http.RoundTripper // how backends are reached; nil: by a transport of its own
}

// Event is something that happened.
type Event struct {
	At            time.Time
	Gateway       string
	Pool, Backend string // empty: none in particular
	Text          string
}

// Audit is a change of the rules, or an attempt at one.
type Audit struct {
	At      time.Time
	By      string
	Hash    string   // of the file, the first digits of its SHA-256
	Changes []string // by entry, in words
	Err     string   // why the old rules stay; empty: they do not
}

// Gateway is an http.Handler. It is safe for concurrent use. Close it.
type Gateway struct {
	o         Options
	transport http.RoundTripper
	own       *http.Transport // nil if transport is the caller's
	counter   *counter
	plan      atomic.Pointer[plan]
	total     Counts
	underWay  atomic.Int64
	clients   clients
	buffers   buffers
	kept      *cache.Cache[wanted, *kept]

	mu     sync.Mutex
	audits []Audit // guarded by mu
	closed bool    // guarded by mu
}

// New makes a gateway.
func New(o Options) (*Gateway, error) {
	if o.Rules == nil || o.Limits.Gateways < 0 || o.Limits.Timeout < 0 || o.Limits.Every < 0 {
		return nil, fmt.Errorf("%w: rules are required, and no number is negative", ErrOptions)
	}
	g := &Gateway{o: o, transport: o.Dial, clients: clients{all: map[string]*Client{}}}
	if g.transport == nil {
		g.own = &http.Transport{
			MaxIdleConnsPerHost: 256, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
			DisableCompression: true, // answers are passed on as they are
			DialContext:        dialer, MaxResponseHeaderBytes: 256 << 10,
		}
		g.transport = g.own
	}
	var err error
	if g.counter, err = o.Limits.open(func(text string) { g.event(Event{Text: text}) }); err != nil {
		return nil, err
	}
	if err := g.openKept(); err != nil {
		return nil, errors.Join(err, g.counter.close())
	}
	p, err := g.build(o.Rules, nil)
	if err != nil {
		return nil, errors.Join(err, g.kept.Close(), g.counter.close())
	}
	g.plan.Store(p)
	g.audits = append(g.audits, Audit{At: time.Now(), By: "start", Changes: rules.Diff(nil, o.Rules)})
	return g, nil
}

// Load puts the rules of a file in force, or leaves the old ones there and returns why.
// Either is audited, with by, which says who wanted it.
func (g *Gateway) Load(file []byte, by string) error {
	sum := sha256.Sum256(file)
	a := Audit{At: time.Now(), By: by, Hash: hex.EncodeToString(sum[:6])}
	err := g.load(file, &a)
	if err != nil {
		a.Err = err.Error()
		g.event(Event{Text: "rules refused: " + a.Err})
	} else {
		g.event(Event{Text: fmt.Sprintf("new rules by %s: %d changes", by, len(a.Changes))})
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.audits = append(g.audits, a); len(g.audits) > mostAudits {
		g.audits = append([]Audit(nil), g.audits[len(g.audits)-mostAudits:]...)
	}
	return err
}

func (g *Gateway) load(file []byte, a *Audit) error {
	next, err := rules.Parse(file)
	if err != nil {
		return err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return http.ErrServerClosed
	}
	old := g.plan.Load()
	p, err := g.build(next, old)
	if err != nil {
		return err
	}
	a.Changes = rules.Diff(old.rules, next)
	g.plan.Store(p)
	g.kept.Clear() // what is kept is what the old rules have made of it
	return old.retire(p)
}

// Rules are those in force. Do not change them.
func (g *Gateway) Rules() *rules.Rules { return g.plan.Load().rules }

// Audits are the last changes of the rules, oldest first.
func (g *Gateway) Audits() []Audit {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]Audit(nil), g.audits...)
}

// Drain takes a backend out of a pool, or puts it back.
func (g *Gateway) Drain(pool, backend string, drained bool) error {
	for _, p := range g.plan.Load().pools {
		if p.Name() == pool {
			return p.Drain(backend, drained)
		}
	}
	return fmt.Errorf("%w: there is no pool %q", ErrOptions, pool)
}

// Close ends what runs in the background. Requests under way are answered; call it after
// the servers of the handler are closed.
func (g *Gateway) Close() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed {
		return nil
	}
	g.closed = true
	err := errors.Join(g.kept.Close(), g.plan.Load().retire(nil), g.counter.close())
	if g.own != nil {
		g.own.CloseIdleConnections()
	}
	return err
}

func (g *Gateway) event(e Event) {
	if g.o.Event != nil {
		e.At, e.Gateway = time.Now(), g.o.Name
		g.o.Event(e)
	}
}

// Status is a gateway at one moment. Counts are since its start.
type Status struct {
	Name     string
	UnderWay int64
	Total    *Counts // goes on counting
	Routes   []RouteStatus
	Pools    []PoolStatus
	Clients  []Client
	Counting Counting
}

// RouteStatus is a route at one moment.
type RouteStatus struct {
	Name, Pattern, Pool string
	Cost                int64
	Counts              *Counts // goes on counting
}

// PoolStatus is a pool at one moment.
type PoolStatus struct {
	upstream.PoolStatus
	Bound    int // of what may be under way; 0: none
	UnderWay int
	Refused  uint64 // by the bound
}

// Look is the gateway's status.
func (g *Gateway) Look() Status {
	p := g.plan.Load()
	s := Status{Name: g.o.Name, UnderWay: g.underWay.Load(), Total: &g.total, Clients: g.clients.list(), Counting: g.counter.status()}
	for i := range p.rules.Routes { // in the order of the file
		for _, r := range p.routes {
			if r.Name == p.rules.Routes[i].Name {
				s.Routes = append(s.Routes, RouteStatus{Name: r.Name, Pattern: r.Host + r.Path, Pool: r.Pool, Cost: r.RequestCost(), Counts: r.counts})
			}
		}
	}
	for _, one := range p.pools {
		ps := PoolStatus{PoolStatus: one.Status()}
		if one.bound != nil {
			b := one.bound.Stats()
			ps.Bound, ps.UnderWay, ps.Refused = b.Limit, b.InFlight, b.Refused
		}
		s.Pools = append(s.Pools, ps)
	}
	return s
}

// Ready waits until every backend of every pool is up, or ctx is done.
func (g *Gateway) Ready(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		missing := ""
		for _, p := range g.plan.Load().pools {
			for _, b := range p.Status().Backends {
				if b.State != upstream.Up {
					missing = b.ID + " is " + b.State
				}
			}
		}
		if missing == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", missing, ctx.Err())
		case <-tick.C:
		}
	}
}
