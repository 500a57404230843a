//go:build unix

package main

import (
	"os/exec"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// stop asks a process to end, which it does by itself and without an error.
func stop(t *testing.T, p *exec.Cmd) {
	t.Helper()
	require.NoError(t, p.Process.Signal(syscall.SIGTERM))
	require.NoError(t, p.Wait())
}
