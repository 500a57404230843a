package gate

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// steps are the bounds of the histogram that metrics show.
var steps = []time.Duration{
	500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond, 10 * time.Millisecond, 25 * time.Millisecond,
	50 * time.Millisecond, 100 * time.Millisecond, 250 * time.Millisecond, time.Second, 2500 * time.Millisecond, 10 * time.Second,
}

// WriteMetrics writes the state of gateways in Prometheus' text format.
func WriteMetrics(w io.Writer, all ...*Gateway) error {
	var looks []Status
	for _, g := range all {
		looks = append(looks, g.Look())
	}
	var b strings.Builder
	family := func(name, kind, help string, each func(s Status, put func(labels string, v any))) {
		fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
		for _, s := range looks {
			each(s, func(labels string, v any) { fmt.Fprintf(&b, "%s{gateway=%q%s} %v\n", name, s.Name, labels, v) })
		}
	}
	ofRoutes := func(f func(r RouteStatus) uint64) func(Status, func(string, any)) {
		return func(s Status, put func(string, any)) {
			for _, r := range s.Routes {
				put(fmt.Sprintf(",route=%q", r.Name), f(r))
			}
		}
	}
	family("gateway_requests_total", "counter", "Requests by route and class of status; gone: the client left.", func(s Status, put func(string, any)) {
		for _, r := range s.Routes {
			for class := range r.Counts.Classes {
				name := fmt.Sprint(class, "xx")
				if class == 0 {
					name = "gone"
				}
				put(fmt.Sprintf(",route=%q,class=%q", r.Name, name), r.Counts.Classes[class].Load())
			}
		}
	})
	family("gateway_limited_total", "counter", "Requests refused by a limit.", ofRoutes(func(r RouteStatus) uint64 { return r.Counts.Refused.Load() }))
	family("gateway_degraded_total", "counter", "Requests whose limits were decided without the shared store.", ofRoutes(func(r RouteStatus) uint64 { return r.Counts.Degraded.Load() }))
	family("gateway_cached_total", "counter", "Requests answered from the cache.", ofRoutes(func(r RouteStatus) uint64 { return r.Counts.Cached.Load() }))
	family("gateway_bytes_total", "counter", "Bytes of answers.", ofRoutes(func(r RouteStatus) uint64 { return r.Counts.Bytes.Load() }))
	fmt.Fprint(&b, "# HELP gateway_seconds How long requests took.\n# TYPE gateway_seconds histogram\n")
	for _, s := range looks {
		for _, r := range s.Routes {
			took := r.Counts.Took.Times()
			for _, step := range steps {
				fmt.Fprintf(&b, "gateway_seconds_bucket{gateway=%q,route=%q,le=\"%g\"} %d\n", s.Name, r.Name, step.Seconds(), took.Below(step))
			}
			fmt.Fprintf(&b, "gateway_seconds_bucket{gateway=%q,route=%q,le=\"+Inf\"} %d\n", s.Name, r.Name, took.Count())
			fmt.Fprintf(&b, "gateway_seconds_sum{gateway=%q,route=%q} %g\n", s.Name, r.Name, took.sum().Seconds())
			fmt.Fprintf(&b, "gateway_seconds_count{gateway=%q,route=%q} %d\n", s.Name, r.Name, took.Count())
		}
	}
	family("gateway_under_way", "gauge", "Requests under way.", func(s Status, put func(string, any)) { put("", s.UnderWay) })
	family("gateway_store_down", "gauge", "1 while the shared store of limits does not answer.", func(s Status, put func(string, any)) {
		put("", bit(s.Counting.Down))
	})
	ofBackends := func(f func(p PoolStatus, i int) any) func(Status, func(string, any)) {
		return func(s Status, put func(string, any)) {
			for _, p := range s.Pools {
				for i := range p.Backends {
					put(fmt.Sprintf(",pool=%q,backend=%q", p.Name, p.Backends[i].ID), f(p, i))
				}
			}
		}
	}
	family("gateway_backend_up", "gauge", "1 if the backend is given requests.", ofBackends(func(p PoolStatus, i int) any { return bit(p.Backends[i].State == "up") }))
	family("gateway_backend_attempts_total", "counter", "Attempts made of the backend.", ofBackends(func(p PoolStatus, i int) any { return p.Backends[i].Requests }))
	family("gateway_backend_failures_total", "counter", "Attempts that failed.", ofBackends(func(p PoolStatus, i int) any { return p.Backends[i].Failures }))
	family("gateway_backend_seconds", "gauge", "Latency to expect.", ofBackends(func(p PoolStatus, i int) any { return p.Backends[i].Latency.Seconds() }))
	ofPools := func(f func(p PoolStatus) any) func(Status, func(string, any)) {
		return func(s Status, put func(string, any)) {
			for _, p := range s.Pools {
				put(fmt.Sprintf(",pool=%q", p.Name), f(p))
			}
		}
	}
	family("gateway_retries_total", "counter", "Attempts made again.", ofPools(func(p PoolStatus) any { return p.Retries }))
	family("gateway_breaker_open", "gauge", "1 while the pool is given a rest.", ofPools(func(p PoolStatus) any { return bit(p.Breaker == "open") }))
	family("gateway_bound", "gauge", "How many requests may be under way to the pool; 0: no bound.", ofPools(func(p PoolStatus) any { return p.Bound }))
	_, err := io.WriteString(w, b.String())
	return err
}

func bit(on bool) int {
	if on {
		return 1
	}
	return 0
}

// sum is what all took together, give or take an eighth.
func (t *Times) sum() (d time.Duration) {
	for i, c := range t {
		low := time.Duration(0)
		if i > 0 {
			low = upper(i - 1)
		}
		d += time.Duration(c) * (low + upper(i)) / 2
	}
	return d
}
