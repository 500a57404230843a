package trie

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/internal/testkit"
)

func newIndex(t testing.TB, o Options) *Index {
	t.Helper()
	x, err := New(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, x.Close()) })
	return x
}

// layered is an index with a model beside it, in a state that its tests choose: a base, a
// delta that is frozen and not merged, and one that is active.
type layered struct {
	*Index
	model model
	rng   *rand.Rand
}

func (x *layered) change(t testing.TB, n int) {
	for range n {
		term, score := randomTerm(x.rng, 8), x.rng.Uint64N(6)
		if keys := x.model.keys(); len(keys) > 0 && x.rng.IntN(2) == 0 {
			term = keys[x.rng.IntN(len(keys))]
		}
		switch x.rng.IntN(4) {
		case 0:
			delete(x.model, term)
			require.NoError(t, x.Delete(term))
		case 1:
			x.model[term] = modelTerm{term, score}
			require.NoError(t, x.Set(term, score))
		default:
			x.model[term] = modelTerm{term, x.model[term].score + score}
			require.NoError(t, x.Add(term, score))
		}
	}
}

// freeze freezes the active delta as a merge would, without a merge.
func (x *layered) freeze() {
	of := x.now.Load()
	x.now.Store(&layers{base: of.base, frozen: of.active, active: &delta{}})
}

func newLayered(t testing.TB, rng *rand.Rand, words bool) *layered {
	o := BuilderOptions{Fold: FoldNone, WordStarts: words, HeadMin: 4 + rng.IntN(8), HeadK: 1 + rng.IntN(5)}
	m := randomModel(rng, rng.IntN(50))
	return &layered{newIndex(t, Options{Builder: o, Base: m.build(t, rng, o), MaxDelta: math.MaxInt}), m, rng}
}

// TestIndexAgainstBruteForce compares indexes of one to three layers, with updates, ties and
// deletes.
func TestIndexAgainstBruteForce(t *testing.T) {
	rng := testkit.Rand(t)
	for asked := 0; asked < cases()/4; {
		asked += checkIndex(t, rng)
	}
}

// checkIndex compares one index with its model and returns how many questions it asked.
func checkIndex(t testing.TB, rng *rand.Rand) (asked int) {
	x := newLayered(t, rng, rng.IntN(4) == 0)
	words := x.o.Builder.WordStarts
	check := func() {
		keys := x.model.keys()
		for range 20 {
			asked += 3
			prefix, k := randomPrefix(rng, keys), rng.IntN(12)
			same(t, x.model.topK(prefix, k, words), x.TopK(prefix, k), "%d of %q", k, prefix)
			f := Fuzzy{MaxEdits: rng.IntN(3), OneFrom: 1 + rng.IntN(3), TwoFrom: 1 + rng.IntN(4)}
			same(t, x.model.fuzzy(prefix, k, f, words), x.Search(Query{Prefix: prefix, K: k, Fuzzy: f}), "%d of %q %+v", k, prefix, f)
			same(t, x.model.matches(prefix, words), slices.Collect(x.Completions(prefix)), "all of %q", prefix)
		}
		for _, key := range keys {
			score, ok := x.Score(key)
			require.True(t, ok)
			require.Equal(t, x.model[key].score, score)
		}
	}
	x.change(t, rng.IntN(30))
	check()
	x.freeze()
	x.change(t, rng.IntN(30))
	check()
	require.NoError(t, x.Compact(t.Context()))
	require.Zero(t, x.Stats().Changed)
	check()
	require.Equal(t, len(x.model), x.Snapshot().Len())
	x.change(t, 5)
	check()
	require.NoError(t, x.Close())
	return asked
}

func TestMergesInTheBackground(t *testing.T) { checkMerges(t, testkit.Rand(t)) }

func checkMerges(t testing.TB, rng *rand.Rand) {
	var mu sync.Mutex
	merges := 0
	x := &layered{newIndex(t, Options{Builder: BuilderOptions{Fold: FoldNone}, MaxDelta: 50, OnCompact: func(_ Stats, err error) {
		mu.Lock()
		defer mu.Unlock()
		require.NoError(t, err)
		merges++
	}}), model{}, rng}
	for range 60 {
		x.change(t, 100)
		prefix := randomPrefix(rng, x.model.keys())
		same(t, x.model.topK(prefix, 10, false), x.TopK(prefix, 10), "%q", prefix)
	}
	require.NoError(t, x.Compact(t.Context()))
	require.Equal(t, x.model.topK("", 1000, false), x.Snapshot().TopK("", 1000))
	require.NoError(t, x.Close())
	mu.Lock()
	defer mu.Unlock()
	require.NotZero(t, merges)
	require.Contains(t, x.Stats().String(), "0 changed")
}

