package slots

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/internal/testkit"
)

func TestOf(t *testing.T) {
	require.EqualValues(t, 0x31c3, CRC16([]byte("123456789")), "the check value of XMODEM")
	for key, tag := range map[string]string{
		"{user1000}.following": "user1000", "foo{}{bar}": "foo{}{bar}", "foo{{bar}}zap": "{bar", "foo{bar}{zap}": "bar", "a{b": "a{b", "{}": "{}", "": "",
	} {
		require.Equal(t, CRC16([]byte(tag))%Count, Of([]byte(key)), key)
	}
	require.EqualValues(t, 12182, Of([]byte("foo")), "as redis-cli cluster keyslot foo")
}

func TestEven(t *testing.T) {
	for _, shards := range []int{1, 2, 3, 7, 100} {
		m := Even(shards)
		require.Len(t, m.Ranges(), shards)
		sum := 0
		for s := range shards {
			require.InDelta(t, Count/shards, m.Owned(s), 1)
			require.Len(t, m.Runs(s), 1)
			sum += m.Owned(s)
		}
		require.Equal(t, Count, sum)
	}
}

// TestMergeOrder: whatever order claims come in, and however often, the end is the same.
func TestMergeOrder(t *testing.T) {
	rng := testkit.Rand(t)
	const shards = 4
	var all [][]Range
	base := Even(shards)
	all = append(all, base.Ranges())
	for i := range 30 {
		m := Even(shards)
		for range rng.IntN(20) {
			m.Take(uint16(rng.IntN(50)), rng.IntN(shards), uint64(i%5))
		}
		all = append(all, append([]Range(nil), m.Ranges()...))
	}
	var want *Map
	for range 20 {
		m := &Map{}
		for range 2 {
			for _, i := range rng.Perm(len(all)) {
				_, err := m.Merge(all[i], shards)
				require.NoError(t, err)
			}
		}
		if want == nil {
			want = m
		}
		require.Equal(t, want.Ranges(), m.Ranges())
		changed, err := m.Merge(want.Ranges(), shards)
		require.NoError(t, err)
		require.False(t, changed)
		n := 0
		for s := range shards {
			n += m.Owned(s)
		}
		require.Equal(t, Count, n)
	}
}

func TestMergeRefuses(t *testing.T) {
	m := Even(2)
	before := fmt.Sprint(m.Ranges())
	for _, bad := range []Range{
		{First: 5, Last: 4, Claim: Claim{2, 0, 0}},
		{First: 0, Last: Count, Claim: Claim{2, 0, 0}},
		{First: 0, Last: 1, Claim: Claim{2, 0, 2}},
		{First: 0, Last: 1, Claim: Claim{2, 0, -1}},
		{First: 0, Last: 1, Claim: Claim{0, 0, 1}},
	} {
		_, err := m.Merge([]Range{{0, 10, Claim{9, 9, 1}}, bad}, 2)
		require.ErrorIs(t, err, ErrRange)
	}
	require.Equal(t, before, fmt.Sprint(m.Ranges()))
}

func TestRoute(t *testing.T) {
	m := Even(2)
	const mine, theirs = 1, Count - 1
	v := &Moves{To: map[uint16]int{2: 1}, From: map[uint16]int{theirs - 1: 1}}
	for _, c := range []struct {
		name  string
		q     Question
		want  Verdict
		shard int
	}{
		{"mine", Question{Slot: mine, Serving: true, Keys: 1}, Serve, -1},
		{"mine, but not now", Question{Slot: mine, Keys: 1}, Down, -1},
		{"theirs", Question{Slot: theirs, Serving: true, Keys: 1}, Moved, 1},
		{"theirs, asking without a move", Question{Slot: theirs, Serving: true, Asking: true, Keys: 1}, Moved, 1},
		{"going, here", Question{Slot: 2, Serving: true, Keys: 1, Present: 1}, Serve, -1},
		{"going, gone", Question{Slot: 2, Serving: true, Keys: 1}, Ask, 1},
		{"going, half", Question{Slot: 2, Serving: true, Keys: 2, Present: 1}, TryAgain, -1},
		{"coming, asking", Question{Slot: theirs - 1, Serving: true, Asking: true, Keys: 1}, Serve, -1},
		{"coming, asking for two", Question{Slot: theirs - 1, Serving: true, Asking: true, Keys: 2, Present: 1}, TryAgain, -1},
		{"coming, not asking", Question{Slot: theirs - 1, Serving: true, Keys: 1, Present: 1}, Moved, 1},
		{"coming, not now", Question{Slot: theirs - 1, Asking: true, Keys: 1}, Down, -1},
	} {
		got, shard := Route(m, v, c.q)
		require.Equal(t, c.want, got, c.name)
		require.Equal(t, c.shard, shard, c.name)
	}
	got, _ := Route(&Map{}, v, Question{})
	require.Equal(t, Down, got)
	require.True(t, v.Moving(2))
	require.True(t, v.Moving(theirs-1))
	require.False(t, v.Moving(3))
}
