//go:build !unix

package programtest

import "os"

// CanFreeze tells whether processes take signals: to be frozen, and to end by themselves.
const CanFreeze = false

func terminate(*os.Process) error { return nil }

func freeze(*os.Process) error { return nil }

func thaw(*os.Process) error { return nil }
