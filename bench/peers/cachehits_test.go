package peers

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/Yiling-J/theine-go"
	hashicorp "github.com/hashicorp/golang-lru/v2"
	"github.com/maypok86/otter/v2"
	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/cache"
	"github.com/ashlar-go/ashlar/cache/sim"
)

// points are traces and sizes; "mixed" is corda, loop and corda again.
var points = []struct {
	trace string
	sizes []int
}{
	{"oltp", []int{250, 500, 1000, 2000}},
	{"orm-night", []int{500, 2000, 5000}},
	{"web07", []int{300, 1200, 2000}},
	{"web12", []int{300, 1200, 2000}},
	{"scarab", []int{1000, 10000, 50000, 100000}},
	{"mixed", []int{250, 500, 1000, 1500}},
	{"gli", []int{250, 500, 1000, 1500}},
	{"sprite", []int{200, 500, 1000}},
	{"multi1", []int{500, 1000}},
	{"multi2", []int{1000, 2000}},
	{"loop", []int{256, 512}},
	{"2_pools", []int{200, 500, 1000}},
	{"p3", []int{25000, 100000, 200000, 300000}},
}

func traceOf(t testing.TB, dir, name string) []uint64 {
	t.Helper()
	read := func(name string) []uint64 {
		tr, err := sim.ReadFile(filepath.Join(dir, name+".i32.gz"))
		require.NoError(t, err)
		return tr
	}
	if name != "mixed" {
		return read(name)
	}
	corda := read("corda")
	return sim.Join(true, corda, sim.Join(false, nil, read("loop")), corda)
}

// replay is a Get a request and a Set after each miss.
func replay(get func(uint64) (uint64, bool), set func(uint64, uint64), trace []uint64) float64 {
	hits := 0
	for _, k := range trace {
		if _, ok := get(k); ok {
			hits++
		} else {
			set(k, k)
		}
	}
	return 100 * float64(hits) / float64(len(trace))
}

// TestCacheHitRatios prints hit ratios, for caches with random seeds as means of CACHE_RUNS
// replays. All run at the same strict size: otter takes its decisions in the caller, and
// theine is asked for its backlog before each Get.
func TestCacheHitRatios(t *testing.T) {
	dir := os.Getenv("ASHLAR_DATA")
	if dir == "" {
		t.Skip("ASHLAR_DATA does not name a folder of traces (NAME.i32.gz)")
	}
	runs := 3
	fmt.Sscan(os.Getenv("CACHE_RUNS"), &runs)
	rivals := []struct {
		name string
		runs int
		run  func(size int, tr []uint64) float64
	}{
		{"LRU", 1, func(size int, tr []uint64) float64 {
			r := must(sim.Run(cache.LRU, size, tr, 1))
			return 100 * r.Ratio()
		}},
		{"ashlar", runs, func(size int, tr []uint64) float64 {
			r := must(sim.Run(cache.Adaptive, size, tr, 0))
			return 100 * r.Ratio()
		}},
		{"otter", runs, func(size int, tr []uint64) float64 {
			c := otter.Must(&otter.Options[uint64, uint64]{MaximumSize: size, Executor: func(f func()) { f() }})
			defer c.StopAllGoroutines()
			return replay(c.GetIfPresent, func(k, v uint64) { c.Set(k, v) }, tr)
		}},
		{"theine", runs, func(size int, tr []uint64) float64 {
			c := must(theine.NewBuilder[uint64, uint64](int64(size)).Build())
			defer c.Close()
			return replay(c.Get, func(k, v uint64) { c.Set(k, v, 1); c.Wait() }, tr)
		}},
		{"2Q", 1, func(size int, tr []uint64) float64 {
			c := must(hashicorp.New2Q[uint64, uint64](size))
			return replay(c.Get, c.Add, tr)
		}},
		{"S3FIFO", 1, func(size int, tr []uint64) float64 {
			r := must(sim.Run(cache.S3FIFO, size, tr, 1))
			return 100 * r.Ratio()
		}},
	}
	fmt.Printf("%-10s %8s %8s", "trace", "entries", "Belady")
	for _, r := range rivals {
		fmt.Printf(" %8s", r.name)
	}
	fmt.Println()
	gap, worst, n, all, atOrAbove := make([]float64, len(rivals)), make([]float64, len(rivals)), 0, 0, 0
	for _, p := range points {
		if only := os.Getenv("CACHE_TRACES"); only != "" && !strings.Contains(only, p.trace) {
			continue
		}
		tr := traceOf(t, dir, p.trace)
		for _, size := range p.sizes {
			best := 100 * sim.Belady(size, tr).Ratio()
			got := make([]float64, len(rivals))
			fmt.Printf("%-10s %8d %8.2f", p.trace, size, best)
			for i, r := range rivals {
				for range r.runs {
					got[i] += r.run(size, tr) / float64(r.runs)
				}
				fmt.Printf(" %8.2f", got[i])
				if best-got[0] >= 0.3 { // else there is no gap to speak of
					gap[i] += (got[i] - got[0]) / (best - got[0])
				}
				worst[i] = min(worst[i], got[i]-got[0])
			}
			fmt.Println()
			all++
			if best-got[0] >= 0.3 {
				n++
			}
			if got[1] >= max(got[2], got[3])-0.005 {
				atOrAbove++
			}
		}
	}
	for i, r := range rivals {
		fmt.Printf("%-8s share of the gap from LRU to Belady %6.2f %%, at worst %6.2f points below LRU\n", r.name, 100*gap[i]/float64(n), -worst[i])
	}
	fmt.Printf("ashlar at or above otter and theine on %d of %d points\n", atOrAbove, all)
}

