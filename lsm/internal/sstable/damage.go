package sstable

import (
	"errors"
	"fmt"
)

// ErrCorrupt is matched by every error about damaged contents.
var ErrCorrupt = errors.New("sstable: corrupt table")

// CorruptError says where a table is damaged.
type CorruptError struct {
	File   string
	Offset int64
	Detail string
}

func damage(file string, offset int64, format string, args ...any) *CorruptError {
	return &CorruptError{File: file, Offset: offset, Detail: fmt.Sprintf(format, args...)}
}

// Error describes the damage.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("sstable: %s damaged at %d: %s", e.File, e.Offset, e.Detail)
}

// Is makes errors.Is(err, ErrCorrupt) hold.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }
