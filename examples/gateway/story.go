package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/examples/gateway/internal/gate"
	"github.com/ashlar-go/ashlar/examples/gateway/internal/local"
	"github.com/ashlar-go/ashlar/examples/gateway/internal/view"
	"github.com/ashlar-go/ashlar/examples/internal/dash"
	"github.com/ashlar-go/ashlar/examples/internal/program"
	told "github.com/ashlar-go/ashlar/examples/internal/story"
)

// Ports of the story, if they are free.
const (
	dashPort = 8000
	gatePort = 8080 // of g1; g2 has the next
)

// Which files are served: so many, and none that an answer could break off in.
const (
	mostFiles   = 3000
	largestFile = 64 << 10
)

// patience is how long the story waits for anything.
const patience = 30 * time.Second

type storyFlags struct {
	check bool
	data  string
}

// story tells the story, and then serves until Ctrl-C.
func story(args []string, stdout, stderr io.Writer) (err error) {
	fs := program.Flags("gateway", stderr)
	fs.Usage = func() { usage(stderr); fs.PrintDefaults() }
	var o storyFlags
	fs.BoolVar(&o.check, "check", false, "end after the story; the last line says how much of it held")
	fs.StringVar(&o.data, "data", "", "`folder` whose files are served (the sources of Go's standard library)")
	if err := program.ParseAll(fs, args); err != nil {
		return err
	}
	ctx, stop := program.UntilSignal()
	defer stop()
	if o.data == "" {
		if o.data, err = told.GoSources(ctx); err != nil {
			return fmt.Errorf("%w (-data names another folder)", err)
		}
	}
	t := &teller{Story: told.New(stdout, told.IsTerminal(stdout)), data: o.data}
	t.Mirror(t.show)
	if err := t.open(ctx, o); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	err = t.Play(ctx, t.begin, t.everyFile, t.policies, t.tiers, t.tokens, t.attack, t.restarts, t.keeps, t.isolation, t.shared, t.newRules, t.overhead)
	if err != nil || o.check {
		return err
	}
	return t.goOn(ctx, stdout)
}

// goOn serves until ctx is done, with rules in a file that can be edited meanwhile.
func (t *teller) goOn(ctx context.Context, stdout io.Writer) error {
	dir, err := os.MkdirTemp("", "ashlar-gateway-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "rules.json")
	b, err := json.MarshalIndent(t.local.Gateways[0].Rules(), "", "  ")
	if err == nil {
		err = os.WriteFile(path, append(b, '\n'), 0o600)
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(stdout, "\nThe gateways go on. Dashboard: http://%s/   metrics: http://%[1]s/metrics\n", t.site.Addr)
	fmt.Fprintf(stdout, "Edit their rules while they run: %s\nTry:\n", path)
	fmt.Fprintf(stdout, "  curl -i http://%s/src/fmt/print.go\n", t.local.Addrs[0])
	fmt.Fprintf(stdout, "  curl -i -H 'X-API-Key: %s' 'http://%s/search?q=print'\n", local.PremiumKey, t.local.Addrs[1])
	fmt.Fprintf(stdout, "  for i in $(seq 12); do curl -s -o /dev/null -w '%%{http_code} ' -H 'X-API-Key: %s' 'http://%s/search?q=go'; done\n", local.StandbyKey, t.local.Addrs[0])
	fmt.Fprintln(stdout, "Ctrl-C ends them.")
	var wg sync.WaitGroup
	wg.Go(func() {
		watchRules(ctx, path, 300*time.Millisecond, t.local.LoadFile, func(err error) { t.event(gate.Event{At: time.Now(), Text: err.Error()}) })
	})
	<-ctx.Done()
	wg.Wait()
	return nil
}

// open starts backends, gateways and the dashboard.
func (t *teller) open(ctx context.Context, o storyFlags) (err error) {
	if t.names, err = local.List(ctx, o.data, mostFiles, largestFile); err != nil {
		return err
	}
	addr, port := "127.0.0.1:0", 0
	if !o.check {
		if told.PortFree(dashPort) {
			addr = fmt.Sprint("127.0.0.1:", dashPort)
		}
		if told.PortsFree(gatePort, 2) {
			port = gatePort
		}
	}
	if t.local, err = local.New(ctx, local.Options{Dir: o.data, Names: t.names, Port: port, Event: t.event}); err != nil {
		return err
	}
	t.client = local.NewClient(t.local.Addrs...)
	t.view = view.New(view.Options{Name: "gateway", World: t.local})
	d, err := t.view.Dash()
	if err != nil {
		return errors.Join(err, t.close())
	}
	if t.site, err = dash.Listen(addr, d, d); err != nil {
		return errors.Join(err, t.close())
	}
	t.shown.Store(t.view)
	return nil
}

func (t *teller) close() error {
	if t.site != nil {
		if err := t.site.Close(); err != nil {
			return errors.Join(err, t.local.Close())
		}
	}
	t.client.Close()
	return t.local.Close()
}

// event is a gateway's note, for the dashboard: the story has its own lines.
func (t *teller) event(e gate.Event) {
	if v := t.shown.Load(); v != nil {
		v.Add(e)
	}
}
