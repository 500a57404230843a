package frontier

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/lsm/lsmtest"
)

// world is a frontier on a disk in memory, under a clock that the test moves.
type world struct {
	t   testing.TB
	fs  *lsmtest.FS
	o   Options
	now time.Time
	*Frontier
}

func newWorld(t testing.TB, o Options) *world {
	if o.Store.MemtableSize == 0 {
		o.Store.MemtableSize = 64 << 10
	}
	w := &world{t: t, fs: lsmtest.NewFS(), o: o, now: time.Unix(1_800_000_000, 0)}
	w.open()
	t.Cleanup(func() { require.NoError(t, w.Close()) })
	return w
}

func (w *world) open() {
	w.t.Helper()
	o := w.o
	o.Now = func() time.Time { return w.now }
	o.Store.FS, o.Store.Now = w.fs, time.Now // which goroutines of the store read
	f, err := Open("dir", o)
	require.NoError(w.t, err)
	f.work.Wait()
	w.Frontier = f
}

func (w *world) reopen() {
	w.t.Helper()
	require.NoError(w.t, w.Close())
	w.open()
}

func (w *world) add(urls ...string) {
	w.t.Helper()
	var items []Item
	for _, u := range urls {
		items = append(items, Item{URL: u})
	}
	n, err := w.Add(context.Background(), items...)
	require.NoError(w.t, err)
	require.Equal(w.t, len(urls), n)
}

func (w *world) lease(url string) *Lease {
	w.t.Helper()
	l, err := w.TryLease()
	require.NoError(w.t, err)
	require.Equal(w.t, url, l.URL)
	return l
}

func (w *world) nothing() {
	w.t.Helper()
	_, err := w.TryLease()
	require.ErrorIs(w.t, err, ErrNotReady)
}

func (w *world) pass(d time.Duration) { w.now = w.now.Add(d) }

// after checks that the URL is leased after d, and not a millisecond before.
func (w *world) after(d time.Duration, url string) *Lease {
	w.t.Helper()
	w.pass(d - time.Millisecond)
	w.nothing()
	w.pass(time.Millisecond)
	return w.lease(url)
}

func (w *world) info(host string) HostInfo {
	w.t.Helper()
	i, ok := w.Host(host)
	require.True(w.t, ok)
	return i
}

func TestBadItems(t *testing.T) {
	w := newWorld(t, Options{MaxMeta: 10})
	bad := map[string]Item{
		"empty":          {},
		"no scheme":      {URL: "example.com/"},
		"other scheme":   {URL: "ftp://example.com/"},
		"javascript":     {URL: "javascript:alert(1)"},
		"no host":        {URL: "https:///path"},
		"user only":      {URL: "https://user@/"},
		"port only":      {URL: "https://:443/"},
		"huge":           {URL: "https://example.com/" + strings.Repeat("x", 8<<10)},
		"host of 64 KiB": {URL: "https://a.example/", Host: strings.Repeat("h", 64<<10)},
		"host too long":  {URL: "https://" + strings.Repeat("h", 256) + "/"},
		"space in host":  {URL: "https://a b.example/"},
		"NUL in host":    {URL: "https://a\x00b.example/"},
		"NaN":            {URL: "https://a.example/", Priority: math.NaN()},
		"negative":       {URL: "https://a.example/", Priority: -1},
		"infinite":       {URL: "https://a.example/", Priority: math.Inf(1)},
		"over 5":         {URL: "https://a.example/", Priority: 5.01},
		"depth":          {URL: "https://a.example/", Depth: -1},
		"deep":           {URL: "https://a.example/", Depth: 1 << 20},
		"meta":           {URL: "https://a.example/", Meta: make([]byte, 11)},
	}
	for name, it := range bad {
		n, err := w.Add(context.Background(), it, Item{URL: "https://ok.example/" + name})
		require.ErrorIs(t, err, ErrItem, name)
		require.Equal(t, 1, n, "%s: the others are added", name)
		var e *ItemError
		require.ErrorAs(t, err, &e, name)
		require.Zero(t, e.Index)
		require.LessOrEqual(t, len(e.URL), 256)
	}
	require.Equal(t, 1, w.Stats().Hosts)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := w.Add(ctx, Item{URL: "https://a.example/"})
	require.ErrorIs(t, err, context.Canceled)
	_, err = w.Lease(ctx)
	require.ErrorIs(t, err, context.Canceled)
	n, err := w.Add(context.Background())
	require.NoError(t, err)
	require.Zero(t, n)
}