// TestUpdatesBesideSearches: each term is there with a score that it had, none comes twice,
// and the order is right, whatever runs beside.
func TestUpdatesBesideSearches(t *testing.T) {
	x := newIndex(t, Options{MaxDelta: 300})
	term := func(i int) string { return fmt.Sprintf("term %03d", i) }
	const terms = 200
	for i := range terms {
		require.NoError(t, x.Set(term(i), uint64(i)))
	}
	var writers, readers sync.WaitGroup
	stop := make(chan struct{})
	rounds := 20_000
	if testing.Short() || testkit.Race {
		rounds = 3_000
	}
	for w := range 2 {
		writers.Go(func() {
			rng := rand.New(rand.NewPCG(1, uint64(w)))
			for range rounds {
				i := rng.IntN(terms)
				switch rng.IntN(8) {
				case 0: // a new term, so that merges come
					_ = x.Set(fmt.Sprintf("other %d", rng.IntN(1000)), 1)
				case 1:
					_ = x.Set(term(i), uint64(i))
				default: // scores of a term are i modulo 1000
					_ = x.Add(term(i), 1000)
				}
			}
		})
	}
	for range 2 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				list := x.TopK("term ", terms)
				if len(list) != terms {
					t.Errorf("%d terms of %d", len(list), terms)
					return
				}
				seen := map[string]bool{}
				for i, c := range list {
					var n int
					if _, err := fmt.Sscanf(c.Term, "term %d", &n); err != nil || int(c.Score)%1000 != n || seen[c.Term] || i > 0 && c.Score > list[i-1].Score {
						t.Errorf("%d: %+v, seen %v", i, c, seen[c.Term])
						return
					}
					seen[c.Term] = true
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	readers.Wait()
}

// TestSwapIsAtomic: every answer is that of one of the two snapshots.
func TestSwapIsAtomic(t *testing.T) {
	var states [2]*Snapshot
	var want [2][]Completion
	for i := range states {
		b := NewBuilder(BuilderOptions{})
		for n := range 500 {
			require.NoError(t, b.Add(fmt.Sprintf("of %d number %d", i, n), uint64(n)))
		}
		var err error
		states[i], err = b.Build(t.Context())
		require.NoError(t, err)
		want[i] = states[i].TopK("of", 20)
	}
	x := newIndex(t, Options{Base: states[0]})
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				got := x.TopK("of", 20)
				if !slices.Equal(got, want[0]) && !slices.Equal(got, want[1]) {
					t.Errorf("neither: %v", got)
					return
				}
			}
		})
	}
	for i := range 1000 {
		old, err := x.Swap(states[(i+1)%2])
		require.NoError(t, err)
		require.Same(t, states[i%2], old)
	}
	close(stop)
	wg.Wait()
}

func TestSwapAndRollback(t *testing.T) {
	for _, dir := range []string{"", t.TempDir()} {
		x := newIndex(t, Options{Base: build(t, BuilderOptions{}, "a", 1, "b", 2), Dir: dir})
		require.ErrorIs(t, x.Rollback(), ErrNoPrevious)
		require.NoError(t, x.Add("a", 5))
		require.NoError(t, x.Add("New", 4))
		_, err := x.Swap(build(t, BuilderOptions{}, "c", 3))
		require.NoError(t, err)
		require.Equal(t, []string{"c"}, termsOf(x.TopK("", 9)))
		require.NoError(t, x.Add("d", 9))
		reopen := func() {
			if dir != "" {
				want := x.TopK("", 9)
				require.NoError(t, x.Close())
				x = newIndex(t, Options{Dir: dir})
				require.Equal(t, want, x.TopK("", 9))
			}
		}
		require.NoError(t, x.Rollback())
		require.Equal(t, []Completion{{Term: "a", Score: 6}, {Term: "New", Score: 4}, {Term: "b", Score: 2}}, x.TopK("", 9))
		require.ErrorIs(t, x.Rollback(), ErrNoPrevious)
		reopen()
		_, err = x.Swap(build(t, BuilderOptions{}, "e", 3))
		require.NoError(t, err)
		reopen()
		for _, o := range []BuilderOptions{{Fold: FoldNone}, {WordStarts: true}} {
			_, err = x.Swap(build(t, o, "e", 3))
			require.ErrorIs(t, err, ErrFoldMismatch)
		}
	}
}

