//go:build !unix

package main

import "os"

// freezes tells whether freeze does anything.
const freezes = false

// freeze does nothing where processes cannot be stopped and go on.
func freeze(*os.Process) error { return nil }

func thaw(*os.Process) error { return nil }
