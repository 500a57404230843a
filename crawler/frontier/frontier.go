package frontier

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/lsm"
)

// Frontier is an open frontier. All its methods are safe for concurrent use; after Close
// they return ErrClosed, or nothing.
//
// Locks, in the order in which they are taken: writeMu, mu. What is in memory is under mu,
// which is never held while the store works. writeMu orders everything that appends to
// queues or writes a host's record; ends of leases need it only if they do either.
type Frontier struct {
	o    Options
	db   *lsm.DB
	step int64 // ageing of one level, in nanoseconds

	writeMu sync.Mutex
	batch   lsm.Batch     // guarded by writeMu
	seen    *seen         // has locks of its own; added to under writeMu
	seq     atomic.Uint64 // numbers items that are held back, and dead letters
	started uint64        // what seq began with

	mu      sync.Mutex
	closed  bool
	failure error // of a write: what is in memory may differ from what is stored
	clock   clock
	hosts   *hosts
	wheel   wheel
	ready   ready
	live    int  // hosts that wait, are ready or leased
	loading bool // items that were held back before the start are still being found
	waiters []chan struct{}
	timer   *time.Timer
	timerAt int64 // when it fires, in nanoseconds; 0: it does not
	loaded  int64 // bytes in runs
	traps   *traps
	stats   Stats
	news    []func() // hooks to be called when mu is free

	stop chan struct{}
	work sync.WaitGroup
}

// clock turns the caller's clock into one that never goes back. A clock that is set back
// stands still for no longer than it takes to read it again; one that is set forward is
// believed up to a year, unless it carries a monotonic reading, as time.Now does.
type clock struct {
	read  func() time.Time
	last  time.Time
	now   int64 // nanoseconds since 1970
	saved int64 // as it stands in the store
}

func (c *clock) tick() int64 {
	t := c.read()
	if d := t.Sub(c.last); d > 0 && d < maxPause {
		c.now = min(c.now+int64(d), maxTime)
	}
	c.last = t
	return c.now
}

// maxTime is as far as times go, so that adding a pause to one does not overflow: the
// year 2200.
const maxTime = 7_258_118_400_000_000_000

// clamp brings a time into what the frontier reckons with.
func clampTime(t time.Time) int64 {
	switch s := t.Unix(); {
	case s <= 0:
		return 0
	case s >= maxTime/1e9:
		return maxTime
	}
	return t.UnixNano()
}

// now reads the clock. The caller holds mu.
func (f *Frontier) now() int64 { return f.clock.tick() }

// unlock releases mu and calls the hooks that came up.
func (f *Frontier) unlock() {
	news := f.news
	f.news = nil
	f.mu.Unlock()
	for _, call := range news {
		call()
	}
}

// delay is how long a host is left alone after a visit, in nanoseconds.
func (f *Frontier) delay(h *host) int64 {
	const ms = int64(time.Millisecond)
	adaptive := max(int64(h.penalty)*ms, int64(f.o.LatencyFactor*float64(h.latency))*ms)
	return max(int64(f.o.MinDelay), int64(h.base)*ms, min(adaptive, int64(f.o.MaxDelay)))
}

// place puts a host that is not leased where it belongs: with those that wait, those that
// are ready, or nowhere. The caller holds mu.
func (f *Frontier) place(h *host, now int64) {
	f.unplace(h)
	switch {
	case h.damaged:
		h.state = StateDamaged
	case h.held:
		h.state = StateHeld
	case len(h.levels) == 0 && h.timed == 0:
		h.state = StateIdle
	case h.budget != 0 && h.visits >= h.budget:
		h.state = StateSpent
	default:
		at := max(h.fence, h.block)
		if len(h.levels) == 0 {
			at = max(at, h.timed*1e6)
		}
		f.live++
		if t := ticks(at); t > f.wheel.now {
			h.state = StateWaiting
			f.wheel.put(f.hosts, h, t)
			return
		}
		f.list(h, now)
	}
}

// list puts a host in the list of its most urgent level.
func (f *Frontier) list(h *host, now int64) {
	h.state = StateReady
	l := uint8(0) // items that become due are sorted in first
	if !h.overdue(now) {
		l = h.best(f.step).level
	}
	f.ready.push(f.hosts, h, l, now)
}

// overdue reports whether items that were held back are due.
func (h *host) overdue(now int64) bool { return h.timed != 0 && h.timed*1e6 <= now }

// unplace takes a host out of wherever it is.
func (f *Frontier) unplace(h *host) {
	switch h.state {
	case StateWaiting, StateLeased:
		if h.slot != noSlot {
			f.wheel.remove(f.hosts, h)
		}
		f.live--
	case StateReady:
		f.ready.remove(f.hosts, h)
		f.live--
	}
	h.state = StateIdle
}

// advance lets time pass: hosts become ready, leases expire. The caller holds mu.
func (f *Frontier) advance() int64 {
	now := f.now()
	if t := now / tick; t > f.wheel.now {
		f.wheel.advance(f.hosts, t, func(h *host) {
			if h.state == StateLeased {
				f.live--
				f.expire(h, now)
				return
			}
			f.live--
			h.state = StateIdle
			f.place(h, now)
		})
	}
	return now
}

// expire ends a lease whose holder was not heard of. That it may still be at work on the
// host cannot be known; the host rests for its delay.
func (f *Frontier) expire(h *host, now int64) {
	f.stats.Leased--
	f.stats.Expired++
	h.lease++
	if h.expired < 255 {
		h.expired++
	}
	f.failed(h, now)
	h.fence = now + f.delay(h)
	h.state = StateIdle
	if hook := f.o.Hooks.Expired; hook != nil && h.run != nil {
		if e, err := h.run.entry(h.name); err == nil {
			f.news = append(f.news, func() { hook(e.url) })
		}
	}
	f.place(h, now)
}

