package history

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestStore(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir)
	require.NoError(t, err)
	ada, bob := s.User("ada"), s.User("bob")
	require.NotEqual(t, ada, bob)
	require.Zero(t, s.User(""))
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for range 3 {
		require.NoError(t, s.Add(ada, "new york", at))
	}
	require.NoError(t, s.Add(ada, "New Zealand", at))
	require.NoError(t, s.Add(0, "nobody's", at))
	require.NoError(t, s.Close())

	s, err = Open(dir)
	require.NoError(t, err)
	require.Equal(t, ada, s.User("ada"), "the secret is kept")
	source, terms, err := s.Of(ada, "NEW")
	require.NoError(t, err)
	require.Equal(t, []string{"new york", "New Zealand"}, terms)
	score, ok := source.ScoreOf("New York")
	require.True(t, ok)
	require.Equal(t, 3.0, score)
	for _, user := range []uint64{0, bob} {
		source, terms, err = s.Of(user, "")
		require.NoError(t, err)
		require.Nil(t, source)
		require.Empty(t, terms)
	}
	for i := range 2 * MaxTerms {
		require.NoError(t, s.Add(bob, fmt.Sprint("term ", i), at))
	}
	_, terms, err = s.Of(bob, "")
	require.NoError(t, err)
	require.Len(t, terms, MaxTerms)
	require.Contains(t, terms, fmt.Sprint("term ", 2*MaxTerms-1), "the last ones are kept")
	require.NoError(t, s.Forget(ada))
	_, terms, err = s.Of(ada, "")
	require.NoError(t, err)
	require.Empty(t, terms)
	require.NoError(t, s.Close())

	require.NoError(t, os.WriteFile(filepath.Join(dir, "secret"), []byte("short"), 0o600))
	_, err = Open(dir)
	require.ErrorIs(t, err, ErrSecret)
}
