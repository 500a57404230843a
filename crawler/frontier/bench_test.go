package frontier

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
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
	o.Durability = lsm.Written
	f, err := Open(dir, o)
	require.NoError(tb, err)
	return f
}

// rate is URLs a second, where each of the spans took a page of a hundred.
func rate(spans []time.Duration) float64 {
	var sum time.Duration
	for _, d := range spans {
		sum += d
	}
	return float64(100*len(spans)) / sum.Seconds()
}

// fill adds n URLs and returns how long each hundred took.
func fill(b *testing.B, f *Frontier, w *web, n int) (spans []time.Duration) {
	for range n / 100 {
		links := w.page()
		start := time.Now()
		if _, err := f.Add(context.Background(), links...); err != nil {
			b.Fatal(err)
		}
		spans = append(spans, time.Since(start))
	}
	return spans
}

// settle waits until the store has done what filling left it to do.
func settle(b *testing.B, f *Frontier) {
	require.NoError(b, f.db.Flush(context.Background()))
	for f.db.Stats().Levels[0].Tables >= f.o.Store.L0Tables {
		runtime.Gosched()
	}
}

func heap() float64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// BenchmarkAdd adds new URLs, a page's hundred links at a time, closes and opens again. It
// says how fast all were, and the first and last million of them.
func BenchmarkAdd(b *testing.B) {
	for _, own := range []int{70, 0} {
		for _, n := range sizes() {
			b.Run(fmt.Sprintf("own=%d/n=%d", own, n), func(b *testing.B) {
				dir := b.TempDir()
				for b.Loop() {
					before := heap()
					f := benchOpen(b, dir, Options{MinDelay: -1})
					spans := fill(b, f, newWeb(200_000, own), n)
					k := min(len(spans), 10_000)
					b.ReportMetric(rate(spans), "URLs/s")
					b.ReportMetric(rate(spans[:k]), "first-URLs/s")
					b.ReportMetric(rate(spans[len(spans)-k:]), "last-URLs/s")
					require.NoError(b, f.db.Flush(context.Background()))
					s := f.Stats()
					b.ReportMetric(float64(s.HostBytes)/float64(s.Hosts), "B/host")
					b.ReportMetric(float64(s.FilterBytes)/float64(n), "filter-B/URL")
					b.ReportMetric(float64(s.Store.Bytes())/float64(n), "disk-B/URL")
					require.NoError(b, f.Close())

					start := time.Now()
					f = benchOpen(b, dir, Options{MinDelay: -1})
					l, err := f.TryLease()
					require.NoError(b, err)
					b.ReportMetric(time.Since(start).Seconds(), "restart-s")
					require.NoError(b, l.Release())
					f.work.Wait()
					b.ReportMetric(time.Since(start).Seconds(), "filled-s")
					b.ReportMetric((heap()-before)/float64(n), "heap-B/URL")
					require.NoError(b, f.Close())
					require.NoError(b, os.RemoveAll(dir))
				}
			})
		}
	}
}

// BenchmarkLeaseDone has two workers visit URLs as fast as they get them, from a frontier of
// n URLs on 200,000 hosts that ask for no delay. An operation is a lease and its end.
func BenchmarkLeaseDone(b *testing.B) {
	for _, own := range []int{70, 0} {
		for _, n := range sizes() {
			b.Run(fmt.Sprintf("own=%d/n=%d", own, n), func(b *testing.B) {
				f := benchOpen(b, b.TempDir(), Options{MinDelay: -1, LatencyFactor: -1})
				defer f.Close()
				fill(b, f, newWeb(200_000, own), n)
				settle(b, f)
				b.ReportAllocs()
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						l, err := f.TryLease()
						if err == nil {
							err = l.Done(Result{Latency: time.Millisecond})
						}
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
				b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "leases/s")
			})
		}
	}
}
