package client

import (
	"sync/atomic"
	"time"
)

// restTime is how long a node that could not be reached is asked last.
const restTime = time.Second

// node is one address and when it may be asked in its turn again.
type node struct {
	addr  string
	until atomic.Int64 // Unix nanoseconds; 0: it answered last time
}

func (n *node) rest(now time.Time) { n.until.Store(now.Add(restTime).UnixNano()) }

func (n *node) awake() {
	if n.until.Load() != 0 {
		n.until.Store(0)
	}
}

// order is all nodes from the one whose turn it is; those that rest come last, for they
// are still better than nobody.
func (c *Client) order() []*node {
	k := len(c.nodes)
	start := int(c.turn.Add(1) % uint64(k))
	now := c.now().UnixNano()
	out := make([]*node, 0, k)
	for _, resting := range []bool{false, true} {
		for i := range k {
			if n := c.nodes[(start+i)%k]; (n.until.Load() > now) == resting {
				out = append(out, n)
			}
		}
	}
	return out
}
