// Package ratelimittest checks implementations of ratelimit.Store.
//
//	func TestStore(t *testing.T) {
//		ratelimittest.TestStore(t, func(t *testing.T) ratelimit.Store { return open(t) })
//	}
package ratelimittest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ashlar-go/ashlar/ratelimit"
)

// TestStore runs the conformance suite. Each call of open returns a store that may share
// its counts with those returned before: the suite never uses a key twice. It runs on the
// store's own clock and takes less than a second of it.
func TestStore(t *testing.T, open func(t *testing.T) ratelimit.Store) {
	s := &suite{open: open, run: time.Now().UnixNano()}
	for _, a := range []ratelimit.Algorithm{
		ratelimit.GCRA, ratelimit.TokenBucket, ratelimit.LeakyBucket,
		ratelimit.FixedWindow, ratelimit.SlidingLog, ratelimit.SlidingCounter,
	} {
		t.Run(a.String(), func(t *testing.T) {
			t.Run("counts", func(t *testing.T) { s.counts(t, a) })
			t.Run("refills", func(t *testing.T) { s.refills(t, a) })
			t.Run("costs", func(t *testing.T) { s.costs(t, a) })
			t.Run("all or nothing", func(t *testing.T) { s.allOrNothing(t, a) })
			t.Run("charge", func(t *testing.T) { s.charge(t, a) })
			t.Run("reset", func(t *testing.T) { s.reset(t, a) })
			t.Run("race", func(t *testing.T) { s.race(t, a) })
		})
	}
	t.Run("bad requests", s.badRequests)
	t.Run("names", s.names)
	t.Run("context", s.context)
}

type suite struct {
	open func(t *testing.T) ratelimit.Store
	run  int64
	n    atomic.Int64
}

// key is one that was never used before.
func (s *suite) key() string { return fmt.Sprintf("ratelimittest:%d:%d", s.run, s.n.Add(1)) }

// slow is a limit under which the suite's own duration does not count, unless it runs at
// the very instant, once in ten days, at which a window of it ends.
func slow(n int64) ratelimit.Limit {
	return ratelimit.Limit{Name: "slow", Events: n, Per: 10 * 24 * time.Hour, Burst: n}
}

func take(t *testing.T, s ratelimit.Store, reqs ...ratelimit.Request) (bool, []ratelimit.Decision) {
	t.Helper()
	dst := make([]ratelimit.Decision, len(reqs))
	if err := s.Take(t.Context(), reqs, dst); err != nil {
		t.Fatalf("Take: %v", err)
	}
	ok := true
	for i, d := range dst {
		ok = ok && d.OK
		if d.Limit != reqs[i].Limit.Name {
			t.Errorf("Limit %q, want %q", d.Limit, reqs[i].Limit.Name)
		}
		if d.OK != (d.RetryAfter == 0) {
			t.Errorf("OK and RetryAfter contradict each other: %+v", d)
		}
		if d.ResetAfter < 0 || d.RetryAfter < 0 || d.Delay < 0 {
			t.Errorf("negative time: %+v", d)
		}
	}
	return ok, dst
}

func want[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Fatalf("%s: %v, want %v", what, got, want)
	}
}

func (s *suite) counts(t *testing.T, a ratelimit.Algorithm) {
	st, r := s.open(t), ratelimit.Request{Key: s.key(), Limit: slow(10), N: 1, Algorithm: a}
	for i := range int64(10) {
		ok, d := take(t, st, r)
		want(t, "admitted", ok, true)
		want(t, "quota", d[0].Quota, 10)
		want(t, "remaining", d[0].Remaining, 9-i)
	}
	ok, d := take(t, st, r)
	want(t, "admitted", ok, false)
	want(t, "remaining", d[0].Remaining, 0)
	if d[0].RetryAfter > r.Limit.Per*2 || d[0].ResetAfter > r.Limit.Per*2 || d[0].ResetAfter < d[0].RetryAfter {
		t.Errorf("retry after %v, reset after %v", d[0].RetryAfter, d[0].ResetAfter)
	}
	r.N = 0
	ok, _ = take(t, st, r)
	want(t, "peek of an empty one", ok, false)
	r.Key = s.key()
	for range 2 {
		ok, d = take(t, st, r)
		want(t, "peek", ok, true)
		want(t, "remaining after a peek", d[0].Remaining, 10)
	}
}

