package main

import (
	"testing"

	"github.com/ashlar-go/ashlar/internal/testkit"
)

// TestGuaranteesNameTests: GUARANTEES.md cannot name a test that does not exist.
func TestGuaranteesNameTests(t *testing.T) {
	testkit.NamedTests(t, "GUARANTEES.md", ".", "../internal", "../../bench/peers")
}
