package lsmtest

import (
	"errors"
	"io"
	"io/fs"
)

// file is one open file.
type file struct {
	fs     *FS
	name   string
	i      *inode
	write  bool
	closed bool // guarded by fs.mu
}

func (f *file) start(kind Kind) error {
	if f.closed {
		return &fs.PathError{Op: string(kind), Path: f.name, Err: fs.ErrClosed}
	}
	return f.fs.op(kind, f.name)
}

// gone reports errors of a machine or a file that is not there any more, as against
// those that were injected.
func gone(err error) bool { return errors.Is(err, ErrCrashed) || errors.Is(err, fs.ErrClosed) }

func (f *file) ReadAt(b []byte, off int64) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if err := f.start(OpRead); err != nil {
		return 0, err
	}
	if off >= int64(len(f.i.data)) {
		return 0, io.EOF
	}
	n := copy(b, f.i.data[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) Write(b []byte) (int, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if !f.write {
		return 0, &fs.PathError{Op: "write", Path: f.name, Err: fs.ErrPermission}
	}
	if err := f.start(OpWrite); err != nil {
		if gone(err) {
			return 0, err
		}
		n := len(b) / 2
		f.i.data = append(f.i.data, b[:n]...)
		return n, err
	}
	if f.fs.limit >= 0 {
		if room := max(f.fs.limit-f.fs.used(), 0); int64(len(b)) > room {
			f.i.data = append(f.i.data, b[:room]...)
			return int(room), &fs.PathError{Op: "write", Path: f.name, Err: ErrNoSpace}
		}
	}
	f.i.data = append(f.i.data, b...)
	return len(b), nil
}

func (f *file) Sync() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	err := f.start(OpSync)
	if err != nil && gone(err) {
		return err
	}
	if err != nil && f.i.synced < len(f.i.data) {
		f.i.holes = append(f.i.holes, [2]int{f.i.synced, len(f.i.data)})
	}
	f.i.synced = len(f.i.data)
	return err
}

func (f *file) Size() (int64, error) {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	switch {
	case f.closed:
		return 0, &fs.PathError{Op: "stat", Path: f.name, Err: fs.ErrClosed}
	case f.fs.dead:
		return 0, ErrCrashed
	}
	return int64(len(f.i.data)), nil
}

// Close closes the file even where it is made to fail, as close(2) does.
func (f *file) Close() error {
	f.fs.mu.Lock()
	defer f.fs.mu.Unlock()
	if f.closed {
		return &fs.PathError{Op: "close", Path: f.name, Err: fs.ErrClosed}
	}
	f.closed = true
	f.i.open--
	return f.fs.op(OpClose, f.name)
}
