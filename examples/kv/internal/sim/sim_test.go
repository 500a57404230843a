package sim

import (
	"flag"
	"os"
	"runtime"
	"sync"
	"testing"

	"github.com/ashlar-go/ashlar/internal/testkit"
	"github.com/stretchr/testify/require"
)

var seedsFlag = flag.Int("seeds", 300, "how many seeds to run")

// runSeeds runs seeds from first on, on all processors, and hands the results over in
// order of their seeds, until told to stop.
func runSeeds(first uint64, count int, got func(seed uint64, r *Result) bool) {
	results := make([]chan *Result, count)
	for i := range results {
		results[i] = make(chan *Result, 1)
	}
	next, stop := make(chan int), make(chan struct{})
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for i := range next {
				results[i] <- Run(Options{Seed: first + uint64(i)})
			}
		})
	}
	wg.Go(func() {
		defer close(next)
		for i := range count {
			select {
			case next <- i:
			case <-stop:
				return
			}
		}
	})
	for i := range results {
		if !got(first+uint64(i), <-results[i]) {
			break
		}
	}
	close(stop)
	wg.Wait()
}

// TestSeeds runs clusters under everything that can go wrong. One seed, with all that
// happened: go test -run TestSeeds -seeds 1 -seed N -v, and SIM_LOG=file.
func TestSeeds(t *testing.T) {
	count := *seedsFlag
	if testing.Short() {
		count = min(count, 30)
	}
	first := testkit.Seed(t)
	if path := os.Getenv("SIM_LOG"); path != "" {
		f, err := os.Create(path)
		require.NoError(t, err)
		defer f.Close()
		r := Run(Options{Seed: first, Log: f})
		require.Empty(t, r.Violations)
		return
	}
	var sum Result
	bad := 0
	runSeeds(first, count, func(seed uint64, r *Result) bool {
		for _, v := range r.Violations {
			t.Errorf("seed %d: %s", seed, v)
		}
		if len(r.Violations) > 0 {
			bad++
		}
		sum.Acked += r.Acked
		sum.Failed += r.Failed
		sum.Reads += r.Reads
		sum.Faults += r.Faults
		sum.Stats.Add(r.Stats)
		return bad < 5
	})
	t.Logf("%d seeds: %d writes acknowledged, %d quorum reads, %d requests failed, %d faults", count, sum.Acked, sum.Reads, sum.Failed, sum.Faults)
	t.Logf("%+v", sum.Stats)
}
