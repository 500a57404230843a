package trie

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/internal/testkit"
)

func newTrending(t testing.TB, halfLife time.Duration, o Options) *Trending {
	x, err := NewTrending(halfLife, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, x.Close()) })
	return x
}

// TestTrendingDecaysExactly compares with sums that are halved step by step, for a month
// of observations, some of which come late.
func TestTrendingDecaysExactly(t *testing.T) {
	rng := testkit.Rand(t)
	for half, most := range map[time.Duration]float64{time.Second: 2e-8, time.Hour: 1e-11, 30 * 24 * time.Hour: 1e-11} {
		at := time.Date(2026, 3, 4, 5, 6, 7, 89, time.UTC)
		start := at
		x := newTrending(t, half, Options{Now: func() time.Time { return at }, MaxDelta: 700})
		want := map[string]float64{} // as of start
		events := 100_000
		if testing.Short() {
			events = 10_000
		}
		for range events {
			at = at.Add(time.Duration(rng.Int64N(int64(half) / 500)))
			when := at.Add(-time.Duration(rng.Int64N(int64(half))))
			term := fmt.Sprint("term ", rng.IntN(1000))
			weight := math.Exp(rng.NormFloat64() * 3)
			require.NoError(t, x.Observe(term, weight, when))
			want[term] += weight * math.Exp2(when.Sub(start).Hours()/half.Hours())
		}
		now := math.Exp2(-at.Sub(start).Hours() / half.Hours())
		list := x.TopK("term", 2000)
		require.Len(t, list, len(want))
		for i, c := range list {
			require.InEpsilon(t, want[c.Term]*now, c.Score, most, "%v %s", half, c.Term)
			if i > 0 {
				require.GreaterOrEqual(t, want[list[i-1].Term], want[c.Term]*(1-2*most))
			}
			got, ok := x.ScoreOf(strings.ToUpper(c.Term))
			require.True(t, ok)
			require.Equal(t, c.Score, got)
		}
		require.Equal(t, list, slices.Collect(x.Completions("term")))
		at = at.Add(30 * half)
		later := x.TopK("", 2000)
		require.Equal(t, termsOf(list), termsOf(later), "time alone changes no order")
		require.InEpsilon(t, list[0].Score/math.Exp2(30), later[0].Score, most)
	}
}

func TestTrendingBurst(t *testing.T) {
	at := time.Unix(1.8e9, 0)
	x := newTrending(t, time.Hour, Options{Now: func() time.Time { return at }})
	for range 100 {
		require.NoError(t, x.Observe("old hat", 1, at))
	}
	at = at.Add(5 * time.Hour)
	for range 5 {
		require.NoError(t, x.Observe("news", 1, at))
	}
	require.Equal(t, []string{"news", "old hat"}, termsOf(x.TopK("", 5)))
	n, err := x.Prune(4)
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, []string{"news"}, termsOf(x.TopK("", 5)))
	require.NoError(t, x.Delete("news"))
	_, ok := x.ScoreOf("news")
	require.False(t, ok)
	require.NotNil(t, x.Index())
}

func TestTrendingBadInput(t *testing.T) {
	x := newTrending(t, time.Millisecond, Options{})
	for _, weight := range []float64{-1, math.NaN(), math.Inf(1), math.Inf(-1)} {
		require.ErrorIs(t, x.Observe("a", weight, time.Now()), ErrWeight)
	}
	require.NoError(t, x.Observe("a", 0, time.Now()))
	require.Empty(t, x.TopK("", 5))
	require.ErrorIs(t, x.Observe("", 1, time.Now()), ErrEmptyTerm)
	// The limits of weights and of time.
	for _, at := range []time.Time{{}, time.Unix(-1<<62, 0), time.Unix(1<<62, 999), time.Unix(0, 0)} {
		for _, weight := range []float64{math.SmallestNonzeroFloat64, 1, math.MaxFloat64} {
			require.NoError(t, x.Observe("a", weight, at))
			got, ok := x.ScoreOf("a")
			require.True(t, ok)
			require.False(t, math.IsNaN(got))
		}
	}
	for _, half := range []time.Duration{0, -time.Hour, time.Microsecond} {
		_, err := NewTrending(half, Options{})
		require.ErrorIs(t, err, ErrOptions)
	}
	_, err := NewTrending(time.Hour, Options{Base: build(t, BuilderOptions{})})
	require.ErrorIs(t, err, ErrOptions)
	long := newTrending(t, math.MaxInt64, Options{})
	require.NoError(t, long.Observe("a", 5, time.Now()))
	require.InEpsilon(t, 5, long.TopK("a", 1)[0].Score, 1e-9)
}

func TestTrendingReopens(t *testing.T) {
	at := time.Unix(1.8e9, 0)
	o := Options{Dir: t.TempDir(), Now: func() time.Time { return at }}
	x := newTrending(t, time.Hour, o)
	require.NoError(t, x.Observe("a", 3, at))
	require.NoError(t, x.Close())
	x = newTrending(t, time.Hour, o)
	require.InEpsilon(t, 3, x.TopK("a", 1)[0].Score, 1e-9)
	_, err := NewTrending(2*time.Hour, o)
	require.ErrorIs(t, err, ErrOptions)
}

func TestBlocklist(t *testing.T) {
	b, err := NewBlocklist(FoldDefault, "ass", "New York", "c++", "日本")
	require.NoError(t, err)
	for term, want := range map[string]bool{
		"kick ass": true, "ASS": true, "assembly": false, "glass": false, "big new york pizza": true, "new yorker": false,
		"learn C++": true, "c+": false, "c++11": true, "": false, "日本": true, "日本語": false, "ass.": true, "new": false, "new  york": false,
	} {
		require.Equal(t, want, b.Blocks(term), term)
		require.Equal(t, !want, b.Allows(term), term)
	}
	require.False(t, (*Blocklist)(nil).Blocks("ass"))
	_, err = NewBlocklist(FoldDefault, "")
	require.ErrorIs(t, err, ErrEmptyTerm)
	s := build(t, BuilderOptions{}, "assembly", 3, "ass", 5, "assume", 2)
	require.Equal(t, []string{"assembly", "assume"}, termsOf(s.Search(Query{Prefix: "ass", K: 5, Filter: b.Allows})))
	if !testkit.Race {
		q, query := s.NewSearcher(), Query{Prefix: "ass", K: 5, Filter: b.Allows}
		require.Zero(t, testing.AllocsPerRun(100, func() { q.Search(query) }))
	}
}
