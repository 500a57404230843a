package ring

import (
	"math"
	"sync"
	"sync/atomic"
)

// Bounded is consistent hashing with bounded loads: a key goes to its owner unless that
// node already holds its share, and then to the next on the ring that has room. A node
// holds at most
//
//	ceil((1 + eps) × weight share × tokens held, with the new one)
//
// at the moment at which it takes a token. Small eps: even load, more keys away from
// their owner; 0.25 is a good start. It follows the ring's updates: a node that is gone
// takes no more, and what it holds no longer counts. It is safe for concurrent use.
//
// Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing with Bounded Loads" (2016).
type Bounded struct {
	ring *Ring
	eps  float64
	mu   sync.Mutex // one rebuild at a time
	now  atomic.Pointer[loads]
}

// loads are the counters for one view.
type loads struct {
	view   *View
	total  *atomic.Int64
	nodes  []*atomic.Int64 // by the view's nodes
	shares []float64       // part of the whole, by weight
}

// NewBounded bounds the nodes of r. eps of zero or less, or no number, means 0.25.
func NewBounded(r *Ring, eps float64) *Bounded {
	if !(eps > 0) {
		eps = 0.25
	}
	b := &Bounded{ring: r, eps: eps}
	b.now.Store(&loads{total: new(atomic.Int64)})
	b.state()
	return b
}

// state returns the counters for the ring's present view.
func (b *Bounded) state() *loads {
	v := b.ring.View()
	if l := b.now.Load(); l.view == v {
		return l
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	v = b.ring.View()
	old := b.now.Load()
	if old.view == v {
		return old
	}
	kept := map[string]*atomic.Int64{}
	if old.view != nil {
		for i, n := range old.view.nodes {
			kept[n.ID] = old.nodes[i]
		}
	}
	l := &loads{view: v, total: new(atomic.Int64)}
	weights := 0.0
	for _, n := range v.nodes {
		weights += float64(n.weight())
	}
	for _, n := range v.nodes {
		c := kept[n.ID]
		if c == nil {
			c = new(atomic.Int64)
		}
		l.nodes = append(l.nodes, c)
		l.shares = append(l.shares, float64(n.weight())/weights)
		l.total.Add(c.Load())
	}
	b.now.Store(l)
	return l
}

// Token is one unit of load on a node.
type Token struct{ t *token }

type token struct {
	b    *Bounded
	node Node
	load *atomic.Int64
	done atomic.Bool
}

// Node is where the token is held; the zero Node for the zero Token.
func (t Token) Node() Node {
	if t.t == nil {
		return Node{}
	}
	return t.t.node
}

// Release gives the token back; again, or on the zero Token, it does nothing.
func (t Token) Release() {
	if t.t == nil || t.t.done.Swap(true) {
		return
	}
	t.t.load.Add(-1)
	l := t.t.b.state()
	for _, c := range l.nodes {
		if c == t.t.load {
			l.total.Add(-1)
			return
		}
	}
}

// Acquire takes a token for key. ErrNoNodes on an empty ring. One allocation; a few steps
// along the ring unless nearly all nodes are full.
func (b *Bounded) Acquire(key string) (Token, error) {
	l := b.state()
	v := l.view
	if len(v.points) == 0 {
		return Token{}, ErrNoNodes
	}
	total := float64(l.total.Add(1))
	at := v.find(v.Hash(key))
	for i := range v.points {
		n := v.points[(at+i)%len(v.points)].node
		if l.take(n, b.eps, total) {
			return b.token(l, n), nil
		}
	}
	// The limits add up to more than all tokens, so somebody had room; releases and
	// acquisitions meanwhile can make one round miss it. Take the emptiest.
	best, emptiest := uint16(0), math.Inf(1)
	for i, c := range l.nodes {
		if f := float64(c.Load()) / l.shares[i]; f < emptiest {
			best, emptiest = uint16(i), f
		}
	}
	l.nodes[best].Add(1)
	return b.token(l, best), nil
}

func (b *Bounded) token(l *loads, n uint16) Token {
	return Token{&token{b: b, node: l.view.nodes[n], load: l.nodes[n]}}
}

// take adds one to a node unless it holds its share of total.
func (l *loads) take(n uint16, eps, total float64) bool {
	limit := int64(math.Ceil((1 + eps) * l.shares[n] * total))
	c := l.nodes[n]
	for {
		now := c.Load()
		if now >= limit {
			return false
		}
		if c.CompareAndSwap(now, now+1) {
			return true
		}
	}
}

// Load is the number of tokens that a node holds; 0 for one that is not in the ring.
func (b *Bounded) Load(id string) int64 {
	l := b.state()
	for i, n := range l.view.nodes {
		if n.ID == id {
			return l.nodes[i].Load()
		}
	}
	return 0
}
