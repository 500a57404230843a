package gate

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/cache"
)

// Answers to GET that routes with "cache" keep. A gateway asks for them in its own name,
// not in its client's: without a key, a cookie or an address. So an answer cannot be one
// that was meant for somebody, and whoever asks for it meanwhile gets the same: of all
// that ask at once, one request reaches a backend. Limits come first: what is kept costs
// a client as much as what is not.
//
// What may not be kept by what its headers say (Cache-Control, Set-Cookie, Vary; RFC 9111)
// is asked for by each client for himself; that it is so is remembered for a second.
const (
	keepWeight   = 64 << 20         // bytes of all answers
	keepLargest  = 1 << 20          // of one body
	keepRefusal  = time.Second      // how long it is remembered that something is not kept
	keepStale    = 10 * time.Minute // how much older than its time an answer may be if no better one is to be had
	keepOverhead = 512              // bytes that an answer weighs beside its body
)

// wanted names an answer. A plan's answers are not those of the next: rules may have
// changed what they are.
type wanted struct {
	plan                       *plan
	route                      string
	host, uri, scheme, accepts string
}

// kept is an answer. It is immutable.
type kept struct {
	header http.Header
	body   []byte
	at     time.Time
	ttl    time.Duration
}

// failedAnswer is an answer that is none to keep.
type failedAnswer struct{ *tape }

func (failedAnswer) Error() string { return "gate: a backend has failed" }

func (g *Gateway) openKept() (err error) {
	g.kept, err = cache.New(cache.Options[wanted, *kept]{
		MaxWeight: keepWeight,
		Weigh:     func(w wanted, k *kept) int64 { return int64(len(w.uri) + len(k.body) + keepOverhead) },
		TTLFunc:   func(_ wanted, k *kept) time.Duration { return k.ttl },
		Load:      g.askFor, LoadTimeout: defaultTimeout, NotFoundTTL: keepRefusal, StaleOnError: keepStale,
	})
	return err
}

// keeping answers from what is kept where that is possible, and by next where it is not.
func (g *Gateway) keeping(r *route, p *plan, next http.Handler) http.Handler {
	if r.Cache <= 0 {
		return next
	}
	return http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if !keepable(q) {
			next.ServeHTTP(w, q)
			return
		}
		begun := time.Now()
		k, err := g.kept.Fetch(q.Context(), wanted{p, r.Name, q.Host, q.URL.RequestURI(), scheme(q), q.Header.Get("Accept-Encoding")})
		var failed failedAnswer
		switch {
		case err == nil:
			if k.at.Before(begun) {
				callOf(q).cached = true
				g.total.Cached.Add(1)
				r.counts.Cached.Add(1)
			}
			k.write(w, begun)
		case errors.As(err, &failed):
			failed.write(w)
		case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
			proxyError(w, err)
		default: // it may not be kept
			next.ServeHTTP(w, q)
		}
	})
}

// keepable says that a request asks for what all that ask for it may have.
func keepable(q *http.Request) bool {
	if q.Method != http.MethodGet || q.ContentLength != 0 {
		return false
	}
	for _, name := range []string{"Range", "If-Match", "If-None-Match", "If-Modified-Since", "If-Unmodified-Since", "If-Range", "Upgrade", "Cookie"} {
		if q.Header[name] != nil {
			return false
		}
	}
	return true
}

func scheme(q *http.Request) string {
	if q.TLS != nil {
		return "https"
	}
	return "http"
}