// TestCacheHitsUnderLoad replays traces from four goroutines at once and compares with one.
func TestCacheHitsUnderLoad(t *testing.T) {
	dir := os.Getenv("ASHLAR_DATA")
	if dir == "" {
		t.Skip("ASHLAR_DATA does not name a folder of traces (NAME.i32.gz)")
	}
	const workers = 4
	for _, p := range []struct {
		trace string
		size  int
	}{{"oltp", 1000}, {"web12", 1200}, {"orm-night", 2000}, {"scarab", 50000}} {
		tr := traceOf(t, dir, p.trace)
		for name, mk := range map[string]func() (func(uint64) (uint64, bool), func(uint64, uint64)){
			"ashlar": func() (func(uint64) (uint64, bool), func(uint64, uint64)) {
				c := must(cache.New(cache.Options[uint64, uint64]{MaxEntries: p.size}))
				return c.Get, func(k, v uint64) { c.Set(k, v) }
			},
			"otter": func() (func(uint64) (uint64, bool), func(uint64, uint64)) {
				c := otter.Must(&otter.Options[uint64, uint64]{MaximumSize: p.size})
				return c.GetIfPresent, func(k, v uint64) { c.Set(k, v) }
			},
		} {
			serial, parallel := 0.0, 0.0
			const rounds = 3
			for range rounds {
				get, set := mk()
				serial += replay(get, set, tr) / rounds
				get, set = mk()
				var next, hits atomic.Int64
				var wg sync.WaitGroup
				for range workers {
					wg.Go(func() {
						n := int64(0)
						for {
							i := int(next.Add(1) - 1)
							if i >= len(tr) {
								hits.Add(n)
								return
							}
							if _, ok := get(tr[i]); ok {
								n++
							} else {
								set(tr[i], 1)
							}
						}
					})
				}
				wg.Wait()
				parallel += 100 * float64(hits.Load()) / float64(len(tr)) / rounds
			}
			fmt.Printf("%-10s %7d %-8s serial %6.2f, %d goroutines %6.2f, lost %5.2f\n", p.trace, p.size, name, serial, workers, parallel, serial-parallel)
		}
	}
}

// TestCacheSmallMany is what ten thousand caches of a hundred entries take.
func TestCacheSmallMany(t *testing.T) {
	before, goroutines := heapNow(), runtime.NumGoroutine()
	all := make([]*cache.Cache[uint64, uint64], 10_000)
	for i := range all {
		all[i] = must(cache.New(cache.Options[uint64, uint64]{MaxEntries: 100}))
		for k := range uint64(200) {
			all[i].Set(k, k)
			all[i].Get(k)
		}
	}
	fmt.Printf("10,000 caches of 100 entries: %.1f MB, %d goroutines\n", float64(heapNow()-before)/1e6, runtime.NumGoroutine()-goroutines)
	runtime.KeepAlive(all)
}
