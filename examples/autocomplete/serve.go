package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/httpapi"
	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/node"
	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/router"
	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/view"
	"github.com/ashlar-go/ashlar/examples/internal/program"
	"github.com/ashlar-go/ashlar/trie"
)

// closing is how long requests under way may take when a process stops.
const closing = 5 * time.Second

// routerID is the -id of the router.
const routerID = "router"

// errConfig is matched by every error about a configuration.
var errConfig = errors.New("bad configuration")

// config is what the router and all nodes are told alike, from a file. What is left out
// is as router.Options and node.Options say.
type config struct {
	Listen       string          `json:"listen"`       // host:port of the router: the API, for everybody
	Admin        string          `json:"admin"`        // host:port of the router: API, page, figures and buttons, for those who run the service; empty: none
	Nodes        []router.Member `json:"nodes"`        // host:port that only the router should reach
	Secret       string          `json:"secret"`       // that the router shows to nodes; empty: none
	Ranges       int             `json:"ranges"`       // a power of two, fixed for the life of the service
	Replicas     int             `json:"replicas"`     // of each range
	Boost        float64         `json:"boost"`        // what one search of now counts for
	HotHalfLife  duration        `json:"hotHalfLife"`  // of searches of now
	HalfLife     duration        `json:"halfLife"`     // of counts of the past
	RebuildEvery duration        `json:"rebuildEvery"` // "24h"; empty: only from the page
	Blocked      []string        `json:"blocked"`      // phrases that are never suggested
	ClientHeader string          `json:"clientHeader"` // where a proxy names the client; empty: clients are their addresses
	Rate         float64         `json:"rate"`         // requests a second and client; negative: no limit
	Burst        int             `json:"burst"`
}

// duration is written as Go does: "90s".
type duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err == nil && v <= 0 {
		err = fmt.Errorf("a duration of %v", v)
	}
	*d = duration(v)
	return err
}

// readConfig reads and checks a file. A field that it does not know is an error: it is a
// typing mistake.
func readConfig(path string) (*config, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errConfig, err)
	}
	c := &config{}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(c); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errConfig, path, err)
	}
	if d.More() {
		return nil, fmt.Errorf("%w: %s: something follows the configuration", errConfig, path)
	}
	if err := c.check(); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", errConfig, path, err)
	}
	return c, nil
}

func (c *config) check() error {
	if len(c.Nodes) == 0 {
		return errors.New("there are no nodes")
	}
	used := map[string]string{c.Listen: routerID, routerID: routerID}
	if err := checkAddr(c.Listen); err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	if c.Admin != "" {
		if err := checkAddr(c.Admin); err != nil {
			return fmt.Errorf("admin: %w", err)
		}
		if used[c.Admin] != "" {
			return fmt.Errorf("listen and admin share %s", c.Admin)
		}
		used[c.Admin] = routerID
	}
	for i, n := range c.Nodes {
		if n.ID == "" {
			return fmt.Errorf("node %d has no id", i)
		}
		if err := checkAddr(n.Addr); err != nil {
			return fmt.Errorf("node %s: %w", n.ID, err)
		}
		for _, name := range []string{n.ID, n.Addr} {
			if by := used[name]; by != "" {
				return fmt.Errorf("%s and %s share %s", by, n.ID, name)
			}
			used[name] = n.ID
		}
	}
	if c.Ranges != 0 && (c.Ranges < 1 || c.Ranges > 1024 || c.Ranges&(c.Ranges-1) != 0) {
		return fmt.Errorf("%d ranges; a power of two up to 1024", c.Ranges)
	}
	if c.Replicas < 0 || c.Replicas > len(c.Nodes) {
		return fmt.Errorf("%d replicas on %d nodes", c.Replicas, len(c.Nodes))
	}
	if !(c.Boost >= 0 && c.Boost < 1e9) || c.Burst < 0 {
		return fmt.Errorf("boost %v, burst %d", c.Boost, c.Burst)
	}
	return nil
}

func checkAddr(addr string) error {
	_, p, err := net.SplitHostPort(addr)
	if err != nil {
		return err
	}
	if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
		return fmt.Errorf("address %q needs a port from 1 to 65535", addr)
	}
	return nil
}

