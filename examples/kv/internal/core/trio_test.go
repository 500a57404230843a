package core

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/ring"
)

// trio is three nodes whose messages arrive at once, unless they are lost.
type trio struct {
	t     *testing.T
	now   Time
	nodes map[string]*Node
	lost  func(from, to string, m *Message) bool
	sent  []string // "a→b read"
	done  []*Done
	lists map[string]int // scans of objects that a node's store was asked for
}

// listed is a store that counts scans of objects.
type listed struct {
	mapStore
	count func()
}

func (s listed) Scan(prefix, after []byte) iter.Seq2[Entry, error] {
	if len(prefix) > 0 && prefix[0] == 'o' {
		s.count()
	}
	return s.mapStore.Scan(prefix, after)
}

func newTrio(t *testing.T, tune func(*Options)) *trio {
	c := &trio{t: t, now: Time{Mono: 1, Wall: 1}, nodes: map[string]*Node{}, lists: map[string]int{}}
	table, err := ring.NewTable(ring.TableOptions{Partitions: 1, Replicas: 3}, ring.Node{ID: "a"}, ring.Node{ID: "b"}, ring.Node{ID: "c"})
	require.NoError(t, err)
	for i, id := range []string{"a", "b", "c"} {
		o := Options{
			ID: id, Table: table, Store: listed{mapStore{}, func() { c.lists[id]++ }}, Rand: rand.NewChaCha8([32]byte{byte(i)}), Secret: []byte("s"),
			Ping: 50, Exchange: 1000, Settle: 200,
		}
		if tune != nil {
			tune(&o)
		}
		c.nodes[id], err = New(o, c.now)
		require.NoError(t, err)
	}
	c.pass(3000) // they learn of each other and find that they are level
	for _, n := range c.nodes {
		require.True(t, n.up("a") && n.up("b") && n.up("c"))
	}
	c.sent, c.done = nil, nil
	clear(c.lists)
	return c
}

// step gives a node an event, and all the messages that follow from it to their receivers.
func (c *trio) step(id string, e Event) {
	type letter struct {
		from, to string
		m        *Message
	}
	var post []letter
	take := func(id string, out []Output) {
		for _, o := range out {
			switch o := o.(type) {
			case *Send:
				name := fmt.Sprintf("%s→%s %v", id, o.To, o.Message.Kind)
				if o.Message.Reply {
					name += " reply"
				}
				c.sent = append(c.sent, name)
				post = append(post, letter{id, o.To, o.Message})
			case *Done:
				c.done = append(c.done, o)
			}
		}
	}
	take(id, c.nodes[id].Step(c.now, e))
	for len(post) > 0 {
		l := post[0]
		post = post[1:]
		if c.lost == nil || !c.lost(l.from, l.to, l.m) {
			take(l.to, c.nodes[l.to].Step(c.now, Received{l.from, l.m}))
		}
	}
}

// pass lets time go by.
func (c *trio) pass(ms int64) {
	for end := c.now.Mono + ms; c.now.Mono < end; {
		c.now.Mono, c.now.Wall = c.now.Mono+5, c.now.Wall+5
		for _, id := range []string{"a", "b", "c"} {
			c.step(id, Tick{})
		}
	}
}

// put and get ask node a and return its answer, nil if there is none yet.
func (c *trio) put(key, value string) *Done {
	return c.ask(Request{Action: Put, Key: []byte(key), Value: []byte(value)})
}

func (c *trio) get(key string) *Done { return c.ask(Request{Action: Get, Key: []byte(key)}) }

func (c *trio) ask(r Request) *Done {
	c.sent, c.done = nil, nil
	c.step("a", r)
	if len(c.done) == 0 {
		return nil
	}
	return c.done[0]
}

// said counts what was sent under a name.
func (c *trio) said(name string) (n int) {
	for _, s := range c.sent {
		if s == name {
			n++
		}
	}
	return n
}
