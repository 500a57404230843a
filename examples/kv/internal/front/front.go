// Package front is where clients meet a node: its HTTP and its Redis port.
package front

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/examples/internal/resp"
	"github.com/ashlar-go/ashlar/examples/kv/internal/httpapi"
	"github.com/ashlar-go/ashlar/examples/kv/internal/node"
	"github.com/ashlar-go/ashlar/examples/kv/internal/redisapi"
)

// Options of a front.
type Options struct {
	Node   *node.Node   // required
	HTTP   net.Listener // nil: does not speak HTTP
	Redis  net.Listener // nil: does not speak Redis
	Page   http.Handler // all other paths of HTTP, for a dashboard; nil: none
	Logger *slog.Logger // nil: silent
}

// Front serves until Close.
type Front struct {
	http  *http.Server
	redis *resp.Server
	wg    sync.WaitGroup
	once  sync.Once
	err   error
}

// Bounds of an HTTP connection. A value of 16 MiB has a minute to arrive.
const (
	headerTime = 10 * time.Second
	bodyTime   = time.Minute
	idleTime   = 2 * time.Minute
)

// Open begins to serve. The listeners are the front's from then on.
func Open(o Options) (*Front, error) {
	f := &Front{}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Redis != nil {
		h := redisapi.New(redisapi.Options{Store: o.Node, Info: func() string { return info(o.Node.Look()) }, Logger: o.Logger})
		server, err := resp.NewServer(resp.Options{Handler: h.Handle, Closed: h.Close, Logger: o.Logger})
		if err != nil {
			return nil, err
		}
		f.redis = server
		f.wg.Go(func() {
			if err := server.Serve(o.Redis); !errors.Is(err, resp.ErrClosed) {
				o.Logger.Error("kv: redis", "err", err)
			}
		})
	}
	if o.HTTP != nil {
		api := httpapi.New(httpapi.Options{Store: o.Node, Logger: o.Logger})
		handler := http.Handler(api)
		if o.Page != nil {
			handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if p := r.URL.EscapedPath(); strings.HasPrefix(p, "/kv/") || p == "/scan" || p == "/status" {
					api.ServeHTTP(w, r)
					return
				}
				o.Page.ServeHTTP(w, r)
			})
		}
		f.http = &http.Server{
			Handler: handler, ReadHeaderTimeout: headerTime, ReadTimeout: bodyTime, IdleTimeout: idleTime,
			MaxHeaderBytes: 256 << 10, // a key may be 64 KiB, three bytes for one in a path
			ErrorLog:       slog.NewLogLogger(o.Logger.Handler(), slog.LevelWarn),
		}
		f.wg.Go(func() {
			if err := f.http.Serve(o.HTTP); !errors.Is(err, http.ErrServerClosed) {
				o.Logger.Error("kv: http", "err", err)
			}
		})
	}
	return f, nil
}

// Close ends all connections; requests under way are cut off after ctx ends.
func (f *Front) Close(ctx context.Context) error {
	f.once.Do(func() {
		var errs []error
		if f.http != nil {
			if err := f.http.Shutdown(ctx); err != nil {
				errs = append(errs, f.http.Close())
			}
		}
		if f.redis != nil {
			errs = append(errs, f.redis.Close())
		}
		f.wg.Wait()
		f.err = errors.Join(errs...)
	})
	return f.err
}

// info is what Redis' INFO says.
func info(s node.Status) string {
	var b strings.Builder
	line := func(format string, a ...any) { fmt.Fprintf(&b, format+"\r\n", a...) }
	line("# Server")
	line("redis_mode:standalone")
	line("process_id:%s", s.ID)
	line("uptime_in_seconds:%d", int64(time.Since(s.Since).Seconds()))
	line("")
	line("# Stats")
	line("total_commands_processed:%d", s.Stats.Reads+s.Stats.Writes)
	line("instantaneous_ops_per_sec:%d", int64(s.Rate))
	line("total_error_replies:%d", s.Stats.Failed)
	line("")
	line("# Cluster")
	line("cluster_name:%s", s.Cluster)
	line("cluster_epoch:%d", s.Epoch)
	line("ready:%v", s.Ready)
	line("peers_up:%d", s.Stats.UpPeers)
	line("peers:%d", s.Stats.AllPeers)
	line("hints_waiting:%d", s.Stats.Hints)
	line("tombstones:%d", s.Stats.Tombstones)
	line("")
	line("# Keyspace")
	line("db0:keys=%d,expires=0,avg_ttl=0", s.Stats.Keys)
	return b.String()
}
