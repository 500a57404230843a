// Package ports is where clients meet a node: its HTTP and its Redis port.
package ports

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"sync"

	"github.com/ashlar-go/ashlar/examples/internal/resp"
)

// Options of a node's ports. Of each, the listener and the server go together; without them
// that protocol is not spoken.
type Options struct {
	HTTP       net.Listener
	HTTPServer *http.Server // its ErrorLog is set

	Redis       net.Listener
	RedisServer *resp.Server

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
