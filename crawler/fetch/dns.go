package fetch

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"
)

// Resolver finds the addresses of a host: a name in lower case and Punycode. The time is how
// long the answer may be kept, 0 if that is not known. A name that does not exist is a
// *net.DNSError with IsNotFound set; any other error means that it is not known.
type Resolver interface {
	Lookup(ctx context.Context, host string) (addrs []netip.Addr, ttl time.Duration, err error)
}

// system asks as the operating system is configured.
type system struct{}

func (system) Lookup(ctx context.Context, host string) ([]netip.Addr, time.Duration, error) {
	// The dot keeps search domains out: a page's link to "intranet" does not mean ours.
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host+".")
	return addrs, 0, err
}

// names remembers what the resolver said. There is one question at a time for a name; who
// comes meanwhile waits for its answer.
type names struct {
	o       DNS
	timeout time.Duration

	mu   sync.Mutex
	m    map[string]*answer
	asks sync.WaitGroup

	lookups, hits counter
}

// answer is one of three things: awaited (done is open), good, or an error.
type answer struct {
	done  chan struct{}
	addrs []netip.Addr
	err   error
	until time.Time
}

func (n *names) lookup(ctx, base context.Context, host string) ([]netip.Addr, error) {
	n.mu.Lock()
	a := n.m[host]
	switch {
	case a != nil && (a.until.IsZero() || time.Now().Before(a.until)):
		n.mu.Unlock()
		n.hits.Add(1)
	default:
		n.makeRoom()
		a = &answer{done: make(chan struct{})}
		n.m[host] = a
		// The question outlives whoever asked first: others wait for it too.
		n.asks.Go(func() { n.ask(base, host, a) })
		n.mu.Unlock()
	}
	select {
	case <-a.done:
		return a.addrs, a.err
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// makeRoom forgets one of a few names, the one that would be forgotten first, when there are
// too many. Awaited answers stay. The lock is held.
func (n *names) makeRoom() {
	if len(n.m) < n.o.MaxNames {
		return
	}
	victim, until, seen := "", time.Time{}, 0
	for host, a := range n.m { // in no order
		if a.until.IsZero() {
			continue
		}
		if victim == "" || a.until.Before(until) {
			victim, until = host, a.until
		}
		if seen++; seen == 8 {
			break
		}
	}
	delete(n.m, victim)
}

func (n *names) ask(base context.Context, host string, a *answer) {
	n.lookups.Add(1)
	ctx, cancel := context.WithTimeout(base, n.timeout)
	defer cancel()
	addrs, ttl, err := n.o.Resolver.Lookup(ctx, host)
	var life time.Duration
	var de *net.DNSError
	switch {
	case err == nil && len(addrs) > 0:
		if life = ttl; ttl <= 0 {
			life = n.o.Default
		}
		life = min(max(life, n.o.MinTTL), n.o.MaxTTL)
	case err == nil:
		err, life = because(ErrNoHost, errors.New("it has no address")), n.o.Negative
	case errors.As(err, &de) && de.IsNotFound:
		err, life = because(ErrNoHost, err), n.o.Negative
	case base.Err() != nil:
		err = context.Cause(base)
	case ctx.Err() != nil:
		err, life = because(ErrTimeout, err), n.o.Negative/10
	default:
		err, life = because(ErrResolve, err), n.o.Negative/10
	}
	n.mu.Lock()
	a.addrs, a.err, a.until = addrs, err, time.Now().Add(life)
	n.mu.Unlock()
	close(a.done)
}
