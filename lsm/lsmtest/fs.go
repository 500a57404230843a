package lsmtest

import (
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/ashlar-go/ashlar/lsm"
)

// A directory is two maps: what a process sees now, and what a power cut leaves for sure.
// Between them stands the list of changes since the last SyncDir, in order:
//
//	durable ──(create, rename, remove: pending)──▶ now
//
// A crash applies some of the pending changes to the durable map; SyncDir all of them. The
// same holds for the bytes of a file, see inode.

var (
	// ErrPowerOff is returned by every operation after PowerOff or Crash.
	ErrPowerOff = errors.New("lsmtest: power is off")
	// ErrInUse is returned, in Windows mode, for removing or replacing an open file.
	ErrInUse = fmt.Errorf("lsmtest: file is open: %w", iofs.ErrPermission)
)

// FS is the file system. It implements lsm.FS.
type FS struct {
	mu      sync.RWMutex
	dirs    map[string]*directory
	locks   map[string]bool // held
	open    map[string]int  // open handles by the name they were opened under
	off     bool
	windows bool
	limit   int64 // 0: none
	used    int64 // bytes of files that have a name
	faults  faults
}

var _ lsm.FS = (*FS)(nil)

// NewFS returns an empty file system that works.
func NewFS() *FS {
	return &FS{dirs: map[string]*directory{".": newDirectory(), "/": newDirectory()}, locks: map[string]bool{}, open: map[string]int{}}
}

type directory struct {
	now, durable map[string]*inode
	pending      []change
}

func newDirectory() *directory {
	return &directory{now: map[string]*inode{}, durable: map[string]*inode{}}
}

// change is what happened to a directory: from loses its file, to gets one.
type change struct {
	from, to string // "": none
	node     *inode
}

func (c change) apply(names map[string]*inode) {
	// A rename that survives without the creation before it still took the file with it.
	if c.from != "" && (c.to == "" || names[c.from] == c.node) {
		delete(names, c.from)
	}
	if c.to != "" {
		names[c.to] = c.node
	}
}

func clean(name string) string { return path.Clean(filepath.ToSlash(name)) }

// lookup finds a file's directory and its name there. The caller holds mu.
func (f *FS) lookup(op, name string) (*directory, string, error) {
	dir, base := path.Split(clean(name))
	d := f.dirs[path.Clean(dir)]
	if d == nil {
		return nil, "", &iofs.PathError{Op: op, Path: name, Err: iofs.ErrNotExist}
	}
	return d, base, nil
}

// change applies c to what is seen and remembers it for SyncDir.
func (d *directory) change(c change) {
	c.apply(d.now)
	d.pending = append(d.pending, c)
}

// Open opens a file for reading.
func (f *FS) Open(name string) (lsm.File, error) {
	return perform(f, Op{Kind: OpOpen, Name: name}, func() (lsm.File, error) {
		d, base, err := f.lookup("open", name)
		if err != nil {
			return nil, err
		}
		node := d.now[base]
		if node == nil {
			return nil, &iofs.PathError{Op: "open", Path: name, Err: iofs.ErrNotExist}
		}
		return f.handle(name, node, false), nil
	})
}

// Create makes an empty file and opens it for reading and writing. In Windows mode an
// open file cannot be replaced.
func (f *FS) Create(name string) (lsm.File, error) {
	return perform(f, Op{Kind: OpCreate, Name: name}, func() (lsm.File, error) {
		d, base, err := f.lookup("create", name)
		if err != nil {
			return nil, err
		}
		if err := f.free("create", name, d.now[base]); err != nil {
			return nil, err
		}
		f.unname(d.now[base])
		node := &inode{}
		d.change(change{to: base, node: node})
		return f.handle(name, node, true), nil
	})
}

// Rename gives a file another name, in the same directory or another, replacing what has
// that name.
func (f *FS) Rename(from, to string) error {
	return f.do(Op{Kind: OpRename, Name: from, To: to}, func() error {
		df, bf, err := f.lookup("rename", from)
		if err != nil {
			return err
		}
		dt, bt, err := f.lookup("rename", to)
		if err != nil {
			return err
		}
		node := df.now[bf]
		if node == nil {
			return &iofs.PathError{Op: "rename", Path: from, Err: iofs.ErrNotExist}
		}
		if node == dt.now[bt] {
			return nil
		}
		if err := errors.Join(f.free("rename", from, node), f.free("rename", to, dt.now[bt])); err != nil {
			return err
		}
		f.unname(dt.now[bt])
		if df == dt {
			df.change(change{from: bf, to: bt, node: node})
			return nil
		}
		dt.change(change{to: bt, node: node})
		df.change(change{from: bf, node: node})
		return nil
	})
}

// Remove removes a file. Handles that are open go on working, except in Windows mode,
// where it fails.
func (f *FS) Remove(name string) error {
	return f.do(Op{Kind: OpRemove, Name: name}, func() error {
		d, base, err := f.lookup("remove", name)
		if err != nil {
			return err
		}
		node := d.now[base]
		if node == nil {
			return &iofs.PathError{Op: "remove", Path: name, Err: iofs.ErrNotExist}
		}
		if err := f.free("remove", name, node); err != nil {
			return err
		}
		f.unname(node)
		d.change(change{from: base, node: node})
		return nil
	})
}

