package neardup

import (
	"fmt"
	"go/parser"
	"go/token"
	"io/fs"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/internal/testkit"
)

// wordsByDefinition splits a text as the package says it does, without regard to speed.
func wordsByDefinition(text string) (words []string) {
	var w []byte
	flush := func() {
		if len(w) > 0 {
			words = append(words, string(w))
			w = nil
		}
	}
	for _, c := range []byte(text) {
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		letter := 'a' <= c && c <= 'z' || '0' <= c && c <= '9' || c >= utf8.RuneSelf
		if !letter || c >= 0xE3 || len(w) == maxWord {
			flush()
		}
		if letter {
			w = append(w, c)
		}
	}
	flush()
	return words
}

// sumByDefinition counts 64 majorities one by one.
func sumByDefinition(text string) uint64 {
	words := wordsByDefinition(text)
	hash := func(w string) uint64 { return hashBytes([]byte(w), 0, len(w)) }
	var pairs []uint64
	for i := 1; i < len(words); i++ {
		pairs = append(pairs, mum((hash(words[i-1])<<31|hash(words[i-1])>>33)^k1+hash(words[i]), k0))
	}
	if len(words) == 1 {
		pairs = append(pairs, mum(hash(words[0])^k1, k0))
	}
	var count [64]int
	lately := map[uint64]uint64{}
	n := 0
	for _, p := range pairs {
		if place := p >> 54; lately[place] != p {
			lately[place] = p
			n++
			for b := range count {
				count[b] += int(p >> b & 1)
			}
		}
	}
	var sum uint64
	for b, c := range count {
		if 2*c > n {
			sum |= 1 << b
		}
	}
	return sum
}

func genText() *rapid.Generator[string] {
	pieces := []string{"the", "The", "a", "b", "c", "Straße", "日本", "語", "한국", " ", " ", "  ", "\n", ".", "17", "-", "\xff", "\xE6", "é", strings.Repeat("x", 30), strings.Repeat("long", 40)}
	return rapid.Map(rapid.SliceOf(rapid.SampledFrom(pieces)), func(s []string) string { return strings.Join(s, "") })
}

func TestSumAgainstDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := genText().Draw(t, "text")
		require.Equal(t, sumByDefinition(text), Sum([]byte(text)))
		var h Hasher
		for rest := text; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "piece")
			if rapid.Bool().Draw(t, "string") {
				h.WriteString(rest[:n])
			} else {
				h.Write([]byte(rest[:n]))
			}
			h.Sum64() // may be asked at any time
			rest = rest[n:]
		}
		require.Equal(t, Sum([]byte(text)), h.Sum64(), "pieces make no difference")
		require.EqualValues(t, len(wordsByDefinition(text)), h.Words())
		h.Reset()
		require.Zero(t, h.Sum64())
	})
}

func FuzzSum(f *testing.F) {
	f.Add("The quick brown fox", 3)
	f.Add("日本語 text\xff", 1)
	f.Fuzz(func(t *testing.T, text string, at int) {
		at = min(max(at, 0), len(text))
		var h Hasher
		h.WriteString(text[:at])
		h.Write([]byte(text[at:]))
		if got, want := h.Sum64(), sumByDefinition(text); got != want {
			t.Fatalf("%x, want %x", got, want)
		}
	})
}

// TestStable holds hashes that are stored somewhere by now.
func TestStable(t *testing.T) {
	for text, want := range map[string]uint64{
		"":                      0,
		" .,\n":                 0,
		"word":                  0x5f5a474d61bc540a,
		"The QUICK, brown  fox": 0x451fa56221a02856,
		"吾輩は猫である。名前はまだ無い。": 0x6bbac364b7c55fda,
	} {
		require.Equal(t, want, Sum([]byte(text)), text)
	}
}

func TestWhatMakesNoDifference(t *testing.T) {
	want := Sum([]byte("the quick brown fox 17 jumps"))
	for _, same := range []string{"The quick brown fox 17 jumps.", "  THE\tQUICK\n\nBROWN, fox (17) jumps!", "the-quick/brown:fox;17'jumps"} {
		require.Equal(t, want, Sum([]byte(same)), same)
	}
	require.NotEqual(t, want, Sum([]byte("the brown quick fox 17 jumps")))
}

// goTexts are the comments of Go's own sources: real prose with real duplicates, licences
// and generated files among it.
func goTexts(t *testing.T, words int) (texts []string) {
	t.Helper()
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Skipf("no Go sources to read: %v", err)
	}
	root := filepath.Join(strings.TrimSpace(string(out)), "src")
	files := token.NewFileSet()
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		if info, err := d.Info(); err != nil || info.Size() < 12<<10 {
			return nil
		}
		f, err := parser.ParseFile(files, path, nil, parser.ParseComments|parser.SkipObjectResolution)
		if err != nil {
			return nil
		}
		var b strings.Builder
		for _, c := range f.Comments {
			b.WriteString(c.Text())
		}
		if len(strings.Fields(b.String())) >= words {
			texts = append(texts, b.String())
		}
		if len(texts) == 300 {
			return fs.SkipAll
		}
		return nil
	})
	require.NoError(t, err)
	return texts
}

// pairsOf returns the pairs of neighbouring words in a text.
func pairsOf(text string) map[[2]string]bool {
	words, out := wordsByDefinition(text), map[[2]string]bool{}
	for i := 1; i < len(words); i++ {
		out[[2]string{words[i-1], words[i]}] = true
	}
	return out
}

