package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/client"
	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/local"
	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/page"
	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/server"
	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/view"
	"github.com/ashlar-go/ashlar/examples/internal/dash"
	"github.com/ashlar-go/ashlar/examples/internal/program"
	tale "github.com/ashlar-go/ashlar/examples/internal/story"
)

// Ports of the story, if they are free.
const (
	dashPort  = 8400
	redisPort = 7401 // of n1; n2 has the next, and so on
	allNodes  = 6
)

// timeout is the silence after which a primary counts as gone. On a machine that is busy
// with something else a shorter one would find nodes dead that are only slow.
const timeout = 1500 // milliseconds

// patience is how long the story waits for anything.
const patience = 30 * time.Second

type storyFlags struct {
	check bool
	data  string
	dir   string
	files int
}

// story tells the story, and then serves until Ctrl-C.
func story(args []string, stdout, stderr io.Writer) (err error) {
	fs := program.Flags("cachecluster", stderr)
	fs.Usage = func() { usage(stderr); fs.PrintDefaults() }
	var o storyFlags
	fs.BoolVar(&o.check, "check", false, "end after the story; the last line says how much of it held")
	fs.StringVar(&o.data, "data", "", "`folder` whose files are loaded (the sources of Go's standard library)")
	fs.StringVar(&o.dir, "dir", "", "`folder` for the nodes' data (a temporary one, removed at the end)")
	fs.IntVar(&o.files, "files", 4000, "how many files are loaded at most, from 100 to 1,000,000")
	if err := program.ParseAll(fs, args); err != nil {
		return err
	}
	if o.files < 100 || o.files > 1_000_000 {
		return fmt.Errorf("%w: -files %d is not from 100 to 1,000,000", program.ErrUsage, o.files)
	}
	ctx, stop := program.UntilSignal()
	defer stop()
	remove, err := program.Folder(&o.dir, "ashlar-cachecluster-")
	if err != nil {
		return err
	}
	defer remove()
	if o.data == "" {
		if o.data, err = tale.GoSources(ctx); err != nil {
			return fmt.Errorf("%w (-data names another folder)", err)
		}
	}
	t := &teller{Story: tale.New(stdout, tale.IsTerminal(stdout)), o: o, want: map[string]string{}}
	t.Mirror(t.show)
	if err := t.open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	if err := t.Play(ctx, t.begin, t.load, t.kill, t.comeBack, t.moveSlots, t.restart, t.policies); err != nil || o.check {
		return err
	}
	_, port, _ := net.SplitHostPort(t.cluster.Config.Shards[0][0].Addr)
	fmt.Fprintf(stdout, `
The six nodes go on, with a few clients. Dashboard: http://%s/   Ctrl-C ends them. Try:
  redis-cli -c -p %s GET net/http/server.go
  redis-cli --cluster check 127.0.0.1:%s
  redis-benchmark -p %s --cluster -t set,get -n 100000 -q
`, t.site.Addr, port, port, port)
	t.stroll(ctx)
	return nil
}

// open starts six nodes and the dashboard.
func (t *teller) open() (err error) {
	opts := local.Options{Dir: t.o.dir, Timeout: timeout, Event: t.event}
	dashAddr := "127.0.0.1:0"
	if !t.o.check && tale.PortFree(dashPort) && tale.PortsFree(redisPort, allNodes) {
		opts.Port, dashAddr = redisPort, fmt.Sprintf("127.0.0.1:%d", dashPort)
	}
	if t.cluster, err = local.New(opts); err != nil {
		return err
	}
	v := view.New(view.Options{Config: t.cluster.Config, Cluster: t, Acts: true})
	t.view.Store(v)
	d, err := v.Dash()
	if err != nil {
		return errors.Join(err, t.cluster.Close())
	}
	if t.site, err = dash.Listen(dashAddr, d, d); err != nil {
		return errors.Join(err, t.cluster.Close())
	}
	return nil
}

func (t *teller) close() error { return errors.Join(t.cluster.Close(), t.site.Close()) }

// show has the dashboard show what the story says.
func (t *teller) show(kind, text string) { t.view.Load().Add(page.Event{Kind: kind, Text: text}) }

// event is a node's note, for the dashboard: the story has its own lines.
func (t *teller) event(e server.Event) {
	if v := t.view.Load(); v != nil {
		v.AddNode(e)
	}
}

// Look implements view.Cluster.
func (t *teller) Look(_ context.Context, id string) (server.Status, []server.Run, bool) {
	n := t.cluster.Node(id)
	if n == nil {
		return server.Status{}, nil, false
	}
	return n.Look(), n.Map(), true
}

// moved is how many slots a press of the button moves.
const moved = 100

// Act implements view.Cluster.
func (t *teller) Act(ctx context.Context, action, id string) (string, error) {
	switch action {
	case page.ActionKill:
		return "killed: nothing is saved", t.cluster.Kill(id)
	case page.ActionStart:
		return "starts", t.cluster.Start(id)
	}
	_, shard, _ := t.cluster.Config.Member(id)
	to := (shard + 1) % len(t.cluster.Config.Shards)
	keys, err := t.move(ctx, shard, to, moved)
	return fmt.Sprintf("%d slots with %d keys moved to shard %d", moved, keys, to+1), err
}

// move moves slots between shards.
func (t *teller) move(ctx context.Context, from, to, count int) (keys int, err error) {
	src, dst := t.cluster.Leader(from), t.cluster.Leader(to)
	if src == nil || dst == nil {
		return 0, errors.New("a shard has no primary at the moment")
	}
	c := client.New(t.cluster.Addrs()...)
	defer c.Close()
	for _, r := range src.Map() {
		for slot := int(r.First); r.Shard == from && slot <= int(r.Last) && count > 0; slot++ {
			n, err := c.Move(ctx, slot, src.Addr(), dst.Addr())
			if err != nil {
				return keys, err
			}
			keys += n
			count--
		}
	}
	if count > 0 {
		return keys, errors.New("the shard has no more slots")
	}
	return keys, nil
}
