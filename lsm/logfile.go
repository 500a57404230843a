package lsm

import (
	"fmt"

	"github.com/ashlar-go/ashlar/lsm/internal/wal"
)

// logFile is a log that is open for writing.
type logFile struct {
	*wal.Writer
	num    uint64
	file   File
	synced int64 // guarded by commitMu: offset up to which it is known to be synced
	users  int   // guarded by logsMu: syncs that use the file
	done   bool  // guarded by logsMu: close it when nobody uses it
}

// newLog starts a log whose directory entry is durable.
func (db *DB) newLog() (*logFile, error) {
	db.mu.Lock()
	num := db.nextFile()
	db.mu.Unlock()
	return db.createLog(num)
}

func (db *DB) createLog(num uint64) (*logFile, error) {
	f, err := db.o.FS.Create(db.path(logName(num)))
	if err != nil {
		return nil, fmt.Errorf("lsm: create log: %w", err)
	}
	if err := db.o.FS.SyncDir(db.dir); err != nil {
		f.Close()
		return nil, fmt.Errorf("lsm: sync directory: %w", err)
	}
	return &logFile{Writer: wal.NewWriter(f, uint32(num)), num: num, file: f}, nil
}

func (l *logFile) close(db *DB) {
	if err := l.file.Close(); err != nil {
		db.o.Logger.Warn("lsm: close log", "log", l.num, "err", err)
	}
}
