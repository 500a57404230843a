package lsm

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	"github.com/ashlar-go/ashlar/lsm/internal/manifest"
	"github.com/ashlar-go/ashlar/lsm/internal/sstable"
	"github.com/ashlar-go/ashlar/lsm/internal/wal"
)

// Open opens the database in dir, creating it when there is none. ErrLocked if it is
// open already, here or in another process. ErrCorrupt, with a *CorruptError, for a
// database that is damaged beyond what a power cut does; nothing is changed then. A
// failed Open leaves nothing behind.
//
// What it finds after a crash is a prefix of what was written: every write that was
// acknowledged as durable, and no write without all those before it. It takes as long as
// it takes to replay the log, at most a few memtables' worth.
func Open(dir string, o Options) (_ *DB, err error) {
	if o, err = o.withDefaults(); err != nil {
		return nil, err
	}
	db := &DB{o: o, dir: dir, snaps: map[uint64]int{}, requests: sync.Pool{New: newRequest}}
	db.cond = sync.NewCond(&db.mu)
	db.syncTurn.cond.L = &db.syncTurn.mu
	if o.CacheSize > 0 {
		db.cache = sstable.NewCache(o.CacheSize)
	}
	if err := o.FS.MkdirAll(dir); err != nil {
		return nil, fmt.Errorf("lsm: create directory: %w", err)
	}
	if db.lock, err = o.FS.Lock(db.path(lockName)); err != nil {
		return nil, fmt.Errorf("lsm: lock: %w", err)
	}
	opened := &recovery{db: db}
	defer func() {
		if err != nil {
			opened.undo()
			err = errors.Join(err, db.lock.Close())
		}
	}()
	if err := opened.run(); err != nil {
		return nil, err
	}
	db.wg.Go(db.flushLoop)
	for range o.Compactors {
		db.wg.Go(db.compactLoop)
	}
	return db, nil
}

// recovery brings a directory into the state that a running database has.
type recovery struct {
	db     *DB
	state  manifest.State
	tables []*table
	levels [manifest.Levels][]*table
	logs   []uint64
	files  []string
	mem    *mem
	last   uint64
}

// undo closes what run had opened.
func (r *recovery) undo() {
	for _, t := range r.tables {
		t.file.Close()
	}
	if r.db.manifest != nil {
		r.db.manifest.file.Close()
	}
	if r.db.log != nil {
		r.db.log.file.Close()
	}
}

func (r *recovery) run() error {
	db := r.db
	var err error
	if r.files, err = db.o.FS.List(db.dir); err != nil {
		return fmt.Errorf("lsm: list directory: %w", err)
	}
	for _, name := range r.files {
		if n, ok := parseName(name, ".log"); ok {
			r.logs = append(r.logs, n)
		}
	}
	slices.Sort(r.logs)
	state, _, found, err := db.readManifest()
	if err != nil {
		return err
	}
	r.state = state
	if !found {
		if err := r.unborn(); err != nil {
			return err
		}
		r.state.NextFile = 1
	}
	// Numbers that files have, whether or not the manifest knows of them, are not given
	// out again.
	for _, name := range r.files {
		for _, ext := range []string{".log", ".sst"} {
			if n, ok := parseName(name, ext); ok {
				r.state.NextFile = max(r.state.NextFile, n+1)
			}
		}
		var n uint64
		if _, err := fmt.Sscanf(name, "MANIFEST-%d", &n); err == nil {
			r.state.NextFile = max(r.state.NextFile, n+1)
		}
	}
	if err := r.openTables(); err != nil {
		return err
	}
	r.last = r.state.LastSeq
	if err := r.replay(); err != nil {
		return err
	}
	return r.start()
}

// unborn makes sure that a directory without a CURRENT never held anything: the first
// Open may have been cut short after it made an empty log.
func (r *recovery) unborn() error {
	for _, name := range r.files {
		_, table := parseName(name, ".sst")
		if _, log := parseName(name, ".log"); log {
			size, err := r.db.sizeOf(name)
			if err != nil {
				return fmt.Errorf("lsm: open log: %w", err)
			}
			table = size > 0
		}
		if table {
			return &CorruptError{File: currentName, Offset: -1, Detail: "missing, though " + name + " is there"}
		}
	}
	return nil
}

func (r *recovery) openTables() error {
	for level, l := range r.state.Levels {
		for i := range l {
			t, err := r.db.openTable(level, l[i].FileNum)
			if err != nil {
				return err
			}
			if t.Meta().Size != l[i].Size || t.Meta().Entries != l[i].Entries || t.Meta().LargestSeq != l[i].LargestSeq {
				t.file.Close()
				return &CorruptError{File: tableName(t.num), Offset: -1, Detail: "not the table that the manifest describes"}
			}
			r.add(t)
		}
	}
	return nil
}

func (r *recovery) add(t *table) {
	r.tables = append(r.tables, t)
	r.levels[t.level] = append(r.levels[t.level], t)
}

// openTable opens a table's file.
func (db *DB) openTable(level int, num uint64) (*table, error) {
	name := tableName(num)
	f, err := db.o.FS.Open(db.path(name))
	if err != nil {
		if isNotExist(err) {
			return nil, &CorruptError{File: name, Offset: -1, Detail: "missing"}
		}
		return nil, fmt.Errorf("lsm: open table: %w", err)
	}
	size, err := f.Size()
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lsm: open table: %w", err)
	}
	r, err := sstable.Open(f, size, name, num, db.cache)
	if err != nil {
		f.Close()
		return nil, public(name, err)
	}
	return &table{Reader: r, db: db, level: level, num: num, file: f}, nil
}

