// Package httpapi serves ids over HTTP.
//
//	GET /id                one id
//	GET /id?n=1000         so many, a line each, increasing
//	GET /decode/{id}       when, where and as which of its unit an id was made, as JSON
//	GET /status            the node, as JSON
//
// The query may name an encoding=plain|decimal|base32|base62|hex: of the ids that are
// wanted, or of the one to decode, which is found out if it is not named. With the header
// Accept: application/json, or format=json, ids come as {"ids": ["…", …]}, as strings, for
// JavaScript would round numbers.
//
// 400 says that the request is wrong, and why. 503 says that the node has no worker id or
// that its clock is wrong, and after how many seconds to try again, here or elsewhere.
package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/examples/idservice/internal/api"
	"github.com/ashlar-go/ashlar/snowflake"
)

// Options configures a Handler.
type Options struct {
	Service api.Service  // required
	Logger  *slog.Logger // nil: silent
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
	h := &Handler{o, http.NewServeMux()}
	// One pattern for all methods: whoever asks for headers alone would use up ids.
	h.mux.HandleFunc("/id", get(h.id))
	h.mux.HandleFunc("/decode/{text}", get(h.decode))
	h.mux.HandleFunc("/status", get(h.status))
	h.mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "not found; try /id, /id?n=1000, /decode/{id}, /status", http.StatusNotFound)
	})
	return h
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	h.mux.ServeHTTP(w, r)
}

// Serves tells whether a path is this handler's.
func Serves(path string) bool {
	return path == "/id" || path == "/status" || strings.HasPrefix(path, "/decode/")
}

// get refuses all methods but GET.
func get(f http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet {
			w.Header().Set("Allow", "GET")
			http.Error(w, "method not allowed; allowed: GET", http.StatusMethodNotAllowed)
			return
		}
		w.Header().Set("Cache-Control", "no-store") // an id from a cache would be a duplicate
		f(w, r)
	}
}

var errQuery = errors.New("idservice: bad query")

// query reads the parameters that there are, each at most once.
func query(r *http.Request, names ...string) (map[string]string, error) {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errQuery, err)
	}
	out := map[string]string{}
	for name, values := range q {
		known := false
		for _, n := range names {
			known = known || n == name
		}
		if !known {
			return nil, fmt.Errorf("%w: no parameter %q; there are: %s", errQuery, name, strings.Join(names, ", "))
		}
		if len(values) > 1 {
			return nil, fmt.Errorf("%w: %s is given %d times", errQuery, name, len(values))
		}
		out[name] = values[0]
	}
	return out, nil
}

func (h *Handler) id(w http.ResponseWriter, r *http.Request) {
	q, err := query(r, "n", "encoding", "format")
	if err != nil {
		h.fail(w, err)
		return
	}
	n, asJSON := 1, false
	if s, ok := q["n"]; ok {
		n, err = api.ParseCount(s)
	}
	switch q["format"] {
	case "", "text":
		asJSON = q["format"] == "" && strings.Contains(r.Header.Get("Accept"), "application/json")
	case "json":
		asJSON = true
	default:
		err = errors.Join(err, fmt.Errorf("%w: format=%q: text or json", errQuery, q["format"]))
	}
	format, ferr := api.ParseFormat(q["encoding"])
	if err := errors.Join(err, ferr); err != nil {
		h.fail(w, err)
		return
	}
	ids := make([]snowflake.ID, n)
	if err := h.o.Service.Fill(ids); err != nil {
		h.fail(w, err)
		return
	}
	buf := make([]byte, 0, n*23+12)
	if asJSON {
		w.Header().Set("Content-Type", "application/json")
		buf = append(buf, `{"ids":[`...)
		for i, id := range ids {
			if i > 0 {
				buf = append(buf, ',')
			}
			buf = append(buf, '"')
			buf = append(format.Append(buf, id), '"')
		}
		buf = append(buf, "]}\n"...)
	} else {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		for _, id := range ids {
			buf = append(format.Append(buf, id), '\n')
		}
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(buf)))
	w.Write(buf)
}

func (h *Handler) decode(w http.ResponseWriter, r *http.Request) {
	q, err := query(r, "encoding")
	if err != nil {
		h.fail(w, err)
		return
	}
	d, err := api.Decode(h.o.Service.Layout(), r.PathValue("text"), q["encoding"])
	if err != nil {
		h.fail(w, err)
		return
	}
	h.writeJSON(w, d)
}

func (h *Handler) status(w http.ResponseWriter, _ *http.Request) {
	h.writeJSON(w, h.o.Service.Status())
}

func (h *Handler) writeJSON(w http.ResponseWriter, v any) {
	b, err := json.Marshal(v)
	if err != nil {
		h.fail(w, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Write(append(b, '\n'))
}

// mistakes are errors that the client can do something about.
var mistakes = []error{errQuery, api.ErrCount, api.ErrEncoding, api.ErrAmbiguous, snowflake.ErrSyntax, snowflake.ErrRange}

// passing are errors after which the same request may succeed.
var passing = []error{api.ErrNoLease, snowflake.ErrClock, snowflake.ErrMark, snowflake.ErrLeaseLost, snowflake.ErrExhausted}

func (h *Handler) fail(w http.ResponseWriter, err error) {
	w.Header().Set("Cache-Control", "no-store")
	switch {
	case matches(err, mistakes):
		http.Error(w, err.Error(), http.StatusBadRequest)
	case matches(err, passing):
		if !errors.Is(err, snowflake.ErrExhausted) {
			w.Header().Set("Retry-After", strconv.Itoa(retryAfter(err)))
		}
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
	default:
		h.o.Logger.Error("idservice: http", "err", err)
		http.Error(w, err.Error(), http.StatusInternalServerError)
	}
}

// retryAfter is in how many seconds an error may have passed: the clock needs as long as it
// is behind, an hour at most, for it may be set right; all else is tried again at once.
func retryAfter(err error) int {
	if c, ok := errors.AsType[*snowflake.ClockError](err); ok && !c.Stalled {
		wait := min(c.Back-c.Max, time.Hour)
		return max(1, int(math.Ceil(wait.Seconds())))
	}
	return 1
}

func matches(err error, targets []error) bool {
	for _, t := range targets {
		if errors.Is(err, t) {
			return true
		}
	}
	return false
}
