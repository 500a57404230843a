package peers

// Top-k completion. The rivals have no top-k: each visits what its prefix iteration gives
// and keeps the k best. The sorted slice is the baseline without any library: binary
// search, then a pass over the range. plar/go-adaptive-radix-tree was not to be had when
// this table was made.

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"go/build"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sort"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"

	radix "github.com/armon/go-radix"
	"github.com/blevesearch/vellum"
	"github.com/blevesearch/vellum/levenshtein"
	iradix "github.com/hashicorp/go-immutable-radix/v2"

	"github.com/ashlar-go/ashlar/trie"
)

var trieTerms = flag.Int("trie.terms", 1_000_000, "phrases for the benchmarks of trie; up to 10,000,000")

// phrase is a term of the corpus.
type phrase struct {
	term  string
	score uint64
}

// corpus is word n-grams of the lines of all Go sources below GOROOT, with their counts, in
// order: of one to three words up to five million phrases, of one to five beyond. It is
// counted once and kept in the user's cache folder.
var corpus = sync.OnceValue(func() []phrase {
	n := *trieTerms
	if testing.Short() {
		n = 20_000
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	path := filepath.Join(cache, "ashlar", fmt.Sprintf("phrases-%s-%d.tsv", runtime.Version(), n))
	if list := readCorpus(path); list != nil {
		return list
	}
	counts := map[string]uint64{}
	words, most := []string{}, 3
	if n > 5_000_000 {
		most = 5
	}
	_ = filepath.WalkDir(build.Default.GOROOT, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(p, ".go") || len(counts) >= n {
			return nil
		}
		text, _ := os.ReadFile(p)
		for line := range strings.Lines(strings.ToLower(string(text))) {
			words = slices.AppendSeq(words[:0], strings.FieldsFuncSeq(line, func(r rune) bool {
				return !unicode.IsLetter(r) && !unicode.IsDigit(r) && r != '_'
			}))
			for i := range words {
				for k := 1; k <= most && i+k <= len(words); k++ {
					if t := strings.Join(words[i:i+k], " "); len(t) <= 60 {
						counts[t]++
					}
				}
			}
		}
		return nil
	})
	list := make([]phrase, 0, len(counts))
	for t, score := range counts {
		list = append(list, phrase{t, score})
	}
	slices.SortFunc(list, func(a, b phrase) int { return strings.Compare(a.term, b.term) })
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
		if f, err := os.CreateTemp(filepath.Dir(path), "phrases"); err == nil {
			w := bufio.NewWriter(f)
			for _, p := range list {
				fmt.Fprintf(w, "%s\t%d\n", p.term, p.score)
			}
			if w.Flush() == nil && f.Close() == nil {
				_ = os.Rename(f.Name(), path)
			}
		}
	}
	return list
})

// readCorpus reads a corpus of which all terms are parts of one string: ten million strings
// of their own would be what the collector is busy with while others are measured.
func readCorpus(path string) []phrase {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	text := string(b)
	list := make([]phrase, 0, strings.Count(text, "\n"))
	for line := range strings.Lines(text) {
		term, count, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		score, _ := strconv.ParseUint(count, 10, 64)
		list = append(list, phrase{term, score})
	}
	return list
}

// typed is what is asked: all beginnings of phrases that are drawn by score.
var typed = sync.OnceValue(func() []string {
	list := corpus()
	rng := rand.New(rand.NewPCG(1, 2))
	sums, sum := make([]uint64, len(list)), uint64(0)
	for i, p := range list {
		sum += p.score
		sums[i] = sum
	}
	var out []string
	for len(out) < 200_000 {
		at := rng.Uint64N(sum)
		t := list[sort.Search(len(sums), func(i int) bool { return sums[i] > at })].term
		for end := range t {
			if end > 0 {
				out = append(out, t[:end])
			}
		}
		out = append(out, t)
	}
	rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	for i, t := range out {
		out[i] = strings.Clone(t) // in the order of the questions: what was typed just came in, it is not far away
	}
	return out
})

// matching are typed prefixes that have from least to most phrases.
func matching(least, most int) []string {
	list := corpus()
	var out []string
	for _, p := range typed() {
		lo, hi := span(list, p)
		if hi-lo >= least && hi-lo <= most {
			out = append(out, p)
		}
		if len(out) == 20_000 {
			break
		}
	}
	return out
}

