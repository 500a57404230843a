package server

import (
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/keyspace"
	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/slots"
	"github.com/ashlar-go/ashlar/examples/internal/resp"
)

// serve carries out the commands that a cluster brings.
func (cl *membership) serve(c *conn, name string, args [][]byte) {
	switch name {
	case "CLUSTER":
		cl.command(c, args)
	case "ASKING":
		c.asking = true
		c.out.Status("OK")
	case "READONLY", "READWRITE":
		c.readonly = name == "READONLY"
		c.out.Status("OK")
	case "MIGRATE":
		cl.migrate(c, args)
	case "ROLE":
		cl.role(c)
	case "WAIT":
		cl.wait(c, args)
	case "BUS":
		cl.bus(c, args[1], args[2])
	case "SYNCFROM":
		cl.syncFrom(c, args)
	case "SYNCACK":
		cl.ack(c, args[1])
	}
}

func (cl *membership) command(c *conn, args [][]byte) {
	switch sub := strings.ToUpper(clip(args[1])); {
	case sub == "MYID" && len(args) == 2:
		c.out.BulkString(cl.name(cl.self))
	case sub == "MYSHARDID" && len(args) == 2:
		c.out.BulkString(cl.shardName(cl.shard))
	case sub == "INFO" && len(args) == 2:
		c.out.BulkString(cl.info())
	case sub == "NODES" && len(args) == 2:
		c.out.BulkString(cl.nodes(nil))
	case (sub == "REPLICAS" || sub == "SLAVES") && len(args) == 3:
		m, ok := cl.names[string(args[2])]
		if !ok {
			c.refuse("ERR Unknown node " + clip(args[2]))
			return
		}
		lines := strings.Split(strings.TrimSuffix(cl.nodes(&m), "\n"), "\n")
		if lines[0] == "" {
			lines = nil
		}
		c.out.Array(len(lines))
		for _, l := range lines {
			c.out.BulkString(l)
		}
	case sub == "SLOTS" && len(args) == 2:
		cl.slotsReply(&c.out)
	case sub == "SHARDS" && len(args) == 2:
		cl.shardsReply(&c.out)
	case sub == "KEYSLOT" && len(args) == 3:
		c.out.Int(int64(slots.Of(args[2])))
	case sub == "COUNTKEYSINSLOT" && len(args) == 3:
		if slot, ok := cl.slotArg(c, args[2]); ok {
			c.out.Int(int64(cl.n.db.CountSlot(slot)))
		}
	case sub == "GETKEYSINSLOT" && len(args) == 4:
		cl.keysInSlot(c, args)
	case sub == "SETSLOT" && len(args) >= 4:
		cl.setslot(c, args)
	case sub == "COUNT-FAILURE-REPORTS" && len(args) == 3:
		c.out.Int(0)
	case sub == "LINKS" && len(args) == 2:
		c.out.Array(0)
	default:
		c.refuse("ERR unknown subcommand or wrong number of arguments for '" + clip(args[1]) + "'. The nodes of this cluster are fixed.")
	}
}

func (cl *membership) name(m Member) string { return protocolID(cl.cfg.Cluster, m.ID) }

func (cl *membership) shardName(shard int) string {
	return protocolID(cl.cfg.Cluster, "shard\x00"+strconv.Itoa(shard))
}

func (cl *membership) slotArg(c *conn, arg []byte) (uint16, bool) {
	n, ok := resp.ParseInt(arg)
	if !ok || n < 0 || n >= slots.Count {
		c.refuse("ERR Invalid or out of range slot")
		return 0, false
	}
	return uint16(n), true
}

func (cl *membership) keysInSlot(c *conn, args [][]byte) {
	slot, ok := cl.slotArg(c, args[2])
	if !ok {
		return
	}
	n, ok := resp.ParseInt(args[3])
	if !ok || n < 0 {
		c.refuse("ERR Invalid number of keys")
		return
	}
	n = min(n, int64(cl.n.db.CountSlot(slot)))
	c.out.Array(int(n))
	cl.n.db.InSlot(slot, func(e *keyspace.Entry) bool {
		if n == 0 {
			return false
		}
		n--
		c.out.BulkString(e.Key())
		return true
	})
}

