// Package client is a client of the cluster for stories, tests and load: it keeps the map
// of slots, follows redirections, and tries again while a shard is without a primary.
package client

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/slots"
	"github.com/ashlar-go/ashlar/examples/internal/resp"
)

// Client is not safe for concurrent use; each goroutine has its own.
type Client struct {
	seeds []string
	conns map[string]*resp.Client
	owner [slots.Count]string // address, empty: not known
	next  int                 // of seeds

	Moved, Asked, Retried int // redirections, and attempts that failed
}

// New makes a client that knows some nodes' addresses; it connects when needed.
func New(seeds ...string) *Client {
	return &Client{seeds: seeds, conns: map[string]*resp.Client{}}
}

// Close closes all connections.
func (c *Client) Close() {
	for addr := range c.conns {
		c.drop(addr)
	}
}

func (c *Client) drop(addr string) {
	if conn := c.conns[addr]; conn != nil {
		conn.Close()
		delete(c.conns, addr)
	}
}

// attempt bounds one try; the context bounds all.
const attempt = 2 * time.Second

func (c *Client) conn(ctx context.Context, addr string) (*resp.Client, error) {
	conn := c.conns[addr]
	if conn == nil {
		ctx, cancel := context.WithTimeout(ctx, attempt)
		defer cancel()
		var err error
		if conn, err = resp.Dial(ctx, addr); err != nil {
			return nil, err
		}
		c.conns[addr] = conn
	}
	return conn, conn.SetDeadline(time.Now().Add(attempt))
}

// At sends a command to a node, without following redirections.
func (c *Client) At(ctx context.Context, addr string, args ...string) (resp.Reply, error) {
	conn, err := c.conn(ctx, addr)
	if err != nil {
		return resp.Reply{}, err
	}
	r, err := conn.Do(args...)
	var refused resp.ServerError
	if err != nil && !errors.As(err, &refused) {
		c.drop(addr)
	}
	return r, err
}

// Do sends a command to whoever owns the slot of its first argument. A command whose
// connection broke is sent again: it may then have been carried out twice.
func (c *Client) Do(ctx context.Context, args ...string) (resp.Reply, error) {
	slot := uint16(0)
	if len(args) > 1 {
		slot = slots.Of([]byte(args[1]))
	}
	addr, asking := c.owner[slot], false
	for ctx.Err() == nil {
		if addr == "" {
			addr = c.seeds[c.next%len(c.seeds)]
			c.next++
		}
		if asking {
			if _, err := c.At(ctx, addr, "ASKING"); err != nil {
				addr, asking = "", false
				continue
			}
		}
		r, err := c.At(ctx, addr, args...)
		var refused resp.ServerError
		switch {
		case err == nil:
			if !asking {
				c.owner[slot] = addr
			}
			return r, nil
		case errors.As(err, &refused):
			word, rest, _ := strings.Cut(string(refused), " ")
			_, to, _ := strings.Cut(rest, " ")
			switch word {
			case "MOVED":
				c.Moved++
				addr, asking = to, false
				continue
			case "ASK":
				c.Asked++
				addr, asking = to, true
				continue
			case "TRYAGAIN", "CLUSTERDOWN", "LOADING":
			default:
				return r, err
			}
		}
		c.Retried++
		c.owner[slot], addr, asking = "", "", false
		select {
		case <-ctx.Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
	return resp.Reply{}, context.Cause(ctx)
}

// Move moves a slot from one node to another while both serve, in the steps of redis-cli,
// and returns how many keys went along.
func (c *Client) Move(ctx context.Context, slot int, from, to string) (keys int, err error) {
	n := strconv.Itoa(slot)
	var ids [2]string
	for i, addr := range []string{from, to} {
		r, err := c.At(ctx, addr, "CLUSTER", "MYID")
		if err != nil {
			return 0, err
		}
		ids[i] = string(r.Bytes)
	}
	if _, err := c.At(ctx, to, "CLUSTER", "SETSLOT", n, "IMPORTING", ids[0]); err != nil {
		return 0, err
	}
	if _, err := c.At(ctx, from, "CLUSTER", "SETSLOT", n, "MIGRATING", ids[1]); err != nil {
		return 0, err
	}
	host, port, ok := strings.Cut(to, ":")
	if !ok {
		return 0, fmt.Errorf("client: bad address %q", to)
	}
	for {
		r, err := c.At(ctx, from, "CLUSTER", "GETKEYSINSLOT", n, "50")
		if err != nil {
			return keys, err
		}
		if len(r.Elems) == 0 {
			break
		}
		args := []string{"MIGRATE", host, port, "", "0", "2000", "REPLACE", "KEYS"}
		for _, e := range r.Elems {
			args = append(args, string(e.Bytes))
		}
		if _, err := c.At(ctx, from, args...); err != nil {
			return keys, err
		}
		keys += len(r.Elems)
	}
	for _, addr := range []string{to, from} {
		if _, err := c.At(ctx, addr, "CLUSTER", "SETSLOT", n, "NODE", ids[1]); err != nil {
			return keys, err
		}
	}
	return keys, nil
}
