// Package httpapi serves the router over HTTP.
//
//	GET    /api/v1/suggestions        ?prefix= &limit= &fuzzy= &user=
//	POST   /api/v1/suggestions/batch  {"queries": [{"prefix", "limit", "fuzzy"}, …], "user"}
//	GET    /api/v1/trending           ?prefix= &limit=
//	POST   /api/v1/searches           {"query", "user", "picked"}: 204 when it is on disk
//	DELETE /api/v1/history            ?user=
//	GET    /healthz                   200 if every range has a node, 503 if not
//
// and, where it is for those who run the service,
//
//	GET    /status                    all figures, as JSON
//	GET    /metrics                   the same for Prometheus
//	       /                          the page, whose buttons rebuild and kill
//
// limit is 10 unless given, and 100 at most. fuzzy is how many typing errors are allowed,
// 0, 1 or 2; unless given, one is where nothing is found without. Errors are
// {"error": "…"} with a status of 400 to 431 if they are the client's.
package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/router"
)

// Bounds of requests.
const (
	MaxBatch   = 32 // queries
	maxBody    = 64 << 10
	MaxHeaders = 16 << 10 // for the server that the handler is put into
	limit      = 10
)

// Options configures a Handler.
type Options struct {
	Router *router.Router               // required
	Admin  http.Handler                 // the page: all other paths; nil: this is not for those who run the service
	Client func(r *http.Request) string // who asks, for the rate limit; nil: the address
	Logger *slog.Logger                 // nil: silent
}

// Handler is an http.Handler.
type Handler struct {
	o   Options
	mux *http.ServeMux
}

// New makes a handler.
func New(o Options) *Handler {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Client == nil {
		o.Client = address
	}
	h := &Handler{o, http.NewServeMux()}
	h.mux.HandleFunc("GET /api/v1/suggestions", h.suggest)
	h.mux.HandleFunc("POST /api/v1/suggestions/batch", h.batch)
	h.mux.HandleFunc("GET /api/v1/trending", h.trending)
	h.mux.HandleFunc("POST /api/v1/searches", h.search)
	h.mux.HandleFunc("DELETE /api/v1/history", h.forget)
	h.mux.HandleFunc("GET /healthz", h.health)
	h.mux.HandleFunc("GET /api/", func(w http.ResponseWriter, _ *http.Request) {
		write(w, http.StatusNotFound, problem{"there is no such path; try /api/v1/suggestions?prefix=re"})
	})
	if o.Admin != nil {
		h.mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) { write(w, http.StatusOK, o.Router.Status()) })
		h.mux.HandleFunc("GET /metrics", h.metrics)
		h.mux.Handle("GET /", o.Admin)
		h.mux.Handle("POST /action/", o.Admin)
	}
	return h
}

// ServeHTTP serves the API and the page.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// What people search for is nobody's page: a browser must not guess that it is one.
	w.Header().Set("X-Content-Type-Options", "nosniff")
	h.mux.ServeHTTP(w, r)
}

// address is the client's, without the port.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// problem is the body of an error.
type problem struct {
	Error string `json:"error"`
}

// errRequest is a request that HTTP's own rules refuse.
var errRequest = errors.New("autocomplete: bad request")

var statuses = []struct {
	err  error
	code int
}{
	{errRequest, http.StatusBadRequest},
	{router.ErrRequest, http.StatusBadRequest},
	{router.ErrLimited, http.StatusTooManyRequests},
	{router.ErrEmpty, http.StatusServiceUnavailable},
}

// fail answers with an error.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	code := http.StatusServiceUnavailable
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			code = s.code
			break
		}
	}
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		code = http.StatusRequestEntityTooLarge
	}
	wait := time.Second
	if l, ok := errors.AsType[*router.LimitError](err); ok {
		wait = l.Wait
	}
	if code == http.StatusTooManyRequests || code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	}
	if code >= http.StatusInternalServerError && r.Context().Err() == nil {
		h.o.Logger.Warn("autocomplete: request failed", "method", r.Method, "path", r.URL.Path, "err", err)
	}
	write(w, code, problem{err.Error()})
}

func write(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v) // who does not hear it has gone
}

// query reads the parameters; one that comes twice, or that nobody knows, is a mistake
// that the client should hear of.
func query(r *http.Request, known ...string) (url.Values, error) {
	v, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errRequest, err)
	}
next:
	for name, values := range v {
		for _, k := range known {
			if name == k && len(values) == 1 {
				continue next
			}
		}
		return nil, fmt.Errorf("%w: parameter %.40q is given %d times; there are %s", errRequest, name, len(values), strings.Join(known, ", "))
	}
	return v, nil
}

// number reads a whole number, or what stands for none.
func number(v url.Values, name string, none int) (int, error) {
	if !v.Has(name) {
		return none, nil
	}
	n, err := strconv.Atoi(v.Get(name))
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%w: %s=%.40q is not a number that can be meant", errRequest, name, v.Get(name))
	}
	return n, nil
}

