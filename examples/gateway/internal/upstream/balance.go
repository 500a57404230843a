package upstream

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/ashlar-go/ashlar/ring"
)

// A policy chooses one of the backends that it is given, of which there is at least one.
// first are all that are available; ready is what is left of them after the attempts so
// far. done may be nil; else it is called when the request has ended.
//
//	round-robin          one after the other
//	weighted             the same, in proportion to weights, evenly mixed (nginx's way)
//	least-connections    the fewest requests under way for its weight
//	least-response-time  the least expected latency × (requests under way + 1)
//	two-choices          the better of two taken at random, by requests under way: nearly as
//	                     good as the best of all, and no herd runs to the same one
//	ip-hash              the client's address decides (rendezvous hashing)
//	url-hash             the URL decides (a ring), but nobody gets more than a quarter above
//	                     his share (bounded loads)
//	sticky               who answered this client before: a cookie says
type policy interface {
	choose(ready, all []*Backend, r *http.Request) (b *Backend, done func())
}

func newPolicy(name, pool string, all []*Backend) (policy, error) {
	switch name {
	case "round-robin":
		return &roundRobin{}, nil
	case "weighted":
		return &weighted{credit: map[*Backend]int{}}, nil
	case "least-connections":
		return leastConnections{}, nil
	case "least-response-time":
		return leastResponseTime{}, nil
	case "ip-hash":
		return ipHash{ring.NewRendezvous(nodes(all)...)}, nil
	case "url-hash":
		r, err := ring.New(ring.Options{})
		if err != nil {
			return nil, err
		}
		return &urlHash{ring: r, bounded: ring.NewBounded(r, 0.25)}, nil
	case "sticky":
		return sticky{cookie: "ashlar-" + pool}, nil
	}
	return twoChoices{}, nil
}

func nodes(all []*Backend) []ring.Node {
	out := make([]ring.Node, len(all))
	for i, b := range all {
		out[i] = ring.Node{ID: b.ID, Weight: b.Weight}
	}
	return out
}

type roundRobin struct{ next atomic.Uint64 }

func (p *roundRobin) choose(ready, _ []*Backend, _ *http.Request) (*Backend, func()) {
	return ready[(p.next.Add(1)-1)%uint64(len(ready))], nil
}

// weighted gives each backend its weight as credit at every choice, and takes the sum of
// all from the one that is chosen, the one with the most.
type weighted struct {
	mu     sync.Mutex
	credit map[*Backend]int // guarded by mu
}

func (p *weighted) choose(ready, _ []*Backend, _ *http.Request) (best *Backend, _ func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sum := 0
	for _, b := range ready {
		sum += b.Weight
		p.credit[b] += b.Weight
		if best == nil || p.credit[b] > p.credit[best] {
			best = b
		}
	}
	p.credit[best] -= sum
	return best, nil
}

type leastConnections struct{}

func (leastConnections) choose(ready, _ []*Backend, _ *http.Request) (best *Backend, _ func()) {
	return least(ready, func(b *Backend) float64 { return float64(b.inFlight.Load()) / float64(b.Weight) }), nil
}

type leastResponseTime struct{}

func (leastResponseTime) choose(ready, _ []*Backend, _ *http.Request) (*Backend, func()) {
	now := time.Now()
	return least(ready, func(b *Backend) float64 { return b.expected(now) * float64(b.inFlight.Load()+1) }), nil
}

// least starts at a random place, so that of equals not always the same one is taken.
func least(ready []*Backend, cost func(*Backend) float64) (best *Backend) {
	start, bestCost := rand.IntN(len(ready)), 0.0
	for i := range ready {
		b := ready[(start+i)%len(ready)]
		if c := cost(b); best == nil || c < bestCost {
			best, bestCost = b, c
		}
	}
	return best
}

type twoChoices struct{}

func (twoChoices) choose(ready, _ []*Backend, _ *http.Request) (*Backend, func()) {
	if len(ready) == 1 {
		return ready[0], nil
	}
	i := rand.IntN(len(ready))
	j := rand.IntN(len(ready) - 1)
	if j >= i {
		j++
	}
	a, b := ready[i], ready[j]
	if b.inFlight.Load()*int64(a.Weight) < a.inFlight.Load()*int64(b.Weight) {
		return b, nil
	}
	return a, nil
}

type ipHash struct{ all *ring.Rendezvous }

func (p ipHash) choose(ready, _ []*Backend, r *http.Request) (*Backend, func()) {
	var buf [8]ring.Node
	for _, n := range p.all.Owners(buf[:0], xxhash.Sum64String(ClientIP(r.Context())), 1<<10) {
		if b := find(ready, n.ID); b != nil {
			return b, nil
		}
	}
	return ready[0], nil
}

func find(all []*Backend, id string) *Backend {
	for _, b := range all {
		if b.ID == id {
			return b
		}
	}
	return nil
}

// urlHash keeps the ring's nodes the available ones: with every change it moves only what
// it must.
type urlHash struct {
	ring    *ring.Ring
	bounded *ring.Bounded

	mu      sync.Mutex
	members []*Backend // guarded by mu
}

func (p *urlHash) choose(ready, all []*Backend, r *http.Request) (*Backend, func()) {
	p.follow(all)
	if token, err := p.bounded.Acquire(r.URL.RequestURI()); err == nil {
		if b := find(ready, token.Node().ID); b != nil {
			return b, token.Release
		}
		token.Release()
	}
	for _, n := range p.ring.Owners(r.URL.RequestURI()) {
		if b := find(ready, n.ID); b != nil {
			return b, nil
		}
	}
	return ready[0], nil
}

func (p *urlHash) follow(all []*Backend) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(all) == len(p.members) {
		same := true
		for i, b := range all {
			same = same && b == p.members[i]
		}
		if same {
			return
		}
	}
	// An update fails for nodes without or with equal names only: rules have none.
	if _, err := p.ring.Update(func(e *ring.Edit) { e.Set(nodes(all)...) }); err == nil {
		p.members = append(p.members[:0], all...)
	}
}

// sticky sends a client where its cookie says, if that backend is ready.
type sticky struct{ cookie string }

func (p sticky) choose(ready, _ []*Backend, r *http.Request) (*Backend, func()) {
	if c, err := r.Cookie(p.cookie); err == nil {
		if b := find(ready, c.Value); b != nil {
			return b, nil
		}
	}
	return twoChoices{}.choose(ready, nil, r)
}

// remember writes the cookie if the client does not have it.
func (p sticky) remember(r *http.Request, h http.Header, b *Backend) {
	if c, err := r.Cookie(p.cookie); err == nil && c.Value == b.ID {
		return
	}
	h.Add("Set-Cookie", (&http.Cookie{Name: p.cookie, Value: b.ID, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode}).String())
}

type clientKey struct{}

// WithClientIP tells the policies whom a request is for.
func WithClientIP(ctx context.Context, ip string) context.Context {
	return context.WithValue(ctx, clientKey{}, ip)
}

// ClientIP is what WithClientIP has set; "" if nothing.
func ClientIP(ctx context.Context) string {
	ip, _ := ctx.Value(clientKey{}).(string)
	return ip
}
