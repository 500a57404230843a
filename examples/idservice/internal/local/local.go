// Package local runs the nodes of a service in one process, each with a clock of its own and
// ports on loopback, and does to them what happens to processes: they are killed, frozen,
// cut off from the store, and their clocks are set.
package local

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/examples/idservice/internal/api"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/front"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/node"
	"github.com/ashlar-go/ashlar/examples/internal/ports"
	"github.com/ashlar-go/ashlar/snowflake"
)

// Options configures a Service.
type Options struct {
	IDs     []string         // names of the nodes; required
	Store   snowflake.Store  // where worker ids are leased; required
	Workers int              // worker ids to lease; required
	Layout  snowflake.Layout // of the ids (zero: Classic)
	TTL     time.Duration    // of a lease (0: 10 s)
	HTTP    int              // port of the first node; the next one has the next (0: any)
	Redis   int              // the same
	Event   func(node.Event) // nil: nobody is told
	Logger  *slog.Logger     // nil: silent
}

// Service is safe for concurrent use.
type Service struct {
	o     Options
	hosts map[string]*Host
	order []*Host
}

// Host is a machine with a clock and ports, on which a node runs or does not. Its ports
// stay open while it does not, so that nobody else gets them, and answer that it is down.
type Host struct {
	ID    string
	HTTP  string // host:port
	Redis string // host:port
	Clock Clock

	service *Service
	place   int
	front   *ports.Ports

	mu     sync.Mutex
	proc   *process // guarded by mu; nil: down
	frozen bool     // guarded by mu
	cut    bool     // guarded by mu
	before counts   // guarded by mu: of processes that ended
}

// counts survive a process here, so that a dashboard's sums do not fall.
type counts struct{ requests, failed, issued, leases, lost int64 }

// ErrState is matched when what is asked for cannot be: a node started twice, a dead one
// frozen.
var ErrState = errors.New("local: not possible")

// New opens the ports of all nodes, and starts none.
func New(o Options) (*Service, error) {
	s := &Service{o: o, hosts: map[string]*Host{}}
	if len(o.IDs) == 0 || o.Store == nil {
		return nil, fmt.Errorf("%w: nodes and a store are required", node.ErrOptions)
	}
	for i, id := range o.IDs {
		h := &Host{ID: id, service: s, place: i}
		if err := h.listen(); err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.hosts[id] = h
		s.order = append(s.order, h)
	}
	return s, nil
}

func (h *Host) listen() error {
	port := func(first int) string {
		if first == 0 {
			return "127.0.0.1:0"
		}
		return fmt.Sprintf("127.0.0.1:%d", first+h.place)
	}
	o := h.service.o
	l, err := ports.Listen(port(o.HTTP), port(o.Redis))
	if err != nil {
		return err
	}
	h.HTTP, h.Redis = l.HTTP.Addr().String(), l.Redis.Addr().String()
	h.front, err = front.Open(front.Options{Listeners: l, Service: h, Look: h.Look, Logger: o.Logger})
	return err
}

// Hosts are all of them, in the order of Options.IDs.
func (s *Service) Hosts() []*Host { return s.order }

// Host finds one by its name; nil: there is none.
func (s *Service) Host(id string) *Host { return s.hosts[id] }

// Close stops all nodes in good order.
func (s *Service) Close() error {
	var errs []error
	now, cancel := context.WithCancel(context.Background())
	cancel() // whoever is still connected is cut off
	for _, h := range s.order {
		h.mu.Lock()
		running := h.proc != nil
		h.mu.Unlock()
		if running {
			errs = append(errs, h.Stop())
		}
		errs = append(errs, h.front.Close(now))
	}
	return errors.Join(errs...)
}