func (h *Handler) suggest(w http.ResponseWriter, r *http.Request) {
	v, err := query(r, "prefix", "limit", "fuzzy", "user")
	q := router.Request{Prefix: v.Get("prefix"), User: v.Get("user")}
	if err == nil {
		q.Limit, err = number(v, "limit", limit)
	}
	if err == nil {
		q.Edits, err = number(v, "fuzzy", router.EditsIfNone)
	}
	if err == nil {
		err = h.o.Router.Take(h.o.Client(r), 1)
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	res, err := h.o.Router.Suggest(r.Context(), q)
	if err != nil {
		h.fail(w, r, err)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	write(w, http.StatusOK, res)
}

// body decodes the JSON of a request. It must be sent as JSON: a form of another site's
// page cannot do that.
func body(w http.ResponseWriter, r *http.Request, v any) error {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
		return fmt.Errorf("%w: the body must be application/json", errRequest)
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return fmt.Errorf("%w: body: %w", errRequest, err)
	}
	if d.More() {
		return fmt.Errorf("%w: something follows the body", errRequest)
	}
	return nil
}

func (h *Handler) batch(w http.ResponseWriter, r *http.Request) {
	var in struct {
		User    string `json:"user"`
		Queries []struct {
			Prefix string `json:"prefix"`
			Limit  *int   `json:"limit"`
			Fuzzy  *int   `json:"fuzzy"`
		} `json:"queries"`
	}
	err := body(w, r, &in)
	if n := len(in.Queries); err == nil && (n == 0 || n > MaxBatch) {
		err = fmt.Errorf("%w: %d queries, from 1 to %d", errRequest, n, MaxBatch)
	}
	if err == nil {
		err = h.o.Router.Take(h.o.Client(r), len(in.Queries))
	}
	var out struct {
		Results []router.Response `json:"results"`
	}
	for i, q := range in.Queries {
		if err != nil {
			break
		}
		ask := router.Request{Prefix: q.Prefix, Limit: limit, Edits: router.EditsIfNone, User: in.User}
		if q.Limit != nil {
			ask.Limit = *q.Limit
		}
		if q.Fuzzy != nil {
			if ask.Edits = *q.Fuzzy; ask.Edits < 0 {
				err = fmt.Errorf("%w: query %d: fuzzy %d", errRequest, i, ask.Edits)
				break
			}
		}
		var res router.Response
		res, err = h.o.Router.Suggest(r.Context(), ask)
		out.Results = append(out.Results, res)
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	write(w, http.StatusOK, out)
}

func (h *Handler) trending(w http.ResponseWriter, r *http.Request) {
	v, err := query(r, "prefix", "limit")
	n := 0
	if err == nil {
		n, err = number(v, "limit", limit)
	}
	if err == nil {
		err = h.o.Router.Take(h.o.Client(r), 1)
	}
	var res router.Response
	if err == nil {
		res, err = h.o.Router.Trending(r.Context(), v.Get("prefix"), n)
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	write(w, http.StatusOK, res)
}

func (h *Handler) search(w http.ResponseWriter, r *http.Request) {
	var in struct {
		Query  string `json:"query"`
		User   string `json:"user"`
		Picked bool   `json:"picked"`
	}
	err := body(w, r, &in)
	if err == nil {
		err = h.o.Router.Take(h.o.Client(r), 1)
	}
	if err == nil {
		err = h.o.Router.Search(r.Context(), in.Query, in.User, in.Picked)
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (h *Handler) forget(w http.ResponseWriter, r *http.Request) {
	v, err := query(r, "user")
	if err == nil {
		err = h.o.Router.Forget(v.Get("user"))
	}
	if err != nil {
		h.fail(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (h *Handler) health(w http.ResponseWriter, _ *http.Request) {
	if !h.o.Router.Ready() {
		write(w, http.StatusServiceUnavailable, problem{"some terms have no node that is up"})
		return
	}
	write(w, http.StatusOK, map[string]bool{"ready": true})
}

// metrics writes the figures in the text format of Prometheus.
func (h *Handler) metrics(w http.ResponseWriter, _ *http.Request) {
	s := h.o.Router.Status()
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	one := func(kind, name, help string, value float64) {
		fmt.Fprintf(w, "# HELP autocomplete_%s %s\n# TYPE autocomplete_%s %s\nautocomplete_%s %g\n", name, help, name, kind, name, value)
	}
	for _, c := range []struct {
		name, help string
		n          uint64
	}{
		{"requests_total", "Suggestions asked for.", s.Requests},
		{"errors_total", "Of these, refused or failed.", s.Errors},
		{"degraded_total", "Of these, answered without all the nodes.", s.Degraded},
		{"cache_hits_total", "Of these, answered from the cache.", s.Hits},
		{"cache_misses_total", "Of these, not answered from the cache.", s.Misses},
		{"limited_total", "Requests refused by the rate limit.", s.Limited},
		{"searches_total", "Searches logged.", s.Searches},
		{"picked_total", "Of these, those that picked a suggestion.", s.Picked},
		{"rebuilds_total", "Generations that took over.", s.Rebuilds},
		{"rebuilds_refused_total", "Generations that failed to.", s.Refused},
	} {
		one("counter", c.name, c.help, float64(c.n))
	}
	one("gauge", "generation", "The generation that serves.", float64(s.Generation))
	one("gauge", "generation_timestamp_seconds", "When it was made.", float64(s.Built.Unix()))
	one("gauge", "terms", "Terms in it.", float64(s.Terms))
	one("gauge", "freshness_seconds", "From a search to the slowest node's knowledge of it.", s.Lag/1000)
	fmt.Fprintf(w, "# HELP autocomplete_latency_seconds Of the last ten seconds.\n# TYPE autocomplete_latency_seconds gauge\n")
	for _, q := range []struct {
		q  string
		ms float64
	}{{"0.5", s.P50}, {"0.95", s.P95}, {"0.99", s.P99}} {
		fmt.Fprintf(w, "autocomplete_latency_seconds{quantile=%q} %g\n", q.q, q.ms/1000)
	}
	fmt.Fprintf(w, "# HELP autocomplete_node_up Whether a node answers and has what it should.\n# TYPE autocomplete_node_up gauge\n")
	for _, n := range s.Nodes {
		up := 0
		if n.Up {
			up = 1
		}
		fmt.Fprintf(w, "autocomplete_node_up{node=%q} %d\n", n.ID, up)
	}
}
