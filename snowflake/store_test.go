package snowflake

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func stores(t *testing.T) map[string]Store {
	dir, err := NewDirStore(filepath.Join(t.TempDir(), "a", "b"))
	require.NoError(t, err)
	return map[string]Store{"memory": &MemStore{}, "directory": dir}
}

func TestStores(t *testing.T) {
	for name, s := range stores(t) {
		t.Run(name, func(t *testing.T) {
			ctx := t.Context()
			revs := map[int64]bool{0: true}
			for _, key := range []string{"a", "", "../a", "A", "é/ü"} {
				v, rev, err := s.Get(ctx, key)
				require.NoError(t, err)
				require.Zero(t, rev)
				require.Empty(t, v)
				_, err = s.CompareAndSet(ctx, key, 7, nil)
				require.ErrorIs(t, err, ErrConflict)
				clear(revs)
				for _, value := range []string{"", "x", "two\nlines", "\x00"} {
					old := rev
					rev, err = s.CompareAndSet(ctx, key, old, []byte(value))
					require.NoError(t, err)
					require.Positive(t, rev)
					require.False(t, revs[rev], "a revision comes once")
					revs[rev] = true
					_, err = s.CompareAndSet(ctx, key, old, []byte("late"))
					require.ErrorIs(t, err, ErrConflict)
					v, at, err := s.Get(ctx, key)
					require.NoError(t, err)
					require.Equal(t, rev, at)
					require.Equal(t, value, string(v))
					if len(v) > 0 {
						v[0] = '!' // ours
					}
				}
				v, _, err = s.Get(ctx, key)
				require.NoError(t, err)
				require.Equal(t, "\x00", string(v))
			}
			ended, cancel := context.WithCancel(ctx)
			cancel()
			_, _, err := s.Get(ended, "a")
			require.ErrorIs(t, err, context.Canceled)
			_, err = s.CompareAndSet(ended, "a", 0, nil)
			require.ErrorIs(t, err, context.Canceled)
		})
	}
}

// TestStoresCount adds up under contention: no compare-and-set is lost, none counts twice.
func TestStoresCount(t *testing.T) {
	for name, s := range stores(t) {
		t.Run(name, func(t *testing.T) {
			const workers, each = 4, 25
			var wg sync.WaitGroup
			for range workers {
				wg.Go(func() {
					for done := 0; done < each; {
						v, rev, err := s.Get(t.Context(), "n")
						if err != nil {
							t.Error(err)
							return
						}
						n, _ := strconv.Atoi(string(v))
						_, err = s.CompareAndSet(t.Context(), "n", rev, strconv.AppendInt(nil, int64(n+1), 10))
						switch {
						case err == nil:
							done++
						case !errors.Is(err, ErrConflict):
							t.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			v, _, err := s.Get(t.Context(), "n")
			require.NoError(t, err)
			require.Equal(t, strconv.Itoa(workers*each), string(v))
		})
	}
}

func TestDirStoreTrouble(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "file"), nil, 0o644))
	_, err := NewDirStore(filepath.Join(dir, "file"))
	require.Error(t, err)
	s, err := NewDirStore(dir)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "k-a"), []byte("1 00000000\n"), 0o644))
	_, _, err = s.Get(t.Context(), "a")
	require.ErrorIs(t, err, ErrCorrupt)
	_, err = s.CompareAndSet(t.Context(), "a", 1, nil)
	require.ErrorIs(t, err, ErrCorrupt)
	// A suspended process has the lock: the wait ends with the context.
	lock, err := openLocked(filepath.Join(dir, "lock"))
	require.NoError(t, err)
	defer lock.Close()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		_, err := s.CompareAndSet(ctx, "b", 0, nil)
		done <- err
	}()
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
}
