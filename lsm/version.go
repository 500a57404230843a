package lsm

import (
	"bytes"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
	"github.com/ashlar-go/ashlar/lsm/internal/manifest"
	"github.com/ashlar-go/ashlar/lsm/internal/memtable"
	"github.com/ashlar-go/ashlar/lsm/internal/sstable"
)

// What a reader sees is one readState: the active memtable, those that wait to be flushed,
// and a version, the set of tables. All of it is immutable but the active memtable, which
// readers bound by a sequence number.
//
//	readState ──▶ memtable (active)          newest
//	          ──▶ memtables (immutable)
//	          ──▶ version ──▶ L0: tables that may overlap, newest first
//	                      ──▶ L1 … L6: tables that do not, by key    oldest
//
// Invariant: of one key, everything in a source is newer than everything in the sources
// below it. A look-up therefore stops at the first source that knows the key.
//
// Lifetimes are counted: a reader holds its readState by one atomic operation, a readState
// its version, a version its tables. A table whose last holder lets go closes its file
// and, if a compaction replaced it, removes it.

// table is one open table.
type table struct {
	*sstable.Reader
	db       *DB
	level    int // informative: a trivial move leaves the table where it is on disk
	num      uint64
	file     File
	refs     atomic.Int32
	obsolete atomic.Bool
	busy     bool // guarded by DB.mu: an input of a running compaction
}

func (t *table) release() {
	if t.refs.Add(-1) > 0 {
		return
	}
	t.Close()
	if err := t.file.Close(); err != nil {
		t.db.o.Logger.Warn("lsm: close table", "table", t.num, "err", err)
	}
	if t.obsolete.Load() {
		t.db.removeFile(tableName(t.num))
	}
}

// overlaps reports whether the table may hold keys of [lo, hi], both inclusive.
func (t *table) overlaps(lo, hi []byte) bool {
	return bytes.Compare(t.Meta().Largest, lo) >= 0 && bytes.Compare(t.Meta().Smallest, hi) <= 0
}

// version is one set of tables.
type version struct {
	refs   atomic.Int32
	levels [manifest.Levels][]*table // level 0 newest first

	coverOnce sync.Once
	coverAll  key.Cover
}

// newVersion holds its tables.
func newVersion(levels [manifest.Levels][]*table) *version {
	v := &version{levels: levels}
	v.refs.Store(1)
	for _, l := range levels {
		for _, t := range l {
			t.refs.Add(1)
		}
	}
	return v
}

func (v *version) release() {
	if v.refs.Add(-1) > 0 {
		return
	}
	for _, l := range v.levels {
		for _, t := range l {
			t.release()
		}
	}
}

// cover is all range tombstones of all tables.
func (v *version) cover() key.Cover {
	v.coverOnce.Do(func() {
		var all []key.Span
		for _, l := range v.levels {
			for _, t := range l {
				all = append(all, t.Spans()...)
			}
		}
		v.coverAll = key.NewCover(all)
	})
	return v.coverAll
}

// overlapping returns the tables of a level that may hold keys of [lo, hi].
func (v *version) overlapping(level int, lo, hi []byte) []*table {
	var out []*table
	for _, t := range v.levels[level] {
		if t.overlaps(lo, hi) {
			out = append(out, t)
		}
	}
	return out
}

// size is the number of bytes of a level.
func (v *version) size(level int) int64 {
	var n int64
	for _, t := range v.levels[level] {
		n += int64(t.Meta().Size)
	}
	return n
}

// edited returns the levels after an edit: without the tables in gone, with added ones.
func (v *version) edited(gone map[uint64]bool, added []*table) [manifest.Levels][]*table {
	levels := v.levels
	for i := range levels {
		levels[i] = slices.DeleteFunc(slices.Clone(levels[i]), func(t *table) bool { return gone[t.num] })
	}
	for _, t := range added {
		levels[t.level] = append(levels[t.level], t)
	}
	for i, l := range levels {
		slices.SortFunc(l, func(a, b *table) int {
			if i == 0 {
				return int(b.num) - int(a.num)
			}
			if c := bytes.Compare(a.Meta().Smallest, b.Meta().Smallest); c != 0 {
				return c
			}
			return bytes.Compare(a.Meta().Largest, b.Meta().Largest)
		})
	}
	return levels
}

// mem is a memtable and the log that it can be rebuilt from.
type mem struct {
	*memtable.Table
	log uint64
}

// readState is what a reader holds on to.
type readState struct {
	refs atomic.Int32
	mem  *mem
	imms []*mem // newest first
	v    *version
}

// acquire returns the present state, nil after Close; release it.
func (db *DB) acquire() *readState {
	for {
		s := db.state.Load()
		if s == nil {
			return nil
		}
		// A state whose count has reached zero is gone for good; a newer one is there.
		for n := s.refs.Load(); n > 0; n = s.refs.Load() {
			if s.refs.CompareAndSwap(n, n+1) {
				return s
			}
		}
	}
}

func (s *readState) release() {
	if s.refs.Add(-1) == 0 {
		s.v.release()
	}
}

// install makes a state the present one. The caller holds db.mu. The state takes over the
// caller's hold on v.
func (db *DB) install(m *mem, imms []*mem, v *version) {
	s := &readState{mem: m, imms: imms, v: v}
	s.refs.Store(1)
	if old := db.state.Swap(s); old != nil {
		old.release()
	}
}

// find returns the first table of a sorted level that ends at or after k.
func find(level []*table, k []byte) int {
	return sort.Search(len(level), func(i int) bool { return bytes.Compare(level[i].Meta().Largest, k) >= 0 })
}