// setslot begins and ends the move of a slot, in the steps of Redis: IMPORTING at the node
// that takes it, MIGRATING at the one that gives it, MIGRATE until no key is left, NODE at
// the taker, then at all others that should know at once.
func (cl *membership) setslot(c *conn, args [][]byte) {
	slot, ok := cl.slotArg(c, args[2])
	if !ok {
		return
	}
	if !cl.serving {
		c.refuse("ERR only a serving primary moves slots")
		return
	}
	what := strings.ToUpper(clip(args[3]))
	if what == "STABLE" && len(args) == 4 {
		cl.replay(args)
		cl.n.propagate(args)
		c.out.Status("OK")
		return
	}
	if len(args) != 5 {
		c.refuse("ERR syntax error")
		return
	}
	m, ok := cl.names[string(args[4])]
	if !ok {
		c.refuse("ERR I don't know about node " + clip(args[4]))
		return
	}
	_, shard, _ := cl.cfg.Member(m.ID)
	owner := cl.slots.At(slot).Shard
	switch {
	case what == "MIGRATING" && owner != cl.shard:
		c.refuse("ERR I'm not the owner of hash slot " + strconv.Itoa(int(slot)))
		return
	case what == "IMPORTING" && owner == cl.shard:
		c.refuse("ERR I'm already the owner of hash slot " + strconv.Itoa(int(slot)))
		return
	case (what == "MIGRATING" || what == "IMPORTING") && shard == cl.shard:
		c.refuse("ERR a slot does not move within a shard")
		return
	case what == "NODE" && owner == cl.shard && shard != cl.shard && cl.n.db.CountSlot(slot) > 0:
		c.refuse("ERR Can't assign hashslot " + strconv.Itoa(int(slot)) + " to a different node while I still hold keys for this hash slot.")
		return
	case what == "NODE" && owner != cl.shard && shard == cl.shard:
		if _, importing := cl.moves.From[slot]; !importing {
			c.refuse("ERR slot " + strconv.Itoa(int(slot)) + " is not being imported")
			return
		}
		cl.slots.Take(slot, cl.shard, cl.machine.Leader(cl.shard).Epoch)
		cl.n.note("slots", "takes slot %d over from shard %d", slot, owner+1)
		cl.remapped()
		for _, p := range cl.peers {
			p.tell(cl.told())
		}
	case what == "NODE" && owner == cl.shard && shard != cl.shard:
		// The same claim that the taker makes; to wait for that would be to own the slot, empty,
		// for another moment.
		cl.slots.Take(slot, shard, cl.machine.Leader(shard).Epoch)
		cl.remapped()
	case what == "NODE", what == "MIGRATING", what == "IMPORTING":
	default:
		c.refuse("ERR syntax error")
		return
	}
	cl.replay(args)
	cl.n.propagate(args)
	c.out.Status("OK")
}

// told is a message that says who owns what, and nothing else.
func (cl *membership) told() envelope {
	return envelope{Cluster: cl.cfg.Cluster, Slots: cl.slots.Ranges()}
}

// replay notes the move of a slot, here and at the replicas, for whom a leader's word is
// enough.
func (cl *membership) replay(args [][]byte) {
	if len(args) < 4 {
		return
	}
	n, ok := resp.ParseInt(args[2])
	if !ok || n < 0 || n >= slots.Count {
		return
	}
	slot, shard := uint16(n), -1
	if len(args) == 5 {
		if m, ok := cl.names[string(args[4])]; ok {
			_, shard, _ = cl.cfg.Member(m.ID)
		}
	}
	delete(cl.moves.To, slot)
	delete(cl.moves.From, slot)
	switch {
	case is(args[3], "MIGRATING") && shard >= 0:
		cl.moves.To[slot] = shard
	case is(args[3], "IMPORTING") && shard >= 0:
		cl.moves.From[slot] = shard
	}
}

func hostPort(addr string) (string, int) {
	host, port, _ := net.SplitHostPort(addr) // it was checked with the configuration
	p, _ := strconv.Atoi(port)
	return host, p
}

// port is where clients reach the node.
func (n *Node) port() int {
	_, p := hostPort(n.Addr())
	return p
}

// nodes is what CLUSTER NODES answers: all nodes, or the replicas of one.
func (cl *membership) nodes(of *Member) string {
	var b strings.Builder
	now := time.Now().UnixMilli()
	for s, nodes := range cl.cfg.Shards {
		lead := cl.machine.Leader(s)
		for _, m := range nodes {
			leads := m.ID == lead.Node
			if of != nil && (leads || lead.Node != of.ID) {
				continue
			}
			flags, primary := "master", "-"
			if !leads {
				flags = "slave"
				l, _, _ := cl.cfg.Member(lead.Node)
				primary = cl.name(l)
			}
			if m.ID == cl.self.ID {
				flags = "myself," + flags
			}
			state := "connected"
			if cl.machine.Silent(m.ID) {
				flags += ",fail"
				state = "disconnected"
			}
			_, port := hostPort(m.Addr)
			fmt.Fprintf(&b, "%s %s@%d %s %s 0 %d %d %s", cl.name(m), m.Addr, port, flags, primary, now, lead.Epoch, state)
			if leads {
				for _, r := range cl.slots.Runs(s) {
					if r[0] == r[1] {
						fmt.Fprintf(&b, " %d", r[0])
					} else {
						fmt.Fprintf(&b, " %d-%d", r[0], r[1])
					}
				}
				if m.ID == cl.self.ID {
					for slot, to := range cl.moves.To {
						fmt.Fprintf(&b, " [%d->-%s]", slot, cl.name(cl.leader(to)))
					}
					for slot, from := range cl.moves.From {
						fmt.Fprintf(&b, " [%d-<-%s]", slot, cl.name(cl.leader(from)))
					}
				}
			}
			b.WriteByte('\n')
		}
	}
	return b.String()
}

