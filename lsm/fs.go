package lsm

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// FS is the little that the store needs of a file system. Options.FS is the operating
// system's by default; lsmtest has one that loses unsynced bytes, fails and fills up on
// cue. Names are slash- or OS-separated paths below the directory given to Open.
type FS interface {
	Open(name string) (File, error)   // for reading; errors.Is(err, fs.ErrNotExist) if there is none
	Create(name string) (File, error) // for writing, empty, replacing what was there
	Rename(from, to string) error     // atomic, replacing what was there
	Remove(name string) error
	List(dir string) ([]string, error) // base names
	MkdirAll(dir string) error
	SyncDir(dir string) error            // makes creations, renames and removals in dir durable
	Lock(name string) (io.Closer, error) // ErrLocked if it is held; released by Close or with the process
}

// File is one open file. Write appends.
type File interface {
	io.ReaderAt
	io.Writer
	io.Closer
	Sync() error // makes what was written durable
	Size() (int64, error)
}

// osFS is the operating system's file system.
type osFS struct{}

type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func (osFS) Open(name string) (File, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Create(name string) (File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) Rename(from, to string) error { return os.Rename(from, to) }
func (osFS) Remove(name string) error     { return os.Remove(name) }
func (osFS) MkdirAll(dir string) error    { return os.MkdirAll(dir, 0o755) }

func (osFS) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

// held are the locks of this process: some systems let one process lock a file twice.
var held struct {
	mu    sync.Mutex
	names map[string]bool
}

type osLock struct {
	name string
	f    *os.File
	once sync.Once
	err  error
}

func (osFS) Lock(name string) (io.Closer, error) {
	abs, err := filepath.Abs(name)
	if err != nil {
		return nil, err
	}
	held.mu.Lock()
	defer held.mu.Unlock()
	if held.names[abs] {
		return nil, fmt.Errorf("%w: %s, by this process", ErrLocked, name)
	}
	f, err := os.OpenFile(abs, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := lockFile(f); err != nil {
		f.Close()
		return nil, fmt.Errorf("%w: %s: %w", ErrLocked, name, err)
	}
	if held.names == nil {
		held.names = map[string]bool{}
	}
	held.names[abs] = true
	return &osLock{name: abs, f: f}, nil
}

// Close releases the lock; the file stays, for removing it would let two others each
// lock a file of that name.
func (l *osLock) Close() error {
	l.once.Do(func() {
		held.mu.Lock()
		delete(held.names, l.name)
		held.mu.Unlock()
		l.err = l.f.Close()
	})
	return l.err
}
