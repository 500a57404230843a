// Package local runs several nodes of the store in one process, on loopback sockets and
// directories of their own: for the story, for its dashboard, and for tests. Nodes can be
// stopped, started again, and cut off from each other.
package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/examples/internal/ports"
	"github.com/ashlar-go/ashlar/examples/internal/story"
	"github.com/ashlar-go/ashlar/examples/kv/internal/core"
	"github.com/ashlar-go/ashlar/examples/kv/internal/front"
	"github.com/ashlar-go/ashlar/examples/kv/internal/node"
	"github.com/ashlar-go/ashlar/lsm"
)

// ErrDown is matched when what is asked of a node needs it to run.
var ErrDown = errors.New("local: node is down")

// Options of a cluster.
type Options struct {
	Name       string // ("local")
	Dir        string // each node has a folder in it; required
	Nodes      int    // (5)
	Partitions int    // (64)
	Replicas   int    // (3)
	HTTP       int    // port of the first node's HTTP, the next for the next …; 0: whatever is free
	Redis      int    // the same for Redis
	Deaf       bool   // nodes open no ports for clients

	Probe  time.Duration                    // of the failure detector (200 ms)
	Event  func(node.Event)                 // see node.Options
	Tune   func(id string, o *core.Options) // nil: nothing is tuned
	FS     func(id string) lsm.FS           // nil: the operating system's
	Logger *slog.Logger
}

// Cluster is safe for concurrent use.
type Cluster struct {
	o      Options
	Config *node.Config

	mu    sync.Mutex
	nodes map[string]*running // guarded by mu
	cut   map[[2]string]bool  // guarded by mu
}

// running is a node with its ports.
type running struct {
	*node.Node
	front *ports.Ports // nil: deaf
}

func (r *running) close() error {
	var errs []error
	if r.front != nil {
		// At once, as a process that dies.
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		errs = append(errs, r.front.Close(ctx))
	}
	return errors.Join(append(errs, r.Node.Close())...)
}

// New plans a cluster; Start starts its nodes.
func New(o Options) (*Cluster, error) {
	if o.Name == "" {
		o.Name = "local"
	}
	if o.Nodes == 0 {
		o.Nodes = 5
	}
	if o.Probe == 0 {
		o.Probe = 200 * time.Millisecond
	}
	c := &Cluster{o: o, nodes: map[string]*running{}, cut: map[[2]string]bool{}}
	c.Config = &node.Config{Cluster: o.Name, Partitions: o.Partitions, Replicas: o.Replicas}
	ports, err := freePorts(4 * o.Nodes)
	if err != nil {
		return nil, err
	}
	addr := func(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }
	for i := range o.Nodes {
		p := ports[4*i:]
		if o.HTTP > 0 {
			p[2] = o.HTTP + i
		}
		if o.Redis > 0 {
			p[3] = o.Redis + i
		}
		c.Config.Nodes = append(c.Config.Nodes, node.Member{
			ID: fmt.Sprintf("n%d", i+1), Peer: addr(p[0]), Gossip: addr(p[1]), HTTP: addr(p[2]), Redis: addr(p[3]),
		})
	}
	return c, c.Config.Validate()
}

// freePorts finds ports that nobody listens on, over TCP and UDP.
func freePorts(n int) (ports []int, err error) {
	for len(ports) < n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close() // not before all are found, or one is found twice
		port := l.Addr().(*net.TCPAddr).Port
		if u, err := net.ListenPacket("udp", l.Addr().String()); err == nil {
			u.Close()
			ports = append(ports, port)
		}
	}
	return ports, nil
}

// IDs are the nodes' names, running or not.
func (c *Cluster) IDs() (ids []string) {
	for _, m := range c.Config.Nodes {
		ids = append(ids, m.ID)
	}
	return ids
}

// Node is a node that runs, or nil.
func (c *Cluster) Node(id string) *node.Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.nodes[id]; r != nil {
		return r.Node
	}
	return nil
}

// StartAll starts all nodes that do not run.
func (c *Cluster) StartAll() error {
	for _, id := range c.IDs() {
		if err := c.Start(id); err != nil {
			return err
		}
	}
	return nil
}

