package lsm_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/lsm/lsmtest"
)

// The torture tests run scripts: rows of steps drawn from a seed, some of which write.
// Writes are numbered, and the content after each is known beforehand, so that whatever
// is found on a disk can be told to be, or not to be, the content after some write:
//
//	contents[0] ─write 1─▶ contents[1] ─write 2─▶ … ─write n─▶ contents[n]
//	                            ▲                        ▲
//	                  durable: never less       issued: never more

// content is what a database holds: keys with their values and times of expiry.
type content map[string]cell

type cell struct {
	v       string
	expires int64 // Unix milliseconds; 0: never
}

// visible is what of it a scan shows at a time, as one string.
func (c content) visible(now int64) string {
	var b strings.Builder
	for _, k := range slices.Sorted(maps.Keys(c)) {
		if x := c[k]; x.expires == 0 || x.expires > now {
			fmt.Fprintf(&b, "%s=%s@%d\n", k, x.v, x.expires)
		}
	}
	return b.String()
}

// change is one operation of a write.
type change struct {
	key, end string // end: of a range that is deleted
	v        string
	ttl      int64 // milliseconds; 0: none
	del      bool
}

func (c change) into(m content, now int64) {
	switch {
	case c.end != "":
		maps.DeleteFunc(m, func(k string, _ cell) bool { return k >= c.key && k < c.end })
	case c.del:
		delete(m, c.key)
	case c.ttl > 0:
		m[c.key] = cell{c.v, now + c.ttl}
	default:
		m[c.key] = cell{v: c.v}
	}
}

// step is one step of a script: a write, if changes is set, or something else.
type step struct {
	changes []change
	dur     lsm.Durability
	action  action
	tick    int64 // added to the clock before
}

type action uint8

const (
	write action = iota
	flush
	syncAll
	compact
	reopen
	lookup
)

// script is a row of steps with all that can come of it.
type script struct {
	name     string
	steps    []step
	contents []content // after each write
	keys     []string
}

// flavour says what a script is made of.
type flavour struct {
	name                              string
	writes, keys, value, batch        int
	spans, dels, ttls                 int // per cent of the changes
	flushes, syncs, compacts, reopens int // per cent of the steps
	durs                              []lsm.Durability
	memtable, table, base             int64
	l0, block                         int
	compression                       lsm.Compression
	windows                           bool
}

var (
	onlySynced = []lsm.Durability{lsm.Synced}
	allKinds   = []lsm.Durability{lsm.Synced, lsm.Written, lsm.Queued, lsm.Queued}
)

// flavours are the scripted workloads: between them they reach every kind of file
// operation the engine does.
var flavours = []flavour{
	{name: "synced puts", writes: 60, keys: 40, value: 700, batch: 1, dels: 10, durs: onlySynced, memtable: 4 << 10, table: 2500, base: 6000, l0: 2, block: 500, windows: true},
	{name: "mixed durability", writes: 90, keys: 60, value: 400, batch: 2, dels: 15, syncs: 5, flushes: 2, durs: allKinds, memtable: 5 << 10, table: 2000, base: 8000, l0: 3, block: 400},
	{name: "batches and ranges", writes: 40, keys: 60, value: 200, batch: 12, spans: 8, dels: 10, flushes: 4, compacts: 2, durs: allKinds, memtable: 4 << 10, table: 2000, base: 6000, l0: 2, block: 300, compression: lsm.Zstd},
	{name: "reopening", writes: 50, keys: 30, value: 400, batch: 2, spans: 3, dels: 15, ttls: 10, reopens: 10, flushes: 3, compacts: 4, durs: allKinds, memtable: 4 << 10, table: 2000, base: 4000, l0: 1, block: 1, windows: true},
	{name: "expiry", writes: 60, keys: 25, value: 300, batch: 3, spans: 4, dels: 5, ttls: 40, flushes: 6, compacts: 6, reopens: 3, durs: onlySynced, memtable: 4 << 10, table: 1500, base: 4000, l0: 2, block: 100, compression: lsm.NoCompression},
}

