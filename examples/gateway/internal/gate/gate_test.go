package gate

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/gateway/internal/rules"
	"github.com/ashlar-go/ashlar/examples/gateway/internal/site"
)

// rig is a gateway before one backend.
type rig struct {
	*Gateway
	t       *testing.T
	url     string
	client  *http.Transport
	backend *site.Server
	log     *bytes.Buffer
	events  func() []Event
}

func digest(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// file is the rules of most tests; BACKEND stands for the address.
func file() string {
	return `{
	"trusted": ["127.0.0.1/32"],
	"ip": [{"name": "address", "events": 50, "per": "1h"}],
	"user": [{"name": "user", "events": 40, "per": "1h"}],
	"tiers": {"free": [{"name": "free", "events": 5, "per": "1h"}], "gold": [{"name": "gold", "events": 30, "per": "1h"}]},
	"keys": [
		{"id": "k1", "sha256": "` + digest("secret1") + `", "user": "ada", "tier": "free"},
		{"id": "k2", "sha256": "` + digest("secret2") + `", "user": "bob", "tier": "gold"}],
	"routes": [
		{"name": "files", "path": "/files/", "pool": "p", "strip": true, "public": true, "methods": ["GET", "HEAD"]},
		{"name": "search", "path": "/search", "pool": "p", "cost": 4},
		{"name": "free", "path": "/free/", "pool": "p", "strip": true, "public": true, "cost": 0},
		{"name": "echo", "path": "/echo", "pool": "p", "public": true, "maxBody": 1000, "timeout": "300ms", "set": {"X-Frame-Options": "DENY"}},
		{"name": "canary", "path": "/echo", "pool": "p", "public": true, "headers": {"X-Canary": "yes"}, "set": {"X-Route": "canary"}},
		{"name": "host", "host": "api.example.org", "path": "/", "pool": "p", "public": true, "set": {"X-Route": "host"}},
		{"name": "below", "host": "*.example.org", "path": "/", "pool": "p", "public": true, "set": {"X-Route": "below"}}],
	"pools": [{"name": "p", "backends": [{"id": "b1", "url": "http://BACKEND"}]}]}`
}

func newRig(t *testing.T, edit func(string) string, o Options) *rig {
	backend, err := site.New("b1", fstest.MapFS{"a.txt": {Data: []byte("hello")}, "d/b.txt": {Data: []byte("there")}}, []string{"a.txt", "d/b.txt"})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, backend.Close()) })
	x := &rig{t: t, backend: backend, log: &bytes.Buffer{}, client: &http.Transport{MaxIdleConnsPerHost: 100}}
	t.Cleanup(x.client.CloseIdleConnections)
	text := strings.ReplaceAll(edit(file()), "BACKEND", backend.Addr)
	if o.Rules, err = rules.Parse([]byte(text)); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var events []Event
	o.Name = "g1"
	o.Event = func(e Event) { mu.Lock(); events = append(events, e); mu.Unlock() }
	x.events = func() []Event { mu.Lock(); defer mu.Unlock(); return append([]Event(nil), events...) }
	if o.Access == nil {
		o.Access = slog.New(slog.NewJSONHandler(x.log, nil))
	}
	x.Gateway, err = New(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, x.Close()) })
	srv := httptest.NewUnstartedServer(x.Gateway)
	srv.Config.DisableGeneralOptionsHandler = true
	srv.Start()
	t.Cleanup(srv.Close)
	x.url = srv.URL
	return x
}

func as(s string) string { return s }

// do makes a request; set are headers and their values. Host and body are told as headers,
// too.
func (x *rig) do(method, path string, set ...string) (*http.Response, string) {
	x.t.Helper()
	var body io.Reader
	for i := 0; i < len(set); i += 2 {
		if set[i] == "body" {
			body = strings.NewReader(set[i+1])
		}
	}
	r, err := http.NewRequest(method, x.url+path, body)
	require.NoError(x.t, err)
	for i := 0; i < len(set); i += 2 {
		switch set[i] {
		case "body":
		case "Host":
			r.Host = set[i+1]
		default:
			r.Header.Add(set[i], set[i+1])
		}
	}
	res, err := x.client.RoundTrip(r)
	require.NoError(x.t, err)
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	require.NoError(x.t, err)
	return res, string(b)
}

