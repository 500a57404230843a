package ratelimit_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"time"

	"github.com/ashlar-go/ashlar/ratelimit"
)

func Example() {
	limiter, err := ratelimit.New(ratelimit.PerMinute(3))
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 4 {
		fmt.Println(limiter.Allow())
	}
	// Output:
	// true
	// true
	// true
	// false
}

func ExampleLimit() {
	for _, l := range []ratelimit.Limit{
		ratelimit.PerSecond(10),
		ratelimit.Every(250 * time.Millisecond),
		{Name: "user", Events: 900, Per: 15 * time.Minute, Burst: 50},
		ratelimit.PerHour(0),
	} {
		fmt.Println(l, l.Validate())
	}
	// Output:
	// 10 per 1s, burst 10 <nil>
	// 1 per 250ms, burst 1 <nil>
	// user: 900 per 15m0s, burst 50 <nil>
	// 0 per 1h0m0s, burst 0 ratelimit: bad limit: 0 events
}

func ExampleLimiter_AllowAt() {
	limiter, _ := ratelimit.New(ratelimit.Limit{Events: 7, Per: time.Minute, Burst: 2})
	t := time.Now()
	fmt.Println(limiter.AllowAt(t, 2).OK)
	d := limiter.AllowAt(t, 1)
	fmt.Println(d.OK, d.RetryAfter) // a seventh of a minute, rounded up to a nanosecond
	fmt.Println(limiter.AllowAt(t.Add(d.RetryAfter), 1).OK)
	// Output:
	// true
	// false 8.571428572s
	// true
}

func ExampleLimiter_Wait() {
	limiter, _ := ratelimit.New(ratelimit.PerMinute(1))
	fmt.Println(limiter.Wait(context.Background()))
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	err := limiter.Wait(ctx) // fails at once: it would take a minute
	fmt.Println(err != nil)
	// Output:
	// <nil>
	// true
}

func ExampleReservation() {
	limiter, _ := ratelimit.New(ratelimit.PerHour(15))
	ten, _ := limiter.Reserve(10, 0)
	if _, err := limiter.Reserve(5, 0); err != nil {
		fmt.Println(err)
	}
	ten.Cancel() // gives all ten back, although five were reserved after them
	fmt.Println(limiter.AllowN(10), limiter.AllowN(1))
	// Output: true false
}