// replay reads the logs that tables have not made superfluous.
//
// The end of a log may be torn by a power cut, but only if all later logs were never
// synced: a log is synced only after those before it. What follows a torn end is then
// dropped, for it would be writes without the ones before them; where a later log shows
// that it had been synced, the damage is rot and an error.
func (r *recovery) replay() error {
	r.mem = r.db.newMem(0, 0)
	torn := ""
	// The oldest log that is needed was made before the manifest said so. Where it is
	// missing, the manifest has lost its last words, or the directory a file.
	if n := r.state.LogNum; n > 0 && !slices.Contains(r.logs, n) {
		return &CorruptError{File: logName(n), Offset: -1, Detail: "missing"}
	}
	for _, num := range r.logs {
		if num < r.state.LogNum {
			continue
		}
		name := logName(num)
		f, err := r.db.o.FS.Open(r.db.path(name))
		if err != nil {
			return fmt.Errorf("lsm: open log: %w", err)
		}
		size, err := f.Size()
		if err == nil {
			log := wal.NewReader(f, size, uint32(num))
			if torn == "" {
				err = r.replayLog(log, name)
				if log.Torn() || errors.Is(err, errGap) {
					torn = name
				}
			}
			if torn != "" && (torn != name || errors.Is(err, errGap)) {
				err = r.unsynced(wal.NewReader(f, size, uint32(num)), torn)
			}
		}
		f.Close()
		if err != nil {
			return public(name, err)
		}
	}
	return nil
}

// errGap says that a log starts later than the one before ends, which is then missing its
// end without a trace.
var errGap = errors.New("lsm: log starts after a gap")

// unsynced fails if log was ever synced, though the one before it has a torn end.
func (r *recovery) unsynced(log *wal.Reader, torn string) error {
	for {
		if _, err := log.Next(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return err
		}
	}
	if log.Marked() {
		return &CorruptError{File: torn, Offset: -1, Detail: "cut short, though a later log had been synced"}
	}
	return nil
}

func (r *recovery) replayLog(log *wal.Reader, name string) error {
	first := true
	for {
		at := log.Offset()
		rec, err := log.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := r.replayBatch(rec, name, at, first); err != nil {
			return err
		}
		first = false
	}
}

func (r *recovery) replayBatch(rec []byte, name string, at int64, first bool) error {
	s, ok := parseBatch(rec)
	if ok && first && s.seq > r.last+1 {
		return errGap
	}
	if !ok || s.seq != r.last+1 {
		return &CorruptError{File: name, Offset: at, Detail: "batch out of sequence"}
	}
	cost, n := 0, int(s.count)
	check := s
	for o, more := check.next(); more; o, more = check.next() {
		cost += costOf(o)
	}
	if !check.done() {
		return &CorruptError{File: name, Offset: at, Detail: "malformed batch"}
	}
	if !r.mem.Fits(cost, n) {
		if err := r.flush(); err != nil {
			return err
		}
		r.mem = r.db.newMem(0, cost)
	}
	seq := s.seq
	for o, more := s.next(); more; o, more = s.next() {
		r.mem.Add(seq, o.kind, o.k, o.v)
		seq++
	}
	r.last = seq - 1
	return nil
}

// flush writes the memtable that was replayed to level 0.
func (r *recovery) flush() error {
	if r.mem.Empty() {
		return nil
	}
	num := r.state.NextFile
	r.state.NextFile++
	t, err := r.db.writeMem(r.mem, num)
	if err != nil {
		return err
	}
	r.add(t)
	r.state.Levels[0] = append(r.state.Levels[0], manifest.Table{Meta: *t.Meta()})
	r.state.LastSeq = r.last
	return nil
}

// start writes a new manifest that makes the old logs superfluous, removes what is no
// longer needed, and starts a log.
func (r *recovery) start() error {
	db := r.db
	if err := r.flush(); err != nil {
		return err
	}
	num := r.state.NextFile
	r.state.NextFile++
	r.state.LogNum = num
	log, err := db.createLog(num)
	if err != nil {
		return err
	}
	db.log = log
	m, _, err := db.newManifest(&r.state)
	if err != nil {
		return err
	}
	db.manifest, db.files = m, r.state
	db.lastSeq = r.last
	db.syncedSeq.Store(r.last)
	db.visible.Store(r.last)
	db.logNums = []uint64{num}
	db.mem = db.newMem(num, 0)
	v := newVersion((&version{}).edited(nil, r.tables))
	db.install(db.mem, nil, v)
	r.sweep()
	return nil
}

// sweep removes files that no state names: of logs and tables before a crash, and of
// manifests before this one. What is not ours is left alone.
func (r *recovery) sweep() {
	keep := map[string]bool{r.db.manifest.name: true, logName(r.state.LogNum): true}
	for _, t := range r.tables {
		keep[tableName(t.num)] = true
	}
	for _, name := range r.files {
		_, log := parseName(name, ".log")
		_, sst := parseName(name, ".sst")
		ours := log || sst || strings.HasPrefix(name, "MANIFEST-") || name == currentName+".tmp"
		if ours && !keep[name] {
			r.db.removeFile(name)
		}
	}
}
