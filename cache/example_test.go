package cache_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ashlar-go/ashlar/cache"
)

func Example() {
	c, err := cache.New(cache.Options[string, int]{
		MaxEntries: 1000,
		TTL:        time.Minute,
		Load: func(_ context.Context, word string) (int, error) {
			fmt.Println("counting", word)
			return len(word), nil
		},
	})
	if err != nil {
		panic(err)
	}
	for range 2 {
		n, err := c.Fetch(context.Background(), "ashlar")
		fmt.Println(n, err)
	}
	// Output:
	// counting ashlar
	// 6 <nil>
	// 6 <nil>
}

func ExampleCache() {
	c, _ := cache.New(cache.Options[string, string]{
		MaxEntries: 2,
		Policy:     cache.FIFO,
		OnRemove:   func(r cache.Removal[string, string]) { fmt.Println(r.Key, r.Cause) },
	})
	c.Set("a", "1")
	c.Set("b", "2")
	c.Set("b", "3")
	c.Set("c", "4")
	_, ok := c.Get("a")
	fmt.Println(ok, c.Len())
	// Output:
	// b replaced
	// a evicted
	// false 2
}

func ExampleCache_Update() {
	c, _ := cache.New(cache.Options[string, int]{})
	add := func(old int, _ bool) (int, cache.Op) { return old + 1, cache.Store }
	c.Update("hits", add)
	n, _ := c.Update("hits", add)
	fmt.Println(n)
	// Output: 2
}

func ExampleCache_Fetch_notFound() {
	c, _ := cache.New(cache.Options[string, int]{
		NotFoundTTL: time.Minute,
		Load: func(context.Context, string) (int, error) {
			fmt.Println("asking the source")
			return 0, cache.ErrNotFound
		},
	})
	for range 2 {
		_, err := c.Fetch(context.Background(), "nobody")
		fmt.Println(errors.Is(err, cache.ErrNotFound))
	}
	// Output:
	// asking the source
	// true
	// true
}

func ExampleOptions_weight() {
	c, _ := cache.New(cache.Options[string, []byte]{
		MaxWeight: 100,
		Weigh:     func(_ string, v []byte) int64 { return int64(len(v)) },
	})
	fmt.Println(c.Set("large", make([]byte, 101)), c.Set("small", make([]byte, 60)))
	fmt.Println(c.Weight())
	// Output:
	// false true
	// 60
}

func ExampleBytes() {
	b, _ := cache.NewBytes(cache.BytesOptions{MaxBytes: 1 << 20})
	_ = b.Set([]byte("k"), []byte("one"), time.Hour)
	_, version, _ := b.AppendVersion(nil, []byte("k"))
	_, swapped, _ := b.Swap([]byte("k"), []byte("two"), version, 0)
	_, again, _ := b.Swap([]byte("k"), []byte("three"), version, 0)
	v, _ := b.Append(nil, []byte("k"))
	fmt.Println(swapped, again, string(v))

	var file bytes.Buffer
	_ = b.Snapshot(&file)
	c, _ := cache.NewBytes(cache.BytesOptions{MaxBytes: 1 << 20})
	fmt.Println(c.Restore(&file), c.Len())
	// Output:
	// true false two
	// <nil> 1
}

// one is a Picker for a group of a single process.
type one struct{}

func (one) Owner(string) cache.Peer { return nil }
func (one) Peers() []cache.Peer     { return nil }

func ExampleGroup() {
	g, _ := cache.NewGroup(cache.GroupOptions{
		Name:   "thumbnails",
		Picker: one{}, // with several processes: cache.PickBy(ring, …)
		Load: func(_ context.Context, key string) (cache.Item, error) {
			return cache.Item{Value: []byte("picture of " + key)}, nil
		},
	})
	defer g.Close()
	it, err := g.Get(context.Background(), "ada")
	fmt.Println(string(it.Value), err)
	// Output: picture of ada <nil>
}

func ExampleStats() {
	c, _ := cache.New(cache.Options[int, int]{MaxEntries: 10, Policy: cache.LRU, CountHits: true})
	for i := range 20 {
		c.Set(i, i)
		c.Get(i)
	}
	c.Get(0)
	fmt.Println(c.Stats())
	// Output: 10 entries, weight 10 of 10, inserts 20, hits 95.2 %, evicted 10
}

func ExampleCache_Hot() {
	c, _ := cache.New(cache.Options[string, int]{Policy: cache.LRU})
	c.Set("a", 1)
	c.Set("b", 2)
	c.Get("a")
	for k, i := range c.Hot() {
		fmt.Println(k, i.Weight)
	}
	// Output:
	// a 1
	// b 1
}
