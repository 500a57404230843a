//go:build race

package urlx

// raceEnabled says that the race detector adds allocations of its own.
const raceEnabled = true