// ordered are a shard's nodes, its leader first.
func (cl *membership) ordered(shard int) []Member {
	lead := cl.leader(shard)
	all := []Member{lead}
	for _, m := range cl.cfg.Shards[shard] {
		if m.ID != lead.ID {
			all = append(all, m)
		}
	}
	return all
}

func (cl *membership) slotsReply(out *resp.Buffer) {
	count := 0
	for s := range cl.cfg.Shards {
		count += len(cl.slots.Runs(s))
	}
	out.Array(count)
	for s := range cl.cfg.Shards {
		members := cl.ordered(s)
		for _, r := range cl.slots.Runs(s) {
			out.Array(2 + len(members))
			out.Int(int64(r[0]))
			out.Int(int64(r[1]))
			for _, m := range members {
				host, port := hostPort(m.Addr)
				out.Array(4)
				out.BulkString(host)
				out.Int(int64(port))
				out.BulkString(cl.name(m))
				out.Array(0)
			}
		}
	}
}

func (cl *membership) shardsReply(out *resp.Buffer) {
	out.Array(len(cl.cfg.Shards))
	for s := range cl.cfg.Shards {
		runs, members := cl.slots.Runs(s), cl.ordered(s)
		out.Map(2)
		out.BulkString("slots")
		out.Array(2 * len(runs))
		for _, r := range runs {
			out.Int(int64(r[0]))
			out.Int(int64(r[1]))
		}
		out.BulkString("nodes")
		out.Array(len(members))
		for i, m := range members {
			host, port := hostPort(m.Addr)
			role, health, offset := "replica", "online", cl.machine.Offset(m.ID)
			if i == 0 {
				role = "master"
			}
			if cl.machine.Silent(m.ID) {
				health = "fail"
			}
			if m.ID == cl.self.ID {
				offset = cl.n.stream.Offset()
			}
			out.Map(7)
			for _, kv := range [][2]string{{"id", cl.name(m)}, {"ip", host}, {"endpoint", host}, {"role", role}, {"health", health}} {
				out.BulkString(kv[0])
				out.BulkString(kv[1])
			}
			out.BulkString("port")
			out.Int(int64(port))
			out.BulkString("replication-offset")
			out.Int(offset)
		}
	}
}

func (cl *membership) info() string {
	assigned, epoch := 0, uint64(0)
	for s := range cl.cfg.Shards {
		assigned += cl.slots.Owned(s)
		epoch = max(epoch, cl.machine.Leader(s).Epoch)
	}
	state := "ok"
	for s := range cl.cfg.Shards {
		if cl.machine.Silent(cl.machine.Leader(s).Node) {
			state = "fail"
		}
	}
	if cl.machine.Leads() && !cl.serving {
		state = "fail"
	}
	return fmt.Sprintf("cluster_state:%s\r\ncluster_slots_assigned:%d\r\ncluster_slots_ok:%d\r\ncluster_slots_pfail:0\r\ncluster_slots_fail:0\r\ncluster_known_nodes:%d\r\ncluster_size:%d\r\ncluster_current_epoch:%d\r\ncluster_my_epoch:%d\r\n",
		state, assigned, assigned, len(cl.names), len(cl.cfg.Shards), epoch, cl.machine.Leader(cl.shard).Epoch)
}

func (cl *membership) role(c *conn) {
	if cl.machine.Leads() {
		c.out.Array(3)
		c.out.BulkString("master")
		c.out.Int(cl.n.stream.Offset())
		c.out.Array(len(cl.n.replicas))
		for _, f := range cl.n.replicas {
			m, _, _ := cl.cfg.Member(f.id)
			host, port := hostPort(m.Addr)
			c.out.Array(3)
			c.out.BulkString(host)
			c.out.BulkString(strconv.Itoa(port))
			c.out.BulkString(strconv.FormatInt(f.acked, 10))
		}
		return
	}
	host, port := hostPort(cl.leader(cl.shard).Addr)
	state := "connecting"
	if cl.inSync() {
		state = "connected"
	}
	c.out.Array(5)
	c.out.BulkString("slave")
	c.out.BulkString(host)
	c.out.Int(int64(port))
	c.out.BulkString(state)
	c.out.Int(cl.n.stream.Offset())
}

// replicationInfo is the section of INFO.
func (cl *membership) replicationInfo() []any {
	s := cl.n.stream
	if cl.machine.Leads() {
		lines := []any{"role", "master", "connected_slaves", len(cl.n.replicas)}
		i := 0
		for _, f := range cl.n.replicas {
			m, _, _ := cl.cfg.Member(f.id)
			host, port := hostPort(m.Addr)
			lines = append(lines, fmt.Sprintf("slave%d", i), fmt.Sprintf("ip=%s,port=%d,state=online,offset=%d,lag=0", host, port, f.acked))
			i++
		}
		return append(lines, "master_replid", s.ID(), "master_repl_offset", s.Offset(), "repl_backlog_histlen", s.Kept())
	}
	host, port := hostPort(cl.leader(cl.shard).Addr)
	link := "down"
	if cl.inSync() {
		link = "up"
	}
	return []any{"role", "slave", "master_host", host, "master_port", port, "master_link_status", link, "slave_repl_offset", s.Offset(), "master_replid", s.ID()}
}
