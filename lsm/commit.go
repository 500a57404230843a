package lsm

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// The write path. Writers queue; the first becomes the leader, takes all that wait and
// commits them as a group:
//
//	queue ──▶ leader:  log.Append each ─▶ one Write ─▶ memtable ─▶ visible ─▶ next leader
//	                                                                  │
//	                                   those that asked for it share one Sync
//
// The leader hands leadership on before it syncs, so that the next group fills while the
// disk works; that group's sync then covers all of it. A lone writer passes through two
// uncontended locks and no channel.
//
// Invariants: log, memtables and sequence numbers are in the same order; a write becomes
// visible only after the log took it, to the degree of its durability; a log is never
// appended to after a failed write or sync.

// request is one write in the queue.
type request struct {
	batch *Batch
	dur   Durability
	check func() error // of a transaction: run when all writes before are visible
	err   error
	lead  bool
	wake  chan struct{}
	one   [1]*request // memory for a group of one
}

// newRequest is what the pool of a database makes. A pool of all databases would hand the
// channels of a testing/synctest bubble to those outside.
func newRequest() any { return &request{wake: make(chan struct{}, 1)} }

// maxGroup bounds the bytes of a group, so that a small write does not wait for a
// megabyte of others.
const maxGroup = 1 << 20

// commit writes one batch.
func (db *DB) commit(b *Batch, dur Durability, check func() error) error {
	if b.err != nil {
		return b.err
	}
	if b.Len() == 0 && check == nil {
		if dur == Synced {
			return db.Sync()
		}
		return db.writable()
	}
	r := db.requests.Get().(*request)
	defer db.requests.Put(r)
	r.batch, r.dur, r.check, r.err, r.lead = b, dur, check, nil, false

	db.queueMu.Lock()
	if db.leading {
		db.queue = append(db.queue, r)
		db.queueMu.Unlock()
		<-r.wake
		if !r.lead {
			return r.err
		}
	} else {
		db.leading = true
		db.queueMu.Unlock()
	}
	group := db.takeGroup(r)
	last := db.writeGroup(group)
	db.passLead()

	// A request that was woken is its owner's again: from here on only those that wait for
	// the sync are touched.
	waiting := group[:0]
	for _, g := range group {
		switch {
		case g.err == nil && g.dur == Synced:
			waiting = append(waiting, g)
		case g != r:
			g.wake <- struct{}{}
		}
	}
	if len(waiting) > 0 {
		err := db.syncTo(last)
		for _, g := range waiting {
			if g.err = err; g != r {
				g.wake <- struct{}{}
			}
		}
	}
	db.tell()
	return r.err
}

// takeGroup returns the leader's request and those that wait behind it.
func (db *DB) takeGroup(r *request) []*request {
	group := append(r.one[:0], r)
	size := r.batch.Size()
	db.queueMu.Lock()
	n := 0
	for n < len(db.queue) && size+db.queue[n].batch.Size() <= maxGroup {
		size += db.queue[n].batch.Size()
		n++
	}
	group = append(group, db.queue[:n]...)
	db.queue = append(db.queue[:0], db.queue[n:]...)
	db.queueMu.Unlock()
	return group
}

func (db *DB) passLead() {
	db.queueMu.Lock()
	defer db.queueMu.Unlock()
	if len(db.queue) == 0 {
		db.leading = false
		return
	}
	next := db.queue[0]
	db.queue = append(db.queue[:0], db.queue[1:]...)
	next.lead = true
	next.wake <- struct{}{}
}

// writeGroup commits the group up to the syncs and returns the last sequence number.
func (db *DB) writeGroup(group []*request) uint64 {
	db.commitMu.Lock()
	defer db.commitMu.Unlock()
	now := db.o.Now()
	var open []*request // appended to the log's buffer, not yet visible
	finish := func() {
		db.publish(open)
		open = open[:0]
	}
	for _, r := range group {
		if r.err = db.writable(); r.err != nil {
			continue
		}
		if r.check != nil {
			finish()
			if r.err = r.check(); r.err != nil {
				continue
			}
			if r.batch.Len() == 0 {
				continue
			}
		}
		if !db.mem.Fits(db.pendingCost+r.batch.cost, db.pendingOps+r.batch.Len()) {
			finish()
			if r.err = db.rotate(r.batch.cost); r.err != nil {
				continue
			}
		}
		db.log.Mark(db.log.synced)
		db.sealed = r.batch.seal(db.sealed, db.lastSeq+uint64(db.pendingOps)+1, now)
		db.log.Append(db.sealed[db.pendingBytes:])
		db.pendingBytes = len(db.sealed)
		db.pendingCost += r.batch.cost
		db.pendingOps += r.batch.Len()
		open = append(open, r)
	}
	finish()
	return db.lastSeq
}

// publish hands the log's buffer to the file if any of the requests needs that, inserts
// them into the memtable and makes them visible. The caller holds commitMu.
func (db *DB) publish(open []*request) {
	if len(open) == 0 {
		return
	}
	defer func() {
		const keep = 1 << 20
		if db.sealed = db.sealed[:0]; cap(db.sealed) > keep {
			db.sealed = nil
		}
		db.pendingBytes, db.pendingCost, db.pendingOps = 0, 0, 0
	}()
	flush := db.log.Buffered() >= 128<<10
	for _, r := range open {
		flush = flush || r.dur != Queued
	}
	if flush {
		if err := db.log.Flush(); err != nil {
			err = db.fail(fmt.Errorf("lsm: write log: %w", err))
			for _, r := range open {
				r.err = err
			}
			return
		}
	}
	rest := db.sealed
	for _, r := range open {
		n := r.batch.Size()
		s, ok := parseBatch(rest[:n])
		rest = rest[n:]
		seq := s.seq
		for o, more := s.next(); ok && more; o, more = s.next() {
			db.mem.Add(seq, o.kind, o.k, o.v)
			seq++
		}
	}
	db.lastSeq += uint64(db.pendingOps)
	db.visible.Store(db.lastSeq)
	db.stats.userBytes.Add(int64(len(db.sealed)))
}

