package lsm

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ashlar-go/ashlar/lsm/internal/manifest"
	"github.com/ashlar-go/ashlar/lsm/internal/memtable"
	"github.com/ashlar-go/ashlar/lsm/internal/sstable"
)

// DB is an open database. All its methods are safe for concurrent use. After Close they
// return ErrClosed.
//
// Locks, in the order in which they are taken: syncMu, commitMu, logsMu, mu. Readers take
// none. The flusher waits for neither syncMu nor commitMu: a writer that holds them may be
// waiting for it.
type DB struct {
	o     Options
	dir   string
	lock  io.Closer
	cache *sstable.Cache // nil: none

	state   atomic.Pointer[readState] // what readers see; nil after Close
	visible atomic.Uint64             // the newest sequence number that readers may see

	requests sync.Pool // of *request

	queueMu sync.Mutex
	queue   []*request // guarded by queueMu
	leading bool       // guarded by queueMu

	syncTurn  turn
	syncMu    sync.Mutex    // held during a sync of the log
	syncedSeq atomic.Uint64 // written under syncMu

	commitMu     sync.Mutex
	mem          *mem     // guarded by commitMu
	log          *logFile // guarded by commitMu
	lastSeq      uint64   // guarded by commitMu
	sealed       []byte   // guarded by commitMu: batches of the group as they stand in the log
	pendingBytes int      // guarded by commitMu: what of them is appended …
	pendingCost  int      // … and will go into the memtable
	pendingOps   int

	spare atomic.Pointer[spare] // for the next rotation; nil: none

	logsMu  sync.Mutex
	oldLogs []*logFile // guarded by logsMu: rotated out, neither synced nor superfluous yet
	logNums []uint64   // guarded by logsMu: log files that exist

	mu        sync.Mutex
	cond      *sync.Cond // on mu: something in the background changed
	cause     error      // guarded by mu: why the database is read-only
	closing   bool       // guarded by mu
	files     manifest.State
	manifest  *manifestFile // guarded by mu
	jobs      int           // guarded by mu: compactions that run
	manual    bool          // guarded by mu: Compact or Resume keeps compactions from starting
	flushing  bool          // guarded by mu
	notes     []func()      // guarded by mu: calls of hooks to make outside of locks
	noted     atomic.Bool   // notes are there, for a quick look
	broken    atomic.Bool   // cause != nil, for a quick look
	closed    atomic.Bool   // closing, for a quick look
	closeOnce sync.Once
	wg        sync.WaitGroup

	snapMu sync.Mutex
	snaps  map[uint64]int // guarded by snapMu: sequence numbers that snapshots hold

	stats counters
}

// File names.
func logName(n uint64) string      { return fmt.Sprintf("%06d.log", n) }
func tableName(n uint64) string    { return fmt.Sprintf("%06d.sst", n) }
func manifestName(n uint64) string { return fmt.Sprintf("MANIFEST-%06d", n) }

const (
	currentName = "CURRENT"
	lockName    = "LOCK"
)

// parseName reads a log's or table's number off its name.
func parseName(name, ext string) (uint64, bool) {
	base, ok := strings.CutSuffix(name, ext)
	if !ok || len(base) < 6 {
		return 0, false
	}
	n, err := strconv.ParseUint(base, 10, 64)
	return n, err == nil
}

func (db *DB) path(name string) string { return filepath.Join(db.dir, name) }

// removeFile removes what is no longer needed; a failure costs space, not data, and the
// next Open tries again.
func (db *DB) removeFile(name string) {
	if err := db.o.FS.Remove(db.path(name)); err != nil {
		db.o.Logger.Warn("lsm: remove", "file", name, "err", err)
	}
}

// nextFile gives out a file number. The caller holds mu.
func (db *DB) nextFile() uint64 {
	n := db.files.NextFile
	db.files.NextFile++
	return n
}

func (db *DB) newMem(log uint64, cost int) *mem {
	return &mem{memtable.New(max(int(db.o.MemtableSize), cost+cost/8+1<<10)), log}
}

// writable returns why writes are refused, or nil.
func (db *DB) writable() error {
	if db.closed.Load() {
		return ErrClosed
	}
	if db.broken.Load() {
		return fmt.Errorf("%w: %w", ErrReadOnly, db.Err())
	}
	return nil
}

// fail makes the database read-only and returns err. The first cause stays. Whoever calls
// it calls tell when it has let go of its locks.
func (db *DB) fail(err error) error {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.failLocked(err)
	return err
}

// failLocked is fail for callers that hold mu. A background job calls it before it counts
// as done: Resume waits for the job, and must not be undone by its failure.
func (db *DB) failLocked(err error) {
	if db.cause != nil {
		return
	}
	db.cause = err
	db.broken.Store(true)
	db.cond.Broadcast()
	db.noteLocked(func() {
		db.o.Logger.Error("lsm: read-only", "err", err)
		if db.o.Hooks.Failed != nil {
			db.o.Hooks.Failed(err)
		}
	})
}

