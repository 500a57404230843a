package key_test

import (
	"bytes"
	"cmp"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

func TestTrailer(t *testing.T) {
	tr := key.Pack(key.MaxSeq, key.SetExpiring)
	require.Equal(t, uint64(key.MaxSeq), tr.Seq())
	require.Equal(t, key.SetExpiring, tr.Kind())
	require.Equal(t, key.MaxTrailer, key.Pack(key.MaxSeq, key.MaxKind))
	require.Equal(t, "set@17", key.Pack(17, key.Set).String())
	require.Equal(t, "kind(9)", key.Kind(9).String())
	require.True(t, key.Delete.Point())
	require.False(t, key.RangeDelete.Point())
}

func TestCompareNewestFirst(t *testing.T) {
	a := []byte("a")
	require.Negative(t, key.Compare(a, key.Pack(2, key.Set), a, key.Pack(1, key.Set)))
	require.Positive(t, key.Compare(a, key.Pack(1, key.Set), a, key.Pack(2, key.Delete)))
	require.Zero(t, key.Compare(a, 7, a, 7))
	require.Negative(t, key.Compare(a, 0, []byte("b"), key.MaxTrailer))
}

func TestPrefixAgreesWithOrder(t *testing.T) {
	short := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 'a', 0xff}), 0, 12)
	rapid.Check(t, func(t *rapid.T) {
		a, b := short.Draw(t, "a"), short.Draw(t, "b")
		pa, pb := key.Prefix(a), key.Prefix(b)
		if pa != pb {
			require.Equal(t, bytes.Compare(a, b), cmp.Compare(pa, pb))
		}
	})
}

func TestExpiry(t *testing.T) {
	stored := append(key.AppendExpiry(nil, -5), "value"...)
	ms, v, ok := key.Expiry(stored)
	require.True(t, ok)
	require.Equal(t, int64(-5), ms)
	require.Equal(t, "value", string(v))
	_, _, ok = key.Expiry(stored[:7])
	require.False(t, ok)
}

func TestSpan(t *testing.T) {
	s := key.Span{Start: []byte("b"), End: []byte("d"), Seq: 3}
	for k, in := range map[string]bool{"a": false, "b": true, "c\xff": true, "d": false} {
		require.Equal(t, in, s.Contains([]byte(k)), k)
	}
	require.False(t, s.Empty())
	require.True(t, key.Span{Start: []byte("b"), End: []byte("b")}.Empty())
	older := s
	older.Seq = 2
	require.Negative(t, key.CompareSpans(s, older))
	require.Positive(t, key.CompareSpans(older, s))
	require.Zero(t, key.CompareSpans(s, s))
}
