package lsmtest

import (
	"fmt"
	"path"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
)

// Kind is a kind of operation.
type Kind uint8

// The kinds of operations.
const (
	OpOpen Kind = iota + 1
	OpCreate
	OpRead
	OpWrite
	OpSync
	OpSize
	OpClose
	OpRename
	OpRemove
	OpList
	OpMkdir
	OpSyncDir
	OpLock
)

var kindNames = [...]string{
	OpOpen: "open", OpCreate: "create", OpRead: "read", OpWrite: "write", OpSync: "sync", OpSize: "size", OpClose: "close",
	OpRename: "rename", OpRemove: "remove", OpList: "list", OpMkdir: "mkdir", OpSyncDir: "syncdir", OpLock: "lock",
}

// String is the operation's name in lower case.
func (k Kind) String() string {
	if int(k) < len(kindNames) && k > 0 {
		return kindNames[k]
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Changes reports whether operations of this kind change what is on disk or what of it is
// durable, so that a power cut before one differs from a power cut after it.
func (k Kind) Changes() bool {
	switch k {
	case OpCreate, OpWrite, OpSync, OpRename, OpRemove, OpMkdir, OpSyncDir, OpLock:
		return true
	}
	return false
}

// Op is one operation.
type Op struct {
	N      int64 // counts all operations of the file system, from 1
	Kind   Kind
	Name   string
	To     string // of a rename
	Bytes  int    // of a read or write
	Offset int64  // of a read or write, in bytes
}

// String describes the operation in a line.
func (o Op) String() string {
	switch o.Kind {
	case OpRename:
		return fmt.Sprintf("#%d rename %s to %s", o.N, o.Name, o.To)
	case OpRead, OpWrite:
		return fmt.Sprintf("#%d %s %s, %d bytes at %d", o.N, o.Kind, o.Name, o.Bytes, o.Offset)
	}
	return fmt.Sprintf("#%d %s %s", o.N, o.Kind, o.Name)
}

// Fault makes operations fail. The zero Fault makes all of them fail with EIO.
type Fault struct {
	Kinds []Kind // which operations; none: all
	Match string // pattern for the base name, as in path.Match; "": all
	Skip  int    // so many that match pass first
	Times int    // so many then fail; 0: all
	Err   error  // what they return; nil: syscall.EIO
	// Partial is how much of the operation happens all the same: that share of a write's
	// bytes. A sync, a rename, a removal, a mkdir or a syncdir takes effect at 1, and
	// still reports the error, and does not at less. The others never do.
	Partial float64
}

// matches reports whether the fault is meant for o.
func (x *Fault) matches(o Op) bool {
	if len(x.Kinds) > 0 && !slices.Contains(x.Kinds, o.Kind) {
		return false
	}
	if x.Match == "" {
		return true
	}
	for _, name := range []string{o.Name, o.To} {
		if ok, err := path.Match(x.Match, path.Base(clean(name))); ok && err == nil && name != "" {
			return true
		}
	}
	return false
}

// faults is the part of FS that decides what happens to an operation.
type faults struct {
	ops    atomic.Int64
	active atomic.Bool // there are faults or a hook: look closer
	mu     sync.Mutex
	list   []*Fault // guarded by mu
	before func(Op) // guarded by mu
}

// Inject adds faults. An operation suffers the first that it matches and whose turn it is.
func (f *FS) Inject(list ...Fault) {
	f.faults.mu.Lock()
	defer f.faults.mu.Unlock()
	for _, x := range list {
		f.faults.list = append(f.faults.list, &x)
	}
	f.faults.activate()
}

// FailAt makes the n-th operation from now fail with err (nil: syscall.EIO), and all that
// follow until Heal.
func (f *FS) FailAt(n int, err error) { f.Inject(Fault{Skip: n - 1, Err: err}) }

// Heal takes all faults back.
func (f *FS) Heal() {
	f.faults.mu.Lock()
	defer f.faults.mu.Unlock()
	f.faults.list = nil
	f.faults.activate()
}

// Before sets a function to be called before each operation, nil for none. It is called
// from the goroutine that asks for the operation, several at a time if several ask, and
// outside of locks: it may take a CrashClone.
func (f *FS) Before(fn func(Op)) {
	f.faults.mu.Lock()
	defer f.faults.mu.Unlock()
	f.faults.before = fn
	f.faults.activate()
}

// Ops is the number of operations so far, failed ones included.
func (f *FS) Ops() int64 { return f.faults.ops.Load() }

func (x *faults) activate() { x.active.Store(len(x.list) > 0 || x.before != nil) }

// admit counts an operation and decides its fate: nil if it works, else the fault.
func (x *faults) admit(o Op) *Fault {
	o.N = x.ops.Add(1)
	if !x.active.Load() {
		return nil
	}
	x.mu.Lock()
	before := x.before
	x.mu.Unlock()
	if before != nil {
		before(o)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	var hit *Fault
	for _, f := range x.list {
		if !f.matches(o) {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		if hit == nil && f.Times >= 0 {
			hit = &Fault{Err: f.Err, Partial: f.Partial}
			if hit.Err == nil {
				hit.Err = syscall.EIO
			}
			if f.Times > 0 {
				if f.Times--; f.Times == 0 {
					f.Times = -1 // spent
				}
			}
		}
	}
	return hit
}

func (x *Fault) error(o Op) error {
	if o.Kind == OpRename {
		return fmt.Errorf("lsmtest: rename %s to %s: %w", o.Name, o.To, x.Err)
	}
	return fmt.Errorf("lsmtest: %s %s: %w", o.Kind, o.Name, x.Err)
}

// begin admits an operation and takes the lock, for reading or for all; release gives it
// back.
func (f *FS) begin(o Op, read bool) (release func(), err error) {
	hit := f.faults.admit(o)
	if read {
		f.mu.RLock()
		release = f.mu.RUnlock
	} else {
		f.mu.Lock()
		release = f.mu.Unlock
	}
	switch {
	case f.off:
		return release, ErrPowerOff
	case hit != nil:
		return release, hit.error(o)
	}
	return release, nil
}

// do runs an operation that changes something, under the lock, unless a fault forbids it.
func (f *FS) do(o Op, fn func() error) error {
	return f.doPartly(o, func(share float64) error {
		if share < 1 {
			return nil
		}
		return fn()
	})
}

// doPartly does the same for an operation that can happen in part.
func (f *FS) doPartly(o Op, fn func(share float64) error) error {
	hit := f.faults.admit(o)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.off {
		return ErrPowerOff
	}
	if hit == nil {
		return fn(1)
	}
	if hit.Partial > 0 {
		if err := fn(min(hit.Partial, 1)); err != nil {
			return err
		}
	}
	return hit.error(o)
}

// perform runs an operation that returns something; when it fails it has not happened.
func perform[T any](f *FS, o Op, fn func() (T, error)) (T, error) {
	release, err := f.begin(o, false)
	defer release()
	if err != nil {
		var none T
		return none, err
	}
	return fn()
}
