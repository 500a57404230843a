// Package view turns what the router says of itself into what the page draws, and what
// the page's buttons ask for into actions.
package view

import (
	"context"
	"time"

	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/page"
	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/router"
	"github.com/ashlar-go/ashlar/examples/internal/dash"
)

// Nodes are what buttons act on.
type Nodes interface {
	Kill(id string) error
	Start(id string) error
}

// View is the page's state. It is safe for concurrent use.
type View struct {
	router func() *router.Router
	nodes  Nodes

	events dash.Recent[page.Event]
}

// New makes a view. router may return nil for as long as there is none.
func New(router func() *router.Router, nodes Nodes) *View { return &View{router: router, nodes: nodes} }

// Dash makes the page's handler.
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

// AddRouter adds an event of the router's.
func (v *View) AddRouter(e router.Event) {
	v.Add(page.Event{At: e.At, Node: e.Node, Kind: e.Kind, Text: e.Text})
}

const (
	trends      = 8
	trendTime   = time.Second
	rebuildTime = 10 * time.Minute
)

// State is a page.State.
func (v *View) State() any {
	s := page.State{Now: time.Now(), Trending: []router.Suggestion{}}
	if r := v.router(); r != nil {
		s.Status = r.Status()
		ctx, cancel := context.WithTimeout(context.Background(), trendTime)
		defer cancel()
		if t, err := r.Trending(ctx, "", trends); err == nil {
			s.Trending = t.Suggestions
		}
	}
	s.Events = v.events.Events()
	return s
}

// Act does what a button asks for.
func (v *View) Act(ctx context.Context, action string, args dash.Args) error {
	id := args[page.ArgNode]
	switch action {
	case page.ActionKill:
		return v.nodes.Kill(id)
	case page.ActionStart:
		return v.nodes.Start(id)
	case page.ActionRebuild:
		// Not with the request: who closes the page has not called it off.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rebuildTime)
		defer cancel()
		_, err := v.router().Rebuild(ctx)
		return err
	case page.ActionRollback:
		return v.router().Rollback()
	}
	return dash.ErrUnknownAction
}