// TestQuality measures, on texts of a thousand words and more, how many edited texts are
// found (recall), and how many of those that are found are alike (precision).
func TestQuality(t *testing.T) {
	if raceEnabled || testing.Short() {
		t.Skip("a measurement of no use to the race detector; not with -short")
	}
	texts := goTexts(t, 1000)
	if len(texts) < 100 {
		t.Skipf("%d texts are too few", len(texts))
	}
	rng := rand.New(rand.NewPCG(1, 2)) // the figures are for these edits
	sums := make([]uint64, len(texts))
	edited, found := 0, 0
	for i, text := range texts {
		sums[i] = Sum([]byte(text))
		words := wordsByDefinition(text)
		for range 2 {
			changed := slices.Clone(words)
			for range len(words) / 1000 { // a word in a thousand: a date, a counter
				changed[rng.IntN(len(words))] = fmt.Sprint("x", rng.Uint64())
			}
			edited++
			if Distance(sums[i], Sum([]byte(strings.Join(changed, " ")))) <= MaxDistance {
				found++
			}
		}
	}
	near, alike := 0, 0
	for i := range texts {
		for j := range i {
			if Distance(sums[i], sums[j]) > MaxDistance {
				continue
			}
			near++
			a, b, common := pairsOf(texts[i]), pairsOf(texts[j]), 0
			for p := range a {
				if b[p] {
					common++
				}
			}
			if 10*common >= 7*(len(a)+len(b)-common) {
				alike++
			}
		}
	}
	recall := float64(found) / float64(edited)
	t.Logf("%d texts: %.3f of %d edited texts found; of %d pairs of files found, %d share 7 of 10 pairs of words", len(texts), recall, edited, near, alike)
	require.GreaterOrEqual(t, recall, 0.9)
	require.GreaterOrEqual(t, float64(found+alike), 0.95*float64(found+near))
}

// flip changes n bits of h.
func flip(rng *rand.Rand, h uint64, n int) uint64 {
	for _, b := range rng.Perm(64)[:n] {
		h ^= 1 << b
	}
	return h
}

func TestIndexAgainstScan(t *testing.T) {
	rng := testkit.Rand(t)
	var x Index
	ids := map[uint64]uint64{}
	ask := func(h uint64) {
		k := rng.IntN(MaxDistance + 2)
		want := map[uint64]Match{}
		for o, id := range ids {
			if d := Distance(o, h); d <= min(k, MaxDistance) {
				want[o] = Match{o, id, d}
			}
		}
		got := map[uint64]Match{}
		for m := range x.Near(h, k) {
			require.NotContains(t, got, m.Hash, "shown twice")
			got[m.Hash] = m
		}
		require.Equal(t, want, got)
		for range x.Near(h, k) {
			break
		}
		id, ok := x.ID(h)
		wantID, wantOK := ids[h]
		require.Equal(t, wantOK, ok)
		require.Equal(t, wantID, id)
	}
	var all []uint64
	for range 3 * smallMax {
		h := rng.Uint64()
		if len(all) > 0 && rng.IntN(2) == 0 { // families of hashes that are close
			h = flip(rng, all[rng.IntN(len(all))], rng.IntN(6))
		}
		id := rng.Uint64()
		_, there := ids[h]
		require.Equal(t, !there, x.Add(h, id))
		if !there {
			ids[h] = id
			all = append(all, h)
		}
		require.Equal(t, len(ids), x.Len())
		if rng.IntN(16) == 0 {
			ask(flip(rng, all[rng.IntN(len(all))], rng.IntN(5)))
			ask(rng.Uint64())
		}
	}
}

func TestAddNew(t *testing.T) {
	rng := testkit.Rand(t)
	var x Index
	for _, n := range []int{10, 2 * smallMax} {
		for i := range n {
			x.Add(rng.Uint64(), uint64(i))
		}
		before := x.Len()
		h := rng.Uint64()
		_, found := x.AddNew(h, 1<<63|7)
		require.False(t, found, "64 random bits are close to nothing")
		m, found := x.AddNew(flip(rng, h, 3), 8)
		require.True(t, found)
		require.Equal(t, Match{h, 1<<63 | 7, 3}, m)
		require.Equal(t, before+1, x.Len())
		_, found = x.AddNew(flip(rng, h, 4), 8)
		require.False(t, found)
	}
}

// TestIndexMemory holds the promise of 32 bytes a page and an eighth, tables apart.
func TestIndexMemory(t *testing.T) {
	if raceEnabled || testing.Short() {
		t.Skip("takes a while")
	}
	const n = 500_000
	var before, after runtime.MemStats
	rng := rand.New(rand.NewPCG(1, 2))
	runtime.GC()
	runtime.ReadMemStats(&before)
	var x Index
	for i := range n {
		x.Add(rng.Uint64(), uint64(i))
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	perPage := float64(after.HeapAlloc-before.HeapAlloc-tables<<16*24) / n
	t.Logf("%.1f bytes a page", perPage)
	require.Less(t, perPage, 60.0) // a bucket of fifteen is rounded up to an allocator's size
	runtime.KeepAlive(&x)
}

func TestNoAllocation(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	text := []byte(strings.Repeat("some words to be hashed ", 100))
	var h Hasher
	require.Zero(t, testing.AllocsPerRun(10, func() { h.Reset(); h.Write(text); h.Sum64() }))
}
