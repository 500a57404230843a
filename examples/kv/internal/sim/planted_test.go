//go:build plantedbugs

package sim

import (
	"flag"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/kv/internal/core"
)

var huntFlag = flag.Int("hunt", 600, "how many seeds to try for each planted bug")

// TestPlanted makes each mistake that the core can make on purpose and demands that a run
// notices it: a judge that never says no judges nothing.
func TestPlanted(t *testing.T) {
	defer func() { core.Planted = core.NoBug }()
	for _, bug := range core.Bugs() {
		t.Run(bug.String(), func(t *testing.T) {
			core.Planted = bug
			found := uint64(0)
			runSeeds(1, *huntFlag, func(seed uint64, r *Result) bool {
				for _, v := range r.Violations {
					// That the end is not reached would be found by any test; most bugs must
					// be found by what a client was told.
					if bug == core.BugTreeSkips || !strings.HasPrefix(v, "at rest") {
						found = seed
						t.Logf("seed %d: %s", seed, v)
						break
					}
				}
				return found == 0
			})
			require.NotZero(t, found, "not found in %d seeds", *huntFlag)
		})
	}
}
