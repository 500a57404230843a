//go:build aix || (!unix && !windows)

package snowflake

import (
	"errors"
	"os"
)

// lockFile fails: a lock that does not lock would let two processes share a node.
func lockFile(*os.File) (busy bool, err error) { return false, errors.ErrUnsupported }

// syncDir does nothing: these systems have no way to ask for it.
func syncDir(string) error { return nil }
