package frontier_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/crawler/frontier"
)

func open(o frontier.Options) (*frontier.Frontier, func()) {
	dir, err := os.MkdirTemp("", "frontier")
	if err != nil {
		panic(err)
	}
	f, err := frontier.Open(dir, o)
	if err != nil {
		panic(err)
	}
	return f, func() {
		f.Close()
		os.RemoveAll(dir)
	}
}

func Example() {
	f, done := open(frontier.Options{MinDelay: -1}) // hosts of our own: no pause
	defer done()
	ctx := context.Background()
	_, err := f.Add(ctx,
		frontier.Item{URL: "https://b.example/archive", Priority: 5},
		frontier.Item{URL: "https://a.example/news", Priority: 0},
		frontier.Item{URL: "https://a.example/news"}, // known
	)
	if err != nil {
		fmt.Println(err)
	}
	for {
		l, err := f.Lease(ctx)
		if errors.Is(err, frontier.ErrDrained) {
			break
		}
		fmt.Println(l.URL)
		if err := l.Done(frontier.Result{Latency: time.Millisecond}); err != nil {
			fmt.Println(err)
		}
	}
	fmt.Println(f)
	// Output:
	// https://a.example/news
	// https://b.example/archive
	// frontier: 2 hosts, 0 queued, 0 leased, 0 waiting, 0 dead
}

// A clock that the caller moves: TryLease and Next go by it alone. The store's background
// reads it too.
func ExampleFrontier_TryLease() {
	var clock atomic.Int64
	start := time.Unix(1_800_000_000, 0)
	clock.Store(start.UnixNano())
	now := func() time.Time { return time.Unix(0, clock.Load()) }
	f, done := open(frontier.Options{Now: now})
	defer done()
	_, _ = f.Add(context.Background(), frontier.Item{URL: "https://a.example/1"}, frontier.Item{URL: "https://a.example/2"})
	for {
		l, err := f.TryLease()
		if errors.Is(err, frontier.ErrNotReady) {
			next, _ := f.Next()
			clock.Store(next.UnixNano())
			continue
		}
		if err != nil {
			break
		}
		fmt.Println(now().Sub(start).Round(time.Second), l.URL)
		_ = l.Done(frontier.Result{})
	}
	// Output:
	// 0s https://a.example/1
	// 1s https://a.example/2
}

// What fails is retried by the schedule, and can be looked at when that is over.
func ExampleLease_Retry() {
	f, done := open(frontier.Options{Retries: []time.Duration{}}) // no second try
	defer done()
	ctx := context.Background()
	_, _ = f.Add(ctx, frontier.Item{URL: "https://a.example/"})
	l, _ := f.Lease(ctx)
	_ = l.Retry(frontier.Failure{Cause: "502 Bad Gateway"})
	for d, err := range f.DeadLetters() {
		fmt.Println(d.URL, d.Cause, err)
	}
	n, err := f.Requeue(ctx, func(d frontier.DeadLetter) bool { return d.Host == "a.example" })
	fmt.Println(n, err)
	// Output:
	// https://a.example/ 502 Bad Gateway <nil>
	// 1 <nil>
}

// The owner of a host changes: its state moves, and one of the two visits it at a time.
func ExampleFrontier_Export() {
	from, done := open(frontier.Options{})
	defer done()
	to, done := open(frontier.Options{})
	defer done()
	ctx := context.Background()
	_, _ = from.Add(ctx, frontier.Item{URL: "https://a.example/"}, frontier.Item{URL: "https://b.example/"})
	var stream bytes.Buffer
	if err := from.Export(ctx, "a.example", &stream); err != nil {
		fmt.Println(err)
	}
	name, err := to.Import(ctx, &stream)
	if err == nil {
		err = from.Drop(name)
	}
	fmt.Println(name, err)
	for h := range from.Hosts() {
		fmt.Println("stays:", h.Name, h.State)
	}
	for h := range to.Hosts() {
		fmt.Println("moved:", h.Name, h.State, h.Queued)
	}
	// Output:
	// a.example <nil>
	// stays: b.example ready
	// moved: a.example waiting 1
}
