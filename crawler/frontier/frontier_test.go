package frontier

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/internal/testkit"
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

func TestForeignDirectory(t *testing.T) {
	dir := t.TempDir()
	db, err := lsm.Open(dir, lsm.Options{})
	require.NoError(t, err)
	require.NoError(t, db.Put([]byte("some"), []byte("thing")))
	require.NoError(t, db.Close())
	_, err = Open(dir, Options{})
	require.ErrorIs(t, err, ErrForeign)

	dir = t.TempDir()
	f, err := Open(dir, Options{})
	require.NoError(t, err)
	_, err = Open(dir, Options{})
	require.ErrorIs(t, err, lsm.ErrLocked)
	require.NoError(t, f.db.Put(keyFormat, []byte{formatVersion + 1}))
	require.NoError(t, f.Close())
	_, err = Open(dir, Options{})
	require.ErrorIs(t, err, ErrForeign)

	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = Open(file, Options{})
	require.Error(t, err)
}

// TestDamagedRecords: each kind of record, unreadable or missing, is a typed error, at
// Open or when its turn comes, and never a panic.
func TestDamagedRecords(t *testing.T) {
	build := func() *world {
		w := newWorld(t, Options{Breaker: -1})
		w.add("https://a.example/1", "https://a.example/2", "https://b.example/1", "https://b.example/2", "https://c.example/")
		require.NoError(t, w.lease("https://a.example/1").Done(Result{}))
		require.NoError(t, w.lease("https://b.example/1").Retry(Failure{Final: true}))
		require.NoError(t, w.lease("https://c.example/").Retry(Failure{}))
		var b lsm.Batch
		k := templateKey(7)
		b.Put(k[:], appendTemplate(nil, 3))
		require.NoError(t, w.db.Apply(&b))
		return w
	}
	w := build()
	var keys [][]byte
	for e, err := range w.db.Scan(lsm.Range{}) {
		require.NoError(t, err)
		keys = append(keys, e.Clone().Key)
	}
	kinds := map[byte]bool{}
	found := 0
	for _, k := range keys {
		kinds[k[0]] = true
		for _, v := range [][]byte{nil, {9}, {recordVersion}, {recordVersion, 0xff}, append([]byte{recordVersion}, make([]byte, 40)...), {recordVersion, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}} {
			w := build()
			require.NoError(t, w.db.Put(k, v))
			require.NoError(t, w.Close())
			o := w.o
			o.Now, o.Store.FS, o.Store.Now = func() time.Time { return w.now }, w.fs, time.Now
			f, err := Open("dir", o)
			if err != nil {
				require.True(t, errors.Is(err, ErrCorrupt) || errors.Is(err, ErrForeign), "%q: %v", k, err)
				found++
				continue
			}
			f.work.Wait()
			w.Frontier = f
			for range 20 {
				w.pass(10 * time.Minute)
				l, err := w.TryLease()
				if err == nil {
					require.NoError(t, l.Done(Result{}))
				} else if !errors.Is(err, ErrNotReady) && !errors.Is(err, ErrDrained) {
					require.ErrorIs(t, err, ErrCorrupt, "%q", k)
					var r *RecordError
					require.ErrorAs(t, err, &r)
					require.NotEmpty(t, r.Error())
					found++
				}
			}
			for _, err := range w.DeadLetters() {
				if err != nil {
					require.ErrorIs(t, err, ErrCorrupt)
					found++
				}
			}
		}
	}
	require.Len(t, kinds, 8, "all kinds of records")
	require.Greater(t, found, 50)
}

// TestDamagedHostIsSetAside: the others go on.
func TestDamagedHostIsSetAside(t *testing.T) {
	w := newWorld(t, Options{})
	w.add("https://a.example/1", "https://b.example/1", "https://b.example/2")
	k := chunkKey(w.hosts.find("a.example").id, 0, 0)
	require.NoError(t, w.db.Put(k[:], []byte{recordVersion, 1, 0, 0xff}))
	_, err := w.TryLease()
	var r *RecordError
	require.ErrorAs(t, err, &r)
	require.Equal(t, "a.example", r.Host)
	require.Equal(t, StateDamaged, w.info("a.example").State)
	require.NoError(t, w.lease("https://b.example/1").Done(Result{}))
	w.after(time.Second, "https://b.example/2")
}

func TestClockSteps(t *testing.T) {
	w := newWorld(t, Options{})
	w.add("https://a.example/1", "https://a.example/2", "https://a.example/3")
	require.NoError(t, w.lease("https://a.example/1").Done(Result{}))
	w.now = w.now.Add(-24 * time.Hour) // set back: the delay goes on from there
	w.nothing()
	l := w.after(time.Second, "https://a.example/2")
	require.NoError(t, l.Retry(Failure{}))
	w.now = w.now.Add(-24 * 365 * time.Hour)
	w.reopen() // even between runs
	w.after(time.Second, "https://a.example/3")
	w.pass(time.Minute)
	require.EqualValues(t, 1, w.Stats().Waiting)
	w.now = time.Time{}
	w.nothing()
	w.now = time.Unix(1<<40, 0) // not believed
	w.nothing()
	w.now = time.Unix(1<<55, 0)
	w.reopen()
	require.Equal(t, time.Second, w.info("a.example").Next.Sub(time.Unix(0, w.clock.now)))
}

