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
	select {
	case <-ctx.Done():
	case <-s.over:
	case <-s.lease.Lost():
	}
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
