package snowflake

import (
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

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
