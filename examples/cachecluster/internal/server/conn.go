package server

import (
	"bytes"
	"errors"
	"strings"

	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/command"
	"github.com/ashlar-go/ashlar/examples/internal/resp"
)

// acceptor takes connections and runs their turns.
type acceptor interface{ close() }

// link is a connection's lower half. All of it is called under the node's lock and waits
// for nothing.
type link interface {
	send(b []byte)  // takes over all of b, which is the caller's again
	unsent() int    // bytes that the other side has not taken yet
	hangUp()        // ends the connection once all is sent
	cut()           // ends it now
	resume()        // lets the node process what came while the connection was blocked
	remote() string // address
}

// soft is how many bytes of replies may be unsent before a client's next commands wait.
const soft = 1 << 20

// conn is a client's, or another node's, connection.
type conn struct {
	n  *Node
	id int64
	l  link
	in *resp.Parser

	out      resp.Buffer
	queued   bool // in Node.pending
	blocked  bool // waits for the answer to a command that is under way
	ended    bool // no more commands are taken
	name     string
	asking   bool
	readonly bool

	tx       *transaction
	watching map[string]struct{}
	dirty    bool // a watched key was changed
	channels map[string]struct{}
	patterns map[string]struct{}
}

// attach makes a connection of a link. The caller holds mu.
func (n *Node) attach(l link) *conn {
	n.nextID++
	n.stats.Connections++
	c := &conn{n: n, id: n.nextID, l: l, in: resp.NewParser(n.o.Limits)}
	n.conns[c] = struct{}{}
	return c
}

// detach forgets a connection that has ended. The caller holds mu.
func (n *Node) detach(c *conn) {
	c.ended = true
	delete(n.conns, c)
	c.unsubscribeAll()
	c.unwatch()
	if n.cluster != nil {
		for w := range n.cluster.waiting {
			if w.c == c {
				w.answer()
			}
		}
	}
	if _, ok := n.replicas[c]; ok {
		delete(n.replicas, c)
		n.note("replica", "lost the connection of a replica, %s", c.l.remote())
	}
}

// turn carries out all commands that have come whole, and sends the replies. The caller
// holds mu.
func (n *Node) turn(c *conn) {
	for !c.ended && !c.blocked {
		if len(c.out.B) >= soft {
			c.flush()
		}
		if c.l.unsent() >= soft {
			break // the rest waits until it reads
		}
		args, used, err := c.in.Next()
		n.stats.NetIn += int64(used)
		if err != nil {
			c.out.Error("ERR Protocol error" + strings.TrimPrefix(err.Error(), resp.ErrProtocol.Error()))
			c.end()
			break
		}
		if args == nil {
			break
		}
		n.execute(c, args)
	}
	c.flush()
	if c.ended {
		c.l.hangUp()
	}
}

// end takes no more commands of a connection; it is closed once all is sent.
func (c *conn) end() { c.ended = true }

// flush sends what was written, and drops who has left too much unread. A client that
// waits for its own replies cannot get there: its commands wait at soft.
func (c *conn) flush() {
	if len(c.out.B) > 0 {
		c.n.stats.NetOut += int64(len(c.out.B))
		c.l.send(c.out.B)
		if cap(c.out.B) > 1<<20 {
			c.out.B = nil
		}
		c.out.B = c.out.B[:0]
	}
	limit := c.n.o.ClientBuffer
	if c.n.replicas[c] != nil {
		limit = replicaBuffer
	}
	if c.l.unsent() > limit && (c.subscribed() || c.n.replicas[c] != nil) {
		c.drop()
	}
}

// drop ends a connection that does not read.
func (c *conn) drop() {
	if !c.ended {
		c.n.stats.Dropped++
		c.n.o.Logger.Warn("cachecluster: a client does not read", "client", c.l.remote())
	}
	c.ended = true
	c.out.B = nil
	c.l.cut()
}

// later has a connection flushed at the end of the turn of another one.
func (c *conn) later() {
	limit := c.n.o.ClientBuffer
	if c.n.replicas[c] != nil {
		limit = replicaBuffer
	}
	if len(c.out.B)+c.l.unsent() > limit {
		c.drop()
		return
	}
	if !c.queued {
		c.queued = true
		c.n.pending = append(c.n.pending, c)
	}
}

// execute carries out one command, or says why not.
func (n *Node) execute(c *conn, args [][]byte) {
	n.stats.Commands++
	upper(args[0])
	spec := n.table[string(args[0])]
	if spec == nil {
		c.refuse("ERR unknown command '" + clip(args[0]) + "'")
		return
	}
	if !spec.Fits(len(args)) {
		c.refuse("ERR wrong number of arguments for '" + strings.ToLower(spec.Name) + "' command")
		return
	}
	if c.subscribed() && c.out.Proto != 3 && !spec.Has(command.PubSub) {
		c.refuse("ERR Can't execute '" + strings.ToLower(spec.Name) + "': only (P)SUBSCRIBE / (P)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context")
		return
	}
	if c.tx != nil && !spec.Has(command.Always) {
		c.queue(spec, args)
		return
	}
	if asking := c.asking; asking && spec.Name != "ASKING" {
		defer func() { c.asking = false }()
	}
	n.call(c, spec, args)
}

// refuse answers an error. Within MULTI it spoils the transaction.
func (c *conn) refuse(text string) {
	c.n.stats.Refused++
	if c.tx != nil {
		c.tx.spoiled = true
	}
	c.out.Error(text)
}

// call runs a command that may run now.
func (n *Node) call(c *conn, spec *command.Spec, args [][]byte) {
	spec.Calls++
	if spec.Run == nil {
		n.serve(c, spec, args)
		return
	}
	if n.cluster != nil && !n.cluster.route(c, spec, args) {
		return
	}
	if spec.Has(command.Grows) {
		if n.db.MakeRoom() != nil {
			c.refuse("OOM command not allowed when used memory > 'maxmemory'.")
			return
		}
	}
	n.run(&c.out, spec, args)
}

// run carries out a command on the keyspace, wherever it comes from, and replicates it.
func (n *Node) run(out *resp.Buffer, spec *command.Spec, args [][]byte) {
	ctx := &n.ctx
	ctx.Out, ctx.Args = out, args
	before := n.db.Dirty
	spec.Run(ctx)
	if n.db.Dirty != before {
		if len(n.watched) > 0 {
			if spec.First == 0 {
				n.touchAllWatched()
			}
			spec.Keys(args, func(key []byte) bool { n.touchWatched(string(key)); return true })
		}
		switch {
		case !ctx.Replaced:
			n.propagate(args)
		default:
			for _, cmd := range ctx.Effect {
				n.propagate(cmd)
			}
		}
	}
	if ctx.Replaced {
		ctx.Replaced, ctx.Effect = false, nil
	}
	n.db.Settle()
}

func upper(b []byte) {
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
}

// clip shortens a peer's bytes for an error text.
func clip(b []byte) string { return string(b[:min(len(b), 64)]) }

func is(arg []byte, word string) bool {
	return len(arg) == len(word) && bytes.EqualFold(arg, []byte(word))
}

// errGone is what a link's other half is told when the node has ended.
var errGone = errors.New("server: the node has ended")
