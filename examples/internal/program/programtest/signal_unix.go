//go:build unix

package programtest

import (
	"os"
	"syscall"
)

// CanFreeze tells whether processes take signals: to be frozen, and to end by themselves.
const CanFreeze = true

func terminate(p *os.Process) error { return p.Signal(syscall.SIGTERM) }

func freeze(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }

func thaw(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
