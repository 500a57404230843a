package snowflake

import (
	"context"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/internal/testkit"
)

func TestFileMark(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mark")
	m := FileMark(path).(*fileMark)
	require.ErrorIs(t, m.Store(t.Context(), time.Now()), ErrLeaseLost, "before Load")
	got, err := m.Load(t.Context())
	require.NoError(t, err)
	require.Zero(t, got)
	at := time.Date(2026, 11, 26, 10, 0, 0, 123_456_789, time.FixedZone("", 3600))
	require.NoError(t, m.Store(t.Context(), at))
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	testkit.Golden(t, "testdata/mark-v1.txt", string(b))
	got, err = m.Load(t.Context())
	require.NoError(t, err)
	require.Equal(t, at.UTC(), got)

	_, err = FileMark(path).Load(t.Context())
	require.ErrorIs(t, err, ErrBusy)
	_, err = New(Options{Mark: FileMark(path)})
	require.ErrorIs(t, err, ErrBusy)
	require.NoError(t, m.Close())
	require.NoError(t, m.Close())
	g, err := New(Options{Mark: FileMark(path)})
	require.NoError(t, err)
	next(t, g)
	require.NoError(t, g.Close())
	g, err = New(Options{Mark: FileMark(path)})
	require.NoError(t, err, "Close gave the lock back")
	require.NoError(t, g.Close())
	names, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, names, 2, "the mark and its lock")
}

// TestFileMarkDamage flips every bit of a mark and cuts it at every byte.
func TestFileMarkDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "mark")
	good := encodeMark(time.Now())
	try := func(s string) {
		require.NoError(t, os.WriteFile(path, []byte(s), 0o644))
		_, err := New(Options{Mark: FileMark(path)})
		require.ErrorIs(t, err, ErrCorrupt, "%q", s)
		require.ErrorIs(t, err, ErrMark)
	}
	for i := range good {
		try(good[:i])
		for bit := range 8 {
			b := []byte(good)
			b[i] ^= 1 << bit
			try(string(b))
		}
	}
	try(good + "\n")
	try(good + good)
}

func TestFileMarkTrouble(t *testing.T) {
	dir := t.TempDir()
	_, err := New(Options{Mark: FileMark(filepath.Join(dir, "no", "mark"))})
	require.ErrorIs(t, err, ErrMark)
	require.ErrorIs(t, err, os.ErrNotExist)

	path := filepath.Join(dir, "mark")
	m := FileMark(path).(*fileMark)
	_, err = m.Load(t.Context())
	require.NoError(t, err)
	defer m.Close()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, m.Store(ended, time.Now()), context.Canceled)
	require.ErrorIs(t, m.Store(t.Context(), time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC)), ErrRange)
	require.NoError(t, os.Remove(path+".lock"))
	require.ErrorIs(t, m.Store(t.Context(), time.Now()), ErrLeaseLost)
	_, err = m.Load(t.Context())
	require.ErrorIs(t, err, ErrLeaseLost)
	other := FileMark(path).(*fileMark)
	_, err = other.Load(t.Context())
	require.NoError(t, err, "whoever removed the lock let others in")
	defer other.Close()
	require.ErrorIs(t, m.Store(t.Context(), time.Now()), ErrLeaseLost)
}

func TestFileMarkOnAFullDisk(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("needs /dev/full")
	}
	path := filepath.Join(t.TempDir(), "mark")
	g, err := New(Options{Mark: FileMark(path), MarkEvery: 50 * time.Millisecond})
	require.NoError(t, err)
	last := next(t, g)
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	full := func() {
		require.NoError(t, os.Symlink("/dev/full", path+".tmp"))
	}
	for err == nil {
		if _, serr := os.Lstat(path + ".tmp"); serr != nil {
			full() // it is removed after every failure
		}
		var id ID
		if id, err = g.Next(); err == nil {
			require.Greater(t, id, last)
			last = id
		}
	}
	require.ErrorIs(t, err, ErrMark)
	require.ErrorContains(t, err, "no space left")
	if after, err := os.ReadFile(path); err == nil {
		mark, err := decodeMark(string(after))
		require.NoError(t, err, "the last good mark stands")
		require.True(t, Classic.Time(last).Before(mark))
		require.NotEmpty(t, before)
	}
	_ = os.Remove(path + ".tmp")
	id, err := g.Next()
	require.NoError(t, err, "there is room again")
	require.Greater(t, id, last)
	require.NoError(t, g.Close())
}

func TestAcquireFile(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "leases")
	for _, n := range []int{0, -1} {
		_, err := AcquireFile(dir, n)
		require.ErrorIs(t, err, ErrOptions)
	}
	var leases []Lease
	for n := range uint64(3) {
		l, err := AcquireFile(dir, 3)
		require.NoError(t, err)
		require.Equal(t, n, l.Node())
		leases = append(leases, l)
	}
	_, err := AcquireFile(dir, 3)
	require.ErrorIs(t, err, ErrNoNode)
	g, err := New(Options{Lease: leases[1]})
	require.NoError(t, err)
	id := next(t, g)
	require.Equal(t, uint64(1), Classic.Node(id))
	require.NoError(t, g.Close())
	again, err := AcquireFile(dir, 3)
	require.NoError(t, err)
	require.Equal(t, uint64(1), again.Node())
	mark, err := again.Load(t.Context())
	require.NoError(t, err)
	require.Equal(t, Classic.Time(id).Add(time.Millisecond), mark)
	leases[1] = again
	for _, l := range leases {
		require.NoError(t, l.Release(t.Context()))
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "node-0"), []byte("x"), 0o644))
	l, err := AcquireFile(dir, 3)
	require.NoError(t, err)
	require.Equal(t, uint64(1), l.Node(), "the damaged one is left alone")
	_, err = AcquireFile(dir, 2)
	require.ErrorIs(t, err, ErrNoNode)
	require.ErrorIs(t, err, ErrCorrupt)
	require.NoError(t, l.Release(t.Context()))
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o644))
	_, err = AcquireFile(filepath.Join(dir, "file"), 3)
	require.Error(t, err)
}

func FuzzDecodeMark(f *testing.F) {
	f.Add(encodeMark(time.Date(2026, 11, 26, 9, 0, 0, 1, time.UTC)))
	f.Add("snowflake-mark 1 2026-11-26T09:00:00Z 00000000\n")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		at, err := decodeMark(s)
		if err != nil {
			require.ErrorIs(t, err, ErrCorrupt)
			return
		}
		require.Equal(t, s, encodeMark(at))
	})
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add(encodeRecord(1, "value"))
	f.Add(encodeRecord(1<<62, "two\nlines"))
	f.Add(strings.Repeat("1", 30) + " x\n")
	f.Fuzz(func(t *testing.T, s string) {
		rev, value, err := decodeRecord(s)
		if err != nil {
			require.ErrorIs(t, err, ErrCorrupt)
			return
		}
		require.Equal(t, s, encodeRecord(rev, value))
	})
}
