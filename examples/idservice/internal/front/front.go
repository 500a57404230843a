// Package front is where clients meet a node: its HTTP and its Redis port.
package front

import (
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/examples/idservice/internal/api"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/httpapi"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/node"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/redisapi"
	"github.com/ashlar-go/ashlar/examples/internal/ports"
	"github.com/ashlar-go/ashlar/examples/internal/resp"
)

// Options of a front.
type Options struct {
	ports.Listeners

	Service api.Service        // required
	Look    func() node.Status // for INFO; required if Redis is set
	Page    http.Handler       // all other paths of HTTP, for a dashboard; nil: none
	Logger  *slog.Logger       // nil: silent
}

// Bounds of a connection. A request has no body to speak of, an answer at most 220 KB.
const (
	headerTime = 10 * time.Second
	writeTime  = 30 * time.Second
	idleTime   = 2 * time.Minute
	headerSize = 16 << 10
)

// Open begins to serve. The listeners are the ports' from then on.
func Open(o Options) (*ports.Ports, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	h := redisapi.New(redisapi.Options{Service: o.Service, Info: func() string { return info(o.Look()) }, Logger: o.Logger})
	redis, err := resp.NewServer(resp.Options{Handler: h.Handle, Limits: redisapi.Limits, Logger: o.Logger})
	if err != nil {
		return nil, err
	}
	web := &http.Server{
		Handler: Handler(o), ReadHeaderTimeout: headerTime, ReadTimeout: writeTime, WriteTimeout: writeTime,
		IdleTimeout: idleTime, MaxHeaderBytes: headerSize,
	}
	return ports.Open(ports.Options{Listeners: o.Listeners, HTTPServer: web, RedisServer: redis, Name: "idservice", Logger: o.Logger}), nil
}

// Handler is the protocol on its paths, and the page on all others.
func Handler(o Options) http.Handler {
	h := httpapi.New(httpapi.Options{Service: o.Service, Logger: o.Logger})
	if o.Page == nil {
		return h
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if httpapi.Serves(r.URL.Path) {
			h.ServeHTTP(w, r)
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
	line("")
	line("# Stats")
	line("total_commands_processed:%d", s.Requests)
	line("total_error_replies:%d", s.Failed)
	line("ids_issued:%d", s.Issued)
	line("ids_per_sec:%d", int64(s.Rate))
	line("latency_usec:p50=%.3f,p99=%.3f,p99.9=%.3f,max=%.3f", 1000*s.P50, 1000*s.P99, 1000*s.P999, 1000*s.Most)
	line("")
	line("# Worker")
	line("state:%s", s.State)
	line("worker_id:%d", s.Worker)
	line("leases:%d", s.Leases)
	line("leases_lost:%d", s.Lost)
	line("clock_drift_ms:%.1f", s.Drift)
	line("clock_skew_ms:%.1f", s.SkewMS)
	line("clock_refused:%d", s.Refused)
	return b.String()
}
