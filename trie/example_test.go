package trie_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/ashlar-go/ashlar/trie"
)

// cities is a snapshot of a few cities and how many live in them, in thousands.
func cities(o trie.BuilderOptions) *trie.Snapshot {
	b := trie.NewBuilder(o)
	for name, people := range map[string]uint64{
		"New York": 8_804, "New Delhi": 257, "Newcastle": 300, "New Orleans": 383, "York": 141, "São Paulo": 11_451, "San Diego": 1_386,
	} {
		if err := b.Add(name, people); err != nil {
			log.Fatal(err)
		}
	}
	s, err := b.Build(context.Background())
	if err != nil {
		log.Fatal(err)
	}
	return s
}

func Example() {
	s := cities(trie.BuilderOptions{})
	for _, c := range s.TopK("new", 3) {
		fmt.Println(c.Term, c.Score)
	}
	// Output:
	// New York 8804
	// New Orleans 383
	// Newcastle 300
}

func ExampleBuilder() {
	b := trie.NewBuilder(trie.BuilderOptions{MinScore: 2})
	for _, query := range []string{"go", "Golang", "golang", "go", "Golang", "typo"} {
		if err := b.Add(query, 1); err != nil {
			log.Fatal(err)
		}
	}
	s, err := b.Build(context.Background())
	fmt.Println(s.TopK("", 5), err)
	// Output: [{Golang 3 0} {go 2 0}] <nil>
}

func ExampleBuilderOptions_wordStarts() {
	s := cities(trie.BuilderOptions{WordStarts: true})
	for _, c := range s.TopK("york", 3) {
		fmt.Println(c.Term)
	}
	// Output:
	// New York
	// York
}

func ExampleSnapshot_Completions() {
	s := cities(trie.BuilderOptions{})
	for c := range s.Completions("s") {
		fmt.Println(c.Term)
		if c.Score > 10_000 {
			break // the iteration is lazy: nothing beyond was looked for
		}
	}
	// Output: São Paulo
}

func ExampleLoad() {
	var file bytes.Buffer
	if _, err := cities(trie.BuilderOptions{}).WriteTo(&file); err != nil {
		log.Fatal(err)
	}
	file.Bytes()[200] ^= 1
	_, err := trie.Load(file.Bytes())
	var damage *trie.CorruptError
	fmt.Println(errors.Is(err, trie.ErrCorrupt), errors.As(err, &damage) && damage.Offset == 128)
	// Output: true true
}

func ExampleSearcher() {
	q := cities(trie.BuilderOptions{}).NewSearcher()
	for _, typed := range []string{"s", "sa", "san"} {
		for _, c := range q.Search(trie.Query{Prefix: typed, K: 1}) { // valid until the next Search
			fmt.Println(typed, c.Term)
		}
	}
	// Output:
	// s São Paulo
	// sa San Diego
	// san San Diego
}

func ExampleFuzzy() {
	s := cities(trie.BuilderOptions{})
	fuzzy := trie.Fuzzy{MaxEdits: 1, ExactRunes: 1}
	for _, c := range s.Search(trie.Query{Prefix: "new yrok", K: 3, Fuzzy: fuzzy}) {
		fmt.Println(c.Term, c.Edits)
	}
	// Output: New York 1
}

func ExampleIndex() {
	x, err := trie.New(trie.Options{Base: cities(trie.BuilderOptions{})})
	if err != nil {
		log.Fatal(err)
	}
	defer x.Close()
	_ = x.Add("Newark", 305) // the next search sees it
	_ = x.Delete("New Orleans")
	fmt.Println(x.TopK("new", 3))
	// Output: [{New York 8804 0} {Newark 305 0} {Newcastle 300 0}]
}

func ExampleIndex_Swap() {
	x, err := trie.New(trie.Options{Base: cities(trie.BuilderOptions{})})
	if err != nil {
		log.Fatal(err)
	}
	defer x.Close()
	b := trie.NewBuilder(trie.BuilderOptions{})
	_ = b.Add("Newport", 1)
	rebuilt, _ := b.Build(context.Background())
	if _, err := x.Swap(rebuilt); err != nil {
		log.Fatal(err)
	}
	fmt.Println(x.TopK("new", 1))
	_ = x.Rollback() // it was a bad build
	fmt.Println(x.TopK("new", 1))
	// Output:
	// [{Newport 1 0}]
	// [{New York 8804 0}]
}

func ExampleTrending() {
	now := time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)
	t, err := trie.NewTrending(time.Hour, trie.Options{Now: func() time.Time { return now }})
	if err != nil {
		log.Fatal(err)
	}
	defer t.Close()
	_ = t.Observe("breakfast", 80, now)
	now = now.Add(5 * time.Hour)
	_ = t.Observe("lunch", 10, now)
	for _, c := range t.TopK("", 2) {
		fmt.Printf("%s %.1f\n", c.Term, c.Score)
	}
	// Output:
	// lunch 10.0
	// breakfast 2.5
}

func ExampleMerge() {
	everybody := cities(trie.BuilderOptions{})
	mine, err := trie.New(trie.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer mine.Close()
	_ = mine.Add("Newcastle", 12)
	for _, c := range trie.Merge("new", 2,
		trie.Weighted{Source: everybody, Weight: 0.7, Normalize: true},
		trie.Weighted{Source: mine, Weight: 0.3, Normalize: true},
	) {
		fmt.Printf("%s %.2f\n", c.Term, c.Score)
	}
	// Output:
	// New York 0.70
	// Newcastle 0.32
}

func ExampleUnion() {
	whole := cities(trie.BuilderOptions{})
	shards := trie.SplitByWeight(whole, 3)
	parts := make([]trie.Source, shards.Len())
	for i := range parts {
		b := trie.NewBuilder(trie.BuilderOptions{})
		for term, score := range whole.All() {
			if shards.Of(term) == i {
				_ = b.Add(term, score)
			}
		}
		part, err := b.Build(context.Background())
		if err != nil {
			log.Fatal(err)
		}
		parts[i] = part
	}
	from, to := shards.Range("san") // the shards that may know
	for c := range trie.Union("san", parts[from:to]...) {
		fmt.Println(c.Term)
	}
	// Output: San Diego
}

func ExampleBlocklist() {
	rude, err := trie.NewBlocklist(trie.FoldDefault, "york")
	if err != nil {
		log.Fatal(err)
	}
	s := cities(trie.BuilderOptions{})
	fmt.Println(s.Search(trie.Query{Prefix: "new", K: 1, Filter: rude.Allows}))
	// Output: [{New Orleans 383 0}]
}
