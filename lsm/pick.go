package lsm

import (
	"bytes"
	"slices"

	"github.com/ashlar-go/ashlar/lsm/internal/manifest"
)

// Which tables to compact next. Level 0 is measured in tables, since every one of them
// costs a look-up; the others in bytes against a target that grows tenfold a level. The
// level that is furthest over its target comes first. Within a level the table with the
// least to rewrite below it comes first; tables that are mostly tombstones, or whose
// values have expired, count as lighter still.

// pick returns a job, or nil if nothing needs compacting. The caller holds mu.
func (db *DB) pick() *compaction {
	v := db.state.Load().v
	best, bestScore := -1, 1.0
	for level := range manifest.Levels - 1 {
		if s := db.score(v, level); s >= bestScore && db.pickLevel(v, level) != nil {
			best, bestScore = level, s
			if level == 0 {
				break // look-ups and writers wait for it
			}
		}
	}
	if best >= 0 {
		return db.pickLevel(v, best)
	}
	return db.pickExpired(v)
}

// score is how full a level is; from 1 on it needs compacting.
func (db *DB) score(v *version, level int) float64 {
	if level == 0 {
		return float64(len(v.levels[0])) / float64(db.o.L0Tables)
	}
	return float64(v.size(level)) / float64(db.target(level))
}

// target is the size in bytes that a level is meant to have.
func (db *DB) target(level int) int64 {
	t := db.o.LevelBase
	for range level - 1 {
		t *= 10
	}
	return t
}

// pickLevel returns the best job from a level to the next, nil if all of it is busy.
func (db *DB) pickLevel(v *version, level int) *compaction {
	if level == 0 {
		return db.job(v, 0, 1, slices.Clone(v.levels[0]))
	}
	var best *compaction
	bestCost := 0.0
	for _, t := range v.levels[level] {
		c := db.job(v, level, level+1, []*table{t})
		if c == nil {
			continue
		}
		size := float64(t.Meta().Size)
		cost := 1.0
		for _, b := range c.below {
			cost += float64(b.Meta().Size) / size
		}
		// A table that is half tombstones frees about its own weight below.
		m := t.Meta()
		cost /= 1 + 4*float64(m.Deletes+m.Spans)/float64(m.Entries+m.Spans)
		if best == nil || cost < bestCost {
			best, bestCost = c, cost
		}
	}
	return best
}

// pickExpired returns a job that drops tables all of whose entries have expired, wherever
// they are.
func (db *DB) pickExpired(v *version) *compaction {
	now := db.o.Now().UnixMilli()
	for level := 1; level < manifest.Levels; level++ {
		for _, t := range v.levels[level] {
			if m := t.Meta(); m.Entries > 0 && m.Expiring == m.Entries && m.MaxExpiry <= now {
				out := min(level+1, manifest.Levels-1)
				if db.lowest(v, level, m.Smallest, m.Largest) {
					out = level
				}
				if c := db.job(v, level, out, []*table{t}); c != nil {
					return c
				}
			}
		}
	}
	return nil
}

// lowest reports whether no level below holds anything in [lo, hi].
func (db *DB) lowest(v *version, level int, lo, hi []byte) bool {
	for l := level + 1; l < manifest.Levels; l++ {
		if len(v.overlapping(l, lo, hi)) > 0 {
			return false
		}
	}
	return true
}

// job makes a compaction of tables of a level, nil if some of what it needs is busy.
func (db *DB) job(v *version, level, out int, inputs []*table) *compaction {
	if len(inputs) == 0 {
		return nil
	}
	c := &compaction{level: level, out: out, inputs: inputs}
	if out != level {
		lo, hi := bounds(inputs)
		c.below = v.overlapping(out, lo, hi)
	}
	for _, t := range c.all() {
		if t.busy {
			return nil
		}
	}
	// Two jobs that write into one level must not write overlapping tables there.
	if db.jobs > 0 {
		lo, hi := bounds(c.all())
		for _, l := range v.levels {
			for _, t := range l {
				if t.busy && t.overlaps(lo, hi) {
					return nil
				}
			}
		}
	}
	return c
}

// pickManual returns the next job of Compact at a level: everything in r goes one level
// down, or is rewritten where it is if nothing is below and something can be dropped.
func (db *DB) pickManual(level int, r Range) *compaction {
	v := db.state.Load().v
	in := func(t *table) bool {
		m := t.Meta()
		return (r.Start == nil || bytes.Compare(m.Largest, r.Start) >= 0) && (r.End == nil || bytes.Compare(m.Smallest, r.End) < 0)
	}
	var inputs []*table
	for _, t := range v.levels[level] {
		if in(t) {
			inputs = append(inputs, t)
		}
	}
	if len(inputs) == 0 {
		return nil
	}
	if level == 0 {
		inputs = slices.Clone(v.levels[0]) // a part of level 0 could leave older versions above newer
	}
	lo, hi := bounds(inputs)
	if level > 0 && db.lowest(v, level, lo, hi) {
		if !slices.ContainsFunc(inputs, droppable) {
			return nil
		}
		return db.job(v, level, level, inputs)
	}
	return db.job(v, level, level+1, inputs)
}

// droppable reports whether a rewrite of the table might make it smaller.
func droppable(t *table) bool {
	m := t.Meta()
	return m.Deletes+m.Spans+m.Expiring > 0
}
