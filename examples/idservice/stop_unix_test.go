//go:build unix

package main

import (
	"os"
	"syscall"
)

// freezes tells whether freeze does anything.
const freezes = true

// freeze stops a process as it stands, until thaw.
func freeze(p *os.Process) error { return p.Signal(syscall.SIGSTOP) }

func thaw(p *os.Process) error { return p.Signal(syscall.SIGCONT) }
