package querylog

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/lsm/lsmtest"
)

func all(t *testing.T, l *Log) (out []Record) {
	t.Helper()
	last, _ := l.Last()
	require.NoError(t, l.After(0, last, func(r Record) bool { out = append(out, r); return true }))
	return out
}

func TestLog(t *testing.T) {
	dir := t.TempDir()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	o := Options{Now: func() time.Time { return now }}
	l, err := Open(dir, o)
	require.NoError(t, err)
	_, grown := l.Last()
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			_, err := l.Append(t.Context(), fmt.Sprint("term ", i), uint64(i), i%2 == 0)
			require.NoError(t, err)
		})
	}
	wg.Wait()
	<-grown
	before := all(t, l)
	require.Len(t, before, 200)
	for i, r := range before {
		require.Equal(t, uint64(i+1), r.Seq)
		require.Equal(t, fmt.Sprint("term ", r.User), r.Term)
		require.Equal(t, r.User%2 == 0, r.Picked)
		require.True(t, r.At.Equal(now))
	}
	require.NoError(t, l.Close())
	require.NoError(t, l.Close())
	_, err = l.Append(t.Context(), "late", 0, false)
	require.ErrorIs(t, err, ErrClosed)

	l, err = Open(dir, o)
	require.NoError(t, err)
	require.Equal(t, before, all(t, l))
	require.NoError(t, l.Forget(1<<60)) // more than there is
	require.Empty(t, all(t, l))
	require.NoError(t, l.Close())
	l, err = Open(dir, o)
	require.NoError(t, err)
	r, err := l.Append(t.Context(), "next", 0, false)
	require.NoError(t, err)
	require.Equal(t, uint64(201), r.Seq, "numbers are not given twice")
	require.NoError(t, l.Close())
}

// TestPowerCut: what Append acknowledged is there after the power was cut.
func TestPowerCut(t *testing.T) {
	disk := lsmtest.NewFS()
	l, err := Open("log", Options{FS: disk})
	require.NoError(t, err)
	for i := range 50 {
		_, err := l.Append(t.Context(), fmt.Sprint("term ", i), 0, false)
		require.NoError(t, err)
	}
	after := disk.Crash(lsmtest.Loss{Seed: 2})
	_ = l.Close() // its disk is gone
	l, err = Open("log", Options{FS: after})
	require.NoError(t, err)
	require.Len(t, all(t, l), 50)
	require.NoError(t, l.Close())
}

func TestAppendGivesUp(t *testing.T) {
	l, err := Open(t.TempDir(), Options{})
	require.NoError(t, err)
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := l.Append(ctx, "x", 0, false); err != nil {
		require.ErrorIs(t, err, context.Canceled)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(key(7), encode(Record{At: time.Unix(1, 2), User: 3, Picked: true, Term: "x"}))
	f.Fuzz(func(t *testing.T, k, v []byte) {
		r, err := decode(k, v)
		if err != nil {
			require.ErrorIs(t, err, ErrDamaged)
			return
		}
		require.Equal(t, v, encode(r))
	})
}
