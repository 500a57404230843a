package trie

import (
	"context"
	"errors"
)

// A merge builds a new base of the base and the frozen delta while the active one takes
// the updates:
//
//	base │ active             start: active is frozen, a new one takes its place
//	base │ frozen │ active    build, in the background: nobody waits
//	base'│ active             one store of a pointer; with Dir, after base' is durable
//
// Updates hold Index.mu, the build does not. A merge that fails leaves the frozen delta
// where it is, so that nothing is lost, and is tried again when the active one is full.

// startMerge begins a merge, unless one is going on. x.mu is held.
func (x *Index) startMerge() {
	if x.run != nil || x.closed {
		return
	}
	of := x.now.Load()
	if of.frozen == nil {
		if x.log != nil {
			if err := x.log.rotate(); err != nil {
				x.err = err
				return
			}
		}
		of = &layers{base: of.base, frozen: of.active, active: &delta{}}
		x.now.Store(of)
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &mergeRun{cancel: cancel, done: make(chan struct{})}
	x.run = m
	x.merging.Go(func() {
		defer cancel()
		m.err = x.merge(ctx, of)
		if m.err != nil && ctx.Err() != nil {
			m.err = errGivenUp // and what it says besides is of no interest
		}
		x.mu.Lock()
		if x.run == m {
			x.run, x.retry = nil, 0
			if m.err != nil {
				x.retry = len(x.now.Load().active.nodes) + x.o.MaxDelta/4 + 1
			} else if len(x.now.Load().active.nodes) >= x.o.MaxDelta {
				x.startMerge() // updates came faster than they were merged
			}
		}
		stats := x.stats()
		x.mu.Unlock()
		close(m.done)
		x.tell(stats, m.err)
	})
}

// mergeRun is one merge.
type mergeRun struct {
	cancel context.CancelFunc
	done   chan struct{} // closed when it has ended
	err    error         // then
}

func (x *Index) tell(stats Stats, err error) {
	if x.o.Logger != nil && err != nil && !errors.Is(err, errGivenUp) {
		x.o.Logger.Error("trie: merge failed", "err", err)
	} else if x.o.Logger != nil && err == nil {
		x.o.Logger.Info("trie: merged", "stats", stats.String())
	}
	if x.o.OnCompact != nil && !errors.Is(err, errGivenUp) {
		x.o.OnCompact(stats, err)
	}
}

// stopMerge gives up the merge that is going on; its layers stay as they are. x.mu is held.
func (x *Index) stopMerge() {
	if x.run != nil {
		x.run.cancel()
		x.run = nil
	}
}

// merge builds the new base and puts it in place.
func (x *Index) merge(ctx context.Context, of *layers) error {
	s, err := x.build(ctx, of)
	if err != nil {
		return err
	}
	var file string
	if x.log != nil {
		if file, err = x.log.writeBase(s); err != nil {
			return err
		}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	// Who stops a merge holds the lock, so that it is known here whether it still counts.
	if err := ctx.Err(); err != nil {
		if x.log != nil {
			x.log.discard(file)
		}
		return err
	}
	if x.log != nil {
		if err := x.log.commitBase(file); err != nil {
			return err
		}
	}
	active := x.now.Load().active
	if planted(bugMergeForgets) {
		active = &delta{}
	}
	x.now.Store(&layers{base: s, active: active})
	x.bases.Add(1)
	return nil
}

func (x *Index) build(ctx context.Context, of *layers) (*Snapshot, error) {
	defer of.base.mapping.alive()
	// Symbols that were trained on nearly the same terms are as good as new.
	table := of.base.symbols
	if changed := len(of.frozen.nodes); of.base.Len() < reuseSymbols || changed > of.base.Len()/4 {
		var err error
		if table, err = trainOn(ctx, x.o.Builder, of.base.Len()+changed, of.items()); err != nil {
			return nil, err
		}
	}
	return buildSorted(ctx, x.o.Builder, table, of.items())
}

// reuseSymbols is from how many terms on a base's symbols are worth keeping: on fewer, they
// may have been trained on too little.
const reuseSymbols = 100_000

// Compact merges all that was changed into the base and returns when that is done, or when
// ctx is; the merge goes on then in the background. Neither searches nor updates wait.
func (x *Index) Compact(ctx context.Context) error {
	for {
		x.mu.Lock()
		if err := x.usable(); err != nil {
			x.mu.Unlock()
			return err
		}
		of := x.now.Load()
		again := of.frozen != nil // what is going on does not have the latest
		if !again && len(of.active.nodes) == 0 {
			x.mu.Unlock()
			return nil
		}
		x.startMerge()
		run, err := x.run, x.err
		x.mu.Unlock()
		if err != nil {
			return err
		}
		select {
		case <-run.done:
		case <-ctx.Done():
			return ctx.Err()
		}
		if errors.Is(run.err, errGivenUp) {
			continue // because of a Swap, or of Close, as the next round will see
		}
		if run.err != nil || !again {
			return run.err
		}
	}
}
