// Package router is the service's front: it knows which node has which terms, asks those
// that a prefix needs, mixes in what the user searched before, logs what is searched, and
// makes the next generation of suggestions.
//
//	type ─▶ Suggest ─▶ cache ─▶ nodes of the prefix's ranges, in parallel ─▶ union ─▶ 30 % of the user's own
//	                              │ a node fails: another owner of the range
//	                              └ nobody is left: an old answer, or what is popular; "degraded"
//	pick ─▶ Search ─▶ log (durable) ─▶ feed ─▶ every node: hot
//	night ─▶ Rebuild ─▶ build.Run ─▶ stage on all nodes ─▶ one atomic store: the plan ─▶ all nodes serve it
//
// A request reads the plan once, and names its generation to every node that it asks: it
// sees one generation, whole, whatever is swapped meanwhile.
package router

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/cache"
	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/build"
	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/history"
	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/querylog"
	"github.com/ashlar-go/ashlar/ratelimit"
	"github.com/ashlar-go/ashlar/ring"
	"github.com/ashlar-go/ashlar/trie"
)

var (
	// ErrRequest is matched by what is the client's fault.
	ErrRequest = errors.New("autocomplete: bad request")
	// ErrLimited refuses a client that asks too often; it is a [LimitError].
	ErrLimited = errors.New("autocomplete: too many requests")
	// ErrEmpty is returned before there is a first generation.
	ErrEmpty = errors.New("autocomplete: there is no generation yet")
	// ErrBusy refuses a rebuild while another runs.
	ErrBusy = errors.New("autocomplete: a rebuild is under way")
	// ErrStage is matched when nodes could not take a generation.
	ErrStage = errors.New("autocomplete: the generation could not be handed out")
	// ErrNoPrevious is returned by Rollback when there is nothing to return to.
	ErrNoPrevious = errors.New("autocomplete: no previous generation")
	// ErrState is matched by a state file that cannot be read.
	ErrState = errors.New("autocomplete: bad state file")
)

// Options of a Router. What is zero is what stands in brackets.
type Options struct {
	Dir      string // log, histories, generations; the router's alone
	Nodes    []Member
	Ranges   int    // of each generation; a power of two (8)
	Replicas int    // nodes that hold a range (2)
	Secret   string // that nodes ask for

	Window    time.Duration // searches that are hot (1 h)
	CacheFor  time.Duration // how old an answer may be; negative: no answer is given twice (300 ms)
	CacheSize int           // answers that are kept (20,000)
	Timeout   time.Duration // of one question to a node (500 ms)
	Heartbeat time.Duration // between two looks at a node (200 ms)
	Personal  float64       // weight of a user's own history (0.3)
	Rate      float64       // requests a second and client; negative: no limit (50)
	Burst     int           // requests at once (200)

	RebuildEvery time.Duration   // 0: only when asked
	HalfLife     time.Duration   // in which a count of the past is halved (30 days)
	Blocked      *trie.Blocklist // never suggested; nil: nothing

	Built  func(dir string) // see build.Options
	Event  func(Event)      // something happened; nil: nobody listens
	Now    func() time.Time // nil: time.Now
	Logger *slog.Logger     // nil: silent
}

// Event is something that happened.
type Event struct {
	At   time.Time
	Node string // empty: the router
	Kind string // up, down, swap …
	Text string
}

// Router is safe for concurrent use.
type Router struct {
	o        Options
	log      *querylog.Log
	history  *history.Store
	nodes    []*remote
	table    *ring.Table
	cache    *cache.Cache[question, *kept]
	flights  flights
	limit    *ratelimit.Keyed[string] // nil: none
	Counters Counters
	latency  *latency
	plan     atomic.Pointer[plan] // what is served
	turnover atomic.Uint64        // spreads requests over owners

	rebuild sync.Mutex    // held by what makes another plan
	staging atomic.Uint64 // the generation that is being handed out
	state   state         // guarded by rebuild

	cancel context.CancelFunc
	ctx    context.Context // ends with Close
	wg     sync.WaitGroup
	once   sync.Once
	err    error // of Close
}

// plan is a generation as requests need it. It never changes.
type plan struct {
	*build.Manifest
	dir     string
	shards  trie.Shards
	popular *trie.Snapshot
	parent  *plan // to return to; nil: none
}

// state is what the router must not forget, in a file of its folder.
type state struct {
	Current  uint64 `json:"current"`
	Previous uint64 `json:"previous"` // 0: none to return to
	Next     uint64 `json:"next"`     // number of the next build; never used twice, as nodes may have parts of one that failed
}

