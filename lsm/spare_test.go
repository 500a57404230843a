package lsm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// logsIn are the names of the log files in a directory.
func logsIn(t *testing.T, dir string) (logs []string) {
	names, err := osFS{}.List(dir)
	require.NoError(t, err)
	for _, n := range names {
		if filepath.Ext(n) == ".log" {
			logs = append(logs, n)
		}
	}
	slices.Sort(logs)
	return logs
}

// killed is a copy of the directory as the end of the process would leave it.
func killed(t *testing.T, dir string) string {
	to := t.TempDir()
	require.NoError(t, os.CopyFS(filepath.Join(to, "d"), os.DirFS(dir)))
	return filepath.Join(to, "d")
}

// TestSpareIsTaken: a rotation takes the log that lies ready, and Close removes the one
// that nobody took.
func TestSpareIsTaken(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(dir, Options{})
	require.NoError(t, err)
	for i := range 4 {
		var ready uint64
		if s := db.spare.Load(); s != nil {
			ready = s.log.num
		}
		require.Equal(t, i > 0, ready > 0)
		require.NoError(t, db.Put([]byte{byte(i)}, []byte("v")))
		require.NoError(t, db.Flush(t.Context()))
		if ready > 0 {
			require.Equal(t, ready, db.log.num)
		}
	}
	require.Len(t, logsIn(t, dir), 2)
	require.NoError(t, db.Close())
	require.Len(t, logsIn(t, dir), 1)

	db, err = Open(dir, Options{})
	require.NoError(t, err)
	defer db.Close()
	for i := range 4 {
		_, err := db.Get([]byte{byte(i)})
		require.NoError(t, err)
	}
}

// TestSpareThatWasOvertaken: logs are replayed by number, so a spare older than the log in
// use must never be used.
func TestSpareThatWasOvertaken(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(dir, Options{})
	require.NoError(t, err)
	old, err := db.newLog()
	require.NoError(t, err)
	require.NoError(t, db.Put([]byte("a"), []byte("1")))
	require.NoError(t, db.Flush(t.Context())) // takes a later number: there was no spare yet
	db.spare.Swap(&spare{old, db.newMem(0, 0).Table}).drop(db)
	require.Less(t, old.num, db.log.num)
	require.NoError(t, db.Put([]byte("b"), []byte("2")))
	require.NoError(t, db.Flush(t.Context()))
	require.Greater(t, db.log.num, old.num)
	require.NotContains(t, logsIn(t, dir), logName(old.num))
	require.NoError(t, db.Put([]byte("c"), []byte("3")))
	dir = killed(t, dir)
	require.NoError(t, db.Close())
	db, err = Open(dir, Options{})
	require.NoError(t, err)
	defer db.Close()
	for _, k := range []string{"a", "b", "c"} {
		_, err := db.Get([]byte(k))
		require.NoError(t, err, k)
	}
}

// TestSpareAfterResume: the log that Resume starts comes after the spare, which is then of
// no use.
func TestSpareAfterResume(t *testing.T) {
	dir := t.TempDir()
	db, err := Open(dir, Options{})
	require.NoError(t, err)
	require.NoError(t, db.Put([]byte("a"), []byte("1")))
	require.NoError(t, db.Flush(t.Context()))
	require.NotNil(t, db.spare.Load())
	db.fail(errors.New("as if a disk had failed"))
	db.tell()
	require.NoError(t, db.Resume(t.Context()))
	require.Nil(t, db.spare.Load())
	for i := range 3 {
		require.NoError(t, db.Put(fmt.Append(nil, "b", i), []byte("2")))
		require.NoError(t, db.Flush(t.Context()))
	}
	require.NoError(t, db.Put([]byte("c"), []byte("3")))
	dir = killed(t, dir)
	require.NoError(t, db.Close())
	db, err = Open(dir, Options{})
	require.NoError(t, err)
	defer db.Close()
	for _, k := range []string{"a", "b0", "b1", "b2", "c"} {
		_, err := db.Get([]byte(k))
		require.NoError(t, err, k)
	}
}

// countingFS counts the syncs of tables.
type countingFS struct {
	osFS
	tables atomic.Int64
}

type countingFile struct {
	File
	fs *countingFS
}

func (fs *countingFS) Create(name string) (File, error) {
	f, err := fs.osFS.Create(name)
	if err == nil && filepath.Ext(name) == ".sst" {
		f = countingFile{f, fs}
	}
	return f, err
}

func (f countingFile) Sync() error {
	f.fs.tables.Add(1)
	return f.File.Sync()
}

// TestTablesAreSyncedAsTheyGrow counts the syncs of a table of several megabytes.
func TestTablesAreSyncedAsTheyGrow(t *testing.T) {
	fs := &countingFS{}
	db, err := Open(t.TempDir(), Options{FS: fs})
	require.NoError(t, err)
	defer db.Close()
	for i := range 64 {
		require.NoError(t, db.Put(fmt.Append(nil, i), bytes.Repeat([]byte{byte(i)}, 64<<10), Queued))
	}
	require.NoError(t, db.Sync())
	require.NoError(t, db.Flush(t.Context()))
	require.GreaterOrEqual(t, fs.tables.Load(), int64(4), "one a megabyte")
}

// TestPressure: from 0, the tree as it should be, to 1, no breaks.
func TestPressure(t *testing.T) {
	db, err := Open(t.TempDir(), Options{L0Tables: 2})
	require.NoError(t, err)
	defer db.Close()
	require.NoError(t, db.takeBackground(t.Context())) // no compaction
	defer db.giveBackground()
	for tables, want := range []float64{0, 0, 0, 0.5, 1, 1} {
		require.Equal(t, want, db.pressure(), "%d tables in level 0", tables)
		require.NoError(t, db.Put([]byte{byte(tables)}, []byte("v"), Queued))
		require.NoError(t, db.Flush(context.Background()))
	}
}
