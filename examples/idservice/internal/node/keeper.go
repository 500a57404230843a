package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ashlar-go/ashlar/snowflake"
)

// keep leases, serves and leases again until ctx ends.
func (n *Node) keep(ctx context.Context) {
	told := ""
	for ctx.Err() == nil {
		s, err := n.lease(ctx)
		if ctx.Err() != nil && s == nil {
			return
		}
		if err != nil {
			n.setReason(err)
			// The same trouble is told once, however often it is met.
			if kind := troubleKind(err); kind != told {
				told = kind
				n.event("refused", "no worker id: %v", err)
			}
			pause(ctx, min(n.o.TTL/4, time.Second))
			continue
		}
		told = ""
		n.serve(ctx, s)
	}
}

// troubleKind is what of an error does not change from one attempt to the next.
func troubleKind(err error) string {
	for _, kind := range []error{snowflake.ErrClock, snowflake.ErrNoNode, snowflake.ErrCorrupt, snowflake.ErrStore, context.DeadlineExceeded} {
		if errors.Is(err, kind) {
			return kind.Error()
		}
	}
	return err.Error()
}

// patience is how many lifetimes of a lease one attempt to get one may take. A holder whose
// clock is wrong is told by a record that has not changed for three of them, so it must be
// more than that.
const patience = 8

// lease gets a worker id and makes a generator for it.
func (n *Node) lease(ctx context.Context) (*session, error) {
	attempt, cancel := context.WithTimeout(ctx, patience*n.o.TTL)
	defer cancel()
	lease, err := snowflake.Acquire(attempt, n.store, snowflake.LeaseOptions{
		Nodes: n.o.Workers, Prefer: n.o.Prefer, TTL: n.o.TTL, Owner: n.o.ID, Now: n.o.Now,
	})
	if err != nil {
		return nil, err
	}
	gen, err := snowflake.New(snowflake.Options{
		Layout: n.o.Layout, Lease: lease, MarkEvery: n.o.MarkEvery, Now: n.o.Now, Logger: n.o.Logger,
	})
	if err != nil {
		return nil, err
	}
	return &session{gen: gen, lease: lease, over: make(chan struct{})}, nil
}

// serve puts a session up until it is over.
func (n *Node) serve(ctx context.Context, s *session) {
	n.count.leases.Add(1)
	n.session.Store(s)
	n.first.Do(func() { close(n.ready) })
	n.event("lease", "has worker id %d", s.gen.Node())
	n.watch(ctx, s)
	if ctx.Err() == nil {
		n.count.lost.Add(1)
		n.setReason(fmt.Errorf("%w: worker id %d", snowflake.ErrLeaseLost, s.gen.Node()))
		n.event("lost", "lost worker id %d, and asks for another", s.gen.Node())
	} else {
		n.setReason(snowflake.ErrClosed)
	}
	n.session.Store(nil)
	if err := s.gen.Close(); err != nil {
		// The ids are safe; the lease expires by itself.
		n.o.Logger.Warn("idservice: worker id not released", "node", n.o.ID, "err", err)
	}
}

// watch returns when a session is over. Meanwhile it warns of what is no error yet.
func (n *Node) watch(ctx context.Context, s *session) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	var w warnings
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.over:
			return
		case <-s.lease.Lost():
			return
		case <-tick.C:
			_, drift := n.drift.look()
			for _, said := range w.look(s.gen.Stats().Waits, drift) {
				n.event(said[0], "%s", said[1])
			}
		}
	}
}

const (
	lookEvery = time.Second
	muchDrift = time.Second // of a node's clock
)

// warnings says a thing once when it begins, and once when it is over.
type warnings struct {
	waits       int64
	busy, wrong bool
}

// look takes how many calls have waited for the sequence, and how far the clock is off. It
// returns the kinds and texts of events.
func (w *warnings) look(waits int64, drift time.Duration) (said [][2]string) {
	more := waits - w.waits
	busy, wrong := more > 0, drift.Abs() >= muchDrift
	switch {
	case busy && !w.busy:
		said = append(said, [2]string{"busy", fmt.Sprintf("all ids of its layout are taken: %d calls had to wait", more)})
	case !busy && w.busy:
		said = append(said, [2]string{"busy", "no call waits any more"})
	}
	switch {
	case wrong && !w.wrong:
		said = append(said, [2]string{"drift", fmt.Sprintf("its clock has gone wrong by %v", drift.Round(time.Millisecond))})
	case !wrong && w.wrong:
		said = append(said, [2]string{"drift", "its clock is right again"})
	}
	w.waits, w.busy, w.wrong = waits, busy, wrong
	return said
}

func (n *Node) event(kind, format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	n.o.Logger.Info("idservice: "+text, "node", n.o.ID)
	n.o.Event(Event{At: time.Now(), Node: n.o.ID, Kind: kind, Text: text})
}

// pause waits for d or the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
