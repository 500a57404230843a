// Package view makes the dashboard's state of what nodes say of themselves.
package view

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/client"
	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/page"
	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/server"
	"github.com/ashlar-go/ashlar/examples/internal/dash"
	"github.com/ashlar-go/ashlar/examples/internal/resp"
)

// Cluster is what a dashboard looks at.
type Cluster interface {
	// Look is how a node is, and what it knows of slots; up is false if it does not answer.
	Look(ctx context.Context, id string) (s server.Status, runs []server.Run, up bool)
	// Act does what a button asks for.
	Act(ctx context.Context, action, id string) (said string, err error)
}

// Options configure a View.
type Options struct {
	Config  *server.Config
	Cluster Cluster
	Acts    bool // nodes can be killed and started
}

// View is a dashboard's state. It is safe for concurrent use.
type View struct {
	o      Options
	events dash.Recent[page.Event]

	mu   sync.Mutex
	bars []page.Bar        // guarded by mu
	last map[string]sample // guarded by mu
}

// sample is a count at a time, for rates.
type sample struct {
	at       time.Time
	commands int64
	rate     float64
}

// New makes a view.
func New(o Options) *View { return &View{o: o, last: map[string]sample{}} }

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
func (v *View) AddNode(e server.Event) {
	v.Add(page.Event{At: e.At, Node: e.Node, Kind: e.Kind, Text: e.Text})
}

// Bars shows hit ratios.
func (v *View) Bars(bars []page.Bar) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.bars = bars
}

// answer is how long a node has to say how it is.
const answer = 400 * time.Millisecond

// State is a page.State.
func (v *View) State() any {
	ctx, cancel := context.WithTimeout(context.Background(), answer)
	defer cancel()
	members := v.o.Config.Members()
	slices.SortFunc(members, func(a, b server.Member) int { return strings.Compare(a.ID, b.ID) })
	s := page.State{Name: v.o.Config.Cluster, Now: time.Now(), Acts: v.o.Acts, Nodes: make([]page.Node, len(members))}
	maps := make([][]server.Run, len(members))
	var wg sync.WaitGroup
	for i, m := range members {
		wg.Go(func() { s.Nodes[i], maps[i] = v.node(ctx, m) })
	}
	wg.Wait()
	served := map[int]bool{}
	hits, reads := 0.0, int64(0)
	for i, n := range s.Nodes {
		s.Totals.Rate += n.Rate
		if n.State == page.NodeServing {
			served[n.Shard] = true
			s.Totals.Keys += n.Keys
			s.Totals.Used += n.Used
			hits += n.HitRatio * float64(n.Reads)
			reads += n.Reads
		}
		if s.Runs == nil && n.State != page.NodeDown {
			for _, r := range maps[i] {
				s.Runs = append(s.Runs, page.Run{First: int(r.First), Last: int(r.Last), Shard: r.Shard})
			}
		}
	}
	if reads > 0 {
		s.Totals.HitRatio = hits / float64(reads)
	}
	s.Totals.Serving, s.Totals.Shards = len(served), len(v.o.Config.Shards)
	s.Events = v.events.Events()
	v.mu.Lock()
	s.Bars = slices.Clone(v.bars)
	v.mu.Unlock()
	return s
}

func (v *View) node(ctx context.Context, m server.Member) (page.Node, []server.Run) {
	_, shard, _ := v.o.Config.Member(m.ID)
	n := page.Node{ID: m.ID, Addr: m.Addr, State: page.NodeDown, Shard: shard}
	s, runs, up := v.o.Cluster.Look(ctx, m.ID)
	if !up {
		v.mu.Lock()
		delete(v.last, m.ID)
		v.mu.Unlock()
		return n, nil
	}
	n.State, n.Primary, n.Epoch, n.Slots, n.Keys = s.State, s.Primary, s.Epoch, s.Slots, s.Keys
	n.Used, n.Max, n.Policy, n.Lag, n.Clients = s.Used, s.Max, s.Policy, s.Lag, s.Clients
	n.Evicted, n.Expired, n.Reads = s.Evicted, s.Expired, s.Hits+s.Misses
	if n.Reads > 0 {
		n.HitRatio = float64(s.Hits) / float64(n.Reads)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	now, old := time.Now(), v.last[m.ID]
	if passed := now.Sub(old.at); passed > 200*time.Millisecond {
		fresh := sample{at: now, commands: s.Commands}
		if !old.at.IsZero() && s.Commands >= old.commands {
			fresh.rate = float64(s.Commands-old.commands) / passed.Seconds()
		}
		v.last[m.ID], old = fresh, fresh
	}
	n.Rate = old.rate
	return n, runs
}

// Act does what a button asks for.
func (v *View) Act(ctx context.Context, action string, args dash.Args) error {
	if action == page.ActionRun {
		return v.run(ctx, args[page.ArgCommand])
	}
	if action != page.ActionKill && action != page.ActionStart && action != page.ActionMove {
		return dash.ErrUnknownAction
	}
	id := args[page.ArgNode]
	if _, _, ok := v.o.Config.Member(id); !ok {
		return fmt.Errorf("there is no node %q", id)
	}
	said, err := v.o.Cluster.Act(ctx, action, id)
	if err != nil {
		return err
	}
	v.Add(page.Event{Node: id, Kind: action, Text: said})
	return nil
}

// run carries out a command that somebody typed.
func (v *View) run(ctx context.Context, line string) error {
	args := strings.Fields(line)
	if len(args) == 0 || len(line) > 4096 {
		return fmt.Errorf("a command is a word or more, in 4,096 bytes")
	}
	switch strings.ToUpper(args[0]) {
	case "SUBSCRIBE", "PSUBSCRIBE", "MULTI", "BUS", "SYNCFROM", "SYNCACK", "QUIT":
		return fmt.Errorf("%s makes no sense without a connection of its own", args[0])
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	var addrs []string
	for _, m := range v.o.Config.Members() {
		addrs = append(addrs, m.Addr)
	}
	c := client.New(addrs...)
	defer c.Close()
	r, err := c.Do(ctx, args...)
	if err != nil {
		return err
	}
	v.Add(page.Event{Kind: strings.ToLower(clip(args[0], 12)), Text: clip(strings.Join(args[1:], " "), 40) + " → " + clip(text(r), 200)})
	return nil
}

func clip(s string, n int) string {
	if len(s) > n {
		return strings.ToValidUTF8(s[:n], "") + "…"
	}
	return strings.ToValidUTF8(s, "?")
}

// text is a reply as a person would write it.
func text(r resp.Reply) string {
	switch {
	case r.Null:
		return "nil"
	case r.Kind == ':':
		return fmt.Sprint(r.Int)
	case r.Kind == '$':
		return fmt.Sprintf("%q", r.Bytes)
	case r.Kind == '*' || r.Kind == '%' || r.Kind == '~':
		var all []string
		for _, e := range r.Elems {
			all = append(all, text(e))
		}
		return "[" + strings.Join(all, ", ") + "]"
	}
	return string(r.Bytes)
}
