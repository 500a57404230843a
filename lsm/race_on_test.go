//go:build race

package lsm_test

const raceEnabled = true

// stride is the step of tests that try everything: here they take every fifth, for the
// race detector is slow and the run without it takes all.
const stride = 5
