package trie

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/internal/testkit"
)

func build(t testing.TB, o BuilderOptions, terms ...any) *Snapshot {
	t.Helper()
	b := NewBuilder(o)
	for i := 0; i < len(terms); i += 2 {
		require.NoError(t, b.Add(terms[i].(string), uint64(terms[i+1].(int))))
	}
	s, err := b.Build(t.Context())
	require.NoError(t, err)
	return s
}

func termsOf(list []Completion) []string {
	out := []string{}
	for _, c := range list {
		out = append(out, c.Term)
	}
	return out
}

// TestTopKAgainstBruteForce asks about small sets with many ties, prefixes of each other, and
// heads of all sizes.
func TestTopKAgainstBruteForce(t *testing.T) {
	rng := testkit.Rand(t)
	for asked := 0; asked < cases(); {
		asked += checkTopK(t, rng)
	}
}

// checkTopK compares one snapshot with its model and returns how many questions it asked.
func checkTopK(t testing.TB, rng *rand.Rand) int {
	const queries = 600
	m := randomModel(rng, rng.IntN(60))
	s := m.build(t, rng, BuilderOptions{Fold: FoldNone, HeadMin: 4 + rng.IntN(12), HeadK: 1 + rng.IntN(6)})
	require.Equal(t, len(m), s.Len())
	keys, q := m.keys(), s.NewSearcher()
	asked := map[string][]Completion{}
	for range queries {
		prefix, k := randomPrefix(rng, keys), rng.IntN(12)
		all, ok := asked[prefix]
		if !ok {
			all = m.matches(prefix, false)
			asked[prefix] = all
			same(t, all, slices.Collect(s.Completions(prefix)), "all of %q", prefix)
		}
		same(t, all[:min(k, len(all))], q.Search(Query{Prefix: prefix, K: k}), "%d of %q", k, prefix)
	}
	for _, key := range keys {
		score, ok := s.Score(key)
		require.True(t, ok, "%q", key)
		require.Equal(t, m[key].score, score, "%q", key)
	}
	for range 20 {
		key := randomTerm(rng, 8)
		score, ok := s.Score(key)
		want, there := m[key]
		require.Equal(t, there, ok, "%q", key)
		require.Equal(t, want.score, score)
	}
	return queries
}

func TestKeyOrder(t *testing.T) {
	rng := testkit.Rand(t)
	for range 50 {
		m := randomModel(rng, rng.IntN(200))
		s := m.build(t, rng, BuilderOptions{Fold: FoldNone, HeadMin: 8, HeadK: 2})
		for _, prefix := range []string{"", "a", "b", "ab", "aa ", "日", "zz", randomPrefix(rng, m.keys())} {
			var want, got []string
			for _, k := range m.keys() {
				if strings.HasPrefix(k, prefix) {
					want = append(want, k)
				}
			}
			for term, score := range s.Range(prefix) {
				require.Equal(t, m[term].score, score)
				got = append(got, term)
			}
			require.Equal(t, want, got, "%q", prefix)
		}
		for range s.All() {
			break
		}
	}
}

func TestWordStartsAgainstBruteForce(t *testing.T) {
	rng := testkit.Rand(t)
	for range 100 {
		m := randomModel(rng, rng.IntN(60))
		s := m.build(t, rng, BuilderOptions{Fold: FoldNone, WordStarts: true, HeadMin: 4 + rng.IntN(12), HeadK: 1 + rng.IntN(6)})
		require.Equal(t, len(m), s.Len(), "aliases are no terms")
		for range 100 {
			prefix, k := randomPrefix(rng, m.keys()), rng.IntN(12)
			same(t, m.topK(prefix, k, true), s.TopK(prefix, k), "%d of %q", k, prefix)
		}
		n := 0
		for range s.All() {
			n++
		}
		require.Equal(t, len(m), n)
	}
	s := build(t, BuilderOptions{WordStarts: true}, "New York", 9, "York", 5, "new new york", 3, "Yorkshire", 1)
	require.Equal(t, []string{"New York", "York", "new new york", "Yorkshire"}, termsOf(s.TopK("yor", 9)))
	require.Equal(t, []string{"New York", "new new york"}, termsOf(s.TopK("new y", 9)))
	require.Equal(t, []string{"New York", "new new york"}, termsOf(slices.Collect(s.Completions("new"))))
}

