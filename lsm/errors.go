package lsm

import (
	"errors"
	"fmt"

	"github.com/ashlar-go/ashlar/lsm/internal/manifest"
	"github.com/ashlar-go/ashlar/lsm/internal/sstable"
	"github.com/ashlar-go/ashlar/lsm/internal/wal"
)

// Errors of this package match these; errors of the file system come wrapped.
var (
	// ErrNotFound: the key is not there, was deleted, or has expired.
	ErrNotFound = errors.New("lsm: key not found")
	// ErrClosed: the database, snapshot or transaction was closed. Never a panic.
	ErrClosed = errors.New("lsm: closed")
	// ErrLocked: the directory is in use, by this process or another.
	ErrLocked = errors.New("lsm: directory is locked")
	// ErrReadOnly: a write failed earlier, and the database takes no more until Resume.
	// The cause is wrapped with it, and Err returns it.
	ErrReadOnly = errors.New("lsm: read-only after a failed write")
	// ErrCorrupt: stored data is damaged; always together with a *CorruptError.
	ErrCorrupt = errors.New("lsm: corrupt data")
	// ErrConflict: another write changed what the transaction had read. Try again, as
	// Update does.
	ErrConflict = errors.New("lsm: transaction conflict")
	// ErrTooLarge: a key over MaxKey or a value over MaxValue.
	ErrTooLarge = errors.New("lsm: key or value too large")
	// ErrOptions: an option out of range.
	ErrOptions = errors.New("lsm: bad options")
)

// Bounds of what one entry may be.
const (
	MaxKey   = 1 << 20
	MaxValue = 1 << 30
)

// CorruptError says which file is damaged and where; errors.Is(err, ErrCorrupt) holds.
type CorruptError struct {
	File   string // base name
	Offset int64  // in bytes; -1 where no one place is to blame
	Detail string
}

// Error describes the damage.
func (e *CorruptError) Error() string {
	if e.Offset < 0 {
		return fmt.Sprintf("lsm: %s: %s", e.File, e.Detail)
	}
	return fmt.Sprintf("lsm: %s damaged at byte %d: %s", e.File, e.Offset, e.Detail)
}

// Is makes errors.Is(err, ErrCorrupt) hold.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// public turns the errors of the inner packages into this package's; file is the base
// name of the file that was read, for those that do not know it themselves.
func public(file string, err error) error {
	if err == nil {
		return nil
	}
	if t, ok := errors.AsType[*sstable.CorruptError](err); ok {
		return &CorruptError{File: t.File, Offset: t.Offset, Detail: t.Detail}
	}
	if w, ok := errors.AsType[*wal.CorruptError](err); ok {
		return &CorruptError{File: file, Offset: w.Offset, Detail: w.Detail}
	}
	if errors.Is(err, manifest.ErrCorrupt) {
		return &CorruptError{File: file, Offset: -1, Detail: err.Error()}
	}
	return err
}
