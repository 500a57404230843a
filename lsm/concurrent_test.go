package lsm_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/lsm/lsmtest"
)

func smallOptions(disk *lsmtest.FS) lsm.Options {
	return lsm.Options{FS: disk, MemtableSize: 8 << 10, TableSize: 4 << 10, LevelBase: 16 << 10, L0Tables: 2, BlockSize: 500, CacheSize: 16 << 10, Compactors: 2}
}

// TestConcurrentUse has writers of all durabilities beside readers of all kinds, flushes
// and compactions. A writer sees its own writes at once; of each pair of keys that is
// always written together a reader sees both or neither.
func TestConcurrentUse(t *testing.T) {
	const writers, writes = 4, 400
	disk := lsmtest.NewFS()
	db, err := lsm.Open("db", smallOptions(disk))
	require.NoError(t, err)
	pair := func(w int) (a, b []byte) { return fmt.Appendf(nil, "a%d", w), fmt.Appendf(nil, "b%d", w) }
	var writing, reading sync.WaitGroup
	for w := range writers {
		writing.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 0))
			a, b := pair(w)
			var batch lsm.Batch
			for n := range writes {
				v := fmt.Appendf(nil, "%d %0*d", n, r.IntN(100), 0)
				batch.Reset()
				batch.Put(a, v)
				batch.Put(b, v)
				if err := db.Apply(&batch, lsm.Durability(r.IntN(3))); err != nil {
					t.Error(err)
					return
				}
				if got, err := db.Get(a); err != nil || string(got) != string(v) {
					t.Errorf("writer %d wrote %q and reads %q, %v", w, v, got, err)
				}
				if n%100 == 50 {
					if err := errors.Join(db.Sync(), db.Flush(t.Context())); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	var stop atomic.Bool
	for g := range 3 {
		reading.Go(func() {
			for n := 0; !stop.Load(); n++ {
				seen := map[string]string{}
				collect := func(e lsm.Entry, err error) {
					if err != nil {
						t.Error(err)
					}
					seen[string(e.Key)] = string(e.Value)
				}
				switch (n + g) % 3 {
				case 0:
					for e, err := range db.Scan(lsm.Range{Reverse: n%2 == 0}) {
						collect(e, err)
					}
				case 1:
					s := db.Snapshot()
					for w := range writers {
						for _, k := range [][]byte{[]byte("a" + strconv.Itoa(w)), []byte("b" + strconv.Itoa(w))} {
							if v, err := s.Get(k); err == nil {
								collect(lsm.Entry{Key: k, Value: v}, nil)
							} else if !errors.Is(err, lsm.ErrNotFound) {
								t.Error(err)
							}
						}
					}
					if err := s.Close(); err != nil {
						t.Error(err)
					}
				case 2:
					if err := db.Compact(t.Context(), lsm.Range{}); err != nil {
						t.Error(err)
					}
					_ = db.Stats().String()
				}
				for w := range writers {
					if a, b := seen["a"+strconv.Itoa(w)], seen["b"+strconv.Itoa(w)]; a != b {
						t.Errorf("half a batch: %q beside %q", a, b)
					}
				}
			}
		})
	}
	writing.Wait()
	stop.Store(true)
	reading.Wait()
	require.NoError(t, db.Verify(t.Context()))
	require.NoError(t, db.Close())
	require.Empty(t, disk.OpenFiles())
}

// TestTransfers moves money in transactions while others add it up: the sum never
// changes, in any view, nor after a power cut.
func TestTransfers(t *testing.T) {
	const accounts, clients, each = 6, 4, 60
	disk := lsmtest.NewFS()
	db, err := lsm.Open("db", smallOptions(disk))
	require.NoError(t, err)
	key := func(i int) []byte { return fmt.Appendf(nil, "account/%d", i) }
	var b lsm.Batch
	for i := range accounts {
		b.Put(key(i), []byte("100"))
	}
	require.NoError(t, db.Apply(&b))
	sum := func(db *lsm.DB) (n int) {
		for e, err := range db.Scan(lsm.Prefix([]byte("account/"))) {
			if err != nil {
				t.Error(err)
			}
			v, err := strconv.Atoi(string(e.Value))
			if err != nil {
				t.Error(err)
			}
			n += v
		}
		return n
	}
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(c), 1))
			for range each {
				from, to, amount := r.IntN(accounts), r.IntN(accounts), r.IntN(50)
				err := db.Update(t.Context(), func(tx *lsm.Txn) error {
					for _, x := range []struct{ account, amount int }{{from, -amount}, {to, amount}} {
						v, err := tx.Get(key(x.account))
						if err != nil {
							return err
						}
						n, err := strconv.Atoi(string(v))
						if err != nil {
							return err
						}
						if err := tx.Put(key(x.account), strconv.AppendInt(nil, int64(n+x.amount), 10)); err != nil {
							return err
						}
					}
					return nil
				}, lsm.Durability(r.IntN(3)))
				if err != nil {
					t.Error(err)
				}
				if n := sum(db); n != accounts*100 {
					t.Errorf("the sum is %d", n)
				}
			}
		})
	}
	wg.Wait()
	after, err := lsm.Open("db", smallOptions(disk.CrashClone(lsmtest.Loss{Seed: 1, Keep: 0.5})))
	require.NoError(t, err)
	require.Equal(t, accounts*100, sum(after))
	require.NoError(t, errors.Join(after.Close(), db.Close()))
}

