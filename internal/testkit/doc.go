// Package testkit is what tests of this module share: seeds that can be replayed, texts
// that are compared with a file, and whether the race detector is on. Only tests import
// it.
//
//	rng := testkit.Rand(t)              // a failing test prints its seed …
//	go test ./ring -run X -seed 42      // … and runs again with it
//	ASHLAR_SEED=42 go test ./...        // the same for all packages at once
//
//	testkit.Golden(t, "testdata/trace.txt", trace)
//	go test ./ring -run X -update       // writes what it got
//
// The flags exist in test binaries that import this package.
package testkit
