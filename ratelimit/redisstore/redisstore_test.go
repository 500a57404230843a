package redisstore_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/ratelimit"
	"github.com/ashlar-go/ashlar/ratelimit/ratelimittest"
	"github.com/ashlar-go/ashlar/ratelimit/redisstore"
)

var algorithms = []ratelimit.Algorithm{
	ratelimit.GCRA, ratelimit.TokenBucket, ratelimit.LeakyBucket,
	ratelimit.FixedWindow, ratelimit.SlidingLog, ratelimit.SlidingCounter,
}

func open(t testing.TB, c redisstore.Doer) *redisstore.Store {
	s, err := redisstore.New(c, redisstore.Options{})
	require.NoError(t, err)
	return s
}

func TestConformance(t *testing.T) {
	srv := start(t)
	c := srv.client(t)
	ratelimittest.TestStore(t, func(t *testing.T) ratelimit.Store { return open(t, c) })
	// Whatever ran: no key without a time to live.
	everyKeyExpires(t, c)
}

func everyKeyExpires(t *testing.T, c *client) {
	t.Helper()
	keys, err := c.Do(t.Context(), "KEYS", "*")
	require.NoError(t, err)
	for _, k := range keys.([]any) {
		ttl, err := c.Do(t.Context(), "PTTL", k)
		require.NoError(t, err)
		require.NotEqualValues(t, -1, ttl, "%v", k)
	}
}

// One round trip for one to eight limits, counted on the wire; one more only when the
// server has lost the script.
func TestRoundTrips(t *testing.T) {
	srv := start(t)
	p := newProxy(t, srv.path)
	s := open(t, newClient(t, p.path))
	take := func(n int) {
		var reqs []ratelimit.Request
		for i := range n {
			reqs = append(reqs, ratelimit.Request{Key: fmt.Sprint(i), Limit: ratelimit.PerHour(1000), N: 1, Algorithm: algorithms[i%len(algorithms)]})
		}
		require.NoError(t, s.Take(t.Context(), reqs, make([]ratelimit.Decision, n)))
	}
	take(1)
	require.EqualValues(t, 2, p.requests.Load(), "NOSCRIPT")
	for n := 1; n <= 8; n++ {
		before := p.requests.Load()
		take(n)
		require.Equal(t, before+1, p.requests.Load())
	}
	_, err := srv.client(t).Do(t.Context(), "SCRIPT", "FLUSH")
	require.NoError(t, err)
	before := p.requests.Load()
	take(3)
	require.Equal(t, before+2, p.requests.Load())
}

// What the store decides is what the same limit in memory decides, under limits that time
// does not change while the test runs, and with the same words.
func TestAgainstMemory(t *testing.T) {
	srv := start(t)
	s := open(t, srv.client(t))
	m, err := ratelimit.NewMemory(ratelimit.MemoryOptions{})
	require.NoError(t, err)
	for _, a := range algorithms {
		l := ratelimit.Limit{Name: "odd", Events: 37, Per: 40 * 24 * time.Hour, Burst: 20}
		for i, n := range []int64{1, 3, 0, 7, -1, 50, 8, 9, 15, 1, 1, 5, 1} {
			req := []ratelimit.Request{{Key: a.String(), Limit: l, N: n, Algorithm: a, Charge: i == 8}}
			got, want := make([]ratelimit.Decision, 1), make([]ratelimit.Decision, 1)
			require.NoError(t, s.Take(t.Context(), req, got))
			require.NoError(t, m.Take(t.Context(), req, want))
			for _, d := range []*time.Duration{&got[0].RetryAfter, &want[0].RetryAfter, &got[0].ResetAfter, &want[0].ResetAfter, &got[0].Delay, &want[0].Delay} {
				if *d != ratelimit.Never {
					*d = d.Round(time.Minute)
				}
			}
			require.Equal(t, want[0], got[0], "%v: step %d: %d", a, i, n)
		}
	}
}

