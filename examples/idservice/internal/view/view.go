// Package view turns what nodes say of themselves into what the dashboard draws.
package view

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/examples/idservice/internal/node"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/page"
	"github.com/ashlar-go/ashlar/examples/internal/dash"
)

// Service is what a dashboard looks at and acts on.
type Service interface {
	Look(ctx context.Context, id string) (s node.Status, up bool) // what a node says; not up: it says nothing
	Act(action, id string, by time.Duration) error                // one of page's actions; by: of a step
}

// Options configures a View.
type Options struct {
	Name    string        // of the service
	Members []node.Member // its nodes
	Service Service
	Acts    bool // Service can do the actions
}

// View is a dashboard's state. It is safe for concurrent use.
type View struct {
	o Options

	events dash.Recent[page.Event]

	mu    sync.Mutex
	proof string // guarded by mu
}

// New makes a view.
func New(o Options) *View { return &View{o: o, proof: "not counted"} }

// Dash makes the dashboard.
func (v *View) Dash() (*dash.Dash, error) {
	return dash.New(dash.Options{Page: page.FS(), State: v.State, Action: v.Act})
}

// Add adds an event.
func (v *View) Add(e page.Event) {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	v.events.Add(e)
}

// AddNode adds an event of a node's.
func (v *View) AddNode(e node.Event) {
	v.Add(page.Event{At: e.At, Node: e.Node, Kind: e.Kind, Text: e.Text})
}

// Prove says what is known of duplicates.
func (v *View) Prove(format string, args ...any) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.proof = fmt.Sprintf(format, args...)
}

// answer is how long a node has to say how it is.
const answer = 400 * time.Millisecond

// State is a page.State.
func (v *View) State() any {
	ctx, cancel := context.WithTimeout(context.Background(), answer)
	defer cancel()
	s := page.State{Service: v.o.Name, Now: time.Now(), Acts: v.o.Acts, Nodes: make([]page.Node, len(v.o.Members))}
	var wg sync.WaitGroup
	for i, m := range v.o.Members {
		wg.Go(func() { s.Nodes[i] = v.node(ctx, m) })
	}
	wg.Wait()
	for _, n := range s.Nodes {
		s.Totals.Issued += n.Issued
		s.Totals.Rate += n.Rate
		s.Totals.Lost += n.Lost
		if n.State == page.NodeServing || n.State == page.NodeLate {
			s.Totals.Serving++
		}
	}
	s.Events = v.events.Events()
	v.mu.Lock()
	s.Totals.Proof = v.proof
	v.mu.Unlock()
	return s
}

func (v *View) node(ctx context.Context, m node.Member) page.Node {
	n := page.Node{ID: m.ID, HTTP: m.HTTP, Redis: m.Redis, State: page.NodeDown, Worker: -1}
	s, up := v.o.Service.Look(ctx, m.ID)
	if !up {
		return n
	}
	now := time.Now()
	at := func(t time.Time) float64 { return float64(t.Sub(now)) / float64(time.Millisecond) }
	n.State, n.Error = s.State, s.Error
	n.Worker, n.Owner, n.TTL, n.Renewed, n.Leases, n.Lost = s.Worker, s.Owner, s.TTL, s.Renewed, s.Leases, s.Lost
	n.Issued, n.Rate, n.Requests, n.Failed = s.Issued, s.Rate, s.Requests, s.Failed
	n.P50, n.P99, n.Most = s.P50, s.P99, s.Most
	n.ClockAt, n.Drift, n.Skew = at(s.Now), s.Drift, s.SkewMS
	if n.HasLast = s.Last != 0; n.HasLast {
		n.LastAt = at(s.LastTime)
	}
	if n.HasMark = !s.MarkedTo.IsZero(); n.HasMark {
		n.MarkAt = at(s.MarkedTo)
	}
	n.Waits, n.Absorbed, n.Refused = s.Waits, s.Absorbed, s.Refused
	return n
}

// Act does what a button asks for.
func (v *View) Act(_ context.Context, action string, args dash.Args) error {
	text, ok := did[action]
	if !ok {
		return dash.ErrUnknownAction
	}
	id := args[page.ArgNode]
	if !slices.ContainsFunc(v.o.Members, func(m node.Member) bool { return m.ID == id }) {
		return fmt.Errorf("there is no node %q", id)
	}
	var by time.Duration
	if action == page.ActionStep {
		var err error
		if by, err = time.ParseDuration(args[page.ArgBy]); err != nil {
			return err
		}
		if by.Abs() > 24*time.Hour {
			return fmt.Errorf("a step of %v is more than a day", by)
		}
		text = fmt.Sprintf(text, by)
	}
	if err := v.o.Service.Act(action, id, by); err != nil {
		return err
	}
	v.Add(page.Event{Node: id, Kind: action, Text: text})
	return nil
}

// did is what an action's event says.
var did = map[string]string{
	page.ActionKill: "killed: it releases nothing", page.ActionStart: "starts",
	page.ActionFreeze: "suspended, with its clock", page.ActionThaw: "goes on, with the clock of before",
	page.ActionStep: "its clock is set by %v", page.ActionRight: "its clock is set right",
}
