package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/ashlar-go/ashlar/examples/idservice/internal/front"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/ledger"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/local"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/node"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/view"
	"github.com/ashlar-go/ashlar/examples/internal/dash"
	"github.com/ashlar-go/ashlar/examples/internal/program"
	told "github.com/ashlar-go/ashlar/examples/internal/story"
	"github.com/ashlar-go/ashlar/snowflake"
)

// Ports of the story, if they are free.
const (
	dashPort  = 8200
	httpPort  = 8201 // of n1; n2 has the next, and so on
	redisPort = 7201
)

// What the story runs: four nodes with a worker id each, and a spare that waits for one.
const (
	workers = 4
	spare   = "n5"
)

type storyFlags struct {
	check bool
	ids   int64
	dir   string
	ttl   time.Duration
}

// story tells the story, and then serves until Ctrl-C.
func story(args []string, stdout, stderr io.Writer) (err error) {
	fs := program.Flags("idservice", stderr)
	fs.Usage = func() { usage(stderr); fs.PrintDefaults() }
	var o storyFlags
	fs.BoolVar(&o.check, "check", false, "end after the story; the last line says how much of it held")
	fs.Int64Var(&o.ids, "ids", 5_000_000, "how many ids are taken as fast as they come, from 1,000 to 1,000,000,000")
	fs.StringVar(&o.dir, "dir", "", "`folder` for leases and for what is needed to prove (a temporary one, removed at the end)")
	fs.DurationVar(&o.ttl, "lease", 2*time.Second, "how long a worker id is leased for, from 500ms to 1m: the story waits for three such times")
	if err := program.ParseAll(fs, args); err != nil {
		return err
	}
	if o.ids < 1000 || o.ids > 1_000_000_000 {
		return fmt.Errorf("%w: -ids %d is not from 1,000 to 1,000,000,000", program.ErrUsage, o.ids)
	}
	if o.ttl < 500*time.Millisecond || o.ttl > time.Minute {
		return fmt.Errorf("%w: -lease %v is not from 500ms to 1m", program.ErrUsage, o.ttl)
	}
	ctx, stop := program.UntilSignal()
	defer stop()
	remove, err := program.Folder(&o.dir, "ashlar-ids-")
	if err != nil {
		return err
	}
	defer remove()
	t := &teller{Story: told.New(stdout, told.IsTerminal(stdout)), o: o, layout: snowflake.Classic}
	t.Mirror(t.show)
	if err := t.open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	if err := t.Play(ctx, t.tell); err != nil || o.check {
		return err
	}
	h := t.service.Hosts()[0]
	_, redis, _ := net.SplitHostPort(h.Redis)
	fmt.Fprintf(stdout, `
The nodes go on, with a few clients. Dashboard: http://%s/   Ctrl-C ends them. Try:
  curl 'http://%s/id?n=5&encoding=base62'
  curl http://%s/decode/$(curl -s http://%s/id)
  redis-cli -p %s INCR orders
`, t.site.Addr, h.HTTP, h.HTTP, h.HTTP, redis)
	(&crowd{}).stroll(ctx, t.service.Hosts(), 50, 20*time.Millisecond)
	return nil
}

// open makes the nodes, which it does not start, and the dashboard.
func (t *teller) open() (err error) {
	leases, runs := filepath.Join(t.o.dir, "leases"), filepath.Join(t.o.dir, "runs")
	if err := os.MkdirAll(runs, 0o755); err != nil {
		return err
	}
	store, err := snowflake.NewDirStore(leases)
	if err != nil {
		return err
	}
	t.book = ledger.New(runs, 0)
	t.crowd = &crowd{book: t.book}
	opts := local.Options{
		IDs: []string{"n1", "n2", "n3", "n4", spare}, Store: store, Workers: workers, Layout: t.layout, TTL: t.o.ttl,
		Event: t.event,
	}
	dashAddr := "127.0.0.1:0"
	if !t.o.check && told.PortFree(dashPort) && told.PortsFree(httpPort, len(opts.IDs)) && told.PortsFree(redisPort, len(opts.IDs)) {
		opts.HTTP, opts.Redis, dashAddr = httpPort, redisPort, fmt.Sprintf("127.0.0.1:%d", dashPort)
	}
	// The view before the nodes, which have events; it looks at them only when asked.
	members := make([]node.Member, len(opts.IDs))
	for i, id := range opts.IDs {
		members[i].ID = id
	}
	t.view = view.New(view.Options{Name: "ids", Members: members, Service: t, Acts: true})
	if t.service, err = local.New(opts); err != nil {
		return err
	}
	for i, h := range t.service.Hosts() {
		members[i].HTTP, members[i].Redis = h.HTTP, h.Redis
	}
	d, err := t.view.Dash()
	if err != nil {
		return errors.Join(err, t.service.Close())
	}
	if t.site, err = dash.Listen(dashAddr, front.Handler(front.Options{Service: anyHost{t.service}, Page: d}), d); err != nil {
		return errors.Join(err, t.service.Close())
	}
	return nil
}

func (t *teller) close() error { return errors.Join(t.service.Close(), t.site.Close()) }

// event is a node's note, for the dashboard: the story has its own lines.
func (t *teller) event(e node.Event) { t.view.AddNode(e) }

// Look implements view.Service.
func (t *teller) Look(_ context.Context, id string) (node.Status, bool) {
	if h := t.service.Host(id); h != nil {
		return h.Look(), true
	}
	return node.Status{}, false
}

// anyHost serves the dashboard's own requests from whichever node can.
type anyHost struct{ service *local.Service }

// Fill implements api.Service.
func (a anyHost) Fill(dst []snowflake.ID) (err error) {
	for _, h := range a.service.Hosts() {
		if s := h.Look().State; s == local.Frozen || s == local.Down {
			continue // a frozen node would keep the dashboard waiting
		}
		if err = h.Fill(dst); err == nil {
			return nil
		}
	}
	if err == nil {
		err = errNobody
	}
	return err
}

// Layout implements api.Service.
func (a anyHost) Layout() snowflake.Layout { return a.service.Hosts()[0].Layout() }

// Status implements api.Service.
func (a anyHost) Status() any {
	all := []node.Status{}
	for _, h := range a.service.Hosts() {
		all = append(all, h.Look())
	}
	return all
}
