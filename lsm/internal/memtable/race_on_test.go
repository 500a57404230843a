//go:build race

package memtable_test

const raceEnabled = true
