package frontier

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/lsm"
)

var large = flag.Bool("large", false, "benchmarks of 20 million URLs")

// web makes the links of pages of many hosts: most to the page's own host, some to others.
type web struct {
	rng   *rand.Rand
	hosts int
	own   int // links of a hundred to the page's own host
	next  uint64
	links []Item
}

func newWeb(hosts, own int) *web {
	return &web{rng: rand.New(rand.NewPCG(1, 2)), hosts: hosts, own: own, links: make([]Item, 100)}
}

func (w *web) page() []Item {
	self := w.rng.IntN(w.hosts)
	for i := range w.links {
		h := self
		if i >= w.own {
			h = w.rng.IntN(w.hosts)
		}
		w.next++
		w.links[i] = Item{URL: fmt.Sprintf("https://www.site-%06d.example/articles/2026/some-title-of-a-page-%d", h, w.next), Priority: float64(i % 3), Depth: 3}
	}
	return w.links
}

func sizes() []int {
	if *large {
		return []int{1_000_000, 20_000_000}
	}
	return []int{100_000}
}

func benchOpen(tb testing.TB, dir string, o Options) *Frontier {
	tb.Helper()
	f, err := Open(dir, o)
	require.NoError(tb, err)
	return f
}

// BenchmarkAdd adds new URLs, a page's hundred links at a time; an operation is a URL. With
// -large it says how fast the first and the last of 20 million were.
func BenchmarkAdd(b *testing.B) {
	for _, own := range []int{70, 0} {
		for _, n := range sizes() {
			b.Run(fmt.Sprintf("own=%d/n=%d", own, n), func(b *testing.B) {
				dir := b.TempDir()
				f := benchOpen(b, dir, Options{Durability: lsm.Written, MinDelay: -1})
				w := newWeb(200_000, own)
				var pages []time.Duration
				b.ResetTimer()
				start := time.Now()
				for i := 0; i < n; i += 100 {
					links := w.page()
					s := time.Now()
					if _, err := f.Add(context.Background(), links...); err != nil {
						b.Fatal(err)
					}
					pages = append(pages, time.Since(s))
				}
				b.StopTimer()
				_ = start
				million := func(part []time.Duration) float64 {
					var sum time.Duration
					for _, d := range part {
						sum += d
					}
					return float64(100*len(part)) / sum.Seconds()
				}
				k := min(len(pages), 10_000)
				b.ReportMetric(million(pages), "URLs/s")
				b.ReportMetric(million(pages[:k]), "first-URLs/s")
				b.ReportMetric(million(pages[len(pages)-k:]), "last-URLs/s")
				b.ReportMetric(0, "ns/op")
				s := f.Stats()
				b.ReportMetric(float64(s.HostBytes)/float64(s.Hosts), "B/host")
				b.ReportMetric(float64(s.FilterBytes)/float64(n), "filter-B/URL")
				b.ReportMetric(float64(s.Store.Bytes())/float64(n), "disk-B/URL")
				require.NoError(b, f.Close())
				runtime.GC()
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				t := time.Now()
				f = benchOpen(b, dir, Options{MinDelay: -1})
				_, err := f.TryLease()
				if err != nil {
					b.Log(err)
				}
				b.ReportMetric(time.Since(t).Seconds(), "restart-s")
				runtime.GC()
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(n), "heap-B/URL")
				require.NoError(b, f.Close())
			})
		}
	}
}