func span(list []phrase, prefix string) (lo, hi int) {
	lo = sort.Search(len(list), func(i int) bool { return list[i].term >= prefix })
	hi = lo + sort.Search(len(list)-lo, func(i int) bool { return !strings.HasPrefix(list[lo+i].term, prefix) })
	return lo, hi
}

// best keeps the k best of what it is given, in order.
type best struct {
	k    int
	list []phrase
}

func (b *best) give(term string, score uint64) {
	if len(b.list) == b.k && score <= b.list[b.k-1].score { // terms come in order: the first of equals stays
		return
	}
	at, _ := slices.BinarySearchFunc(b.list, score, func(p phrase, score uint64) int {
		if p.score >= score {
			return -1
		}
		return 1
	})
	if len(b.list) == b.k {
		b.list = b.list[:b.k-1]
	}
	b.list = slices.Insert(b.list, at, phrase{term, score})
}

// completer is a built structure.
type completer struct {
	topK func(prefix string, k int) []phrase
	get  func(term string) (uint64, bool)
	size int64 // bytes, all included
	live any   // keeps it from being collected
}

// heap is what is allocated on the heap.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// shuffled are the indexes of the corpus in random order, for those that build from any.
func shuffled() []int { return rand.New(rand.NewPCG(3, 4)).Perm(len(corpus())) }

var snapshot = sync.OnceValue(func() *trie.Snapshot { return buildSnapshot(shuffled()) })

func buildSnapshot(order []int) *trie.Snapshot {
	list := corpus()
	b := trie.NewBuilder(trie.BuilderOptions{})
	for _, i := range order {
		if err := b.Add(list[i].term, list[i].score); err != nil {
			panic(err)
		}
	}
	s, err := b.Build(context.Background())
	if err != nil {
		panic(err)
	}
	return s
}

func buildVellum() []byte {
	var out bytes.Buffer
	b, err := vellum.New(&out, nil)
	if err != nil {
		panic(err)
	}
	for _, p := range corpus() {
		if err := b.Insert([]byte(p.term), p.score); err != nil {
			panic(err)
		}
	}
	if err := b.Close(); err != nil {
		panic(err)
	}
	return out.Bytes()
}

var completers = []struct {
	name string
	make func() completer
}{
	{"ashlar", sync.OnceValue(func() completer {
		s := snapshot()
		q := s.NewSearcher()
		var out []phrase
		return completer{
			topK: func(prefix string, k int) []phrase {
				out = out[:0]
				for _, c := range q.Search(trie.Query{Prefix: prefix, K: k}) {
					out = append(out, phrase{c.Term, uint64(c.Score)})
				}
				return out
			},
			get: s.Score, size: s.SizeBytes(), live: s,
		}
	})},
	{"vellum", sync.OnceValue(func() completer {
		data := buildVellum()
		f, err := vellum.Load(data)
		if err != nil {
			panic(err)
		}
		r, _ := f.Reader()
		top := best{}
		return completer{
			topK: func(prefix string, k int) []phrase {
				top = best{k, top.list[:0]}
				end := append([]byte(prefix), 0xff)
				it, err := f.Iterator([]byte(prefix), end)
				for ; err == nil; err = it.Next() {
					key, score := it.Current()
					if len(top.list) < k || score > top.list[k-1].score {
						top.give(string(key), score)
					}
				}
				return top.list
			},
			get:  func(term string) (uint64, bool) { v, ok, _ := r.Get([]byte(term)); return v, ok },
			size: int64(len(data)), live: data,
		}
	})},
	{"go-radix", sync.OnceValue(func() completer {
		before := heap()
		t := radix.New()
		for _, p := range corpus() {
			t.Insert(strings.Clone(p.term), p.score)
		}
		size := heap() - before
		top := best{}
		return completer{
			topK: func(prefix string, k int) []phrase {
				top = best{k, top.list[:0]}
				t.WalkPrefix(prefix, func(s string, v any) bool { top.give(s, v.(uint64)); return false })
				return top.list
			},
			get: func(term string) (uint64, bool) {
				v, ok := t.Get(term)
				if !ok {
					return 0, false
				}
				return v.(uint64), true
			},
			size: size, live: t,
		}
	})},
	{"iradix", sync.OnceValue(func() completer {
		before := heap()
		txn := iradix.New[uint64]().Txn()
		for _, p := range corpus() {
			txn.Insert([]byte(p.term), p.score)
		}
		t := txn.Commit()
		size := heap() - before
		top := best{}
		return completer{
			topK: func(prefix string, k int) []phrase {
				top = best{k, top.list[:0]}
				t.Root().WalkPrefix([]byte(prefix), func(key []byte, score uint64) bool {
					if len(top.list) < k || score > top.list[k-1].score {
						top.give(string(key), score)
					}
					return false
				})
				return top.list
			},
			get:  func(term string) (uint64, bool) { return t.Get([]byte(term)) },
			size: size, live: t,
		}
	})},
	{"sorted-slice", sync.OnceValue(func() completer {
		list := corpus()
		size := int64(len(list)) * 24
		for _, p := range list {
			size += int64(len(p.term)+7) &^ 7
		}
		top := best{}
		return completer{
			topK: func(prefix string, k int) []phrase {
				top = best{k, top.list[:0]}
				lo, hi := span(list, prefix)
				for _, p := range list[lo:hi] {
					top.give(p.term, p.score)
				}
				return top.list
			},
			get: func(term string) (uint64, bool) {
				i, ok := slices.BinarySearchFunc(list, term, func(p phrase, t string) int { return strings.Compare(p.term, t) })
				if !ok {
					return 0, false
				}
				return list[i].score, true
			},
			size: size, live: list,
		}
	})},
}