func TestRouting(t *testing.T) {
	x := newRig(t, as, Options{})
	for _, c := range []struct {
		method, path string
		set          []string
		status       int
		body         string
		route        string
	}{
		{"GET", "/files/a.txt", nil, 200, "hello", ""},
		{"GET", "/files/d/b.txt", nil, 200, "there", ""},
		{"HEAD", "/files/a.txt", nil, 200, "", ""},
		{"GET", "/files/none", nil, 404, "404 page not found\n", ""},
		{"GET", "/nowhere", nil, 404, "", ""},
		{"POST", "/files/a.txt", nil, 405, "", ""},
		{"POST", "/echo", []string{"body", "abc"}, 200, "abc", ""},
		{"POST", "/echo", []string{"body", "abc", "X-Canary", "yes"}, 200, "abc", "canary"},
		{"GET", "/a.txt", []string{"Host", "api.example.org"}, 200, "hello", "host"},
		{"GET", "/a.txt", []string{"Host", "API.Example.org.:80"}, 200, "hello", "host"},
		{"GET", "/a.txt", []string{"Host", "x.example.org"}, 200, "hello", "below"},
		{"GET", "/a.txt", []string{"Host", "evilexample.org"}, 404, "", ""},
	} {
		res, body := x.do(c.method, c.path, c.set...)
		require.Equal(t, c.status, res.StatusCode, "%s %s %v", c.method, c.path, c.set)
		if c.status == 200 {
			require.Equal(t, c.body, body)
			require.Equal(t, c.route, res.Header.Get("X-Route"))
			require.Equal(t, "b1", res.Header.Get("X-Backend"))
		}
	}
	res, _ := x.do("POST", "/files/a.txt")
	require.Equal(t, "GET, HEAD", res.Header.Get("Allow"))
	res, _ = x.do("GET", "/echo")
	require.Equal(t, "DENY", res.Header.Get("X-Frame-Options"))
	require.Len(t, res.Header.Get("X-Request-Id"), 16)
	require.Equal(t, res.Header.Get("X-Request-Id"), res.Header.Get("Saw-X-Request-Id"))
}

// TestWhoIsTold: what backends hear about a client comes from the gateway alone.
func TestWhoIsTold(t *testing.T) {
	x := newRig(t, as, Options{})
	res, _ := x.do("GET", "/echo", "X-Api-Key", "secret1", "X-User", "root", "X-Tier", "gold", "X-Forwarded-For", "6.6.6.6, 10.1.2.3")
	require.Equal(t, 200, res.StatusCode)
	require.Equal(t, "ada", res.Header.Get("Saw-X-User"))
	require.Equal(t, "free", res.Header.Get("Saw-X-Tier"))
	require.Empty(t, res.Header.Get("Saw-X-Api-Key"))
	require.Equal(t, "6.6.6.6, 10.1.2.3, 127.0.0.1", res.Header.Get("Saw-X-Forwarded-For"))
	res, _ = x.do("GET", "/echo", "X-User", "root")
	require.Empty(t, res.Header.Get("Saw-X-User"))
	res, _ = x.do("GET", "/echo", "Authorization", "Bearer secret2")
	require.Equal(t, "bob", res.Header.Get("Saw-X-User"))
	require.Empty(t, res.Header.Get("Saw-Authorization"))

	// The word of one who is not trusted is not passed on.
	x = newRig(t, func(s string) string { return strings.Replace(s, "127.0.0.1/32", "10.0.0.0/8", 1) }, Options{})
	res, _ = x.do("GET", "/echo", "X-Forwarded-For", "6.6.6.6")
	require.Equal(t, "127.0.0.1", res.Header.Get("Saw-X-Forwarded-For"))
}

