package api

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestLevels(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want Level
		of3  int
		of5  int
	}{
		{"", Quorum, 2, 3},
		{"QUORUM", Quorum, 2, 3},
		{"one", One, 1, 1},
		{"all", All, 3, 5},
	} {
		l, err := ParseLevel(tc.in)
		require.NoError(t, err)
		require.Equal(t, tc.want, l)
		require.Equal(t, tc.of3, l.Count(3))
		require.Equal(t, tc.of5, l.Count(5))
		again, err := ParseLevel(l.String())
		require.NoError(t, err)
		require.Equal(t, l, again)
	}
	_, err := ParseLevel("most")
	require.ErrorIs(t, err, ErrLevel)
}

func TestNeed(t *testing.T) {
	n, err := Need(Quorum, 0, 3)
	require.NoError(t, err)
	require.Equal(t, 2, n)
	n, err = Need(One, 3, 3)
	require.NoError(t, err)
	require.Equal(t, 3, n)
	for _, bad := range []int{-1, 4} {
		_, err = Need(Quorum, bad, 3)
		require.ErrorIs(t, err, ErrQuorum)
	}
}

func TestChecks(t *testing.T) {
	require.ErrorIs(t, CheckKey(nil), ErrEmptyKey)
	require.ErrorIs(t, CheckKey(make([]byte, MaxKey+1)), ErrKeyTooLarge)
	require.NoError(t, CheckKey(make([]byte, MaxKey)))
	k := []byte("k")
	require.ErrorIs(t, CheckWrite(nil, nil, WriteOptions{}), ErrEmptyKey)
	require.ErrorIs(t, CheckWrite(k, make([]byte, MaxValue+1), WriteOptions{}), ErrValueTooLarge)
	require.ErrorIs(t, CheckWrite(k, nil, WriteOptions{TTL: -1}), ErrTTL)
	require.NoError(t, CheckWrite(k, make([]byte, MaxValue), WriteOptions{TTL: time.Hour}))
}

func TestNewest(t *testing.T) {
	var r Read
	_, ok := r.Newest()
	require.False(t, ok)
	at := time.Unix(100, 0)
	r.Values = []Value{{Data: []byte("a"), Written: at}, {Data: []byte("b"), Written: at.Add(1)}, {Data: []byte("c"), Written: at}}
	v, ok := r.Newest()
	require.True(t, ok)
	require.Equal(t, "b", string(v.Data))
}