func TestFilter(t *testing.T) {
	rng := testkit.Rand(t)
	keep := func(term string) bool { return !strings.Contains(term, "b") }
	for range 200 {
		m := randomModel(rng, 80)
		s := m.build(t, rng, BuilderOptions{Fold: FoldNone, HeadMin: 4, HeadK: 3})
		prefix, k := randomPrefix(rng, m.keys()), rng.IntN(12)
		var want []Completion
		for _, c := range m.matches(prefix, false) {
			if keep(c.Term) && len(want) < k {
				want = append(want, c)
			}
		}
		require.Equal(t, termsOf(want), termsOf(s.Search(Query{Prefix: prefix, K: k, Filter: keep})))
	}
}

// TestBuilder: any order, sums, the most frequent form is shown, in memory and on disk.
func TestBuilder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type added struct {
			term  string
			score uint64
		}
		list := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) added {
			return added{rapid.StringMatching(`[aAbB]{1,3}`).Draw(t, "term"), rapid.Uint64Range(0, 5).Draw(t, "score")}
		}), 0, 60).Draw(t, "terms")
		forms := map[string]map[string]uint64{}
		b := NewBuilder(BuilderOptions{HeadMin: 4, HeadK: 2})
		for _, a := range list {
			require.NoError(t, b.Add(a.term, a.score))
			key := strings.ToLower(a.term)
			if forms[key] == nil {
				forms[key] = map[string]uint64{}
			}
			forms[key][a.term] += a.score
			if rapid.IntRange(0, 9).Draw(t, "spill") == 0 {
				require.NoError(t, b.spill())
			}
		}
		want := model{}
		for key, of := range forms {
			var v modelTerm
			first := true
			for show, score := range of {
				// The form with the highest score; among equals the folded one, then in order.
				better := first || score > of[v.show] || score == of[v.show] && v.show != key && (show == key || show < v.show)
				if better {
					v.show, first = show, false
				}
				v.score += score
			}
			want[key] = v
		}
		s, err := b.Build(context.Background())
		require.NoError(t, err)
		require.Equal(t, want.matches("", false), s.TopK("", 1000))
	})
}

func TestBuilderSpills(t *testing.T) {
	dir := t.TempDir()
	b := NewBuilder(BuilderOptions{MaxMemory: 1, TempDir: dir})
	const n = 60_000
	for round := range 2 {
		for i := range n {
			require.NoError(t, b.Add(fmt.Sprint("term number ", i*7919%n), uint64(i%100+round)))
		}
	}
	require.NotEmpty(t, b.runs)
	s, err := b.Build(t.Context())
	require.NoError(t, err)
	require.Equal(t, n, s.Len())
	score, ok := s.Score(fmt.Sprint("term number ", 42*7919%n))
	require.True(t, ok)
	require.Equal(t, uint64(42+43), score)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left, "temporary files are gone")

	b = NewBuilder(BuilderOptions{MaxMemory: 1, TempDir: filepath.Join(dir, "not", "there")})
	for i := 0; err == nil; i++ {
		err = b.Add(fmt.Sprint("term number ", i), 1)
	}
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = b.Build(t.Context())
	require.ErrorIs(t, err, os.ErrNotExist, "an error stays")

	b = NewBuilder(BuilderOptions{MaxMemory: 1, TempDir: dir})
	for i := 0; len(b.runs) == 0; i++ {
		require.NoError(t, b.Add(fmt.Sprint("term number ", i), 1))
	}
	require.NoError(t, os.Truncate(b.runs[0].file.Name(), 1001))
	_, err = b.Build(t.Context())
	require.Error(t, err, "a temporary file that was cut")
}

func TestBuildEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	b := NewBuilder(BuilderOptions{Progress: func(int) { cancel() }})
	for i := range 200_000 {
		require.NoError(t, b.Add(fmt.Sprint(i), 1))
	}
	_, err := b.Build(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

func TestOptions(t *testing.T) {
	for _, o := range []BuilderOptions{{Fold: 9}, {MaxTermBytes: -1}, {MaxTermBytes: 1 << 20}, {HeadK: -1}, {HeadMin: -5}, {MaxMemory: -1}} {
		b := NewBuilder(o)
		require.ErrorIs(t, b.Add("a", 1), ErrOptions)
		_, err := b.Build(t.Context())
		require.ErrorIs(t, err, ErrOptions)
	}
}

func TestBadTermsAndPrefixes(t *testing.T) {
	b := NewBuilder(BuilderOptions{})
	for term, want := range map[string]error{
		"":                               ErrEmptyTerm,
		strings.Repeat("x", 10<<20):      ErrTermTooLong,
		strings.Repeat("x", 1025):        ErrTermTooLong,
		"a\xffb":                         ErrInvalidUTF8,
		"\xc3":                           ErrInvalidUTF8,
		strings.Repeat("\ufdfa", 1024/3): nil, // folds to eleven times its size
	} {
		require.ErrorIs(t, b.Add(term, 1), want)
	}
	long := NewBuilder(BuilderOptions{MaxTermBytes: 65536})
	require.ErrorIs(t, long.Add(strings.Repeat("\ufdfa", 20000), 1), ErrTermTooLong)
	require.NoError(t, long.Add(strings.Repeat("x", 65536), 7))
	s, err := long.Build(t.Context())
	require.NoError(t, err)
	require.Equal(t, []Completion{{Term: strings.Repeat("x", 65536), Score: 7}}, s.TopK(strings.Repeat("X", 65535), 3))

	require.NoError(t, b.Add("a\x00b", 5))
	require.NoError(t, b.Add("a\x00", 5))
	require.NoError(t, b.Add("ac", math.MaxUint64))
	require.NoError(t, b.Add("ac", math.MaxUint64))
	require.NoError(t, b.Add("ad", 0))
	s, err = b.Build(t.Context())
	require.NoError(t, err)
	score, _ := s.Score("ac")
	require.Equal(t, uint64(math.MaxUint64), score, "sums stop at the greatest")
	require.Equal(t, []string{"ac", "a\x00", "a\x00b", "ad"}, termsOf(s.TopK("a", 1e9)))
	require.Equal(t, []string{"a\x00", "a\x00b"}, termsOf(s.TopK("a\x00", 10)))
	for _, k := range []int{0, -1, math.MinInt} {
		require.Empty(t, s.TopK("a", k))
	}
	for _, prefix := range []string{"\xff", "a\xc3", strings.Repeat("a", 10<<20), "zzz", "ac\x00"} {
		require.Empty(t, s.TopK(prefix, 10), "%.10q", prefix)
		_, ok := s.Score(prefix)
		require.False(t, ok)
	}
	_, ok := s.Score("")
	require.False(t, ok)

	empty := build(t, BuilderOptions{})
	require.Zero(t, empty.Len())
	require.Empty(t, empty.TopK("", 10))
	for range empty.All() {
		t.Fatal("nothing to see")
	}
}

func TestMinScore(t *testing.T) {
	s := build(t, BuilderOptions{MinScore: 3, WordStarts: true}, "a b", 2, "a c", 2, "a c", 1, "d", 9)
	require.Equal(t, []string{"d", "a c"}, termsOf(s.TopK("", 9)))
	require.Empty(t, s.TopK("b", 9))
}

func TestFold(t *testing.T) {
	for in, want := range map[string]string{
		"New York": "new york", "Ｎｅｗ": "new", "Straße": "strasse", "STRASSE": "strasse", "ﬁne": "fine",
		"e\u0301": "é", "É": "é", "ΟΔΟΣ": "οδοσ", "οδος": "οδοσ", "Å": "å", "①": "1", "İ": "i", "日本": "日本", "a\x00B": "a\x00b",
	} {
		require.Equal(t, want, string(FoldDefault.append(nil, in)), in)
		require.Equal(t, in, string(FoldNone.append(nil, in)))
	}
	// Folding twice is folding once, for every rune alone and behind others; of the tens of
	// thousands of ideographs and syllables, some.
	var buf, again []byte
	step := rune(1)
	if testing.Short() {
		step = 37
	}
	for r := rune(0); r < 0x30000; r += step {
		if r >= 0x3400 && step == 1 {
			step = 5
		}
		for _, s := range []string{string(r), "a" + string(r), string(r) + "\u0301"} {
			buf = FoldDefault.append(buf[:0], s)
			again = FoldDefault.append(again[:0], string(buf))
			if string(buf) != string(again) {
				t.Fatalf("%q folds to %q, and that to %q", s, buf, again)
			}
		}
	}
	s := build(t, BuilderOptions{}, "NEW YORK", 1, "New York", 5, "new york", 2, "Straße", 3)
	require.Equal(t, []Completion{{Term: "New York", Score: 8}}, s.TopK("ｎEW", 3))
	require.Equal(t, []Completion{{Term: "Straße", Score: 3}}, s.TopK("STRASS", 3))
	score, ok := s.Score("new YORK")
	require.True(t, ok)
	require.EqualValues(t, 8, score)
}

func TestSearcherDoesNotAllocate(t *testing.T) {
	rng := testkit.Rand(t)
	b := NewBuilder(BuilderOptions{})
	for range 20_000 {
		require.NoError(t, b.Add(randomTerm(rng, 10), rng.Uint64N(1000)))
	}
	s, err := b.Build(t.Context())
	require.NoError(t, err)
	q := s.NewSearcher()
	for _, query := range []Query{
		{Prefix: "", K: 10},
		{Prefix: "a", K: 10},
		{Prefix: "AB", K: 10},
		{Prefix: "abca", K: 10},
		{Prefix: "aaa ab", K: 100},
		{Prefix: "é日", K: 10},
		{Prefix: "a", K: 10, Filter: func(s string) bool { return len(s) > 2 }},
	} {
		require.Zero(t, testing.AllocsPerRun(100, func() { q.Search(query) }), "%q", query.Prefix)
	}
	require.Zero(t, testing.AllocsPerRun(100, func() { s.Score("abca") }))
	dst := make([]Completion, 0, 10)
	if !testkit.Race {
		require.LessOrEqual(t, testing.AllocsPerRun(100, func() { s.AppendTopK(dst, "ab", 10) }), 1.0)
		require.LessOrEqual(t, testing.AllocsPerRun(100, func() { s.TopK("ab", 10) }), 2.0)
	}
}

// TestSnapshotIsFewObjects: the garbage collector sees the same handful, however many terms
// there are.
func TestSnapshotIsFewObjects(t *testing.T) {
	objects := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapObjects
	}
	before := objects()
	b := NewBuilder(BuilderOptions{})
	for i := range 50_000 {
		if err := b.Add(fmt.Sprint("term ", i), uint64(i)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := b.Build(t.Context())
	require.NoError(t, err)
	require.Less(t, objects(), before+1000)
	require.Equal(t, 50_000, s.Len())
}

func TestLongIterationStaysSmall(t *testing.T) {
	b := NewBuilder(BuilderOptions{})
	const terms = 40_000
	for i := range terms {
		require.NoError(t, b.Add(fmt.Sprintf("%020d some longer term", i*7919), uint64(i%1000)))
	}
	s, err := b.Build(t.Context())
	require.NoError(t, err)
	var c cursor
	c.start(s, nil, 0)
	var h hit
	n, last := 0, uint64(math.MaxUint64)
	for c.next(&h) {
		if h.score > last {
			t.Fatal(h.score, last)
		}
		last = h.score
		n++
	}
	require.Equal(t, terms, n)
	require.Less(t, cap(c.buf), 4<<20)
}