// TestCompletersAgree: all give the same answers, or the comparison means nothing.
func TestCompletersAgree(t *testing.T) {
	if !testing.Short() && *trieTerms > 2_000_000 {
		t.Skip("go-radix and iradix would take gigabytes")
	}
	asked := typed()
	if len(asked) > 300 {
		asked = asked[:300]
	}
	baseline := completers[len(completers)-1].make()
	for _, c := range completers {
		of := c.make()
		for _, prefix := range asked {
			want, got := baseline.topK(prefix, 10), of.topK(prefix, 10)
			if !slices.Equal(want, got) {
				t.Fatalf("%s, %q:\n%v, want\n%v", c.name, prefix, got, want)
			}
			wantScore, wantOK := baseline.get(prefix)
			if score, ok := of.get(prefix); score != wantScore || ok != wantOK {
				t.Fatalf("%s, %q: %d %v, want %d %v", c.name, prefix, score, ok, wantScore, wantOK)
			}
		}
	}
}

// percentiles reports p50 and p99 of single operations, without what the clock takes.
func percentiles(b *testing.B, op func(i int)) {
	took := make([]time.Duration, 0, 1<<16)
	for i := 0; b.Loop(); i++ {
		start := time.Now()
		op(i)
		took = append(took, time.Since(start))
	}
	clock := make([]time.Duration, 1000)
	for i := range clock {
		start := time.Now()
		clock[i] = time.Since(start)
	}
	slices.Sort(clock)
	slices.SortFunc(took, func(a, b time.Duration) int { return cmp.Compare(a, b) })
	b.ReportMetric(float64(took[len(took)/2]-clock[500]), "p50-ns")
	b.ReportMetric(float64(took[len(took)*99/100]-clock[500]), "p99-ns")
}

func BenchmarkTrieTop10(b *testing.B) {
	kinds := []struct {
		name  string
		asked func() []string
	}{
		{"all", typed},
		{"one-letter", func() []string { return strings.Split("s t c r e i f p a m", " ") }},
		{"under-100-matches", func() []string { return matching(1, 99) }},
	}
	for _, kind := range kinds {
		for _, c := range completers {
			b.Run(kind.name+"/"+c.name, func(b *testing.B) {
				of, asked := c.make(), kind.asked()
				percentiles(b, func(i int) { of.topK(asked[i%len(asked)], 10) })
				b.ReportMetric(float64(of.size)/float64(len(corpus())), "B/term")
			})
		}
	}
}

func BenchmarkTrieGet(b *testing.B) {
	for _, c := range completers {
		b.Run(c.name, func(b *testing.B) {
			of, list := c.make(), corpus()
			percentiles(b, func(i int) { of.get(list[spread(i)%uint64(len(list))].term) })
		})
	}
}

