package frontier

import (
	"context"
	"encoding/binary"
	"errors"
	"time"
)

// Lease is the right to visit one URL, and with it its host: no other lease of the same
// host is given out before this one is ended by Done, Retry or Release, or expires, and
// the host's delay has passed since. Its fields are the holder's to read.
type Lease struct {
	URL      string
	Host     string // name of the queue
	Priority float64
	Depth    int
	Meta     []byte
	Found    time.Time // when it was added
	Attempt  int       // number of failed attempts before
	Visits   int       // number of visits before, where it is visited again and again
	Last     time.Time // the last of them; zero if there was none
	Expires  time.Time // by the frontier's clock; see Extend

	f     *Frontier
	h     *host
	id    uint32 // of the host
	lease uint32
	e     entry
}

// Lease waits until some host may be visited, and returns its most urgent URL. ErrDrained
// if none is left and Options.KeepOpen does not say to wait for more; ErrClosed; ctx's
// error. A *RecordError tells of a host that had to be set aside; the next call goes on
// with the others.
//
// Of hosts that are ready, the one comes first whose URL is the most urgent, where having
// waited for Options.Ageing outweighs one step of priority; of equals the one that is
// ready the longest. The same rule chooses among the URLs of a host: its priorities share
// it, each counting from when it was served last.
func (f *Frontier) Lease(ctx context.Context) (*Lease, error) {
	for {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		l, wait, err := f.take(true)
		if l != nil || err != nil {
			return l, err
		}
		select {
		case <-wait:
		case <-ctx.Done():
			f.giveUp(wait)
			return nil, ctx.Err()
		}
	}
}

// TryLease is Lease that does not wait: ErrNotReady, if no host may be visited now. It
// goes by Options.Now alone, and so suits a clock that the caller moves.
func (f *Frontier) TryLease() (*Lease, error) {
	l, _, err := f.take(false)
	return l, err
}

// Next returns when a host may be visited, as far as is known now: a moment that is past
// if one is ready. ok is false if nothing waits. It can be early, never late.
func (f *Frontier) Next() (t time.Time, ok bool) {
	f.mu.Lock()
	defer f.unlock()
	if f.closed {
		return time.Time{}, false
	}
	now := f.advance()
	if f.ready.count > 0 {
		return time.Unix(0, now), true
	}
	at, _, ok := f.wheel.next()
	return time.Unix(0, at*tick), ok
}

// giveUp takes a waiter out. If it was woken already, the wake goes to another.
func (f *Frontier) giveUp(wait chan struct{}) {
	f.mu.Lock()
	defer f.unlock()
	for i, w := range f.waiters {
		if w == wait {
			f.waiters = append(f.waiters[:i], f.waiters[i+1:]...)
			return
		}
	}
	f.wakeUp()
}

// take leases the most urgent URL, or returns a channel that is closed when it is worth
// another try.
func (f *Frontier) take(wait bool) (*Lease, chan struct{}, error) {
	f.mu.Lock()
	for {
		if err := f.usable(); err != nil {
			f.unlock()
			return nil, nil, err
		}
		f.advance()
		h := f.ready.pop(f.hosts, f.step)
		if h == nil {
			break
		}
		h.state = StateLeased
		h.busy = true
		h.lease++
		f.mu.Unlock()

		l, err := f.open(h)

		f.mu.Lock()
		h.busy = false
		if l != nil {
			expires := f.now() + int64(f.o.LeaseTime)
			f.wheel.put(f.hosts, h, max(ticks(expires), f.wheel.now+1))
			l.lease, l.Expires = h.lease, time.Unix(0, expires)
			f.stats.Leased++
			f.stats.Leases++
			f.unlock()
			return l, nil, nil
		}
		h.damaged = errors.Is(err, ErrCorrupt)
		f.place(h, f.now())
		if err != nil {
			f.stats.Damaged++
			f.unlock()
			return nil, nil, err
		}
	}
	defer f.unlock()
	if !f.o.KeepOpen && f.live == 0 && !f.loading {
		return nil, nil, ErrDrained
	}
	if !wait {
		return nil, nil, ErrNotReady
	}
	w := make(chan struct{})
	f.waiters = append(f.waiters, w)
	f.wakeUp()
	return nil, w, nil
}

