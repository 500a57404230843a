// Package view is the gateways as the dashboard shows them, and what its buttons do.
package view

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/examples/gateway/internal/gate"
	"github.com/ashlar-go/ashlar/examples/gateway/internal/local"
	"github.com/ashlar-go/ashlar/examples/gateway/internal/page"
	"github.com/ashlar-go/ashlar/examples/gateway/internal/rules"
	"github.com/ashlar-go/ashlar/examples/internal/dash"
)

// Options are the options of New.
type Options struct {
	Name string
	// World is what the story lives in. nil: Gateway alone is shown, and its backends are
	// not ours to kill.
	World   *local.Local
	Gateway *gate.Gateway
	Addr    string // of Gateway
}

// View is safe for concurrent use.
type View struct {
	o        Options
	gateways []*gate.Gateway
	addrs    []string
	client   *local.Client

	events dash.Recent[page.Event]

	mu    sync.Mutex
	past  []sample // guarded by mu: of the last seconds, oldest first
	slow  map[string]bool
	redis bool // guarded by mu: somebody has killed it
}

// window is how long ago the past is that rates are measured against.
const window = 5 * time.Second

// New makes a view.
func New(o Options) *View {
	v := &View{o: o, slow: map[string]bool{}}
	if o.World != nil {
		v.gateways, v.addrs = o.World.Gateways, o.World.Addrs
	} else {
		v.gateways, v.addrs = []*gate.Gateway{o.Gateway}, []string{o.Addr}
	}
	v.client = local.NewClient(v.addrs...)
	return v
}

// Dash is the dashboard's handler, with GET /metrics beside it. Close it.
func (v *View) Dash() (*Dashboard, error) {
	d, err := dash.New(dash.Options{Page: page.FS(), State: func() any { return v.State() }, Action: v.act})
	if err != nil {
		return nil, err
	}
	return &Dashboard{dash: d, view: v}, nil
}

// Dashboard is an http.Handler.
type Dashboard struct {
	dash *dash.Dash
	view *View
}

// ServeHTTP implements http.Handler.
func (d *Dashboard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/metrics" {
		d.dash.ServeHTTP(w, r)
		return
	}
	w.Header().Set("Content-Type", "text/plain; version=0.0.4")
	_ = gate.WriteMetrics(w, d.view.gateways...) // a scraper that has left needs no answer
}

// Close ends the streams of the page.
func (d *Dashboard) Close() error {
	d.view.client.Close()
	return d.dash.Close()
}

// Add shows what happened at a gateway.
func (v *View) Add(e gate.Event) {
	who := e.Gateway
	if e.Backend != "" {
		who = e.Backend
	} else if e.Pool != "" {
		who = e.Pool
	}
	text := e.Text
	if e.Backend != "" || e.Pool != "" {
		text += " (" + e.Gateway + ")"
	}
	v.Show(page.Event{At: e.At, Who: who, Kind: "gateway", Text: text})
}

// Show shows an event.
func (v *View) Show(e page.Event) {
	if e.At.IsZero() {
		e.At = time.Now()
	}
	v.events.Add(e)
}

// sample is what rates are made of.
type sample struct {
	at       time.Time
	total    map[string]counts // by gateway
	routes   map[string]counts
	backends map[string]uint64
}

type counts struct {
	requests, limited, failed, cached uint64
	took                              *gate.Times
}

func countsOf(c *gate.Counts) counts {
	return counts{c.Requests(), c.Refused.Load(), c.Classes[5].Load(), c.Cached.Load(), c.Took.Times()}
}

func (c counts) plus(d counts) counts {
	took := *c.took
	for i := range took {
		took[i] += d.took[i]
	}
	return counts{c.requests + d.requests, c.limited + d.limited, c.failed + d.failed, c.cached + d.cached, &took}
}