func ExampleKeyed() {
	limits, err := ratelimit.NewKeyed[string](ratelimit.KeyedOptions{
		Limits: []ratelimit.Limit{
			{Name: "burst", Events: 2, Per: time.Second, Burst: 2},
			{Name: "hour", Events: 100, Per: time.Hour, Burst: 100},
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for range 3 {
		d := limits.Take("ada", 1)
		fmt.Println(d.OK, d.Limit, d.Remaining)
	}
	fmt.Println(limits.Allow("bob"))
	// Output:
	// true burst 1
	// true burst 0
	// false burst 0
	// true
}

func ExampleKeyed_SetTier() {
	limits, _ := ratelimit.NewKeyed[string](ratelimit.KeyedOptions{
		Limits: []ratelimit.Limit{ratelimit.PerHour(100)},
		Tiers:  map[string][]ratelimit.Limit{"premium": {ratelimit.PerHour(1000)}},
		Now:    func() time.Time { return time.Unix(1_700_000_000, 0) },
	})
	limits.Take("ada", 60)
	_ = limits.Assign("ada", "premium")
	fmt.Println(limits.Peek("ada").Remaining)
	_ = limits.SetTier("premium", ratelimit.PerHour(2000))
	fmt.Println(limits.Peek("ada").Remaining)
	_ = limits.SetTier("premium", ratelimit.PerHour(-1)) // a slip: nothing changes
	for _, c := range limits.Audit() {
		fmt.Println(c)
	}
	// Output:
	// 940
	// 1940
	// tier "premium": [1000 per 1h0m0s, burst 1000] → [2000 per 1h0m0s, burst 2000]
	// tier "premium": refused: tier "premium": ratelimit: bad limit: -1 events
}

func ExampleAlgorithm() {
	limits, _ := ratelimit.NewKeyed[string](ratelimit.KeyedOptions{
		Limits:    []ratelimit.Limit{{Events: 10, Per: time.Second, Burst: 3}},
		Algorithm: ratelimit.LeakyBucket,
		Now:       func() time.Time { return time.Unix(1_700_000_000, 0) },
	})
	for range 4 {
		d := limits.Take("printer", 1)
		fmt.Println(d.OK, d.Delay)
	}
	// Output:
	// true 0s
	// true 100ms
	// true 200ms
	// false 0s
}

func ExampleDecision() {
	limits, _ := ratelimit.NewKeyed[string](ratelimit.KeyedOptions{
		Limits: []ratelimit.Limit{{Name: "hour", Events: 60, Per: time.Hour, Burst: 2}},
		Now:    func() time.Time { return time.Unix(1_700_000_000, 0) },
	})
	fmt.Println(limits.Take("ada", 2))
	fmt.Println(limits.Take("ada", 1))
	fmt.Println(limits.Take("ada", 3))
	// Output:
	// admitted by "hour": 0 of 2 left, full in 2m0s
	// refused by "hour": 0 of 2 left, retry in 1m0s
	// refused by "hour": never fits 2
}

func ExampleConcurrency() {
	c, err := ratelimit.NewConcurrency(ratelimit.ConcurrencyOptions{Adaptation: ratelimit.Vegas, Limit: 1})
	if err != nil {
		fmt.Println(err)
		return
	}
	p, err := c.Acquire(context.Background())
	fmt.Println(err)
	_, err = c.Acquire(context.Background()) // no queue: refused at once
	fmt.Println(err)
	p.Done(ratelimit.OK)
	fmt.Println(c.Stats().InFlight)
	// Output:
	// <nil>
	// ratelimit: full
	// 0
}

func ExampleShared() {
	store, _ := ratelimit.NewMemory(ratelimit.MemoryOptions{}) // or redisstore.New
	limits, err := ratelimit.NewShared(store, ratelimit.SharedOptions{OnFailure: ratelimit.FailLocal, Nodes: 3})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer limits.Close()
	user := ratelimit.Request{Key: "user:ada", Limit: ratelimit.Limit{Name: "user", Events: 2, Per: time.Hour, Burst: 2}, N: 1}
	addr := ratelimit.Request{Key: "ip:192.0.2.1", Limit: ratelimit.Limit{Name: "address", Events: 100, Per: time.Hour, Burst: 100}, N: 1}
	for range 3 {
		d, err := limits.Take(context.Background(), user, addr)
		fmt.Println(d.OK, d.Limit, d.Degraded, err)
	}
	// Output:
	// true user false <nil>
	// true user false <nil>
	// false user false <nil>
}

func ExampleEdge() {
	store, _ := ratelimit.NewMemory(ratelimit.MemoryOptions{})
	request := ratelimit.Request{Key: "ada", Limit: ratelimit.PerHour(10), N: 6}
	ctx := context.Background()
	for range 2 { // two processes that have not heard of each other yet
		edge, err := ratelimit.NewEdge(store, ratelimit.EdgeOptions{})
		if err != nil {
			fmt.Println(err)
			return
		}
		d, _ := edge.Take(ctx, request)
		fmt.Println(d.OK)
		_ = edge.Close() // reports
	}
	balance := make([]ratelimit.Decision, 1)
	request.N = 0
	_ = store.Take(ctx, []ratelimit.Request{request}, balance)
	fmt.Println(balance[0].Remaining < 0) // to be paid back
	// Output:
	// true
	// true
	// true
}

func ExampleMemory() {
	store, _ := ratelimit.NewMemory(ratelimit.MemoryOptions{})
	reqs := []ratelimit.Request{
		{Key: "ada", Limit: ratelimit.PerHour(5), N: 3},
		{Key: "everybody", Limit: ratelimit.PerHour(4), N: 3},
	}
	out := make([]ratelimit.Decision, 2)
	for range 2 {
		err := store.Take(context.Background(), reqs, out)
		fmt.Println(err, out[0].OK, out[1].OK, out[0].Remaining, out[1].Remaining)
	}
	// Output:
	// <nil> true true 2 1
	// <nil> false false 2 1
}

func ExampleMiddleware() {
	limits, _ := ratelimit.NewKeyed[string](ratelimit.KeyedOptions{
		Limits: []ratelimit.Limit{{Name: "address", Events: 1, Per: time.Hour, Burst: 1}},
	})
	proxies := ratelimit.Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	limited := ratelimit.Middleware(ratelimit.Local(limits), ratelimit.ByIP(proxies), ratelimit.HTTPOptions{})
	h := limited(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
	for range 2 {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
		fmt.Printf("%d %s, retry after %q\n", w.Code, w.Header().Get("RateLimit-Policy"), w.Header().Get("Retry-After"))
	}
	// Output:
	// 200 "address";q=1;w=3600, retry after ""
	// 429 "address";q=1;w=3600, retry after "3600"
}

func ExampleProxies() {
	p := ratelimit.Proxies{Trusted: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}}
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.RemoteAddr = "10.1.2.3:5000"                              // our balancer
	r.Header.Set("X-Forwarded-For", "6.6.6.6, 2001:db8:1:2::9") // the first was sent by the client
	fmt.Println(p.ClientIP(r))
	// Output: 2001:db8:1:2::/64 <nil>
}

func ExampleJoin() {
	user := func(r *http.Request) string { return r.Header.Get("X-User") } // set by what authenticates
	key := ratelimit.Join(
		ratelimit.ByUser(user, ratelimit.PerMinute(100)),
		ratelimit.ByIP(ratelimit.Proxies{}, ratelimit.PerHour(1000)),
	)
	r := httptest.NewRequest(http.MethodGet, "/", nil)
	r.Header.Set("X-User", "ada")
	reqs, err := key(r)
	for _, q := range reqs {
		fmt.Println(q.Key, q.Limit)
	}
	fmt.Println(err)
	// Output:
	// user:ada 100 per 1m0s, burst 100
	// ip:192.0.2.1 1000 per 1h0m0s, burst 1000
	// <nil>
}
