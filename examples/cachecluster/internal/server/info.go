package server

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/command"
	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/keyspace"
)

// info is what INFO answers: all sections, or those that are named.
func (n *Node) info(sections [][]byte) string {
	var b strings.Builder
	section := func(name string, lines ...any) {
		if len(sections) > 0 && !slices.ContainsFunc(sections, func(s []byte) bool {
			return is(s, name) || is(s, "all") || is(s, "everything") || is(s, "default")
		}) {
			return
		}
		if b.Len() > 0 {
			b.WriteString("\r\n")
		}
		fmt.Fprintf(&b, "# %s\r\n", name)
		for i := 0; i+1 < len(lines); i += 2 {
			fmt.Fprintf(&b, "%v:%v\r\n", lines[i], lines[i+1])
		}
	}
	ko := n.db.Options()
	mode := "standalone"
	if n.cluster != nil {
		mode = "cluster"
	}
	section("Server", "redis_version", version, "redis_mode", mode, "os", runtime.GOOS, "arch_bits", strconv.IntSize,
		"tcp_port", n.port(), "uptime_in_seconds", int64(n.o.Now().Sub(n.begun).Seconds()))
	section("Clients", "connected_clients", len(n.conns), "clients_dropped_for_not_reading", n.stats.Dropped)
	section("Memory", "used_memory", n.db.Used(), "maxmemory", ko.MaxMemory, "maxmemory_policy", ko.Policy)
	section("Persistence", "loading", 0, "rdb_last_save_time", max(n.lastSave.Unix(), 0))
	s := n.db.Stats
	section("Stats", "total_connections_received", n.stats.Connections, "total_commands_processed", n.stats.Commands,
		"total_net_input_bytes", n.stats.NetIn, "total_net_output_bytes", n.stats.NetOut, "rejected_commands", n.stats.Refused,
		"expired_keys", s.Expired, "evicted_keys", s.Evicted, "keyspace_hits", s.Hits, "keyspace_misses", s.Misses,
		"sync_full", n.stats.FullSyncs, "sync_partial_ok", n.stats.PartSyncs, "pubsub_channels", len(n.channels), "pubsub_patterns", len(n.patterns))
	if n.cluster != nil {
		section("Replication", n.cluster.replicationInfo()...)
	} else {
		section("Replication", "role", "master", "connected_slaves", 0)
	}
	enabled := 0
	if n.cluster != nil {
		enabled = 1
	}
	section("Cluster", "cluster_enabled", enabled)
	if n.db.Len() > 0 {
		section("Keyspace", "db0", fmt.Sprintf("keys=%d,expires=%d,avg_ttl=0", n.db.Len(), n.db.Volatile()))
	} else {
		section("Keyspace")
	}
	return b.String()
}

// config answers CONFIG GET, SET and RESETSTAT.
func (n *Node) config(c *conn, args [][]byte) {
	switch {
	case is(args[1], "GET") && len(args) > 2:
		found := map[string]string{}
		for name, value := range n.settings() {
			for _, p := range args[2:] {
				if command.Match(strings.ToLower(string(p)), name) {
					found[name] = value
				}
			}
		}
		c.out.Map(len(found))
		for name, value := range found {
			c.out.BulkString(name)
			c.out.BulkString(value)
		}
	case is(args[1], "SET") && len(args) > 3 && len(args)%2 == 0:
		if err := n.configure(args[2:]); err != nil {
			c.refuse("ERR CONFIG SET failed - " + err.Error())
			return
		}
		c.out.Status("OK")
	case is(args[1], "RESETSTAT") && len(args) == 2:
		n.stats, n.db.Stats = Stats{}, keyspace.Stats{}
		for _, s := range n.table {
			s.Calls = 0
		}
		c.out.Status("OK")
	default:
		c.refuse("ERR unknown subcommand or wrong number of arguments for '" + clip(args[1]) + "'. Try CONFIG GET.")
	}
}

func (n *Node) settings() map[string]string {
	o := n.db.Options()
	return map[string]string{
		"maxmemory": strconv.FormatInt(o.MaxMemory, 10), "maxmemory-policy": o.Policy.String(), "maxmemory-samples": strconv.Itoa(o.Samples),
		"databases": "1", "dir": n.o.Dir, "save": "", "appendonly": "no", "repl-backlog-size": strconv.Itoa(n.o.Backlog),
		"client-output-buffer-limit": fmt.Sprintf("normal 0 0 0 slave %d 0 0 pubsub %d 0 0", replicaBuffer, n.o.ClientBuffer),
	}
}

var errSetting = errors.New("unknown or unchangeable setting")

// configure changes all settings of a command, or none.
func (n *Node) configure(pairs [][]byte) error {
	o := n.db.Options()
	for i := 0; i < len(pairs); i += 2 {
		name, value := pairs[i], string(pairs[i+1])
		switch {
		case is(name, "maxmemory"):
			size, ok := parseSize(value)
			if !ok {
				return errors.New("argument must be a memory value")
			}
			o.MaxMemory = size
		case is(name, "maxmemory-policy"):
			p, err := keyspace.ParsePolicy(strings.ToLower(value))
			if err != nil {
				return err
			}
			o.Policy = p
		case is(name, "maxmemory-samples"):
			k, err := strconv.Atoi(value)
			if err != nil {
				return errors.New("argument couldn't be parsed into an integer")
			}
			o.Samples = k
		default:
			return fmt.Errorf("%w '%s'", errSetting, clip(name))
		}
	}
	return n.db.Configure(o.MaxMemory, o.Policy, o.Samples)
}

// parseSize reads "100", "100mb", "1gb", "1k" (1,000) and "1kb" (1,024).
func parseSize(s string) (int64, bool) {
	s = strings.ToLower(s)
	digits := strings.TrimRight(s, "abcdefghijklmnopqrstuvwxyz")
	unit, ok := map[string]int64{"": 1, "b": 1, "k": 1e3, "kb": 1 << 10, "m": 1e6, "mb": 1 << 20, "g": 1e9, "gb": 1 << 30}[s[len(digits):]]
	n, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil || n < 0 || n > math.MaxInt64/4/unit {
		return 0, false
	}
	return n * unit, true
}
