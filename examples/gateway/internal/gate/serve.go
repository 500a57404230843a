package gate

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/examples/gateway/internal/rules"
	"github.com/ashlar-go/ashlar/examples/gateway/internal/upstream"
	"github.com/ashlar-go/ashlar/ratelimit"
)

// statusClientGone is nginx's status for a client that left before its answer.
const statusClientGone = 499

// dialer bounds how long a backend may take to accept a connection.
func dialer(ctx context.Context, network, addr string) (net.Conn, error) {
	return (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 15 * time.Second}).DialContext(ctx, network, addr)
}

// call is what is known of a request.
type call struct {
	id      string
	trace   trace
	client  string // the address, as limits count it
	who     *identity
	bad     bool // it brought a key that is none
	refused bool
	cached  bool
	blocked string // the rule by which it looks like an attack
	body    []byte // of the call of a procedure that it is made
}

// welcome says that a request may have what a route leads to.
func (c *call) welcome(r *route) bool {
	if c.bad || c.blocked != "" {
		return false
	}
	return r.Public || c.who != nil && c.who.may(r.Scopes)
}

type callKey struct{}

func callOf(r *http.Request) *call {
	c, _ := r.Context().Value(callKey{}).(*call)
	return c
}

// ServeHTTP implements http.Handler.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	begun := time.Now()
	g.underWay.Add(1)
	defer g.underWay.Add(-1)
	c := &call{id: rand.Text()[:16], trace: continues(r.Header)}
	out := &answer{ResponseWriter: w}
	var found *route
	defer func() {
		took := time.Since(begun)
		status := out.status
		if status == 0 {
			status = statusClientGone // nobody was there to be told
		}
		g.total.add(status, out.bytes, took)
		name := ""
		if found != nil {
			found.counts.add(status, out.bytes, took)
			name = found.Name
		}
		g.access(r, c, name, status, out.bytes, took)
	}()
	out.Header().Set("X-Request-Id", c.id)
	p := g.plan.Load()
	if hasDots(r.URL.Path) || r.URL.Path == "" || r.URL.Path[0] != '/' {
		// What a backend would take for another path must not be judged by this one.
		refuse(out, http.StatusBadRequest, "The path has segments that are . or .., or is none.")
		return
	}
	if p.cors(out, r) {
		return
	}
	found, allowed := p.find(r)
	switch {
	case found == nil && allowed != nil:
		slices.Sort(allowed)
		out.Header().Set("Allow", strings.Join(slices.Compact(allowed), ", "))
		refuse(out, http.StatusMethodNotAllowed, "This path has other methods.")
		return
	case found == nil:
		refuse(out, http.StatusNotFound, "No route leads there.")
		return
	}
	prefix, err := p.proxies.ClientIP(r)
	if err != nil {
		refuse(out, http.StatusBadRequest, "The client could not be identified: its address was not forwarded properly.")
		return
	}
	c.client = prefix.String()
	c.who, c.bad = p.people.identify(r)
	c.blocked = p.blocked(r)
	ctx, cancel := context.WithTimeout(context.WithValue(upstream.WithClientIP(r.Context(), c.client), callKey{}, c), found.Timeout.Or(defaultTimeout))
	defer cancel()
	if r.ContentLength != 0 {
		// A body that never ends must not outlive the request.
		deadline, _ := ctx.Deadline()
		_ = http.NewResponseController(w).SetReadDeadline(deadline)
	}
	found.handler.ServeHTTP(out, r.WithContext(ctx))
}

// hasDots says that a path, decoded, has a segment that is . or ..
func hasDots(path string) bool {
	for len(path) > 0 {
		segment, rest, _ := strings.Cut(path, "/")
		if segment == "." || segment == ".." {
			return true
		}
		path = rest
	}
	return false
}

// chain puts together what a request of a route goes through.
func (g *Gateway) chain(r *route, p *plan, to *pool) http.Handler {
	proxy := &httputil.ReverseProxy{
		Rewrite:        func(pr *httputil.ProxyRequest) { rewrite(pr, r, p) },
		Transport:      to.Pool,
		ModifyResponse: func(res *http.Response) error { return r.decorate(res, p.rules) },
		ErrorHandler:   func(w http.ResponseWriter, _ *http.Request, err error) { proxyError(w, err) },
		BufferPool:     &g.buffers,
		ErrorLog:       slog.NewLogLogger(slog.DiscardHandler, slog.LevelError),
	}
	next := calling(r, proxy)
	if to.bound != nil {
		next = ratelimit.InFlight(to.bound, priority, nil)(next)
	}
	r.upstream = next
	return g.guard(r, p, g.keeping(r, p, next))
}

