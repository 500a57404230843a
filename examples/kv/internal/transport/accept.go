package transport

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// accept serves incoming connections until the listener closes.
func (t *Transport) accept() {
	for {
		c, err := t.o.Listener.Accept()
		if err != nil {
			if t.ctx.Err() == nil && !errors.Is(err, net.ErrClosed) {
				// Out of file descriptors, say: go on when some are free again.
				t.o.Logger.Warn("transport: accept", "err", err)
				select {
				case <-t.ctx.Done():
					return
				case <-time.After(50 * time.Millisecond):
				}
				continue
			}
			return
		}
		t.wg.Go(func() { t.serve(c) })
	}
}

// serve reads frames of one peer and hands them over, one after another.
func (t *Transport) serve(c net.Conn) {
	if !t.track(c, "") {
		c.Close()
		return
	}
	defer t.untrack(c)
	from, err := t.welcome(c)
	if err != nil {
		t.o.Logger.Warn("transport: caller refused", "addr", c.RemoteAddr(), "err", err)
		return
	}
	if !t.track(c, from) {
		return
	}
	br := bufio.NewReaderSize(c, 64<<10)
	for {
		frame, err := readFrame(br, t.o.MaxFrame)
		if err != nil {
			if !errors.Is(err, io.EOF) && t.ctx.Err() == nil {
				t.o.Logger.Debug("transport: connection lost", "peer", from, "err", err)
			}
			return
		}
		if t.isCut(from) {
			return
		}
		t.received.Add(1)
		t.receivedBytes.Add(uint64(len(frame)))
		t.o.Receive(from, frame)
	}
}

// welcome learns who calls and says who this is.
func (t *Transport) welcome(c net.Conn) (string, error) {
	if err := c.SetDeadline(time.Now().Add(t.o.DialTimeout)); err != nil {
		return "", err
	}
	h, err := readHello(c)
	if err != nil {
		return "", err
	}
	// Say who this is even to a caller that will be refused: it learns what went wrong.
	if _, err := c.Write(appendHello(nil, hello{cluster: t.o.Cluster, from: t.o.ID, to: h.from})); err != nil {
		return "", err
	}
	switch {
	case h.cluster != t.o.Cluster:
		return "", fmt.Errorf("%w: %s belongs to cluster %q", ErrHandshake, h.from, h.cluster)
	case h.to != t.o.ID:
		return "", fmt.Errorf("%w: %s looks for %s", ErrHandshake, h.from, h.to)
	case h.from == t.o.ID:
		return "", fmt.Errorf("%w: the caller has this node's own name %s", ErrHandshake, h.from)
	case t.isCut(h.from):
		return "", fmt.Errorf("%w: %s is cut off", ErrHandshake, h.from)
	}
	return h.from, c.SetDeadline(time.Time{})
}
