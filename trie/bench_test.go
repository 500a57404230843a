package trie

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"
)

// benchTerms makes n phrases of one to three words out of a few thousand, with scores like
// those of real phrases: many small, few large.
func benchTerms(n int) ([]string, []uint64) {
	rng := rand.New(rand.NewPCG(1, 2))
	words := make([]string, 5000)
	for i := range words {
		var b strings.Builder
		for range 1 + rng.IntN(4) {
			b.WriteByte("bcdfghjklmnprstvw"[rng.IntN(17)])
			b.WriteByte("aeiou"[rng.IntN(5)])
		}
		words[i] = b.String()
	}
	zipf := rand.NewZipf(rng, 1.2, 2, uint64(len(words)-1))
	seen := make(map[string]int, n)
	terms, scores := make([]string, 0, n), make([]uint64, 0, n)
	for len(terms) < n {
		t := words[zipf.Uint64()]
		for range rng.IntN(4) {
			t += " " + words[zipf.Uint64()]
		}
		if i, ok := seen[t]; ok {
			scores[i]++
			continue
		}
		seen[t] = len(terms)
		terms, scores = append(terms, t), append(scores, 1)
	}
	return terms, scores
}

var benchSnapshot = sync.OnceValues(func() (*Snapshot, []string) {
	terms, scores := benchTerms(200_000)
	b := NewBuilder(BuilderOptions{})
	for i, t := range terms {
		if err := b.Add(t, scores[i]); err != nil {
			panic(err)
		}
	}
	s, err := b.Build(context.Background())
	if err != nil {
		panic(err)
	}
	return s, keystrokes(terms, scores, 100_000)
})

// keystrokes are all beginnings of terms that are drawn by score, in random order.
func keystrokes(terms []string, scores []uint64, n int) []string {
	rng := rand.New(rand.NewPCG(3, 4))
	sums := make([]uint64, len(terms))
	var sum uint64
	for i := range terms {
		sum += scores[i]
		sums[i] = sum
	}
	var out []string
	for len(out) < n {
		at := rng.Uint64N(sum)
		t := terms[sort.Search(len(sums), func(i int) bool { return sums[i] > at })]
		for end := 1; end <= len(t); end++ {
			out = append(out, t[:end])
		}
	}
	rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

func BenchmarkSearch(b *testing.B) {
	s, typed := benchSnapshot()
	for _, k := range []int{1, 10, 50} {
		b.Run(fmt.Sprint("k=", k), func(b *testing.B) {
			b.ReportAllocs()
			q := s.NewSearcher()
			for i := 0; b.Loop(); i++ {
				q.Search(Query{Prefix: typed[i%len(typed)], K: k})
			}
		})
	}
	b.Run("TopK", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			s.TopK(typed[i%len(typed)], 10)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			q := s.NewSearcher()
			for i := 0; pb.Next(); i++ {
				q.Search(Query{Prefix: typed[i*31%len(typed)], K: 10})
			}
		})
	})
}

func BenchmarkScore(b *testing.B) {
	s, typed := benchSnapshot()
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		s.Score(typed[i%len(typed)])
	}
}

func BenchmarkFuzzy(b *testing.B) {
	s, typed := benchSnapshot()
	rng := rand.New(rand.NewPCG(5, 6))
	for edits := 1; edits <= 2; edits++ {
		for exact := range 2 {
			b.Run(fmt.Sprintf("edits=%d/exact=%d", edits, exact), func(b *testing.B) {
				q := s.NewSearcher()
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					t := []byte(typed[i%len(typed)])
					t[len(t)-1-rng.IntN(len(t))/2] = 'x'
					q.Search(Query{Prefix: string(t), K: 10, Fuzzy: Fuzzy{MaxEdits: edits, ExactRunes: exact}})
				}
			})
		}
	}
}

func BenchmarkBuild(b *testing.B) {
	terms, scores := benchTerms(200_000)
	for b.Loop() {
		bd := NewBuilder(BuilderOptions{})
		for i, t := range terms {
			_ = bd.Add(t, scores[i])
		}
		s, err := bd.Build(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(s.SizeBytes())/float64(s.Len()), "B/term")
		runtime.KeepAlive(s)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(terms)), "ns/term")
}

func BenchmarkIndexAdd(b *testing.B) {
	s, _ := benchSnapshot()
	terms, _ := benchTerms(200_000)
	rng := rand.New(rand.NewPCG(7, 8))
	zipf := rand.NewZipf(rng, 1.1, 10, uint64(len(terms)-1))
	for _, dir := range []string{"", b.TempDir()} {
		name := "memory"
		if dir != "" {
			name = "written"
		}
		b.Run(name, func(b *testing.B) {
			x, err := New(Options{Base: s, Dir: dir})
			if err != nil {
				b.Fatal(err)
			}
			defer x.Close()
			b.ReportAllocs()
			for b.Loop() {
				if err := x.Add(terms[zipf.Uint64()], 1); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkIndexSearch(b *testing.B) {
	s, typed := benchSnapshot()
	terms, _ := benchTerms(20_000)
	x, err := New(Options{Base: s})
	if err != nil {
		b.Fatal(err)
	}
	defer x.Close()
	for i, t := range terms {
		if i%2 == 0 {
			_ = x.Add(t, 1)
		} else if i%5 == 0 {
			_ = x.Delete(t)
		}
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		x.TopK(typed[i%len(typed)], 10)
	}
}

func BenchmarkObserve(b *testing.B) {
	terms, _ := benchTerms(20_000)
	x, err := NewTrending(time.Hour, Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer x.Close()
	at := time.Unix(1.8e9, 0)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := x.Observe(terms[i*7919%len(terms)], 1, at); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkMerge(b *testing.B) {
	s, typed := benchSnapshot()
	own, err := New(Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer own.Close()
	for i, t := range typed[:2000] {
		_ = own.Add(t, uint64(i%20))
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		Merge(typed[i%len(typed)], 10, Weighted{s, 0.7, true}, Weighted{own, 0.3, true})
	}
}
