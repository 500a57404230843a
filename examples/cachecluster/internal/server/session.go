package server

import (
	"strconv"
	"strings"

	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/command"
	"github.com/ashlar-go/ashlar/examples/internal/resp"
)

// version is the Redis version whose protocol the node speaks, for clients that ask.
const version = "7.0.15"

// serve carries out the commands that concern the connection or the node.
func (n *Node) serve(c *conn, spec *command.Spec, args [][]byte) {
	switch spec.Name {
	case "PING":
		n.ping(c, args)
	case "ECHO":
		c.out.Bulk(args[1])
	case "QUIT":
		c.out.Status("OK")
		c.end()
	case "RESET":
		c.tx, c.name, c.readonly, c.asking, c.out.Proto = nil, "", false, false, 0
		c.unwatch()
		c.unsubscribeAll()
		c.out.Status("RESET")
	case "HELLO":
		n.hello(c, args)
	case "AUTH":
		c.refuse("ERR AUTH called without any password configured for the default user. Are you sure your configuration is correct?")
	case "SELECT":
		if string(args[1]) != "0" {
			c.refuse("ERR DB index is out of range")
			return
		}
		c.out.Status("OK")
	case "CLIENT":
		n.client(c, args)
	case "COMMAND":
		n.commands(c, args)
	case "TIME":
		now := n.o.Now()
		c.out.Array(2)
		c.out.BulkString(strconv.FormatInt(now.Unix(), 10))
		c.out.BulkString(strconv.Itoa(now.Nanosecond() / 1000))
	case "MULTI", "EXEC", "DISCARD", "WATCH", "UNWATCH":
		n.transact(c, spec.Name, args)
	case "SUBSCRIBE", "UNSUBSCRIBE", "PSUBSCRIBE", "PUNSUBSCRIBE", "PUBLISH", "PUBSUB":
		n.pubsub(c, spec.Name, args)
	case "INFO":
		c.out.BulkString(n.info(args[1:]))
	case "CONFIG":
		n.config(c, args)
	case "SAVE", "BGSAVE", "LASTSAVE":
		n.saving(c, spec.Name)
	case "SLOWLOG", "LATENCY":
		c.out.Array(0)
	default:
		if n.cluster == nil {
			n.alone(c, spec.Name)
			return
		}
		n.cluster.serve(c, spec.Name, args)
	}
}

// alone answers commands of clusters where there is none.
func (n *Node) alone(c *conn, name string) {
	switch name {
	case "ROLE":
		c.out.Array(3)
		c.out.BulkString("master")
		c.out.Int(0)
		c.out.Array(0)
	case "WAIT":
		c.out.Int(0)
	default:
		c.refuse("ERR This instance has cluster support disabled")
	}
}

func (n *Node) ping(c *conn, args [][]byte) {
	switch {
	case len(args) > 2:
		c.refuse("ERR wrong number of arguments for 'ping' command")
	case c.subscribed() && c.out.Proto != 3:
		c.out.Array(2)
		c.out.BulkString("pong")
		if len(args) == 2 {
			c.out.Bulk(args[1])
		} else {
			c.out.BulkString("")
		}
	case len(args) == 2:
		c.out.Bulk(args[1])
	default:
		c.out.B = append(c.out.B, "+PONG\r\n"...)
	}
}

func (n *Node) hello(c *conn, args [][]byte) {
	proto, name := c.out.Proto, c.name
	rest := args[1:]
	if len(rest) > 0 {
		switch string(rest[0]) {
		case "2":
			proto = 2
		case "3":
			proto = 3
		default:
			c.refuse("NOPROTO unsupported protocol version")
			return
		}
		rest = rest[1:]
	}
	for len(rest) > 0 {
		switch {
		case is(rest[0], "SETNAME") && len(rest) > 1:
			name, rest = string(rest[1]), rest[2:]
		case is(rest[0], "AUTH") && len(rest) > 2:
			c.refuse("ERR HELLO cannot be called with AUTH: no password is configured")
			return
		default:
			c.refuse("ERR Syntax error in HELLO option '" + clip(rest[0]) + "'")
			return
		}
	}
	c.out.Proto, c.name = proto, name
	role, mode := "master", "standalone"
	if n.cluster != nil {
		mode = "cluster"
		if !n.cluster.leads() {
			role = "replica"
		}
	}
	c.out.Map(7)
	for _, kv := range [][2]string{{"server", "redis"}, {"version", version}} {
		c.out.BulkString(kv[0])
		c.out.BulkString(kv[1])
	}
	c.out.BulkString("proto")
	c.out.Int(int64(max(proto, 2)))
	c.out.BulkString("id")
	c.out.Int(c.id)
	for _, kv := range [][2]string{{"mode", mode}, {"role", role}} {
		c.out.BulkString(kv[0])
		c.out.BulkString(kv[1])
	}
	c.out.BulkString("modules")
	c.out.Array(0)
}

