package frontier

import (
	"strings"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/lsm"
)

// Result says how a visit went that needs no other.
type Result struct {
	// Latency is how long the host took to answer. Zero: not known.
	Latency time.Duration
	// Barren says that the page had nothing new: its content is known, or nearly, and so
	// are its links. Templates whose pages are barren are traps.
	Barren bool
	// Every makes the page be visited again and again: it is the pause that its class
	// calls for, used until its own changes are known. Zero: never again.
	Every time.Duration
	// Changed says that the content differs from that of the visit before; it counts only
	// if Every is set and there was one.
	Changed bool
}

// Failure says how a visit failed.
type Failure struct {
	// After is the least pause, such as a Retry-After. Options.Retries may make it longer.
	After time.Duration
	// Throttled says that the host asked for fewer requests (429, 503): its delay doubles,
	// and the whole host is left alone for After.
	Throttled bool
	// Latency is how long the host took to answer. Zero: not known.
	Latency time.Duration
	// Final makes it a dead letter at once.
	Final bool
	// Cause is kept with the dead letter; 512 bytes of it.
	Cause string
}

// What a lease can end in.
type endKind uint8

const (
	endDone  endKind = iota
	endAgain         // is held back until due
	endDead
	endTrap
)

type ending struct {
	kind    endKind
	due     int64 // ms
	cause   string
	counted bool // as a page fetched
}

// Done ends the lease: the URL was visited, and is not to be visited again unless r says
// so. Like Retry and Release it returns when that is durable to the degree of
// Options.Durability. ErrLease if the lease is over: then the URL may have been leased
// again.
func (l *Lease) Done(r Result) error {
	f := l.f
	e := l.e
	end := ending{kind: endDone, counted: true}
	return l.end(func(now int64) ending {
		f.succeeded(l.h, r.Latency)
		if r.Every > 0 {
			end.kind = endAgain
			end.due = (now + int64(f.o.next(&e, now, r))) / 1e6
		}
		return end
	}, &e, &r)
}

// Retry ends the lease: the visit failed, and is tried again after the pause that
// Options.Retries names for this attempt, if it names one; else the URL becomes a dead
// letter. The host's failures in a row open its breaker.
func (l *Lease) Retry(fail Failure) error {
	f := l.f
	e := l.e
	return l.end(func(now int64) ending {
		h := l.h
		after := int64(min(max(fail.After, 0), maxPause))
		if fail.Throttled {
			f.throttled(h)
			h.block = max(h.block, now+after)
			h.dirty = true
		}
		f.measured(h, fail.Latency)
		if !fail.Throttled {
			f.failed(h, now)
		}
		if fail.Final || int(e.attempts) >= len(f.o.Retries) {
			return ending{kind: endDead, cause: fail.Cause, counted: true}
		}
		pause := max(after, int64(f.o.Retries[e.attempts]))
		e.attempts++
		return ending{kind: endAgain, due: ticks(now + pause), counted: true}
	}, &e, nil)
}

// Release ends the lease without a judgement: the URL stays where it was, first in its
// queue, and the host is left alone for its delay, as it may have been visited. It writes
// nothing.
func (l *Lease) Release() error {
	f := l.f
	f.mu.Lock()
	defer f.unlock()
	now := f.advance()
	if err := f.holds(l); err != nil {
		return err
	}
	f.stats.Leased--
	f.stats.Released++
	l.h.lease++
	l.h.fence = now + f.delay(l.h)
	f.place(l.h, now)
	f.wakeUp()
	return nil
}

// end ends a lease with what decide makes of it. From when it is called until the store
// has it, the lease cannot expire.
func (l *Lease) end(decide func(now int64) ending, e *entry, r *Result) error {
	f, h := l.f, l.h
	f.mu.Lock()
	now := f.advance()
	if err := f.holds(l); err != nil {
		f.unlock()
		return err
	}
	f.wheel.remove(f.hosts, h)
	h.busy = true
	end := decide(now)
	f.unlock()
	err := f.finish(h, e, end)
	if err == nil && r != nil {
		err = f.judge(e.url, r.Barren)
	}

	f.mu.Lock()
	defer f.unlock()
	h.busy = false
	now = f.advance()
	if err != nil { // nothing goes on before the frontier is opened again
		f.wheel.put(f.hosts, h, max(ticks(clampTime(l.Expires)), f.wheel.now+1))
		return err
	}
	f.stats.Leased--
	h.lease++
	h.fence = now + f.delay(h)
	f.place(h, now)
	f.wakeUp()
	return nil
}