// rotate makes the active memtable immutable and starts another, with a log of its own
// and room for a batch that costs so much. The caller holds commitMu.
func (db *DB) rotate(cost int) error {
	start := time.Now()
	db.mu.Lock()
	waited := false
	for db.cause == nil && !db.closing && (len(db.state.Load().imms) >= maxImmutable || len(db.state.Load().v.levels[0]) >= stopFactor*db.o.L0Tables) {
		waited = true
		db.wake()
		db.cond.Wait()
	}
	db.mu.Unlock()
	if waited {
		took := time.Since(start)
		db.stats.stalls.Add(1)
		db.stats.stallTime.Add(int64(took))
		if db.o.Hooks.Stalled != nil {
			db.note(func() { db.o.Hooks.Stalled(took) })
		}
	}
	if err := db.writable(); err != nil {
		return err
	}
	if err := db.log.Flush(); err != nil {
		return db.fail(fmt.Errorf("lsm: write log: %w", err))
	}
	l, m, err := db.takeSpare(cost)
	if err != nil {
		return db.fail(err)
	}
	db.logsMu.Lock()
	db.oldLogs, db.logNums = append(db.oldLogs, db.log), append(db.logNums, l.num)
	db.logsMu.Unlock()
	old := db.mem
	db.log, db.mem = l, m
	db.mu.Lock()
	defer db.mu.Unlock()
	s := db.state.Load()
	s.v.refs.Add(1)
	db.install(db.mem, append([]*mem{old}, s.imms...), s.v)
	db.wake()
	return nil
}

const (
	maxImmutable = 3 // memtables that may wait to be flushed before writes stop
	stopFactor   = 5 // times Options.L0Tables: tables at level 0 before writes stop
)

// Sync makes everything acknowledged so far durable, whatever durability it was written
// with. Calls that wait at the same time share one sync.
func (db *DB) Sync() error {
	if err := db.writable(); err != nil {
		return err
	}
	defer db.tell()
	return db.syncTo(db.visible.Load())
}

// turn lets one at a time do what many wait for. A mutex would wake those whom the last
// sync served one after the other, and let others begin a sync of their own in between.
type turn struct {
	mu    sync.Mutex
	cond  sync.Cond
	taken bool // guarded by mu
}

// take waits until done, or until it is the caller's turn, which give ends.
func (t *turn) take(done func() bool) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.taken && !done() {
		t.cond.Wait()
	}
	if done() {
		return false
	}
	t.taken = true
	return true
}

func (t *turn) give() {
	t.mu.Lock()
	t.taken = false
	t.mu.Unlock()
	t.cond.Broadcast()
}

// syncTo makes all writes up to seq durable.
func (db *DB) syncTo(seq uint64) error {
	if !db.syncTurn.take(func() bool { return db.syncedSeq.Load() >= seq }) {
		return nil
	}
	defer db.syncTurn.give()
	db.syncMu.Lock()
	defer db.syncMu.Unlock()
	if db.syncedSeq.Load() >= seq {
		return nil
	}
	db.commitMu.Lock()
	if err := db.writable(); err != nil {
		db.commitMu.Unlock()
		return err
	}
	if err := db.log.Flush(); err != nil {
		err = db.fail(fmt.Errorf("lsm: write log: %w", err)) // before another write gets in
		db.commitMu.Unlock()
		return err
	}
	// Older logs first: a log may be durable only if all before it are.
	db.logsMu.Lock()
	logs := append(append([]*logFile(nil), db.oldLogs...), db.log)
	for _, l := range logs {
		l.users++
	}
	db.logsMu.Unlock()
	defer db.letGo(logs)
	offset, last := db.log.Offset(), db.lastSeq
	db.commitMu.Unlock()
	for _, l := range logs {
		if err := l.file.Sync(); err != nil {
			return db.fail(fmt.Errorf("lsm: sync log: %w", err))
		}
	}
	db.stats.syncs.Add(1)
	old := logs[:len(logs)-1]
	db.commitMu.Lock()
	if l := logs[len(old)]; l == db.log { // not rotated out meanwhile
		l.synced = offset
	}
	db.commitMu.Unlock()
	db.logsMu.Lock()
	db.oldLogs = slices.DeleteFunc(db.oldLogs, func(l *logFile) bool {
		l.done = l.done || slices.Contains(old, l)
		return l.done
	})
	db.logsMu.Unlock()
	db.syncedSeq.Store(last)
	return nil
}

// letGo ends the use of logs, and closes those that nobody needs any more.
func (db *DB) letGo(logs []*logFile) {
	db.logsMu.Lock()
	defer db.logsMu.Unlock()
	for _, l := range logs {
		if l.users--; l.users == 0 && l.done {
			l.close(db)
		}
	}
}

// dropLogs closes and removes the logs below num, which tables have made superfluous.
func (db *DB) dropLogs(num uint64) {
	db.logsMu.Lock()
	defer db.logsMu.Unlock()
	db.oldLogs = slices.DeleteFunc(db.oldLogs, func(l *logFile) bool {
		if l.num >= num {
			return false
		}
		if l.done = true; l.users == 0 {
			l.close(db)
		}
		return true
	})
	db.logNums = slices.DeleteFunc(db.logNums, func(n uint64) bool {
		if n < num {
			db.removeFile(logName(n))
		}
		return n < num
	})
}
