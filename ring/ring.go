package ring

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
)

// Options configures a Ring. The zero value is a good default.
type Options struct {
	VirtualNodes int    // points on the ring for a weight of 1 (256)
	Replicas     int    // length of preference lists (3)
	Seed         uint64 // part of the cluster's configuration: equal on all nodes, and secret where keys may be hostile
}

func (o Options) withDefaults() (Options, error) {
	if o.VirtualNodes < 0 || o.VirtualNodes > 1<<16 || o.Replicas < 0 || o.Replicas > 1<<8 {
		return o, fmt.Errorf("%w: %d virtual nodes, %d replicas", ErrOptions, o.VirtualNodes, o.Replicas)
	}
	if o.VirtualNodes == 0 {
		o.VirtualNodes = 256
	}
	if o.Replicas == 0 {
		o.Replicas = 3
	}
	return o, nil
}

// Ring is a consistent-hash ring. Lookups take no lock and may run beside updates; hold a
// View where several lookups must agree.
type Ring struct {
	view atomic.Pointer[View]
	mu   sync.Mutex // one update at a time
}

// New makes a ring of nodes, which may be none. Errors match ErrOptions or ErrNodes.
func New(o Options, nodes ...Node) (*Ring, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	v, err := newView(o, nodes)
	if err != nil {
		return nil, err
	}
	r := new(Ring)
	r.view.Store(v)
	return r, nil
}

// View is the present state, immutable.
func (r *Ring) View() *View { return r.view.Load() }

// Owner is the node for key; ok is false only for an empty ring.
func (r *Ring) Owner(key string) (n Node, ok bool) { return r.View().Owner(key) }

// Owners is the preference list of key: distinct nodes, spread over zones, as many as
// Options.Replicas or as there are. The slice is shared: read-only.
func (r *Ring) Owners(key string) []Node { return r.View().Owners(key) }

// Edit collects changes of the membership.
type Edit struct {
	nodes []Node
}

// Put adds n, or changes the node with its ID.
func (e *Edit) Put(n Node) {
	e.Remove(n.ID)
	e.nodes = append(e.nodes, n)
}

// Remove takes a node out; an ID that is not there is ignored.
func (e *Edit) Remove(id string) {
	e.nodes = slices.DeleteFunc(e.nodes, func(n Node) bool { return n.ID == id })
}

// Set makes nodes the members, and nobody else.
func (e *Edit) Set(nodes ...Node) { e.nodes = slices.Clone(nodes) }

// Update applies any number of changes as one and returns what they change. An error
// leaves the ring as it was. edit must not call the ring's Update. O(points log points).
func (r *Ring) Update(edit func(*Edit)) (Change, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	old := r.View()
	e := Edit{slices.Clone(old.nodes)}
	edit(&e)
	v, err := newView(old.o, e.nodes)
	if err != nil {
		return Change{}, err
	}
	r.view.Store(v)
	return Change{Old: old, New: v}, nil
}