// Start starts the node.
func (h *Host) Start() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.proc != nil {
		return fmt.Errorf("%w: %s runs", ErrState, h.ID)
	}
	o := h.service.o
	p := &process{run: newGate(), network: newGate()}
	n, err := node.Open(node.Options{
		ID: h.ID, Store: cable{o.Store, p.network}, Layout: o.Layout, Workers: o.Workers, Prefer: h.place,
		TTL: o.TTL, Now: h.Clock.Now, Logger: o.Logger, Event: o.Event,
	})
	if err != nil {
		return err
	}
	p.node = n
	h.proc, h.frozen, h.cut = p, false, false
	return nil
}

// Stop ends the node in good order: it gives its worker id back.
func (h *Host) Stop() error {
	p, err := h.take()
	if err != nil {
		return err
	}
	p.run.shut(false)
	p.network.shut(false)
	return p.node.Close()
}

// Kill ends the node as kill -9 does.
func (h *Host) Kill() error {
	p, err := h.take()
	if err != nil {
		return err
	}
	p.kill()
	return nil
}

// take makes the host one on which nothing runs.
func (h *Host) take() (*process, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.proc == nil {
		return nil, fmt.Errorf("%w: %s is down", ErrState, h.ID)
	}
	p := h.proc
	s := p.node.Look()
	h.before.requests += s.Requests
	h.before.failed += s.Failed
	h.before.issued += s.Issued
	h.before.leases += s.Leases
	h.before.lost += s.Lost
	h.Clock.start()
	h.proc, h.frozen, h.cut = nil, false, false
	return p, nil
}

// Freeze suspends the node and its clock, as a virtual machine is suspended.
func (h *Host) Freeze() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.proc == nil:
		return fmt.Errorf("%w: %s is down", ErrState, h.ID)
	case h.frozen:
		return fmt.Errorf("%w: %s is frozen", ErrState, h.ID)
	}
	h.frozen = true
	h.proc.run.shut(true)
	h.proc.network.shut(true)
	h.Clock.stop()
	return nil
}

// Thaw lets the node go on, with a clock that is late by as long as it was frozen. It does
// not reach the store before Connect.
func (h *Host) Thaw() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.frozen {
		return fmt.Errorf("%w: %s is not frozen", ErrState, h.ID)
	}
	h.frozen, h.cut = false, true
	h.Clock.start()
	h.proc.run.shut(false)
	return nil
}

// Connect lets the node reach the store again.
func (h *Host) Connect() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.proc == nil || h.frozen {
		return fmt.Errorf("%w: %s does not run", ErrState, h.ID)
	}
	h.cut = false
	h.proc.network.shut(false)
	return nil
}

// process is what runs, if anything does.
func (h *Host) process() *process {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.proc
}

// Fill implements api.Service.
func (h *Host) Fill(dst []snowflake.ID) error {
	p := h.process()
	if p == nil {
		return errDown
	}
	return p.Fill(dst)
}

// Layout implements api.Service.
func (h *Host) Layout() snowflake.Layout {
	if h.service.o.Layout == (snowflake.Layout{}) {
		return snowflake.Classic
	}
	return h.service.o.Layout
}

// Status implements api.Service.
func (h *Host) Status() any { return h.Look() }

// What a host's state may be, besides those of its node.
const (
	Down   = "down"
	Frozen = "frozen"
)

// Look is the node's status, or what of it is known from outside.
func (h *Host) Look() node.Status {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := node.Status{ID: h.ID, State: Down, Worker: -1, Workers: h.service.o.Workers, Now: h.Clock.Now().UTC()}
	if h.proc != nil {
		s = h.proc.node.Look()
	}
	if h.frozen {
		s.State = Frozen
	}
	s.Requests += h.before.requests
	s.Failed += h.before.failed
	s.Issued += h.before.issued
	s.Leases += h.before.leases
	s.Lost += h.before.lost
	// Here the true time is known.
	s.Drift = float64(time.Until(h.Clock.Now())) / float64(time.Millisecond)
	return s
}

// Ready waits until the node has had a worker id.
func (h *Host) Ready(ctx context.Context) error {
	p := h.process()
	if p == nil {
		return errDown
	}
	return p.node.Ready(ctx)
}

var _ api.Service = (*Host)(nil)
