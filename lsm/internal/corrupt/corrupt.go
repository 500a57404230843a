// Package corrupt has the error by which the inner packages of the store report damage.
package corrupt

import "fmt"

// Error says that a file does not hold what was written to it. Package lsm hands it to
// users as its own type.
type Error struct {
	File   string // the file's name
	Offset int64  // of the damaged structure within the file
	Detail string // what is wrong with it
}

// New makes an Error.
func New(file string, offset int64, format string, args ...any) *Error {
	return &Error{File: file, Offset: offset, Detail: fmt.Sprintf(format, args...)}
}

// Error prints "file: damaged at offset: detail".
func (e *Error) Error() string {
	return fmt.Sprintf("%s: damaged at %d: %s", e.File, e.Offset, e.Detail)
}
