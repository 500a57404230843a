//go:build !unix

package main

import (
	"os/exec"
	"testing"
)

// stop ends a process: there is no signal here that asks it to.
func stop(_ *testing.T, p *exec.Cmd) {
	_ = p.Process.Kill()
	_ = p.Wait() // it was killed
}
