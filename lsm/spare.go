package lsm

import "github.com/ashlar-go/ashlar/lsm/internal/memtable"

// A rotation needs a log whose name the disk knows, and a memtable, whose memory has to be
// cleared: some ten milliseconds on a busy machine, and writers wait. So both lie ready.
// Whoever flushes replaces what a rotation took, just after; only the first rotation, and
// one that comes sooner than the replacement, make their own.

// spare is what the next rotation takes.
type spare struct {
	log   *logFile // empty
	table *memtable.Table
}

// keepSpare sees to it that there is one.
func (db *DB) keepSpare() {
	if db.spare.Load() != nil {
		return
	}
	l, err := db.newLog()
	if err != nil {
		db.o.Logger.Warn("lsm: log in reserve", "err", err) // the rotation will try again
		return
	}
	db.spare.Store(&spare{l, memtable.New(int(db.o.MemtableSize))})
}

// takeSpare returns log and memtable for a rotation. Logs are replayed in the order of
// their numbers, so a spare log that a rotation has overtaken is of no use. The caller
// holds commitMu.
func (db *DB) takeSpare(cost int) (*logFile, *mem, error) {
	s := db.spare.Swap(nil)
	if s != nil && s.log.num < db.log.num {
		s.drop(db)
		s = nil
	}
	if s == nil {
		l, err := db.newLog()
		if err != nil {
			return nil, nil, err
		}
		return l, db.newMem(l.num, cost), nil
	}
	if s.table.Fits(cost, 0) {
		return s.log, &mem{s.table, s.log.num}, nil
	}
	return s.log, db.newMem(s.log.num, cost), nil
}

// drop gives up a spare, nil too.
func (s *spare) drop(db *DB) {
	if s != nil {
		s.log.close(db)
		db.removeFile(logName(s.log.num))
	}
}
