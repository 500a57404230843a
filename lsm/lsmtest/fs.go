// Package lsmtest has a file system in memory that behaves as badly as real ones may: it
// loses, tears and reorders what was not synced when the power goes, fails at a chosen
// operation, and fills up. Give it to lsm.Options.FS to test what your program does then.
//
//	disk := lsmtest.New()
//	db, _ := lsm.Open("db", lsm.Options{FS: disk})
//	db.Put(k, v)
//	disk = disk.Crash(seed) // the power goes; this is what the disk holds
//	db, _ = lsm.Open("db", lsm.Options{FS: disk})
//
// What it models: file contents reach the disk in sectors of 512 bytes, in any order,
// until Sync; names (creations, renames, removals) in any order until SyncDir; a rename
// is atomic. After a failed Sync the pages that it should have written are gone, though a
// later Sync succeeds, which is what Linux does ("fsyncgate", 2018).
package lsmtest

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"path/filepath"
	"slices"
	"sync"
	"syscall"

	"github.com/ashlar-go/ashlar/lsm"
)

// ErrCrashed is what every call on a file system returns after Crash.
var ErrCrashed = errors.New("lsmtest: the machine has crashed")

// ErrNoSpace is what writes return when the file system is full; it matches ENOSPC.
var ErrNoSpace error = syscall.ENOSPC

// Kind is a kind of operation.
type Kind string

// The operations that are counted and can be made to fail.
const (
	OpCreate  Kind = "create"
	OpOpen    Kind = "open"
	OpWrite   Kind = "write"
	OpRead    Kind = "read"
	OpSync    Kind = "sync"
	OpClose   Kind = "close"
	OpRename  Kind = "rename"
	OpRemove  Kind = "remove"
	OpList    Kind = "list"
	OpSyncDir Kind = "syncdir"
)

// Op is one operation.
type Op struct {
	N    int // counted from 1, over all kinds
	Kind Kind
	Name string // of the file or directory
}

// String is "n kind name".
func (o Op) String() string { return fmt.Sprintf("%d %s %s", o.N, o.Kind, o.Name) }

// FS is a file system in memory. It is safe for concurrent use.
type FS struct {
	mu      sync.Mutex
	names   map[string]*inode // guarded by mu: what programs see
	durable map[string]*inode // guarded by mu: what is on the disk
	pending []change          // guarded by mu: the difference, in order
	locks   map[string]bool   // guarded by mu
	ops     int               // guarded by mu
	inject  func(Op) error    // guarded by mu
	limit   int64             // guarded by mu; negative: none
	dead    bool              // guarded by mu
}

var _ lsm.FS = (*FS)(nil)

// New makes an empty file system without limits.
func New() *FS {
	return &FS{names: map[string]*inode{}, durable: map[string]*inode{}, locks: map[string]bool{}, limit: -1}
}

// Inject makes inject judge every operation from now on: the operation fails with what it
// returns, if that is not nil. A write that fails has written half of its bytes. inject
// must not call the file system. nil ends it.
func (f *FS) Inject(inject func(Op) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.inject = inject
}

// FailAt makes the n-th operation from now fail with err, and all after it too if forever
// is set.
func (f *FS) FailAt(n int, err error, forever bool) {
	at := f.Ops() + n
	f.Inject(func(o Op) error {
		if o.N == at || forever && o.N > at {
			return err
		}
		return nil
	})
}

// Limit bounds the bytes that all files take together; negative lifts the bound.
func (f *FS) Limit(bytes int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.limit = bytes
}

// Ops is the number of operations so far.
func (f *FS) Ops() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.ops
}

// Used is the number of bytes that all files take.
func (f *FS) Used() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.used()
}

func (f *FS) used() (n int64) {
	for _, i := range f.names {
		n += int64(len(i.data))
	}
	return n
}

// Files returns the names of all files, sorted.
func (f *FS) Files() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Sorted(maps.Keys(f.names))
}

