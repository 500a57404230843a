package trie

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/internal/testkit"
)

func TestMergeAgainstBruteForce(t *testing.T) {
	rng := testkit.Rand(t)
	sets := 300
	if testing.Short() {
		sets = 50
	}
	for range sets {
		n := 1 + rng.IntN(4)
		models := make([]model, n)
		sources := make([]Weighted, n)
		for i := range n {
			x := newLayered(t, rng, false)
			x.change(t, rng.IntN(20))
			models[i] = x.model
			sources[i] = Weighted{Source: x, Weight: []float64{0, 0.3, 0.7, 1, 2, -1, math.NaN()}[rng.IntN(7)], Normalize: rng.IntN(2) == 0}
			if rng.IntN(2) == 0 {
				sources[i].Source = x.model.build(t, rng, BuilderOptions{Fold: FoldNone})
			}
		}
		for range 10 {
			prefix, k := randomPrefix(rng, models[0].keys()), rng.IntN(12)
			weights := make([]float64, n)
			var want []Completion
			seen := map[string]bool{}
			for i, m := range models {
				weights[i] = max(sources[i].Weight, 0)
				if math.IsNaN(sources[i].Weight) {
					weights[i] = 0
				}
				if all := m.matches(prefix, false); sources[i].Normalize && len(all) > 0 && all[0].Score > 0 {
					weights[i] /= all[0].Score
				}
			}
			for _, m := range models {
				for _, c := range m.matches(prefix, false) {
					if seen[c.Term] {
						continue
					}
					seen[c.Term] = true
					c.Score = 0
					for j := range models {
						if of, ok := models[j][c.Term]; ok {
							c.Score += weights[j] * float64(of.score)
						}
					}
					want = append(want, c)
				}
			}
			slices.SortFunc(want, func(a, b Completion) int {
				return cmp.Or(cmp.Compare(b.Score, a.Score), strings.Compare(a.Term, b.Term))
			})
			if want == nil || k == 0 {
				want = []Completion{}
			}
			same(t, want[:min(k, len(want))], Merge(prefix, k, sources...), "%d of %q, weights %v", k, prefix, weights)
		}
	}
	require.Empty(t, Merge("a", 5))
	require.Empty(t, Merge("a", -1))
}

func TestMergeShares(t *testing.T) {
	global := build(t, BuilderOptions{}, "Golang", 900_000, "gopher", 500_000, "golf", 1_000_000)
	own := build(t, BuilderOptions{}, "golang", 20, "gordian knot", 5)
	got := Merge("go", 4, Weighted{global, 0.7, true}, Weighted{own, 0.3, true})
	require.Equal(t, []string{"golang", "golf", "gopher", "gordian knot"}, termsOf(got), "and golang once, though each shows it in its own way")
	require.InDelta(t, 0.7*0.9+0.3, got[0].Score, 1e-12)
}

func TestShards(t *testing.T) {
	rng := testkit.Rand(t)
	for range 100 {
		m := randomModel(rng, 200)
		o := BuilderOptions{Fold: FoldNone}
		whole := m.build(t, rng, o)
		n := 1 + rng.IntN(8)
		shards := SplitByWeight(whole, n)
		require.LessOrEqual(t, shards.Len(), n)
		require.True(t, slices.IsSorted(shards.Bounds))
		parts := make([]model, shards.Len())
		for i := range parts {
			parts[i] = model{}
		}
		for term, of := range m {
			parts[shards.Of(term)][term] = of
		}
		sources := make([]Source, len(parts))
		for i, p := range parts {
			sources[i] = p.build(t, rng, o)
		}
		for range 20 {
			prefix := randomPrefix(rng, m.keys())
			lo, hi := shards.Range(prefix)
			require.Less(t, lo, hi)
			require.LessOrEqual(t, hi, shards.Len())
			same(t, m.matches(prefix, false), slices.Collect(Union(prefix, sources[lo:hi]...)), "%q", prefix)
		}
	}
	require.Equal(t, 1, Shards{}.Len())
	for range Union("") {
		t.Fatal("nothing to see")
	}
	require.Zero(t, len(SplitByWeight(build(t, BuilderOptions{}), 5).Bounds))
}

func TestSplitByWeightIsFair(t *testing.T) {
	rng := testkit.Rand(t)
	m := model{}
	var total float64
	for len(m) < 20_000 {
		term := randomTerm(rng, 12)
		score := uint64(1e6 / (1 + rng.Float64()*1e2))
		if _, ok := m[term]; !ok {
			m[term] = modelTerm{term, score}
			total += float64(score)
		}
	}
	s := m.build(t, rng, BuilderOptions{Fold: FoldNone})
	const n = 8
	shards := SplitByWeight(s, n)
	require.Equal(t, n, shards.Len())
	mass := make([]float64, n)
	for term, of := range m {
		mass[shards.Of(term)] += float64(of.score)
	}
	for i := range mass {
		require.InEpsilon(t, total/n, mass[i], 0.1, "shard %d", i)
	}
}
