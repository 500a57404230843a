package trie

import (
	"cmp"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var casesFlag = flag.Int("trie.cases", 200_000, "random questions for the comparisons with brute force, a quarter of it for those of an index")

// cases is how many questions a test asks, a tenth of the flag in short mode.
func cases() int {
	if testing.Short() {
		return *casesFlag / 10
	}
	return *casesFlag
}

// model is the oracle: a map from folded term to what belongs to it, and every answer by
// looking at all of it.
type model map[string]modelTerm

type modelTerm struct {
	show  string
	score uint64
}

// matches are the terms that have prefix, best first.
func (m model) matches(prefix string, words bool) []Completion {
	var keys []string
	for k := range m {
		if strings.HasPrefix(k, prefix) || words && foundBefore([]byte(k), []byte(prefix), len(k)) {
			keys = append(keys, k)
		}
	}
	slices.SortFunc(keys, func(a, b string) int {
		return cmp.Or(cmp.Compare(m[b].score, m[a].score), cmp.Compare(foundBy(a, prefix), foundBy(b, prefix)))
	})
	out := []Completion{}
	for _, k := range keys {
		out = append(out, Completion{Term: m[k].show, Score: float64(m[k].score)})
	}
	return out
}

// foundBy is what decides among equals: the key by which a term is found.
func foundBy(key, prefix string) string {
	if strings.HasPrefix(key, prefix) {
		return key
	}
	first := ""
	wordStarts([]byte(key), func(at int) {
		if first == "" && strings.HasPrefix(key[at:], prefix) {
			first = string(appendAlias(nil, []byte(key), at))
		}
	})
	return first
}

func (m model) topK(prefix string, k int, words bool) []Completion {
	all := m.matches(prefix, words)
	return all[:min(max(k, 0), len(all))]
}

// build makes a snapshot of a model, in random order and in random parts.
func (m model) build(t testing.TB, rng *rand.Rand, o BuilderOptions) *Snapshot {
	b := NewBuilder(o)
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	rng.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	for _, k := range keys {
		score := m[k].score
		if score > 1 && rng.IntN(4) == 0 {
			part := rng.Uint64N(score)
			require.NoError(t, b.Add(m[k].show, part))
			score -= part
		}
		require.NoError(t, b.Add(m[k].show, score))
	}
	s, err := b.Build(t.Context())
	require.NoError(t, err)
	return s
}

// randomTerm makes short terms of few letters, so that they share prefixes and are
// prefixes of each other, with some letters of two to four bytes and some spaces.
func randomTerm(rng *rand.Rand, longest int) string {
	letters := []string{"a", "a", "a", "b", "b", "c", " ", "é", "日", "😀", "\x00"}
	var b strings.Builder
	for range 1 + rng.IntN(longest) {
		b.WriteString(letters[rng.IntN(len(letters))])
	}
	return b.String()
}

// randomModel makes n terms or fewer, most of which tie with others.
func randomModel(rng *rand.Rand, n int) model {
	m := model{}
	most := []uint64{1, 3, 100, 1 << 63}[rng.IntN(4)]
	for range n {
		t := randomTerm(rng, 1+rng.IntN(12))
		m[t] = modelTerm{t, rng.Uint64N(most + 1)}
	}
	return m
}

// randomPrefix is mostly the beginning of some term.
func randomPrefix(rng *rand.Rand, terms []string) string {
	if rng.IntN(4) == 0 || len(terms) == 0 {
		return randomTerm(rng, 4)
	}
	t := []rune(terms[rng.IntN(len(terms))])
	return string(t[:rng.IntN(len(t)+1)])
}

func (m model) keys() []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// same compares lists without the cost of a general comparison: it is called a million
// times.
func same(t testing.TB, want, got []Completion, format string, args ...any) {
	if !slices.Equal(want, got) {
		require.Equal(t, want, got, fmt.Sprintf(format, args...))
	}
}