// note keeps the call of a hook for when the locks are free.
func (db *DB) note(call func()) {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.noteLocked(call)
}

func (db *DB) noteLocked(call func()) {
	db.notes = append(db.notes, call)
	db.noted.Store(true)
}

// tell makes the calls that were noted. The caller holds no locks.
func (db *DB) tell() {
	if !db.noted.Load() {
		return
	}
	db.mu.Lock()
	notes := db.notes
	db.notes = nil
	db.noted.Store(false)
	db.mu.Unlock()
	for _, call := range notes {
		call()
	}
}

// Err is the failure that made the database read-only, or nil. Reads go on meanwhile;
// Resume takes writes up again.
func (db *DB) Err() error {
	db.mu.Lock()
	defer db.mu.Unlock()
	return db.cause
}

// wake tells the background goroutines to look for work. The caller holds mu.
func (db *DB) wake() { db.cond.Broadcast() }

// Put sets key to value. Options: a Durability, TTL. ErrTooLarge for a key over MaxKey or
// a value over MaxValue. The error of a write that failed half-way is ErrReadOnly for all
// that follow; the write itself may or may not be there after a restart.
func (db *DB) Put(key, value []byte, opts ...WriteOption) error {
	d, ttl, expires := db.writeOptions(opts)
	b := batches.Get().(*Batch)
	defer batches.Put(b)
	b.Reset()
	if expires {
		b.PutTTL(key, value, ttl)
	} else {
		b.Put(key, value)
	}
	return db.commit(b, d, nil)
}

// Delete removes key; it is no error if it is not there.
func (db *DB) Delete(key []byte, opts ...WriteOption) error {
	d, _, _ := db.writeOptions(opts)
	b := batches.Get().(*Batch)
	defer batches.Put(b)
	b.Reset()
	b.Delete(key)
	return db.commit(b, d, nil)
}

// DeleteRange removes all keys from start up to, not including, end, in time that does
// not depend on how many there are. A range that ends before it starts is empty.
func (db *DB) DeleteRange(start, end []byte, opts ...WriteOption) error {
	d, _, _ := db.writeOptions(opts)
	b := batches.Get().(*Batch)
	defer batches.Put(b)
	b.Reset()
	b.DeleteRange(start, end)
	return db.commit(b, d, nil)
}

// Apply commits all of b or nothing of it, however large it is: b is not changed and may
// be applied again. An empty batch with Synced is a Sync.
func (db *DB) Apply(b *Batch, opts ...WriteOption) error {
	d, _, _ := db.writeOptions(opts)
	return db.commit(b, d, nil)
}

// batches saves single writes the memory of a batch.
var batches = sync.Pool{New: func() any { return new(Batch) }}

// Close makes what was queued durable, stops the background work and releases the
// directory. It waits for all that; further calls wait too, and return nil. Scans that run
// end with ErrClosed.
func (db *DB) Close() (err error) {
	db.closeOnce.Do(func() { err = db.close() })
	return err
}

func (db *DB) close() error {
	db.mu.Lock()
	db.closing = true
	db.closed.Store(true)
	db.wake()
	for db.jobs > 0 || db.flushing || db.manual {
		db.cond.Wait()
	}
	db.mu.Unlock()
	db.wg.Wait()

	// Writes that were let in have finished when these locks are free; no other gets in.
	db.syncMu.Lock()
	defer db.syncMu.Unlock()
	db.commitMu.Lock()
	defer db.commitMu.Unlock()
	db.spare.Swap(nil).drop(db)
	logs := append(db.oldLogs, db.log)
	var err error
	if !db.broken.Load() {
		err = db.settle(logs)
	}
	for _, l := range logs {
		err = errors.Join(err, l.file.Close())
	}
	err = errors.Join(err, db.manifest.file.Close())
	if s := db.state.Swap(nil); s != nil {
		s.release()
	}
	return errors.Join(err, db.lock.Close())
}

// settle makes the logs durable, and ends log and manifest with a mark that says so: from
// then on damage to any of it can be told from a torn end.
func (db *DB) settle(logs []*logFile) error {
	if err := db.log.Flush(); err != nil {
		return fmt.Errorf("lsm: write log: %w", err)
	}
	if db.lastSeq > db.syncedSeq.Load() {
		for _, l := range logs {
			if err := l.file.Sync(); err != nil {
				return fmt.Errorf("lsm: sync log: %w", err)
			}
		}
	}
	// The marks are not synced, and may fail: without them there is less to tell, but
	// nothing missing.
	db.log.Mark(db.log.Offset())
	if err := errors.Join(db.log.Flush(), db.manifest.Flush()); err != nil {
		db.o.Logger.Warn("lsm: mark log and manifest", "err", err)
	}
	return nil
}
