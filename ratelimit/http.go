package ratelimit

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Excess says what becomes of requests beyond the limit.
type Excess uint8

const (
	// Reject answers 429 (HTTPOptions.Status).
	Reject Excess = iota
	// Queue holds the request until it is admitted, at most HTTPOptions.MaxWait, and
	// rejects it then.
	Queue
	// Degrade serves it by HTTPOptions.Degraded, or by the handler itself, which finds out
	// by IsDegraded: a smaller answer, one from a cache.
	Degrade
)

// HTTPOptions are the options of Middleware.
type HTTPOptions struct {
	// Cost is what a request costs; nil means 1. It multiplies the N of the key's requests.
	// 0 lets it pass for nothing; a negative cost is refused.
	Cost func(*http.Request) int64
	// Excess says what becomes of requests beyond the limit.
	Excess Excess
	// MaxWait bounds the wait of Queue. 0 means 1 s. A LeakyBucket's Delay is waited for in
	// any case: its limit bounds it.
	MaxWait time.Duration
	// Degraded serves requests beyond the limit if Excess is Degrade.
	Degraded http.Handler
	// Status of a rejection: 429 if 0; 503 says that it is not the client's fault.
	Status int
	// Legacy adds X-RateLimit-Limit, -Remaining and -Reset (Unix seconds).
	Legacy bool
	// HideHeaders sends neither RateLimit nor RateLimit-Policy.
	HideHeaders bool
	// Denied writes the answer of a rejection; its headers are set already. Nil writes a
	// problem (RFC 9457).
	Denied func(http.ResponseWriter, *http.Request, Decision)
	// OnError answers requests whose key or decision failed. Nil answers 400 to ErrClient
	// and 503 to all else: nothing is admitted by an error. Call next to admit.
	OnError func(w http.ResponseWriter, r *http.Request, err error, next http.Handler)
	// OnDecision is told of each decision, before the answer.
	OnDecision func(*http.Request, Decision)
	Logger     *slog.Logger     // nil is silent; else rejections at level Info
	Now        func() time.Time // for X-RateLimit-Reset; nil means time.Now
}

// Middleware limits the requests to a handler.
//
// Headers are those of draft-ietf-httpapi-ratelimit-headers-11, on every answer:
//
//	RateLimit-Policy: "minute";q=100;w=60, "day";q=5000;w=86400
//	RateLimit: "minute";r=3;t=12
//
// RateLimit-Policy lists all limits, RateLimit the one that decided: r events are left, and
// in t seconds all of its quota is there again or, on a rejection, enough for the same
// request. A rejection has Retry-After, in whole seconds, never
// before t, and a body application/problem+json with the violated policies. It asks to
// close a connection on which a body of unknown or large size is still to come.
//
// A request costs about a microsecond and some small allocations more. Bodies are not read.
// Middleware panics if t or key is nil.
func Middleware(t Taker, key KeyFunc, o HTTPOptions) func(http.Handler) http.Handler {
	if t == nil || key == nil {
		panic("ratelimit: Middleware needs a Taker and a KeyFunc")
	}
	if o.MaxWait == 0 {
		o.MaxWait = time.Second
	}
	if o.Status == 0 {
		o.Status = http.StatusTooManyRequests
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.OnError == nil {
		o.OnError = refuseErrors
	}
	return func(next http.Handler) http.Handler {
		return &limited{t: t, key: key, o: o, next: next}
	}
}

type limited struct {
	t    Taker
	key  KeyFunc
	o    HTTPOptions
	next http.Handler
}

func (h *limited) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	reqs, err := h.key(r)
	if err != nil {
		h.o.OnError(w, r, err, h.next)
		return
	}
	if len(reqs) > 0 && h.o.Cost != nil {
		reqs, err = weigh(reqs, h.o.Cost(r))
		if err != nil {
			h.o.OnError(w, r, err, h.next)
			return
		}
	}
	if len(reqs) == 0 {
		h.next.ServeHTTP(w, r)
		return
	}
	d, err := h.take(r.Context(), reqs)
	if err != nil {
		h.o.OnError(w, r, err, h.next)
		return
	}
	if h.o.OnDecision != nil {
		h.o.OnDecision(r, d)
	}
	h.announce(w.Header(), reqs, d)
	switch {
	case d.OK:
		h.next.ServeHTTP(w, r)
	case h.o.Excess == Degrade:
		r = r.WithContext(context.WithValue(r.Context(), degradedKey{}, true))
		if h.o.Degraded != nil {
			h.o.Degraded.ServeHTTP(w, r)
		} else {
			h.next.ServeHTTP(w, r)
		}
	default:
		h.reject(w, r, d)
	}
}

