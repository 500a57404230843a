//go:build race

package merkle

// raceEnabled says that the race detector adds allocations of its own.
const raceEnabled = true