func (s *suite) refills(t *testing.T, a ratelimit.Algorithm) {
	l := ratelimit.Limit{Events: 4, Per: 20 * time.Millisecond, Burst: 4}
	st, r := s.open(t), ratelimit.Request{Key: s.key(), Limit: l, N: 1, Algorithm: a}
	start, admitted := time.Now(), 0
	for time.Since(start) < time.Minute && admitted < 12 {
		ok, d := take(t, st, r)
		if ok {
			admitted++
			continue
		}
		<-time.After(d[0].RetryAfter)
	}
	want(t, "admitted", admitted, 12)
	// Twelve events of four a period: at least one period of refilling, whatever the
	// algorithm, even if windows ended at the best moments.
	if d := time.Since(start); d < l.Per/2 {
		t.Errorf("twelve in %v", d)
	}
}

func (s *suite) costs(t *testing.T, a ratelimit.Algorithm) {
	st, r := s.open(t), ratelimit.Request{Key: s.key(), Limit: slow(10), N: 4, Algorithm: a}
	ok, d := take(t, st, r)
	want(t, "admitted", ok, true)
	want(t, "remaining", d[0].Remaining, 6)
	for _, n := range []int64{-1, math.MinInt64, 11, 1 << 40, math.MaxInt64} {
		r.N = n
		ok, d = take(t, st, r)
		want(t, fmt.Sprintf("admitted %d", n), ok, false)
		want(t, "retry after", d[0].RetryAfter, ratelimit.Never)
		want(t, "remaining", d[0].Remaining, 6)
	}
	r.N = 7
	ok, _ = take(t, st, r)
	want(t, "admitted 7 of 6", ok, false)
	r.N = 6
	ok, _ = take(t, st, r)
	want(t, "admitted 6 of 6", ok, true)
}

func (s *suite) allOrNothing(t *testing.T, a ratelimit.Algorithm) {
	st := s.open(t)
	var reqs []ratelimit.Request
	for i := range 8 {
		reqs = append(reqs, ratelimit.Request{Key: s.key(), Limit: slow(int64(12 - i)), N: 1, Algorithm: a})
	}
	for range 5 {
		ok, _ := take(t, st, reqs...)
		want(t, "admitted", ok, true)
	}
	for range 3 {
		ok, d := take(t, st, reqs...)
		want(t, "admitted", ok, false)
		for i := range d {
			want(t, "OK", d[i].OK, i < 7)
			want(t, "remaining", d[i].Remaining, int64(7-i))
		}
	}
}

func (s *suite) charge(t *testing.T, a ratelimit.Algorithm) {
	st, r := s.open(t), ratelimit.Request{Key: s.key(), Limit: slow(10), N: 13, Algorithm: a, Charge: true}
	ok, d := take(t, st, r)
	want(t, "charged", ok, true)
	want(t, "remaining", d[0].Remaining, -3)
	ok, d = take(t, st, ratelimit.Request{Key: r.Key, Limit: r.Limit, N: 1, Algorithm: a})
	want(t, "admitted in debt", ok, false)
	if d[0].RetryAfter <= 0 || d[0].RetryAfter == ratelimit.Never {
		t.Errorf("retry after %v", d[0].RetryAfter)
	}
}

