package lsm_test

import (
	"bytes"
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

func openTest(t testing.TB, o lsm.Options) *lsm.DB {
	t.Helper()
	if o.FS == nil {
		o.FS = lsmtest.NewFS()
	}
	db, err := lsm.Open("db", o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

// Everything after Close is ErrClosed, and nothing panics.
func TestUseAfterClose(t *testing.T) {
	db := openTest(t, lsm.Options{})
	k, ctx := []byte("k"), context.Background()
	require.NoError(t, db.Put(k, k))
	snap, tx := db.Snapshot(), db.Begin()
	require.NoError(t, tx.Put(k, k))
	var inScan error
	for _, err := range db.Scan(lsm.Range{}) {
		if err != nil {
			inScan = err
			break
		}
		require.NoError(t, db.Close())
		require.NoError(t, db.Close())
	}
	require.NoError(t, inScan, "one entry, seen before Close")
	var b lsm.Batch
	b.Put(k, k)
	get := func(_ []byte, err error) error { return err }
	has := func(_ bool, err error) error { return err }
	scan := func(s func(func(lsm.Entry, error) bool)) (err error) {
		s(func(_ lsm.Entry, e error) bool { err = e; return false })
		return err
	}
	many := func(int, []byte) error { return nil }
	for name, err := range map[string]error{
		"Put": db.Put(k, k), "Delete": db.Delete(k), "DeleteRange": db.DeleteRange(k, []byte("z")), "Apply": db.Apply(&b), "empty Apply": db.Apply(new(lsm.Batch)),
		"Sync": db.Sync(), "Flush": db.Flush(ctx), "Compact": db.Compact(ctx, lsm.Range{}), "Verify": db.Verify(ctx), "Resume": db.Resume(ctx),
		"Get": get(db.Get(k)), "Has": has(db.Has(k)), "Scan": scan(db.Scan(lsm.Range{})), "GetMany": db.GetMany([][]byte{k}, many),
		"Snapshot.Get": get(snap.Get(k)), "Snapshot.Has": has(snap.Has(k)), "Snapshot.Scan": scan(snap.Scan(lsm.Range{})), "Snapshot.GetMany": snap.GetMany([][]byte{k}, many),
		"Txn.Get": get(tx.Get([]byte("other"))), "Txn.Scan": scan(tx.Scan(lsm.Range{})), "Txn.Commit": tx.Commit(), "Txn.Put": tx.Put(k, k),
		"Update": db.Update(ctx, func(tx *lsm.Txn) error { _, err := tx.Get(k); return err }),
	} {
		require.ErrorIs(t, err, lsm.ErrClosed, name)
	}
	require.NoError(t, snap.Close())
	require.NoError(t, snap.Close())
	tx.Discard()
	require.Zero(t, db.Stats().Memtables)
}

func TestBadInput(t *testing.T) {
	db := openTest(t, lsm.Options{})
	require.ErrorIs(t, db.Put(make([]byte, lsm.MaxKey+1), nil), lsm.ErrTooLarge)
	require.NoError(t, db.Put(nil, nil), "the empty key is a key")
	v, err := db.Get([]byte{})
	require.NoError(t, err)
	require.Empty(t, v)
	require.NoError(t, db.DeleteRange([]byte("z"), []byte("a")), "an empty range")
	require.NoError(t, db.DeleteRange(nil, nil))
	var b lsm.Batch
	b.Put([]byte("x"), nil)
	b.Delete(make([]byte, lsm.MaxKey+1))
	require.ErrorIs(t, db.Apply(&b), lsm.ErrTooLarge)
	has, err := db.Has([]byte("x"))
	require.NoError(t, err)
	require.False(t, has, "nothing of a refused batch is written")
	for _, o := range []lsm.Options{
		{Durability: 9}, {Compression: 9}, {MemtableSize: -1}, {TableSize: -1}, {L0Tables: -1}, {LevelBase: -1}, {BlockSize: -1}, {Compactors: -1}, {BitsPerKey: 1000},
	} {
		o.FS = lsmtest.NewFS()
		_, err := lsm.Open("db", o)
		require.ErrorIs(t, err, lsm.ErrOptions, "%+v", o)
	}
}

func TestDirectoryIsLocked(t *testing.T) {
	for name, fs := range map[string]lsm.FS{"memory": lsmtest.NewFS(), "system": nil} {
		dir := t.TempDir()
		db, err := lsm.Open(dir, lsm.Options{FS: fs})
		require.NoError(t, err)
		for range 3 {
			_, err = lsm.Open(dir, lsm.Options{FS: fs})
			require.ErrorIs(t, err, lsm.ErrLocked, name)
		}
		require.NoError(t, db.Close())
		db, err = lsm.Open(dir, lsm.Options{FS: fs})
		require.NoError(t, err, name)
		require.NoError(t, db.Close())
	}
}

// On the real file system: write, flush, compact, reopen, read.
func TestRealFiles(t *testing.T) {
	dir := t.TempDir()
	db, err := lsm.Open(dir, lsm.Options{MemtableSize: 64 << 10, TableSize: 32 << 10, LevelBase: 128 << 10})
	require.NoError(t, err)
	const n = 20_000
	for i := range n {
		require.NoError(t, db.Put(fmt.Appendf(nil, "key-%08d", i*7919%n), bytes.Repeat([]byte{byte(i)}, 50), lsm.Queued))
	}
	require.NoError(t, db.Flush(t.Context()))
	require.NoError(t, db.Compact(t.Context(), lsm.Range{}))
	require.NoError(t, db.Verify(t.Context()))
	require.NoError(t, db.Close())
	db, err = lsm.Open(dir, lsm.Options{})
	require.NoError(t, err)
	count := 0
	for e, err := range db.Scan(lsm.Range{}) {
		require.NoError(t, err)
		require.Equal(t, fmt.Sprintf("key-%08d", count), string(e.Key))
		count++
	}
	require.Equal(t, n, count)
	require.NoError(t, db.Close())
}

// A batch many times the size of a memtable is one write.
func TestLargeBatch(t *testing.T) {
	disk := lsmtest.NewFS()
	db := openTest(t, lsm.Options{FS: disk, MemtableSize: 16 << 10})
	require.NoError(t, db.Put([]byte("before"), nil))
	var b lsm.Batch
	for i := range 20_000 {
		b.Put(fmt.Appendf(nil, "%08d", i), bytes.Repeat([]byte("v"), 100))
	}
	require.NoError(t, db.Apply(&b))
	require.NoError(t, db.Apply(&b), "a batch can be applied again")
	db2, err := lsm.Open("db", lsm.Options{FS: disk.CrashClone(lsmtest.Loss{})})
	require.NoError(t, err)
	n := 0
	for _, err := range db2.Scan(lsm.Range{}) {
		require.NoError(t, err)
		n++
	}
	require.Equal(t, 20_001, n)
	require.NoError(t, db2.Close())
}

// Writers that wait together share syncs.
func TestGroupCommit(t *testing.T) {
	db := openTest(t, lsm.Options{FS: slowSync{lsmtest.NewFS()}})
	const writers, each = 16, 30
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				if err := db.Put(fmt.Append(nil, w, ":", i), nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.Less(t, db.Stats().Syncs, int64(writers*each/2))
	n := 0
	for range db.Scan(lsm.Range{}) {
		n++
	}
	require.Equal(t, writers*each, n)
}

// slowSync gives other goroutines a turn in every sync, as a disk does.
type slowSync struct{ *lsmtest.FS }

type slowFile struct{ lsm.File }

func (s slowSync) Create(name string) (lsm.File, error) {
	f, err := s.FS.Create(name)
	return slowFile{f}, err
}

func (f slowFile) Sync() error {
	t := time.NewTimer(200 * time.Microsecond)
	<-t.C
	return f.File.Sync()
}

// Concurrent increments by transactions: none is lost, which a plain read and write would.
func TestTransactionsAreSerializable(t *testing.T) {
	db := openTest(t, lsm.Options{MemtableSize: 8 << 10, L0Tables: 2})
	const workers, each = 4, 150
	var wg sync.WaitGroup
	var conflicts atomic.Int64
	for w := range workers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 0))
			for range each {
				tries := int64(-1)
				err := db.Update(t.Context(), func(tx *lsm.Txn) error {
					tries++
					// Move one from a random account to another; the sum stays.
					from, to := fmt.Append(nil, "a", r.IntN(5)), fmt.Append(nil, "a", r.IntN(5))
					sum := 0
					for e, err := range tx.Scan(lsm.Prefix([]byte("a"))) {
						if err != nil {
							return err
						}
						n, _ := strconv.Atoi(string(e.Value))
						sum += n
					}
					if sum != 0 {
						return fmt.Errorf("sum %d in a transaction", sum)
					}
					for k, d := range map[string]int{string(from): -1, string(to): +1} {
						if string(from) == string(to) {
							continue
						}
						v, err := tx.Get([]byte(k))
						if err != nil && !errors.Is(err, lsm.ErrNotFound) {
							return err
						}
						n, _ := strconv.Atoi(string(v))
						if err := tx.Put([]byte(k), strconv.AppendInt(nil, int64(n+d), 10)); err != nil {
							return err
						}
					}
					return nil
				}, lsm.Queued)
				conflicts.Add(tries)
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	t.Logf("%d conflicts", conflicts.Load())
}

// Write skew: two transactions that each read what the other writes do not both commit.
func TestWriteSkew(t *testing.T) {
	db := openTest(t, lsm.Options{})
	a, b := db.Begin(), db.Begin()
	_, err := a.Get([]byte("x"))
	require.ErrorIs(t, err, lsm.ErrNotFound)
	for range b.Scan(lsm.Range{Start: []byte("y"), End: []byte("z")}) {
		t.Fatal("empty")
	}
	require.NoError(t, a.Put([]byte("y"), nil))
	require.NoError(t, b.Put([]byte("x"), nil))
	require.NoError(t, a.Commit())
	require.ErrorIs(t, b.Commit(), lsm.ErrConflict, "a phantom in a range that was read")
	require.ErrorIs(t, b.Commit(), lsm.ErrClosed)
}

// Readers, writers, flushes and compactions at the same time: a key always shows the last
// value that its only writer wrote, or the one before while that is being written.
func TestConcurrentReadersAndWriters(t *testing.T) {
	db := openTest(t, lsm.Options{MemtableSize: 16 << 10, TableSize: 8 << 10, LevelBase: 32 << 10, L0Tables: 2, Compactors: 2})
	const keys = 8
	var acked [keys]atomic.Int64
	stop := make(chan struct{})
	var writers, readers sync.WaitGroup
	for w := range keys {
		writers.Go(func() {
			for i := int64(1); i <= 600; i++ {
				if err := db.Put(fmt.Append(nil, "k", w), strconv.AppendInt(bytes.Repeat([]byte("0"), 80), i, 10), lsm.Written); err != nil {
					t.Error(err)
					return
				}
				acked[w].Store(i)
			}
		})
	}
	for range 3 {
		readers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				w := i % keys
				low := acked[w].Load()
				v, err := db.Get(fmt.Append(nil, "k", w))
				if low == 0 {
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if n, _ := strconv.ParseInt(string(v), 10, 64); n < low {
					t.Errorf("key %d: read %d after %d was acknowledged", w, n, low)
					return
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
	require.NoError(t, db.Verify(t.Context()))
}

func TestHooks(t *testing.T) {
	var flushed, compacted atomic.Int64
	db := openTest(t, lsm.Options{Hooks: lsm.Hooks{
		Flushed:   func(lsm.JobInfo) { flushed.Add(1) },
		Compacted: func(lsm.JobInfo) { compacted.Add(1) },
	}})
	for i := range 3 {
		require.NoError(t, db.Put([]byte{byte(i)}, nil))
		require.NoError(t, db.Flush(t.Context()))
	}
	require.NoError(t, db.Compact(t.Context(), lsm.Range{}))
	require.GreaterOrEqual(t, flushed.Load(), int64(3))
	require.Positive(t, compacted.Load())
	require.Contains(t, db.Stats().String(), "L1")
	require.Positive(t, db.Stats().Bytes())
}

// Deleted and expired data gives its space back.
func TestSpaceComesBack(t *testing.T) {
	now := atomic.Int64{}
	disk := lsmtest.NewFS()
	db := openTest(t, lsm.Options{FS: disk, Now: func() time.Time { return time.UnixMilli(now.Load()) }})
	for i := range 2000 {
		require.NoError(t, db.Put(fmt.Append(nil, "d", i), make([]byte, 100), lsm.Queued))
		require.NoError(t, db.Put(fmt.Append(nil, "t", i), make([]byte, 100), lsm.Queued, lsm.TTL(time.Second)))
	}
	require.NoError(t, db.Flush(t.Context()))
	require.NoError(t, db.DeleteRange([]byte("d"), []byte("e")))
	now.Store(1000)
	require.NoError(t, db.Flush(t.Context()))
	require.NoError(t, db.Compact(t.Context(), lsm.Range{}))
	require.Zero(t, db.Stats().Bytes(), "%v", db.Stats())
}

func TestHotPathsDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	db := openTest(t, lsm.Options{})
	k, v := []byte("some key"), make([]byte, 100)
	require.NoError(t, db.Put(k, v))
	dst := make([]byte, 0, 256)
	get := func() {
		if _, err := db.AppendGet(dst, k); err != nil {
			t.Fatal(err)
		}
	}
	require.Zero(t, testing.AllocsPerRun(100, get), "from the memtable")
	require.NoError(t, db.Flush(t.Context()))
	get()
	require.Zero(t, testing.AllocsPerRun(100, get), "from a table")
	require.LessOrEqual(t, testing.AllocsPerRun(100, func() {
		if err := db.Put(k, v, lsm.Queued); err != nil {
			t.Fatal(err)
		}
	}), 1.0)
}
