//go:build (amd64 || arm64) && !purego

package ratelimit

import "unsafe"

// prefetch has two lines at base+off and the one of a lock brought into the cache, and does
// not wait for them. It reads nothing: an address that is no longer right does no harm.
//
//go:noescape
func prefetch(base unsafe.Pointer, off uintptr, lock unsafe.Pointer)