func TestIndexKeepsForms(t *testing.T) {
	x := newIndex(t, Options{Builder: BuilderOptions{WordStarts: true}, Base: build(t, BuilderOptions{WordStarts: true}, "New York", 5)})
	require.NoError(t, x.Add("NEW YORK", 1))
	require.NoError(t, x.Add("San José", 3))
	for range 2 {
		require.Equal(t, []Completion{{Term: "New York", Score: 6}}, x.TopK("york", 3))
		require.Equal(t, []Completion{{Term: "San José", Score: 3}}, x.TopK("JOSÉ", 3))
		require.NoError(t, x.Compact(t.Context()))
	}
	require.NoError(t, x.Delete("new york"))
	require.Empty(t, x.TopK("york", 3))
	require.NoError(t, x.Set("NEW York", 1))
	require.Equal(t, []Completion{{Term: "NEW York", Score: 1}}, x.TopK("york", 3), "a new life, a new form")
}

func TestIndexBadInput(t *testing.T) {
	x := newIndex(t, Options{})
	for term, want := range map[string]error{"": ErrEmptyTerm, strings.Repeat("x", 10<<20): ErrTermTooLong, "\xff": ErrInvalidUTF8} {
		require.ErrorIs(t, x.Add(term, 1), want)
		require.ErrorIs(t, x.Set(term, 1), want)
		require.ErrorIs(t, x.Delete(term), want)
		_, ok := x.Score(term)
		require.False(t, ok)
	}
	require.NoError(t, x.Delete("not there"))
	require.Zero(t, x.Stats().Changed)
	require.NoError(t, x.Add("a", math.MaxUint64))
	require.NoError(t, x.Add("a", math.MaxUint64))
	require.NoError(t, x.Set("b", math.MaxUint64-1))
	require.NoError(t, x.Set("c", 0))
	require.Equal(t, []string{"a", "b", "c"}, termsOf(x.TopK("", 1e9)))
	require.Empty(t, x.TopK("", 0))
	require.Empty(t, x.TopK("\xff", 3))
	for range x.Completions("\xff") {
		t.Fatal("nothing to see")
	}
	require.NoError(t, x.Update("a", func(score uint64, ok bool) (uint64, bool) {
		require.True(t, ok)
		return score / 2, true
	}))
	score, _ := x.Score("A")
	require.Equal(t, uint64(math.MaxUint64/2), score)
	require.NoError(t, x.Update("a", func(uint64, bool) (uint64, bool) { return 0, false }))
	_, ok := x.Score("a")
	require.False(t, ok)

	require.NoError(t, x.Close())
	require.NoError(t, x.Close())
	require.ErrorIs(t, x.Add("a", 1), ErrClosed)
	require.ErrorIs(t, x.Compact(t.Context()), ErrClosed)
	require.ErrorIs(t, x.Sync(), ErrClosed)
	require.ErrorIs(t, x.Rollback(), ErrClosed)
	_, err := x.Swap(build(t, BuilderOptions{}))
	require.ErrorIs(t, err, ErrClosed)
	require.Equal(t, []string{"b", "c"}, termsOf(x.TopK("", 9)), "searches go on")

	for _, o := range []Options{{MaxDelta: -1}, {Durability: 9}, {Builder: BuilderOptions{Fold: 9}}} {
		_, err := New(o)
		require.ErrorIs(t, err, ErrOptions)
	}
	_, err = New(Options{Base: build(t, BuilderOptions{WordStarts: true})})
	require.ErrorIs(t, err, ErrFoldMismatch)
}

func TestCompactEndsWithItsContext(t *testing.T) {
	x := newIndex(t, Options{})
	for i := range 50_000 {
		require.NoError(t, x.Add(fmt.Sprint(i), 1))
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	require.ErrorIs(t, x.Compact(ctx), context.Canceled)
	require.NoError(t, x.Compact(t.Context()))
	require.Equal(t, 50_000, x.Snapshot().Len())
}