// State is what the page draws.
func (v *View) State() page.State {
	now := time.Now()
	s := page.State{Name: v.o.Name, Now: now, Real: v.o.World == nil, Policies: rules.Policies}
	looks := make([]gate.Status, len(v.gateways))
	fresh := sample{at: now, total: map[string]counts{}, routes: map[string]counts{}, backends: map[string]uint64{}}
	for i, g := range v.gateways {
		looks[i] = g.Look()
		fresh.total[looks[i].Name] = countsOf(looks[i].Total)
		for _, r := range looks[i].Routes {
			c := countsOf(r.Counts)
			if old, ok := fresh.routes[r.Name]; ok {
				c = c.plus(old)
			}
			fresh.routes[r.Name] = c
		}
	}
	s.Pools = pools(looks)
	for i := range s.Pools {
		for _, b := range s.Pools[i].Backends {
			fresh.backends[s.Pools[i].Name+"/"+b.ID] += b.Requests
		}
		s.Totals.Retries += s.Pools[i].Retries
	}

	v.mu.Lock()
	defer v.mu.Unlock()
	old := v.remember(fresh)
	seconds := max(now.Sub(old.at).Seconds(), 0.001)
	if old.at.IsZero() {
		old, seconds = fresh, 1
	}
	rate := func(a, b uint64) float64 { return float64(max(b, a)-a) / seconds }
	for i, l := range looks {
		was, is := old.total[l.Name], fresh.total[l.Name]
		lately := is.took.Since(was.took)
		g := page.Gateway{
			ID: l.Name, Addr: v.addrs[i], Rate: rate(was.requests, is.requests), Refused: rate(was.limited, is.limited),
			P50: ms(lately.Quantile(0.5)), P99: ms(lately.Quantile(0.99)), UnderWay: l.UnderWay, Requests: is.requests, Failed: is.failed,
			Limited: is.limited, Counting: l.Counting.Mode, Down: l.Counting.Down, Degraded: l.Counting.Degraded,
		}
		s.Gateways = append(s.Gateways, g)
		s.Totals.Rate += g.Rate
		s.Totals.Limited += g.Refused
		s.Totals.Failed += rate(was.failed, is.failed)
		s.Totals.P99 = max(s.Totals.P99, g.P99)
	}
	for i := range s.Pools {
		for j := range s.Pools[i].Backends {
			b := &s.Pools[i].Backends[j]
			key := s.Pools[i].Name + "/" + b.ID
			b.Rate = rate(old.backends[key], fresh.backends[key])
			if v.o.World != nil {
				if real := v.o.World.Backend(b.ID); real != nil {
					b.Runs, b.Slow = real.Up(), v.slow[b.ID]
				}
			}
		}
	}
	for _, r := range looks[0].Routes {
		is := fresh.routes[r.Name]
		one := page.Route{Name: r.Name, Pattern: r.Pattern, Pool: r.Pool, Cost: r.Cost, Limited: is.limited, Failed: is.failed, Cached: is.cached}
		if was, ok := old.routes[r.Name]; ok {
			one.Rate, one.P99 = rate(was.requests, is.requests), ms(is.took.Since(was.took).Quantile(0.99))
		}
		s.Routes = append(s.Routes, one)
	}
	s.Clients = clients(looks)
	for _, a := range v.gateways[0].Audits() {
		s.Audits = append(s.Audits, page.Audit{At: a.At, By: a.By, Changes: a.Changes, Error: a.Err})
	}
	s.Audits = s.Audits[max(0, len(s.Audits)-12):]
	s.Events = v.events.Events()
	s.Keys = v.keys()
	return s
}

