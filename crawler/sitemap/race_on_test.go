//go:build race

package sitemap

// raceEnabled says that the race detector adds allocations of its own.
const raceEnabled = true