// TestWriteSkew: two doctors may not both go off call, whatever the order.
func TestWriteSkew(t *testing.T) {
	db, err := lsm.Open("db", smallOptions(lsmtest.NewFS()))
	require.NoError(t, err)
	defer db.Close()
	for n := range 200 {
		var b lsm.Batch
		b.DeleteRange([]byte("on/"), []byte("on0"))
		b.Put([]byte("on/alice"), nil)
		b.Put([]byte("on/bob"), nil)
		require.NoError(t, db.Apply(&b, lsm.Queued))
		var wg sync.WaitGroup
		for _, who := range []string{"on/alice", "on/bob"} {
			wg.Go(func() {
				err := db.Update(t.Context(), func(tx *lsm.Txn) error {
					on := 0
					for _, err := range tx.Scan(lsm.Prefix([]byte("on/"))) {
						if err != nil {
							return err
						}
						on++
					}
					if on < 2 {
						return nil
					}
					return tx.Delete([]byte(who))
				}, lsm.Queued)
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		on := 0
		for _, err := range db.Scan(lsm.Prefix([]byte("on/"))) {
			require.NoError(t, err)
			on++
		}
		require.Equal(t, 1, on, "round %d", n)
	}
}

// TestCloseBesideEverything closes the database while it is used in every way. Each call
// works or returns ErrClosed; when Close returns, nothing goes on, and what was
// acknowledged before it began is there.
func TestCloseBesideEverything(t *testing.T) {
	for seed := range uint64(20) {
		disk := lsmtest.NewFS()
		db, err := lsm.Open("db", smallOptions(disk))
		require.NoError(t, err)
		var acked atomic.Int64
		var wg sync.WaitGroup
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		begun := make(chan struct{})
		for g := range 6 {
			wg.Go(func() {
				for n := int64(1); ; n++ {
					var err error
					switch g {
					case 0:
						if err = db.Put(fmt.Appendf(nil, "n/%06d", n), make([]byte, 100), lsm.Queued); err == nil {
							acked.Store(n)
						}
						if n == int64(20+seed*10) {
							close(begun)
						}
					case 1:
						err = db.Flush(ctx)
					case 2:
						err = db.Compact(ctx, lsm.Range{})
					case 3:
						for _, e := range db.Scan(lsm.Range{}) {
							err = e
						}
					case 4:
						err = db.Update(ctx, func(tx *lsm.Txn) error {
							_, _ = tx.Get([]byte("t"))
							return tx.Put([]byte("t"), nil)
						})
					case 5:
						err = errors.Join(db.Sync(), db.Resume(ctx), db.Verify(ctx))
					}
					if err != nil {
						if !errors.Is(err, lsm.ErrClosed) {
							t.Errorf("goroutine %d: %v", g, err)
						}
						return
					}
				}
			})
		}
		<-begun
		least := acked.Load()
		var closing sync.WaitGroup
		for range 2 {
			closing.Go(func() {
				if err := db.Close(); err != nil {
					t.Error(err)
				}
				if _, err := disk.Lock("db/LOCK"); err != nil && !errors.Is(err, lsm.ErrLocked) {
					t.Error(err)
				}
			})
		}
		closing.Wait()
		after := disk.CrashClone(lsmtest.Loss{})
		wg.Wait()
		cancel()
		db, err = lsm.Open("db", smallOptions(after))
		require.NoError(t, err)
		n := int64(0)
		for e, err := range db.Scan(lsm.Prefix([]byte("n/"))) {
			require.NoError(t, err)
			n++
			require.Equal(t, fmt.Sprintf("n/%06d", n), string(e.Key), "a prefix")
		}
		require.GreaterOrEqual(t, n, least)
		require.NoError(t, db.Close())
	}
}

// TestAfterClose calls everything on what is closed.
func TestAfterClose(t *testing.T) {
	db, err := lsm.Open("db", smallOptions(lsmtest.NewFS()))
	require.NoError(t, err)
	k := []byte("k")
	require.NoError(t, db.Put(k, k))
	snap, tx := db.Snapshot(), db.Begin()
	scan := db.Scan(lsm.Range{})
	require.NoError(t, tx.Put(k, k))
	closedSnap, doneTx := db.Snapshot(), db.Begin()
	require.NoError(t, closedSnap.Close())
	doneTx.Discard()
	check := func(what string, err error) {
		t.Helper()
		require.ErrorIs(t, err, lsm.ErrClosed, what)
	}
	_, err = closedSnap.Get(k)
	check("closed snapshot", err)
	check("discarded transaction", doneTx.Put(k, k))
	check("discarded transaction", doneTx.Commit())
	_, err = doneTx.Get(k)
	check("discarded transaction", err)

	require.NoError(t, db.Close())
	require.NoError(t, db.Close())
	ctx := t.Context()
	var b lsm.Batch
	b.Put(k, k)
	for _, d := range []lsm.Durability{lsm.Synced, lsm.Written, lsm.Queued} {
		check("Put", db.Put(k, k, d))
		check("Delete", db.Delete(k, d))
		check("DeleteRange", db.DeleteRange(k, []byte("l"), d))
		check("Apply", db.Apply(&b, d))
		check("empty Apply", db.Apply(new(lsm.Batch), d))
	}
	_, err = db.Get(k)
	check("Get", err)
	_, err = db.Has(k)
	check("Has", err)
	check("GetMany", db.GetMany([][]byte{k}, func(int, []byte) error { return nil }))
	check("Sync", db.Sync())
	check("Flush", db.Flush(ctx))
	check("Compact", db.Compact(ctx, lsm.Range{}))
	check("Resume", db.Resume(ctx))
	check("Verify", db.Verify(ctx))
	check("Update", db.Update(ctx, func(tx *lsm.Txn) error { return tx.Put(k, k) }))
	check("Commit", tx.Commit())
	_, err = snap.Get(k)
	check("Snapshot.Get", err)
	_, err = db.Snapshot().Get(k)
	check("Snapshot", err)
	_, err = db.Begin().Get(k)
	check("Begin", err)
	for _, err := range scan {
		check("Scan", err)
	}
	require.NoError(t, db.Err())
	require.NoError(t, snap.Close())
	require.Zero(t, db.Stats())
}

// TestHooksMayRead: no hook runs under a lock that reading takes.
func TestHooksMayRead(t *testing.T) {
	disk := lsmtest.NewFS()
	var db *lsm.DB
	var opened atomic.Bool
	var failed, flushed, compacted atomic.Int64
	use := func() {
		if opened.Load() {
			_, _ = db.Get([]byte("k"))
			for range db.Scan(lsm.Range{}) {
				break
			}
			_ = db.Snapshot().Close()
			_ = db.Err()
			_ = db.Stats()
		}
	}
	o := smallOptions(disk)
	o.Hooks = lsm.Hooks{
		Flushed:   func(lsm.JobInfo) { use(); flushed.Add(1) },
		Compacted: func(lsm.JobInfo) { use(); compacted.Add(1) },
		Stalled:   func(time.Duration) { use() },
		Failed:    func(error) { use(); failed.Add(1) },
	}
	var err error
	db, err = lsm.Open("db", o)
	require.NoError(t, err)
	opened.Store(true)
	put := func(d lsm.Durability) (err error) {
		for n := 0; n < 300 && err == nil; n++ {
			err = db.Put(fmt.Appendf(nil, "k%d", n), make([]byte, 300), d)
		}
		return err
	}
	require.NoError(t, put(lsm.Queued))
	require.NoError(t, db.Compact(t.Context(), lsm.Range{}))
	for _, x := range []lsmtest.Fault{
		{Kinds: []lsmtest.Kind{lsmtest.OpWrite}, Match: "*.log"},
		{Kinds: []lsmtest.Kind{lsmtest.OpSync}, Match: "*.log"},
		{Kinds: []lsmtest.Kind{lsmtest.OpCreate}, Match: "*.log"},
		{Kinds: []lsmtest.Kind{lsmtest.OpSync}, Match: "*.sst"},
	} {
		before := failed.Load()
		disk.Inject(x)
		require.Error(t, put(lsm.Synced), "%+v", x)
		disk.Heal()
		require.NoError(t, db.Resume(t.Context()))
		require.Eventually(t, func() bool { return failed.Load() > before }, time.Minute, time.Millisecond, "%+v", x)
	}
	require.NoError(t, db.Close())
	require.Positive(t, flushed.Load())
	require.Positive(t, compacted.Load())
}
