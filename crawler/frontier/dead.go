package frontier

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"time"
)

// DeadLetter is a URL that is not tried any more.
type DeadLetter struct {
	URL      string
	Host     string
	Priority float64
	Depth    int
	Meta     []byte
	Found    time.Time
	Died     time.Time
	Attempts int    // that failed, the last one included
	Cause    string // what the last failure said

	id  uint32
	seq uint64
}

func (d *dead) public(host string) DeadLetter {
	return DeadLetter{
		URL: d.url, Host: host, Priority: priority(d.level), Depth: int(d.depth), Meta: d.meta,
		Found: time.Unix(d.found, 0), Died: time.Unix(d.at, 0), Attempts: int(d.attempts) + 1, Cause: d.cause,
	}
}

// DeadLetters ranges over the dead letters, host by host, as they are at its start. An
// error is yielded last.
func (f *Frontier) DeadLetters() iter.Seq2[DeadLetter, error] {
	return func(yield func(DeadLetter, error) bool) {
		for e, err := range f.db.Scan(tagRange(tagDead)) {
			if err != nil {
				yield(DeadLetter{}, f.readError("read dead letters", err))
				return
			}
			id, ok := hostOfKey(e.Key)
			name, there := f.nameOf(id)
			if !ok || !there {
				yield(DeadLetter{}, &RecordError{Key: e.Clone().Key, Detail: "bad key"})
				return
			}
			d, err := decodeDead(e.Value, name)
			if err != nil {
				yield(DeadLetter{}, &RecordError{Host: name, Key: e.Clone().Key, Detail: err.Error()})
				return
			}
			p := d.public(name)
			p.id, p.seq = id, binary.BigEndian.Uint64(e.Key[5:])
			if !yield(p, nil) {
				return
			}
		}
	}
}

// readError is a store's error, or ErrClosed.
func (f *Frontier) readError(doing string, err error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return ErrClosed
	}
	return storeError(doing, err)
}

func (f *Frontier) nameOf(id uint32) (string, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if h := f.hosts.known(id); h != nil {
		return h.name, true
	}
	return "", false
}

// Requeue queues dead letters for which keep is true once more, with all their attempts
// before them, and returns how many. nil stands for all of them. After an error some may
// have been queued.
func (f *Frontier) Requeue(ctx context.Context, keep func(DeadLetter) bool) (n int, err error) {
	return f.sweep(ctx, keep, true)
}

// Bury removes dead letters for which which is true for good, and returns how many. Their
// URLs stay known: Add ignores them. nil stands for all of them.
func (f *Frontier) Bury(ctx context.Context, which func(DeadLetter) bool) (n int, err error) {
	return f.sweep(ctx, which, false)
}

// sweep takes dead letters out, and queues them if asked to.
func (f *Frontier) sweep(ctx context.Context, which func(DeadLetter) bool, requeue bool) (n int, err error) {
	var list []DeadLetter
	flush := func() error {
		if err := ctx.Err(); err != nil {
			return err
		}
		done, err := f.remove(list, requeue)
		n += done
		list = list[:0]
		return err
	}
	for d, err := range f.DeadLetters() {
		if err != nil {
			return n, err
		}
		if which != nil && !which(d) {
			continue
		}
		if list = append(list, d); len(list) == maxRelease {
			if err := flush(); err != nil {
				return n, err
			}
		}
	}
	if err := flush(); err != nil {
		return n, err
	}
	return n, f.settle()
}

// remove removes those dead letters that are still there.
func (f *Frontier) remove(list []DeadLetter, requeue bool) (int, error) {
	s := scratches.Get().(*scratch)
	defer s.release()
	f.writeMu.Lock()
	defer f.writeMu.Unlock()
	f.batch.Reset()
	done := 0
	for i := range list {
		d := &list[i]
		k := deadKey(d.id, d.seq)
		there, err := f.db.Has(k[:])
		if err != nil {
			return 0, f.readError("look a dead letter up", err)
		}
		f.mu.Lock()
		h := f.hosts.known(d.id)
		usable := f.usable()
		f.mu.Unlock()
		if usable != nil {
			return 0, usable
		}
		if !there || h == nil || h.held {
			continue
		}
		f.batch.Delete(k[:])
		done++
		if requeue {
			lvl, _ := level(d.Priority)
			s.items = append(s.items, fresh{h: h, entry: entry{url: d.URL, level: lvl, depth: uint16(d.Depth), found: d.Found.Unix(), meta: d.Meta}})
		}
	}
	if done == 0 {
		return 0, nil
	}
	if err := f.enqueue(s); err != nil {
		return 0, fmt.Errorf("requeue: %w", err)
	}
	f.mu.Lock()
	f.stats.Dead -= int64(done)
	f.mu.Unlock()
	return done, nil
}
