package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/examples/idservice/internal/front"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/node"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/page"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/view"
	"github.com/ashlar-go/ashlar/examples/internal/ports"
	"github.com/ashlar-go/ashlar/examples/internal/program"
	"github.com/ashlar-go/ashlar/snowflake"
)

// closing is how long requests under way may take when a node stops.
const closing = 5 * time.Second

// serve runs one node until it is told to stop.
func serve(args []string, stderr io.Writer) error {
	fs := program.Flags("idservice serve", stderr)
	path := fs.String("config", "", "the service, as JSON: {\"service\", \"layout\", \"workers\", \"ttl\", \"nodes\": [{\"id\", \"http\", \"redis\"}, …]}")
	id := fs.String("id", "", "which of its nodes this is")
	dir := fs.String("dir", "idservice-data", "where worker ids are leased: one local `folder` for all processes of the service")
	var level slog.Level
	fs.TextVar(&level, "log", slog.LevelInfo, "debug, info, warn or error")
	if err := program.Parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() > 0 || *path == "" || *id == "" || *dir == "" {
		return fmt.Errorf("%w: idservice serve -config FILE -id NAME [-dir DIR] [-log LEVEL]", program.ErrUsage)
	}
	config, err := node.ReadConfig(*path)
	if err != nil {
		return err
	}
	store, err := snowflake.NewDirStore(*dir)
	if err != nil {
		return err
	}
	options, err := config.Options(*id, store)
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level}))
	ctx, stop := program.UntilSignal()
	defer stop()

	peers := &processes{config: config}
	v := view.New(view.Options{Name: config.Service, Members: config.Nodes, Service: peers})
	// The ports first: a process that cannot be reached needs no worker id.
	self, _ := config.Member(*id)
	l, err := ports.Listen(self.HTTP, self.Redis)
	if err != nil {
		return err
	}
	options.Logger, options.Event = log, v.AddNode
	n, err := node.Open(options)
	if err != nil {
		return errors.Join(err, l.Close())
	}
	defer n.Close()
	peers.self.Store(n)
	d, err := v.Dash()
	if err != nil {
		return errors.Join(err, l.Close())
	}
	f, err := front.Open(front.Options{Listeners: l, Service: n, Look: n.Look, Page: d, Logger: log})
	if err != nil {
		return errors.Join(err, l.Close(), d.Close())
	}
	log.Info("idservice: serving", "node", *id, "service", config.Service, "http", self.HTTP, "redis", self.Redis, "dir", *dir)
	<-ctx.Done()
	log.Info("idservice: closing", "node", *id)
	end, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	return errors.Join(d.Close(), f.Close(end), n.Close())
}

// processes is a service of several processes as one of them sees it: itself, and the
// others over HTTP.
type processes struct {
	config *node.Config
	self   atomic.Pointer[node.Node]
	http   http.Client
}

// Look implements view.Service.
func (p *processes) Look(ctx context.Context, id string) (s node.Status, up bool) {
	m, _ := p.config.Member(id)
	if n := p.self.Load(); n != nil && n.ID() == id {
		return n.Look(), true
	}
	err := ports.Status(ctx, &p.http, m.HTTP, &s)
	return s, err == nil && s.ID == id && known(s.State)
}

// known tells whether the page has a sign for a state: what another process says is not
// taken on trust.
func known(state string) bool {
	return state == page.NodeServing || state == page.NodeLate || state == page.NodeLeasing
}

// Act implements view.Service.
func (p *processes) Act(action, id string, _ time.Duration) error {
	return fmt.Errorf("%s is a process of its own: %s it from a shell", id, action)
}