func TestLimits(t *testing.T) {
	x := newRig(t, as, Options{})
	admitted := func(n int, method, path string, set ...string) (ok int, last *http.Response) {
		for range n {
			if last, _ = x.do(method, path, set...); last.StatusCode == 200 {
				ok++
			}
		}
		return ok, last
	}
	// Five of the tier; a search costs four of them.
	ok, res := admitted(3, "GET", "/search?q=txt", "X-Api-Key", "secret1", "X-Forwarded-For", "10.0.0.1")
	require.Equal(t, 1, ok)
	require.Equal(t, 429, res.StatusCode)
	require.Equal(t, "application/problem+json", res.Header.Get("Content-Type"))
	require.NotEmpty(t, res.Header.Get("Retry-After"))
	require.Contains(t, res.Header.Get("RateLimit"), `"free";r=1`)
	require.Contains(t, res.Header.Get("RateLimit-Policy"), `"address";q=50`)
	ok, _ = admitted(3, "GET", "/files/a.txt", "X-Api-Key", "secret1", "X-Forwarded-For", "10.0.0.1")
	require.Equal(t, 1, ok, "a refused search has taken nothing")
	// Without a key an address has its fifty, less the five; who lies about proxies in
	// front of him is still the same.
	ok = 0
	for i := range 60 {
		n, _ := admitted(1, "GET", "/files/a.txt", "X-Forwarded-For", fmt.Sprintf("%d.2.3.4, 10.0.0.1", i+1))
		ok += n
	}
	require.Equal(t, 45, ok)
	// What is free is free, and others are not concerned.
	ok, _ = admitted(10, "GET", "/free/a.txt", "X-Forwarded-For", "10.0.0.1")
	require.Equal(t, 10, ok)
	ok, _ = admitted(10, "GET", "/files/a.txt", "X-Forwarded-For", "10.0.0.2")
	require.Equal(t, 10, ok)
	s := x.Look()
	require.EqualValues(t, 2+2+15, s.Total.Refused.Load())
	require.NotEmpty(t, s.Clients)
}

// TestGuessingKeys counts for the address, and takes nothing of what all share.
func TestGuessingKeys(t *testing.T) {
	x := newRig(t, func(s string) string {
		return strings.Replace(s, `"path": "/search",`, `"path": "/search", "limits": [{"name": "all", "events": 8, "per": "1h"}],`, 1)
	}, Options{})
	got := map[int]int{}
	for i := range 60 {
		res, _ := x.do("GET", "/search?q=a", "X-Api-Key", fmt.Sprint("guess", i), "X-Forwarded-For", "10.0.0.1")
		got[res.StatusCode]++
	}
	require.Equal(t, map[int]int{401: 12, 429: 48}, got, "twelve searches cost 48 of 50")
	res, _ := x.do("GET", "/search?q=a", "X-Api-Key", "secret2", "X-Forwarded-For", "10.0.0.2")
	require.Equal(t, 200, res.StatusCode)
	require.NotEmpty(t, x.log.String())
	require.NotContains(t, x.log.String(), "guess")
	require.NotContains(t, x.log.String(), "secret")
}

// TestBackendErrors: what clients are told of backends that fail.
func TestBackendErrors(t *testing.T) {
	x := newRig(t, as, Options{})
	x.backend.Slow(time.Minute)
	res, _ := x.do("GET", "/echo")
	require.Equal(t, 504, res.StatusCode)
	x.backend.Slow(0)
	require.NoError(t, x.backend.Kill())
	res, body := x.do("GET", "/echo")
	require.Equal(t, 502, res.StatusCode)
	require.Contains(t, body, `"status":502`)
	require.NotContains(t, body, x.backend.Addr)
	require.NoError(t, x.Drain("p", "b1", true))
	res, _ = x.do("GET", "/echo")
	require.Equal(t, 503, res.StatusCode)
	require.Equal(t, "1", res.Header.Get("Retry-After"))
	require.NoError(t, x.Drain("p", "b1", false))
	require.Error(t, x.Drain("q", "b1", false))
	require.NoError(t, x.backend.Start())
	require.Eventually(t, func() bool { res, _ := x.do("GET", "/echo"); return res.StatusCode == 200 }, 10*time.Second, 10*time.Millisecond)
}

