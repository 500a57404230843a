package lsm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
	"github.com/ashlar-go/ashlar/lsm/internal/manifest"
	"github.com/ashlar-go/ashlar/lsm/internal/merge"
)

// A compaction merges tables of one level with those they overlap in the next, and drops
// what nobody can see any more. Snapshots cut the sequence numbers into stripes,
//
//	0 ──── stripe 0 ────┤ snapshot 40 ├──── stripe 1 ────┤ snapshot 75 ├── stripe 2 ── ∞
//
// and a reader sees of each stripe only the newest version of a key. So within a stripe
//
//   - a version is dropped if a newer one of its key is in the same stripe,
//   - or if a range tombstone of the same stripe lies over it,
//   - a tombstone of the oldest stripe is dropped if no older version can be below, that
//     is, if no deeper level overlaps it. An expired value is a tombstone.
//
// All versions of a key go into the same table, so that tables of a level never share one.

// compaction is one job.
type compaction struct {
	level, out int
	inputs     []*table // of level, newest first in level 0
	below      []*table // of out, if that is another level
	v          *version // held
	wanted     bool     // somebody waits for it
}

func (c *compaction) all() []*table { return append(append([]*table(nil), c.inputs...), c.below...) }

// bounds is the range of keys of the tables.
func bounds(tables []*table) (lo, hi []byte) {
	for i, t := range tables {
		m := t.Meta()
		if i == 0 || bytes.Compare(m.Smallest, lo) < 0 {
			lo = m.Smallest
		}
		if i == 0 || bytes.Compare(m.Largest, hi) > 0 {
			hi = m.Largest
		}
	}
	return lo, hi
}

// compactLoop runs compactions while there are any to run.
func (db *DB) compactLoop() {
	for {
		db.mu.Lock()
		var c *compaction
		for !db.closing {
			if db.cause == nil && !db.manual {
				if c = db.pick(); c != nil {
					break
				}
			}
			db.cond.Wait()
		}
		if db.closing {
			db.mu.Unlock()
			return
		}
		db.begin(c)
		db.mu.Unlock()
		_ = db.compact(context.Background(), c) // it has made the database read-only
	}
}

// begin marks the inputs of a job as taken. The caller holds mu.
func (db *DB) begin(c *compaction) {
	db.jobs++
	c.v = db.state.Load().v
	c.v.refs.Add(1)
	for _, t := range c.all() {
		t.busy = true
	}
}

// compact runs a job that was begun. An error makes the database read-only, unless ctx or
// Close caused it.
func (db *DB) compact(ctx context.Context, c *compaction) error {
	start := time.Now()
	var added []*table
	var err error
	trivial := db.trivial(c)
	if !trivial {
		added, err = db.merge(ctx, c)
	}
	db.mu.Lock()
	if err == nil {
		e := &manifest.Edit{}
		gone := c.all()
		if trivial {
			// The same file at another level: a new table object, so that no reader of an
			// older version sees its level change.
			var t *table
			if t, err = db.openTable(c.out, c.inputs[0].num); err == nil {
				added = []*table{t}
			}
		}
		for _, t := range added {
			e.Added = append(e.Added, manifest.Table{Level: c.out, Meta: *t.Meta()})
		}
		if err == nil {
			err = db.apply(e, added, gone, nil)
		}
		if err == nil && trivial {
			c.inputs[0].obsolete.Store(false) // the file lives on
		}
	}
	for _, t := range c.all() {
		t.busy = false
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, ErrClosed) {
		db.failLocked(err)
	}
	db.jobs--
	db.wake()
	db.mu.Unlock()
	if err != nil {
		for _, t := range added {
			t.file.Close()
		}
	} else {
		db.report(c, added, time.Since(start))
	}
	c.v.release()
	db.tell()
	return err
}