// wakeUp wakes as many that wait as there are hosts ready, all of them if there will be
// none, and sees to it that somebody looks again when the next is due. The caller holds mu.
func (f *Frontier) wakeUp() {
	n := min(f.ready.count, len(f.waiters))
	if f.closed || f.failure != nil || f.live == 0 && !f.loading && !f.o.KeepOpen {
		n = len(f.waiters)
	}
	for _, w := range f.waiters[:n] {
		close(w)
	}
	f.waiters = append(f.waiters[:0], f.waiters[n:]...)
	if len(f.waiters) == 0 || f.closed {
		return
	}
	t, _, ok := f.wheel.next()
	if !ok {
		return
	}
	at := t * tick
	if f.timerAt != 0 && f.timerAt <= at {
		return
	}
	if f.timerAt != 0 && f.timer.Stop() {
		f.work.Done()
	}
	f.timerAt = at
	f.work.Add(1)
	f.timer = time.AfterFunc(time.Duration(max(at-f.clock.now, 0)), func() {
		defer f.work.Done()
		f.mu.Lock()
		defer f.unlock()
		if f.timerAt == at {
			f.timerAt = 0
		}
		if !f.closed {
			f.advance()
			f.wakeUp()
		}
	})
}

// Close ends the frontier: calls that wait return ErrClosed, leases are void, and what was
// queued is made durable. It waits for all that; further calls return nil.
func (f *Frontier) Close() error {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return nil
	}
	f.closed = true
	close(f.stop)
	if f.timerAt != 0 && f.timer.Stop() {
		f.work.Done()
	}
	f.wakeUp()
	f.mu.Unlock()
	f.work.Wait()
	f.writeMu.Lock()
	defer f.writeMu.Unlock()
	var saved error
	if f.failure == nil {
		saved = f.saveAll()
	}
	if err := f.db.Close(); err != nil {
		return storeError("close", err)
	}
	return saved
}

// saveAll writes the records of hosts that differ from what is stored, and the clock.
func (f *Frontier) saveAll() error {
	f.batch.Reset()
	write := func() error {
		if err := f.db.Apply(&f.batch, lsm.Queued); err != nil {
			return storeError("write hosts", err)
		}
		f.batch.Reset()
		return nil
	}
	f.saveClock(&f.batch)
	for id := range f.hosts.top + 1 {
		h := f.hosts.known(id)
		if h == nil || !h.saved || !h.dirty && !h.stale {
			continue
		}
		f.saveHost(&f.batch, h)
		if f.batch.Size() > 1<<20 {
			if err := write(); err != nil {
				return err
			}
		}
	}
	return write()
}

// saveHost puts a host's record into a batch. The caller holds writeMu, and mu if others
// may change the host.
func (f *Frontier) saveHost(b *lsm.Batch, h *host) {
	var mem [512]byte
	key := appendHostKey(mem[:0], tagHost, h.id)
	n := len(key)
	rec := appendHost(key, h)
	b.Put(rec[:n], rec[n:])
	h.saved, h.dirty, h.stale = true, false, false
}

// saveClock puts the time into a batch.
func (f *Frontier) saveClock(b *lsm.Batch) {
	b.Put(keyClock, appendClock(nil, f.clock.now))
	f.clock.saved = f.clock.now
}

// hostRecord writes the record of a host, and waits for it to be durable.
func (f *Frontier) hostRecord(h *host) error {
	f.writeMu.Lock()
	f.mu.Lock()
	if err := f.usable(); err != nil {
		f.mu.Unlock()
		f.writeMu.Unlock()
		return err
	}
	f.batch.Reset()
	f.saveHost(&f.batch, h)
	f.mu.Unlock()
	err := f.db.Apply(&f.batch, f.ordered())
	f.writeMu.Unlock()
	if err != nil {
		return f.writeError("write host", err)
	}
	return f.settle()
}

// usable returns why the frontier cannot be used, if it cannot. The caller holds mu.
func (f *Frontier) usable() error {
	if f.closed {
		return ErrClosed
	}
	return f.failure
}

// writeError ends the use of the frontier after a failed write: whether the store has what
// was written is not known, and what is in memory may differ.
func (f *Frontier) writeError(doing string, err error) error {
	err = storeError(doing, err)
	f.mu.Lock()
	defer f.unlock()
	if f.closed {
		return ErrClosed
	}
	if f.failure == nil {
		f.failure = fmt.Errorf("frontier: a write failed, open it again: %w", err)
		f.o.Logger.Error("frontier: a write failed", "err", err)
	}
	f.wakeUp()
	return err
}

// ordered is the durability of a write under writeMu, where nobody is to wait for a disk;
// settle brings what was written so up to the durability that was asked for.
func (f *Frontier) ordered() lsm.Durability {
	if f.o.Durability == lsm.Synced {
		return lsm.Queued
	}
	return f.o.Durability
}

func (f *Frontier) settle() error {
	if f.o.Durability != lsm.Synced {
		return nil
	}
	if err := f.db.Sync(); err != nil {
		return f.writeError("sync", err)
	}
	return nil
}

// hostNamed finds a host, or makes it. The caller holds mu.
func (f *Frontier) hostNamed(name string) *host {
	h := f.hosts.find(name)
	if h == nil {
		h = f.hosts.add(f.hosts.top+1, name)
		h.budget = uint32(f.o.Budget)
	}
	return h
}

// String describes the frontier in a line.
func (f *Frontier) String() string {
	s := f.Stats()
	return fmt.Sprintf("frontier: %d hosts, %d queued, %d leased, %d waiting, %d dead", s.Hosts, s.Queued, s.Leased, s.Waiting, s.Dead)
}