// TestReload: rules change while requests are under way; bad ones change nothing.
func TestReload(t *testing.T) {
	x := newRig(t, as, Options{})
	text := strings.ReplaceAll(file(), "BACKEND", x.backend.Addr)
	var stop atomic.Bool
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for !stop.Load() {
				if res, _ := x.do("GET", "/free/a.txt"); res.StatusCode != 200 {
					t.Errorf("status %d", res.StatusCode)
					return
				}
			}
		})
	}
	for i := range 20 {
		require.NoError(t, x.Load([]byte(strings.Replace(text, `"name": "p",`, fmt.Sprintf(`"name": "p", "policy": %q, "health": {"path": "/healthz"},`, rules.Policies[i%8]), 1)), "test"))
		require.ErrorIs(t, x.Load([]byte(`{"routes": 7}`), "test"), rules.ErrRules)
		require.Equal(t, rules.Policies[i%8], x.Rules().Pools[0].Policy)
	}
	stop.Store(true)
	wg.Wait()
	audits := x.Audits()
	require.Len(t, audits, 41)
	require.NotEmpty(t, audits[40].Err)
	require.Equal(t, "test", audits[40].By)
	require.Contains(t, strings.Join(audits[39].Changes, " "), "least-connections")
	// Limits change at once, and what is used stays used.
	for range 5 {
		res, _ := x.do("GET", "/files/a.txt", "X-Api-Key", "secret1")
		require.Equal(t, 200, res.StatusCode)
	}
	require.NoError(t, x.Load([]byte(strings.Replace(text, `"free", "events": 5`, `"free", "events": 7`, 1)), "test"))
	ok := 0
	for range 5 {
		if res, _ := x.do("GET", "/files/a.txt", "X-Api-Key", "secret1"); res.StatusCode == 200 {
			ok++
		}
	}
	require.Positive(t, ok)
	require.LessOrEqual(t, ok, 3)
	for range 2 * mostAudits {
		require.Error(t, x.Load(nil, "test"))
	}
	require.Len(t, x.Audits(), mostAudits)
}

