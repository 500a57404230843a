package merkle

import (
	"encoding/binary"
	"iter"
	"testing"

	"github.com/stretchr/testify/require"
)

// counted is a store of n keys without holding them: version 1, or 2 for the first few.
type counted struct {
	n, changed int
	tree       *Sync
}

func (c counted) key(buf []byte, i int) []byte {
	return binary.BigEndian.AppendUint64(append(buf[:0], "user:"...), uint64(i)*0x9e3779b97f4a7c15)
}

func (c counted) version(i int) uint64 {
	if i < c.changed {
		return 2
	}
	return 1
}

func (c counted) Items([]uint32) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		var buf [16]byte
		for i := range c.n {
			if !yield(Item{c.key(buf[:], i), c.version(i)}, nil) {
				return
			}
		}
	}
}

// change returns the same store with other versions of its first keys.
func (c counted) change(tb testing.TB, changed int) counted {
	out := counted{n: c.n, changed: changed, tree: NewSync(c.tree.Options())}
	require.NoError(tb, out.tree.Add(c.tree))
	var buf [16]byte
	for i := range changed {
		out.tree.Update(c.key(buf[:], i), 1, 2)
	}
	return out
}

func newCounted(n int, o SyncOptions) counted {
	c := counted{n: n, tree: NewSync(o)}
	var buf [16]byte
	for i := range n {
		c.tree.Update(c.key(buf[:], i), 0, 1)
	}
	return c
}

// TestCost holds the price of an exchange over a million keys to what the documentation says.
func TestCost(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("a million keys take too long here")
	}
	base := newCounted(1_000_000, SyncOptions{Seed: [2]uint64{3, 4}})
	for _, c := range []struct{ differing, bytes, trips int }{
		{0, 64, 1},
		{1, 1 << 10, 4},
		{10, 7 << 10, 4},
		{100, 50 << 10, 4},
		{1000, 400 << 10, 8},
		{10_000, 3 << 20, 40},
	} {
		a, b := base, base.change(t, c.differing)
		sa := NewSession(a.tree.View(), a, SessionOptions{})
		sb := NewSession(b.tree.View(), b, SessionOptions{})
		require.NoError(t, exchange(sa, sb))
		st := sa.Stats()
		t.Logf("%6d differ: %8d bytes, %2d round trips, %5d nodes, %6d items", c.differing, st.Sent+st.Received, st.RoundTrips, st.Nodes, st.Items)
		require.Equal(t, c.differing, st.Diffs)
		require.Equal(t, c.differing, sb.Stats().Diffs)
		require.LessOrEqual(t, st.Sent+st.Received, c.bytes)
		require.LessOrEqual(t, st.RoundTrips, c.trips)
	}
}
