package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
	"github.com/ashlar-go/ashlar/examples/kv/internal/core"
)

var _ api.Store = (*Node)(nil)

// Get implements api.Store.
func (n *Node) Get(ctx context.Context, key []byte, o api.ReadOptions) (*api.Read, error) {
	d, err := n.ask(ctx, core.Request{Action: core.Get, Key: bytes.Clone(key), Read: o})
	if err != nil {
		return nil, err
	}
	return d.Read, nil
}

// Put implements api.Store.
func (n *Node) Put(ctx context.Context, key, value []byte, o api.WriteOptions) (*api.Written, error) {
	if len(value) > api.MaxValue {
		return nil, api.ErrValueTooLarge // before it is copied
	}
	o.Context = bytes.Clone(o.Context)
	d, err := n.ask(ctx, core.Request{Action: core.Put, Key: bytes.Clone(key), Value: bytes.Clone(value), Write: o})
	if err != nil {
		return nil, err
	}
	return d.Written, nil
}

// Delete implements api.Store.
func (n *Node) Delete(ctx context.Context, key []byte, o api.WriteOptions) (*api.Written, error) {
	o.Context = bytes.Clone(o.Context)
	d, err := n.ask(ctx, core.Request{Action: core.Delete, Key: bytes.Clone(key), Write: o})
	if err != nil {
		return nil, err
	}
	return d.Written, nil
}

// Scan implements api.Store.
func (n *Node) Scan(ctx context.Context, prefix []byte, o api.ScanOptions) (*api.Page, error) {
	o.After = bytes.Clone(o.After)
	d, err := n.ask(ctx, core.Request{Action: core.Scan, Key: bytes.Clone(prefix), Scan: o})
	if err != nil {
		return nil, err
	}
	return d.Page, nil
}

// ask hands a request to the loop and waits for its answer.
func (n *Node) ask(ctx context.Context, r core.Request) (*core.Done, error) {
	begun := time.Now()
	r.ID = n.lastID.Add(1)
	if deadline, ok := ctx.Deadline(); ok {
		r.Timeout = max(deadline.Sub(begun).Milliseconds(), 1)
	}
	reply := make(chan *core.Done, 1)
	size := len(r.Key) + len(r.Value) + len(r.Write.Context)
	if err := n.box.wait(ctx, mail{event: r, reply: reply, size: size}); err != nil {
		if errors.Is(err, api.ErrClosed) {
			return nil, err
		}
		return nil, fmt.Errorf("%w: %w", api.ErrUnavailable, err)
	}
	// From here on a write may happen.
	lost := api.ErrUnavailable
	if r.Action == core.Put || r.Action == core.Delete {
		lost = api.ErrUnknown
	}
	select {
	case d := <-reply:
		n.latency.add(begun, time.Since(begun))
		return d, d.Err
	case <-ctx.Done():
		return nil, fmt.Errorf("%w: %w", lost, ctx.Err())
	case <-n.stopped:
		select {
		case d := <-reply: // at the last moment
			return d, d.Err
		default:
		}
		if lost == api.ErrUnknown {
			return nil, fmt.Errorf("%w: %w", lost, api.ErrClosed)
		}
		return nil, errClosed
	}
}
