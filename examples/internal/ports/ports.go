// Package ports is where clients meet a node: its HTTP and its Redis port.
package ports

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"github.com/ashlar-go/ashlar/examples/internal/resp"
)

// Listeners are ports that nobody serves yet.
type Listeners struct {
	HTTP  net.Listener // nil: the node does not speak HTTP
	Redis net.Listener // nil: the node does not speak Redis
}

// Listen opens ports at addresses, host:port. One that is empty is not opened.
func Listen(web, redis string) (l Listeners, err error) {
	if web != "" {
		if l.HTTP, err = net.Listen("tcp", web); err != nil {
			return l, err
		}
	}
	if redis != "" {
		if l.Redis, err = net.Listen("tcp", redis); err != nil {
			return l, errors.Join(err, l.Close())
		}
	}
	return l, nil
}

// Close closes ports that are not served after all.
func (l Listeners) Close() error {
	var errs []error
	for _, l := range []net.Listener{l.HTTP, l.Redis} {
		if l != nil {
			errs = append(errs, l.Close())
		}
	}
	return errors.Join(errs...)
}

// Status asks the node at an HTTP port for its /status, which is JSON of at most 1 MiB.
func Status(ctx context.Context, c *http.Client, addr string, status any) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/status", nil)
	if err != nil {
		return err
	}
	res, err := c.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	return json.NewDecoder(io.LimitReader(res.Body, 1<<20)).Decode(status)
}

// Options of a node's ports.
type Options struct {
	Listeners
	HTTPServer  *http.Server // for HTTP; its ErrorLog is set
	RedisServer *resp.Server // for Redis

	Name   string       // of the system, for the log
	Logger *slog.Logger // nil: silent
}

// Ports serve until Close.
type Ports struct {
	o    Options
	wg   sync.WaitGroup
	once sync.Once
	err  error
}

// Open begins to serve. Listeners and servers are the ports' from then on.
func Open(o Options) *Ports {
	p := &Ports{o: o}
	log := o.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	if o.Redis != nil {
		p.wg.Go(func() {
			if err := o.RedisServer.Serve(o.Redis); !errors.Is(err, resp.ErrClosed) {
				log.Error(o.Name+": redis", "err", err)
			}
		})
	}
	if o.HTTP != nil {
		o.HTTPServer.ErrorLog = slog.NewLogLogger(log.Handler(), slog.LevelWarn)
		p.wg.Go(func() {
			if err := o.HTTPServer.Serve(o.HTTP); !errors.Is(err, http.ErrServerClosed) {
				log.Error(o.Name+": http", "err", err)
			}
		})
	}
	return p
}

// Close ends all connections; requests under way are cut off after ctx ends.
func (p *Ports) Close(ctx context.Context) error {
	p.once.Do(func() {
		var errs []error
		if p.o.HTTP != nil {
			if err := p.o.HTTPServer.Shutdown(ctx); err != nil {
				errs = append(errs, p.o.HTTPServer.Close())
			}
		}
		if p.o.Redis != nil {
			errs = append(errs, p.o.RedisServer.Close())
		}
		p.wg.Wait()
		p.err = errors.Join(errs...)
	})
	return p.err
}
