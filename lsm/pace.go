package lsm

import (
	"time"

	"github.com/ashlar-go/ashlar/lsm/internal/manifest"
)

// What runs in the background shares processors and disk with those whom the store
// serves. Two things keep it from being felt more than it must:
//
//   - Tables are synced as they grow. A table synced only at its end hands the disk tens of
//     megabytes at once, and every sync of the log waits behind them.
//   - A compaction that nobody waits for takes breaks, so that it works but for a quarter of
//     the time. The further the tree is from its shape the shorter they are; long before
//     writes would have to stop there are none. There are none either while nobody writes.
//
// RocksDB and Pebble sync as they go too (bytes_per_sync) and pace by bytes a second, which
// somebody has to guess.

const (
	syncEvery = 1 << 20   // bytes of a table
	paceEvery = 256 << 10 // bytes of a merge between two looks at the pressure
	leisure   = 0.25      // share of the time that a compaction works if nothing presses
	longest   = 50 * time.Millisecond
)

// steadyFile syncs a file as it grows.
type steadyFile struct {
	File
	unsynced int
}

func (f *steadyFile) Write(b []byte) (int, error) {
	n, err := f.File.Write(b)
	if f.unsynced += n; err == nil && f.unsynced >= syncEvery {
		f.unsynced = 0
		err = f.Sync()
	}
	return n, err
}

// pacer makes the breaks of one compaction.
type pacer struct {
	db    *DB
	done  int       // bytes since begun
	begun time.Time // when the last break ended
	seen  uint64    // the last write by then
}

func newPacer(db *DB) *pacer { return &pacer{db: db, begun: time.Now(), seen: db.visible.Load()} }

// worked takes note of work, and breaks if it is time for that.
func (p *pacer) worked(bytes int) {
	if p.done += bytes; p.done < paceEvery {
		return
	}
	p.done = 0
	if seen := p.db.visible.Load(); seen != p.seen {
		p.seen = seen
		share := leisure + (1-leisure)*p.db.pressure()
		time.Sleep(min(time.Duration(float64(time.Since(p.begun))*(1/share-1)), longest))
	}
	p.begun = time.Now()
}

// pressure is how far the tree is from its shape: 0 as it should be, 1 twice as much in
// level 0 as starts a compaction, or half as much again in another level as it may hold.
func (db *DB) pressure() float64 {
	s := db.acquire()
	if s == nil {
		return 1 // closing
	}
	defer s.release()
	p := db.score(s.v, 0) - 1
	for level := 1; level < manifest.Levels-1; level++ {
		p = max(p, 2*(db.score(s.v, level)-1))
	}
	return min(max(p, 0), 1)
}
