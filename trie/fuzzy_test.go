package trie

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/internal/testkit"
)

// distance is the definition: the edits that turn typed into the beginning of term that
// needs the fewest, by the whole table.
func distance(typed, term string) int {
	q, t := []rune(typed), []rune(term)
	rows := make([][]int, len(t)+1)
	best := len(q)
	for i := range rows {
		rows[i] = make([]int, len(q)+1)
		for j := range rows[i] {
			switch {
			case i == 0:
				rows[i][j] = j
			case j == 0:
				rows[i][j] = i
			default:
				wrong := 1
				if t[i-1] == q[j-1] {
					wrong = 0
				}
				rows[i][j] = min(rows[i-1][j-1]+wrong, rows[i-1][j]+1, rows[i][j-1]+1)
				if i > 1 && j > 1 && t[i-1] == q[j-2] && t[i-2] == q[j-1] {
					rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
				}
			}
		}
		best = min(best, rows[i][len(q)])
	}
	return best
}

// fuzzy is what a fuzzy search should find.
func (m model) fuzzy(prefix string, k int, f Fuzzy, words bool) []Completion {
	n, most := len([]rune(prefix)), 0
	if f.MaxEdits >= 2 && n >= f.TwoFrom {
		most = 2
	} else if f.MaxEdits >= 1 && n >= f.OneFrom {
		most = 1
	}
	exact := string([]rune(prefix)[:min(f.ExactRunes, n)])
	type found struct {
		key   string
		by    string
		edits int
	}
	var list []found
	for key := range m {
		of := found{edits: 9}
		consider := func(by, text string) {
			edits := distance(prefix, text)
			if edits > 0 && !strings.HasPrefix(text, exact) {
				return
			}
			if edits < of.edits || edits == of.edits && edits > 0 && by < of.by {
				of = found{key, by, edits}
			}
		}
		consider(key, key)
		if words {
			wordStarts([]byte(key), func(at int) { consider(string(appendAlias(nil, []byte(key), at)), key[at:]) })
		}
		if of.edits <= most {
			list = append(list, of)
		}
	}
	slices.SortFunc(list, func(a, b found) int {
		return cmp.Or(a.edits-b.edits, cmp.Compare(m[b.key].score, m[a.key].score), strings.Compare(a.by, b.by))
	})
	out := []Completion{}
	for _, of := range list[:min(k, len(list))] {
		out = append(out, Completion{m[of.key].show, float64(m[of.key].score), uint8(of.edits)})
	}
	return out
}

func TestFuzzyAgainstDefinition(t *testing.T) {
	rng := testkit.Rand(t)
	for asked := 0; asked < cases()/20; {
		asked += checkFuzzy(t, rng)
	}
}

// checkFuzzy compares one snapshot with its model and returns how many questions it asked.
func checkFuzzy(t testing.TB, rng *rand.Rand) int {
	const queries = 20
	m := randomModel(rng, rng.IntN(60))
	words := rng.IntN(3) == 0
	s := m.build(t, rng, BuilderOptions{Fold: FoldNone, WordStarts: words, HeadMin: 4 + rng.IntN(12), HeadK: 1 + rng.IntN(6)})
	q := s.NewSearcher()
	for range queries {
		prefix, k := randomPrefix(rng, m.keys()), 1+rng.IntN(12)
		f := Fuzzy{MaxEdits: rng.IntN(4), OneFrom: 1 + rng.IntN(4), TwoFrom: 1 + rng.IntN(5), ExactRunes: rng.IntN(3)}
		same(t, m.fuzzy(prefix, k, f, words), q.Search(Query{Prefix: prefix, K: k, Fuzzy: f}), "%d of %q %+v words %v", k, prefix, f, words)
	}
	return queries
}

func TestFuzzyExamples(t *testing.T) {
	s := build(t, BuilderOptions{WordStarts: true}, "Harvard", 5, "brinjal", 4, "страхов", 3, "new york", 9, "Smørrebrød", 2, "😀😁😂🤣 laughing", 1, "hat", 7)
	for typed, want := range map[string][]string{
		"hra":      {"hat", "Harvard"}, // two neighbours change places; "ha" is a letter less
		"brain":    {"brinjal"},
		"страхв":   {"страхов"},
		"ytark":    nil,
		"yrok":     {"new york"},
		"smorreb":  {"Smørrebrød"},
		"😀😂😁🤣":     {"😀😁😂🤣 laughing"},
		"harvadr":  {"Harvard"},
		"newyork":  {"new york"},
		"new yorj": {"new york"},
	} {
		got := s.Search(Query{Prefix: typed, K: 3, Fuzzy: Fuzzy{MaxEdits: 1, OneFrom: 3}})
		require.ElementsMatch(t, want, termsOf(got), typed)
	}
	got := s.Search(Query{Prefix: "ha", K: 9, Fuzzy: Fuzzy{MaxEdits: 2, OneFrom: 1, TwoFrom: 1}})
	require.Equal(t, []string{"hat", "Harvard"}, termsOf(got[:2]), "exact hits first")
	require.Zero(t, got[1].Edits)
	require.Empty(t, s.Search(Query{Prefix: "hsr", K: 9, Fuzzy: Fuzzy{MaxEdits: 2}}), "too short for an edit")
}

func TestFuzzySearcherDoesNotAllocate(t *testing.T) {
	rng := testkit.Rand(t)
	m := randomModel(rng, 5000)
	q := m.build(t, rng, BuilderOptions{}).NewSearcher()
	query := Query{Prefix: "abcabaab", K: 20, Fuzzy: Fuzzy{MaxEdits: 2}}
	require.Zero(t, testing.AllocsPerRun(50, func() { q.Search(query) }))
}
