package ratelimit_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/internal/testkit"
	"github.com/ashlar-go/ashlar/ratelimit"
)

var okHandler = http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })

func keyed(t testing.TB, o ratelimit.KeyedOptions) *ratelimit.Keyed[string] {
	k, err := ratelimit.NewKeyed[string](o)
	require.NoError(t, err)
	return k
}

func shared(t testing.TB) *ratelimit.Shared {
	s, err := ratelimit.NewShared(memory(t, ratelimit.MemoryOptions{}), ratelimit.SharedOptions{})
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

func get(h http.Handler, edit func(*http.Request)) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, "/x", nil)
	if edit != nil {
		edit(r)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestMiddlewareHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		minute, day := ratelimit.PerMinute(3), ratelimit.Limit{Name: "day", Events: 50, Per: 24 * time.Hour, Burst: 50}
		minute.Name = "minute"
		h := ratelimit.Middleware(shared(t), ratelimit.ByIP(ratelimit.Proxies{}, minute, day), ratelimit.HTTPOptions{Legacy: true})(okHandler)
		for i := range 3 {
			w := get(h, nil)
			require.Equal(t, http.StatusNoContent, w.Code)
			require.Equal(t, []string{`"minute";q=3;w=60, "day";q=50;w=86400`}, w.Header().Values("RateLimit-Policy"))
			require.Equal(t, fmt.Sprintf(`"minute";r=%d;t=%d`, 2-i, 20*(i+1)), w.Header().Get("RateLimit"))
			require.Equal(t, "3", w.Header().Get("X-RateLimit-Limit"))
			require.Equal(t, strconv.Itoa(2-i), w.Header().Get("X-RateLimit-Remaining"))
			require.Equal(t, strconv.FormatInt(time.Now().Add(time.Duration(20*(i+1))*time.Second).Unix(), 10), w.Header().Get("X-RateLimit-Reset"))
			checkFields(t, w.Header())
		}
		time.Sleep(500 * time.Millisecond)
		w := get(h, nil)
		require.Equal(t, http.StatusTooManyRequests, w.Code)
		require.Equal(t, `"minute";r=0;t=20`, w.Header().Get("RateLimit"))
		require.Equal(t, "20", w.Header().Get("Retry-After"), "whole seconds, not too early")
		require.Equal(t, "application/problem+json", w.Header().Get("Content-Type"))
		require.Empty(t, w.Header().Get("Connection"))
		checkFields(t, w.Header())
		var p map[string]any
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &p))
		require.Equal(t, "https://iana.org/assignments/http-problem-types#quota-exceeded", p["type"])
		require.Equal(t, []any{"minute"}, p["violated-policies"])
		require.EqualValues(t, 429, p["status"])
		require.Equal(t, strconv.Itoa(w.Body.Len()), w.Header().Get("Content-Length"))
		time.Sleep(ratelimit.ParseRetryAfter(w.Header(), time.Now()))
		require.Equal(t, http.StatusNoContent, get(h, nil).Code, "who waits as told is admitted")
	})
}