// Open opens a router on what its folder holds. It serves when it has a generation: one
// that it had before, or that Seed makes.
func Open(o Options) (_ *Router, err error) {
	o.defaults()
	nodes := make([]ring.Node, len(o.Nodes))
	for i, n := range o.Nodes {
		nodes[i] = ring.Node{ID: n.ID, Addr: n.Addr, Zone: n.Zone}
	}
	table, err := ring.NewTable(ring.TableOptions{Partitions: o.Ranges, Replicas: min(o.Replicas, len(nodes))}, nodes...)
	if err != nil {
		return nil, err
	}
	r := &Router{
		o: o, table: table, latency: newLatency(o.Now()), state: state{Next: 1},
	}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(err, r.Close())
		}
	}()
	if r.cache, err = newCache(o.CacheSize); err != nil {
		return nil, err
	}
	if r.limit, err = newLimiter(o.Rate, o.Burst, maxClients, o.Now); err != nil {
		return nil, err
	}
	if r.log, err = querylog.Open(filepath.Join(o.Dir, "log"), querylog.Options{Now: o.Now}); err != nil {
		return nil, err
	}
	if r.history, err = history.Open(filepath.Join(o.Dir, "history")); err != nil {
		return nil, err
	}
	if err := r.load(); err != nil {
		return nil, err
	}
	client := &http.Client{Transport: &http.Transport{
		MaxIdleConnsPerHost: 256, IdleConnTimeout: time.Minute, DisableCompression: true,
	}}
	for _, m := range o.Nodes {
		n := &remote{Member: m, http: client, secret: o.Secret, wake: make(chan struct{}, 1)}
		r.nodes = append(r.nodes, n)
	}
	for _, n := range r.nodes {
		r.wg.Go(func() { r.follow(n) })
	}
	if o.RebuildEvery > 0 {
		r.wg.Go(r.nightly)
	}
	return r, nil
}

func (o *Options) defaults() {
	set(&o.Ranges, 8)
	set(&o.Replicas, 2)
	set(&o.Window, time.Hour)
	set(&o.CacheFor, 300*time.Millisecond)
	set(&o.CacheSize, 20_000)
	set(&o.Timeout, 500*time.Millisecond)
	set(&o.Heartbeat, 200*time.Millisecond)
	set(&o.Personal, 0.3)
	set(&o.Rate, 50)
	set(&o.Burst, 200)
	set(&o.HalfLife, 30*24*time.Hour)
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Event == nil {
		o.Event = func(Event) {}
	}
}

func set[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

func (r *Router) event(node, kind, format string, args ...any) {
	e := Event{At: r.o.Now(), Node: node, Kind: kind, Text: fmt.Sprintf(format, args...)}
	r.o.Logger.Info("autocomplete: "+kind, "node", node, "text", e.Text)
	r.o.Event(e)
}

const stateFile = "state.json"

// dirOf is a generation's folder.
func (r *Router) dirOf(gen uint64) string {
	return filepath.Join(r.o.Dir, "generations", strconv.FormatUint(gen, 10))
}

// load reads the state and the generations that it names.
func (r *Router) load() error {
	b, err := os.ReadFile(filepath.Join(r.o.Dir, stateFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := json.Unmarshal(b, &r.state); err != nil || r.state.Next == 0 {
		return fmt.Errorf("%w: %s: %w", ErrState, r.o.Dir, err)
	}
	if r.state.Current == 0 {
		return nil
	}
	p, err := r.open(r.state.Current)
	if err != nil {
		return err
	}
	if r.state.Previous > 0 {
		// One that cannot be read is one that cannot be returned to, no more.
		if p.parent, err = r.open(r.state.Previous); err != nil {
			r.event("", "note", "generation %d cannot be returned to: %v", r.state.Previous, err)
		}
	}
	r.plan.Store(p)
	return nil
}

// open reads a generation's folder.
func (r *Router) open(gen uint64) (*plan, error) {
	dir := r.dirOf(gen)
	m, err := build.Read(dir)
	if err != nil {
		return nil, err
	}
	popular, err := trie.Open(filepath.Join(dir, build.Popular))
	if err != nil {
		return nil, err
	}
	if m.Generation != gen || m.Shards().Len() > r.o.Ranges {
		return nil, fmt.Errorf("%w: %s has generation %d of %d ranges", build.ErrManifest, dir, m.Generation, m.Shards().Len())
	}
	return &plan{Manifest: m, dir: dir, shards: m.Shards(), popular: popular}, nil
}

// owners are the nodes that hold a range, the first owner first.
func (r *Router) owners(of int) []*remote {
	var out []*remote
	for _, o := range r.table.Owners(of) {
		for _, n := range r.nodes {
			if n.ID == o.ID {
				out = append(out, n)
			}
		}
	}
	return out
}

// Ready tells whether every range has a node that is up.
func (r *Router) Ready() bool {
	p := r.plan.Load()
	if p == nil {
		return false
	}
	for i := range p.shards.Len() {
		some := false
		for _, n := range r.owners(i) {
			some = some || n.up.Load()
		}
		if !some {
			return false
		}
	}
	return true
}

// Seed makes the first generation from a corpus, if there is none yet.
func (r *Router) Seed(ctx context.Context, corpus iter.Seq2[string, uint64]) error {
	if r.plan.Load() != nil {
		return nil
	}
	_, err := r.rebuildFrom(ctx, corpus)
	return err
}

// Close ends the router. It may be called again.
func (r *Router) Close() error {
	r.once.Do(func() {
		r.cancel()
		r.rebuild.Lock() // one that is under way gives up
		defer r.rebuild.Unlock()
		r.wg.Wait()
		if r.log != nil {
			r.err = r.log.Close()
		}
		if r.history != nil {
			r.err = errors.Join(r.err, r.history.Close())
		}
	})
	return r.err
}