// TestWaiting has workers wait under a clock of their own.
func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, err := Open("dir", Options{Store: lsm.Options{FS: lsmtest.NewFS()}})
		require.NoError(t, err)
		var items []Item
		for i := range 100 {
			items = append(items, Item{URL: fmt.Sprintf("https://h%d.example/%d", i%10, i)})
		}
		_, err = f.Add(t.Context(), items...)
		require.NoError(t, err)
		start := time.Now()
		var mu sync.Mutex
		last := map[string]time.Time{}
		var wg sync.WaitGroup
		visits := 0
		for range 20 {
			wg.Go(func() {
				for {
					l, err := f.Lease(t.Context())
					if errors.Is(err, ErrDrained) {
						return
					}
					if err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					visits++
					if d := time.Since(last[l.Host]); d < time.Second {
						t.Errorf("%s after %v", l.URL, d)
					}
					mu.Unlock()
					time.Sleep(50 * time.Millisecond)
					mu.Lock()
					last[l.Host] = time.Now()
					mu.Unlock()
					if err := l.Done(Result{Latency: 50 * time.Millisecond}); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		require.Equal(t, 100, visits)
		require.InDelta(t, 9.5, time.Since(start).Seconds(), 0.1, "ten visits of each host, no longer than that takes")
		require.NoError(t, f.Close())
	})
}

func TestCloseWakesThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, err := Open("dir", Options{KeepOpen: true, Store: lsm.Options{FS: lsmtest.NewFS()}})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		errs := make(chan error, 3)
		for i := range 3 {
			c := t.Context()
			if i == 0 {
				c = ctx
			}
			go func() {
				_, err := f.Lease(c)
				errs <- err
			}()
		}
		synctest.Wait()
		cancel()
		require.ErrorIs(t, <-errs, context.Canceled)
		require.NoError(t, f.Close())
		require.ErrorIs(t, <-errs, ErrClosed)
		require.ErrorIs(t, <-errs, ErrClosed)
		require.NoError(t, f.Close())
		_, err = f.Add(t.Context(), Item{URL: "https://a.example/"})
		require.ErrorIs(t, err, ErrClosed)
		_, err = f.TryLease()
		require.ErrorIs(t, err, ErrClosed)
		require.ErrorIs(t, f.SetDelay("a", 1), ErrClosed)
		require.ErrorIs(t, f.Drop("a"), ErrClosed)
		require.Zero(t, f.Stats())
		for range f.Hosts() {
			t.Fatal("a host after Close")
		}
	})
}

// TestWorkers has many workers add, lease and end at the same time; each URL must be
// visited exactly once.
func TestWorkers(t *testing.T) {
	f, err := Open(t.TempDir(), Options{MinDelay: -1, LatencyFactor: -1, Durability: lsm.Queued, TrapSample: -1, Prefetch: 4096})
	require.NoError(t, err)
	const hosts, pages = 50, 40
	var mu sync.Mutex
	visited := map[string]int{}
	inFlight := map[string]bool{}
	add := func(n int) {
		var items []Item
		for i := range 30 {
			k := (n*31 + i*i) % (hosts * pages)
			items = append(items, Item{URL: fmt.Sprintf("https://h%d.example/%d", k%hosts, k/hosts), Priority: float64(k % 6)})
		}
		if _, err := f.Add(context.Background(), items...); err != nil {
			t.Error(err)
		}
	}
	add(0)
	var wg sync.WaitGroup
	for worker := range 16 {
		wg.Go(func() {
			for n := 0; ; n++ {
				l, err := f.Lease(context.Background())
				if errors.Is(err, ErrDrained) {
					return
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if inFlight[l.Host] {
					t.Errorf("%s is leased twice", l.Host)
				}
				inFlight[l.Host] = true
				mu.Unlock()
				add(worker*1000 + n)
				mu.Lock()
				inFlight[l.Host] = false
				mu.Unlock()
				if n%7 == 3 {
					err = l.Release()
				} else {
					mu.Lock()
					visited[l.URL]++
					mu.Unlock()
					err = l.Done(Result{})
				}
				if err != nil {
					t.Error(err)
				}
				if n%50 == 0 {
					_ = f.Stats().String()
					for range f.Hosts() {
						continue
					}
				}
			}
		})
	}
	wg.Wait()
	for u, n := range visited {
		require.Equal(t, 1, n, u)
	}
	s := f.Stats()
	require.EqualValues(t, len(visited), s.Added)
	require.Zero(t, s.Queued)
	require.Zero(t, s.Leased)
	require.NoError(t, f.Close())
}

// TestAddIsInsertIfAbsent has workers add the same URLs at the same time.
func TestAddIsInsertIfAbsent(t *testing.T) {
	rng := testkit.Rand(t)
	f, err := Open(t.TempDir(), Options{Durability: lsm.Queued})
	require.NoError(t, err)
	defer f.Close()
	var items []Item
	for i := range 5000 {
		items = append(items, Item{URL: fmt.Sprintf("https://h%d.example/%d", i%7, i/2)})
	}
	distinct := map[string]bool{}
	for _, it := range items {
		distinct[it.URL] = true
	}
	rng.Shuffle(len(items), func(i, j int) { items[i], items[j] = items[j], items[i] })
	var wg sync.WaitGroup
	var mu sync.Mutex
	total := 0
	for range 4 {
		wg.Go(func() {
			n, err := f.Add(context.Background(), items...)
			mu.Lock()
			defer mu.Unlock()
			total += n
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	require.Equal(t, len(distinct), total)
	require.EqualValues(t, total, f.Stats().Queued)
}