// Rates that are no whole number of microseconds are kept exactly: 7 in 20 ms gives, after
// the burst, the n-th event no earlier than n × 20/7 ms.
func TestOddRates(t *testing.T) {
	srv := start(t)
	s := open(t, srv.client(t))
	l := ratelimit.Limit{Events: 7, Per: 20 * time.Millisecond, Burst: 1}
	begin := time.Now()
	for n := 0; n < 22; {
		dst := make([]ratelimit.Decision, 1)
		require.NoError(t, s.Take(t.Context(), []ratelimit.Request{{Key: "x", Limit: l, N: 1}}, dst))
		if dst[0].OK {
			n++
			continue
		}
		require.LessOrEqual(t, dst[0].RetryAfter, l.Per/7+time.Microsecond)
		<-time.After(dst[0].RetryAfter)
	}
	require.GreaterOrEqual(t, time.Since(begin), 3*l.Per-2*time.Microsecond)
}

func TestCorruptValues(t *testing.T) {
	srv := start(t)
	c := srv.client(t)
	s := open(t, c)
	for _, a := range algorithms {
		req := ratelimit.Request{Key: "k", Limit: ratelimit.PerHour(3), N: 1, Algorithm: a}
		good := ratelimit.Request{Key: "good" + a.String(), Limit: ratelimit.PerHour(3), N: 1, Algorithm: a}
		dst := make([]ratelimit.Decision, 2)
		require.NoError(t, s.Take(t.Context(), []ratelimit.Request{req, good}, dst))
		keys, err := c.Do(t.Context(), "KEYS", "ratelimit:1:k:*")
		require.NoError(t, err)
		require.Len(t, keys, 1)
		key := keys.([]any)[0]
		for _, set := range [][]any{
			{"SET", key, "garbage"},
			{"SET", key, ""},
			{"SET", key, "-1 0 1"},
			{"SET", key, "1e300 0 1"},
			{"SET", key, "nan 0 1"},
			{"SET", key, "99999999999999999999999 0 1"},
			{"SET", key, "1 2"},
			{"RPUSH", key, "a"},
			{"HSET", key, "a", "b"},
			{"ZADD", key, "1.5", "a"},
			{"ZADD", key, "inf", "a"},
		} {
			_, err := c.Do(t.Context(), "DEL", key)
			require.NoError(t, err)
			_, err = c.Do(t.Context(), set...)
			require.NoError(t, err)
			err = s.Take(t.Context(), []ratelimit.Request{good, req}, dst)
			require.ErrorIs(t, err, ratelimit.ErrCorrupt, "%v: %v", a, set)
		}
		// It does not cut off other keys.
		sh, err := ratelimit.NewShared(s, ratelimit.SharedOptions{OnFailure: ratelimit.FailClosed})
		require.NoError(t, err)
		d, err := sh.Take(t.Context(), req)
		require.NoError(t, err)
		require.True(t, !d.OK && d.Degraded)
		good.N = 0
		d, err = sh.Take(t.Context(), good)
		require.NoError(t, err)
		require.False(t, d.Degraded)
		require.NoError(t, sh.Close())
		good.N = 1

		require.NoError(t, s.Reset(t.Context(), "k"))
		require.NoError(t, s.Take(t.Context(), []ratelimit.Request{good, req}, dst))
		require.EqualValues(t, 1, dst[0].Remaining, "nothing was taken meanwhile")
		require.NoError(t, s.Reset(t.Context(), "k"))
	}
}

func TestLimitsThatRedisCannotKeep(t *testing.T) {
	c := &client{dial: nil}
	s := open(t, c)
	for _, r := range []ratelimit.Request{
		{Limit: ratelimit.Limit{Events: 1, Per: time.Nanosecond, Burst: 1}, Algorithm: ratelimit.FixedWindow},
		{Limit: ratelimit.Limit{Events: 1_000_000, Per: time.Hour, Burst: 1}, Algorithm: ratelimit.SlidingLog},
		{Limit: ratelimit.Limit{Events: 1 << 55, Per: time.Hour, Burst: 1}, Algorithm: ratelimit.SlidingCounter},
		{Limit: ratelimit.Limit{}},
	} {
		require.ErrorIs(t, s.Take(t.Context(), []ratelimit.Request{r}, make([]ratelimit.Decision, 1)), ratelimit.ErrLimit)
	}
	require.Zero(t, c.sent.Load())
	_, err := redisstore.New(nil, redisstore.Options{})
	require.ErrorIs(t, err, ratelimit.ErrOptions)
}

// doer answers as told.
type doer func(args []any) (any, error)

func (d doer) Do(_ context.Context, args ...any) (any, error) { return d(args) }