// serve runs the router or one node until it is told to stop.
func serve(args []string, stderr io.Writer) error {
	fs := program.Flags("autocomplete serve", stderr)
	path := fs.String("config", "", `the service, as JSON: {"listen", "nodes": [{"id", "addr"}, …], "rebuildEvery", "blocked", …}`)
	id := fs.String("id", "", `which of its nodes this is, or "router"`)
	dir := fs.String("dir", "", "where its data is kept (autocomplete-data/ID)")
	terms := fs.String("terms", "", "`file` that a router without data begins with (the Go sources)")
	var level slog.Level
	fs.TextVar(&level, "log", slog.LevelInfo, "debug, info, warn or error")
	if err := program.Parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() > 0 || *path == "" || *id == "" {
		return fmt.Errorf("%w: autocomplete serve -config FILE -id NAME [-dir DIR] [-terms FILE] [-log LEVEL]", program.ErrUsage)
	}
	c, err := readConfig(*path)
	if err != nil {
		return err
	}
	if *dir == "" {
		*dir = filepath.Join("autocomplete-data", *id)
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	ctx, stop := program.UntilSignal()
	defer stop()
	blocked, err := trie.NewBlocklist(trie.FoldDefault, c.Blocked...)
	if err != nil {
		return fmt.Errorf("%w: blocked: %w", errConfig, err)
	}
	if *id == routerID {
		return serveRouter(ctx, c, blocked, *dir, *terms, log)
	}
	for _, m := range c.Nodes {
		if m.ID == *id {
			return serveNode(ctx, c, m, blocked, *dir, log)
		}
	}
	return fmt.Errorf("%w: there is no node %q", errConfig, *id)
}

func serveNode(ctx context.Context, c *config, m router.Member, blocked *trie.Blocklist, dir string, log *slog.Logger) (err error) {
	n, err := node.Open(node.Options{ID: m.ID, Dir: dir, Boost: c.Boost, HalfLife: time.Duration(c.HotHalfLife), Blocked: blocked, Logger: log})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	l, err := net.Listen("tcp", m.Addr)
	if err != nil {
		return err
	}
	log.Info("autocomplete: serving", "node", m.ID, "addr", m.Addr, "dir", dir)
	return serveHTTP(ctx, l, node.Handler(n, c.Secret), log)
}

func serveRouter(ctx context.Context, c *config, blocked *trie.Blocklist, dir, terms string, log *slog.Logger) (err error) {
	l, err := net.Listen("tcp", c.Listen) // before anything is built: somebody else may serve here
	if err != nil {
		return err
	}
	defer l.Close() // of no effect once it is served
	var admin net.Listener
	if c.Admin != "" {
		if admin, err = net.Listen("tcp", c.Admin); err != nil {
			return err
		}
		defer admin.Close()
	}
	var r *router.Router
	v := view.New(func() *router.Router { return r }, processes{})
	r, err = router.Open(router.Options{
		Dir: dir, Nodes: c.Nodes, Ranges: c.Ranges, Replicas: c.Replicas, Secret: c.Secret, Rate: c.Rate, Burst: c.Burst,
		RebuildEvery: time.Duration(c.RebuildEvery), HalfLife: time.Duration(c.HalfLife), Blocked: blocked, Event: v.AddRouter, Logger: log,
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.Close()) }()
	d, err := v.Dash()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var wg sync.WaitGroup
	wg.Go(func() { seed(ctx, r, terms, log) })
	o := httpapi.Options{Router: r, Client: clientBy(c.ClientHeader), Logger: log}
	public := httpapi.New(o)
	var adminErr error
	if admin != nil {
		o.Admin = d
		private := httpapi.New(o)
		wg.Go(func() {
			defer cancel() // one does not serve without the other
			adminErr = serveHTTP(ctx, admin, private, log, d.Close)
		})
	}
	log.Info("autocomplete: serving", "addr", c.Listen, "admin", c.Admin, "dir", dir)
	err = serveHTTP(ctx, l, public, log)
	cancel()
	wg.Wait()
	return errors.Join(err, adminErr, d.Close())
}

// seed makes the first generation, as soon as there are nodes to take it. Until then the
// service answers that it is not ready.
func seed(ctx context.Context, r *router.Router, terms string, log *slog.Logger) {
	if r.Status().Generation > 0 {
		return
	}
	words, from, err := readTerms(ctx, terms, "")
	if err != nil {
		log.Error("autocomplete: there is nothing to begin with", "err", err)
		return
	}
	log.Info("autocomplete: a first generation", "from", from, "terms", len(words))
	for {
		err := r.Seed(ctx, words.All())
		if err == nil || ctx.Err() != nil {
			return
		}
		log.Warn("autocomplete: not yet", "err", err)
		select {
		case <-time.After(time.Second):
		case <-ctx.Done():
			return
		}
	}
}

// serveHTTP serves until ctx ends.
func serveHTTP(ctx context.Context, l net.Listener, h http.Handler, log *slog.Logger, first ...func() error) error {
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: httpapi.MaxHeaders,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	var errs []error
	for _, f := range first { // streams, which would not end by themselves
		errs = append(errs, f())
	}
	end, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	if err := s.Shutdown(end); err != nil {
		errs = append(errs, s.Close())
	}
	<-served
	return errors.Join(errs...)
}

// processes are nodes that buttons cannot reach.
type processes struct{}

// Kill implements view.Nodes.
func (processes) Kill(id string) error {
	return fmt.Errorf("%s is a process of its own: kill it from a shell", id)
}

// Start implements view.Nodes.
func (processes) Start(id string) error {
	return fmt.Errorf("%s is a process of its own: start it from a shell", id)
}