// OpenFiles returns the names of files that are open, sorted: for finding leaks.
func (f *FS) OpenFiles() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var out []string
	for n, i := range f.names {
		if i.open > 0 {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

// Bytes returns a copy of a file's contents; nil if there is no such file.
func (f *FS) Bytes(name string) []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if i := f.names[clean(name)]; i != nil {
		return slices.Clone(i.data)
	}
	return nil
}

// SetBytes replaces a file's contents, durably: for planting damage.
func (f *FS) SetBytes(name string, data []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := &inode{data: slices.Clone(data), synced: len(data)}
	f.names[clean(name)], f.durable[clean(name)] = i, i
}

// Clone is an independent copy of what programs see, all of it durable, without locks,
// limits and injections.
func (f *FS) Clone() *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	c := New()
	for n, i := range f.names {
		j := &inode{data: slices.Clone(i.data), synced: len(i.data)}
		c.names[n], c.durable[n] = j, j
	}
	return c
}

// Crash cuts the power: every call on f and its files fails from now on. It returns what
// the disk holds: all that was synced and, chosen by seed, nothing, some or all of the
// rest. Even seeds lose everything that was not synced.
func (f *FS) Crash(seed uint64) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dead = true
	return f.survivors(seed)
}

// CrashClone is Crash, but f goes on.
func (f *FS) CrashClone(seed uint64) *FS {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.survivors(seed)
}

func clean(name string) string { return path.Clean(filepath.ToSlash(name)) }

// op counts an operation and lets it fail. The caller holds mu.
func (f *FS) op(kind Kind, name string) error {
	if f.dead {
		return ErrCrashed
	}
	f.ops++
	if f.inject != nil {
		if err := f.inject(Op{f.ops, kind, name}); err != nil {
			return &fs.PathError{Op: string(kind), Path: name, Err: err}
		}
	}
	return nil
}

func notExist(op, name string) error {
	return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

// record makes a change of names that is not durable yet. The caller holds mu.
func (f *FS) record(c change) {
	c.apply(f.names)
	f.pending = append(f.pending, c)
}

// Open implements lsm.FS.
func (f *FS) Open(name string) (lsm.File, error) {
	name = clean(name)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.op(OpOpen, name); err != nil {
		return nil, err
	}
	i := f.names[name]
	if i == nil {
		return nil, notExist("open", name)
	}
	i.open++
	return &file{fs: f, name: name, i: i}, nil
}

// Create implements lsm.FS.
func (f *FS) Create(name string) (lsm.File, error) {
	name = clean(name)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.op(OpCreate, name); err != nil {
		return nil, err
	}
	i := &inode{open: 1}
	f.record(change{name: name, node: i})
	return &file{fs: f, name: name, i: i, write: true}, nil
}

// Rename implements lsm.FS.
func (f *FS) Rename(from, to string) error {
	from, to = clean(from), clean(to)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.op(OpRename, to); err != nil {
		return err
	}
	i := f.names[from]
	if i == nil {
		return notExist("rename", from)
	}
	f.record(change{name: to, node: i, from: from})
	return nil
}

// Remove implements lsm.FS.
func (f *FS) Remove(name string) error {
	name = clean(name)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.op(OpRemove, name); err != nil {
		return err
	}
	if f.names[name] == nil {
		return notExist("remove", name)
	}
	f.record(change{name: name})
	return nil
}

// List implements lsm.FS.
func (f *FS) List(dir string) ([]string, error) {
	dir = clean(dir)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.op(OpList, dir); err != nil {
		return nil, err
	}
	var out []string
	for n := range f.names {
		if path.Dir(n) == dir {
			out = append(out, path.Base(n))
		}
	}
	slices.Sort(out)
	return out, nil
}

// MkdirAll implements lsm.FS. Directories need no making here, and are always durable.
func (f *FS) MkdirAll(string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		return ErrCrashed
	}
	return nil
}

// SyncDir implements lsm.FS.
func (f *FS) SyncDir(dir string) error {
	dir = clean(dir)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.op(OpSyncDir, dir); err != nil {
		return err
	}
	f.pending = slices.DeleteFunc(f.pending, func(c change) bool {
		if path.Dir(c.name) != dir {
			return false
		}
		c.apply(f.durable)
		return true
	})
	return nil
}

// Lock implements lsm.FS.
func (f *FS) Lock(name string) (io.Closer, error) {
	name = clean(name)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.dead {
		return nil, ErrCrashed
	}
	if f.locks[name] {
		return nil, lsm.ErrLocked
	}
	f.locks[name] = true
	return &lock{f, name}, nil
}

type lock struct {
	fs   *FS
	name string
}

func (l *lock) Close() error {
	l.fs.mu.Lock()
	defer l.fs.mu.Unlock()
	delete(l.fs.locks, l.name)
	return nil
}