// weigh multiplies requests by a cost; none are left for one of 0.
func weigh(reqs []Request, cost int64) ([]Request, error) {
	switch {
	case cost < 0:
		return nil, fmt.Errorf("%w: %d", ErrCost, cost)
	case cost == 0:
		return nil, nil
	}
	for i := range reqs {
		if n := reqs[i].N; n > 0 && cost > int64(Never)/n {
			reqs[i].N = int64(Never) // more than any limit holds
		} else {
			reqs[i].N *= cost
		}
	}
	return reqs, nil
}

// take decides, and waits if that is what becomes of the excess, or what was admitted has
// to wait for its turn.
func (h *limited) take(ctx context.Context, reqs []Request) (Decision, error) {
	for waited := time.Duration(0); ; {
		d, err := h.t.Take(ctx, reqs...)
		if err != nil {
			return d, err
		}
		pause := d.Delay
		if !d.OK {
			if pause = d.RetryAfter; h.o.Excess != Queue || pause > h.o.MaxWait-waited {
				return d, nil
			}
		}
		if err := sleep(ctx, pause); err != nil || d.OK {
			return d, err
		}
		waited += pause
	}
}

type degradedKey struct{}

// IsDegraded says that the request is beyond the limit and served for all that.
func IsDegraded(r *http.Request) bool { return r.Context().Value(degradedKey{}) != nil }

// announcer is a Taker whose limits are not those of the requests.
type announcer interface {
	limits(key string) ([]Limit, Algorithm)
}

// announce sets the headers.
func (h *limited) announce(to http.Header, reqs []Request, d Decision) {
	if h.o.Legacy {
		to.Set("X-RateLimit-Limit", strconv.FormatInt(d.Quota, 10))
		to.Set("X-RateLimit-Remaining", strconv.FormatInt(max(d.Remaining, 0), 10))
		to.Set("X-RateLimit-Reset", strconv.FormatInt(h.o.Now().Add(min(d.ResetAfter, 1<<61)).Unix(), 10))
	}
	if h.o.HideHeaders {
		return
	}
	b := make([]byte, 0, 128)
	if a, ok := h.t.(announcer); ok {
		for i := range reqs {
			limits, alg := a.limits(reqs[i].Key)
			for j := range limits {
				b = appendPolicy(b, &limits[j], alg)
			}
		}
	} else {
		for i := range reqs {
			b = appendPolicy(b, &reqs[i].Limit, reqs[i].Algorithm)
		}
	}
	cut := len(b)
	b = appendName(b, d.Limit)
	b = append(b, ";r="...)
	b = strconv.AppendInt(b, sfInt(max(d.Remaining, 0)), 10)
	b = append(b, ";t="...)
	b = strconv.AppendInt(b, sfInt(seconds(effective(d))), 10)
	// One string and one slice for both.
	s := string(b)
	v := []string{s[:cut], s[cut:]}
	to["Ratelimit-Policy"], to["Ratelimit"] = v[:1:1], v[1:2:2]
}

// effective is when there is more of the limit than now.
func effective(d Decision) time.Duration {
	if !d.OK && d.RetryAfter != Never {
		return d.RetryAfter
	}
	return d.ResetAfter
}

func appendPolicy(b []byte, l *Limit, alg Algorithm) []byte {
	if len(b) > 0 {
		b = append(b, ", "...)
	}
	q, w := l.Burst, l.Per
	if alg.windowed() {
		q = l.Events
	} else if l.Burst != l.Events {
		// The window in which the whole burst comes back.
		if x, err := l.pace(); err == nil {
			w = x.duration(x.tol)
		}
	}
	b = appendName(b, l.Name)
	b = append(b, ";q="...)
	b = strconv.AppendInt(b, sfInt(q), 10)
	b = append(b, ";w="...)
	return strconv.AppendInt(b, sfInt(seconds(w)), 10)
}

// appendName writes a structured field's string (RFC 8941), which is printable ASCII.
func appendName(b []byte, name string) []byte {
	if name == "" {
		name = "default"
	}
	b = append(b, '"')
	for i := range len(name) {
		switch c := name[i]; {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c < ' ' || c > '~':
			b = append(b, '?')
		default:
			b = append(b, c)
		}
	}
	return append(b, '"')
}

// sfInt is what fits an integer of structured fields: fifteen digits.
func sfInt(n int64) int64 { return min(n, 999_999_999_999_999) }

// seconds is d in whole seconds, rounded up.
func seconds(d time.Duration) int64 {
	s := int64(d / time.Second)
	if d%time.Second > 0 {
		s++
	}
	return s
}

// maxUnread is how much of a body the server may be left to read after a rejection.
const maxUnread = 64 << 10

