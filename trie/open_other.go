//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package trie

import "os"

// mapFile returns the bytes of a file, and whether they are mapped.
func mapFile(path string) (data []byte, mapped bool, err error) {
	data, err = os.ReadFile(path)
	return data, false, err
}

func unmap([]byte) {}

// syncDir has nothing to do where directories cannot be opened.
func syncDir(string) error { return nil }
