package main

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// precisely is time.Sleep for one goroutine, without its rounding: the runtime waits in
// whole milliseconds when nothing else runs, which would be added to every latency. The
// goroutine keeps its thread, whose slack of 50 µs goes too, and takes it along when it
// ends.
func precisely() func(time.Duration) {
	locked := false
	return func(d time.Duration) {
		if !locked {
			locked = true
			runtime.LockOSThread()
			// Without it, later by the slack: worse, not wrong, since lateness is measured.
			_ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0)
		}
		for left := unix.NsecToTimespec(int64(d)); ; {
			var rest unix.Timespec
			if unix.Nanosleep(&left, &rest) != unix.EINTR {
				return
			}
			left = rest
		}
	}
}
