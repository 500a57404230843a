// Package querylog keeps what people searched for, in the order in which it came, until it
// has been counted. It is an lsm store:
//
//	"e" + sequence number (8 bytes, big-endian)  →  a Record
//
// Everything else follows from it: the next generation of suggestions is the last one and
// what was logged since; what is searched right now is the log of the last hour, fed to
// the nodes; and a node that was away asks for what it missed.
package querylog

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/lsm"
)

var (
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("autocomplete: the log is closed")
	// ErrDamaged is matched by a record that cannot be read.
	ErrDamaged = errors.New("autocomplete: damaged record in the log")
)

// Record is one search. Who searched is a keyed hash of whatever the client called the
// user: the log cannot be read back into names without the service's secret.
type Record struct {
	Seq    uint64    `json:"seq"`
	At     time.Time `json:"at"`
	User   uint64    `json:"user,omitempty"` // 0: not known
	Picked bool      `json:"picked,omitempty"`
	Term   string    `json:"term"`
}

// Options of a Log.
type Options struct {
	Now    func() time.Time // nil: time.Now
	FS     lsm.FS           // nil: the operating system's
	Logger *slog.Logger     // nil: silent
}

// Log is safe for concurrent use.
type Log struct {
	db  *lsm.DB
	now func() time.Time

	mu      sync.Mutex
	pending []*waiting    // guarded by mu: to be written together
	last    uint64        // guarded by mu: the newest record that is on disk
	grown   chan struct{} // guarded by mu: closed when last grows
	closed  bool          // guarded by mu

	wake chan struct{}
	done chan struct{}
}

type waiting struct {
	Record
	err  error
	done chan struct{}
}

// Open opens the log in a folder, or makes it.
func Open(dir string, o Options) (*Log, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	db, err := lsm.Open(dir, lsm.Options{FS: o.FS, Logger: o.Logger, MemtableSize: 8 << 20, CacheSize: 8 << 20})
	if err != nil {
		return nil, err
	}
	l := &Log{db: db, now: o.Now, grown: make(chan struct{}), wake: make(chan struct{}, 1), done: make(chan struct{})}
	for e, err := range db.Scan(lsm.Range{Start: key(0), End: []byte{'e' + 1}, Reverse: true, KeysOnly: true}) {
		if err == nil && len(e.Key) != 9 {
			err = ErrDamaged
		}
		if err != nil {
			return nil, errors.Join(err, db.Close())
		}
		l.last = binary.BigEndian.Uint64(e.Key[1:])
		break
	}
	// The numbers of records that were removed are not given again.
	floor, err := db.Get(floorKey)
	switch {
	case err == nil && len(floor) == 8:
		l.last = max(l.last, binary.BigEndian.Uint64(floor))
	case err == nil:
		return nil, errors.Join(ErrDamaged, db.Close())
	case !errors.Is(err, lsm.ErrNotFound):
		return nil, errors.Join(err, db.Close())
	}
	go l.run()
	return l, nil
}

var floorKey = []byte("floor")

func key(seq uint64) []byte { return binary.BigEndian.AppendUint64([]byte{'e'}, seq) }

// Append writes one search and returns when it survives a loss of power. Searches that
// arrive together share one sync.
func (l *Log) Append(ctx context.Context, term string, user uint64, picked bool) (Record, error) {
	w := &waiting{Record: Record{User: user, Picked: picked, Term: term}, done: make(chan struct{})}
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return Record{}, ErrClosed
	}
	l.pending = append(l.pending, w)
	l.mu.Unlock()
	select {
	case l.wake <- struct{}{}:
	default:
	}
	select {
	case <-w.done:
		return w.Record, w.err
	case <-ctx.Done():
		return Record{}, ctx.Err() // it may be written all the same
	}
}

// run writes what is pending, again and again.
func (l *Log) run() {
	defer close(l.done)
	for range l.wake {
		l.mu.Lock()
		all, seq, closed := l.pending, l.last, l.closed
		l.pending = nil
		l.mu.Unlock()
		var b lsm.Batch
		at := l.now()
		for _, w := range all {
			seq++
			w.Seq, w.At = seq, at
			b.Put(key(seq), encode(w.Record))
		}
		var err error
		if len(all) > 0 {
			err = l.db.Apply(&b)
		}
		l.mu.Lock()
		if err == nil && seq > l.last {
			l.last = seq
			close(l.grown)
			l.grown = make(chan struct{})
		}
		l.mu.Unlock()
		for _, w := range all {
			w.err = err
			close(w.done)
		}
		if closed {
			return
		}
	}
}

// Last is the number of the newest record, and a channel that is closed when there is a
// newer one.
func (l *Log) Last() (seq uint64, grown <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last, l.grown
}

// After calls f for the records with numbers from after+1 to upTo, in order, until it
// returns false.
func (l *Log) After(after, upTo uint64, f func(Record) bool) error {
	if after >= upTo {
		return nil
	}
	for e, err := range l.db.Scan(lsm.Range{Start: key(after + 1), End: append(key(upTo), 0)}) {
		if err != nil {
			return err
		}
		r, err := decode(e.Key, e.Value)
		if err != nil {
			return err
		}
		if !f(r) {
			return nil
		}
	}
	return nil
}

// Forget removes the records up to a number.
func (l *Log) Forget(upTo uint64) error {
	l.mu.Lock()
	last := l.last
	l.mu.Unlock()
	upTo = min(upTo, last)
	var b lsm.Batch
	b.Put(floorKey, binary.BigEndian.AppendUint64(nil, last))
	b.DeleteRange(key(0), append(key(upTo), 0))
	return l.db.Apply(&b)
}

// Close writes what is pending and closes the store.
func (l *Log) Close() error {
	l.mu.Lock()
	was := l.closed
	l.closed = true
	l.mu.Unlock()
	if was {
		<-l.done
		return nil
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
	<-l.done
	return l.db.Close()
}

// A record is its time in nanoseconds, the user, a flag, and the term.
const fixed = 8 + 8 + 1

func encode(r Record) []byte {
	b := make([]byte, 0, fixed+len(r.Term))
	b = binary.BigEndian.AppendUint64(b, uint64(r.At.UnixNano()))
	b = binary.BigEndian.AppendUint64(b, r.User)
	flag := byte(0)
	if r.Picked {
		flag = 1
	}
	return append(append(b, flag), r.Term...)
}

func decode(k, v []byte) (Record, error) {
	if len(k) != 9 || len(v) <= fixed || v[16] > 1 {
		return Record{}, fmt.Errorf("%w: %x", ErrDamaged, k)
	}
	return Record{
		Seq: binary.BigEndian.Uint64(k[1:]), At: time.Unix(0, int64(binary.BigEndian.Uint64(v))),
		User: binary.BigEndian.Uint64(v[8:]), Picked: v[16] == 1, Term: string(v[fixed:]),
	}, nil
}