func (n *Node) client(c *conn, args [][]byte) {
	switch sub := strings.ToUpper(clip(args[1])); {
	case sub == "SETNAME" && len(args) == 3:
		c.name = string(args[2])
		c.out.Status("OK")
	case sub == "GETNAME" && len(args) == 2:
		c.out.BulkString(c.name)
	case sub == "ID" && len(args) == 2:
		c.out.Int(c.id)
	case sub == "INFO" && len(args) == 2:
		c.out.BulkString(c.describe())
	case sub == "LIST":
		var b strings.Builder
		for o := range n.conns {
			b.WriteString(o.describe())
		}
		c.out.BulkString(b.String())
	case sub == "SETINFO", sub == "NO-EVICT", sub == "NO-TOUCH":
		c.out.Status("OK")
	default:
		c.refuse("ERR unknown subcommand or wrong number of arguments for '" + clip(args[1]) + "'. Try CLIENT SETNAME.")
	}
}

func (c *conn) describe() string {
	return "id=" + strconv.FormatInt(c.id, 10) + " addr=" + c.l.remote() + " name=" + c.name + " sub=" + strconv.Itoa(len(c.channels)) +
		" psub=" + strconv.Itoa(len(c.patterns)) + " omem=" + strconv.Itoa(len(c.out.B)+c.l.unsent()) + " resp=" + strconv.Itoa(max(c.out.Proto, 2)) + "\n"
}

// commands answers COMMAND, from which clients learn where a command's keys are.
func (n *Node) commands(c *conn, args [][]byte) {
	if len(args) == 1 {
		c.out.Array(len(n.table))
		for _, s := range n.table {
			describe(&c.out, s)
		}
		return
	}
	switch {
	case is(args[1], "COUNT"):
		c.out.Int(int64(len(n.table)))
	case is(args[1], "DOCS"):
		c.out.Map(0)
	case is(args[1], "LIST"):
		c.out.Array(len(n.table))
		for name := range n.table {
			c.out.BulkString(strings.ToLower(name))
		}
	case is(args[1], "INFO"):
		c.out.Array(len(args) - 2)
		for _, a := range args[2:] {
			upper(a)
			if s := n.table[string(a)]; s != nil {
				describe(&c.out, s)
			} else {
				c.out.NullArray()
			}
		}
	case is(args[1], "GETKEYS") && len(args) > 2:
		n.getkeys(c, args[2:])
	default:
		c.refuse("ERR unknown subcommand '" + clip(args[1]) + "'. Try COMMAND HELP.")
	}
}

func (n *Node) getkeys(c *conn, args [][]byte) {
	upper(args[0])
	s := n.table[string(args[0])]
	if s == nil || !s.Fits(len(args)) {
		c.refuse("ERR Invalid command specified")
		return
	}
	var keys [][]byte
	s.Keys(args, func(k []byte) bool { keys = append(keys, k); return true })
	if len(keys) == 0 {
		c.refuse("ERR The command has no key arguments")
		return
	}
	c.out.Array(len(keys))
	for _, k := range keys {
		c.out.Bulk(k)
	}
}

func describe(out *resp.Buffer, s *command.Spec) {
	flags := []string{}
	for _, f := range []struct {
		flag command.Flag
		name string
	}{
		{command.Write, "write"},
		{command.Read, "readonly"},
		{command.Grows, "denyoom"},
		{command.Admin, "admin"},
		{command.PubSub, "pubsub"},
		{command.NoMulti, "no_multi"},
	} {
		if s.Has(f.flag) {
			flags = append(flags, f.name)
		}
	}
	if s.First == 0 && s.Has(command.Write) && s.Name[0] == 'Z' {
		flags = append(flags, "movablekeys")
	}
	out.Array(6)
	out.BulkString(strings.ToLower(s.Name))
	out.Int(int64(s.Arity))
	out.Set(len(flags))
	for _, f := range flags {
		out.Status(f)
	}
	out.Int(int64(s.First))
	out.Int(int64(s.Last))
	out.Int(int64(s.Step))
}

func (n *Node) saving(c *conn, name string) {
	switch {
	case name == "LASTSAVE":
		c.out.Int(max(n.lastSave.Unix(), 0))
	case n.o.Dir == "":
		c.refuse("ERR there is no folder to save to")
	case n.isSaving:
		c.refuse("ERR Background save already in progress")
	default:
		// The connection waits and the node goes on: only encoding holds it up.
		c.blocked, n.isSaving = true, true
		n.wg.Go(func() {
			err := n.save()
			n.do(func() {
				n.isSaving = false
				switch {
				case err != nil:
					c.out.Error("ERR " + err.Error())
				case name == "SAVE":
					c.out.Status("OK")
				default:
					c.out.Status("Background saving started")
				}
				c.unblock()
			})
		})
	}
}

// unblock lets a blocked connection go on. The caller holds mu, and has written its answer.
func (c *conn) unblock() {
	c.blocked = false
	if !c.ended {
		c.later()
		c.l.resume()
	}
}
