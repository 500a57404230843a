package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/corpus"
	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/httpapi"
	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/local"
	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/node"
	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/router"
	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/view"
	"github.com/ashlar-go/ashlar/examples/internal/dash"
	"github.com/ashlar-go/ashlar/examples/internal/program"
	told "github.com/ashlar-go/ashlar/examples/internal/story"
	"github.com/ashlar-go/ashlar/trie"
)

// port of the story, if it is free.
const port = 8010

// patience is how long the story waits for anything.
const patience = 60 * time.Second

// blockedPhrase is what the story tries to bring in.
const blockedPhrase = "do not suggest this"

// clientHeader names the client for the rate limit: the story plays many.
const clientHeader = "X-Client"

type storyFlags struct {
	check bool
	terms string
	src   string
	dir   string
	seed  uint64
}

// story tells the story, and then serves until Ctrl-C.
func story(args []string, stdout, stderr io.Writer) (err error) {
	fs := program.Flags("autocomplete", stderr)
	fs.Usage = func() { usage(stderr); fs.PrintDefaults() }
	var o storyFlags
	fs.BoolVar(&o.check, "check", false, "end after the story; the last line says how much of it held")
	fs.StringVar(&o.terms, "terms", "", "`file` of terms, a tab and a count on each line, may be gzipped; in place of the Go sources")
	fs.StringVar(&o.src, "src", "", "`folder` of Go sources (those of the standard library)")
	fs.StringVar(&o.dir, "dir", "", "`folder` for all data (a temporary one, removed at the end)")
	fs.Uint64Var(&o.seed, "seed", 1, "of what is chosen at random")
	if err := program.Parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() > 0 || o.terms != "" && o.src != "" {
		return fmt.Errorf("%w: unexpected %q; see autocomplete help", program.ErrUsage, fs.Args())
	}
	ctx, stop := program.UntilSignal()
	defer stop()
	if left, err := os.ReadDir(o.dir); o.dir != "" && err == nil && len(left) > 0 {
		return fmt.Errorf("%w: %s is not empty: the story begins with nothing", program.ErrUsage, o.dir)
	}
	remove, err := program.Folder(&o.dir, "ashlar-autocomplete-")
	if err != nil {
		return err
	}
	defer remove()
	t := &teller{Story: told.New(stdout, told.IsTerminal(stdout)), o: o}
	t.Mirror(t.show)
	if err := t.open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, t.close()) }()
	if err := t.Play(ctx, t.begin, t.typing, t.now, t.own, t.nights, t.deaths, t.flood); err != nil || o.check {
		return err
	}
	fmt.Fprintf(stdout, `
The service goes on. Type into the page: http://%[1]s/
  curl 'http://%[1]s/api/v1/suggestions?prefix=str&limit=5'
  curl -H 'Content-Type: application/json' -d '{"query": "something new"}' http://%[1]s/api/v1/searches
  curl http://%[1]s/metrics
Ctrl-C ends it.
`, t.site.Addr)
	<-ctx.Done()
	return nil
}

// readTerms reads what may be suggested.
func readTerms(ctx context.Context, terms, src string) (c corpus.Counts, from string, err error) {
	if terms != "" {
		c, err = corpus.ReadFile(terms)
		return c, terms, err
	}
	if src == "" {
		if src, err = told.GoSources(ctx); err != nil {
			return nil, "", fmt.Errorf("%w (-terms names a file to read in place of Go's sources)", err)
		}
	}
	c, err = corpus.GoSources(ctx, src)
	return c, src, err
}

// open starts three nodes, the router and the page.
func (t *teller) open() (err error) {
	blocked, err := trie.NewBlocklist(trie.FoldDefault, blockedPhrase)
	if err != nil {
		return err
	}
	t.view = view.New(func() *router.Router {
		if t.cluster == nil {
			return nil
		}
		return t.cluster.Router
	}, t)
	t.cluster, err = local.New(local.Options{
		Dir: t.o.dir, Node: node.Options{Blocked: blocked},
		Router: router.Options{
			Blocked: blocked, Event: t.view.AddRouter, Built: t.built, Secret: "of the story", Heartbeat: 50 * time.Millisecond,
			Timeout: 2 * time.Second, // the story's machine may be busy with other things
		},
	})
	if err != nil {
		return err
	}
	d, err := t.view.Dash()
	if err != nil {
		return errors.Join(err, t.cluster.Close())
	}
	api := httpapi.New(httpapi.Options{Router: t.cluster.Router, Admin: d, Client: clientBy(clientHeader)})
	addr := "127.0.0.1:0"
	if !t.o.check && told.PortFree(port) {
		addr = fmt.Sprintf("127.0.0.1:%d", port)
	}
	if t.site, err = dash.Listen(addr, api, d); err != nil {
		return errors.Join(err, t.cluster.Close())
	}
	t.http = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	return nil
}

// clientBy tells clients apart by a header that a proxy sets, or else by their address.
func clientBy(header string) func(*http.Request) string {
	return func(r *http.Request) string {
		if header != "" {
			if c := r.Header.Get(header); c != "" {
				return c
			}
		}
		host, _, err := net.SplitHostPort(r.RemoteAddr)
		if err != nil {
			return r.RemoteAddr
		}
		return host
	}
}

func (t *teller) close() error {
	t.http.CloseIdleConnections()
	return errors.Join(t.site.Close(), t.cluster.Close())
}

// Kill implements view.Nodes.
func (t *teller) Kill(id string) error { return t.cluster.Kill(id) }

// Start implements view.Nodes.
func (t *teller) Start(id string) error { return t.cluster.Start(id) }