func (db *DB) report(c *compaction, added []*table, took time.Duration) {
	info := JobInfo{Level: c.out, In: len(c.all()), Out: len(added), Took: took}
	for _, t := range c.all() {
		info.BytesIn += int64(t.Meta().Size)
	}
	for _, t := range added {
		info.BytesOut += int64(t.Meta().Size)
	}
	db.stats.compactions.Add(1)
	db.stats.compactedIn.Add(info.BytesIn)
	db.stats.compactedOut.Add(info.BytesOut)
	if db.o.Hooks.Compacted != nil {
		db.o.Hooks.Compacted(info)
	}
}

// trivial reports whether the job only moves one table down: nothing is below it to merge
// with, and nothing in it to drop.
func (db *DB) trivial(c *compaction) bool {
	if len(c.inputs) != 1 || len(c.below) > 0 || c.level == c.out || c.level == 0 {
		return false
	}
	m := c.inputs[0].Meta()
	return m.Deletes == 0 && m.Spans == 0 && m.Expiring == 0
}

// merger is the state of one merge.
type merger struct {
	db     *DB
	c      *compaction
	snaps  []uint64
	now    int64
	cover  key.Cover
	spans  []key.Span // what remains of the range tombstones, by start
	out    *tableWriter
	lower  []byte // where the present table starts; nil: at the very start
	tables []*table
}

// stripe returns the newest sequence number of the stripe that seq is in.
func (m *merger) stripe(seq uint64) uint64 {
	for _, s := range m.snaps {
		if seq <= s {
			return s
		}
	}
	return key.MaxSeq
}

func (m *merger) oldest(seq uint64) bool { return len(m.snaps) == 0 || seq <= m.snaps[0] }

// bottom reports whether no level below the output holds anything in [lo, hi].
func (m *merger) bottom(lo, hi []byte) bool {
	for level := m.c.out + 1; level < manifest.Levels; level++ {
		tables := m.c.v.levels[level]
		if i := find(tables, lo); i < len(tables) && tables[i].overlaps(lo, hi) {
			return false
		}
	}
	return true
}

// merge writes the tables that replace the job's.
func (db *DB) merge(ctx context.Context, c *compaction) (_ []*table, err error) {
	m := &merger{db: db, c: c, snaps: db.snapshots(), now: db.o.Now().UnixMilli()}
	defer func() {
		if err != nil {
			m.undo()
		}
	}()
	var spans []key.Span
	var sources []key.Iterator
	for _, t := range c.all() {
		spans = append(spans, t.Spans()...)
		if c.level == 0 && t.level == 0 {
			sources = append(sources, t.Iter(false))
		}
	}
	if c.level > 0 {
		sources = append(sources, &levelIter{tables: c.inputs})
	}
	if len(c.below) > 0 {
		sources = append(sources, &levelIter{tables: c.below})
	}
	m.cover = key.NewCover(spans)
	m.keepSpans()
	it := merge.New(sources...)
	defer it.Close()

	var last []byte   // the present user key
	var shadow uint64 // the stripe whose newest version of it was met; 0: none
	first, steps := true, 0
	pace := newPacer(db)
	for ok := it.First(); ok; ok = it.Next() {
		if steps++; steps%1024 == 0 {
			if err := errors.Join(ctx.Err(), m.closing()); err != nil {
				return nil, err
			}
		}
		k, t := it.Key(), it.Trailer()
		fresh := first || !bytes.Equal(k, last)
		if fresh {
			last, shadow, first = append(last[:0], k...), 0, false
		}
		stripe := m.stripe(t.Seq())
		if stripe == shadow {
			continue
		}
		if m.cover.Seq(k, stripe) > t.Seq() {
			shadow = stripe // what is older is under the same tombstone
			continue
		}
		shadow = stripe
		kind, v := t.Kind(), it.Value()
		if kind == key.SetExpiring && expiredAt(v, m.now) {
			kind, v = key.Delete, nil
		}
		if kind == key.Delete && m.oldest(t.Seq()) && m.bottom(k, k) {
			continue
		}
		if fresh && m.out != nil && int64(m.out.Size()) >= db.o.TableSize {
			if err := m.cut(k); err != nil {
				return nil, err
			}
		}
		if err := m.open(); err != nil {
			return nil, err
		}
		if err := m.out.Add(k, key.Pack(t.Seq(), kind), v); err != nil {
			return nil, fmt.Errorf("lsm: write table: %w", err)
		}
		if !c.wanted {
			pace.worked(len(k) + len(v))
		}
	}
	if err := it.Err(); err != nil {
		return nil, public("", err)
	}
	if err := m.cut(nil); err != nil {
		return nil, err
	}
	return m.tables, nil
}

