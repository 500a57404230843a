//go:build race

package extract

// raceEnabled says that the race detector adds allocations of its own.
const raceEnabled = true