// roundTrip is a backend without a network.
type roundTrip func(r *http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestAdaptiveBound: a pool that can do four things at once is not asked for forty, when
// it has become clear that this only makes all of them wait.
func TestAdaptiveBound(t *testing.T) {
	room := make(chan bool, 4)
	x := newRig(t, func(s string) string {
		return strings.Replace(s, `"name": "p",`, `"name": "p", "inFlight": {"adapt": "gradient", "limit": 40, "max": 40},`, 1)
	}, Options{Dial: roundTrip(func(r *http.Request) (*http.Response, error) {
		room <- true
		<-time.After(2 * time.Millisecond) // its work
		<-room
		return &http.Response{StatusCode: 200, Request: r, Header: http.Header{}, Body: http.NoBody}, nil
	})})
	load := func(clients int, until func() bool) {
		var wg sync.WaitGroup
		begun := time.Now()
		for range clients {
			wg.Go(func() {
				for !until() && time.Since(begun) < 20*time.Second {
					x.do("GET", "/free/a.txt")
				}
			})
		}
		wg.Wait()
	}
	begun := time.Now()
	load(1, func() bool { return time.Since(begun) > 400*time.Millisecond })
	load(40, func() bool { return x.Look().Pools[0].Bound < 30 })
	require.Less(t, x.Look().Pools[0].Bound, 30)
}

// TestBound: who finds no room is told to come again.
func TestBound(t *testing.T) {
	x := newRig(t, func(s string) string {
		return strings.Replace(s, `"name": "p",`, `"name": "p", "inFlight": {"adapt": "fixed", "limit": 2},`, 1)
	}, Options{})
	x.backend.Slow(100 * time.Millisecond)
	var wg sync.WaitGroup
	var got [600]atomic.Int64
	for range 10 {
		wg.Go(func() {
			res, _ := x.do("GET", "/free/a.txt")
			got[res.StatusCode].Add(1)
			if res.StatusCode == 503 {
				require.NotEmpty(t, res.Header.Get("Retry-After"))
			}
		})
	}
	wg.Wait()
	require.Positive(t, got[200].Load())
	require.Positive(t, got[503].Load())
	require.EqualValues(t, 10, got[200].Load()+got[503].Load())
	require.EqualValues(t, got[503].Load(), x.Look().Pools[0].Refused)
}

func TestAccessLog(t *testing.T) {
	x := newRig(t, as, Options{})
	x.do("GET", "/files/a.txt?x=1", "X-Api-Key", "secret1", "X-Forwarded-For", "10.9.9.9")
	require.NoError(t, x.Close())
	var record map[string]any
	require.NoError(t, json.Unmarshal(x.log.Bytes(), &record))
	for k, want := range map[string]any{
		"gateway": "g1", "client": "10.9.9.9/32", "key": "k1", "method": "GET", "uri": "/files/a.txt?x=1", "route": "files", "status": 200.0, "bytes": 5.0, "limited": false,
	} {
		require.Equal(t, want, record[k], k)
	}
}

func TestBadOptions(t *testing.T) {
	r, err := rules.Parse([]byte(strings.ReplaceAll(file(), "BACKEND", "127.0.0.1:1")))
	require.NoError(t, err)
	edge, err := rules.Parse([]byte(strings.ReplaceAll(strings.Replace(file(), `"per": "1h"`, `"per": "1h", "algorithm": "sliding-log"`, 1), "BACKEND", "127.0.0.1:1")))
	require.NoError(t, err)
	for _, o := range []Options{
		{},
		{Rules: r, Limits: Limits{Gateways: -1}},
		{Rules: r, Limits: Limits{Redis: "127.0.0.1:1", Failure: "maybe"}},
		{Rules: edge, Limits: Limits{Redis: "127.0.0.1:1", Edge: true}},
	} {
		_, err := New(o)
		require.Error(t, err)
	}
}

func TestHistogram(t *testing.T) {
	for d := time.Duration(0); d < 2*time.Hour; d = d*9/8 + 300*time.Nanosecond {
		i := bucket(d)
		if i == buckets-1 {
			break
		}
		require.Less(t, d, upper(i))
		require.True(t, i == 0 || d >= upper(i-1), "%v %d", d, i)
		require.LessOrEqual(t, float64(upper(i)), float64(d)*1.13+float64(time.Microsecond))
	}
	var h Histogram
	for i := range 1000 {
		h.Add(time.Duration(i+1) * time.Millisecond)
	}
	require.InEpsilon(t, float64(990*time.Millisecond), float64(h.Times().Quantile(0.99)), 0.13)
	require.InDelta(t, 500, float64(h.Times().Below(500*time.Millisecond)), 70)
	require.Zero(t, h.Times().Since(h.Times()).Count())
	require.Zero(t, (&Times{}).Quantile(0.5))
}

// TestClientsAreBounded: who makes up addresses cannot fill the memory.
func TestClientsAreBounded(t *testing.T) {
	c := clients{all: map[string]*Client{}}
	for i := range 3 * mostClients {
		c.saw(fmt.Sprint(i), "", true, "", 0)
	}
	require.Len(t, c.list(), mostClients)
}
