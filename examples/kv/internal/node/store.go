package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ashlar-go/ashlar/examples/kv/internal/core"
	"github.com/ashlar-go/ashlar/lsm"
)

// store is a core.Store on an lsm.DB. Writes are visible when Apply returns; the syncer
// makes them durable behind its back.
type store struct {
	db      *lsm.DB
	durable func(token uint64) // called by the syncer
	log     *slog.Logger
	resume  time.Duration // between two attempts to write again after a failure

	batch lsm.Batch
	token atomic.Uint64 // of the last Apply that returned
	kicks chan struct{}
	stop  context.CancelFunc
	wg    sync.WaitGroup
}

func openStore(db *lsm.DB, durable func(uint64), log *slog.Logger) *store {
	ctx, stop := context.WithCancel(context.Background())
	s := &store{db: db, durable: durable, log: log, resume: time.Second, kicks: make(chan struct{}, 1), stop: stop}
	s.wg.Go(func() { s.sync(ctx) })
	return s
}

// Get implements core.Store.
func (s *store) Get(key []byte) ([]byte, error) {
	v, err := s.db.Get(key)
	if errors.Is(err, lsm.ErrNotFound) {
		return nil, nil
	}
	return v, err
}

// Scan implements core.Store.
func (s *store) Scan(prefix, after []byte) iter.Seq2[core.Entry, error] {
	r := lsm.Prefix(prefix)
	if bytes.Compare(after, r.Start) >= 0 {
		r.Start = append(bytes.Clone(after), 0)
	}
	return func(yield func(core.Entry, error) bool) {
		if len(r.End) > 0 && bytes.Compare(r.Start, r.End) >= 0 {
			return
		}
		for e, err := range s.db.Scan(r) {
			if !yield(core.Entry{Key: e.Key, Value: e.Value}, err) || err != nil {
				return
			}
		}
	}
}

// Apply implements core.Store. Queued is enough: nobody is told before the syncer has
// been there.
func (s *store) Apply(writes ...core.Entry) (uint64, error) {
	s.batch.Reset()
	for _, w := range writes {
		if w.Value == nil {
			s.batch.Delete(w.Key)
		} else {
			s.batch.Put(w.Key, w.Value)
		}
	}
	if err := s.db.Apply(&s.batch, lsm.Queued); err != nil {
		s.kick() // the syncer brings the database back
		return 0, storeError(err)
	}
	return s.token.Add(1), nil
}

// Writable implements core.Store.
func (s *store) Writable() error { return storeError(s.db.Err()) }

// storeError says in core's words that a disk is full.
func storeError(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("%w: %w", core.ErrNoSpace, err)
	}
	return err
}

// kick wakes the syncer.
func (s *store) kick() {
	select {
	case s.kicks <- struct{}{}:
	default:
	}
}

// sync makes durable what was applied, one sync after another. After a failure it waits
// until the disk takes writes again; what was applied before is then durable too, says
// lsm.
func (s *store) sync(ctx context.Context) {
	done := uint64(0)
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.kicks:
		}
		token := s.token.Load()
		err := s.db.Err()
		if err == nil && token > done {
			err = s.db.Sync()
		}
		for err != nil {
			s.log.Error("kv: the disk takes no writes", "err", err)
			select {
			case <-ctx.Done():
				return
			case <-time.After(s.resume):
			}
			token = s.token.Load()
			err = s.db.Resume(ctx)
			if err == nil {
				s.log.Info("kv: the disk takes writes again")
			}
		}
		if token > done {
			done = token
			s.durable(token)
		}
	}
}

// Close ends the syncer and closes the database.
func (s *store) Close() error {
	s.stop()
	s.wg.Wait()
	return s.db.Close()
}
