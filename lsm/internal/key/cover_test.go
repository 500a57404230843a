package key_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

func keys() *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) []byte {
		head := rapid.SampledFrom([]string{"", "a", "longer than eight"}).Draw(t, "head")
		return append([]byte(head), rapid.SliceOfN(rapid.SampledFrom([]byte{0, 'b', 0xff}), 0, 3).Draw(t, "tail")...)
	})
}

// spans draws tombstones, empty ones too.
func spans() *rapid.Generator[[]key.Span] {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) key.Span {
		return key.Span{Start: keys().Draw(t, "start"), End: keys().Draw(t, "end"), Seq: rapid.Uint64Range(1, 30).Draw(t, "seq")}
	}), 0, 25)
}

func covering(spans []key.Span, k []byte, seq uint64) (best uint64) {
	for _, s := range spans {
		if s.Seq <= seq && s.Contains(k) {
			best = max(best, s.Seq)
		}
	}
	return best
}

func TestCoverAgainstSpans(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sp := spans().Draw(t, "spans")
		c := key.NewCover(sp)
		at := rapid.Uint64Range(0, 31).Draw(t, "at")
		cursor := c.Cursor(at)
		for range 40 {
			k, seq := keys().Draw(t, "k"), rapid.Uint64Range(0, 31).Draw(t, "seq")
			require.Equal(t, covering(sp, k, seq), c.Seq(k, seq))
			got := cursor.At(k)
			require.Equal(t, covering(sp, k, at), got)
			if end, ok := cursor.End(); ok {
				require.Negative(t, bytes.Compare(k, end))
			}
			if start, ok := cursor.Start(); ok {
				require.GreaterOrEqual(t, bytes.Compare(k, start), 0)
				require.Equal(t, got, covering(sp, start, at))
			}
		}
	})
}

func TestCursorWalks(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sp := spans().Draw(t, "spans")
		ks := rapid.SliceOfN(keys(), 1, 30).Draw(t, "keys")
		slices.SortFunc(ks, bytes.Compare)
		if rapid.Bool().Draw(t, "back") {
			slices.Reverse(ks)
		}
		cursor := key.NewCover(sp).Cursor(key.MaxSeq)
		for _, k := range ks {
			require.Equal(t, covering(sp, k, key.MaxSeq), cursor.At(k))
		}
	})
	var none key.Cursor
	require.Zero(t, none.At([]byte("k")))
	_, ok := none.End()
	require.False(t, ok)
}

func TestPieces(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sp := spans().Draw(t, "spans")
		snapshots := rapid.SliceOfNDistinct(rapid.Uint64Range(0, 31), 0, 4, rapid.ID).Draw(t, "snapshots")
		slices.Sort(snapshots)
		all, visible := key.NewCover(sp).Spans(), key.NewCover(sp).Visible(snapshots)
		for _, fs := range [][]key.Span{all, visible} {
			for i := 1; i < len(fs); i++ {
				a, b := fs[i-1], fs[i]
				require.Negative(t, key.CompareSpans(a, b))
				same := bytes.Equal(a.Start, b.Start) && bytes.Equal(a.End, b.End)
				require.True(t, same || bytes.Compare(a.End, b.Start) <= 0)
			}
		}
		require.LessOrEqual(t, len(visible), len(all))
		require.LessOrEqual(t, len(visible), max(2*len(sp)-1, 0)*(len(snapshots)+1))
		for range 20 {
			k, seq := keys().Draw(t, "k"), rapid.Uint64Range(0, 31).Draw(t, "seq")
			require.Equal(t, covering(sp, k, seq), covering(all, k, seq))
		}
		// What snapshots and the present see is as it was, for entries older than all
		// tombstones and for those in between.
		for _, s := range append(snapshots, key.MaxSeq) {
			for range 10 {
				k := keys().Draw(t, "k")
				require.Equal(t, covering(sp, k, s), covering(visible, k, s))
			}
		}
	})
}

// TestNestedSpansStaySmall has the worst case for fragments: everything overlaps.
func TestNestedSpansStaySmall(t *testing.T) {
	const n = 20000
	var sp []key.Span
	for i := range n {
		sp = append(sp, key.Span{Start: fmt.Appendf(nil, "%06d", i), End: fmt.Appendf(nil, "%06d", 2*n-i), Seq: uint64(i + 1)})
	}
	require.LessOrEqual(t, len(key.NewCover(sp).Visible([]uint64{100})), 4*n)
	c := key.NewCover(sp)
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		i := rnd.IntN(2 * n)
		want := uint64(min(i, 2*n-i-1) + 1)
		k := fmt.Appendf(nil, "%06d", i)
		require.Equal(t, want, c.Seq(k, key.MaxSeq))
		require.Equal(t, min(want, 77), c.Seq(k, 77))
	}
}

func TestNewestInRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sp := spans().Draw(t, "spans")
		lower, upper := keys().Draw(t, "lower"), keys().Draw(t, "upper")
		if rapid.Bool().Draw(t, "unbounded below") {
			lower = nil
		}
		if rapid.Bool().Draw(t, "unbounded above") {
			upper = nil
		}
		if upper != nil && bytes.Compare(lower, upper) >= 0 {
			return
		}
		var want uint64
		for _, s := range key.Clip(sp, lower, upper) {
			want = max(want, s.Seq)
		}
		require.Equal(t, want, key.NewCover(sp).Newest(lower, upper))
	})
	require.Zero(t, key.Cover{}.Newest(nil, nil))
	require.True(t, key.NewCover(nil).Empty())
}
