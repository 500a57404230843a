package node

import (
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/examples/kv/internal/core"
	"github.com/ashlar-go/ashlar/examples/kv/internal/transport"
	"github.com/ashlar-go/ashlar/merkle"
)

// Status is what GET /status shows.
type Status struct {
	ID        string          `json:"id"`
	Cluster   string          `json:"cluster"`
	Epoch     uint64          `json:"epoch"`
	Ready     bool            `json:"ready"` // has a say in reads of all its partitions
	Since     time.Time       `json:"since"`
	Members   []Member        `json:"members"`
	Peers     map[string]bool `json:"peers"` // who is in reach
	Rate      float64         `json:"rate"`  // requests per second, lately
	P50       float64         `json:"p50"`   // milliseconds, lately
	P99       float64         `json:"p99"`
	Disk      int64           `json:"disk"` // bytes of tables
	DiskError string          `json:"diskError,omitempty"`
	Stats     core.Stats      `json:"stats"`
	Messages  transport.Stats `json:"messages"`
	Events    []Event         `json:"events"`
}

// Status implements api.Store; it is a Status.
func (n *Node) Status() any { return n.Look() }

// Look is the node's status; of one that is closed, little.
func (n *Node) Look() Status {
	s := Status{ID: n.o.ID, Cluster: n.o.Config.Cluster, Since: n.started, Members: n.o.Config.Nodes, Peers: map[string]bool{}}
	if n.inLoop(func() {
		s.Stats, s.Epoch = n.machine.Stats(), n.machine.Epoch()
		for _, m := range n.o.Config.Nodes {
			if m.ID != n.o.ID {
				s.Peers[m.ID] = n.machine.Up(m.ID)
			}
		}
	}) != nil {
		return s
	}
	s.Ready = s.Stats.Ready == s.Stats.Partitions
	s.Rate, s.P50, s.P99 = n.latency.summary(time.Now())
	for _, l := range n.store.db.Stats().Levels {
		s.Disk += l.Bytes
	}
	if err := n.store.db.Err(); err != nil {
		s.DiskError = err.Error()
	}
	s.Messages = n.transport.Stats()
	n.mu.Lock()
	s.Events = slices.Clone(n.events)
	n.mu.Unlock()
	return s
}

// Roots are the fingerprints of the partitions that the node owns; see core.Node.Roots.
func (n *Node) Roots() (roots map[int]merkle.Sum) {
	n.inLoop(func() { roots = maps.Clone(n.machine.Roots()) })
	return roots
}

// Local reads a key's values in this node's own store, whatever the others hold.
func (n *Node) Local(key []byte) (values [][]byte, err error) {
	if e := n.inLoop(func() { values, err = n.machine.Local(key) }); e != nil {
		return nil, e
	}
	return values, err
}

// lately is what the figures of requests are about.
const lately = 5 * time.Second

// latencies remembers how long the last requests took.
type latencies struct {
	mu   sync.Mutex
	ring [4096]sample
	next int
}

type sample struct {
	at   time.Time
	took time.Duration
}

func (l *latencies) add(at time.Time, took time.Duration) {
	l.mu.Lock()
	l.ring[l.next] = sample{at, took}
	l.next = (l.next + 1) % len(l.ring)
	l.mu.Unlock()
}

// summary is the rate, and percentiles in milliseconds.
func (l *latencies) summary(now time.Time) (rate, p50, p99 float64) {
	var took []time.Duration
	oldest := now
	l.mu.Lock()
	for _, s := range l.ring {
		if !s.at.IsZero() && now.Sub(s.at) < lately {
			took = append(took, s.took)
			if s.at.Before(oldest) {
				oldest = s.at
			}
		}
	}
	l.mu.Unlock()
	if len(took) == 0 {
		return 0, 0, 0
	}
	slices.Sort(took)
	at := func(q float64) float64 {
		return float64(took[int(q*float64(len(took)-1))].Microseconds()) / 1000
	}
	span := lately
	if len(took) == len(l.ring) { // the ring holds less than that
		span = max(now.Sub(oldest), time.Millisecond)
	}
	return float64(len(took)) / span.Seconds(), at(0.5), at(0.99)
}
