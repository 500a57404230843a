package lsm_test

import (
	"bytes"
	"fmt"
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
	// Hooks are called soon after, by whoever holds no lock then.
	require.Eventually(t, func() bool { return flushed.Load() >= 3 && compacted.Load() > 0 }, time.Minute, time.Millisecond)
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