// checkFields reads the two headers by the grammar of RFC 8941, as far as they use it.
func checkFields(t *testing.T, h http.Header) {
	t.Helper()
	for _, name := range []string{"RateLimit", "RateLimit-Policy"} {
		rest := h.Get(name)
		for rest != "" {
			require.Equal(t, byte('"'), rest[0], rest)
			i := 1
			for ; rest[i] != '"'; i++ {
				require.True(t, rest[i] >= ' ' && rest[i] <= '~')
				if rest[i] == '\\' {
					i++
					require.Contains(t, `"\`, rest[i:i+1])
				}
			}
			var params, more string
			params, more, _ = strings.Cut(rest[i+1:], ", ")
			for _, p := range strings.Split(params, ";")[1:] {
				k, v, ok := strings.Cut(p, "=")
				require.True(t, ok)
				require.Contains(t, "qwrt", k)
				require.LessOrEqual(t, len(v), 15)
				n, err := strconv.ParseInt(v, 10, 64)
				require.NoError(t, err)
				require.GreaterOrEqual(t, n, int64(0))
			}
			rest = more
		}
	}
}

func TestMiddlewareNamesAndSizes(t *testing.T) {
	l := ratelimit.Limit{Name: "a\"b\\c\r\nX-Evil: 1ä", Events: 1, Per: time.Nanosecond, Burst: 1 << 59}
	h := ratelimit.Middleware(shared(t), ratelimit.ByIP(ratelimit.Proxies{}, l), ratelimit.HTTPOptions{})(okHandler)
	w := get(h, nil)
	require.Equal(t, `"a\"b\\c??X-Evil: 1??";q=999999999999999;w=576460753`, w.Header().Get("RateLimit-Policy"))
	checkFields(t, w.Header())
	w = get(ratelimit.Middleware(shared(t), ratelimit.ByIP(ratelimit.Proxies{}, l), ratelimit.HTTPOptions{HideHeaders: true})(okHandler), nil)
	require.Empty(t, w.Header().Get("RateLimit"))
}

func TestLocalTaker(t *testing.T) {
	k := keyed(t, ratelimit.KeyedOptions{Limits: []ratelimit.Limit{ratelimit.PerHour(2)}, Tiers: map[string][]ratelimit.Limit{"gold": {ratelimit.PerHour(5)}}})
	require.NoError(t, k.Assign("header:x-key:g", "gold"))
	h := ratelimit.Middleware(ratelimit.Local(k), ratelimit.ByHeader("X-Key"), ratelimit.HTTPOptions{})(okHandler)
	for key, n := range map[string]int{"f": 2, "g": 5} {
		admitted := 0
		for range 10 {
			w := get(h, func(r *http.Request) { r.Header.Set("X-Key", key) })
			if w.Code == http.StatusNoContent {
				admitted++
			}
			require.Contains(t, w.Header().Get("RateLimit-Policy"), fmt.Sprintf("q=%d;", n))
		}
		require.Equal(t, n, admitted)
	}
	require.Equal(t, http.StatusBadRequest, get(h, nil).Code)
	require.Equal(t, http.StatusBadRequest, get(h, func(r *http.Request) { r.Header["X-Key"] = []string{"a", "b"} }).Code)
	require.Equal(t, http.StatusBadRequest, get(h, func(r *http.Request) { r.Header.Set("X-Key", strings.Repeat("a", 300)) }).Code)
	_, err := ratelimit.Local(k).Take(t.Context())
	require.ErrorIs(t, err, ratelimit.ErrOptions)
}

func TestCosts(t *testing.T) {
	s := shared(t)
	h := ratelimit.Middleware(s, ratelimit.ByIP(ratelimit.Proxies{}, ratelimit.PerHour(10)), ratelimit.HTTPOptions{
		Cost: func(r *http.Request) int64 {
			n, _ := strconv.ParseInt(r.Header.Get("Cost"), 10, 64)
			return n
		},
	})(okHandler)
	for _, c := range []struct {
		cost string
		code int
	}{
		{"4", 204},
		{"-5", 503},
		{"0", 204},
		{"7", 429},
		{"6", 204},
		{"1", 429},
		{"11", 429},
		{"9223372036854775807", 429},
	} {
		w := get(h, func(r *http.Request) { r.Header.Set("Cost", c.cost) })
		require.Equal(t, c.code, w.Code, c.cost)
		if c.cost == "11" {
			require.Empty(t, w.Header().Get("Retry-After"), "it never fits")
		}
	}
}

func TestExcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := ratelimit.Limit{Events: 1, Per: time.Second, Burst: 1}
		key := ratelimit.ByIP(ratelimit.Proxies{}, l)
		start := time.Now()
		h := ratelimit.Middleware(shared(t), key, ratelimit.HTTPOptions{Excess: ratelimit.Queue, MaxWait: 3 * time.Second})(okHandler)
		for range 3 {
			require.Equal(t, http.StatusNoContent, get(h, nil).Code)
		}
		require.Equal(t, 2*time.Second, time.Since(start))
		h = ratelimit.Middleware(shared(t), key, ratelimit.HTTPOptions{Excess: ratelimit.Queue, MaxWait: time.Second / 2})(okHandler)
		require.Equal(t, http.StatusNoContent, get(h, nil).Code)
		require.Equal(t, http.StatusTooManyRequests, get(h, nil).Code)
		gone, cancel := context.WithCancel(t.Context())
		cancel()
		require.Equal(t, http.StatusServiceUnavailable, get(h, func(r *http.Request) { *r = *r.WithContext(gone) }).Code)

		degraded := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if ratelimit.IsDegraded(r) {
				w.WriteHeader(http.StatusPartialContent)
			}
		})
		for _, o := range []ratelimit.HTTPOptions{{Excess: ratelimit.Degrade}, {Excess: ratelimit.Degrade, Degraded: degraded}} {
			h = ratelimit.Middleware(shared(t), key, o)(degraded)
			require.Equal(t, http.StatusOK, get(h, nil).Code)
			require.Equal(t, http.StatusPartialContent, get(h, nil).Code)
		}

		// A leaky bucket paces the requests.
		k := keyed(t, ratelimit.KeyedOptions{Limits: []ratelimit.Limit{{Events: 10, Per: time.Second, Burst: 5}}, Algorithm: ratelimit.LeakyBucket})
		h = ratelimit.Middleware(ratelimit.Local(k), ratelimit.ByIP(ratelimit.Proxies{}), ratelimit.HTTPOptions{})(okHandler)
		start = time.Now()
		for range 11 {
			require.Equal(t, http.StatusNoContent, get(h, nil).Code)
		}
		require.Equal(t, time.Second, time.Since(start))
	})
}

func TestHTTPOptions(t *testing.T) {
	key := ratelimit.ByIP(ratelimit.Proxies{}, ratelimit.PerHour(1))
	var log bytes.Buffer
	decisions := 0
	h := ratelimit.Middleware(shared(t), key, ratelimit.HTTPOptions{
		Status: http.StatusServiceUnavailable, Logger: slog.New(slog.NewTextHandler(&log, nil)),
		OnDecision: func(_ *http.Request, d ratelimit.Decision) { decisions++ },
	})(okHandler)
	get(h, nil)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/upload", io.MultiReader(strings.NewReader("a body without a length"))))
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, "close", w.Header().Get("Connection"), "an endless body is not waited for")
	require.Contains(t, w.Body.String(), "temporary-reduced-capacity")
	require.Contains(t, log.String(), "/upload")
	require.Equal(t, 2, decisions)

	denied := func(w http.ResponseWriter, _ *http.Request, d ratelimit.Decision) {
		w.WriteHeader(http.StatusTeapot)
		require.Positive(t, d.RetryAfter)
	}
	h = ratelimit.Middleware(shared(t), key, ratelimit.HTTPOptions{Denied: denied})(okHandler)
	get(h, nil)
	require.Equal(t, http.StatusTeapot, get(h, nil).Code)

	failing := func(*http.Request) ([]ratelimit.Request, error) { return nil, errors.New("boom") }
	require.Equal(t, http.StatusServiceUnavailable, get(ratelimit.Middleware(shared(t), failing, ratelimit.HTTPOptions{})(okHandler), nil).Code)
	open := func(w http.ResponseWriter, r *http.Request, _ error, next http.Handler) { next.ServeHTTP(w, r) }
	require.Equal(t, http.StatusNoContent, get(ratelimit.Middleware(shared(t), failing, ratelimit.HTTPOptions{OnError: open})(okHandler), nil).Code)
	none := func(*http.Request) ([]ratelimit.Request, error) { return nil, nil }
	require.Equal(t, http.StatusNoContent, get(ratelimit.Middleware(shared(t), none, ratelimit.HTTPOptions{})(okHandler), nil).Code)
	require.Panics(t, func() { ratelimit.Middleware(nil, nil, ratelimit.HTTPOptions{}) })
}

func TestClientIP(t *testing.T) {
	trusted := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}
	for _, c := range []struct {
		remote string
		xff    []string
		want   string // "" is an error
	}{
		{"203.0.113.9:1234", nil, "203.0.113.9/32"},
		{"203.0.113.9:1234", []string{"1.2.3.4"}, "203.0.113.9/32"}, // nobody's word
		{"10.0.0.1:99", []string{"1.2.3.4"}, "1.2.3.4/32"},
		{"10.0.0.1:99", []string{"6.6.6.6, 1.2.3.4"}, "1.2.3.4/32"}, // further left anybody writes
		{"10.0.0.1:99", []string{"6.6.6.6", "1.2.3.4, 10.2.3.4"}, "1.2.3.4/32"},
		{"10.0.0.1:99", []string{"garbage, 1.2.3.4"}, "1.2.3.4/32"},
		{"10.0.0.1:99", []string{"1.2.3.4, garbage"}, ""},
		{"10.0.0.1:99", []string{"1.2.3.4,"}, ""},
		{"10.0.0.1:99", []string{"10.1.1.1, 10.2.2.2"}, "10.1.1.1/32"},
		{"10.0.0.1:99", nil, "10.0.0.1/32"},
		{"10.0.0.1:99", []string{"[2001:db8::1]:443"}, "2001:db8::/64"},
		{"10.0.0.1:99", []string{"[2001:db8::1]"}, "2001:db8::/64"},
		{"10.0.0.1:99", []string{"::ffff:1.2.3.4"}, "1.2.3.4/32"},
		{"10.0.0.1:99", []string{"1.2.3.4:80"}, "1.2.3.4/32"},
		{"[::ffff:10.0.0.1]:99", []string{"1.2.3.4"}, "1.2.3.4/32"},
		{"[fd00::1]:99", []string{"2001:db8:0:1::7"}, "2001:db8:0:1::/64"},
		{"[fe80::1%eth0]:99", nil, "fe80::/64"},
		{"10.0.0.1:99", []string{"fe80::1%eth0"}, "fe80::/64"},
		{"", nil, ""},
		{"@", nil, ""},
		{"nonsense:80", nil, ""},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = c.remote
		for _, v := range c.xff {
			r.Header.Add("X-Forwarded-For", v)
		}
		p := ratelimit.Proxies{Trusted: trusted}
		got, err := p.ClientIP(r)
		if c.want == "" {
			require.ErrorIs(t, err, ratelimit.ErrClient, "%v", c)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, c.want, got.String(), "%v", c)
	}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	_, err := (&ratelimit.Proxies{V4Bits: 77}).ClientIP(r)
	require.ErrorIs(t, err, ratelimit.ErrOptions)
	p := &ratelimit.Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}, Header: "CF-Connecting-IP", V4Bits: 24}
	r.Header.Set("CF-Connecting-IP", "8.8.4.4")
	got, err := p.ClientIP(r)
	require.NoError(t, err)
	require.Equal(t, "8.8.4.0/24", got.String())
}

// All addresses of an IPv6 network share one bucket.
func TestIPv6NetworkIsOneClient(t *testing.T) {
	k := keyed(t, ratelimit.KeyedOptions{Limits: []ratelimit.Limit{ratelimit.PerHour(10)}})
	h := ratelimit.Middleware(ratelimit.Local(k), ratelimit.ByIP(ratelimit.Proxies{}), ratelimit.HTTPOptions{HideHeaders: true})(okHandler)
	admitted := 0
	for i := range 1 << 12 {
		if get(h, func(r *http.Request) { r.RemoteAddr = fmt.Sprintf("[2001:db8::%x]:1", i) }).Code == http.StatusNoContent {
			admitted++
		}
	}
	require.Equal(t, 10, admitted)
	require.Equal(t, 1, k.Len())
}

func TestKeyFuncs(t *testing.T) {
	user := ratelimit.ByUser(func(r *http.Request) string { return r.Header.Get("User") }, ratelimit.PerHour(3))
	ip := ratelimit.ByIP(ratelimit.Proxies{}, ratelimit.PerHour(7))
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	_, err := user(r)
	require.ErrorIs(t, err, ratelimit.ErrClient)
	reqs, err := ratelimit.First(user, ip)(r)
	require.NoError(t, err)
	require.Equal(t, []ratelimit.Request{{Key: "ip:192.0.2.1", Limit: ratelimit.PerHour(7), N: 1}}, reqs)
	_, err = ratelimit.First()(r)
	require.ErrorIs(t, err, ratelimit.ErrClient)
	_, err = ratelimit.Join(ip, user)(r)
	require.ErrorIs(t, err, ratelimit.ErrClient)
	r.Header.Set("User", "ada")
	reqs, err = ratelimit.Join(ip, user)(r)
	require.NoError(t, err)
	require.Len(t, reqs, 2)
	require.Equal(t, "user:ada", reqs[1].Key)

	route := ratelimit.ByRoute(ratelimit.PerHour(1))
	reqs, err = route(r)
	require.NoError(t, err)
	require.Empty(t, reqs)
	r.Pattern = "GET /things/{id}"
	reqs, err = route(r)
	require.NoError(t, err)
	require.Equal(t, "route:GET /things/{id}", reqs[0].Key)
}

func TestInFlight(t *testing.T) {
	c, err := ratelimit.NewConcurrency(ratelimit.ConcurrencyOptions{Limit: 1, MaxQueue: 1})
	require.NoError(t, err)
	hold, started := make(chan struct{}), make(chan struct{}, 8)
	h := ratelimit.InFlight(c, func(r *http.Request) int { return len(r.Header.Get("Important")) }, nil)(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		started <- struct{}{}
		<-hold
		if r.URL.Query().Has("panic") {
			panic("boom")
		}
		w.WriteHeader(http.StatusBadGateway)
		require.NoError(t, http.NewResponseController(w).Flush())
	}))
	var wg sync.WaitGroup
	wg.Go(func() { require.Equal(t, http.StatusBadGateway, get(h, nil).Code) })
	<-started
	waiting := make(chan int, 1)
	wg.Go(func() { waiting <- get(h, nil).Code })
	for c.Stats().Waiting == 0 {
		<-time.After(time.Millisecond)
	}
	w := get(h, nil)
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Equal(t, "1", w.Header().Get("Retry-After"))
	require.Contains(t, w.Body.String(), "temporary-reduced-capacity")
	wg.Go(func() { get(h, func(r *http.Request) { r.Header.Set("Important", "yes") }) })
	require.Equal(t, http.StatusServiceUnavailable, <-waiting, "the more important one has its place")
	close(hold)
	wg.Wait()
	require.Panics(t, func() { get(h, func(r *http.Request) { r.URL.RawQuery = "panic" }) })
	st := c.Stats()
	require.Zero(t, st.InFlight)
	require.EqualValues(t, 2, st.Dropped)
}

func TestParseRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for v, want := range map[string]time.Duration{
		"": 0, "0": 0, "7": 7 * time.Second, " 7 ": 7 * time.Second, "-1": 0, "x": 0, "1.5": 0,
		"99999999999999":                time.Duration(int64(ratelimit.Never/time.Second)) * time.Second,
		"Fri, 02 Jan 2026 03:05:05 GMT": time.Minute, "Fri, 02 Jan 2026 03:00:00 GMT": 0, "Fri, 02 Jan 2026 03:05:05 UTC": 0,
	} {
		h := http.Header{}
		h.Set("Retry-After", v)
		require.Equal(t, want, ratelimit.ParseRetryAfter(h, now), "%q", v)
	}
}

func TestMiddlewareAllocations(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates by itself")
	}
	k := keyed(t, ratelimit.KeyedOptions{Limits: []ratelimit.Limit{ratelimit.PerSecond(1000)}})
	h := ratelimit.Middleware(ratelimit.Local(k), ratelimit.ByIP(ratelimit.Proxies{}), ratelimit.HTTPOptions{})(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
	require.LessOrEqual(t, testing.AllocsPerRun(1000, func() { h.ServeHTTP(w, r) }), 4.0)
}

func FuzzClientIP(f *testing.F) {
	f.Add("10.0.0.1:99", "6.6.6.6, 1.2.3.4")
	f.Add("[::1%lo]:1", "a,b,,")
	f.Fuzz(func(t *testing.T, remote, xff string) {
		r := &http.Request{RemoteAddr: remote, Header: http.Header{"X-Forwarded-For": {xff}}}
		none := ratelimit.Proxies{}
		got, err := none.ClientIP(r)
		with := got
		if err == nil {
			p := ratelimit.Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
			if with, err = p.ClientIP(r); err == nil && !p.Trusted[0].Contains(got.Addr()) {
				require.Equal(t, got, with, "the header of a stranger changes nothing")
			}
		}
		_ = ratelimit.ParseRetryAfter(http.Header{"Retry-After": {xff}}, time.Time{})
	})
}
