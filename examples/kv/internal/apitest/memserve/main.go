// Command memserve takes the command line of "kv serve" and serves one node over HTTP from
// a store in memory. It stands in for the real thing in tests of programs that start nodes;
// several of them know nothing of each other.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"

	"github.com/ashlar-go/ashlar/examples/kv/internal/apitest"
	"github.com/ashlar-go/ashlar/examples/kv/internal/httpapi"
)

func main() {
	if err := serve(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "memserve:", err)
		os.Exit(1)
	}
}

func serve(args []string) error {
	if len(args) == 0 || args[0] != "serve" {
		return errors.New("want serve -config FILE -id ID -dir DIR")
	}
	fs := flag.NewFlagSet("serve", flag.ContinueOnError)
	config := fs.String("config", "", "cluster `file`")
	id := fs.String("id", "", "this node's `name` in it")
	fs.String("dir", "", "`folder` for data; not used")
	if err := fs.Parse(args[1:]); err != nil {
		return err
	}
	text, err := os.ReadFile(*config)
	if err != nil {
		return err
	}
	var conf struct {
		Nodes []struct{ ID, HTTP string }
	}
	if err := json.Unmarshal(text, &conf); err != nil {
		return err
	}
	for _, n := range conf.Nodes {
		if n.ID == *id {
			return listen(n.HTTP)
		}
	}
	return fmt.Errorf("no node %q in %s", *id, *config)
}

func listen(addr string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	srv := &http.Server{Addr: addr, Handler: httpapi.New(httpapi.Options{Store: apitest.New()})}
	context.AfterFunc(ctx, func() { srv.Close() })
	if err := srv.ListenAndServe(); err != http.ErrServerClosed {
		return err
	}
	return nil
}