// remember keeps a sample and returns the one to compare it with: the oldest in the window.
// The caller holds mu.
func (v *View) remember(fresh sample) sample {
	for len(v.past) > 1 && fresh.at.Sub(v.past[0].at) > window {
		v.past = v.past[1:]
	}
	var old sample
	if len(v.past) > 0 {
		old = v.past[0]
	}
	v.past = append(v.past, fresh)
	return old
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// pools adds up what gateways know of their pools.
func pools(looks []gate.Status) (out []page.Pool) {
	worse := func(order []string, a, b string) string {
		if slices.Index(order, b) > slices.Index(order, a) {
			return b
		}
		return a
	}
	for _, l := range looks {
		for _, p := range l.Pools {
			i := slices.IndexFunc(out, func(q page.Pool) bool { return q.Name == p.Name })
			if i < 0 {
				out = append(out, page.Pool{Name: p.Name, Policy: p.Policy, Breaker: p.Breaker})
				i = len(out) - 1
			}
			q := &out[i]
			q.Breaker = worse([]string{"closed", "half-open", "open"}, q.Breaker, p.Breaker)
			q.Retries += p.Retries
			q.Bound += p.Bound
			q.UnderWay += p.UnderWay
			for _, b := range p.Backends {
				j := slices.IndexFunc(q.Backends, func(x page.Backend) bool { return x.ID == b.ID })
				if j < 0 {
					q.Backends = append(q.Backends, page.Backend{ID: b.ID, URL: b.URL, State: b.State, Weight: b.Weight})
					j = len(q.Backends) - 1
				}
				x := &q.Backends[j]
				x.State = worse([]string{page.BackendUp, page.BackendEjected, page.BackendDown, page.BackendDrained}, x.State, b.State)
				x.Latency = max(x.Latency, ms(b.Latency))
				x.UnderWay += b.InFlight
				x.Requests += b.Requests
				x.Failures += b.Failures
			}
		}
	}
	return out
}

// clients adds up what gateways know of clients, and keeps the ones worth showing.
func clients(looks []gate.Status) (out []page.Client) {
	at := map[string]int{}
	for _, l := range looks {
		for _, c := range l.Clients {
			i, ok := at[c.Name]
			if !ok {
				i = len(out)
				at[c.Name] = i
				out = append(out, page.Client{Name: c.Name, Tier: c.Tier})
			}
			out[i].Admitted += c.Admitted
			out[i].Refused += c.Refused
			out[i].Limit, out[i].Left = c.Limit, c.Left
		}
	}
	slices.SortFunc(out, func(a, b page.Client) int {
		return cmp.Or(cmp.Compare(b.Refused, a.Refused), cmp.Compare(b.Admitted, a.Admitted), cmp.Compare(a.Name, b.Name))
	})
	return out[:min(len(out), page.MaxClients)]
}

// keys are those that the story's own page may use.
func (v *View) keys() []page.Choice {
	out := []page.Choice{{Value: "", Label: "none"}}
	if v.o.World == nil {
		return out
	}
	return append(out, page.Choice{Value: local.StandbyKey, Label: "eve, free"}, page.Choice{Value: local.PremiumKey, Label: "bob, premium"},
		page.Choice{Value: "guess", Label: "a wrong one"})
}

var errNotOurs = errors.New("these are servers of their own: do it from a shell")

// act is what a button does.
func (v *View) act(ctx context.Context, name string, a dash.Args) error {
	id := a[page.ArgBackend]
	switch name {
	case page.ActionDrain, page.ActionAdmit:
		for _, g := range v.gateways {
			if err := g.Drain(a[page.ArgPool], id, name == page.ActionDrain); err != nil {
				return err
			}
		}
		return nil
	case page.ActionSend:
		return v.send(ctx, a)
	case page.ActionPolicy:
		return v.policy(a[page.ArgPool], a[page.ArgPolicy])
	case page.ActionRedis:
		return v.store(ctx, a[page.ArgTo])
	case page.ActionKill, page.ActionStart, page.ActionSlow, page.ActionFast:
	default:
		return dash.ErrUnknownAction
	}
	if v.o.World == nil {
		return errNotOurs
	}
	b := v.o.World.Backend(id)
	if b == nil {
		return fmt.Errorf("there is no backend %q", id)
	}
	text := map[string]string{page.ActionKill: "killed", page.ActionStart: "started", page.ActionSlow: "is 200 ms slower", page.ActionFast: "is fast again"}[name]
	switch name {
	case page.ActionKill:
		if err := b.Kill(); err != nil {
			return err
		}
	case page.ActionStart:
		if err := b.Start(); err != nil {
			return err
		}
	default:
		on := name == page.ActionSlow
		b.Slow(map[bool]time.Duration{true: 200 * time.Millisecond}[on])
		v.mu.Lock()
		v.slow[id] = on
		v.mu.Unlock()
	}
	v.Show(page.Event{Who: id, Kind: name, Text: text})
	return nil
}

// policy changes how a pool's backends are chosen.
func (v *View) policy(pool, policy string) error {
	if v.o.World == nil {
		return errors.New("edit the file of rules: it is read again when it changes")
	}
	r := *v.gateways[0].Rules()
	r.Pools = slices.Clone(r.Pools)
	i := slices.IndexFunc(r.Pools, func(p rules.Pool) bool { return p.Name == pool })
	if i < 0 {
		return fmt.Errorf("there is no pool %q", pool)
	}
	r.Pools[i].Policy = policy
	return v.o.World.Load(&r, "dashboard")
}

// store kills the shared store of limits, or starts it.
func (v *View) store(ctx context.Context, to string) error {
	if v.o.World == nil {
		return errNotOurs
	}
	if v.o.World.Redis == nil {
		return v.o.World.NoRedis
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	switch {
	case to == "down" && !v.redis:
		v.o.World.Redis.Kill()
		v.redis = true
	case to == "up" && v.redis:
		if err := v.o.World.Redis.Restart(ctx); err != nil {
			return err
		}
		v.redis = false
	default:
		return fmt.Errorf("redis cannot be made %q now", to)
	}
	return nil
}

// workers is how many requests of the page's form are under way at once.
const workers = 8

// send makes requests, and shows what came of them.
func (v *View) send(ctx context.Context, a dash.Args) error {
	n, err := strconv.Atoi(a[page.ArgCount])
	if err != nil || n < 1 || n > page.MaxCount {
		return fmt.Errorf("between 1 and %d requests", page.MaxCount)
	}
	path := a[page.ArgPath]
	if path == "" || path[0] != '/' {
		return errors.New("a path begins with /")
	}
	var mu sync.Mutex
	last := ""
	tally := v.client.Each(ctx, workers, n, func(i int) local.Ask {
		return local.Ask{Path: path, Key: a[page.ArgKey], From: a[page.ArgFrom], Gateway: i}
	}, func(_ int, got local.Answer) {
		mu.Lock()
		defer mu.Unlock()
		if s := got.Header.Get("RateLimit"); s != "" {
			last = s
		}
	})
	if len(tally.Errors) > 0 {
		return errors.New(tally.Errors[0])
	}
	e := page.Event{Kind: "send", Text: fmt.Sprintf("%s: %v", path, tally), Request: a[page.ArgRequest], Statuses: map[string]int{}, Limit: last}
	for status, count := range tally.Statuses {
		e.Statuses[strconv.Itoa(status)] = count
	}
	v.Show(e)
	return nil
}