func BenchmarkTrieBuild(b *testing.B) {
	order := shuffled()
	sorted := slices.Clone(order)
	slices.Sort(sorted)
	for name, build := range map[string]func(){
		"ashlar/unsorted": func() { buildSnapshot(order) },
		"ashlar/sorted":   func() { buildSnapshot(sorted) },
		"vellum/sorted":   func() { buildVellum() },
		"go-radix/unsorted": func() {
			t := radix.New()
			for _, i := range order {
				t.Insert(corpus()[i].term, corpus()[i].score)
			}
		},
	} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				build()
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(order)), "ns/term")
		})
	}
}

func BenchmarkTrieOpen(b *testing.B) {
	path := filepath.Join(b.TempDir(), "snapshot")
	if err := snapshot().WriteFile(path); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := trie.Open(path); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkTrieAdd raises scores of terms drawn by score, on top of all phrases.
func BenchmarkTrieAdd(b *testing.B) {
	full := make([]string, 0, 100_000)
	for _, t := range typed() {
		if len(t) > 3 && len(full) < cap(full) {
			full = append(full, t)
		}
	}
	b.Run("ashlar", func(b *testing.B) {
		x, err := trie.New(trie.Options{Base: snapshot()})
		if err != nil {
			b.Fatal(err)
		}
		defer x.Close()
		percentiles(b, func(i int) { _ = x.Add(full[i%len(full)], 1) })
		b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "adds/s")
	})
	b.Run("go-radix", func(b *testing.B) {
		t := completers[2].make().live.(*radix.Tree)
		percentiles(b, func(i int) {
			term := full[i%len(full)]
			v, _ := t.Get(term)
			score, _ := v.(uint64)
			t.Insert(term, score+1)
		})
	})
	b.Run("iradix", func(b *testing.B) {
		t := completers[3].make().live.(*iradix.Tree[uint64])
		percentiles(b, func(i int) {
			term := []byte(full[i%len(full)])
			score, _ := t.Get(term)
			t, _, _ = t.Insert(term, score+1)
		})
	})
}

// prefixDFA accepts all that begins as its automaton matches.
type prefixDFA struct{ vellum.Automaton }

const accepted = -1

func (p prefixDFA) IsMatch(s int) bool         { return s == accepted || p.Automaton.IsMatch(s) }
func (p prefixDFA) CanMatch(s int) bool        { return s == accepted || p.Automaton.CanMatch(s) }
func (p prefixDFA) WillAlwaysMatch(s int) bool { return s == accepted }
func (p prefixDFA) Accept(s int, b byte) int {
	if s == accepted || p.Automaton.IsMatch(s) {
		return accepted
	}
	return p.Automaton.Accept(s, b)
}

// BenchmarkTrieFuzzy asks for the ten best with at most one edit, of prefixes of six runes
// and more in which one letter is wrong.
func BenchmarkTrieFuzzy(b *testing.B) {
	rng := rand.New(rand.NewPCG(5, 6))
	var asked []string
	for _, t := range typed() {
		if len(t) >= 6 && len(t) <= 20 && len(asked) < 2000 {
			wrong := []byte(t)
			wrong[1+rng.IntN(len(wrong)-1)] = "etaoinshr"[rng.IntN(9)]
			if s := string(wrong); s == strings.ToValidUTF8(s, "") {
				asked = append(asked, s)
			}
		}
	}
	for exact := range 2 {
		b.Run(fmt.Sprintf("ashlar/exact=%d", exact), func(b *testing.B) {
			q := snapshot().NewSearcher()
			percentiles(b, func(i int) {
				q.Search(trie.Query{Prefix: asked[i%len(asked)], K: 10, Fuzzy: trie.Fuzzy{MaxEdits: 1, ExactRunes: exact}})
			})
		})
	}
	b.Run("vellum", func(b *testing.B) {
		f, err := vellum.Load(completers[1].make().live.([]byte))
		if err != nil {
			b.Fatal(err)
		}
		lev, err := levenshtein.NewLevenshteinAutomatonBuilder(1, true)
		if err != nil {
			b.Fatal(err)
		}
		top := best{}
		percentiles(b, func(i int) {
			dfa, err := lev.BuildDfa(asked[i%len(asked)], 1)
			if err != nil {
				b.Fatal(err)
			}
			top = best{10, top.list[:0]}
			it, err := f.Search(prefixDFA{dfa}, nil, nil)
			for ; err == nil; err = it.Next() {
				key, score := it.Current()
				if len(top.list) < 10 || score > top.list[9].score {
					top.give(string(key), score)
				}
			}
		})
	})
}
