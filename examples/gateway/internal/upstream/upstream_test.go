package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/gateway/internal/rules"
)

// farm is some backends, whose behaviour tests change.
type farm struct {
	servers []*httptest.Server
	serve   atomic.Pointer[func(id string, w http.ResponseWriter, r *http.Request)]
}

func newFarm(t *testing.T, n int) *farm {
	f := &farm{}
	f.does(func(id string, w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, id) })
	for i := range n {
		id := name(i)
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { (*f.serve.Load())(id, w, r) }))
		t.Cleanup(s.Close)
		f.servers = append(f.servers, s)
	}
	return f
}

func name(i int) string { return string(rune('a' + i)) }

func (f *farm) does(h func(id string, w http.ResponseWriter, r *http.Request)) { f.serve.Store(&h) }

func (f *farm) rules() rules.Pool {
	r := rules.Pool{Name: "p"}
	for i, s := range f.servers {
		r.Backends = append(r.Backends, rules.Backend{ID: name(i), URL: s.URL})
	}
	return r
}

func open(t *testing.T, r rules.Pool) *Pool { return openWith(t, Options{Rules: r}) }

func openWith(t *testing.T, o Options) *Pool {
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	o.Transport = transport
	p, err := New(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

// get asks for a path, and returns the body.
func get(t *testing.T, p *Pool, path string, set ...string) (string, *http.Response, error) {
	r, err := http.NewRequestWithContext(WithClientIP(t.Context(), "10.0.0.1"), http.MethodGet, "http://any"+path, nil)
	require.NoError(t, err)
	for i := 0; i < len(set); i += 2 {
		r.Header.Set(set[i], set[i+1])
	}
	res, err := p.RoundTrip(r)
	if err != nil {
		return "", nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return string(b), res, err
}

func TestPolicies(t *testing.T) {
	f := newFarm(t, 4)
	for _, policy := range rules.Policies {
		t.Run(policy, func(t *testing.T) {
			r := f.rules()
			r.Policy = policy
			r.Backends[0].Weight = 3
			p := open(t, r)
			got, paths := map[string]int{}, map[string]string{}
			cookie := ""
			for i := range 600 {
				path := fmt.Sprint("/", i%60)
				body, res, err := get(t, p, path, "Cookie", cookie)
				require.NoError(t, err)
				got[body]++
				if c := res.Cookies(); policy == "sticky" && len(c) > 0 {
					require.Zero(t, i)
					cookie = c[0].Name + "=" + c[0].Value
				}
				if policy == "url-hash" && i >= 60 {
					require.Equal(t, paths[path], body, "nothing is under way beside: no bound moves it")
				}
				paths[path] = body
			}
			switch policy {
			case "round-robin":
				require.Equal(t, map[string]int{"a": 150, "b": 150, "c": 150, "d": 150}, got)
			case "weighted":
				require.Equal(t, map[string]int{"a": 300, "b": 100, "c": 100, "d": 100}, got)
			case "ip-hash", "sticky":
				require.Len(t, got, 1)
			default:
				require.Len(t, got, 4)
			}
			for _, b := range p.all {
				require.Zero(t, b.inFlight.Load())
			}
			// Whoever was chosen is taken out: somebody else takes over.
			require.NoError(t, p.Drain("a", true))
			for range 50 {
				body, _, err := get(t, p, "/1", "Cookie", cookie)
				require.NoError(t, err)
				require.NotEqual(t, "a", body)
			}
		})
	}
}

// TestPoliciesUnderWay: the choices that look at requests under way.
func TestPoliciesUnderWay(t *testing.T) {
	a, b := &Backend{ID: "a", Weight: 1}, &Backend{ID: "b", Weight: 4}
	a.inFlight.Store(2)
	b.inFlight.Store(7)
	two := []*Backend{a, b}
	for range 20 {
		got, _ := leastConnections{}.choose(two, two, nil)
		require.Equal(t, "b", got.ID)
		got, _ = twoChoices{}.choose(two, two, nil)
		require.Equal(t, "b", got.ID)
	}
	now := time.Now()
	a.observe(now, 10*time.Millisecond)
	b.observe(now, 20*time.Millisecond)
	got, _ := leastResponseTime{}.choose(two, two, nil)
	require.Equal(t, "a", got.ID)
	a.observe(now, time.Second)
	got, _ = leastResponseTime{}.choose(two, two, nil)
	require.Equal(t, "b", got.ID)
	require.Less(t, a.expected(now.Add(time.Minute)), 1e6, "a slow one is forgiven")
}

// TestBoundedURLHash: one hot URL does not overload its owner.
func TestBoundedURLHash(t *testing.T) {
	f := newFarm(t, 4)
	r := f.rules()
	r.Policy = "url-hash"
	p := open(t, r)
	enough := make(chan bool)
	var waiting sync.WaitGroup
	waiting.Add(40)
	f.does(func(id string, w http.ResponseWriter, _ *http.Request) { waiting.Done(); <-enough; fmt.Fprint(w, id) })
	var wg sync.WaitGroup
	for range 40 {
		wg.Go(func() {
			_, _, err := get(t, p, "/hot")
			require.NoError(t, err)
		})
	}
	waiting.Wait()
	for _, b := range p.all {
		require.LessOrEqual(t, b.inFlight.Load(), int64(13), "ceil(1.25 × 40 / 4)")
	}
	close(enough)
	wg.Wait()
}

func TestRetries(t *testing.T) {
	f := newFarm(t, 3)
	p := open(t, f.rules())
	fail := func(id string, w http.ResponseWriter, _ *http.Request) {
		if id == "a" {
			w.WriteHeader(http.StatusBadGateway)
		}
	}
	f.does(fail)
	for range 30 {
		_, res, err := get(t, p, "/")
		require.NoError(t, err)
		require.Equal(t, http.StatusOK, res.StatusCode)
	}
	require.Positive(t, p.Status().Retries)

	// What may not be carried out twice is not made again.
	r := f.rules()
	r.Backends = r.Backends[:1]
	p = open(t, r)
	req, err := http.NewRequest(http.MethodPost, "http://any/", strings.NewReader("x"))
	require.NoError(t, err)
	res, err := p.RoundTrip(req)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusBadGateway, res.StatusCode)
	require.Zero(t, p.Status().Retries)

	// But what was never sent is: nobody listens at the first address.
	r = f.rules()
	r.Policy = "round-robin"
	r.Backends[0].URL = "http://" + deadAddr(t)
	f.does(func(_ string, w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	p = open(t, r)
	req, err = http.NewRequest(http.MethodPost, "http://any/", strings.NewReader("payload"))
	require.NoError(t, err)
	res, err = p.RoundTrip(req)
	require.NoError(t, err)
	b, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, "payload", string(b))
	require.EqualValues(t, 1, p.Status().Retries)
}

func deadAddr(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.NoError(t, l.Close())
	return l.Addr().String()
}

// TestBudget: when all fails, retries are few: they must not multiply the load.
func TestBudget(t *testing.T) {
	f := newFarm(t, 2)
	r := f.rules()
	r.Breaker.Requests = 1 << 19
	p := open(t, r)
	f.does(func(_ string, w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	begun := time.Now()
	for range 500 {
		_, res, err := get(t, p, "/")
		require.NoError(t, err)
		require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
	}
	s := p.Status()
	require.LessOrEqual(t, float64(s.Retries), 500*0.2+10+10*time.Since(begun).Seconds()+1)
	require.Positive(t, s.Starved)
}

// TestBreaker: a pool that only fails is given a rest, and then tried again.
func TestBreaker(t *testing.T) {
	f := newFarm(t, 1)
	r := f.rules()
	r.Breaker = rules.Breaker{Requests: 5, Rest: rules.Duration(30 * time.Millisecond)}
	p := open(t, r)
	var asked atomic.Int64
	f.does(func(_ string, w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		w.WriteHeader(http.StatusInternalServerError)
	})
	require.Eventually(t, func() bool {
		_, _, err := get(t, p, "/")
		return errors.Is(err, ErrRest)
	}, 10*time.Second, time.Microsecond)
	require.Equal(t, "open", p.Status().Breaker)
	before := asked.Load()
	_, _, err := get(t, p, "/")
	require.ErrorIs(t, err, ErrRest)
	require.Equal(t, before, asked.Load())
	f.does(func(id string, w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, id) })
	require.Eventually(t, func() bool {
		_, _, _ = get(t, p, "/")
		return p.Status().Breaker == "closed"
	}, 10*time.Second, 5*time.Millisecond)
}

// TestEjection: failures in a row take a backend out, but never more than half of all.
func TestEjection(t *testing.T) {
	f := newFarm(t, 3)
	r := f.rules()
	r.Eject = rules.Eject{Failures: 2, For: rules.Duration(50 * time.Millisecond)}
	r.Retry.Attempts = 1
	r.Breaker.Requests = 1 << 19
	p := open(t, r)
	f.does(func(id string, w http.ResponseWriter, _ *http.Request) {
		if id != "c" {
			w.WriteHeader(http.StatusBadGateway)
		}
	})
	state := func() (out, at int) {
		for _, s := range p.Status().Backends {
			if s.State == Ejected {
				out++
			}
		}
		return out, len(p.all)
	}
	for range 60 {
		_, _, _ = get(t, p, "/")
		out, _ := state()
		require.LessOrEqual(t, out, 1)
	}
	require.Eventually(t, func() bool {
		_, _, _ = get(t, p, "/")
		out, _ := state()
		return out == 1
	}, 10*time.Second, time.Millisecond)
	f.does(func(id string, w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, id) })
	require.Eventually(t, func() bool { out, _ := state(); return out == 0 }, 10*time.Second, time.Millisecond)
	b, now := &Backend{}, time.Now()
	for _, want := range []time.Duration{50, 100, 120, 120} {
		require.Equal(t, want, b.eject(now, 50, 120), "twice as long each time, up to a most")
	}
}

// TestHealthChecks find a backend that is gone without a request, and that it is back.
func TestHealthChecks(t *testing.T) {
	f := newFarm(t, 2)
	r := f.rules()
	r.Health = rules.Health{Path: "/healthz", Every: rules.Duration(5 * time.Millisecond)}
	var mu sync.Mutex
	var events []string
	p := openWith(t, Options{Rules: r, Event: func(b, text string) { mu.Lock(); events = append(events, b+" "+text); mu.Unlock() }})
	f.does(func(id string, w http.ResponseWriter, _ *http.Request) {
		if id == "a" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		fmt.Fprint(w, id)
	})
	is := func(state string) func() bool { return func() bool { return p.Status().Backends[0].State == state } }
	require.Eventually(t, is(Down), 10*time.Second, time.Millisecond)
	for range 20 {
		body, _, err := get(t, p, "/")
		require.NoError(t, err)
		require.Equal(t, "b", body)
	}
	f.does(func(id string, w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, id) })
	require.Eventually(t, is(Up), 10*time.Second, time.Millisecond)
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, []string{"a down: 2 health checks in a row have failed", "a up: 2 health checks in a row were good"}, events)
}

// TestHungBackend: an attempt has a time of its own, and another backend answers.
func TestHungBackend(t *testing.T) {
	f := newFarm(t, 2)
	r := f.rules()
	r.Retry.Timeout = rules.Duration(20 * time.Millisecond)
	r.Eject.Failures = 1
	p := open(t, r)
	f.does(func(id string, w http.ResponseWriter, r *http.Request) {
		if id == "a" {
			<-r.Context().Done()
			return
		}
		fmt.Fprint(w, id)
	})
	for range 10 {
		body, _, err := get(t, p, "/")
		require.NoError(t, err)
		require.Equal(t, "b", body)
	}
	require.Equal(t, Ejected, p.Status().Backends[0].State)
}

// TestDeathWhileAnswering: a short answer that breaks off is asked for again.
func TestDeathWhileAnswering(t *testing.T) {
	f := newFarm(t, 2)
	p := open(t, f.rules())
	f.does(func(id string, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		fmt.Fprint(w, "01234")
		if id == "a" {
			panic(http.ErrAbortHandler)
		}
		fmt.Fprint(w, "56789")
	})
	for range 20 {
		body, _, err := get(t, p, "/")
		require.NoError(t, err)
		require.Equal(t, "0123456789", body)
	}
}

// TestWhoseFault: a client that leaves, or whose body never comes, does not count against
// a backend.
func TestWhoseFault(t *testing.T) {
	f := newFarm(t, 1)
	p := open(t, f.rules())
	f.does(func(_ string, _ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://any/", nil)
	require.NoError(t, err)
	_, err = p.RoundTrip(r)
	require.ErrorIs(t, err, context.Canceled)

	broken := errors.New("broken off")
	r, err = http.NewRequest(http.MethodPost, "http://any/", io.MultiReader(strings.NewReader("abc"), bad{broken}))
	require.NoError(t, err)
	_, err = p.RoundTrip(r)
	var body *BodyError
	require.ErrorAs(t, err, &body)
	require.ErrorIs(t, err, broken)
	require.Zero(t, p.Status().Backends[0].Failures)

	ctx, cancel = context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	r, err = http.NewRequestWithContext(ctx, http.MethodGet, "http://any/", nil)
	require.NoError(t, err)
	_, err = p.RoundTrip(r)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.EqualValues(t, 1, p.Status().Backends[0].Failures, "not to answer in time is the backend's fault")
}

type bad struct{ err error }

func (b bad) Read([]byte) (int, error) { return 0, b.err }

// TestUpgrade: a connection that changes its protocol can be written to.
func TestUpgrade(t *testing.T) {
	f := newFarm(t, 1)
	p := open(t, f.rules())
	f.does(func(_ string, w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
		line, _ := rw.ReadString('\n')
		fmt.Fprint(conn, "you said ", line)
	})
	r, err := http.NewRequest(http.MethodGet, "http://any/", nil)
	require.NoError(t, err)
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "echo")
	res, err := p.RoundTrip(r)
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, res.StatusCode)
	rw, ok := res.Body.(io.ReadWriteCloser)
	require.True(t, ok)
	fmt.Fprintln(rw, "hello")
	line, err := bufio.NewReader(rw).ReadString('\n')
	require.NoError(t, err)
	require.Equal(t, "you said hello\n", line)
	require.EqualValues(t, 1, p.all[0].inFlight.Load())
	require.NoError(t, rw.Close())
	require.Zero(t, p.all[0].inFlight.Load())
}

func TestAllDrained(t *testing.T) {
	f := newFarm(t, 1)
	p := open(t, f.rules())
	require.NoError(t, p.Drain("a", true))
	_, _, err := get(t, p, "/")
	require.ErrorIs(t, err, ErrNoBackend)
	require.Error(t, p.Drain("z", true))
	require.NoError(t, p.Drain("a", false))
	// What takes its place knows what it knew.
	p.all[0].requests.Store(7)
	next := openWith(t, Options{Rules: f.rules(), Old: p})
	require.EqualValues(t, 7, next.Status().Backends[0].Requests)
}
