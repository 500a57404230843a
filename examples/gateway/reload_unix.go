//go:build unix

package main

import (
	"os"
	"os/signal"
	"syscall"
)

// notifyReload asks for the signal that means: read the rules again.
func notifyReload(c chan<- os.Signal) { signal.Notify(c, syscall.SIGHUP) }