func (s *suite) reset(t *testing.T, a ratelimit.Algorithm) {
	st, r := s.open(t), ratelimit.Request{Key: s.key(), Limit: slow(3), N: 3, Algorithm: a}
	other := r
	other.Limit.Name = "other"
	ok, _ := take(t, st, r, other)
	want(t, "admitted", ok, true)
	if err := st.Reset(t.Context(), r.Key, s.key()); err != nil {
		t.Fatalf("Reset: %v", err)
	}
	ok, _ = take(t, st, r)
	want(t, "admitted after a reset", ok, true)
	if err := st.Reset(t.Context()); err != nil {
		t.Fatalf("Reset of nothing: %v", err)
	}
}

func (s *suite) race(t *testing.T, a ratelimit.Algorithm) {
	st, key := s.open(t), s.key()
	var admitted atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 40 {
				dst := make([]ratelimit.Decision, 1)
				if err := st.Take(t.Context(), []ratelimit.Request{{Key: key, Limit: slow(100), N: 1, Algorithm: a}}, dst); err != nil {
					t.Errorf("Take: %v", err)
				}
				if dst[0].OK {
					admitted.Add(1)
				}
			}
		})
	}
	wg.Wait()
	want(t, "admitted", admitted.Load(), 100)
}

func (s *suite) badRequests(t *testing.T) {
	st := s.open(t)
	good := ratelimit.Request{Key: s.key(), Limit: slow(5), N: 1}
	bad := func(edit func(*ratelimit.Request)) []ratelimit.Request {
		r := good
		r.Key = s.key()
		edit(&r)
		return []ratelimit.Request{good, r}
	}
	for _, c := range []struct {
		reqs []ratelimit.Request
		err  error
	}{
		{nil, ratelimit.ErrOptions},
		{[]ratelimit.Request{good, good}, ratelimit.ErrOptions},
		{bad(func(r *ratelimit.Request) { r.Algorithm = 99 }), ratelimit.ErrOptions},
		{bad(func(r *ratelimit.Request) { r.Limit = ratelimit.Limit{} }), ratelimit.ErrLimit},
		{bad(func(r *ratelimit.Request) { r.Limit.Burst = 0 }), ratelimit.ErrLimit},
		{bad(func(r *ratelimit.Request) { r.Limit.Events = -5 }), ratelimit.ErrLimit},
		{bad(func(r *ratelimit.Request) { r.Limit.Events, r.Limit.Burst = math.MaxInt64, math.MaxInt64 }), ratelimit.ErrLimit},
		{bad(func(r *ratelimit.Request) { r.Limit.Per = -time.Second }), ratelimit.ErrLimit},
	} {
		if err := st.Take(t.Context(), c.reqs, make([]ratelimit.Decision, len(c.reqs))); !errors.Is(err, c.err) {
			t.Errorf("%+v: %v, want %v", c.reqs, err, c.err)
		}
	}
	if err := st.Take(t.Context(), []ratelimit.Request{good}, nil); !errors.Is(err, ratelimit.ErrOptions) {
		t.Errorf("no room for decisions: %v", err)
	}
	_, d := take(t, st, ratelimit.Request{Key: good.Key, Limit: good.Limit})
	want(t, "remaining after errors", d[0].Remaining, 5)
}

// names checks that keys and names of any bytes do not run into each other.
func (s *suite) names(t *testing.T) {
	st, key := s.open(t), s.key()
	for _, k := range []string{"", ":", "a", "a:", "{a}", "a b", "a\x00", "\xff\r\n", "ä"} {
		for _, name := range []string{"", ":", "a", "a:b", "{", "\r\n"} {
			l := slow(1)
			l.Name = name
			ok, _ := take(t, st, ratelimit.Request{Key: key + k, Limit: l, N: 1})
			want(t, fmt.Sprintf("admitted %q %q", k, name), ok, true)
		}
	}
}

func (s *suite) context(t *testing.T) {
	st := s.open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r := ratelimit.Request{Key: s.key(), Limit: slow(1), N: 1}
	if err := st.Take(ctx, []ratelimit.Request{r}, make([]ratelimit.Decision, 1)); !errors.Is(err, context.Canceled) {
		t.Errorf("with a cancelled context: %v", err)
	}
}