// finishing is the memory for a batch.
type finishing struct {
	batch lsm.Batch
	buf   []byte
}

var finishings = sync.Pool{New: func() any { return new(finishing) }}

// finish takes the item at hand out of its queue, and puts it where the ending says. The
// host is the caller's alone for the moment.
func (f *Frontier) finish(h *host, e *entry, end ending) error {
	w := finishings.Get().(*finishing)
	defer finishings.Put(w)
	w.batch.Reset()

	f.mu.Lock()
	q := *h.queueOf(h.level)
	now := f.clock.now
	if now-f.clock.saved > 1e9 {
		f.saveClock(&w.batch)
	}
	count := h.items
	f.mu.Unlock()
	last := q.pos+1 >= count
	note := doneKey(h.id, q.level)
	if last {
		k := chunkKey(h.id, q.level, q.head)
		w.batch.Delete(k[:])
		if count > 1 {
			w.batch.Delete(note[:])
		}
	} else {
		w.buf = appendDone(w.buf[:0], q.head, q.pos+1)
		w.batch.Put(note[:], w.buf)
	}
	var letter dead
	switch end.kind {
	case endAgain:
		k := timedKey(h.id, end.due, f.seq.Add(1))
		w.buf = appendTimed(w.buf[:0], e, h.name)
		w.batch.Put(k[:], w.buf)
	case endDead:
		letter = dead{entry: *e, at: foundTime(now), cause: strings.ToValidUTF8(end.cause[:min(len(end.cause), maxCause)], "")}
		k := deadKey(h.id, f.seq.Add(1))
		w.buf = appendDead(w.buf[:0], &letter, h.name)
		w.batch.Put(k[:], w.buf)
	}
	if err := f.writeEnding(h, w, end); err != nil {
		return err
	}

	f.mu.Lock()
	defer f.unlock()
	f.pass(h, last)
	h.expired = 0
	if end.counted {
		h.visits++
		h.stale = true
	}
	switch end.kind {
	case endDone:
		f.stats.Done++
	case endAgain:
		f.stats.HeldBack++
		f.stats.Waiting++
		h.waiting++
		if h.timed == 0 || end.due < h.timed {
			h.timed = end.due
		}
	case endDead:
		f.stats.Dead++
		if hook := f.o.Hooks.Dead; hook != nil {
			d := letter.public(h.name)
			f.news = append(f.news, func() { hook(d) })
		}
	case endTrap:
		f.stats.Trapped++
		if hook := f.o.Hooks.Trapped; hook != nil {
			url := e.url
			f.news = append(f.news, func() { hook(url) })
		}
	}
	return nil
}

// writeEnding writes a batch, and the host's record with it if that has changed by more
// than a visit.
func (f *Frontier) writeEnding(h *host, w *finishing, end ending) error {
	f.mu.Lock()
	plain := !h.dirty && !(h.budget != 0 && end.counted && milestone(h.visits+1))
	f.mu.Unlock()
	dur := f.o.Durability
	if end.kind == endTrap {
		dur = lsm.Queued // nobody was told
	}
	if !plain {
		f.writeMu.Lock()
		f.mu.Lock()
		visits := h.visits
		if end.counted {
			h.visits++
		}
		f.saveHost(&w.batch, h)
		h.visits = visits
		f.mu.Unlock()
		dur = f.ordered()
	}
	err := f.db.Apply(&w.batch, dur)
	if !plain {
		f.writeMu.Unlock()
	}
	if err != nil {
		return f.writeError("write the end of a lease", err)
	}
	if !plain {
		return f.settle()
	}
	return nil
}

// milestone says whether a host's visits are to be written down: often while they are few,
// then each 64th time, so that a crash forgets little of what its budget has paid for.
func milestone(n uint32) bool { return n&63 == 0 || n < 64 && n&(n-1) == 0 }

// pass moves a queue past its first item. The caller holds mu.
func (f *Frontier) pass(h *host, last bool) {
	q := h.queueOf(h.level)
	q.since = f.clock.now
	h.queued--
	f.stats.Queued--
	if !last {
		q.pos++
		return
	}
	if r := h.run; r != nil && (r.level != q.level || r.n != q.head || !r.follow()) {
		f.unload(h)
	}
	q.pos = 0
	if q.head++; q.head == q.tail {
		*q = h.levels[len(h.levels)-1]
		h.levels = h.levels[:len(h.levels)-1]
		if len(h.levels) == 0 {
			h.levels = nil
		}
	}
}
