package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/ashlar-go/ashlar/examples/internal/dash"
	"github.com/ashlar-go/ashlar/examples/internal/program"
	told "github.com/ashlar-go/ashlar/examples/internal/story"
	"github.com/ashlar-go/ashlar/examples/kv/internal/core"
	"github.com/ashlar-go/ashlar/examples/kv/internal/local"
	"github.com/ashlar-go/ashlar/examples/kv/internal/node"
	"github.com/ashlar-go/ashlar/examples/kv/internal/view"
)

// Ports of the story, if they are free.
const (
	dashPort  = 8000
	httpPort  = 8001 // of n1; n2 has the next, and so on
	redisPort = 7001
)

// hintLimit is small on purpose: what does not fit is left to the comparison of trees,
// which is worth seeing.
const hintLimit = 2 << 20

// patience is how long the story waits for anything.
const patience = 60 * time.Second

type storyFlags struct {
	check bool
	data  string
	dir   string
	seed  uint64
}

// story tells the story, and then serves until Ctrl-C.
func story(args []string, stdout, stderr io.Writer) (err error) {
	fs := program.Flags("kv", stderr)
	fs.Usage = func() { usage(stderr); fs.PrintDefaults() }
	var o storyFlags
	fs.BoolVar(&o.check, "check", false, "end after the story; the last line says how much of it held")
	fs.StringVar(&o.data, "data", "", "`folder` whose files are loaded (the sources of Go's standard library)")
	fs.StringVar(&o.dir, "dir", "", "`folder` for the nodes' data (a temporary one, removed at the end)")
	fs.Uint64Var(&o.seed, "seed", 1, "of what is chosen at random")
	if err := program.ParseAll(fs, args); err != nil {
		return err
	}
	ctx, stop := program.UntilSignal()
	defer stop()
	remove, err := program.Folder(&o.dir, "ashlar-kv-")
	if err != nil {
		return err
	}
	defer remove()
	if o.data == "" {
		if o.data, err = told.GoSources(ctx); err != nil {
			return fmt.Errorf("%w (-data names another folder)", err)
		}
	}
	t := &teller{Story: told.New(stdout, told.IsTerminal(stdout)), seed: o.seed, want: map[string][]byte{}}
	t.Mirror(t.show)
	if err := t.open(o); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	load := func(ctx context.Context) error { return t.load(ctx, o.data) }
	if err := t.Play(ctx, t.begin, load, t.outage, t.comeBack, t.cutOff, t.compare, t.restartAll); err != nil || o.check {
		return err
	}
	fmt.Fprintf(stdout, "\nThe five nodes go on. Dashboard: http://%s/\nHTTP: %s    Redis: redis-cli -p %s\nCtrl-C ends them.\n",
		t.site.Addr, t.cluster.Config.Nodes[0].HTTP, port(t.cluster.Config.Nodes[0].Redis))
	<-ctx.Done()
	return nil
}

func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr) // it was checked with the configuration
	return p
}

// open starts five nodes and the dashboard.
func (t *teller) open(o storyFlags) (err error) {
	opts := local.Options{
		Name: "story", Dir: o.dir, Event: t.event,
		Tune: func(_ string, c *core.Options) {
			c.HintBytes, c.Exchange, c.Ping = hintLimit, 1000, 200
		},
	}
	addr := "127.0.0.1:0"
	if !o.check && told.PortFree(dashPort) && told.PortsFree(httpPort, 5) && told.PortsFree(redisPort, 5) {
		opts.HTTP, opts.Redis, addr = httpPort, redisPort, fmt.Sprintf("127.0.0.1:%d", dashPort)
	}
	if t.cluster, err = local.New(opts); err != nil {
		return err
	}
	if t.view, err = view.New(t.cluster.Config, t); err != nil {
		return err
	}
	d, err := t.view.Dash()
	if err != nil {
		return err
	}
	if t.site, err = dash.Listen(addr, d, d); err != nil {
		return err
	}
	if err := t.cluster.StartAll(); err != nil {
		return errors.Join(err, t.close())
	}
	return nil
}

func (t *teller) close() error { return errors.Join(t.cluster.Close(), t.site.Close()) }

// event is a node's note, for the dashboard: the story has its own lines.
func (t *teller) event(e node.Event) {
	if v := t.view; v != nil {
		v.AddNode(e)
	}
}