// guard lets those to next who may pass.
func (g *Gateway) guard(r *route, p *plan, next http.Handler) http.Handler {
	most := r.MaxBody
	if most == 0 {
		most = defaultBody
	}
	admitted := http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		c := callOf(q)
		switch {
		case c.blocked != "":
			refuse(w, http.StatusForbidden, "The request looks like an attack.")
			return
		case c.bad:
			w.Header().Set("WWW-Authenticate", `Bearer realm="gateway", error="invalid_token"`)
			refuse(w, http.StatusUnauthorized, "A known key is needed, once, as X-API-Key or as Authorization: Bearer; or a token that is in force.")
			return
		case c.who == nil && !r.Public:
			w.Header().Set("WWW-Authenticate", `Bearer realm="gateway"`)
			refuse(w, http.StatusUnauthorized, "A known key is needed, once, as X-API-Key or as Authorization: Bearer; or a token that is in force.")
			return
		case !c.welcome(r):
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="gateway", error="insufficient_scope", scope="%s"`, strings.Join(r.Scopes, " ")))
			refuse(w, http.StatusForbidden, "The key or token has not all scopes that are needed here.")
			return
		case q.ContentLength > most:
			w.Header().Set("Connection", "close")
			refuse(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("A body may have %d bytes here.", most))
			return
		}
		if q.Body != nil && q.Body != http.NoBody {
			q.Body = http.MaxBytesReader(w, q.Body, most)
		}
		next.ServeHTTP(w, q)
	})
	cost := r.RequestCost()
	return ratelimit.Middleware(g.counter, func(q *http.Request) ([]ratelimit.Request, error) { return p.counted(r, callOf(q)), nil },
		ratelimit.HTTPOptions{
			Cost:       func(*http.Request) int64 { return cost },
			OnDecision: func(q *http.Request, d ratelimit.Decision) { g.decided(r, callOf(q), d) },
		})(admitted)
}

// buffers are what answers are copied through, kept for the next answer.
type buffers struct{ pool sync.Pool }

// Get implements httputil.BufferPool.
func (b *buffers) Get() []byte {
	if p, ok := b.pool.Get().(*[]byte); ok {
		return *p
	}
	return make([]byte, 32<<10)
}

// Put implements httputil.BufferPool.
func (b *buffers) Put(p []byte) { b.pool.Put(&p) }

// counted is what a request is counted for.
func (p *plan) counted(r *route, c *call) []ratelimit.Request {
	n := len(p.ip) + len(r.requests)
	if c.who != nil {
		n += len(c.who.requests)
	}
	out := make([]ratelimit.Request, 0, n)
	for _, q := range p.ip {
		q.Key = "ip:" + c.client
		out = append(out, q)
	}
	if c.who != nil {
		out = append(out, c.who.requests...)
	}
	if c.welcome(r) {
		// Who is not let in must not use up what all clients share.
		out = append(out, r.requests...)
	}
	return out
}

func (g *Gateway) decided(r *route, c *call, d ratelimit.Decision) {
	if !d.OK {
		c.refused = true
		g.total.Refused.Add(1)
		r.counts.Refused.Add(1)
	}
	if d.Degraded {
		g.total.Degraded.Add(1)
		r.counts.Degraded.Add(1)
	}
	name, tier := c.client, ""
	if c.who != nil {
		name, tier = "key "+c.who.id, c.who.tier
	}
	g.clients.saw(name, tier, d.OK, d.Limit, d.Remaining)
}

// priority lets those who have a key go first when there is a queue.
func priority(r *http.Request) int {
	if callOf(r).who != nil {
		return 1
	}
	return 0
}

// rewrite makes the request that backends see.
func rewrite(pr *httputil.ProxyRequest, r *route, p *plan) {
	out, c := pr.Out, callOf(pr.In)
	out.URL.Scheme, out.URL.Host = "http", r.Pool // the pool puts in a backend's
	if i := strings.LastIndexByte(r.Path, '/'); r.Strip && i > 0 {
		rest, ok := strings.CutPrefix(out.URL.EscapedPath(), r.Path[:i])
		if out.URL.Path = out.URL.Path[i:]; ok {
			out.URL.RawPath = rest
		} else {
			out.URL.RawPath = ""
		}
	}
	if peer, err := (&ratelimit.Proxies{}).ClientIP(pr.In); err == nil {
		for _, t := range p.proxies.Trusted {
			if t.Contains(peer.Addr()) {
				out.Header["X-Forwarded-For"] = pr.In.Header["X-Forwarded-For"]
				break
			}
		}
	}
	pr.SetXForwarded()
	// Who it is for says the gateway, and nobody else. The key itself stays here.
	for _, name := range []string{"X-Api-Key", "Authorization", "X-User", "X-Tier", "X-Real-Ip", "True-Client-Ip"} {
		out.Header.Del(name)
	}
	if c.who != nil {
		out.Header.Set("X-User", c.who.user)
		out.Header.Set("X-Tier", c.who.tier)
	}
	out.Header.Set("X-Request-Id", c.id)
	c.trace.send(out.Header)
	for name, value := range r.Send {
		out.Header.Set(name, value)
	}
	if r.RPC != nil {
		out.Method, out.Body, out.ContentLength = http.MethodPost, io.NopCloser(bytes.NewReader(c.body)), int64(len(c.body))
		out.TransferEncoding = nil
		out.URL.Path, out.URL.RawPath, out.URL.RawQuery = r.RPC.Path, "", ""
		out.Header.Set("Content-Type", "application/json")
		for _, name := range []string{"Connection", "Upgrade", "Expect", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since"} {
			out.Header.Del(name)
		}
	}
	if r.RPC != nil || r.Shape != nil { // of which the gateway reads the answer, and all of it
		out.Header.Del("Accept-Encoding")
		out.Header.Del("Range")
	}
}

// decorate changes an answer on its way to the client.
func (r *route) decorate(res *http.Response, all *rules.Rules) error {
	ownCORS(all, res.Header)
	if r.RPC != nil {
		if err := answerOf(r.RPC, callOf(res.Request).id, res); err != nil {
			return err
		}
	}
	if err := shape(r.Shape, res); err != nil {
		return err
	}
	for _, name := range []string{"Ratelimit", "Ratelimit-Policy", "X-Request-Id"} {
		res.Header.Del(name) // these are the gateway's own
	}
	for name, value := range r.Set {
		res.Header.Set(name, value)
	}
	return nil
}

// proxyError answers a request that no backend has answered.
func proxyError(w http.ResponseWriter, err error) {
	var tooLarge *http.MaxBytesError
	var body *upstream.BodyError
	var late interface{ Timeout() bool }
	switch {
	case errors.Is(err, errReply):
		refuse(w, http.StatusBadGateway, "What would answer says what cannot be understood.")
	case errors.As(err, &tooLarge):
		refuse(w, http.StatusRequestEntityTooLarge, fmt.Sprintf("A body may have %d bytes here.", tooLarge.Limit))
	case errors.As(err, &body) && errors.Is(err, os.ErrDeadlineExceeded):
		w.Header().Set("Connection", "close")
		refuse(w, http.StatusRequestTimeout, "The body did not arrive in time.")
	case errors.As(err, &body):
		w.Header().Set("Connection", "close")
		refuse(w, http.StatusBadRequest, "The body could not be read.")
	case errors.Is(err, context.Canceled):
		w.WriteHeader(statusClientGone)
	case errors.Is(err, upstream.ErrRest), errors.Is(err, upstream.ErrNoBackend):
		w.Header().Set("Retry-After", "1")
		refuse(w, http.StatusServiceUnavailable, "What would answer is given a rest.")
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &late) && late.Timeout():
		refuse(w, http.StatusGatewayTimeout, "What would answer takes too long.")
	default:
		refuse(w, http.StatusBadGateway, "What would answer does not.")
	}
}

// refuse writes a problem (RFC 9457).
func refuse(w http.ResponseWriter, status int, detail string) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	_, _ = w.Write(problem(status, detail))
}

func problem(status int, detail string) []byte {
	b, err := json.Marshal(map[string]any{"type": "about:blank", "title": http.StatusText(status), "status": status, "detail": detail})
	if err != nil { // a map of strings and a number: cannot be
		return []byte("{}")
	}
	return b
}

// readError is why a body cannot be had, in terms that proxyError knows.
func readError(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return err
	}
	return &upstream.BodyError{Err: err}
}

func (g *Gateway) access(r *http.Request, c *call, route string, status int, bytes int64, took time.Duration) {
	if g.o.Access == nil {
		return
	}
	key := ""
	if c.who != nil {
		key = c.who.id
	}
	g.o.Access.LogAttrs(r.Context(), slog.LevelInfo, "request",
		slog.String("gateway", g.o.Name), slog.String("id", c.id), slog.String("client", c.client), slog.String("key", key),
		slog.String("method", r.Method), slog.String("host", r.Host), slog.String("uri", r.URL.RequestURI()), slog.String("route", route),
		slog.Int("status", status), slog.Int64("bytes", bytes), slog.Duration("took", took),
		slog.Bool("limited", c.refused), slog.Bool("cached", c.cached), slog.String("blocked", c.blocked),
		slog.String("trace", c.trace.id), slog.String("span", c.trace.span), slog.String("parent", c.trace.parent))
}

// answer remembers the status and the length of an answer.
type answer struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 && (status >= http.StatusOK || status == http.StatusSwitchingProtocols) {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	n, err := a.ResponseWriter.Write(b)
	a.bytes += int64(n)
	return n, err
}

// Hijack is for connections that change their protocol.
func (a *answer) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(a.ResponseWriter).Hijack()
}

// Unwrap is for http.ResponseController.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }
