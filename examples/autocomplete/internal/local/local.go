// Package local runs the router and its nodes in one process, on loopback sockets and
// folders of their own: for the story, for its dashboard, and for tests. Nodes can be
// killed and started again.
package local

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/node"
	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/router"
	"github.com/ashlar-go/ashlar/examples/internal/story"
)

// ErrNode is matched when a node is not there, or not in the state that is needed.
var ErrNode = errors.New("local: no such node in that state")

// Options of a cluster.
type Options struct {
	Dir    string         // required
	Nodes  int            // (3)
	Node   node.Options   // ID and Dir are filled in
	Router router.Options // Dir and Nodes are filled in

	Around func(id string, h http.Handler) http.Handler // what stands before a node, to go wrong on cue; nil: nothing
}

// Cluster is safe for concurrent use.
type Cluster struct {
	o      Options
	Router *router.Router

	mu      sync.Mutex
	running map[string]*running // guarded by mu
	addrs   map[string]string
	ids     []string
}

type running struct {
	node *node.Node
	http *http.Server
	done chan struct{}
}

// New starts all nodes and the router.
func New(o Options) (_ *Cluster, err error) {
	if o.Nodes == 0 {
		o.Nodes = 3
	}
	c := &Cluster{o: o, running: map[string]*running{}, addrs: map[string]string{}}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.Close())
		}
	}()
	for i := range o.Nodes {
		id := fmt.Sprintf("n%d", i+1)
		c.ids = append(c.ids, id)
		c.addrs[id] = "127.0.0.1:0"
		if err := c.Start(id); err != nil {
			return nil, err
		}
		c.o.Router.Nodes = append(c.o.Router.Nodes, router.Member{ID: id, Addr: c.addrs[id]})
	}
	c.o.Router.Dir = filepath.Join(o.Dir, "router")
	c.Router, err = router.Open(c.o.Router)
	return c, err
}

// IDs are the nodes' names, running or not.
func (c *Cluster) IDs() []string { return c.ids }

// Node is a node that runs, or nil.
func (c *Cluster) Node(id string) *node.Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r := c.running[id]; r != nil {
		return r.node
	}
	return nil
}

// dir is a node's folder.
func (c *Cluster) dir(id string) string { return filepath.Join(c.o.Dir, id) }

// Start starts a node on what its folder holds, on the port that it had.
func (c *Cluster) Start(id string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.addrs[id] == "" || c.running[id] != nil {
		return fmt.Errorf("%w: %s", ErrNode, id)
	}
	o := c.o.Node
	o.ID, o.Dir = id, c.dir(id)
	n, err := node.Open(o)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", c.addrs[id])
	if err != nil {
		return errors.Join(err, n.Close())
	}
	c.addrs[id] = l.Addr().String()
	h := node.Handler(n, c.o.Router.Secret)
	if c.o.Around != nil {
		h = c.o.Around(id, h)
	}
	r := &running{node: n, done: make(chan struct{}), http: &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}}
	go func() {
		defer close(r.done)
		_ = r.http.Serve(l) // it ends when it is closed
	}()
	c.running[id] = r
	return nil
}

// Kill stops a node at once, as a crash would.
func (c *Cluster) Kill(id string) error {
	c.mu.Lock()
	r := c.running[id]
	delete(c.running, id)
	c.mu.Unlock()
	if r == nil {
		return fmt.Errorf("%w: %s", ErrNode, id)
	}
	err := r.http.Close()
	<-r.done
	return errors.Join(err, r.node.Close())
}

// Wipe removes what is on the disk of a node that is down.
func (c *Cluster) Wipe(id string) error {
	if c.Node(id) != nil {
		return fmt.Errorf("%w: %s", ErrNode, id)
	}
	return os.RemoveAll(c.dir(id))
}

// Settled waits until the router knows of every node whether it runs, and those that run
// hold their ranges and have been fed all that was logged.
func (c *Cluster) Settled(ctx context.Context) error {
	return story.Await(ctx, func() bool {
		s := c.Router.Status()
		for _, n := range s.Nodes {
			of := c.Node(n.ID)
			if n.Up != (of != nil) || of != nil && of.Status().Applied < s.Logged {
				return false
			}
		}
		return s.Generation > 0
	})
}

// RestartRouter closes the router and opens it on what its folder holds.
func (c *Cluster) RestartRouter() (err error) {
	if err := c.Router.Close(); err != nil {
		return err
	}
	c.Router, err = router.Open(c.o.Router)
	return err
}

// Close stops all.
func (c *Cluster) Close() error {
	var errs []error
	if c.Router != nil {
		errs = append(errs, c.Router.Close())
	}
	for _, id := range c.ids {
		if err := c.Kill(id); err != nil && !errors.Is(err, ErrNode) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
