//go:build !race

package testkit

// Race says that the race detector is on: it allocates by itself and slows all down, so
// that assertions about allocations and time mean nothing.
const Race = false
