package router

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/build"
	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/node"
	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/querylog"
)

const (
	feedSize  = 2000 // records that are fed at a time
	stageTime = 5 * time.Minute
)

// follow keeps one node up to date, for as long as the router runs: it gives it the ranges
// that it lacks, takes from it what nobody needs any more, and feeds it the log. A node
// that has all that counts as up; one that was killed, or whose disk was lost, gets it
// all again.
func (r *Router) follow(n *remote) {
	var boot uint64
	for r.ctx.Err() == nil {
		_, grown := r.log.Last() // before it is read: what comes meanwhile wakes us at once
		s, err := n.look(r.ctx)
		if err == nil {
			err = r.bring(n, s)
		}
		switch was := n.up.Load(); {
		case r.ctx.Err() != nil:
			return
		case err != nil:
			if n.up.Store(false); was || boot != 0 {
				r.event(n.ID, "down", "%v", err)
			}
			boot = 0
			n.mu.Lock()
			n.fail = err.Error()
			n.mu.Unlock()
		case r.plan.Load() != nil:
			n.up.Store(true)
			if boot != s.Boot {
				boot = s.Boot
				r.event(n.ID, "up", "holds its ranges and the searches of now")
			}
			n.mu.Lock()
			n.fail = ""
			n.mu.Unlock()
		}
		if err != nil {
			grown = nil // no haste
		}
		select {
		case <-grown:
		case <-n.wake:
			select { // it has just failed: a moment, so that we do not spin
			case <-time.After(r.o.Heartbeat / 4):
			case <-r.ctx.Done():
			}
		case <-time.After(r.o.Heartbeat):
		case <-r.ctx.Done():
		}
	}
}

// bring brings a node up to date.
func (r *Router) bring(n *remote, s node.Status) error {
	p := r.plan.Load()
	if p == nil {
		return nil
	}
	wanted := []*plan{p}
	if p.parent != nil {
		wanted = append(wanted, p.parent)
	}
	for _, p := range wanted {
		if err := r.complete(n, p, s.Generations[p.Generation]); err != nil {
			return err
		}
	}
	for gen := range s.Generations {
		if gen == r.staging.Load() || slices.ContainsFunc(wanted, func(p *plan) bool { return p.Generation == gen }) {
			continue
		}
		// Not one that was swapped in since we looked.
		if now := r.plan.Load(); now != p {
			return nil
		}
		if err := n.drop(r.ctx, gen); err != nil {
			return err
		}
	}
	return r.feedTo(n, s.Applied)
}

// complete hands a node the ranges of a generation that it owns and does not have.
func (r *Router) complete(n *remote, p *plan, has []int) error {
	for i := range p.shards.Len() {
		if slices.Contains(has, i) || !slices.Contains(r.owners(i), n) {
			continue
		}
		ctx, cancel := context.WithTimeout(r.ctx, stageTime)
		err := n.stage(ctx, p.Generation, i, filepath.Join(p.dir, build.Range(i)))
		cancel()
		if err != nil {
			return fmt.Errorf("range %d of generation %d: %w", i, p.Generation, err)
		}
	}
	return nil
}

// feedTo feeds a node what it has not been fed, from the last hour.
func (r *Router) feedTo(n *remote, applied uint64) error {
	for {
		last, _ := r.log.Last()
		if applied >= last {
			return nil
		}
		oldest := r.o.Now().Add(-r.o.Window)
		f := node.Feed{UpTo: applied}
		err := r.log.After(applied, last, func(rec querylog.Record) bool {
			f.UpTo = rec.Seq
			if rec.At.After(oldest) {
				rec.User = 0 // is none of a node's business
				f.Records = append(f.Records, rec)
			}
			return len(f.Records) < feedSize
		})
		if err != nil {
			return err
		}
		if len(f.Records) < feedSize {
			f.UpTo = last // what was counted and forgotten has left holes
		}
		ctx, cancel := context.WithTimeout(r.ctx, 20*r.o.Timeout)
		applied, err = n.feed(ctx, f)
		cancel()
		if err != nil {
			return err
		}
		if len(f.Records) > 0 {
			n.mu.Lock()
			n.lag = r.o.Now().Sub(f.Records[len(f.Records)-1].At)
			n.mu.Unlock()
		}
		if applied < f.UpTo {
			return fmt.Errorf("%s was fed up to %d and stands at %d", n.ID, f.UpTo, applied)
		}
	}
}