func TestHostOf(t *testing.T) {
	for url, want := range map[string]string{
		"https://Example.COM/x":           "example.com",
		"https://example.com:443":         "example.com",
		"http://example.com:443/":         "example.com:443",
		"http://example.com:80?q":         "example.com",
		"http://good.example@evil.test/":  "evil.test",
		"http://a:b@c@evil.test:8080#f@g": "evil.test:8080",
		"http://[::1]:80/":                "[::1]",
		"https://example.com.":            "example.com",
		`https://evil.test\@good.example`: "evil.test",
	} {
		got, reason := hostOf(url)
		require.Empty(t, reason, url)
		require.Equal(t, want, got, url)
	}
}

func TestBadOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"lease time":  {LeaseTime: -1},
		"delay":       {MinDelay: 50 * 24 * time.Hour},
		"pause":       {Rest: 400 * 24 * time.Hour},
		"factor":      {LatencyFactor: math.NaN()},
		"budget":      {Budget: -1},
		"url":         {MaxURL: 1 << 20},
		"meta":        {MaxMeta: -1},
		"prefetch":    {Prefetch: -1},
		"durability":  {Durability: 9},
		"retry":       {Retries: []time.Duration{-1}},
		"retries":     {Retries: make([]time.Duration, 101)},
		"recrawl":     {RecrawlMin: time.Hour, RecrawlMax: time.Minute},
		"rest":        {Rest: time.Hour, MaxRest: time.Minute},
		"store":       {Store: lsm.Options{BlockSize: -1}},
		"recrawl neg": {RecrawlMin: -1},
	} {
		_, err := Open(t.TempDir(), o)
		require.Error(t, err, name)
		if name != "store" {
			require.ErrorIs(t, err, ErrOptions, name)
		}
	}
}

func TestPoliteness(t *testing.T) {
	w := newWorld(t, Options{})
	w.add("https://a.example/1", "https://a.example/2", "https://a.example/3", "https://b.example/1")
	l := w.lease("https://a.example/1")
	w.lease("https://b.example/1")
	w.pass(10 * time.Second)
	w.nothing() // a visit takes as long as it takes
	require.NoError(t, l.Done(Result{Latency: 100 * time.Millisecond}))
	l = w.after(time.Second, "https://a.example/2")

	require.NoError(t, w.SetDelay("a.example", 4*time.Second))
	require.NoError(t, l.Release())
	l = w.after(4*time.Second, "https://a.example/2")

	// Five times a latency of 1.6 s: the mean moves an eighth of the way.
	require.NoError(t, l.Done(Result{Latency: 100*time.Millisecond + 8*1500*time.Millisecond}))
	l = w.after(8*time.Second, "https://a.example/3")
	require.NoError(t, l.Release())
	require.NoError(t, w.SetDelay("a.example", 20*time.Second))
	w.after(20*time.Second, "https://a.example/3")

	require.ErrorIs(t, w.SetDelay("a.example", -1), ErrOptions)
	require.ErrorIs(t, w.SetDelay("a.example", 46*24*time.Hour), ErrOptions)
	require.ErrorIs(t, w.SetDelay("", 1), ErrHost)
	require.ErrorIs(t, w.SetBudget("a.example", -1), ErrOptions)
	require.ErrorIs(t, w.Touch("nobody.example"), ErrHost)
}

func TestTouch(t *testing.T) {
	w := newWorld(t, Options{})
	w.add("https://a.example/1")
	w.pass(time.Minute)
	require.NoError(t, w.Touch("a.example"))
	w.after(time.Second, "https://a.example/1")
}

// TestRestartFence: wherever the power goes, no host is visited before its delay.
func TestRestartFence(t *testing.T) {
	w := newWorld(t, Options{Durability: lsm.Queued})
	w.add("https://a.example/1", "https://a.example/2", "https://b.example/1")
	require.NoError(t, w.SetDelay("b.example", 30*time.Second))
	require.NoError(t, w.db.Sync())
	w.pass(time.Minute)
	require.NoError(t, w.lease("https://a.example/1").Done(Result{}))
	require.NoError(t, w.lease("https://b.example/1").Release())
	w.fs = w.fs.Crash(lsmtest.Loss{})
	_ = w.Close()
	w.open()
	l := w.after(time.Second, "https://a.example/1") // the end of its lease was lost
	require.NoError(t, l.Done(Result{}))
	w.pass(28 * time.Second)
	require.NoError(t, w.lease("https://a.example/2").Done(Result{}))
	w.after(time.Second, "https://b.example/1")
}