// draw makes a script of a flavour.
func (f flavour) draw(seed uint64) *script {
	r := rand.New(rand.NewPCG(seed, 0x736372))
	s := &script{name: f.name, contents: []content{{}}}
	for i := range f.keys {
		s.keys = append(s.keys, fmt.Sprintf("key/%0*d", 1+i%3, i))
	}
	slices.Sort(s.keys)
	now := int64(0)
	for n := 1; n <= f.writes; n++ {
		for _, x := range []struct {
			share int
			do    action
		}{{f.flushes, flush}, {f.syncs, syncAll}, {f.compacts, compact}, {f.reopens, reopen}, {15, lookup}} {
			if r.IntN(100) < x.share {
				s.steps = append(s.steps, step{action: x.do})
			}
		}
		st := step{dur: f.durs[r.IntN(len(f.durs))], tick: int64(r.IntN(4))}
		now += st.tick
		m := maps.Clone(s.contents[n-1])
		for range 1 + r.IntN(f.batch) {
			c := change{key: s.keys[r.IntN(len(s.keys))], v: fmt.Sprintf("%d.%s", n, strings.Repeat("v", r.IntN(f.value)))}
			switch d := r.IntN(100); {
			case d < f.spans:
				at := r.IntN(len(s.keys))
				c = change{key: s.keys[at], end: s.keys[min(at+1+r.IntN(8), len(s.keys)-1)] + "\x00"}
			case d < f.spans+f.dels:
				c.del = true
			case d < f.spans+f.dels+f.ttls:
				c.ttl = int64(1 + r.IntN(60))
			}
			c.into(m, now)
			st.changes = append(st.changes, c)
		}
		s.steps = append(s.steps, st)
		s.contents = append(s.contents, m)
	}
	return s
}

// run is one execution of a script.
type run struct {
	f       flavour
	s       *script
	disk    *lsmtest.FS
	db      *lsm.DB // nil while closed
	now     atomic.Int64
	at      int          // the next step
	issued  atomic.Int64 // writes begun
	durable atomic.Int64 // writes that must survive a power cut
	written atomic.Int64 // writes that must survive the process

	flushes, compactions, opened int64 // up to the last close

	thorough bool // look at every operation of recoveries too
}

func newRun(f flavour, s *script) *run {
	r := &run{f: f, s: s, disk: lsmtest.NewFS()}
	r.disk.Windows(f.windows)
	return r
}

func (r *run) options(disk *lsmtest.FS) lsm.Options {
	return lsm.Options{
		FS: disk, Now: func() time.Time { return time.UnixMilli(r.now.Load()) },
		MemtableSize: r.f.memtable, TableSize: r.f.table, LevelBase: r.f.base, L0Tables: r.f.l0,
		BlockSize: r.f.block, CacheSize: 8 << 10, Compression: r.f.compression,
	}
}

func (r *run) open() (err error) {
	r.opened++
	r.db, err = lsm.Open("db", r.options(r.disk))
	return err
}

func (r *run) close() error {
	db := r.db
	r.db = nil
	st := db.Stats()
	r.flushes, r.compactions = r.flushes+st.Flushes, r.compactions+st.Compactions
	return db.Close()
}

// next executes the next step; false at the end. The step counts as done even if it
// fails.
func (r *run) next() (more bool, err error) {
	if r.at == len(r.s.steps) {
		return false, nil
	}
	s := r.s.steps[r.at]
	r.at++
	return true, r.do(s)
}

func (r *run) do(s step) error {
	r.now.Add(s.tick)
	n := r.issued.Load()
	switch s.action {
	case write:
		n = r.issued.Add(1)
		if err := r.write(s); err != nil {
			return err
		}
		if s.dur != lsm.Queued {
			r.written.Store(n)
		}
		if s.dur == lsm.Synced {
			r.durable.Store(n)
		}
		return nil
	case flush:
		if err := r.db.Flush(context.Background()); err != nil {
			return err
		}
	case syncAll:
		if err := r.db.Sync(); err != nil {
			return err
		}
	case compact:
		return r.db.Compact(context.Background(), lsm.Range{})
	case reopen:
		if err := r.close(); err != nil {
			return err
		}
		r.written.Store(n)
		r.durable.Store(n)
		return r.open()
	case lookup:
		_, err := read(r.db, r.s.keys)
		return err
	}
	r.written.Store(n)
	r.durable.Store(n)
	return nil
}

