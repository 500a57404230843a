// Package local runs a whole cluster in one process, and kills and starts its nodes.
package local

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"sync"

	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/keyspace"
	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/server"
)

// Options configure a cluster. Dir is required.
type Options struct {
	Shards    int // (3)
	Replicas  int // of each shard (1)
	Dir       string
	Port      int // of n1; the others follow. 0: whatever is free
	Timeout   int // milliseconds
	MaxMemory int64
	Policy    keyspace.Policy
	Event     func(server.Event)
}

// Cluster is a cluster of this process. It is safe for concurrent use.
type Cluster struct {
	Config *server.Config
	o      Options

	mu    sync.Mutex
	nodes map[string]*server.Node // guarded by mu; those that run
}

// New starts all nodes: of three shards n1, n2 and n3 lead at first, and n4, n5 and n6
// follow them.
func New(o Options) (*Cluster, error) {
	if o.Shards == 0 {
		o.Shards = 3
	}
	if o.Replicas == 0 {
		o.Replicas = 1
	}
	c := &Cluster{o: o, nodes: map[string]*server.Node{}, Config: &server.Config{Cluster: "story", Timeout: o.Timeout, Shards: make([][]server.Member, o.Shards)}}
	held := map[string]net.Listener{}
	for i := range o.Shards * (o.Replicas + 1) {
		port := 0
		if o.Port > 0 {
			port = o.Port + i
		}
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			for _, l := range held {
				l.Close()
			}
			return nil, err
		}
		m := server.Member{ID: fmt.Sprintf("n%d", i+1), Addr: l.Addr().String()}
		held[m.ID] = l
		c.Config.Shards[i%o.Shards] = append(c.Config.Shards[i%o.Shards], m)
	}
	var err error
	for id, l := range held {
		err = errors.Join(err, c.start(id, l))
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// IDs are the names of all nodes.
func (c *Cluster) IDs() (ids []string) {
	for _, m := range c.Config.Members() {
		ids = append(ids, m.ID)
	}
	slices.Sort(ids)
	return ids
}

// Addrs are the addresses of all nodes.
func (c *Cluster) Addrs() (addrs []string) {
	for _, m := range c.Config.Members() {
		addrs = append(addrs, m.Addr)
	}
	return addrs
}

// Node is a node that runs, or nil.
func (c *Cluster) Node(id string) *server.Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[id]
}

// Leader is the node that serves a shard, nil if none does at the moment.
func (c *Cluster) Leader(shard int) *server.Node {
	for _, m := range c.Config.Shards[shard] {
		if n := c.Node(m.ID); n != nil && n.Look().State == server.StateServing {
			return n
		}
	}
	return nil
}

// Ready tells whether every shard is served and all other nodes that run are in step.
func (c *Cluster) Ready() bool {
	for s := range c.Config.Shards {
		if c.Leader(s) == nil {
			return false
		}
	}
	for _, id := range c.IDs() {
		if n := c.Node(id); n != nil {
			if s := n.Look().State; s != server.StateServing && s != server.StateReplica {
				return false
			}
		}
	}
	return true
}

// Start starts a node that does not run, with what its folder holds.
func (c *Cluster) Start(id string) error {
	m, _, ok := c.Config.Member(id)
	if !ok {
		return fmt.Errorf("there is no node %q", id)
	}
	if c.Node(id) != nil {
		return fmt.Errorf("%s runs", id)
	}
	l, err := net.Listen("tcp", m.Addr)
	if err != nil {
		return err
	}
	return c.start(id, l)
}

func (c *Cluster) start(id string, l net.Listener) error {
	n, err := server.Open(server.Options{
		Listener: l, Cluster: c.Config, ID: id, Dir: filepath.Join(c.o.Dir, id), MaxMemory: c.o.MaxMemory, Policy: c.o.Policy, Event: c.o.Event,
	})
	if err != nil {
		l.Close()
		return err
	}
	c.mu.Lock()
	c.nodes[id] = n
	c.mu.Unlock()
	return nil
}

// Kill ends a node as the loss of its process would.
func (c *Cluster) Kill(id string) error {
	n := c.take(id)
	if n == nil {
		return fmt.Errorf("%s does not run", id)
	}
	n.Kill()
	return nil
}

// take removes a node from those that run.
func (c *Cluster) take(id string) *server.Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.nodes[id]
	delete(c.nodes, id)
	return n
}

// Close closes all nodes; each saves a snapshot.
func (c *Cluster) Close() error {
	var err error
	for _, id := range c.IDs() {
		if n := c.take(id); n != nil {
			err = errors.Join(err, n.Close())
		}
	}
	return err
}
