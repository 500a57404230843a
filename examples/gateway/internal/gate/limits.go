package gate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ashlar-go/ashlar/examples/gateway/internal/redis"
	"github.com/ashlar-go/ashlar/examples/gateway/internal/rules"
	"github.com/ashlar-go/ashlar/ratelimit"
	"github.com/ashlar-go/ashlar/ratelimit/redisstore"
)

// Limits says where a gateway counts.
type Limits struct {
	// Redis is the host:port of the server that several gateways count on together; empty:
	// this gateway counts for itself.
	Redis string `json:"redis,omitempty"`
	// Edge counts here and synchronises each Every: no request waits for Redis, and k
	// gateways together may admit (k-1) × (burst + events in Every) too much for a while.
	// Otherwise every request asks Redis, and the limit is kept exactly.
	Edge  bool           `json:"edge,omitempty"`
	Every rules.Duration `json:"every,omitempty"` // 0: 100 ms
	// Timeout is the longest that a request waits for Redis; 0: 50 ms.
	Timeout rules.Duration `json:"timeout,omitempty"`
	// Gateways is how many there are: without Redis each keeps one part of so many. 0: 1.
	Gateways int `json:"gateways,omitempty"`
	// Failure says what happens without Redis: "local" (or empty) keeps the limits here,
	// "open" admits all, "closed" refuses all.
	Failure string `json:"failure,omitempty"`
}

// Counting is how a gateway counts at one moment. Counts are since its start.
type Counting struct {
	Mode     string // "memory", "redis" or "edge"
	Down     bool   // Redis is
	Calls    uint64 // of Redis
	Failures uint64
	Degraded uint64 // decisions without Redis
	Denied   uint64 // refused without asking again
}

// counter is a Taker, what it tells of itself, and what ends it.
type counter struct {
	ratelimit.Taker
	status func() Counting
	close  func() error
}

func (l Limits) open(event func(text string)) (*counter, error) {
	if l.Redis == "" {
		m, err := ratelimit.NewMemory(ratelimit.MemoryOptions{})
		if err != nil {
			return nil, err
		}
		return &counter{memory{m}, func() Counting { return Counting{Mode: "memory"} }, func() error { return nil }}, nil
	}
	client := redis.NewClient(l.Redis, 0)
	store, err := redisstore.New(client, redisstore.Options{Prefix: "{ashlar-gateway}:"})
	if err != nil {
		return nil, err
	}
	if l.Edge {
		// While Redis is away every synchronisation fails; that is news now and then.
		news, err := ratelimit.New(ratelimit.Every(10 * time.Second))
		if err != nil {
			return nil, err
		}
		e, err := ratelimit.NewEdge(store, ratelimit.EdgeOptions{
			Every: time.Duration(l.Every), Timeout: time.Duration(l.Timeout),
			OnError: func(err error) {
				if news.Allow() {
					event("limits could not be synchronised: " + err.Error())
				}
			},
		})
		if err != nil {
			return nil, err
		}
		return &counter{e, func() Counting { return Counting{Mode: "edge"} }, func() error { return errors.Join(e.Close(), client.Close()) }}, nil
	}
	failure, ok := map[string]ratelimit.Failure{
		"": ratelimit.FailLocal, "local": ratelimit.FailLocal, "open": ratelimit.FailOpen, "closed": ratelimit.FailClosed,
	}[l.Failure]
	if !ok {
		return nil, fmt.Errorf("%w: failure is local, open or closed, not %q", ErrOptions, l.Failure)
	}
	s, err := ratelimit.NewShared(store, ratelimit.SharedOptions{
		Timeout: time.Duration(l.Timeout), Nodes: l.Gateways, OnFailure: failure,
		OnBreaker: func(open bool, err error) {
			if open {
				event(fmt.Sprintf("Redis is gone (%v): limits are kept here", err))
			} else {
				event("Redis is back: limits are shared again")
			}
		},
	})
	if err != nil {
		return nil, err
	}
	status := func() Counting {
		st := s.Stats()
		return Counting{Mode: "redis", Down: st.Open, Calls: st.Calls, Failures: st.Failures, Degraded: st.Degraded, Denied: st.Denied}
	}
	return &counter{s, status, func() error { return errors.Join(s.Close(), client.Close()) }}, nil
}

// memory is a Taker of a store in this process.
type memory struct{ *ratelimit.Memory }

// Take implements ratelimit.Taker.
func (m memory) Take(ctx context.Context, reqs ...ratelimit.Request) (ratelimit.Decision, error) {
	all := make([]ratelimit.Decision, len(reqs))
	if err := m.Memory.Take(ctx, reqs, all); err != nil {
		return ratelimit.Decision{}, err
	}
	return deciding(all), nil
}

// deciding is the decision that decides: of those that refuse, the one to wait for
// longest; else the one with the smallest share left.
func deciding(all []ratelimit.Decision) ratelimit.Decision {
	best := all[0]
	for _, d := range all[1:] {
		switch {
		case d.OK != best.OK:
			if !d.OK {
				best = d
			}
		case !d.OK:
			if d.RetryAfter > best.RetryAfter {
				best = d
			}
		case float64(d.Remaining)/float64(d.Quota) < float64(best.Remaining)/float64(best.Quota):
			best = d
		}
	}
	return best
}

// requests are what limits ask of a key for a request that costs 1.
func requests(key string, limits []rules.Limit) ([]ratelimit.Request, error) {
	out := make([]ratelimit.Request, 0, len(limits))
	for _, l := range limits {
		limit, algorithm, err := l.Counted()
		if err != nil {
			return nil, err
		}
		out = append(out, ratelimit.Request{Key: key, Limit: limit, N: 1, Algorithm: algorithm})
	}
	return out, nil
}

// checkEdge refuses rules that a counting edge cannot keep.
func (l Limits) checkEdge(r *rules.Rules) error {
	if !l.Edge || l.Redis == "" {
		return nil
	}
	all := append(append([]rules.Limit{}, r.IP...), r.User...)
	for _, limits := range r.Tiers {
		all = append(all, limits...)
	}
	for i := range r.Routes {
		all = append(all, r.Routes[i].Limits...)
	}
	for _, limit := range all {
		switch _, a, _ := limit.Counted(); a {
		case ratelimit.GCRA, ratelimit.TokenBucket, ratelimit.FixedWindow:
		default:
			return fmt.Errorf("%w: limit %q: edges cannot count by %v", rules.ErrRules, limit.Name, a)
		}
	}
	return nil
}