// open gets the item of a host that is the caller's alone for the moment. It returns
// neither a lease nor an error if the host has to be placed anew: it got items that were
// held back, or lost some to a trap.
func (f *Frontier) open(h *host) (*Lease, error) {
	f.mu.Lock()
	now := f.now()
	overdue := h.overdue(now)
	var q queue
	if b := h.best(f.step); b != nil {
		q = *b
	}
	r := h.run
	f.mu.Unlock()
	if overdue {
		return nil, f.release(h, now)
	}
	if r == nil || r.level != q.level || r.n != q.head {
		var err error
		if r, err = f.loadRun(h, q); err != nil {
			return nil, err
		}
	} else if err := r.seek(q.pos); err != nil {
		return nil, f.damage(h, q, err)
	}
	e, err := r.entry(h.name)
	if err != nil {
		return nil, f.damage(h, q, err)
	}
	f.mu.Lock()
	h.level, h.items = q.level, r.count
	expired := h.expired
	f.mu.Unlock()
	if expired >= maxExpired {
		return nil, f.finish(h, &e, ending{kind: endDead, cause: "its leases expire"})
	}
	if f.traps.pass(f.o.Template, e.url) {
		return nil, f.finish(h, &e, ending{kind: endTrap})
	}
	l := &Lease{
		URL: e.url, Host: h.name, Priority: priority(e.level), Depth: int(e.depth), Meta: e.meta,
		Found: time.Unix(e.found, 0), Attempt: int(e.attempts), Visits: int(e.visits),
		f: f, h: h, id: h.id, e: e,
	}
	if e.visits > 0 {
		l.Last = time.Unix(e.last, 0)
	}
	return l, nil
}

// maxExpired is how many leases of a URL may expire in a row before it is a dead letter:
// it may be what kills its visitors.
const maxExpired = 3

// maxRelease is how many items that are due go into the queue at once.
const maxRelease = 256

// release puts items that were held back and are due into the queue. The host is the
// caller's alone for the moment.
func (f *Frontier) release(h *host, now int64) error {
	s := scratches.Get().(*scratch)
	defer s.release()
	f.writeMu.Lock()
	defer f.writeMu.Unlock()
	f.batch.Reset()
	var next int64
	moved := 0
	for e, err := range f.db.Scan(hostRange(tagTimed, h.id)) {
		if err != nil {
			return storeError("read items that are held back", err)
		}
		if len(e.Key) != 21 {
			return &RecordError{Host: h.name, Key: e.Clone().Key, Detail: "bad key"}
		}
		due := int64(binary.BigEndian.Uint64(e.Key[5:]))
		if due*1e6 > now || moved == maxRelease {
			next = due
			break
		}
		item, err := decodeTimed(e.Value, h.name)
		if err != nil {
			return &RecordError{Host: h.name, Key: e.Clone().Key, Detail: err.Error()}
		}
		f.batch.Delete(e.Key)
		s.items = append(s.items, fresh{entry: item, h: h})
		moved++
	}
	if moved > 0 {
		if err := f.enqueue(s); err != nil {
			return err
		}
	}
	f.mu.Lock()
	h.timed = next
	h.waiting -= uint32(moved)
	f.stats.Waiting -= int64(moved)
	f.mu.Unlock()
	return nil
}

// Extend lets the lease live for another Options.LeaseTime from now. ErrLease if it is
// over.
func (l *Lease) Extend() error {
	f := l.f
	f.mu.Lock()
	defer f.unlock()
	now := f.advance()
	if err := f.holds(l); err != nil {
		return err
	}
	expires := now + int64(f.o.LeaseTime)
	f.wheel.remove(f.hosts, l.h)
	f.wheel.put(f.hosts, l.h, max(ticks(expires), f.wheel.now+1))
	l.Expires = time.Unix(0, expires)
	return nil
}

// holds reports whether a lease is alive. The caller holds mu.
func (f *Frontier) holds(l *Lease) error {
	switch {
	case f.closed:
		return ErrClosed
	case f.failure != nil:
		return f.failure
	case l.h.id != l.id || l.h.lease != l.lease || l.h.state != StateLeased || l.h.busy:
		return ErrLease
	}
	return nil
}
