package lsm

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/lsm/internal/manifest"
)

// counters grow while the database is open.
type counters struct {
	userBytes, tableBytes     atomic.Int64
	syncs, stalls, stallTime  atomic.Int64
	flushes, compactions      atomic.Int64
	compactedIn, compactedOut atomic.Int64
}

// LevelStats describes one level.
type LevelStats struct {
	Tables  int
	Bytes   int64
	Entries uint64 // versions and tombstones
}

// Stats is a snapshot of a database's state and of its counters since Open. Sizes are in
// bytes.
type Stats struct {
	Levels        [manifest.Levels]LevelStats
	Memtables     int   // the active one and those that wait to be flushed
	MemtableBytes int64 // used in them
	IndexBytes    int64 // indexes and filters of open tables
	Snapshots     int
	LastSeq       uint64 // number of the last write

	UserBytes    int64 // written by callers, as they stand in the log
	TableBytes   int64 // written to tables by flushes and compactions
	Syncs        int64 // of the log
	Flushes      int64
	Compactions  int64
	CompactedIn  int64
	CompactedOut int64
	Stalls       int64 // writes that had to wait for the background
	StallTime    time.Duration

	CacheHits, CacheMisses, CacheBytes int64
	FilterMisses                       int64 // look-ups in a table that its filter made unnecessary
}

// Stats returns a snapshot; the zero Stats after Close.
func (db *DB) Stats() Stats {
	var st Stats
	s := db.acquire()
	if s == nil {
		return st
	}
	defer s.release()
	for i, l := range s.v.levels {
		for _, t := range l {
			st.Levels[i].Tables++
			st.Levels[i].Bytes += int64(t.Meta().Size)
			st.Levels[i].Entries += t.Meta().Entries + t.Meta().Spans
			st.IndexBytes += t.Memory()
			st.FilterMisses += t.FilterMisses()
		}
	}
	st.Memtables, st.MemtableBytes = 1+len(s.imms), s.mem.Size()
	for _, m := range s.imms {
		st.MemtableBytes += m.Size()
	}
	db.snapMu.Lock()
	for _, n := range db.snaps {
		st.Snapshots += n
	}
	db.snapMu.Unlock()
	st.LastSeq = db.visible.Load()
	c := &db.stats
	st.UserBytes, st.TableBytes, st.Syncs = c.userBytes.Load(), c.tableBytes.Load(), c.syncs.Load()
	st.Flushes, st.Compactions = c.flushes.Load(), c.compactions.Load()
	st.CompactedIn, st.CompactedOut = c.compactedIn.Load(), c.compactedOut.Load()
	st.Stalls, st.StallTime = c.stalls.Load(), time.Duration(c.stallTime.Load())
	if db.cache != nil {
		cs := db.cache.Stats()
		st.CacheHits, st.CacheMisses, st.CacheBytes = cs.Hits, cs.Misses, cs.Bytes
	}
	return st
}

// Bytes is the size of all tables.
func (s Stats) Bytes() (n int64) {
	for _, l := range s.Levels {
		n += l.Bytes
	}
	return n
}

// String is a small table for people.
func (s Stats) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "level  tables       bytes     entries\n")
	for i, l := range s.Levels {
		if l.Tables > 0 {
			fmt.Fprintf(&b, "L%d     %6d  %10d  %10d\n", i, l.Tables, l.Bytes, l.Entries)
		}
	}
	fmt.Fprintf(&b, "memtables %d (%d bytes)  snapshots %d  last write %d\n", s.Memtables, s.MemtableBytes, s.Snapshots, s.LastSeq)
	fmt.Fprintf(&b, "written: user %d  tables %d  syncs %d  flushes %d  compactions %d  stalls %d (%v)\n",
		s.UserBytes, s.TableBytes, s.Syncs, s.Flushes, s.Compactions, s.Stalls, s.StallTime)
	fmt.Fprintf(&b, "cache: %d bytes  %d hits  %d misses  filters saved %d reads\n", s.CacheBytes, s.CacheHits, s.CacheMisses, s.FilterMisses)
	return b.String()
}

// Verify reads every table and the manifest and checks every checksum and invariant. It
// returns all problems joined; those of damaged data match ErrCorrupt and name file and
// offset. It stops soon after ctx is done.
func (db *DB) Verify(ctx context.Context) error {
	s := db.acquire()
	if s == nil {
		return ErrClosed
	}
	defer s.release()
	var problems []error
	for level, l := range s.v.levels {
		for i, t := range l {
			if err := t.Verify(ctx); err != nil {
				if ctx.Err() != nil {
					return ctx.Err()
				}
				problems = append(problems, public(tableName(t.num), err))
			}
			if level > 0 && i > 0 && string(l[i-1].Meta().Largest) > string(t.Meta().Smallest) {
				problems = append(problems, &CorruptError{File: tableName(t.num), Offset: -1, Detail: "overlaps its neighbour"})
			}
		}
	}
	db.mu.Lock()
	_, _, found, err := db.readManifest()
	db.mu.Unlock()
	if err == nil && !found {
		err = &CorruptError{File: currentName, Offset: -1, Detail: "missing"}
	}
	return errors.Join(append(problems, err)...)
}
