// Package front is where clients meet a node: its HTTP and its Redis port.
package front

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/examples/internal/ports"
	"github.com/ashlar-go/ashlar/examples/internal/resp"
	"github.com/ashlar-go/ashlar/examples/kv/internal/httpapi"
	"github.com/ashlar-go/ashlar/examples/kv/internal/node"
	"github.com/ashlar-go/ashlar/examples/kv/internal/redisapi"
)

// Options of a front.
type Options struct {
	ports.Listeners

	Node   *node.Node   // required
	Page   http.Handler // all other paths of HTTP, for a dashboard; nil: none
	Logger *slog.Logger // nil: silent
}

// Bounds of an HTTP connection. A value of 16 MiB has a minute to arrive.
const (
	headerTime = 10 * time.Second
	bodyTime   = time.Minute
	idleTime   = 2 * time.Minute
)

// Open begins to serve. The listeners are the ports' from then on.
func Open(o Options) (*ports.Ports, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	h := redisapi.New(redisapi.Options{Store: o.Node, Info: func() string { return info(o.Node.Look()) }, Logger: o.Logger})
	redis, err := resp.NewServer(resp.Options{Handler: h.Handle, Closed: h.Close, Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	web := &http.Server{
		Handler: handler(o), ReadHeaderTimeout: headerTime, ReadTimeout: bodyTime, IdleTimeout: idleTime,
		MaxHeaderBytes: 256 << 10, // a key may be 64 KiB, three bytes for one in a path
	}
	return ports.Open(ports.Options{Listeners: o.Listeners, HTTPServer: web, RedisServer: redis, Name: "kv", Logger: o.Logger}), nil
}

// handler is the protocol on its paths, and the page on all others.
func handler(o Options) http.Handler {
	api := httpapi.New(httpapi.Options{Store: o.Node, Logger: o.Logger})
	if o.Page == nil {
		return api
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if p := r.URL.EscapedPath(); strings.HasPrefix(p, "/kv/") || p == "/scan" || p == "/status" {
			api.ServeHTTP(w, r)
			return
		}
		o.Page.ServeHTTP(w, r)
	})
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
