package server

import (
	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/command"
)

// transaction is what came after MULTI.
type transaction struct {
	cmds    []queued
	bytes   int
	spoiled bool // one of the commands was refused: EXEC carries out none
	writes  bool
}

type queued struct {
	spec *command.Spec
	args [][]byte
}

// maxQueued bounds the bytes of one transaction.
const maxQueued = 64 << 20

// queue keeps a command for EXEC.
func (c *conn) queue(spec *command.Spec, args [][]byte) {
	if spec.Has(command.NoMulti) {
		c.refuse("ERR Command not allowed inside a transaction")
		return
	}
	if c.n.cluster != nil && spec.Run != nil && !c.n.cluster.route(c, spec, args) {
		c.tx.spoiled = true // route has answered
		return
	}
	kept := make([][]byte, len(args))
	for i, a := range args {
		kept[i] = append([]byte(nil), a...)
		c.tx.bytes += len(a) + 48
	}
	if c.tx.bytes > maxQueued {
		c.tx.cmds = nil
		c.refuse("ERR transaction too large")
		return
	}
	c.tx.writes = c.tx.writes || spec.Has(command.Write)
	c.tx.cmds = append(c.tx.cmds, queued{spec, kept})
	c.out.B = append(c.out.B, "+QUEUED\r\n"...)
}

func (n *Node) transact(c *conn, name string, args [][]byte) {
	switch {
	case name == "MULTI" && c.tx != nil:
		c.refuse("ERR MULTI calls can not be nested")
	case name == "MULTI":
		c.tx = &transaction{}
		c.out.Status("OK")
	case name == "WATCH" && c.tx != nil:
		c.refuse("ERR WATCH inside MULTI is not allowed")
	case name == "WATCH":
		for _, k := range args[1:] {
			c.watch(string(k))
		}
		c.out.Status("OK")
	case name == "UNWATCH" && c.tx != nil:
		c.queue(n.table[name], args)
	case name == "UNWATCH":
		c.unwatch()
		c.out.Status("OK")
	case c.tx == nil:
		c.refuse("ERR " + name + " without MULTI")
	case name == "DISCARD":
		c.tx = nil
		c.unwatch()
		c.out.Status("OK")
	default:
		n.exec(c)
	}
}

func (n *Node) exec(c *conn) {
	tx, dirty := c.tx, c.dirty
	c.tx = nil
	c.unwatch()
	if tx.spoiled {
		c.refuse("EXECABORT Transaction discarded because of previous errors.")
		return
	}
	if dirty {
		c.out.NullArray()
		return
	}
	if tx.writes {
		n.propagate([][]byte{[]byte("MULTI")})
	}
	c.out.Array(len(tx.cmds))
	for _, q := range tx.cmds {
		n.call(c, q.spec, q.args)
	}
	if tx.writes {
		n.propagate([][]byte{[]byte("EXEC")})
	}
}

// maxWatched bounds the keys that one connection watches.
const maxWatched = 1 << 16

func (c *conn) watch(key string) {
	if c.watching == nil {
		c.watching = map[string]struct{}{}
	}
	if len(c.watching) >= maxWatched {
		c.dirty = true // its EXEC does nothing, which is always right
		return
	}
	c.watching[key] = struct{}{}
	join(c.n.watched, key, c)
}

func (c *conn) unwatch() {
	for key := range c.watching {
		leave(c.n.watched, key, c)
	}
	c.watching, c.dirty = nil, false
}

// touchWatched spoils the transactions of those who watch a key that changes.
func (n *Node) touchWatched(key string) {
	for c := range n.watched[key] {
		c.dirty = true
	}
}

func (n *Node) touchAllWatched() {
	for key := range n.watched {
		n.touchWatched(key)
	}
}

// join and leave keep sets of connections by name; an empty set takes no room.
func join(sets map[string]map[*conn]struct{}, name string, c *conn) {
	if sets[name] == nil {
		sets[name] = map[*conn]struct{}{}
	}
	sets[name][c] = struct{}{}
}

func leave(sets map[string]map[*conn]struct{}, name string, c *conn) {
	delete(sets[name], c)
	if len(sets[name]) == 0 {
		delete(sets, name)
	}
}
