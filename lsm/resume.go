package lsm

import (
	"context"

	"github.com/ashlar-go/ashlar/lsm/internal/manifest"
)

// Resume takes writes up again after a failed write made the database read-only, once its
// cause is gone: it writes all that is in memory to tables, and starts a new log and a
// new manifest, so that nothing depends on the files whose state is unknown. Every write
// that was acknowledged, or that reads have seen, is durable when it returns nil. On an
// error the database stays read-only, and Resume can be called again. It does nothing if
// the database is not read-only.
func (db *DB) Resume(ctx context.Context) error {
	if db.closed.Load() {
		return ErrClosed
	}
	// Not even a look at the locks: a writer may hold them and wait for the background.
	if db.Err() == nil {
		return nil
	}
	if err := db.takeBackground(ctx); err != nil {
		return err
	}
	defer db.giveBackground()
	db.syncMu.Lock()
	defer db.syncMu.Unlock()
	db.commitMu.Lock()
	defer db.commitMu.Unlock()
	db.mu.Lock()
	defer db.mu.Unlock()
	if db.cause == nil {
		return nil
	}
	s := db.state.Load()
	mems := append([]*mem{s.mem}, s.imms...)
	state := db.files
	for i := range state.Levels {
		state.Levels[i] = append([]manifest.Table(nil), state.Levels[i]...)
	}
	var added []*table
	undo := func(err error, remove bool) error {
		for _, t := range added {
			t.file.Close()
			if remove {
				db.removeFile(tableName(t.num))
			}
		}
		db.files.NextFile = max(db.files.NextFile, state.NextFile)
		return err
	}
	for i := len(mems) - 1; i >= 0; i-- {
		if mems[i].Empty() {
			continue
		}
		num := state.NextFile
		state.NextFile++
		t, err := db.writeMem(mems[i], num)
		if err != nil {
			return undo(err, true)
		}
		added = append(added, t)
		state.Levels[0] = append(state.Levels[0], manifest.Table{Meta: *t.Meta()})
		state.LastSeq = max(state.LastSeq, t.Meta().LargestSeq)
	}
	num := state.NextFile
	state.NextFile++
	log, err := db.createLog(num)
	if err != nil {
		return undo(err, true)
	}
	state.LogNum = num
	m, renamed, err := db.newManifest(&state)
	if err != nil {
		log.close(db)
		// A manifest that may be the current one names the tables: a crash would look for
		// them. The next Open sweeps what is left over.
		return undo(err, !renamed)
	}
	db.manifest.file.Close()
	db.removeFile(db.manifest.name)
	db.manifest, db.files = m, state
	db.logsMu.Lock()
	for _, l := range append(db.oldLogs, db.log) {
		l.close(db)
	}
	for _, n := range db.logNums {
		db.removeFile(logName(n))
	}
	db.oldLogs, db.logNums = nil, []uint64{num}
	db.logsMu.Unlock()
	db.spare.Swap(nil).drop(db) // it comes before the new log
	db.log = log
	db.syncedSeq.Store(db.lastSeq)
	db.mem = db.newMem(num, 0)
	db.install(db.mem, nil, newVersion(s.v.edited(nil, added)))
	db.cause = nil
	db.broken.Store(false)
	db.wake()
	return nil
}

// takeBackground waits until no compaction runs, and keeps new ones from starting until
// giveBackground. In a read-only database it does the same with flushes; else these go on,
// for writes would wait for them.
func (db *DB) takeBackground(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		db.mu.Lock()
		defer db.mu.Unlock()
		db.wake()
	})
	defer stop()
	db.mu.Lock()
	defer db.mu.Unlock()
	mine := false
	for {
		err := ctx.Err()
		if db.closing {
			err = ErrClosed
		}
		if err != nil {
			if mine {
				db.manual = false
				db.wake()
			}
			return err
		}
		if !db.manual && !mine {
			db.manual, mine = true, true
		}
		if mine && db.jobs == 0 && (db.cause == nil || !db.flushing) {
			return nil
		}
		db.cond.Wait()
	}
}

func (db *DB) giveBackground() {
	db.mu.Lock()
	defer db.mu.Unlock()
	db.manual = false
	db.wake()
}
