//go:build !unix

package main

import "os"

// notifyReload does nothing where there is no SIGHUP: the file is watched all the same.
func notifyReload(chan<- os.Signal) {}
