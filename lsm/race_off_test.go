//go:build !race

package lsm_test

const raceEnabled = false

// stride is the step of tests that try everything.
const stride = 1
