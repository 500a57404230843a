package replica

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/internal/testkit"
)

// TestStreamAgainstSlice: what is kept is what was written, and nothing else is given out.
func TestStreamAgainstSlice(t *testing.T) {
	rng := testkit.Rand(t)
	for range 50 {
		keep := 1 + rng.IntN(100)
		s := New("a", keep)
		var all []byte
		for range 100 {
			b := make([]byte, rng.IntN(40))
			for i := range b {
				b[i] = byte(rng.Uint32())
			}
			s.Append(b)
			all = append(all, b...)
			require.EqualValues(t, len(all), s.Offset())
			off := rng.IntN(len(all) + 2)
			got, ok := s.Since([]byte("x"), "a", int64(off))
			require.Equal(t, off <= len(all) && off >= len(all)-keep, ok)
			if ok {
				require.True(t, bytes.Equal(append([]byte("x"), all[off:]...), got))
			}
		}
		_, ok := s.Since(nil, "b", s.Offset())
		require.False(t, ok)
		_, ok = s.Since(nil, "a", -1)
		require.False(t, ok)
		_, ok = s.Since(nil, "", s.Offset())
		require.False(t, ok)
	}
}

// TestBranch: after a failover, who knows nothing of its own goes on, who does must not.
func TestBranch(t *testing.T) {
	s := New("old", 1000)
	s.Append([]byte("12345"))
	s.Rename("new")
	s.Rename("new")
	s.Append([]byte("67"))
	got, ok := s.Since(nil, "old", 5)
	require.True(t, ok)
	require.Equal(t, "67", string(got))
	got, ok = s.Since(nil, "old", 3)
	require.True(t, ok)
	require.Equal(t, "4567", string(got))
	_, ok = s.Since(nil, "old", 6)
	require.False(t, ok, "the old primary went on alone")
	_, ok = s.Since(nil, "new", 6)
	require.True(t, ok)

	s.Follow("other", 100)
	_, ok = s.Since(nil, "old", 5)
	require.False(t, ok)
	_, ok = s.Since(nil, "other", 99)
	require.False(t, ok)
	got, ok = s.Since(nil, "other", 100)
	require.True(t, ok)
	require.Empty(t, got)
}
