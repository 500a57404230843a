package frontier

import (
	"encoding/binary"
	"errors"
	"math"
	"sync"

	"github.com/ashlar-go/ashlar/lsm"
)

// Open opens the frontier in dir, creating it when there is none. ErrLocked of lsm if it
// is open already; ErrForeign if something else is there; ErrCorrupt if it is damaged.
//
// No host is visited before its delay has passed from now on: what was visited before, and
// when, need not have survived. Leases of an earlier process are void, and their items
// queued as if they had not been leased.
//
// What it reads is the log of the store, the hosts and their queues, which takes a second
// for some ten million items. Two things are done behind: filling the filter, until when
// Add looks every URL up, and finding the items that are held back.
func Open(dir string, o Options) (*Frontier, error) {
	o, err := o.validate()
	if err != nil {
		return nil, err
	}
	db, err := lsm.Open(dir, o.Store)
	if err != nil {
		return nil, storeError("open", err)
	}
	f := &Frontier{
		o: o, db: db, step: int64(o.Ageing) / 3, hosts: newHosts(), stop: make(chan struct{}),
		traps: newTraps(o.TrapSample), loading: true,
	}
	if err := f.load(); err != nil {
		db.Close()
		return nil, err
	}
	f.work.Go(f.loadBehind)
	return f, nil
}

// load reads what leases need.
func (f *Frontier) load() error {
	saved, fresh, err := f.loadFormat()
	if err != nil {
		return err
	}
	if err := f.countStart(); err != nil {
		return err
	}
	t := f.o.Now()
	begin := clampTime(t)
	if begin == maxTime { // a clock that cannot be right
		begin = 0
	}
	f.clock = clock{read: f.o.Now, last: t, now: max(begin, saved), saved: saved}
	now := f.clock.now
	f.wheel.now = now / tick
	if fresh {
		f.seen = newSeen(f.db, 0)
		f.seen.complete.Store(true)
		f.loading = false
	} else {
		var entries uint64
		for _, l := range f.db.Stats().Levels {
			entries += l.Entries
		}
		f.seen = newSeen(f.db, int64(entries/2))
	}
	if err := f.loadHosts(); err != nil {
		return err
	}
	if err := f.loadQueues(now); err != nil {
		return err
	}
	if err := f.loadTemplates(); err != nil {
		return err
	}
	for id := range f.hosts.top + 1 {
		if h := f.hosts.known(id); h != nil {
			h.fence = now + f.delay(h)
			f.place(h, now)
		}
	}
	return nil
}

// loadFormat finds out whether the directory is a frontier's, and makes it one if it is
// empty. It returns the latest time that an earlier process saw.
func (f *Frontier) loadFormat() (saved int64, fresh bool, err error) {
	v, err := f.db.Get(keyFormat)
	switch {
	case errors.Is(err, lsm.ErrNotFound):
		for _, err := range f.db.Scan(lsm.Range{KeysOnly: true}) {
			if err != nil {
				return 0, false, storeError("read", err)
			}
			return 0, false, ErrForeign
		}
		var b lsm.Batch
		b.Put(keyFormat, []byte{formatVersion})
		if err := f.db.Apply(&b, lsm.Synced); err != nil {
			return 0, false, storeError("write", err)
		}
		return 0, true, nil
	case err != nil:
		return 0, false, storeError("read", err)
	case len(v) != 1 || v[0] != formatVersion:
		return 0, false, ErrForeign
	}
	v, err = f.db.Get(keyClock)
	switch {
	case errors.Is(err, lsm.ErrNotFound):
		return 0, false, nil
	case err != nil:
		return 0, false, storeError("read", err)
	}
	saved, err = decodeClock(v)
	if err != nil {
		return 0, false, &RecordError{Key: keyClock, Detail: err.Error()}
	}
	return saved, false, nil
}

