package router

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/build"
	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/querylog"
	"github.com/ashlar-go/ashlar/trie"
)

// Rebuild makes a generation of the present one, faded, and of what was searched since,
// verifies it, hands it to the nodes, and lets it take over. If anything fails on the
// way, the present one goes on as if nothing had been.
func (r *Router) Rebuild(ctx context.Context) (*build.Manifest, error) {
	return r.rebuildFrom(ctx, nil)
}

func (r *Router) rebuildFrom(ctx context.Context, corpus iter.Seq2[string, uint64]) (m *build.Manifest, err error) {
	if !r.rebuild.TryLock() {
		return nil, ErrBusy
	}
	defer r.rebuild.Unlock()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(r.ctx, cancel)()
	p := r.plan.Load()
	if p == nil && corpus == nil {
		return nil, ErrEmpty
	}
	begun := time.Now()
	gen := r.state.Next
	r.state.Next++
	if err := r.save(); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			r.Counters.RebuildsRefused.Add(1)
			r.event("", "refused", "generation %d: %v", gen, err)
			_ = os.RemoveAll(r.dirOf(gen)) // it has no manifest that anybody reads; the next build removes what is left
		}
	}()
	o := build.Options{
		Dir: r.dirOf(gen), Generation: gen, Ranges: r.o.Ranges, Base: corpus, Keep: 1, Blocked: r.o.Blocked, MaxTerm: MaxPrefix,
		Now: r.o.Now(), Built: r.o.Built,
	}
	since := uint64(0)
	if p != nil {
		whole, err := trie.Open(filepath.Join(p.dir, build.Whole))
		if err != nil {
			return nil, err
		}
		o.Base, o.Parent, since = whole.All(), p.Manifest, p.UpTo
		o.Keep = math.Exp2(-max(0, o.Now.Sub(p.At).Seconds()) / r.o.HalfLife.Seconds())
	}
	o.UpTo, _ = r.log.Last()
	o.Searches = func(yield func(string, error) bool) {
		err := r.log.After(since, o.UpTo, func(rec querylog.Record) bool { return yield(rec.Term, nil) })
		if err != nil {
			yield("", err)
		}
	}
	if m, err = build.Run(ctx, o); err != nil {
		return nil, err
	}
	next, err := r.open(gen)
	if err != nil {
		return nil, err
	}
	next.parent = p
	r.staging.Store(gen) // until it is served: nobody may take it from the nodes before
	defer r.staging.Store(0)
	if err := r.stage(ctx, next); err != nil {
		return nil, err
	}
	if err := r.swap(next); err != nil {
		return nil, err
	}
	r.Counters.Rebuilds.Add(1)
	r.event("", "swap", "generation %d: %d terms, %d searches counted, after %v", gen, m.Terms, m.UpTo-since, time.Since(begun).Round(time.Millisecond))
	r.clean(next)
	return m, nil
}

// stage hands a generation to all nodes that are up. Every range must have come to one of
// them at least; a node that says that what it got is damaged stops it all.
func (r *Router) stage(ctx context.Context, p *plan) error {
	var mu sync.Mutex
	var damaged error
	have := make([]bool, p.shards.Len())
	var wg sync.WaitGroup
	for _, n := range r.nodes {
		wg.Go(func() {
			if _, err := n.look(ctx); err != nil {
				return // it is away, and gets it when it returns
			}
			for i := range p.shards.Len() {
				if !slices.Contains(r.owners(i), n) {
					continue
				}
				sub, cancel := context.WithTimeout(ctx, stageTime)
				err := n.stage(sub, p.Generation, i, filepath.Join(p.dir, build.Range(i)))
				cancel()
				mu.Lock()
				if err == nil {
					have[i] = true
				} else if refused(err) {
					damaged = errors.Join(damaged, err)
				}
				mu.Unlock()
				if err != nil {
					return
				}
			}
		})
	}
	wg.Wait()
	if damaged != nil {
		return fmt.Errorf("%w: %w", ErrStage, damaged)
	}
	if i := slices.Index(have, false); i >= 0 {
		return fmt.Errorf("%w: no node took range %d", ErrStage, i)
	}
	return ctx.Err()
}

// swap makes p what is served, once that is on disk. The caller holds rebuild.
func (r *Router) swap(p *plan) error {
	was := r.state
	r.state.Current, r.state.Previous = p.Generation, 0
	if p.parent != nil {
		// No more than one is kept: what it came from cannot be returned to from here.
		parent := *p.parent
		parent.parent = nil
		p.parent = &parent
		r.state.Previous = parent.Generation
	}
	if err := r.save(); err != nil {
		r.state = was
		return err
	}
	r.plan.Store(p)
	for _, n := range r.nodes {
		select {
		case n.wake <- struct{}{}:
		default:
		}
	}
	return nil
}

func (r *Router) save() error {
	b, err := json.Marshal(r.state)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(r.o.Dir, 0o755); err != nil {
		return err
	}
	return build.WriteFile(filepath.Join(r.o.Dir, stateFile), b)
}

// Rollback returns to the generation before the last Rebuild. What was searched since is
// counted again in the next one.
func (r *Router) Rollback() error {
	if !r.rebuild.TryLock() {
		return ErrBusy
	}
	defer r.rebuild.Unlock()
	p := r.plan.Load()
	if p == nil || p.parent == nil {
		return ErrNoPrevious
	}
	back := *p.parent
	if err := r.swap(&back); err != nil {
		return err
	}
	r.event("", "rollback", "generation %d serves in the place of %d", back.Generation, p.Generation)
	return nil
}

// clean removes what no generation that may still serve needs: folders, and the log up to
// what the older of them has counted, but for the searches of now.
func (r *Router) clean(p *plan) {
	upTo := p.UpTo
	if p.parent != nil {
		upTo = p.parent.UpTo
	}
	oldest := r.o.Now().Add(-r.o.Window)
	keep := upTo
	err := r.log.After(0, upTo, func(rec querylog.Record) bool {
		if rec.At.After(oldest) {
			keep = rec.Seq - 1
			return false
		}
		return true
	})
	if err == nil && keep > 0 {
		err = r.log.Forget(keep)
	}
	if err != nil {
		r.o.Logger.Warn("autocomplete: the log cannot be shortened", "err", err)
	}
	dirs, err := os.ReadDir(filepath.Join(r.o.Dir, "generations"))
	for _, d := range dirs {
		gen, parseErr := strconv.ParseUint(d.Name(), 10, 64)
		if parseErr != nil || gen == r.state.Current || gen == r.state.Previous {
			continue
		}
		err = errors.Join(err, os.RemoveAll(r.dirOf(gen)))
	}
	if err != nil {
		r.o.Logger.Warn("autocomplete: old generations cannot be removed", "err", err)
	}
}

// nightly rebuilds at its times. One that fails is tried again twice, a little later each
// time, and then given up until the next night; who watches the counters hears of it.
func (r *Router) nightly() {
	for {
		select {
		case <-time.After(r.o.RebuildEvery):
		case <-r.ctx.Done():
			return
		}
		for pause := time.Second; pause <= 4*time.Second; pause *= 2 {
			_, err := r.Rebuild(r.ctx)
			if err == nil || errors.Is(err, ErrBusy) {
				break
			}
			select {
			case <-time.After(pause):
			case <-r.ctx.Done():
				return
			}
		}
	}
}