// free fails in Windows mode if the file is open.
func (f *FS) free(op, name string, node *inode) error {
	if f.windows && node != nil && node.handles > 0 {
		return &iofs.PathError{Op: op, Path: name, Err: ErrInUse}
	}
	return nil
}

// unname stops counting a file that loses its name.
func (f *FS) unname(node *inode) {
	if node != nil {
		node.unnamed = true
		f.used -= int64(len(node.data))
	}
}

// List returns the names in a directory, sorted.
func (f *FS) List(dir string) ([]string, error) {
	return perform(f, Op{Kind: OpList, Name: dir}, func() ([]string, error) {
		d := f.dirs[clean(dir)]
		if d == nil {
			return nil, &iofs.PathError{Op: "list", Path: dir, Err: iofs.ErrNotExist}
		}
		return f.names(clean(dir), d), nil
	})
}

func (f *FS) names(dir string, d *directory) []string {
	names := make([]string, 0, len(d.now))
	for n := range d.now {
		names = append(names, n)
	}
	for sub := range f.dirs {
		if sub != dir && path.Dir(sub) == dir {
			names = append(names, path.Base(sub))
		}
	}
	slices.Sort(names)
	return names
}

// MkdirAll makes a directory and those above it, durable at once.
func (f *FS) MkdirAll(dir string) error {
	return f.do(Op{Kind: OpMkdir, Name: dir}, func() error {
		for d := clean(dir); f.dirs[d] == nil; d = path.Dir(d) {
			f.dirs[d] = newDirectory()
		}
		return nil
	})
}

// SyncDir makes all that was created, renamed and removed in dir durable.
func (f *FS) SyncDir(dir string) error {
	return f.do(Op{Kind: OpSyncDir, Name: dir}, func() error {
		d := f.dirs[clean(dir)]
		if d == nil {
			return &iofs.PathError{Op: "sync", Path: dir, Err: iofs.ErrNotExist}
		}
		for _, c := range d.pending {
			c.apply(d.durable)
		}
		d.pending = nil
		return nil
	})
}

// Lock takes the lock of that name; lsm.ErrLocked if it is held. A crash releases it.
func (f *FS) Lock(name string) (io.Closer, error) {
	return perform(f, Op{Kind: OpLock, Name: name}, func() (io.Closer, error) {
		d, base, err := f.lookup("lock", name)
		if err != nil {
			return nil, err
		}
		if f.locks[clean(name)] {
			return nil, fmt.Errorf("%w: %s", lsm.ErrLocked, name)
		}
		f.locks[clean(name)] = true
		if d.now[base] == nil {
			d.change(change{to: base, node: &inode{}})
		}
		return &lock{fs: f, name: clean(name)}, nil
	})
}

type lock struct {
	fs   *FS
	name string
	once sync.Once
}

// Close releases the lock, whether or not the power is on.
func (l *lock) Close() error {
	l.once.Do(func() {
		l.fs.mu.Lock()
		defer l.fs.mu.Unlock()
		delete(l.fs.locks, l.name)
	})
	return nil
}

// Windows makes files that are open refuse to be removed, renamed or replaced.
func (f *FS) Windows(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.windows = on
}

// PowerOff makes every operation from now on fail with ErrPowerOff.
func (f *FS) PowerOff() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.off = true
}

// Limit makes the disk full at so many bytes in files that have a name: a write beyond
// that stores what fits and returns syscall.ENOSPC. 0 lifts the limit.
func (f *FS) Limit(bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limit = bytes
}

// Used is the number of bytes in files that have a name.
func (f *FS) Used() int64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.used
}

// Files returns the full names of all files, sorted.
func (f *FS) Files() []string {
	f.mu.RLock()
	defer f.mu.RUnlock()
	var all []string
	for dir, d := range f.dirs {
		for name := range d.now {
			all = append(all, path.Join(dir, name))
		}
	}
	slices.Sort(all)
	return all
}

// OpenFiles returns the names under which files are open and locks held, sorted: empty
// when nothing leaks.
func (f *FS) OpenFiles() []string {
	f.mu.RLock()
	defer f.mu.RUnlock()
	var all []string
	for name, n := range f.open {
		all = append(all, slices.Repeat([]string{name}, n)...)
	}
	for name := range f.locks {
		all = append(all, name+" (lock)")
	}
	slices.Sort(all)
	return all
}

// String lists the files with their sizes and what of them is durable.
func (f *FS) String() string {
	var b strings.Builder
	for _, name := range f.Files() {
		f.mu.RLock()
		if d, base, err := f.lookup("", name); err == nil && d.now[base] != nil {
			n := d.now[base]
			named := "named"
			if d.durable[base] != n {
				named = "name not durable"
			}
			fmt.Fprintf(&b, "%-30s %8d bytes, %d synced, %s\n", name, len(n.data), n.synced, named)
		}
		f.mu.RUnlock()
	}
	return b.String()
}
