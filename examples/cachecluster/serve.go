package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/keyspace"
	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/server"
	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/view"
	"github.com/ashlar-go/ashlar/examples/internal/program"
)

type serveFlags struct {
	addr, config, id, dir, http, debug, policy string
	memory                                     int64
	portable                                   bool
}

// serve runs one node until it is told to stop.
func serve(args []string, stderr io.Writer) error {
	fs := program.Flags("cachecluster serve", stderr)
	var f serveFlags
	fs.StringVar(&f.addr, "addr", "", "`host:port` of a node by itself")
	fs.StringVar(&f.config, "config", "", "the cluster, as JSON: {\"cluster\", \"timeout\", \"shards\": [[{\"id\", \"addr\", \"http\"}, …], …]}")
	fs.StringVar(&f.id, "id", "", "which of the cluster's nodes this is")
	fs.StringVar(&f.dir, "dir", "", "`folder` for snapshots and for what must survive a restart; a node of a cluster needs one")
	fs.StringVar(&f.debug, "debug", "", "`host:port` for Go's profiles, for your eyes only; empty: none")
	fs.StringVar(&f.policy, "policy", "noeviction", "what leaves when the memory is full: `maxmemory-policy`")
	fs.Int64Var(&f.memory, "maxmemory", 0, "`bytes`; 0: no bound")
	fs.BoolVar(&f.portable, "portable", false, "a goroutine for each connection, where there is something faster")
	var level slog.Level
	fs.TextVar(&level, "log", slog.LevelInfo, "debug, info, warn or error")
	if err := program.Parse(fs, args); err != nil {
		return err
	}
	policy, err := keyspace.ParsePolicy(f.policy)
	alone := f.addr != "" && f.config == "" && f.id == ""
	member := f.addr == "" && f.config != "" && f.id != "" && f.dir != ""
	if err != nil || f.memory < 0 || fs.NArg() > 0 || alone == member {
		return fmt.Errorf("%w: cachecluster serve -addr HOST:PORT | -config FILE -id NAME -dir DIR [-maxmemory BYTES] [-policy NAME] [-log LEVEL]", program.ErrUsage)
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	o := server.Options{ID: f.id, Dir: f.dir, Logger: log, MaxMemory: f.memory, Policy: policy, Portable: f.portable}
	var v *view.View
	if member {
		if o.Cluster, err = server.ReadConfig(f.config); err != nil {
			return err
		}
		m, _, ok := o.Cluster.Member(f.id)
		if !ok {
			return fmt.Errorf("%s: no node %q", f.config, f.id)
		}
		f.addr, f.http = m.Addr, m.HTTP
		v = view.New(view.Options{Config: o.Cluster, Cluster: &processes{config: o.Cluster}})
		o.Event = v.AddNode
	}
	return serveNode(f, o, v, log)
}

func serveNode(f serveFlags, o server.Options, v *view.View, log *slog.Logger) (err error) {
	ctx, stop := program.UntilSignal()
	defer stop()
	if o.Listener, err = net.Listen("tcp", f.addr); err != nil {
		return err
	}
	n, err := server.Open(o)
	if err != nil {
		return errors.Join(err, o.Listener.Close())
	}
	defer func() { err = errors.Join(err, n.Close()) }()
	if f.http != "" {
		d, err := v.Dash()
		if err != nil {
			return err
		}
		defer d.Close()
		mux := http.NewServeMux()
		mux.Handle("/", d)
		mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(told{n.Look(), n.Map()})
		})
		if err := background(f.http, mux); err != nil {
			return err
		}
	}
	if f.debug != "" {
		mux := http.NewServeMux()
		mux.HandleFunc("/debug/pprof/", pprof.Index)
		mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
		if err := background(f.debug, mux); err != nil {
			return err
		}
	}
	log.Info("cachecluster: serving", "node", f.id, "addr", n.Addr(), "http", f.http, "dir", f.dir)
	<-ctx.Done()
	log.Info("cachecluster: closing", "node", f.id)
	return nil
}

// background serves HTTP until the process ends.
func background(addr string, h http.Handler) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	go (&http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}).Serve(l)
	return nil
}

// told is what one process tells the dashboard of another.
type told struct {
	Status server.Status
	Runs   []server.Run
}

// processes is a cluster of several processes as one of them sees it: over HTTP.
type processes struct {
	config *server.Config
	http   http.Client
}

// maxStatus is more than a status takes.
const maxStatus = 1 << 20

// Look implements view.Cluster.
func (p *processes) Look(ctx context.Context, id string) (s server.Status, runs []server.Run, up bool) {
	m, _, _ := p.config.Member(id)
	if m.HTTP == "" {
		return s, nil, false
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.HTTP+"/status", nil)
	if err != nil {
		return s, nil, false
	}
	res, err := p.http.Do(r)
	if err != nil {
		return s, nil, false
	}
	defer res.Body.Close()
	var got told
	err = json.NewDecoder(io.LimitReader(res.Body, maxStatus)).Decode(&got)
	return got.Status, got.Runs, err == nil && got.Status.ID == id && known(got.Status.State)
}

// known tells whether the page has a sign for a state: what another process says is not
// taken on trust.
func known(state string) bool {
	return state == server.StateServing || state == server.StateWaiting || state == server.StateReplica || state == server.StateSyncing
}

// Act implements view.Cluster.
func (p *processes) Act(_ context.Context, action, id string) (string, error) {
	return "", fmt.Errorf("%s is a process of its own: %s it from a shell", id, action)
}
