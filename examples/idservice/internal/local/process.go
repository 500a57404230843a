package local

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/examples/idservice/internal/api"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/node"
	"github.com/ashlar-go/ashlar/snowflake"
)

// Clock is a machine's clock, which can be set and can stand still. It survives its node.
type Clock struct {
	offset atomic.Int64
	stood  atomic.Pointer[time.Time]
}

// Now is the clock's time.
func (c *Clock) Now() time.Time {
	if t := c.stood.Load(); t != nil {
		return *t
	}
	return time.Now().Round(0).Add(time.Duration(c.offset.Load()))
}

// Step sets the clock ahead, or back.
func (c *Clock) Step(d time.Duration) { c.offset.Add(int64(d)) }

// SetRight sets the clock to the true time.
func (c *Clock) SetRight() { c.offset.Store(0) }

// stop makes the clock stand still, and start makes it go on from there.
func (c *Clock) stop() {
	t := c.Now()
	c.stood.CompareAndSwap(nil, &t)
}

func (c *Clock) start() {
	if t := c.stood.Load(); t != nil {
		c.offset.Store(int64(-time.Since(*t)))
		c.stood.Store(nil)
	}
}

// errDown is the answer of a node that does not run, errGone what its calls under way get.
var (
	errDown = fmt.Errorf("%w: the node is down", api.ErrNoLease)
	errGone = errors.New("local: the process is gone")
)

// gate is where a process's requests, or its calls of the store, wait while they cannot go
// on, and end when the process does.
type gate struct {
	mu   sync.Mutex
	open chan struct{} // guarded by mu: closed when the gate opens; nil: it is open
	gone chan struct{}
}

func newGate() *gate { return &gate{gone: make(chan struct{})} }

// pass waits for the gate to be open.
func (g *gate) pass() error {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	if open != nil {
		select {
		case <-open:
		case <-g.gone:
		}
	}
	select {
	case <-g.gone:
		return errGone
	default:
		return nil
	}
}

func (g *gate) shut(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case shut && g.open == nil:
		g.open = make(chan struct{})
	case !shut && g.open != nil:
		close(g.open)
		g.open = nil
	}
}

// process is one run of a node. What passes its gates twice, on the way in and on the way
// out, is under way in between: a frozen process neither asks nor hears answers.
type process struct {
	node    *node.Node
	run     *gate // requests
	network *gate // calls of the store
}

// Fill implements what of api.Service can freeze.
func (p *process) Fill(dst []snowflake.ID) error {
	if err := p.run.pass(); err != nil {
		return errDown
	}
	err := p.node.Fill(dst)
	if p.run.pass() != nil {
		clear(dst) // they were made, and nobody hears of them
		return errDown
	}
	return err
}

// kill ends the process as kill -9 would: nothing is released, no last mark is left.
func (p *process) kill() {
	close(p.run.gone)
	close(p.network.gone)
	// Close stops goroutines; what it wants to tell the store does not get there.
	_ = p.node.Close()
}

// cable is a process's way to the store.
type cable struct {
	store snowflake.Store
	gate  *gate
}

// Get implements snowflake.Store.
func (c cable) Get(ctx context.Context, key string) ([]byte, int64, error) {
	if err := c.pass(ctx); err != nil {
		return nil, 0, err
	}
	v, rev, err := c.store.Get(ctx, key)
	return v, rev, errors.Join(err, c.gate.pass())
}

// CompareAndSet implements snowflake.Store.
func (c cable) CompareAndSet(ctx context.Context, key string, rev int64, value []byte) (int64, error) {
	if err := c.pass(ctx); err != nil {
		return 0, err
	}
	rev, err := c.store.CompareAndSet(ctx, key, rev, value)
	return rev, errors.Join(err, c.gate.pass())
}

func (c cable) pass(ctx context.Context) error {
	if err := c.gate.pass(); err != nil {
		return err
	}
	return ctx.Err()
}
