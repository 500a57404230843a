package gate

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/gateway/internal/redis"
	"github.com/ashlar-go/ashlar/examples/gateway/internal/rules"
)

func startRedis(t *testing.T) *redis.Server {
	s, err := redis.Start(t.Context())
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// hundred gives the free tier a hundred, and addresses enough.
func hundred(s string) string {
	return strings.NewReplacer(`"free", "events": 5`, `"free", "events": 100`, `"events": 50,`, `"events": 100000,`, `"events": 40,`, `"events": 100000,`).Replace(s)
}

// flood makes n requests at once, spread over the gateways, and counts the answers.
func flood(n int, all ...*rig) map[int]int {
	var mu sync.Mutex
	got := map[int]int{}
	var wg sync.WaitGroup
	var next atomic.Int64
	for range 50 {
		wg.Go(func() {
			for i := int(next.Add(1)); i <= n; i = int(next.Add(1)) {
				res, _ := all[i%len(all)].do(http.MethodGet, "/files/a.txt", "X-Api-Key", "secret1", "X-Forwarded-For", fmt.Sprintf("10.0.0.%d", i%200))
				mu.Lock()
				got[res.StatusCode]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return got
}

// TestGatewaysShareLimits: a thousand requests of one key at two gateways, one Redis, a
// limit of a hundred.
func TestGatewaysShareLimits(t *testing.T) {
	r := startRedis(t)
	o := Options{Limits: Limits{Redis: r.Addr, Gateways: 2, Timeout: rules.Duration(5 * time.Second)}}
	a, b := newRig(t, hundred, o), newRig(t, hundred, o)
	require.Equal(t, map[int]int{200: 100, 429: 900}, flood(1000, a, b))
	require.Equal(t, "redis", a.Look().Counting.Mode)
}

// TestEdgesShareLimits: edges admit more than the limit by no more than is stated.
func TestEdgesShareLimits(t *testing.T) {
	r := startRedis(t)
	o := Options{Limits: Limits{Redis: r.Addr, Edge: true, Every: rules.Duration(10 * time.Millisecond)}}
	a, b := newRig(t, hundred, o), newRig(t, hundred, o)
	begun := time.Now()
	got := flood(1000, a, b)
	w := time.Since(begun).Seconds()
	require.LessOrEqual(t, float64(got[200]), 100+100*w/3600+(100+100*0.01/3600)+1)
	require.GreaterOrEqual(t, got[200], 100)
}

// TestRedisDies: requests go on, with limits kept by each gateway for his part; and are
// shared again soon after Redis is back.
func TestRedisDies(t *testing.T) {
	r := startRedis(t)
	const timeout = 2 * time.Second // a busy machine must not look like a dead server
	o := Options{Limits: Limits{Redis: r.Addr, Gateways: 2, Timeout: rules.Duration(timeout)}}
	a, b := newRig(t, hundred, o), newRig(t, hundred, o)
	res, _ := a.do(http.MethodGet, "/files/a.txt", "X-Api-Key", "secret2")
	require.Equal(t, 200, res.StatusCode)

	r.Kill()
	got := flood(1000, a, b)
	require.Equal(t, map[int]int{200: 100, 429: 900}, got, "two halves of a hundred")
	require.True(t, a.Look().Counting.Down)
	require.Positive(t, a.Look().Counting.Degraded)

	require.NoError(t, r.Restart(t.Context()))
	begun := time.Now()
	for _, g := range []*rig{a, b} {
		for g.Look().Counting.Down {
			g.do(http.MethodGet, "/files/a.txt", "X-Api-Key", "secret2")
			require.Less(t, time.Since(begun), 10*time.Second)
		}
	}
	t.Logf("shared again after %v", time.Since(begun))
	require.Equal(t, map[int]int{200: 100, 429: 900}, flood(1000, a, b), "the new Redis knows nothing of before")
	texts := ""
	for _, e := range a.events() {
		texts += e.Text + "\n"
	}
	require.Contains(t, texts, "Redis is gone")
	require.Contains(t, texts, "Redis is back")
}

// TestCorruptCounts: what somebody else wrote under a key is decided as if Redis were gone,
// for this key alone: here, nothing is admitted.
func TestCorruptCounts(t *testing.T) {
	r := startRedis(t)
	a := newRig(t, hundred, Options{Limits: Limits{Redis: r.Addr, Timeout: rules.Duration(5 * time.Second), Failure: "closed"}})
	res, _ := a.do(http.MethodGet, "/files/a.txt", "X-Api-Key", "secret1")
	require.Equal(t, 200, res.StatusCode)
	c := redis.NewClient(r.Addr, 0)
	defer c.Close()
	found, err := c.Do(t.Context(), "KEYS", "*key:k1*")
	require.NoError(t, err)
	require.Len(t, found, 1)
	_, err = c.Do(t.Context(), "SET", found.([]any)[0], "rubbish", "EX", "60")
	require.NoError(t, err)
	for range 3 {
		res, _ = a.do(http.MethodGet, "/files/a.txt", "X-Api-Key", "secret1")
		require.Equal(t, 429, res.StatusCode)
	}
	require.False(t, a.Look().Counting.Down)
	res, _ = a.do(http.MethodGet, "/files/a.txt", "X-Api-Key", "secret2")
	require.Equal(t, 200, res.StatusCode, "other keys are not concerned")
	_, err = c.Do(t.Context(), "SCRIPT", "FLUSH")
	require.NoError(t, err)
	res, _ = a.do(http.MethodGet, "/files/a.txt", "X-Api-Key", "secret2")
	require.Equal(t, 200, res.StatusCode, "a server that has forgotten the script is told it again")
}

func TestMetrics(t *testing.T) {
	a := newRig(t, as, Options{})
	for range 7 {
		a.do(http.MethodGet, "/files/a.txt", "X-Api-Key", "secret1")
	}
	var b strings.Builder
	require.NoError(t, WriteMetrics(&b, a.Gateway))
	for _, line := range []string{
		`gateway_requests_total{gateway="g1",route="files",class="2xx"} 5`,
		`gateway_requests_total{gateway="g1",route="files",class="4xx"} 2`,
		`gateway_limited_total{gateway="g1",route="files"} 2`,
		`gateway_bytes_total{gateway="g1",route="files"}`,
		`gateway_seconds_count{gateway="g1",route="files"} 7`,
		`gateway_seconds_bucket{gateway="g1",route="files",le="+Inf"} 7`,
		`gateway_backend_up{gateway="g1",pool="p",backend="b1"} 1`,
		`gateway_backend_attempts_total{gateway="g1",pool="p",backend="b1"} 5`,
		`gateway_breaker_open{gateway="g1",pool="p"} 0`,
	} {
		require.Contains(t, b.String(), line)
	}
}
