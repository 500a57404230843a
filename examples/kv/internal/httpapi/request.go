package httpapi

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
)

// errRequest is a request that HTTP's own rules refuse.
var errRequest = errors.New("kv: bad request")

func count(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("%w: %q", api.ErrQuorum, s)
	}
	return n, nil
}

func readOptions(r *http.Request) (o api.ReadOptions, err error) {
	q := r.URL.Query()
	if o.Level, err = api.ParseLevel(q.Get("consistency")); err != nil {
		return o, err
	}
	o.R, err = count(q.Get("r"))
	return o, err
}

func writeOptions(r *http.Request) (o api.WriteOptions, err error) {
	q := r.URL.Query()
	if o.Level, err = api.ParseLevel(q.Get("consistency")); err != nil {
		return o, err
	}
	if o.W, err = count(q.Get("w")); err != nil {
		return o, err
	}
	if o.TTL, err = ttl(q.Get("ttl")); err != nil {
		return o, err
	}
	o.Sloppy = q.Get("sloppy") == "true"
	switch given := r.Header.Get(HeaderContext); {
	case given != "":
		o.Mode = api.Given
		if o.Context, err = base64.RawURLEncoding.DecodeString(given); err != nil {
			return o, fmt.Errorf("%w: %w", api.ErrContext, err)
		}
	case q.Get("context") == "none":
		o.Mode = api.Blind
	case q.Has("context"):
		return o, fmt.Errorf("%w: context=%q; only none is possible here, others go into %s", api.ErrContext, q.Get("context"), HeaderContext)
	}
	absent, present := r.Header.Get("If-None-Match"), r.Header.Get("If-Match")
	switch {
	case absent == "*" && present == "":
		o.If = api.IfAbsent
	case present == "*" && absent == "":
		o.If = api.IfPresent
	case absent != "" || present != "":
		return o, fmt.Errorf("%w: only If-None-Match: * or If-Match: *, not both", errRequest)
	}
	return o, nil
}

// ttl reads a Go duration or a number of seconds.
func ttl(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		d, err = time.ParseDuration(s + "s")
	}
	if err != nil || d <= 0 {
		return 0, fmt.Errorf("%w: %q", api.ErrTTL, s)
	}
	return d, nil
}

// statuses gives each error of the store its status; the first that matches counts.
var statuses = []struct {
	err  error
	code int
}{
	{errRequest, http.StatusBadRequest},
	{api.ErrEmptyKey, http.StatusBadRequest},
	{api.ErrKeyTooLarge, http.StatusRequestEntityTooLarge},
	{api.ErrValueTooLarge, http.StatusRequestEntityTooLarge},
	{api.ErrLevel, http.StatusBadRequest},
	{api.ErrQuorum, http.StatusBadRequest},
	{api.ErrTTL, http.StatusBadRequest},
	{api.ErrContext, http.StatusBadRequest},
	{api.ErrToken, http.StatusBadRequest},
	{api.ErrCondition, http.StatusPreconditionFailed},
	{api.ErrSiblings, http.StatusConflict},
	{api.ErrUnavailable, http.StatusServiceUnavailable},
	{api.ErrUnknown, http.StatusGatewayTimeout},
	{context.DeadlineExceeded, http.StatusGatewayTimeout},
	{api.ErrNoSpace, http.StatusInsufficientStorage},
	{api.ErrDamaged, http.StatusInternalServerError},
	{api.ErrClosed, http.StatusServiceUnavailable},
	{context.Canceled, 499}, // the client has gone; nobody reads this
}

// fail answers with an error. What is the client's fault is not logged; the rest is, once.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	code := http.StatusInternalServerError
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			code = s.code
			break
		}
	}
	if code >= http.StatusInternalServerError {
		h.log.Warn("kv: request failed", "method", r.Method, "path", r.URL.Path, "status", code, "err", err)
	}
	if code == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "1")
	}
	http.Error(w, err.Error(), code)
}