func TestStrangeReplies(t *testing.T) {
	req := []ratelimit.Request{{Key: "k", Limit: ratelimit.PerHour(3), N: 1}}
	for _, r := range []any{nil, "OK", int64(1), []any{}, []any{int64(1)}, []any{int64(1), int64(2), nil, int64(0), int64(0)}, []any{"x", "", "", "", ""}} {
		s := open(t, doer(func([]any) (any, error) { return r, nil }))
		require.ErrorIs(t, s.Take(t.Context(), req, make([]ratelimit.Decision, 1)), redisstore.ErrReply)
		require.ErrorIs(t, s.Reset(t.Context(), "k"), redisstore.ErrReply)
	}
	for _, r := range [][]any{
		{int64(1), int64(math.MinInt64), int64(math.MaxInt64), int64(math.MaxInt64), int64(-5)},
		{int64(0), int64(math.MaxInt64), int64(math.MaxInt64), int64(math.MinInt64), int64(7)},
		{[]byte("1"), "0", "0", 0, int64(0)},
	} {
		s := open(t, doer(func([]any) (any, error) { return r, nil }))
		for _, a := range algorithms {
			req[0].Algorithm = a
			dst := make([]ratelimit.Decision, 1)
			require.NoError(t, s.Take(t.Context(), req, dst))
			require.GreaterOrEqual(t, dst[0].RetryAfter, time.Duration(0))
			require.GreaterOrEqual(t, dst[0].ResetAfter, time.Duration(0))
		}
	}
	s := open(t, doer(func([]any) (any, error) { return nil, errors.New("boom") }))
	require.ErrorContains(t, s.Take(t.Context(), req, make([]ratelimit.Decision, 1)), "boom")
	require.ErrorContains(t, s.Reset(t.Context(), "k"), "boom")
	loop := 0
	s = open(t, doer(func([]any) (any, error) { loop++; return []any{"x", []any{}}, nil }))
	require.ErrorIs(t, s.Reset(t.Context(), "k"), redisstore.ErrReply)
	require.Equal(t, 1, loop)
}

const helperEnv = "ASHLAR_REDISSTORE_HELPER"

// Two processes, a thousand takes each at once, a limit of a hundred: a hundred.
func TestTwoProcesses(t *testing.T) {
	if path := os.Getenv(helperEnv); path != "" {
		fmt.Printf("admitted %d\n", hammer(t, path))
		return
	}
	srv := start(t)
	var wg sync.WaitGroup
	var total atomic.Int64
	for range 2 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestTwoProcesses$", "-test.v")
		cmd.Env = append(os.Environ(), helperEnv+"="+srv.path)
		wg.Go(func() {
			out, err := cmd.CombinedOutput()
			var n int64
			_, rest, _ := strings.Cut(string(out), "admitted ")
			if _, serr := fmt.Sscan(rest, &n); err != nil || serr != nil {
				t.Errorf("%v %v: %s", err, serr, out)
			}
			total.Add(n)
		})
	}
	wg.Wait()
	require.EqualValues(t, 100, total.Load())
	everyKeyExpires(t, srv.client(t))
}

func hammer(t *testing.T, path string) int64 {
	s := open(t, newClient(t, path))
	var wg sync.WaitGroup
	var n atomic.Int64
	for range 1000 {
		wg.Go(func() {
			dst := make([]ratelimit.Decision, 2)
			err := s.Take(t.Context(), []ratelimit.Request{
				{Key: "x", Limit: ratelimit.Limit{Events: 1, Per: time.Hour, Burst: 100}, N: 1},
				{Key: "x", Limit: ratelimit.Limit{Name: "wide", Events: 5000, Per: time.Hour, Burst: 1}, N: 1, Algorithm: ratelimit.SlidingLog},
			}, dst)
			if err != nil {
				t.Error(err)
			} else if dst[0].OK && dst[1].OK {
				n.Add(1)
			}
		})
	}
	wg.Wait()
	return n.Load()
}

