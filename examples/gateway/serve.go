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
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/examples/gateway/internal/gate"
	"github.com/ashlar-go/ashlar/examples/gateway/internal/rules"
	"github.com/ashlar-go/ashlar/examples/gateway/internal/view"
	"github.com/ashlar-go/ashlar/examples/internal/dash"
	"github.com/ashlar-go/ashlar/examples/internal/program"
)

// closing is how long requests under way may take when a gateway stops.
const closing = 10 * time.Second

// config is the file of gateway serve.
type config struct {
	Name   string      `json:"name"`             // of this gateway; "gateway" if empty
	Listen string      `json:"listen"`           // host:port for clients
	Admin  string      `json:"admin,omitempty"`  // host:port of dashboard and metrics, for operators only; empty: none
	Rules  string      `json:"rules"`            // the file of rules, from the folder of this one
	Limits gate.Limits `json:"limits,omitzero"`  // where limits are counted
	Cert   string      `json:"cert,omitempty"`   // with Key: clients speak TLS
	Key    string      `json:"key,omitempty"`    //
	Access string      `json:"access,omitempty"` // file of the access log, JSON; "-": standard output; empty: none
}

func readConfig(path string) (c config, err error) {
	f, err := os.Open(path)
	if err != nil {
		return c, err
	}
	defer f.Close()
	d := json.NewDecoder(io.LimitReader(f, 1<<20))
	d.DisallowUnknownFields()
	if err := d.Decode(&c); err != nil {
		return c, fmt.Errorf("%s: %w", path, err)
	}
	if c.Listen == "" || c.Rules == "" || (c.Cert == "") != (c.Key == "") {
		return c, fmt.Errorf("%s: listen and rules are needed; cert and key go together", path)
	}
	if c.Name == "" {
		c.Name = "gateway"
	}
	for _, p := range []*string{&c.Rules, &c.Cert, &c.Key} {
		if *p != "" && !filepath.IsAbs(*p) {
			*p = filepath.Join(filepath.Dir(path), *p)
		}
	}
	return c, nil
}

// serve runs one gateway until it is told to stop.
func serve(args []string, stdout, stderr io.Writer) error {
	fs := program.Flags("gateway serve", stderr)
	path := fs.String("config", "", `JSON: {"listen", "rules", "name", "admin", "limits": {"redis", "edge", "gateways", "failure", …}, "cert", "key", "access"}`)
	var level slog.Level
	fs.TextVar(&level, "log", slog.LevelInfo, "debug, info, warn or error")
	if err := program.Parse(fs, args); err != nil {
		return err
	}
	if fs.NArg() > 0 || *path == "" {
		return fmt.Errorf("%w: gateway serve -config FILE [-log LEVEL]", program.ErrUsage)
	}
	c, err := readConfig(*path)
	if err != nil {
		return err
	}
	ctx, stop := program.UntilSignal()
	defer stop()
	return serveConfig(ctx, c, slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: level})), stdout)
}

func serveConfig(ctx context.Context, c config, log *slog.Logger, stdout io.Writer) (err error) {
	r, _, err := rules.Read(c.Rules)
	if err != nil {
		return err
	}
	var shown atomic.Pointer[view.View]
	o := gate.Options{Name: c.Name, Rules: r, Limits: c.Limits, Event: func(e gate.Event) {
		log.Info("gateway: "+e.Text, "pool", e.Pool, "backend", e.Backend)
		if v := shown.Load(); v != nil {
			v.Add(e)
		}
	}}
	switch c.Access {
	case "":
	case "-":
		o.Access = slog.New(slog.NewJSONHandler(stdout, nil))
	default:
		f, err := os.OpenFile(c.Access, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
		if err != nil {
			return err
		}
		defer f.Close()
		o.Access = slog.New(slog.NewJSONHandler(f, nil))
	}
	g, err := gate.New(o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, g.Close()) }()
	l, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	defer wg.Wait()
	// Cancelled before the wait: what runs in the background ends by it.
	defer cancel(nil)
	server := &http.Server{
		Handler: g, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 64 << 10,
		DisableGeneralOptionsHandler: true, ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	wg.Go(func() {
		if c.Cert != "" {
			cancel(server.ServeTLS(l, c.Cert, c.Key))
		} else {
			cancel(server.Serve(l))
		}
	})
	admin := ""
	if c.Admin != "" {
		v := view.New(view.Options{Name: c.Name, Gateway: g, Addr: l.Addr().String()})
		d, err := v.Dash()
		if err != nil {
			return errors.Join(err, server.Close())
		}
		site, err := dash.Listen(c.Admin, d, d)
		if err != nil {
			return errors.Join(err, server.Close())
		}
		defer site.Close()
		shown.Store(v)
		admin = site.Addr
	}
	wg.Go(func() {
		watchRules(ctx, c.Rules, time.Second, g.Load, func(err error) { log.Warn("gateway: the file of rules is not there", "err", err) })
	})
	hup := make(chan os.Signal, 1)
	notifyReload(hup)
	defer signal.Stop(hup)
	wg.Go(func() {
		for {
			select {
			case <-ctx.Done():
				return
			case <-hup:
				b, err := readFile(c.Rules)
				if err == nil {
					err = g.Load(b, "signal")
				}
				if err != nil {
					log.Warn("gateway: the rules stay", "err", err)
				}
			}
		}
	})
	log.Info("gateway: serving", "name", c.Name, "listen", l.Addr().String(), "admin", admin, "rules", c.Rules)
	<-ctx.Done()
	log.Info("gateway: closing")
	end, done := context.WithTimeout(context.Background(), closing)
	defer done()
	if err := server.Shutdown(end); err != nil {
		return errors.Join(err, server.Close())
	}
	if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) && !errors.Is(cause, http.ErrServerClosed) {
		return cause
	}
	return nil
}
