package server

import (
	"context"
	"errors"
	"net"
	"strconv"
	"time"

	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/snapshot"
	"github.com/ashlar-go/ashlar/examples/internal/resp"
)

// parcel is a key on its way to another node.
type parcel struct {
	key     string
	payload []byte
	expire  int64
}

// migrate answers MIGRATE host port key|"" db timeout [COPY] [REPLACE] [KEYS key …]. While
// keys are on their way they can be read here and not be changed; the client that moves
// them waits, and nobody else does.
func (cl *membership) migrate(c *conn, args [][]byte) {
	timeout, ok := resp.ParseInt(args[5])
	if !ok || timeout < 0 || timeout > 3_600_000 {
		c.refuse("ERR timeout is not an integer or out of range")
		return
	}
	if timeout == 0 {
		timeout = 1000
	}
	if string(args[4]) != "0" {
		c.refuse("ERR DB index is out of range")
		return
	}
	keys, keep, replace := [][]byte{args[3]}, false, false
options:
	for i := 6; i < len(args); i++ {
		switch {
		case is(args[i], "COPY"):
			keep = true
		case is(args[i], "REPLACE"):
			replace = true
		case is(args[i], "KEYS") && len(args[3]) == 0:
			keys = args[i+1:]
			break options
		default:
			c.refuse("ERR syntax error")
			return
		}
	}
	if !cl.serving {
		c.refuse("CLUSTERDOWN only a serving primary moves keys")
		return
	}
	var all []parcel
	for _, k := range keys {
		if cl.moving[string(k)] > 0 {
			c.refuse("TRYAGAIN the key is on its way to another node")
			return
		}
		if e := cl.n.db.Peek(k); e != nil {
			all = append(all, parcel{e.Key(), snapshot.AppendEntry(nil, e), e.Expire()})
		}
	}
	if len(all) == 0 {
		c.out.Status("NOKEY")
		return
	}
	for _, p := range all {
		cl.moving[p.key]++
	}
	c.blocked = true
	epoch := cl.machine.Leader(cl.shard).Epoch
	addr := net.JoinHostPort(string(args[1]), string(args[2]))
	cl.n.wg.Go(func() {
		arrived, err := send(addr, time.Duration(timeout)*time.Millisecond, all, replace, cl.n.done)
		cl.n.do(func() { cl.migrated(c, all, arrived, keep, epoch, err) })
	})
}

// migrated ends a MIGRATE: what has arrived there is removed here.
func (cl *membership) migrated(c *conn, all []parcel, arrived []bool, keep bool, epoch uint64, err error) {
	stillLeads := cl.serving && cl.machine.Leader(cl.shard).Epoch == epoch
	for i, p := range all {
		if cl.moving[p.key]--; cl.moving[p.key] <= 0 {
			delete(cl.moving, p.key)
		}
		if arrived[i] && !keep && stillLeads {
			cl.n.db.Delete([]byte(p.key))
			cl.n.propagate([][]byte{[]byte("DEL"), []byte(p.key)})
		}
	}
	var refused resp.ServerError
	switch {
	case err == nil:
		c.out.Status("OK")
	case errors.As(err, &refused):
		c.out.Error("ERR Target instance replied with error: " + refused.Error())
	default:
		c.out.Error("IOERR error or timeout writing to target instance: " + err.Error())
	}
	c.unblock()
}

// send restores keys at another node and tells which arrived.
func send(addr string, timeout time.Duration, all []parcel, replace bool, done <-chan struct{}) (arrived []bool, err error) {
	arrived = make([]bool, len(all))
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	c, err := resp.Dial(ctx, addr)
	if err != nil {
		return arrived, err
	}
	defer c.Close()
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		select {
		case <-done:
			c.Close()
		case <-ended:
		}
	}()
	c.SetDeadline(time.Now().Add(timeout))
	for _, p := range all {
		c.Send("ASKING")
		cmd := []string{"RESTORE", p.key, strconv.FormatInt(p.expire, 10), string(p.payload), "ABSTTL"}
		if replace {
			cmd = append(cmd, "REPLACE")
		}
		c.Send(cmd...)
	}
	if err := c.Flush(); err != nil {
		return arrived, err
	}
	for i := range all {
		for _, first := range []bool{true, false} {
			_, e := c.Receive()
			var refused resp.ServerError
			switch {
			case e == nil:
				arrived[i] = !first
			case errors.As(e, &refused):
				err = e // and the others go on
			default:
				return arrived, e
			}
		}
	}
	return arrived, err
}
