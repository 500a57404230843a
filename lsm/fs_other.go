//go:build aix || (!unix && !windows)

package lsm

import "os"

// lockFile has nothing to lock with here: only this process is kept from opening a
// directory twice.
func lockFile(*os.File) error { return nil }

// SyncDir does nothing: these systems have no way to ask for it.
func (osFS) SyncDir(string) error { return nil }
