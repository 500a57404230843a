//go:build !linux

package main

import "time"

// precisely is time.Sleep where nothing better is at hand.
func precisely() func(time.Duration) { return time.Sleep }