// countStart counts the starts of the frontier. The count begins the numbers that are given
// out from now on, so that no number comes twice, whatever the clock and a crash do.
func (f *Frontier) countStart() error {
	var starts uint64
	v, err := f.db.Get(keyStarts)
	switch {
	case errors.Is(err, lsm.ErrNotFound):
	case err != nil:
		return storeError("read", err)
	default:
		r := reader{b: v}
		r.version()
		starts = r.uvarint(maxStarts)
		if err := r.end(); err != nil {
			return &RecordError{Key: keyStarts, Detail: err.Error()}
		}
	}
	if starts++; starts > maxStarts {
		return &RecordError{Key: keyStarts, Detail: "started too often"}
	}
	f.started = starts << 40
	f.seq.Store(f.started)
	var b lsm.Batch
	b.Put(keyStarts, binary.AppendUvarint([]byte{recordVersion}, starts))
	if err := f.db.Apply(&b, lsm.Synced); err != nil {
		return storeError("write", err)
	}
	return nil
}

const maxStarts = 1<<24 - 1

func appendClock(b []byte, now int64) []byte {
	return binary.AppendUvarint(append(b, recordVersion), uint64(now))
}

func decodeClock(v []byte) (int64, error) {
	r := reader{b: v}
	r.version()
	now := int64(r.uvarint(maxTime))
	return now, r.end()
}

// loadHosts reads the hosts' records.
func (f *Frontier) loadHosts() error {
	for e, err := range f.db.Scan(tagRange(tagHost)) {
		if err != nil {
			return storeError("read hosts", err)
		}
		id, ok := hostOfKey(e.Key)
		h, err := decodeHost(e.Value)
		switch {
		case !ok || id == 0 || id == math.MaxUint32:
			return &RecordError{Key: e.Clone().Key, Detail: "not a key of a host"}
		case err != nil:
			return &RecordError{Key: e.Clone().Key, Detail: err.Error()}
		case id > f.hosts.top+maxGap:
			return &RecordError{Host: h.name, Key: e.Clone().Key, Detail: "number out of range"}
		case f.hosts.find(h.name) != nil:
			return &RecordError{Host: h.name, Key: e.Clone().Key, Detail: "second record of a host"}
		}
		n := f.hosts.add(id, h.name)
		h.name, h.id, h.slot, h.saved = n.name, id, noSlot, true
		*n = h
	}
	return nil
}

// maxGap is how far apart the numbers of two hosts may be: what was dropped in between.
const maxGap = 1 << 26

// found is one queue of a host as the store has it.
type found struct {
	id    uint32
	level uint8
	head  uint32
	tail  uint32
	items uint32
}

// loadQueues finds what is queued. The store is read in two halves at the same time.
func (f *Frontier) loadQueues(now int64) error {
	middle := appendHostKey(nil, tagChunk, f.hosts.top/2+1)
	parts := []lsm.Range{tagRange(tagChunk), tagRange(tagChunk)}
	parts[0].End, parts[1].Start = middle, middle
	var lists [2][]found
	var errs [2]error
	var both sync.WaitGroup
	for i, r := range parts {
		both.Go(func() { lists[i], errs[i] = f.scanQueues(r) })
	}
	both.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	for _, list := range lists {
		for _, c := range list {
			h := f.hosts.known(c.id)
			h.levels = append(h.levels, queue{level: c.level, head: c.head, tail: c.tail, since: now})
			h.queued += c.items
			f.stats.Queued += int64(c.items)
		}
	}
	for e, err := range f.db.Scan(tagRange(tagDone)) {
		if err != nil {
			return storeError("read queues", err)
		}
		id, ok := hostOfKey(e.Key)
		h := f.hosts.known(id)
		n, items, err := decodeDone(e.Value)
		if !ok || h == nil || err != nil {
			return &RecordError{Key: e.Clone().Key, Detail: "bad note of what is done"}
		}
		q := h.queueOf(e.Key[5])
		if q == nil || q.head != n || uint32(items) >= h.queued {
			return &RecordError{Host: h.name, Key: e.Clone().Key, Detail: "done more than there is"}
		}
		q.pos = items
		h.queued -= uint32(items)
		f.stats.Queued -= int64(items)
	}
	return nil
}

