//go:build !race

package robots

// raceEnabled says that the race detector adds allocations of its own.
const raceEnabled = false
