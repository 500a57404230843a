package peers

// Limiters. mennanov/limiters was not to be had when this table was made, and failsafe-go
// brings a tangle of modules. uber's has no way to refuse; go-limiter, ulule and throttled
// count by key only: each row has those that can do it. go-limiter and ulule count fixed
// windows, which is less work.

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/go-chi/httprate"
	juju "github.com/juju/ratelimit"
	"github.com/sethvargo/go-limiter/memorystore"
	"github.com/throttled/throttled/v2"
	"github.com/throttled/throttled/v2/store/memstore"
	ulule "github.com/ulule/limiter/v3"
	ululemem "github.com/ulule/limiter/v3/drivers/store/memory"
	uber "go.uber.org/ratelimit"
	"golang.org/x/time/rate"

	"github.com/ashlar-go/ashlar/ratelimit"
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// contender is one limiter in one situation.
type contender struct {
	name string
	take func()
}

// race runs contenders alone and on all processors.
func race(b *testing.B, name string, cs []contender) {
	for _, c := range cs {
		b.Run(name+"/alone/"+c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.take()
			}
		})
		b.Run(name+"/parallel/"+c.name, func(b *testing.B) {
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					c.take()
				}
			})
		})
	}
}

// BenchmarkRatelimitAllow is one limiter that always admits: a thousand million a second.
func BenchmarkRatelimitAllow(b *testing.B) {
	const n = 1_000_000_000
	ours := must(ratelimit.New(ratelimit.PerSecond(n)))
	xtime := rate.NewLimiter(n, n)
	ju := juju.NewBucketWithQuantum(time.Microsecond, n, 1000)
	ub := uber.New(n)
	race(b, "admit", []contender{
		{"ashlar", func() { ours.Allow() }},
		{"x-time", func() { xtime.Allow() }},
		{"juju", func() { ju.TakeAvailable(1) }},
		{"uber", func() { ub.Take() }},
	})
}

// BenchmarkRatelimitDeny is one limiter that is empty.
func BenchmarkRatelimitDeny(b *testing.B) {
	ours := must(ratelimit.New(ratelimit.PerHour(1)))
	xtime := rate.NewLimiter(rate.Every(time.Hour), 1)
	ju := juju.NewBucket(time.Hour, 1)
	race(b, "deny", []contender{
		{"ashlar", func() { ours.Allow() }},
		{"x-time", func() { xtime.Allow() }},
		{"juju", func() { ju.TakeAvailable(1) }},
	})
}

// locked is what most do: a map of x/time's limiters under a mutex.
type locked struct {
	mu sync.Mutex
	by map[string]*rate.Limiter
}

func (l *locked) allow(k string) bool {
	l.mu.Lock()
	x := l.by[k]
	if x == nil {
		x = rate.NewLimiter(1000.0/3600, 1000)
		l.by[k] = x
	}
	l.mu.Unlock()
	return x.Allow()
}

// BenchmarkRatelimitKeyed takes of keys in random order, which are in use all the time:
// none of them is idle, so that we have to keep as many as the others.
func BenchmarkRatelimitKeyed(b *testing.B) {
	sizes := []int{1000, 1_000_000}
	if testing.Short() {
		sizes = sizes[:1]
	}
	for _, n := range sizes {
		keys := make([]string, n)
		for i := range keys {
			keys[i] = fmt.Sprintf("user:%011d", i)
		}
		ctx := context.Background()
		ours := must(ratelimit.NewKeyed[string](ratelimit.KeyedOptions{Limits: []ratelimit.Limit{ratelimit.PerHour(1000)}, MaxKeys: 2 * n}))
		xtime := &locked{by: map[string]*rate.Limiter{}}
		sethvargo := must(memorystore.New(&memorystore.Config{Tokens: 1000, Interval: time.Hour, InitialAlloc: n}))
		defer sethvargo.Close(ctx)
		ul := ulule.New(ululemem.NewStore(), ulule.Rate{Period: time.Hour, Limit: 1000})
		th := must(throttled.NewGCRARateLimiterCtx(must(memstore.NewCtx(2*n)), throttled.RateQuota{MaxRate: throttled.PerHour(1000), MaxBurst: 999}))
		for _, c := range []struct {
			name string
			take func(string)
		}{
			{"ashlar", func(k string) { ours.Take(k, 1) }},
			{"ashlar-allow", func(k string) { ours.Allow(k) }},
			{"map-x-time", func(k string) { xtime.allow(k) }},
			{"go-limiter", func(k string) { _, _, _, _, _ = sethvargo.Take(ctx, k) }},
			{"ulule", func(k string) { _, _ = ul.Get(ctx, k) }},
			{"throttled", func(k string) { _, _, _ = th.RateLimitCtx(ctx, k, 1) }},
		} {
			for _, k := range keys {
				c.take(k)
			}
			b.Run(fmt.Sprintf("keyed/%d/alone/%s", n, c.name), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					c.take(keys[spread(i)%uint64(n)])
				}
			})
			b.Run(fmt.Sprintf("keyed/%d/parallel/%s", n, c.name), func(b *testing.B) {
				var mu sync.Mutex
				from := 0
				b.RunParallel(func(p *testing.PB) {
					mu.Lock()
					from += math.MaxInt32
					i := from
					mu.Unlock()
					for ; p.Next(); i++ {
						c.take(keys[spread(i)%uint64(n)])
					}
				})
			})
		}
	}
}

// BenchmarkRatelimitHTTP is a request through a limit by address, to a handler that does
// nothing.
func BenchmarkRatelimitHTTP(b *testing.B) {
	nothing := http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})
	k := must(ratelimit.NewKeyed[string](ratelimit.KeyedOptions{Limits: []ratelimit.Limit{ratelimit.PerSecond(1_000_000_000)}}))
	th := throttled.HTTPRateLimiterCtx{
		RateLimiter: must(throttled.NewGCRARateLimiterCtx(must(memstore.NewCtx(1000)), throttled.RateQuota{MaxRate: throttled.PerSec(1_000_000_000), MaxBurst: 1_000_000_000})),
		VaryBy:      &throttled.VaryBy{RemoteAddr: true},
	}
	for _, c := range []struct {
		name string
		h    http.Handler
	}{
		{"ashlar", ratelimit.Middleware(ratelimit.Local(k), ratelimit.ByIP(ratelimit.Proxies{}), ratelimit.HTTPOptions{})(nothing)},
		{"httprate", httprate.LimitByIP(1_000_000_000, time.Second)(nothing)},
		{"throttled", th.RateLimit(nothing)},
	} {
		b.Run("http/"+c.name, func(b *testing.B) {
			w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
			b.ReportAllocs()
			for b.Loop() {
				c.h.ServeHTTP(w, r)
			}
		})
	}
}