func TestRetries(t *testing.T) {
	var letters []DeadLetter
	w := newWorld(t, Options{Breaker: -1, Hooks: Hooks{Dead: func(d DeadLetter) { letters = append(letters, d) }}})
	_, err := w.Add(context.Background(), Item{URL: "https://a.example/", Priority: 2, Depth: 3, Meta: []byte("m")})
	require.NoError(t, err)
	for i, pause := range []time.Duration{0, time.Minute, 5 * time.Minute, 25 * time.Minute} {
		w.pass(pause)
		if i > 0 {
			w.pass(-time.Millisecond)
			w.nothing()
			w.pass(time.Millisecond)
			w.reopen() // the schedule survives
			w.pass(time.Second)
		}
		l := w.lease("https://a.example/")
		require.Equal(t, i, l.Attempt)
		require.Equal(t, "m", string(l.Meta))
		require.NoError(t, l.Retry(Failure{Cause: fmt.Sprint("try ", i)}))
		if i > 0 {
			w.pass(-time.Second)
			w.pass(time.Second)
		}
	}
	_, err = w.TryLease()
	require.ErrorIs(t, err, ErrDrained)
	require.Len(t, letters, 1)
	require.Equal(t, "try 3", letters[0].Cause)
	require.Equal(t, 4, letters[0].Attempts)
	require.Equal(t, 2.0, letters[0].Priority)
	w.reopen()
	n := 0
	for d, err := range w.DeadLetters() {
		require.NoError(t, err)
		d.id, d.seq = 0, 0
		require.Equal(t, letters[0], d)
		n++
	}
	require.Equal(t, 1, n)
	n, err = w.Requeue(context.Background(), func(d DeadLetter) bool { return d.Host == "a.example" })
	require.NoError(t, err)
	require.Equal(t, 1, n)
	w.pass(time.Second)
	l := w.lease("https://a.example/")
	require.Zero(t, l.Attempt)
	require.NoError(t, l.Retry(Failure{Final: true}))
	n, err = w.Bury(context.Background(), nil)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Zero(t, w.Stats().Dead)
	n, err = w.Add(context.Background(), Item{URL: "https://a.example/"})
	require.NoError(t, err)
	require.Zero(t, n, "it stays known")
}

func TestThrottling(t *testing.T) {
	var slowed []time.Duration
	w := newWorld(t, Options{Retries: []time.Duration{0, 0, 0}, Hooks: Hooks{Slowed: func(_ string, d time.Duration) { slowed = append(slowed, d) }}})
	w.add("https://a.example/1")
	require.NoError(t, w.lease("https://a.example/1").Retry(Failure{Throttled: true, After: 90 * time.Second}))
	w.reopen()
	l := w.after(90*time.Second, "https://a.example/1")
	require.NoError(t, l.Retry(Failure{Throttled: true}))
	require.Equal(t, []time.Duration{2 * time.Second, 4 * time.Second}, slowed)
	w.after(4*time.Second, "https://a.example/1")
}

// TestFindsTheRate has a host that throttles whoever comes again within 2.5 s.
func TestFindsTheRate(t *testing.T) {
	const bears = 2500 * time.Millisecond
	w := newWorld(t, Options{Retries: make([]time.Duration, 100)})
	for i := range 2000 {
		w.add(fmt.Sprintf("https://a.example/%d", i))
	}
	var last time.Time
	visits, throttled := 0, 0
	begin := w.now
	for w.now.Sub(begin) < time.Hour {
		l, err := w.TryLease()
		if errors.Is(err, ErrNotReady) {
			next, ok := w.Next()
			require.True(t, ok)
			w.now = next
			continue
		}
		require.NoError(t, err)
		if w.now.Sub(begin) < time.Minute {
			visits, throttled = 0, 0
		}
		visits++
		if w.now.Sub(last) < bears {
			throttled++
			require.NoError(t, l.Retry(Failure{Throttled: true}))
		} else {
			require.NoError(t, l.Done(Result{}))
		}
		last = w.now
	}
	capacity := float64(59*time.Minute) / float64(bears)
	require.InDelta(t, 0.87, float64(visits)/capacity, 0.13, "of what the host bears")
	require.Less(t, throttled*100, visits, "one in a hundred is throttled at most: %d of %d", throttled, visits)
}