// Redis dies, and comes back: the first call ends within its timeout, the next do not
// reach for it, and soon after its return it decides again.
func TestServerDies(t *testing.T) {
	srv := start(t)
	c := srv.client(t)
	sh, err := ratelimit.NewShared(open(t, c), ratelimit.SharedOptions{Cooldown: 20 * time.Millisecond})
	require.NoError(t, err)
	defer sh.Close()
	take := func(i int) ratelimit.Decision {
		d, err := sh.Take(t.Context(), ratelimit.Request{Key: fmt.Sprint(i), Limit: ratelimit.PerHour(10), N: 1})
		require.NoError(t, err)
		return d
	}
	require.False(t, take(0).Degraded)
	bin := srv.cmd.Path
	srv.kill()
	begin := time.Now()
	require.True(t, take(0).Degraded)
	t.Logf("first call %v", time.Since(begin))
	begin = time.Now()
	for i := range 200 {
		require.True(t, take(i).Degraded)
	}
	t.Logf("next calls %v each", time.Since(begin)/200)
	os.Remove(srv.path)
	srv.run(t, bin)
	begin = time.Now()
	for i := 0; take(i).Degraded; i++ {
		require.Less(t, time.Since(begin), 30*time.Second)
		<-time.After(time.Millisecond)
	}
	t.Logf("back after %v", time.Since(begin))
}

// A server that does not answer: as one that is dead, at the cost of one timeout.
func TestServerHangs(t *testing.T) {
	srv := start(t)
	p := newProxy(t, srv.path)
	sh, err := ratelimit.NewShared(open(t, newClient(t, p.path)), ratelimit.SharedOptions{Timeout: 30 * time.Millisecond, OnFailure: ratelimit.FailClosed, Cooldown: 10 * time.Millisecond})
	require.NoError(t, err)
	defer sh.Close()
	req := ratelimit.Request{Key: "x", Limit: ratelimit.PerHour(10), N: 1}
	p.hold.Store(true)
	for range 10 {
		d, err := sh.Take(t.Context(), req)
		require.NoError(t, err)
		require.True(t, d.Degraded)
		require.False(t, d.OK)
	}
	p.hold.Store(false)
	begin := time.Now()
	for {
		d, err := sh.Take(t.Context(), req)
		require.NoError(t, err)
		if !d.Degraded {
			break
		}
		require.Less(t, time.Since(begin), 30*time.Second)
		<-time.After(time.Millisecond)
	}
}

func BenchmarkTake(b *testing.B) {
	srv := start(b)
	s := open(b, srv.client(b))
	for _, n := range []int{1, 3, 8} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var reqs []ratelimit.Request
			for i := range n {
				reqs = append(reqs, ratelimit.Request{Key: fmt.Sprint(i), Limit: ratelimit.PerSecond(1_000_000), N: 1})
			}
			dst := make([]ratelimit.Decision, n)
			for b.Loop() {
				if err := s.Take(b.Context(), reqs, dst); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// The names and the form of what lies in Redis: processes of different versions share it.
func TestWhatLiesInRedis(t *testing.T) {
	srv := start(t)
	c := srv.client(t)
	s := open(t, c)
	l := ratelimit.Limit{Name: "hour", Events: 7, Per: time.Hour, Burst: 7}
	for a, want := range map[ratelimit.Algorithm][2]string{
		ratelimit.GCRA:           {"ratelimit:8:user:ada:hour:g", `^\d{16} 0 7$`},
		ratelimit.TokenBucket:    {"ratelimit:8:user:ada:hour:t", `^\d{16} 0 7$`},
		ratelimit.LeakyBucket:    {"ratelimit:8:user:ada:hour:q", `^\d{16} 0 7$`},
		ratelimit.FixedWindow:    {"ratelimit:8:user:ada:hour:w3600000000000", `^\d+00000000 7 0$`},
		ratelimit.SlidingCounter: {"ratelimit:8:user:ada:hour:c3600000000000", `^\d+00000000 7 0$`},
		ratelimit.SlidingLog:     {"ratelimit:8:user:ada:hour:l", `^\d{16}:1$`},
	} {
		require.NoError(t, s.Take(t.Context(), []ratelimit.Request{{Key: "user:ada", Limit: l, N: 7, Algorithm: a}}, make([]ratelimit.Decision, 1)))
		var v any
		var err error
		if a == ratelimit.SlidingLog {
			v, err = c.Do(t.Context(), "ZRANGE", want[0], 0, 0)
			require.NoError(t, err)
			v = v.([]any)[0]
		} else {
			v, err = c.Do(t.Context(), "GET", want[0])
			require.NoError(t, err)
		}
		require.Regexp(t, want[1], v, "%v", a)
	}
	keys, err := c.Do(t.Context(), "DBSIZE")
	require.NoError(t, err)
	require.EqualValues(t, len(algorithms), keys)
}