// askFor makes a request in the gateway's own name.
func (g *Gateway) askFor(ctx context.Context, w wanted) (*kept, error) {
	var r *route
	for _, one := range w.plan.routes {
		if one.Name == w.route {
			r = one
		}
	}
	if r == nil { // a plan does not change: cannot be
		return nil, cache.ErrNotFound
	}
	ctx, cancel := context.WithTimeout(ctx, r.Timeout.Or(defaultTimeout))
	defer cancel()
	ctx = context.WithValue(ctx, callKey{}, &call{id: rand.Text()[:16], trace: continues(nil)})
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, w.scheme+"://"+w.host+w.uri, nil)
	if err != nil {
		return nil, cache.ErrNotFound
	}
	q.Host = w.host
	if w.accepts != "" {
		q.Header.Set("Accept-Encoding", w.accepts)
	}
	t := &tape{header: http.Header{}}
	if !whole(r.upstream, t, q) {
		return nil, cache.ErrNotFound
	}
	if failed := t.status >= http.StatusInternalServerError; failed {
		return nil, failedAnswer{t}
	}
	ttl := t.fresh(r.Cache.Or(0))
	if ttl <= 0 || t.tooLong || t.status != http.StatusOK {
		return nil, cache.ErrNotFound
	}
	return &kept{header: t.header, body: t.buf.Bytes(), at: time.Now(), ttl: ttl}, nil
}

// whole lets a handler answer, and says whether it has come to the answer's end.
func whole(h http.Handler, t *tape, q *http.Request) (ok bool) {
	defer func() {
		if e := recover(); e != nil && e != http.ErrAbortHandler {
			panic(e)
		}
	}()
	// In a server a ReverseProxy panics when an answer breaks off; elsewhere it keeps that
	// to itself.
	h.ServeHTTP(t, q.WithContext(context.WithValue(q.Context(), http.ServerContextKey, &http.Server{})))
	return true
}

func (k *kept) write(w http.ResponseWriter, now time.Time) {
	h := w.Header()
	for name, values := range k.header {
		for _, v := range values {
			h.Add(name, v)
		}
	}
	h.Set("Age", strconv.Itoa(int(max(now.Sub(k.at), 0)/time.Second)))
	h.Set("Content-Length", strconv.Itoa(len(k.body)))
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(k.body)
}

// tape is an http.ResponseWriter that keeps what is written, up to a length.
type tape struct {
	header  http.Header
	status  int
	buf     bytes.Buffer
	tooLong bool
}

var errTooLong = errors.New("gate: too long to keep")

// Header implements http.ResponseWriter.
func (t *tape) Header() http.Header { return t.header }

// WriteHeader implements http.ResponseWriter.
func (t *tape) WriteHeader(status int) {
	if t.status == 0 && status >= http.StatusOK {
		t.status = status
	}
}

// Write implements http.ResponseWriter.
func (t *tape) Write(b []byte) (int, error) {
	t.WriteHeader(http.StatusOK)
	if t.buf.Len()+len(b) > keepLargest {
		t.tooLong = true
		return 0, errTooLong
	}
	return t.buf.Write(b)
}

func (t *tape) write(w http.ResponseWriter) {
	h := w.Header()
	for name, values := range t.header {
		h[name] = append(h[name], values...)
	}
	w.WriteHeader(t.status)
	_, _ = w.Write(t.buf.Bytes())
}

// fresh is how long an answer may be served, at most: what its headers allow. A body that
// is shorter than its header says has broken off.
func (t *tape) fresh(most time.Duration) time.Duration {
	if t.header["Set-Cookie"] != nil {
		return 0
	}
	if n := t.header.Get("Content-Length"); n != "" && n != strconv.Itoa(t.buf.Len()) {
		return 0
	}
	for _, name := range strings.Split(strings.Join(t.header["Vary"], ","), ",") {
		if name = strings.TrimSpace(name); name != "" && !strings.EqualFold(name, "Accept-Encoding") {
			return 0
		}
	}
	age, shared := most, time.Duration(-1)
	for _, directive := range strings.Split(strings.Join(t.header["Cache-Control"], ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache", "private":
			return 0
		case "max-age", "s-maxage":
			seconds, err := strconv.ParseInt(strings.Trim(value, `"`), 10, 32)
			if err != nil || seconds < 0 {
				return 0
			}
			if age = time.Duration(seconds) * time.Second; name == "s-maxage" {
				shared = age
			}
		}
	}
	if shared >= 0 { // it is said to caches such as this one, and the other is not
		age = shared
	}
	return min(most, age)
}
