//go:build (!amd64 && !arm64) || purego

package ratelimit

import "unsafe"

// prefetch is left out where there is no assembly for it.
func prefetch(base unsafe.Pointer, off uintptr, lock unsafe.Pointer) {}
