package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/examples/internal/ports"
	"github.com/ashlar-go/ashlar/examples/internal/program"
	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
	"github.com/ashlar-go/ashlar/examples/kv/internal/client"
	"github.com/ashlar-go/ashlar/examples/kv/internal/front"
	"github.com/ashlar-go/ashlar/examples/kv/internal/node"
	"github.com/ashlar-go/ashlar/examples/kv/internal/page"
	"github.com/ashlar-go/ashlar/examples/kv/internal/view"
)

// closing is how long requests under way may take when a node stops.
const closing = 5 * time.Second

// serve runs one node until it is told to stop.
func serve(args []string, stderr io.Writer) error {
	fs := program.Flags("kv serve", stderr)
	path := fs.String("config", "", "the cluster, as JSON: {\"cluster\", \"nodes\": [{\"id\", \"peer\", \"gossip\", \"http\", \"redis\"}, …]}")
	id := fs.String("id", "", "which of its nodes this is")
	dir := fs.String("dir", "", "where its data is kept (kv-data/ID)")
	debug := fs.String("debug", "", "`host:port` for Go's profiles, for your eyes only; empty: none")
	var level slog.Level
	fs.TextVar(&level, "log", slog.LevelInfo, "debug, info, warn or error")
	if err := program.Parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() > 0 || *path == "" || *id == "" {
		return fmt.Errorf("%w: kv serve -config FILE -id NAME [-dir DIR] [-log LEVEL]", program.ErrUsage)
	}
	if *dir == "" {
		*dir = filepath.Join("kv-data", *id)
	}
	config, err := node.ReadConfig(*path)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	ctx, stop := program.UntilSignal()
	defer stop()

	peers := &processes{config: config}
	v, err := view.New(config, peers)
	if err != nil {
		return err
	}
	n, err := node.Open(node.Options{Config: config, ID: *id, Dir: *dir, Logger: log, Event: v.AddNode})
	if err != nil {
		return err
	}
	defer n.Close()
	peers.self.Store(n)
	self := n.Self()
	l, err := ports.Listen(self.HTTP, self.Redis)
	if err != nil {
		return err
	}
	d, err := v.Dash()
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer d.Close()
	f, err := front.Open(front.Options{Listeners: l, Node: n, Page: d, Logger: log})
	if err != nil {
		return errors.Join(err, l.Close())
	}
	if *debug != "" {
		l, err := net.Listen("tcp", *debug)
		if err != nil {
			return errors.Join(err, d.Close(), f.Close(ctx))
		}
		profiles := &http.Server{Handler: profiles(), ReadHeaderTimeout: closing}
		defer profiles.Close()
		go profiles.Serve(l)
	}
	log.Info("kv: serving", "node", *id, "cluster", config.Cluster, "http", self.HTTP, "redis", self.Redis, "dir", *dir)
	<-ctx.Done()
	log.Info("kv: closing", "node", *id)
	end, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	return errors.Join(d.Close(), f.Close(end), n.Close())
}

// profiles are what net/http/pprof would put on the default mux.
func profiles() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}

// processes is a cluster of several processes as one of them sees it: itself, and the
// others over HTTP.
type processes struct {
	config *node.Config
	self   atomic.Pointer[node.Node]
	http   http.Client
}

// Look implements view.Cluster.
func (p *processes) Look(ctx context.Context, id string) (s node.Status, up bool) {
	if n := p.self.Load(); n != nil && n.Self().ID == id {
		return n.Look(), true
	}
	m, _ := p.config.Member(id)
	err := ports.Status(ctx, &p.http, m.HTTP, &s)
	return s, err == nil && s.ID == id
}

// Cut implements view.Cluster: nobody cuts anything here.
func (p *processes) Cut(string) bool { return false }

// Store implements view.Cluster.
func (p *processes) Store(id string) (api.Store, error) {
	if n := p.self.Load(); n != nil && n.Self().ID == id {
		return n, nil
	}
	m, _ := p.config.Member(id)
	return client.New(client.Options{Addrs: []string{m.HTTP}, HTTP: &p.http})
}

// Act implements view.Cluster.
func (p *processes) Act(action, id string) error {
	if action == page.ActionHeal {
		return errors.New("nothing is cut: these nodes are processes of their own")
	}
	return fmt.Errorf("%s is a process of its own: %s it from a shell", id, action)
}
