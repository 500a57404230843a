package server

import (
	"strings"

	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/command"
)

// maxSubscriptions bounds the channels and patterns of one connection.
const maxSubscriptions = 1 << 16

func (c *conn) subscribed() bool { return len(c.channels)+len(c.patterns) > 0 }

func (n *Node) pubsub(c *conn, name string, args [][]byte) {
	switch name {
	case "SUBSCRIBE":
		c.subscribe(&c.channels, n.channels, "subscribe", args[1:])
	case "PSUBSCRIBE":
		c.subscribe(&c.patterns, n.patterns, "psubscribe", args[1:])
	case "UNSUBSCRIBE":
		c.unsubscribe(c.channels, n.channels, "unsubscribe", args[1:])
	case "PUNSUBSCRIBE":
		c.unsubscribe(c.patterns, n.patterns, "punsubscribe", args[1:])
	case "PUBLISH":
		c.out.Int(int64(n.publish(args[1], args[2])))
		if n.cluster != nil {
			n.cluster.publish(args[1], args[2])
		}
	case "PUBSUB":
		n.subscriptions(c, args[1:])
	}
}

func (c *conn) subscribe(own *map[string]struct{}, all map[string]map[*conn]struct{}, word string, names [][]byte) {
	if len(c.channels)+len(c.patterns)+len(names) > maxSubscriptions {
		c.refuse("ERR too many subscriptions")
		return
	}
	if *own == nil {
		*own = map[string]struct{}{}
	}
	for _, name := range names {
		(*own)[string(name)] = struct{}{}
		join(all, string(name), c)
		c.confirm(word, name)
	}
}

func (c *conn) unsubscribe(own map[string]struct{}, all map[string]map[*conn]struct{}, word string, names [][]byte) {
	if len(names) == 0 {
		for name := range own {
			names = append(names, []byte(name))
		}
	}
	if len(names) == 0 {
		c.confirm(word, nil)
	}
	for _, name := range names {
		delete(own, string(name))
		leave(all, string(name), c)
		c.confirm(word, name)
	}
}

func (c *conn) confirm(word string, name []byte) {
	c.out.Push(3)
	c.out.BulkString(word)
	if name == nil {
		c.out.Null()
	} else {
		c.out.Bulk(name)
	}
	c.out.Int(int64(len(c.channels) + len(c.patterns)))
}

func (c *conn) unsubscribeAll() {
	for name := range c.channels {
		leave(c.n.channels, name, c)
	}
	for name := range c.patterns {
		leave(c.n.patterns, name, c)
	}
	c.channels, c.patterns = nil, nil
}

// publish writes a message to those who wait for it here, and returns how many they are.
// What one of them does not read is bounded; see conn.later.
func (n *Node) publish(channel, message []byte) (receivers int) {
	for c := range n.channels[string(channel)] {
		c.out.Push(3)
		c.out.BulkString("message")
		c.out.Bulk(channel)
		c.out.Bulk(message)
		c.later()
		receivers++
	}
	for pattern, conns := range n.patterns {
		if !command.Match(pattern, string(channel)) {
			continue
		}
		for c := range conns {
			c.out.Push(4)
			c.out.BulkString("pmessage")
			c.out.BulkString(pattern)
			c.out.Bulk(channel)
			c.out.Bulk(message)
			c.later()
			receivers++
		}
	}
	return receivers
}

func (n *Node) subscriptions(c *conn, args [][]byte) {
	switch sub := strings.ToUpper(clip(args[0])); {
	case sub == "CHANNELS" && len(args) <= 2:
		var names []string
		for name := range n.channels {
			if len(args) == 1 || command.Match(string(args[1]), name) {
				names = append(names, name)
			}
		}
		c.out.Array(len(names))
		for _, name := range names {
			c.out.BulkString(name)
		}
	case sub == "NUMSUB":
		c.out.Array(2 * len(args[1:]))
		for _, name := range args[1:] {
			c.out.Bulk(name)
			c.out.Int(int64(len(n.channels[string(name)])))
		}
	case sub == "NUMPAT" && len(args) == 1:
		c.out.Int(int64(len(n.patterns)))
	default:
		c.refuse("ERR unknown subcommand or wrong number of arguments for '" + clip(args[0]) + "'. Try PUBSUB HELP.")
	}
}
