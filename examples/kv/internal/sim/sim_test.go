package sim

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
	"github.com/ashlar-go/ashlar/examples/kv/internal/core"
	"github.com/ashlar-go/ashlar/internal/testkit"
	"github.com/ashlar-go/ashlar/ring"
	"github.com/stretchr/testify/require"
)

var seedsFlag = flag.Int("seeds", 200, "how many seeds to run")

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

// TestReplay runs a seed twice.
func TestReplay(t *testing.T) {
	for seed := range uint64(5) {
		a, b := Run(Options{Seed: seed}), Run(Options{Seed: seed})
		require.Equal(t, a, b)
		require.NotEqual(t, a.Trace, Run(Options{Seed: seed + 100}).Trace)
	}
}

// TestTrace shows what nodes say to each other about one key, line by line.
func TestTrace(t *testing.T) {
	var log strings.Builder
	s := newSim(Options{Seed: 7, Quiet: true})
	s.prepare()
	s.o.Log = lineFilter{&log}
	ask := func(id string, r core.Request) *core.Done {
		var got *core.Done
		r.Key, r.Timeout = []byte("k"), 1000
		s.procs[id].ask(r, func(d *core.Done) { got = d })
		s.w.Run(s.w.Now() + 300)
		require.NotNil(t, got)
		require.NoError(t, got.Err)
		return got
	}
	owners := s.options.Table.Owners(s.options.Table.Partition("k"))
	other := slices.IndexFunc(s.ids, func(id string) bool {
		return !slices.ContainsFunc(owners, func(n ring.Node) bool { return n.ID == id })
	})
	fmt.Fprintf(&log, "# put at %s, which is no owner\n", s.ids[other])
	ask(s.ids[other], core.Request{Action: core.Put, Value: []byte("v1")})
	fmt.Fprintf(&log, "# get at %s, an owner\n", owners[0].ID)
	read := ask(owners[0].ID, core.Request{Action: core.Get})
	require.Equal(t, "v1", string(read.Read.Values[0].Data))
	fmt.Fprintf(&log, "# put with its context while %s is down\n", owners[2].ID)
	s.procs[owners[2].ID].crash(false)
	s.alive()
	s.w.Run(s.w.Now() + 100)
	ask(owners[0].ID, core.Request{Action: core.Put, Value: []byte("v2"), Write: api.WriteOptions{Mode: api.Given, Context: read.Read.Context}})
	fmt.Fprintf(&log, "# %s returns and gets its hint\n", owners[2].ID)
	s.procs[owners[2].ID].start()
	s.w.Run(s.w.Now() + 300)
	s.alive()
	s.w.Run(s.w.Now() + 1500)
	fmt.Fprintf(&log, "# get at all owners\n")
	read = ask(owners[2].ID, core.Request{Action: core.Get, Read: api.ReadOptions{Level: api.All}})
	require.Equal(t, "v2", string(read.Read.Values[0].Data))
	testkit.Golden(t, "testdata/trace.txt", log.String())
}

// lineFilter leaves out pings and comparisons of what is equal.
type lineFilter struct{ w *strings.Builder }

func (f lineFilter) Write(b []byte) (int, error) {
	if s := string(b); !strings.Contains(s, "ping #") && !strings.Contains(s, "exchange #") {
		f.w.WriteString(s)
	}
	return len(b), nil
}
