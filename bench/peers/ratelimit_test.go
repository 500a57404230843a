package peers

// Limiters. mennanov/limiters was not to be had when this table was made, and failsafe-go
// brings a tangle of modules. uber's has no way to refuse; go-limiter, ulule and throttled
// count by key only: each row has those that can do it. go-limiter and ulule count fixed
// windows, which is less work.

import (
	"context"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
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

// contender is one limiter in one situation; take gets a number to choose a key by.
type contender struct {
	name string
	take func(i uint64)
}

// race lets contenders take turns: a round is a piece of work of each, one after the other,
// so that whatever else the machine does hits all alike. It reports the medians of all
// rounds in nanoseconds and, for the rivals, how many times that of the first, which is
// ours; for each number of goroutines. Run it with at least five rounds: -benchtime 201x.
func race(b *testing.B, name string, ops int, cs []contender, procs ...int) {
	for _, procs := range procs {
		b.Run(fmt.Sprintf("%s/%d", name, procs), func(b *testing.B) {
			ops := ops
			if procs > 1 {
				ops *= 20 // long enough for goroutines to really run at once
			}
			times := make([][]float64, len(cs))
			at := uint64(0)
			for round := 0; b.Loop(); round++ {
				for turn := range cs {
					i := (turn + round) % len(cs)
					c := cs[i]
					start := time.Now()
					var wg sync.WaitGroup
					for p := range procs {
						// Keys of its own: none finds them in the caches because
						// another has just had them.
						from := at + uint64(p*ops)
						work := func() {
							for j := range uint64(ops) {
								c.take(from + j)
							}
						}
						if p == procs-1 {
							work()
						} else {
							wg.Go(work)
						}
					}
					wg.Wait()
					times[i] = append(times[i], float64(time.Since(start).Nanoseconds())/float64(ops*procs))
					at += uint64(procs * ops)
				}
			}
			b.ReportMetric(0, "ns/op") // a round says nothing
			var ours float64
			for i, c := range cs {
				slices.Sort(times[i])
				m := times[i][len(times[i])/2]
				b.ReportMetric(m, c.name+"-ns")
				if i == 0 {
					ours = m
				} else {
					b.ReportMetric(m/ours, c.name+"/"+cs[0].name)
				}
			}
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
	race(b, "admit", 5_000, []contender{
		{"ashlar", func(uint64) { ours.Allow() }},
		{"x-time", func(uint64) { xtime.Allow() }},
		{"juju", func(uint64) { ju.TakeAvailable(1) }},
		{"uber", func(uint64) { ub.Take() }},
	}, 1, 2)
}

// BenchmarkRatelimitDeny is one limiter that is empty.
func BenchmarkRatelimitDeny(b *testing.B) {
	ours := must(ratelimit.New(ratelimit.PerHour(1)))
	xtime := rate.NewLimiter(rate.Every(time.Hour), 1)
	ju := juju.NewBucket(time.Hour, 1)
	race(b, "deny", 5_000, []contender{
		{"ashlar", func(uint64) { ours.Allow() }},
		{"x-time", func(uint64) { xtime.Allow() }},
		{"juju", func(uint64) { ju.TakeAvailable(1) }},
	}, 1, 2)
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

// BenchmarkRatelimitKeyed takes of keys that are in use all the time: none of them is idle, so that we have to keep as many as the others.
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
		ctx, places, seed, start := context.Background(), make([][4]int64, n*3/2), maphash.MakeSeed(), time.Now()
		ours := must(ratelimit.NewKeyed[string](ratelimit.KeyedOptions{Limits: []ratelimit.Limit{ratelimit.PerHour(1000)}, MaxKeys: 2 * n}))
		xtime := &locked{by: map[string]*rate.Limiter{}}
		sethvargo := must(memorystore.New(&memorystore.Config{Tokens: 1000, Interval: time.Hour, InitialAlloc: n}))
		defer sethvargo.Close(ctx)
		ul := ulule.New(ululemem.NewStore(), ulule.Rate{Period: time.Hour, Limit: 1000})
		th := must(throttled.NewGCRARateLimiterCtx(must(memstore.NewCtx(2*n)), throttled.RateQuota{MaxRate: throttled.PerHour(1000), MaxBurst: 999}))
		// In the order in which the strings lie in memory: a request's key has just been
		// read. Hashed, that is no order; and it is not that of insertion, by which
		// rivals' buckets lie in memory.
		key := func(i uint64) string { return keys[i%uint64(n)] }
		cs := []contender{
			{"ashlar", func(i uint64) { ours.Take(key(i), 1) }},
			{"ashlar-allow", func(i uint64) { ours.Allow(key(i)) }},
			{"map-x-time", func(i uint64) { xtime.allow(key(i)) }},
			{"go-limiter", func(i uint64) { _, _, _, _, _ = sethvargo.Take(ctx, key(i)) }},
			{"ulule", func(i uint64) { _, _ = ul.Get(ctx, key(i)) }},
			{"throttled", func(i uint64) { _, _, _ = th.RateLimitCtx(ctx, key(i), 1) }},
			// What nobody can do without: the time, a hash, one entry at a random place.
			{"floor", func(i uint64) {
				e := &places[maphash.String(seed, key(i))%uint64(len(places))][0]
				*e = max(*e, int64(time.Since(start))) + 1
			}},
		}
		for _, i := range rand.New(rand.NewPCG(1, 2)).Perm(n) { // all are there before the race begins
			ours.Take(keys[i], 1)
			xtime.allow(keys[i])
			_, _, _, _, _ = sethvargo.Take(ctx, keys[i])
			_, _ = ul.Get(ctx, keys[i])
			_, _, _ = th.RateLimitCtx(ctx, keys[i], 1)
		}
		race(b, fmt.Sprint("keyed-", n), 5_000, cs, 1, 2)
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
	serve := func(h http.Handler) func(uint64) {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil)
		return func(uint64) { h.ServeHTTP(w, r) }
	}
	cs := []contender{
		{"ashlar", serve(ratelimit.Middleware(ratelimit.Local(k), ratelimit.ByIP(ratelimit.Proxies{}), ratelimit.HTTPOptions{})(nothing))},
		{"httprate", serve(httprate.LimitByIP(1_000_000_000, time.Second)(nothing))},
		{"throttled", serve(th.RateLimit(nothing))},
	}
	race(b, "http", 1000, cs, 1)
}
