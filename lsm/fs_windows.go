package lsm

import (
	"os"

	"golang.org/x/sys/windows"
)

// lockFile takes an exclusive lock that ends with the process.
func lockFile(f *os.File) error {
	return windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, new(windows.Overlapped))
}

// SyncDir does nothing: NTFS journals its directories, and a directory cannot be flushed.
func (osFS) SyncDir(string) error { return nil }
