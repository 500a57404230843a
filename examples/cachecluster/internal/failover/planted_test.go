//go:build plantedbugs

package failover

import (
	"testing"
)

// TestPlanted makes each mistake on purpose and demands that a run notices it.
func TestPlanted(t *testing.T) {
	defer func() { Planted = NoBug }()
	for _, bug := range Bugs() {
		t.Run(bug.String(), func(t *testing.T) {
			Planted = bug
			bad, seed, _ := seeds(1, 400)
			if bad == nil {
				t.Fatal("not found in 400 worlds")
			}
			t.Logf("world %d: %s", seed, bad.bad)
		})
	}
}
