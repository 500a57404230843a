package bloom

import (
	"errors"

	"github.com/cespare/xxhash/v2"
)

var (
	// ErrCorrupt is matched by errors about an encoding with a wrong magic, version,
	// kind, length or checksum.
	ErrCorrupt = errors.New("bloom: corrupt encoding")
	// ErrMismatch is returned by Union and Intersect of filters of different shape.
	ErrMismatch = errors.New("bloom: filters do not match")
	// ErrTooLarge is returned where a filter would exceed what can be addressed.
	ErrTooLarge = errors.New("bloom: filter too large")
	// ErrBuild is returned when no seed yields a static filter, which for distinct
	// hashes does not happen in the life of the universe.
	ErrBuild = errors.New("bloom: no static filter found for these keys")
)

// Hash is the package's 64-bit hash of a key, xxHash64 with seed 0. It never changes.
func Hash(key []byte) uint64 { return xxhash.Sum64(key) }

// HashString is Hash for a string, without a copy.
func HashString(key string) uint64 { return xxhash.Sum64String(key) }

// Set is what all filters on hashes have in common.
type Set interface {
	// HasHash reports whether a key with this hash may have been added; false is sure.
	HasHash(h uint64) bool
}

var (
	_ Set = (*Filter)(nil)
	_ Set = (*Concurrent)(nil)
	_ Set = (*Counting)(nil)
	_ Set = (*Scalable)(nil)
	_ Set = (*Fuse)(nil)
)
