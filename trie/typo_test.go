package trie

import (
	gobuild "go/build"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/internal/testkit"
)

// words are the words of the comments of some of the standard library, with their counts.
func words(t testing.TB) map[string]uint64 {
	counts := map[string]uint64{}
	for _, dir := range []string{"crypto", "encoding", "go", "net", "os", "reflect", "time"} {
		err := filepath.WalkDir(filepath.Join(gobuild.Default.GOROOT, "src", dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
				return err
			}
			text, err := os.ReadFile(path)
			for line := range strings.Lines(string(text)) {
				_, comment, _ := strings.Cut(line, "// ")
				for word := range strings.FieldsFuncSeq(comment, func(r rune) bool { return !unicode.IsLetter(r) }) {
					counts[strings.ToLower(word)]++
				}
			}
			return err
		})
		if err != nil {
			t.Skipf("the words are those of the sources of Go, which are not here: %v", err)
		}
	}
	return counts
}

// typo makes one edit behind the first letter.
func typo(rng *rand.Rand, word string) string {
	w := []rune(word)
	at := 1 + rng.IntN(len(w)-1)
	letter := rune('a' + rng.IntN(26))
	switch rng.IntN(4) {
	case 0: // a letter too few
		return string(slices.Delete(w, at, at+1))
	case 1: // a letter too many
		return string(slices.Insert(w, at, letter))
	case 2: // two in the wrong order
		if at == len(w)-1 {
			at--
		}
		w[at], w[at+1] = w[at+1], w[at]
		return string(w)
	}
	w[at] = letter // a wrong one
	return string(w)
}

// TestTypoRecall types words with one mistake in each and counts how often the word is
// among the ten best. What is missing is nearly all short and rare: ten better words are
// as near to what was typed.
func TestTypoRecall(t *testing.T) {
	rng := testkit.Rand(t)
	b := NewBuilder(BuilderOptions{})
	var known []string
	for word, n := range words(t) {
		require.NoError(t, b.Add(word, n))
		if n >= 3 && len(word) >= 5 {
			known = append(known, word)
		}
	}
	slices.Sort(known)
	s, err := b.Build(t.Context())
	require.NoError(t, err)
	require.Greater(t, len(known), 3000)

	const tries = 5000
	for exact := range 2 {
		fuzzy := Fuzzy{MaxEdits: 1, ExactRunes: exact}
		asked, tenth, first := 0, 0, 0
		for range tries {
			word := known[rng.IntN(len(known))]
			typed := typo(rng, word)
			if typed == word || exact > 0 && typed[0] != word[0] {
				continue
			}
			asked++
			i := slices.Index(termsOf(s.Search(Query{Prefix: typed, K: 10, Fuzzy: fuzzy})), word)
			if i >= 0 {
				tenth++
			}
			if i == 0 {
				first++
			}
		}
		recall := float64(tenth) / float64(asked)
		t.Logf("of %d words with a typo, %.1f %% are among the ten best, %.1f %% the best, of %d; %d letters right",
			asked, 100*recall, 100*float64(first)/float64(asked), s.Len(), exact)
		require.Greater(t, recall, 0.95)
	}
}
