// Package redis connects a gateway to the Redis that it shares limits on, and starts one
// for the story and for tests where redis-server is installed.
package redis

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/examples/internal/resp"
)

// ErrClosed is returned by Do after Close.
var ErrClosed = errors.New("redis: closed")

// Client sends commands over connections that it keeps, each used by one caller at a time.
// It is safe for concurrent use, and a redisstore.Doer.
type Client struct {
	addr string
	room chan struct{}

	mu     sync.Mutex
	idle   []*resp.Client // guarded by mu
	closed bool           // guarded by mu
}

// NewClient makes a client of the server at addr with at most conns connections; 0 means
// 32. It does not connect yet.
func NewClient(addr string, conns int) *Client {
	if conns <= 0 {
		conns = 32
	}
	return &Client{addr: addr, room: make(chan struct{}, conns)}
}

// Do sends a command and returns its reply. A connection that failed is not used again;
// no command is sent twice.
func (c *Client) Do(ctx context.Context, args ...any) (any, error) {
	select {
	case c.room <- struct{}{}:
		defer func() { <-c.room }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	conn, err := c.get(ctx)
	if err != nil {
		return nil, err
	}
	// Done means now: the deadline of the past makes a call under way return.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = word(a)
	}
	r, err := conn.Do(words...)
	var refused resp.ServerError
	if !stop() || err != nil && !errors.As(err, &refused) {
		conn.Close()
		if ctx.Err() != nil {
			err = ctx.Err()
		} else {
			// The server is gone, and with it what the others are connected to. One after
			// the other would fail long after it is back.
			c.forget()
		}
		return nil, err
	}
	c.put(conn)
	if err != nil {
		return nil, err
	}
	return value(r)
}

func (c *Client) get(ctx context.Context) (*resp.Client, error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, ErrClosed
	}
	if n := len(c.idle); n > 0 {
		conn := c.idle[n-1]
		c.idle = c.idle[:n-1]
		c.mu.Unlock()
		return conn, nil
	}
	c.mu.Unlock()
	return resp.Dial(ctx, c.addr)
}

func (c *Client) put(conn *resp.Client) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		conn.Close()
		return
	}
	c.idle = append(c.idle, conn)
}

// forget closes the connections that nobody uses.
func (c *Client) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.idle {
		conn.Close()
	}
	c.idle = nil
}

// Close closes the connections that nobody uses, and the others when their calls end.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.forget()
	return nil
}

// word is an argument as it is sent.
func word(a any) string {
	switch a := a.(type) {
	case string:
		return a
	case []byte:
		return string(a)
	case int:
		return strconv.Itoa(a)
	case int64:
		return strconv.FormatInt(a, 10)
	}
	return fmt.Sprint(a)
}

// value is a reply as a redisstore.Doer returns it.
func value(r resp.Reply) (any, error) {
	switch {
	case r.Null:
		return nil, nil
	case r.Kind == ':':
		return r.Int, nil
	case r.Kind == '*':
		list := make([]any, len(r.Elems))
		for i, e := range r.Elems {
			if err := e.Err(); err != nil {
				return nil, err
			}
			v, err := value(e)
			if err != nil {
				return nil, err
			}
			list[i] = v
		}
		return list, nil
	case r.Kind == '+' || r.Kind == '$':
		return string(r.Bytes), nil
	}
	return nil, fmt.Errorf("redis: a reply of type %q", r.Kind)
}
