//go:build plantedbugs

package trie

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

var planters = map[bug]struct {
	name  string
	check func(t testing.TB, rng *rand.Rand)
}{
	bugBestStops:      {"best stops", indexes},
	bugNoTombstone:    {"no tombstone", indexes},
	bugFilterMisses:   {"filter misses", indexes},
	bugTies:           {"ties", snapshots},
	bugFrontierShort:  {"frontier short", snapshots},
	bugHeadIsAll:      {"head is all", snapshots},
	bugHeadUnderDelta: {"head under delta", indexes},
	bugFrozenShows:    {"frozen shows", indexes},
	bugMergeForgets:   {"merge forgets", checkMerges},
	bugMergeRevives:   {"merge revives", indexes},
	bugSureTooSoon:    {"sure too soon", fuzzies},
	bugNoSwap:         {"no swap", fuzzies},
	bugLateLog:        {"late log", checkDurable},
	bugReplayRevives:  {"replay revives", checkDurable},
}

func snapshots(t testing.TB, rng *rand.Rand) { checkTopK(t, rng) }
func indexes(t testing.TB, rng *rand.Rand)   { checkIndex(t, rng) }
func fuzzies(t testing.TB, rng *rand.Rand)   { checkFuzzy(t, rng) }

// TestPlanted makes each mistake that the package can make on purpose and demands that its
// tests notice it: an oracle that never says no proves nothing.
func TestPlanted(t *testing.T) {
	defer func() { plantedBug = noBug }()
	require.Len(t, planters, int(bugEnd)-1)
	for b := noBug + 1; b < bugEnd; b++ {
		p := planters[b]
		t.Run(p.name, func(t *testing.T) {
			const tries = 100
			for seed := range uint64(tries) {
				plantedBug = noBug
				require.Empty(t, attempt(t, p.check, seed), "without the bug, seed %d", seed)
				plantedBug = b
				if said := attempt(t, p.check, seed); said != "" {
					t.Logf("seed %d: %s", seed, said)
					return
				}
			}
			t.Fatalf("not found by %d tries", tries)
		})
	}
}

// attempt returns what a check complained of, nothing if it passed.
func attempt(t *testing.T, check func(testing.TB, *rand.Rand), seed uint64) string {
	r := &trial{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if v := recover(); v != nil {
				r.said = fmt.Sprintf("panic: %v", v)
			}
		}()
		defer r.cleanUp()
		check(r, rand.New(rand.NewPCG(seed, 0)))
	}()
	select {
	case <-done:
	case <-time.After(time.Minute):
		return "it does not end"
	}
	return r.said
}

// trial is a test that may fail.
type trial struct {
	testing.TB
	said     string
	cleanups []func()
}

func (r *trial) Helper()          {}
func (r *trial) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *trial) cleanUp() {
	for _, f := range r.cleanups {
		f()
	}
}

func (r *trial) FailNow() { runtime.Goexit() }
func (r *trial) Errorf(format string, a ...any) {
	if r.said == "" {
		r.said = fmt.Sprintf(format, a...)
	}
}