func (h *limited) reject(w http.ResponseWriter, r *http.Request, d Decision) {
	if d.RetryAfter != Never {
		w.Header().Set("Retry-After", strconv.FormatInt(max(seconds(d.RetryAfter), 1), 10))
	}
	if r.ContentLength < 0 || r.ContentLength > maxUnread {
		w.Header().Set("Connection", "close")
	}
	if h.o.Logger != nil {
		h.o.Logger.LogAttrs(r.Context(), slog.LevelInfo, "rate limit", slog.String("limit", d.Limit),
			slog.String("method", r.Method), slog.String("path", r.URL.Path), slog.Duration("retry_after", d.RetryAfter))
	}
	if h.o.Denied != nil {
		h.o.Denied(w, r, d)
		return
	}
	p := problem{
		Type: "https://iana.org/assignments/http-problem-types#quota-exceeded", Title: "Request cannot be satisfied as assigned quota has been exceeded",
		Status: h.o.Status, Violated: []string{policyName(d.Limit)},
	}
	if h.o.Status == http.StatusServiceUnavailable {
		p.Type = "https://iana.org/assignments/http-problem-types#temporary-reduced-capacity"
		p.Title = "Request cannot be satisfied due to temporary server capacity constraints"
	}
	if d.RetryAfter == Never {
		p.Detail = fmt.Sprintf("This request costs more than the quota of %d ever allows.", d.Quota)
	} else {
		p.Retry = max(seconds(d.RetryAfter), 1)
		p.Detail = fmt.Sprintf("Try again in %d seconds.", p.Retry)
	}
	p.write(w)
}

func policyName(s string) string {
	if s == "" {
		return "default"
	}
	return s
}

// problem is a body by RFC 9457.
type problem struct {
	Type     string   `json:"type"`
	Title    string   `json:"title"`
	Status   int      `json:"status"`
	Detail   string   `json:"detail,omitempty"`
	Violated []string `json:"violated-policies,omitempty"`
	Retry    int64    `json:"retry-after,omitempty"`
}

func (p *problem) write(w http.ResponseWriter) {
	body, err := json.Marshal(p)
	if err != nil { // strings and numbers: cannot be
		body = []byte("{}")
	}
	h := w.Header()
	h.Set("Content-Type", "application/problem+json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(p.Status)
	_, _ = w.Write(body)
}

func refuseErrors(w http.ResponseWriter, _ *http.Request, err error, _ http.Handler) {
	p := problem{Type: "about:blank", Title: http.StatusText(http.StatusServiceUnavailable), Status: http.StatusServiceUnavailable}
	if errors.Is(err, ErrClient) {
		p.Title, p.Status, p.Detail = http.StatusText(http.StatusBadRequest), http.StatusBadRequest, "The client could not be identified."
	}
	p.write(w)
}

// InFlight bounds the requests that a handler works on by c. Who finds no room, not even in
// c's queue, gets 503 as by a Middleware of that status, to come again after a second.
// priority may be nil. Answers with a status of 5xx count as Dropped when dropped is nil;
// else it decides by status.
func InFlight(c *Concurrency, priority func(*http.Request) int, dropped func(status int) bool) func(http.Handler) http.Handler {
	if dropped == nil {
		dropped = func(status int) bool { return status >= http.StatusInternalServerError }
	}
	return func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			level := 0
			if priority != nil {
				level = priority(r)
			}
			p, err := c.AcquirePriority(r.Context(), level)
			if err != nil {
				h := limited{o: HTTPOptions{Status: http.StatusServiceUnavailable}}
				h.reject(w, r, Decision{Limit: "concurrent-requests", Quota: int64(c.Limit()), RetryAfter: time.Second})
				return
			}
			outcome := Ignore // of a handler that panics
			defer func() { p.Done(outcome) }()
			s := &statusWriter{ResponseWriter: w}
			next.ServeHTTP(s, r)
			if outcome = OK; dropped(s.status) {
				outcome = Dropped
			}
		})
	}
}

// statusWriter remembers the status of an answer.
type statusWriter struct {
	http.ResponseWriter
	status int
}

func (w *statusWriter) WriteHeader(status int) {
	if w.status == 0 && status >= http.StatusOK {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap is for http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// ParseRetryAfter reads the Retry-After of an answer, in seconds or as a date: how long a
// well-behaved client waits. 0 if there is none, or
// nothing that can be read.
func ParseRetryAfter(h http.Header, now time.Time) time.Duration {
	var d time.Duration
	if v := strings.TrimSpace(h.Get("Retry-After")); v != "" {
		if s, err := strconv.ParseInt(v, 10, 64); err == nil {
			d = time.Duration(min(max(s, 0), int64(Never/time.Second))) * time.Second
		} else if at, err := http.ParseTime(v); err == nil {
			d = max(at.Sub(now), 0)
		}
	}
	return d
}