func TestBreaker(t *testing.T) {
	var rested []time.Time
	w := newWorld(t, Options{Retries: make([]time.Duration, 100), Hooks: Hooks{Rested: func(_ string, u time.Time) { rested = append(rested, u) }}})
	w.add("https://a.example/1")
	for range 5 {
		require.NoError(t, w.lease("https://a.example/1").Retry(Failure{}))
		w.pass(time.Second)
	}
	w.pass(-time.Second)
	require.True(t, w.info("a.example").Resting)
	for _, rest := range []time.Duration{10, 20, 30, 30} {
		require.Equal(t, w.now.Add(rest*time.Minute), rested[len(rested)-1])
		if rest == 20 {
			w.reopen()
		}
		require.NoError(t, w.after(rest*time.Minute, "https://a.example/1").Retry(Failure{}))
	}
	w.pass(30 * time.Minute)
	require.NoError(t, w.lease("https://a.example/1").Done(Result{}))
	require.False(t, w.info("a.example").Resting)
	require.Zero(t, w.info("a.example").Failures)
}

func TestExpiry(t *testing.T) {
	var expired []string
	w := newWorld(t, Options{Hooks: Hooks{Expired: func(u string) { expired = append(expired, u) }}, Breaker: -1})
	w.add("https://a.example/1", "https://a.example/2")
	l := w.lease("https://a.example/1")
	w.pass(4 * time.Minute)
	require.NoError(t, l.Extend())
	w.pass(5*time.Minute - 1)
	w.nothing()
	require.Equal(t, StateLeased, w.info("a.example").State)
	w.pass(1)
	w.nothing()
	l2 := w.after(time.Second, "https://a.example/1")
	require.ErrorIs(t, l.Done(Result{}), ErrLease)
	require.NoError(t, l2.Release())
	for range 2 {
		w.pass(time.Second)
		w.lease("https://a.example/1")
		w.pass(5 * time.Minute)
		w.nothing()
	}
	w.pass(time.Second)
	w.lease("https://a.example/2") // the first kills who visits it
	require.EqualValues(t, 1, w.Stats().Dead)
	require.Len(t, expired, 3)
}

func TestBudget(t *testing.T) {
	w := newWorld(t, Options{Budget: 2})
	w.add("https://a.example/1", "https://a.example/2", "https://a.example/3")
	for i := range 2 {
		require.NoError(t, w.lease(fmt.Sprintf("https://a.example/%d", i+1)).Done(Result{}))
		w.pass(time.Second)
	}
	_, err := w.TryLease()
	require.ErrorIs(t, err, ErrDrained)
	require.Equal(t, StateSpent, w.info("a.example").State)
	w.reopen()
	require.Equal(t, StateSpent, w.info("a.example").State)
	require.NoError(t, w.SetBudget("a.example", 3))
	w.pass(time.Second)
	require.NoError(t, w.lease("https://a.example/3").Done(Result{}))
}

// TestPriorities: the more urgent first, and the less urgent not never.
func TestPriorities(t *testing.T) {
	w := newWorld(t, Options{MinDelay: -1})
	ctx := context.Background()
	_, err := w.Add(ctx, Item{URL: "https://low.example/", Priority: 5}, Item{URL: "https://mid.example/", Priority: 2.4}, Item{URL: "https://mid.example/b", Priority: 2})
	require.NoError(t, err)
	w.pass(time.Minute)
	w.add("https://high.example/")
	w.lease("https://high.example/")
	require.NoError(t, w.lease("https://mid.example/b").Done(Result{}))
	w.lease("https://mid.example/")
	w.pass(50 * time.Minute) // outweighs five steps
	w.add("https://new.example/")
	w.lease("https://low.example/")
}

func TestHead(t *testing.T) {
	w := newWorld(t, Options{Prefetch: 1})
	var urls []string
	for i := range 200 {
		urls = append(urls, fmt.Sprintf("https://a.example/%d", i))
	}
	w.add(urls...)
	for i, u := range urls {
		if i%50 == 49 {
			w.reopen()
		}
		w.pass(time.Second)
		require.NoError(t, w.lease(u).Done(Result{}))
	}
	for _, tag := range []byte{tagChunk, tagDone} {
		for e := range w.db.Scan(tagRange(tag)) {
			t.Fatalf("%x is left", e.Key)
		}
	}
}
