package frontier

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/internal/testkit"
	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/lsm/lsmtest"
)

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