func expiredAt(v []byte, now int64) bool {
	return len(v) < 8 || int64(uint64(v[0])<<56|uint64(v[1])<<48|uint64(v[2])<<40|uint64(v[3])<<32|uint64(v[4])<<24|uint64(v[5])<<16|uint64(v[6])<<8|uint64(v[7])) <= now
}

func (m *merger) closing() error {
	m.db.mu.Lock()
	defer m.db.mu.Unlock()
	if m.db.closing {
		return ErrClosed
	}
	return nil
}

// keepSpans leaves of the range tombstones what still matters: the newest of each stripe,
// and of the oldest stripe only where something older may be below.
func (m *merger) keepSpans() {
	for _, s := range m.cover.Visible(m.snaps) {
		if !m.oldest(s.Seq) || !m.bottom(s.Start, s.End) {
			m.spans = append(m.spans, s)
		}
	}
}

func (m *merger) open() error {
	if m.out != nil {
		return nil
	}
	m.db.mu.Lock()
	num := m.db.nextFile()
	m.db.mu.Unlock()
	var err error
	m.out, err = m.db.createTable(num, m.c.out)
	return err
}

// cut finishes the present table; the next starts at k, nil if there is none. The table
// takes the parts of the range tombstones that lie in its range.
func (m *merger) cut(k []byte) error {
	mine := key.Clip(m.spans, m.lower, k)
	m.lower = bytes.Clone(k)
	if len(mine) > 0 {
		if err := m.open(); err != nil {
			return err
		}
	}
	if m.out == nil {
		return nil
	}
	for _, s := range mine {
		if err := m.out.AddSpan(s); err != nil {
			return fmt.Errorf("lsm: write table: %w", err)
		}
	}
	t, err := m.out.finish()
	m.out = nil
	if err != nil {
		return err
	}
	m.tables = append(m.tables, t)
	return nil
}

// undo removes what was written so far.
func (m *merger) undo() {
	if m.out != nil {
		_ = m.out.abandon(nil)
	}
	for _, t := range m.tables {
		t.file.Close()
		m.db.removeFile(tableName(t.num))
	}
}

// Compact merges everything in r (Reverse and KeysOnly mean nothing here) down to the
// lowest level that holds any of it, dropping what is deleted, expired or overwritten. It
// is never needed; it gives back space at a time of the caller's choice. Flush first to
// include what is in memory. It stops soon after ctx is done; what was done until then
// stays.
func (db *DB) Compact(ctx context.Context, r Range) error {
	if err := db.writable(); err != nil {
		return err
	}
	if err := db.takeBackground(ctx); err != nil {
		return err
	}
	defer db.giveBackground()
	for level := range manifest.Levels {
		for {
			db.mu.Lock()
			err := db.cause
			var c *compaction
			if err == nil {
				c = db.pickManual(level, r)
			}
			if c != nil {
				c.wanted = true
				db.begin(c)
			}
			db.mu.Unlock()
			if err != nil {
				return fmt.Errorf("%w: %w", ErrReadOnly, err)
			}
			if c == nil {
				break
			}
			if err := db.compact(ctx, c); err != nil {
				return err
			}
			if c.level == c.out {
				break
			}
		}
	}
	return nil
}