// Start starts a node on what its directory holds; one that runs goes on.
func (c *Cluster) Start(id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.nodes[id] != nil {
		return nil
	}
	o := node.Options{
		Config: c.Config, ID: id, Dir: filepath.Join(c.o.Dir, id), Probe: c.o.Probe, Event: c.o.Event, Logger: c.o.Logger,
		Cut: func(peer string) bool { return c.isCut(id, peer) },
	}
	if c.o.Tune != nil {
		o.Tune = func(t *core.Options) { c.o.Tune(id, t) }
	}
	if c.o.FS != nil {
		o.FS = c.o.FS(id)
	}
	n, err := node.Open(o)
	if err != nil {
		return err
	}
	r := &running{Node: n}
	if !c.o.Deaf {
		if r.front, err = c.serve(id, n); err != nil {
			return errors.Join(err, n.Close())
		}
	}
	c.nodes[id] = r
	return nil
}

// serve opens a node's ports for clients.
func (c *Cluster) serve(id string, n *node.Node) (*ports.Ports, error) {
	m, _ := c.Config.Member(id)
	l, err := ports.Listen(m.HTTP, m.Redis)
	if err != nil {
		return nil, err
	}
	return front.Open(front.Options{Listeners: l, Node: n, Logger: c.o.Logger})
}

// Kill stops a node without a word to anybody.
func (c *Cluster) Kill(id string) error {
	c.mu.Lock()
	n := c.nodes[id]
	delete(c.nodes, id)
	c.mu.Unlock()
	if n == nil {
		return fmt.Errorf("%w: %s", ErrDown, id)
	}
	return n.close()
}

func (c *Cluster) isCut(a, b string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.cut[[2]string{a, b}]
}

// CutOff separates some nodes from all others; they still reach each other.
func (c *Cluster) CutOff(ids ...string) {
	inside := map[string]bool{}
	for _, id := range ids {
		inside[id] = true
	}
	c.mu.Lock()
	var broken []func()
	for _, a := range c.IDs() {
		for _, b := range c.IDs() {
			if inside[a] != inside[b] {
				c.cut[[2]string{a, b}] = true
				if n := c.nodes[a]; n != nil {
					broken = append(broken, func() { n.Break(b) })
				}
			}
		}
	}
	c.mu.Unlock()
	for _, f := range broken {
		f()
	}
}

// Heal undoes all cuts.
func (c *Cluster) Heal() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.cut)
}

// IsCut tells whether a node is cut off from another.
func (c *Cluster) IsCut(id string) bool {
	for _, other := range c.IDs() {
		if c.isCut(id, other) || c.isCut(other, id) {
			return true
		}
	}
	return false
}

// Ready waits until every node that runs sees every other one that runs and that it is
// not cut off from, sees no other, and may be read.
func (c *Cluster) Ready(ctx context.Context) error {
	return story.Await(ctx, func() bool {
		for _, id := range c.IDs() {
			n := c.Node(id)
			if n == nil {
				continue
			}
			s := n.Look()
			if !s.Ready && !c.IsCut(id) {
				return false
			}
			for peer, up := range s.Peers {
				if up != (c.Node(peer) != nil && !c.isCut(id, peer)) {
					return false
				}
			}
		}
		return true
	})
}

// Level waits until the owners of every partition that run hold the same, and nobody
// keeps a hint for one that runs.
func (c *Cluster) Level(ctx context.Context) error {
	return story.Await(ctx, func() bool { return c.level() })
}

func (c *Cluster) level() bool {
	roots := map[int]any{}
	for _, id := range c.IDs() {
		n := c.Node(id)
		if n == nil {
			continue
		}
		for peer := range n.Look().Stats.HintsFor {
			if c.Node(peer) != nil {
				return false
			}
		}
		for p, sum := range n.Roots() {
			if other, ok := roots[p]; ok && other != sum {
				return false
			}
			roots[p] = sum
		}
	}
	return true
}

// Close stops all nodes.
func (c *Cluster) Close() error {
	var errs []error
	for _, id := range c.IDs() {
		if err := c.Kill(id); err != nil && !errors.Is(err, ErrDown) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

// IsCutFrom tells whether two nodes cannot reach each other, both ways.
func (c *Cluster) IsCutFrom(a, b string) bool { return c.isCut(a, b) && c.isCut(b, a) }
