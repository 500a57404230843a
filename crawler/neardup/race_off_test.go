//go:build !race

package neardup

// raceEnabled says that the race detector adds allocations of its own.
const raceEnabled = false