func (f *Frontier) scanQueues(r lsm.Range) (list []found, err error) {
	var last *found
	for e, err := range f.db.Scan(r) {
		if err != nil {
			return nil, storeError("read queues", err)
		}
		id, ok := hostOfKey(e.Key)
		if !ok || e.Key[5] >= levelCount || f.hosts.known(id) == nil {
			return nil, &RecordError{Key: e.Clone().Key, Detail: "not a key of a known host's queue"}
		}
		level, n := e.Key[5], binary.BigEndian.Uint32(e.Key[6:])
		items, err := chunkCount(e.Value)
		if err != nil {
			return nil, &RecordError{Host: f.hosts.known(id).name, Key: e.Clone().Key, Detail: err.Error()}
		}
		if last == nil || last.id != id || last.level != level {
			list = append(list, found{id: id, level: level, head: n, tail: n})
			last = &list[len(list)-1]
		}
		if n != last.tail || n == math.MaxUint32 {
			return nil, &RecordError{Host: f.hosts.known(id).name, Key: e.Clone().Key, Detail: "a part of the queue is missing before"}
		}
		last.tail = n + 1
		last.items += uint32(items)
	}
	return list, nil
}

// loadBehind does what leases need not wait for.
func (f *Frontier) loadBehind() {
	if err := f.loadTimed(); err != nil {
		f.o.Logger.Error("frontier: items that are held back were not all found", "err", err)
	}
	f.mu.Lock()
	f.loading = false
	f.wakeUp()
	f.unlock()
	if f.seen.complete.Load() {
		return
	}
	err := f.seen.fill(func() (func(), bool) {
		select {
		case <-f.stop:
			return nil, false
		default:
			f.writeMu.Lock()
			return f.writeMu.Unlock, true
		}
	})
	if err != nil {
		f.o.Logger.Error("frontier: the filter was not filled, Add looks every URL up", "err", err)
	}
}

// loadTimed finds for each host when the first of its items that are held back is due, and
// counts them and the dead letters.
func (f *Frontier) loadTimed() error {
	if f.seen.complete.Load() {
		return nil // a new frontier
	}
	type first struct {
		id    uint32
		due   int64
		items uint32
	}
	var list []first
	enter := func() bool {
		f.mu.Lock()
		defer f.unlock()
		if f.closed {
			return false
		}
		now := f.advance()
		for _, c := range list {
			h := f.hosts.known(c.id)
			if h == nil {
				continue
			}
			h.waiting += c.items
			f.stats.Waiting += int64(c.items)
			f.holdBack(h, c.due, now)
		}
		list = list[:0]
		f.wakeUp()
		return true
	}
	r := tagRange(tagTimed)
	r.KeysOnly = true
	for e, err := range f.db.Scan(r) {
		if err != nil {
			return storeError("read items that are held back", err)
		}
		id, ok := hostOfKey(e.Key)
		if !ok {
			return &RecordError{Key: e.Clone().Key, Detail: "bad key"}
		}
		if binary.BigEndian.Uint64(e.Key[13:]) >= f.started {
			continue
		}
		if n := len(list); n == 0 || list[n-1].id != id {
			if n == 4096 && !enter() {
				return nil
			}
			list = append(list, first{id: id, due: int64(binary.BigEndian.Uint64(e.Key[5:]))})
		}
		list[len(list)-1].items++
	}
	if !enter() {
		return nil
	}
	var dead int64
	r = tagRange(tagDead)
	r.KeysOnly = true
	for e, err := range f.db.Scan(r) {
		if err != nil {
			return storeError("read dead letters", err)
		}
		if len(e.Key) == 13 && binary.BigEndian.Uint64(e.Key[5:]) < f.started {
			dead++
		}
	}
	f.mu.Lock()
	f.stats.Dead += dead
	f.mu.Unlock()
	return nil
}

// holdBack notes that the host has an item that is due then, in milliseconds. The caller
// holds mu.
func (f *Frontier) holdBack(h *host, due, now int64) {
	if h.timed != 0 && h.timed <= due {
		return
	}
	h.timed = due
	if h.state == StateIdle || h.state == StateWaiting && len(h.levels) == 0 {
		f.place(h, now)
	}
}
