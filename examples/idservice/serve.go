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
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/examples/idservice/internal/front"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/node"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/page"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/view"
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
	o, err := listen(self)
	if err != nil {
		return err
	}
	options.Logger, options.Event = log, v.AddNode
	n, err := node.Open(options)
	if err != nil {
		return errors.Join(err, unlisten(o))
	}
	defer n.Close()
	peers.self.Store(n)
	d, err := v.Dash()
	if err != nil {
		return errors.Join(err, unlisten(o))
	}
	o.Service, o.Look, o.Page, o.Logger = n, n.Look, d, log
	f, err := front.Open(o)
	if err != nil {
		return errors.Join(err, unlisten(o), d.Close())
	}
	log.Info("idservice: serving", "node", *id, "service", config.Service, "http", self.HTTP, "redis", self.Redis, "dir", *dir)
	<-ctx.Done()
	log.Info("idservice: closing", "node", *id)
	end, cancel := context.WithTimeout(context.Background(), closing)
	defer cancel()
	return errors.Join(d.Close(), f.Close(end), n.Close())
}

// listen opens a node's ports.
func listen(m node.Member) (o front.Options, err error) {
	if o.HTTP, err = net.Listen("tcp", m.HTTP); err != nil {
		return o, err
	}
	if m.Redis != "" {
		if o.Redis, err = net.Listen("tcp", m.Redis); err != nil {
			return o, errors.Join(err, o.HTTP.Close())
		}
	}
	return o, nil
}

// unlisten closes ports that no front has taken over.
func unlisten(o front.Options) error {
	err := o.HTTP.Close()
	if o.Redis != nil {
		err = errors.Join(err, o.Redis.Close())
	}
	return err
}

// processes is a service of several processes as one of them sees it: itself, and the
// others over HTTP.
type processes struct {
	config *node.Config
	self   atomic.Pointer[node.Node]
	http   http.Client
}

// maxStatus is more than a status takes.
const maxStatus = 64 << 10

// Look implements view.Service.
func (p *processes) Look(ctx context.Context, id string) (s node.Status, up bool) {
	m, _ := p.config.Member(id)
	if n := p.self.Load(); n != nil && n.ID() == id {
		return n.Look(), true
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.HTTP+"/status", nil)
	if err != nil {
		return s, false
	}
	res, err := p.http.Do(r)
	if err != nil {
		return s, false
	}
	defer res.Body.Close()
	err = json.NewDecoder(io.LimitReader(res.Body, maxStatus)).Decode(&s)
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