// write does a write in one of the ways there are.
func (r *run) write(s step) error {
	c := s.changes[0]
	switch {
	case len(s.changes) > 1:
		var b lsm.Batch
		for _, c := range s.changes {
			switch {
			case c.end != "":
				b.DeleteRange([]byte(c.key), []byte(c.end))
			case c.del:
				b.Delete([]byte(c.key))
			case c.ttl > 0:
				b.PutTTL([]byte(c.key), []byte(c.v), time.Duration(c.ttl)*time.Millisecond)
			default:
				b.Put([]byte(c.key), []byte(c.v))
			}
		}
		return r.db.Apply(&b, s.dur)
	case c.end != "":
		return r.db.DeleteRange([]byte(c.key), []byte(c.end), s.dur)
	case c.del:
		return r.db.Delete([]byte(c.key), s.dur)
	case c.ttl > 0:
		return r.db.Put([]byte(c.key), []byte(c.v), s.dur, lsm.TTL(time.Duration(c.ttl)*time.Millisecond))
	}
	return r.db.Update(context.Background(), func(tx *lsm.Txn) error { return tx.Put([]byte(c.key), []byte(c.v)) }, s.dur)
}

// read reads the whole database in three ways that must agree: by scans in both
// directions and by looking up each key that there may be.
func read(db *lsm.DB, keys []string) (string, error) {
	var forward, backward []string
	found := map[string]string{}
	for _, reverse := range []bool{false, true} {
		for e, err := range db.Scan(lsm.Range{Reverse: reverse}) {
			if err != nil {
				return "", err
			}
			expires := int64(0)
			if !e.Expires.IsZero() {
				expires = e.Expires.UnixMilli()
			}
			line := fmt.Sprintf("%s=%s@%d\n", e.Key, e.Value, expires)
			if reverse {
				backward = append(backward, line)
				continue
			}
			forward = append(forward, line)
			found[string(e.Key)] = string(e.Value)
		}
	}
	slices.Reverse(backward)
	if !slices.Equal(forward, backward) {
		return "", fmt.Errorf("scans disagree: %d entries forward, %d backward", len(forward), len(backward))
	}
	for _, k := range keys {
		v, err := db.Get([]byte(k))
		want, ok := found[k]
		if err != nil && !errors.Is(err, lsm.ErrNotFound) {
			return "", err
		}
		if (err == nil) != ok || string(v) != want {
			return "", fmt.Errorf("Get(%q) = %.20q, %v; a scan has %.20q, %v", k, v, err, want, ok)
		}
	}
	return strings.Join(forward, ""), nil
}

// check opens a database on a disk and holds what is there against the script: it must be
// the content after some write from the least to the most, and whole. It returns which.
func (r *run) check(disk *lsmtest.FS, least, most int64) (at int64, err error) {
	now := r.now.Load() // stands still: the run goes on beside the check
	o := r.options(disk)
	o.Now = func() time.Time { return time.UnixMilli(now) }
	db, err := lsm.Open("db", o)
	if err != nil {
		return 0, fmt.Errorf("open: %w", err)
	}
	defer func() {
		err = errors.Join(err, db.Close())
		if open := disk.OpenFiles(); err == nil && len(open) > 0 {
			err = fmt.Errorf("left open: %v", open)
		}
	}()
	got, err := read(db, r.s.keys)
	if err != nil {
		return 0, err
	}
	if err := db.Verify(context.Background()); err != nil {
		return 0, fmt.Errorf("verify: %w", err)
	}
	for i := most; i >= least; i-- {
		if r.s.contents[i].visible(now) == got {
			// It must also take writes.
			return i, errors.Join(db.Put([]byte("zz"), nil), db.Delete([]byte("zz")))
		}
	}
	for i := range r.s.contents {
		if r.s.contents[i].visible(now) == got {
			return 0, fmt.Errorf("found what was there after write %d; it must be one from %d to %d", i, least, most)
		}
	}
	return 0, fmt.Errorf("found what never was:\n%swrite %d:\n%s", got, least, r.s.contents[least].visible(now))
}
