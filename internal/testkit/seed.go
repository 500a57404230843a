package testkit

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
)

// seedEnv is the environment's word for the -seed flag: `go test ./...` refuses a flag
// that one of the packages does not define.
const seedEnv = "ASHLAR_SEED"

var seedFlag = flag.String("seed", "", "seed of randomized tests, a decimal number (default $"+seedEnv+", else drawn anew)")

// Seed is the seed of a randomized test: that of -seed, else of ASHLAR_SEED, else a new
// one, so that every run looks somewhere else. If the test fails it prints the seed and how
// to run again with it. A seed that is not a number fails the test.
func Seed(t testing.TB) uint64 {
	t.Helper()
	seed, err := parseSeed(*seedFlag, os.Getenv(seedEnv))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("seed %d: go test -run '^%s$' -seed %d", seed, t.Name(), seed)
		}
	})
	return seed
}

// Rand is a generator that is seeded by Seed, for one goroutine.
func Rand(t testing.TB) *rand.Rand {
	t.Helper()
	return rand.New(rand.NewPCG(Seed(t), 0))
}

// parseSeed reads the first word that is not empty; without one it draws a seed.
func parseSeed(words ...string) (uint64, error) {
	for _, w := range words {
		if w == "" {
			continue
		}
		seed, err := strconv.ParseUint(w, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("testkit: seed: %w", err)
		}
		return seed, nil
	}
	return rand.Uint64(), nil
}
