// Package view turns what nodes say of themselves into what the dashboard draws.
package view

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/examples/internal/dash"
	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
	"github.com/ashlar-go/ashlar/examples/kv/internal/node"
	"github.com/ashlar-go/ashlar/examples/kv/internal/page"
)

// Cluster is what a dashboard looks at and acts on.
type Cluster interface {
	Look(ctx context.Context, id string) (s node.Status, up bool) // what a node says; not up: it says nothing
	Cut(id string) bool                                           // is it cut off on purpose?
	Store(id string) (api.Store, error)                           // a node to ask
	Act(action, id string) error                                  // kill, start, cut or heal
}

// View is a dashboard's state. It is safe for concurrent use.
type View struct {
	config *node.Config
	c      Cluster
	parts  []page.Partition

	events dash.Recent[page.Event]
}

// timeout of what a button asks for.
const timeout = 5 * time.Second

// New makes a view.
func New(config *node.Config, c Cluster) (*View, error) {
	table, err := config.Table()
	if err != nil {
		return nil, err
	}
	v := &View{config: config, c: c}
	for p := range config.Partitions {
		part := page.Partition{ID: p}
		for _, o := range table.Owners(p) {
			part.Owners = append(part.Owners, o.ID)
		}
		v.parts = append(v.parts, part)
	}
	return v, nil
}

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
	text := e.Text
	if e.Peer != "" {
		text = e.Peer + " " + text
	}
	v.Add(page.Event{At: e.At, Node: e.Node, Kind: "note", Text: text})
}

// State is a page.State.
func (v *View) State() any {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	s := page.State{Cluster: v.config.Cluster, Now: time.Now(), Partitions: v.parts, Nodes: make([]page.Node, len(v.config.Nodes))}
	var wg sync.WaitGroup
	for i, m := range v.config.Nodes {
		wg.Go(func() { s.Nodes[i] = v.node(ctx, m) })
	}
	wg.Wait()
	for _, n := range s.Nodes {
		s.Totals.Keys += n.Keys
		s.Totals.Bytes += n.Bytes
		s.Totals.Rate += n.Rate
		s.Totals.Hints += n.Hints
		s.Totals.RepairBytes += n.RepairSent
	}
	s.Events = v.events.Events()
	return s
}

func (v *View) node(ctx context.Context, m node.Member) page.Node {
	n := page.Node{ID: m.ID, Addr: m.Peer, HTTP: m.HTTP, Redis: m.Redis, State: page.NodeDown, HintsFor: map[string]int64{}, Peers: map[string]bool{}}
	s, up := v.c.Look(ctx, m.ID)
	if !up {
		return n
	}
	t := &s.Stats
	n.Keys, n.Bytes, n.Tombstones, n.Disk, n.Hints, n.HintsFor = t.Keys, t.Bytes, t.Tombstones, s.Disk, t.Hints, t.HintsFor
	n.RepairSent, n.RepairReceived, n.Repaired, n.ReadRepairs = t.RepairSent+t.HintSent, t.RepairReceived, t.Merged, t.ReadRepairs
	n.Requests, n.Failed, n.Rate, n.P50, n.P99, n.Peers = t.Reads+t.Writes, t.Failed, s.Rate, s.P50, s.P99, s.Peers
	n.Error = s.DiskError
	n.State = page.NodeUp
	reach := 0
	for _, up := range s.Peers {
		if up {
			reach++
		}
	}
	switch {
	case v.c.Cut(m.ID), reach == 0 && len(s.Peers) > 0:
		n.State = page.NodeCut
	case t.Rebuilding > 0:
		n.State = page.NodeRebuilding
	}
	return n
}

// Act does what a button asks for.
func (v *View) Act(ctx context.Context, action string, args dash.Args) error {
	id := args[page.ArgNode]
	if _, ok := v.config.Member(id); !ok && action != page.ActionHeal {
		return fmt.Errorf("there is no node %q", id)
	}
	switch action {
	case page.ActionKill, page.ActionStart, page.ActionCut, page.ActionHeal:
		if err := v.c.Act(action, id); err != nil {
			return err
		}
		v.Add(page.Event{Node: id, Kind: action, Text: did[action]})
		return nil
	case page.ActionPut, page.ActionGet, page.ActionResolve:
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		return v.ask(ctx, action, id, args)
	}
	return dash.ErrUnknownAction
}

var did = map[string]string{
	page.ActionKill: "stopped without a word", page.ActionStart: "starts on what its disk holds",
	page.ActionCut: "cut off from all others", page.ActionHeal: "every cut is mended",
}

// ask is a request from the form.
func (v *View) ask(ctx context.Context, action, id string, args dash.Args) error {
	store, err := v.c.Store(id)
	if err != nil {
		return err
	}
	key := []byte(args[page.ArgKey])
	e := page.Event{Node: id, Kind: action, Request: args[page.ArgRequest], Key: args[page.ArgKey]}
	switch action {
	case page.ActionGet:
		r, err := store.Get(ctx, key, api.ReadOptions{})
		if err != nil {
			return err
		}
		for _, val := range r.Values {
			e.Values = append(e.Values, string(val.Data))
		}
		e.Text = fmt.Sprintf("%q: %d owners answered, %s", key, r.Answers, count(len(r.Values)))
	case page.ActionPut, page.ActionResolve:
		w, err := store.Put(ctx, key, []byte(args[page.ArgValue]), api.WriteOptions{})
		if err != nil {
			return err
		}
		e.Text = fmt.Sprintf("%q: %d owners have it on disk", key, w.Primaries)
	}
	v.Add(e)
	return nil
}

func count(values int) string {
	switch values {
	case 0:
		return "no value"
	case 1:
		return "one value"
	}
	return fmt.Sprintf("%d siblings", values)
}
