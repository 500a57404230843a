package trie

import (
	"errors"
	"fmt"
)

// Errors of the package; test for them with errors.Is.
var (
	// ErrCorrupt is the mark of every [CorruptError]: a file that is damaged, cut short or
	// not one of ours.
	ErrCorrupt = errors.New("trie: corrupt")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("trie: closed")
	// ErrLocked is returned by New if another Index, of this process or another, has the
	// folder open.
	ErrLocked = errors.New("trie: folder is locked")
	// ErrEmptyTerm refuses a term that is empty, or that folds to nothing.
	ErrEmptyTerm = errors.New("trie: empty term")
	// ErrTermTooLong refuses a term longer than MaxTermBytes.
	ErrTermTooLong = errors.New("trie: term too long")
	// ErrInvalidUTF8 refuses a term that is not valid UTF-8.
	ErrInvalidUTF8 = errors.New("trie: term is not valid UTF-8")
	// ErrOptions refuses options that contradict themselves.
	ErrOptions = errors.New("trie: options")
	// ErrNoPrevious is returned by Index.Rollback when there is nothing to return to.
	ErrNoPrevious = errors.New("trie: no previous snapshot")
	// ErrFoldMismatch refuses a snapshot whose terms were folded in another way than the
	// index that it is given to folds, or that holds word-start aliases where none are
	// expected.
	ErrFoldMismatch = errors.New("trie: snapshot and index fold differently")
)

// A CorruptError says where a file is damaged. It matches [ErrCorrupt].
type CorruptError struct {
	Path   string // empty for a file in memory
	Offset int64  // where the damage was found: the start of the bad block or field
	Reason string
}

func (e *CorruptError) Error() string {
	if e.Path == "" {
		return fmt.Sprintf("trie: corrupt at %d: %s", e.Offset, e.Reason)
	}
	return fmt.Sprintf("trie: %s: corrupt at %d: %s", e.Path, e.Offset, e.Reason)
}

// Is makes errors.Is(err, ErrCorrupt) true.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

func corrupt(offset int64, format string, args ...any) *CorruptError {
	return &CorruptError{Offset: offset, Reason: fmt.Sprintf(format, args...)}
}
