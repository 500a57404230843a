package lsm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
	"github.com/ashlar-go/ashlar/lsm/internal/manifest"
	"github.com/ashlar-go/ashlar/lsm/internal/memtable"
	"github.com/ashlar-go/ashlar/lsm/internal/sstable"
)

func isNotExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

func costOf(o op) int { return memtable.Cost(len(o.k), len(o.v)) }

// flushLoop writes immutable memtables to level 0, the oldest first.
func (db *DB) flushLoop() {
	for {
		db.mu.Lock()
		for !db.closing && (db.cause != nil || len(db.state.Load().imms) == 0) {
			db.cond.Wait()
		}
		if db.closing {
			db.mu.Unlock()
			return
		}
		imms := db.state.Load().imms
		m := imms[len(imms)-1]
		db.flushing = true
		db.mu.Unlock()
		db.keepSpare()
		err := db.flushMem(m)
		db.mu.Lock()
		if err != nil {
			db.failLocked(err)
		}
		db.flushing = false
		db.wake()
		db.mu.Unlock()
		db.tell()
	}
}

// flushMem makes one immutable memtable, the oldest, a table.
func (db *DB) flushMem(m *mem) error {
	start := time.Now()
	info := JobInfo{BytesIn: m.Size()}
	var e manifest.Edit
	var added []*table
	if !m.Empty() { // it is where a batch larger than a whole memtable followed
		db.mu.Lock()
		num := db.nextFile()
		db.mu.Unlock()
		t, err := db.writeMem(m, num)
		if err != nil {
			return err
		}
		added = append(added, t)
		e.Added = []manifest.Table{{Meta: *t.Meta()}}
		e.LastSeq = t.Meta().LargestSeq
		info.Out, info.BytesOut = 1, int64(t.Meta().Size)
	}
	db.mu.Lock()
	e.LogNum = db.nextLog(db.state.Load())
	err := db.apply(&e, added, nil, m)
	db.mu.Unlock()
	if err != nil {
		for _, t := range added {
			t.file.Close()
		}
		return err
	}
	db.dropLogs(e.LogNum)
	db.stats.flushes.Add(1)
	info.Took = time.Since(start)
	if db.o.Hooks.Flushed != nil {
		db.o.Hooks.Flushed(info)
	}
	return nil
}

// nextLog is the oldest log that is needed once the oldest immutable memtable of s is a
// table.
func (db *DB) nextLog(s *readState) uint64 {
	if n := len(s.imms); n > 1 {
		return s.imms[n-2].log
	}
	return s.mem.log
}

// writeMem writes a memtable to a table at level 0 and opens it.
func (db *DB) writeMem(m *mem, num uint64) (*table, error) {
	w, err := db.createTable(num, 0)
	if err != nil {
		return nil, err
	}
	it := m.Iter()
	for ok := it.First(); ok; ok = it.Next() {
		if err := w.Add(it.Key(), it.Trailer(), it.Value()); err != nil {
			return nil, w.abandon(err)
		}
	}
	for _, s := range key.NewCover(m.Spans()).Visible(db.snapshots()) {
		if err := w.AddSpan(s); err != nil {
			return nil, w.abandon(err)
		}
	}
	return w.finish()
}

// tableWriter writes one table's file.
type tableWriter struct {
	*sstable.Writer
	db    *DB
	file  File
	num   uint64
	level int
}

func (db *DB) createTable(num uint64, level int) (*tableWriter, error) {
	f, err := db.o.FS.Create(db.path(tableName(num)))
	if err != nil {
		return nil, fmt.Errorf("lsm: create table: %w", err)
	}
	sf := &steadyFile{File: f}
	return &tableWriter{sstable.NewWriter(sf, db.o.table(num, level)), db, sf, num, level}, nil
}

// abandon gives an unfinished table up and returns err.
func (w *tableWriter) abandon(err error) error {
	w.file.Close()
	w.db.removeFile(tableName(w.num))
	return fmt.Errorf("lsm: write table: %w", err)
}

// finish makes the table durable and opens it.
func (w *tableWriter) finish() (*table, error) {
	meta, err := w.Finish()
	if err == nil {
		err = w.file.Sync()
	}
	if err != nil {
		return nil, w.abandon(err)
	}
	if err := w.file.Close(); err != nil {
		return nil, w.abandon(err)
	}
	if err := w.db.o.FS.SyncDir(w.db.dir); err != nil {
		w.db.removeFile(tableName(w.num))
		return nil, fmt.Errorf("lsm: sync directory: %w", err)
	}
	w.db.stats.tableBytes.Add(int64(meta.Size))
	return w.db.openTable(w.level, w.num)
}

// apply makes an edit durable and installs what follows from it: added tables, tables
// that are gone, and a memtable that was flushed. The caller holds mu.
func (db *DB) apply(e *manifest.Edit, added []*table, gone []*table, flushed *mem) error {
	e.NextFile = db.files.NextFile
	for _, t := range gone {
		e.Deleted = append(e.Deleted, manifest.Deleted{Level: t.level, Num: t.num})
	}
	if err := db.manifest.append(e); err != nil {
		return err
	}
	if err := db.files.Apply(e); err != nil {
		return err
	}
	s := db.state.Load()
	isGone := map[uint64]bool{}
	for _, t := range gone {
		isGone[t.num] = true
	}
	imms := s.imms
	if flushed != nil {
		imms = slices.DeleteFunc(slices.Clone(imms), func(m *mem) bool { return m == flushed })
	}
	v := newVersion(s.v.edited(isGone, added))
	for _, t := range gone {
		t.obsolete.Store(true)
	}
	db.install(s.mem, imms, v)
	db.wake()
	return nil
}

// Flush writes everything that is in memory to tables. It returns when that is done, or
// when ctx is, in which case the work goes on in the background.
func (db *DB) Flush(ctx context.Context) error {
	if err := db.writable(); err != nil {
		return err
	}
	db.commitMu.Lock()
	var err error
	m := db.mem
	if !m.Empty() {
		err = db.rotate(0)
	}
	db.commitMu.Unlock()
	db.tell()
	if err != nil {
		return err
	}
	return db.await(ctx, func() bool {
		s := db.state.Load()
		return len(s.imms) == 0 || s.imms[len(s.imms)-1].log > m.log
	})
}

// await waits until done holds, or there is no more hope that it will.
func (db *DB) await(ctx context.Context, done func() bool) error {
	stop := context.AfterFunc(ctx, func() {
		db.mu.Lock()
		defer db.mu.Unlock()
		db.wake()
	})
	defer stop()
	db.mu.Lock()
	defer db.mu.Unlock()
	for {
		switch {
		case db.closing: // first: there may be nothing left to ask
			return ErrClosed
		case done():
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case db.cause != nil:
			return fmt.Errorf("%w: %w", ErrReadOnly, db.cause)
		}
		db.cond.Wait()
	}
}
