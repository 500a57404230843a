package gate

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/examples/gateway/internal/rules"
	"github.com/ashlar-go/ashlar/examples/gateway/internal/upstream"
	"github.com/ashlar-go/ashlar/ratelimit"
)

// plan is a file of rules made ready for requests. It is immutable; a request keeps the
// plan that it began with.
type plan struct {
	rules   *rules.Rules
	proxies ratelimit.Proxies
	ip      []ratelimit.Request // keys are put in for each request
	people  *people
	blocks  []block
	routes  []*route // the most telling first
	pools   []*pool
}

// pool is an upstream.Pool and the bound of what is under way to it.
type pool struct {
	*upstream.Pool
	rules rules.Pool
	bound *ratelimit.Concurrency // nil: none
}

type route struct {
	rules.Route
	requests []ratelimit.Request // of the route's own limits
	counts   *Counts
	handler  http.Handler
	upstream http.Handler // what is behind limits, keys and what is kept
}

// build makes a plan; old is the one that it takes the place of, and may be nil.
func (g *Gateway) build(r *rules.Rules, old *plan) (p *plan, err error) {
	if err := g.o.Limits.checkEdge(r); err != nil {
		return nil, err
	}
	p = &plan{rules: r}
	defer func() {
		if err != nil {
			p.retire(old)
		}
	}()
	if p.proxies, err = r.Proxies(); err != nil {
		return nil, err
	}
	if p.ip, err = requests("", r.IP); err != nil {
		return nil, err
	}
	if p.people, err = know(r); err != nil {
		return nil, err
	}
	if p.blocks, err = blocks(r.Block); err != nil {
		return nil, err
	}
	for _, rp := range r.Pools {
		one, err := g.buildPool(rp, old)
		if err != nil {
			return nil, err
		}
		p.pools = append(p.pools, one)
	}
	for _, rr := range r.Routes {
		one := &route{Route: rr, counts: &Counts{}}
		if old != nil {
			for _, was := range old.routes {
				if was.Name == rr.Name {
					one.counts = was.counts
				}
			}
		}
		if one.requests, err = requests("route:"+rr.Name, rr.Limits); err != nil {
			return nil, err
		}
		if rr.Gather != nil {
			one.upstream = g.gather(one, p)
			one.handler = g.guard(one, p, one.upstream)
			p.routes = append(p.routes, one)
			continue
		}
		i := slices.IndexFunc(p.pools, func(x *pool) bool { return x.Name() == rr.Pool })
		if i < 0 {
			return nil, fmt.Errorf("%w: route %q: there is no pool %q", rules.ErrRules, rr.Name, rr.Pool)
		}
		one.handler = g.chain(one, p, p.pools[i])
		p.routes = append(p.routes, one)
	}
	slices.SortStableFunc(p.routes, moreTelling)
	return p, nil
}

// buildPool keeps a pool that has not changed, with all that is known of it.
func (g *Gateway) buildPool(r rules.Pool, old *plan) (*pool, error) {
	var was *pool
	if old != nil {
		for _, p := range old.pools {
			if p.Name() == r.Name {
				was = p
			}
		}
	}
	if was != nil && same(was.rules, r) {
		return was, nil
	}
	o := upstream.Options{Rules: r, Transport: g.transport, Event: func(backend, text string) {
		g.event(Event{Pool: r.Name, Backend: backend, Text: text})
	}}
	if was != nil {
		o.Old = was.Pool
	}
	out := &pool{rules: r}
	var err error
	if out.bound, err = bound(r.InFlight); err != nil {
		return nil, err
	}
	if was != nil && was.rules.InFlight == r.InFlight {
		out.bound = was.bound
	}
	out.Pool, err = upstream.New(o)
	return out, err
}

func same(a, b rules.Pool) bool {
	ab, bb := a.Backends, b.Backends
	return slices.Equal(ab, bb) && a.Name == b.Name && a.Policy == b.Policy && a.Health == b.Health && a.Eject == b.Eject &&
		a.Retry == b.Retry && a.Breaker == b.Breaker && a.InFlight == b.InFlight
}

func bound(r rules.InFlight) (*ratelimit.Concurrency, error) {
	if r.Adapt == "" {
		return nil, nil
	}
	o := ratelimit.ConcurrencyOptions{
		Limit: r.Limit, Min: r.Min, Max: r.Max, MaxQueue: r.Queue, MaxWait: r.Wait.Or(defaultQueueWait), Timeout: time.Duration(r.Slow),
	}
	for a := ratelimit.Fixed; a <= ratelimit.Vegas; a++ {
		if a.String() == r.Adapt {
			o.Adaptation = a
		}
	}
	return ratelimit.NewConcurrency(o)
}

// retire ends the pools that next does not go on with; nil: all of them.
func (p *plan) retire(next *plan) error {
	var errs []error
	for _, one := range p.pools {
		if next == nil || !slices.Contains(next.pools, one) {
			errs = append(errs, one.Close())
		}
	}
	return errors.Join(errs...)
}

// moreTelling orders routes so that the first that matches is the right one.
func moreTelling(a, b *route) int {
	return compare(
		rank(b.Host)-rank(a.Host), len(b.Host)-len(a.Host),
		len(b.Path)-len(a.Path), len(b.Headers)-len(a.Headers),
	)
}

func compare(differences ...int) int {
	for _, d := range differences {
		if d != 0 {
			return d
		}
	}
	return 0
}

// rank is 2 for a host, 1 for all below one, 0 for any.
func rank(host string) int {
	switch {
	case host == "":
		return 0
	case strings.HasPrefix(host, "*."):
		return 1
	}
	return 2
}

// find is the route of a request. If only the method is wrong, allowed says which are right.
func (p *plan) find(r *http.Request) (found *route, allowed []string) {
	host := strings.ToLower(strings.TrimSuffix(hostOnly(r.Host), "."))
	for _, one := range p.routes {
		if !one.matches(host, r) {
			continue
		}
		if len(one.Methods) == 0 || slices.Contains(one.Methods, r.Method) {
			return one, nil
		}
		allowed = append(allowed, one.Methods...)
	}
	return nil, allowed
}

func (r *route) matches(host string, q *http.Request) bool {
	switch rank(r.Host) {
	case 2:
		if host != r.Host {
			return false
		}
	case 1:
		if !strings.HasSuffix(host, r.Host[1:]) {
			return false
		}
	}
	if q.URL.Path != r.Path && !(strings.HasSuffix(r.Path, "/") && strings.HasPrefix(q.URL.Path, r.Path)) {
		return false
	}
	for name, value := range r.Headers {
		if q.Header.Get(name) != value {
			return false
		}
	}
	return true
}

// hostOnly is a host without its port.
func hostOnly(s string) string {
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		return s[:i]
	}
	return s
}
