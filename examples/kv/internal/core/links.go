package core

import (
	"encoding/binary"
	"fmt"
	"slices"
)

// A link to a peer is known by stamps. Every message carries its sender's clock and
// repeats the newest clock its sender has had from the receiver:
//
//	X ── ping, stamp x1 ───────────────▶ Y
//	X ◀── pong, stamp y1, echo x1 ────── Y      X knows y1, as of x1
//	X ── anything, stamp x2, echo y1 ──▶ Y      Y: it was sent after y1, so its age is
//	                                            at most now − y1
//
// The age is judged by the receiver's own clock alone, and what was on its way when
// either process ended names a tenure that is over. That bounds how old a message can be,
// whatever queues, kernels and frozen processes did to it; collect.go counts on it.
//
// Pings also number the starts of a directory, and peers write the number down before
// they and the node have anything else to do with each other. A node whose number a peer
// has seen under another tenure was started from an old copy, and one without the mark
// "ready" from none: both are fresh. A fresh node takes writes, but has no say in a read
// before it has been compared with all other owners of the partition: a quorum would
// count on it for writes that it lost. So no node has a say before every peer that is not
// known to be down has let its number pass. (An old copy is taken for a good one only if
// all peers that saw a newer start are down.)

// pastTenures of a peer are remembered. More do not end within a message's lifetime.
const pastTenures = 16

type peer struct {
	alive  bool     // says the failure detector
	tenure uint64   // the peer's; 0 before it was heard of
	past   []uint64 // tenures that ended lately
	stamp  uint64   // the newest of its clock
	heard  int64    // by our clock, it lived at least until then
	up     bool     // as of the last look; for what is told of it only when it changes
	shun   int64    // until when reads ask it last; see hedge.go

	gen       uint64 // the greatest number of a start of its
	genTenure uint64
	genToken  uint64 // when that is on our disk
}

// up tells whether there is any sense in sending to a member.
func (n *Node) up(id string) bool {
	if id == n.o.ID {
		return true
	}
	p := n.peers[id]
	return p != nil && p.alive && n.named[id] && p.tenure != 0 && p.genTenure == p.tenure && n.now.Mono-p.heard <= n.o.Lifetime/2
}

// Up tells which members can be talked to.
func (n *Node) Up(id string) bool { return n.up(id) }

func (n *Node) setAlive(id string, up bool) {
	if p := n.peers[id]; p != nil {
		p.alive = up
		n.watch(id, p)
		n.settle()
	}
}

// watch follows a peer going up and down.
func (n *Node) watch(id string, p *peer) {
	switch up := n.up(id); {
	case p.up && !up:
		p.up = false
		n.note(id, "is out of reach")
		n.gone(id)
	case up && !p.up:
		p.up = true
		n.note(id, "is in reach")
		n.wakeHints(id)
		n.repair.wake(id)
	}
}

// send adds what all messages carry.
func (n *Node) send(to string, m *Message) {
	p := n.peers[to]
	if p == nil {
		return
	}
	m.Epoch = n.epoch
	m.Tenure, m.Stamp = n.tenure, uint64(n.now.Mono)
	if m.ToTenure == 0 || m.ToTenure == p.tenure && m.Echo < p.stamp {
		m.ToTenure, m.Echo = p.tenure, p.stamp
	}
	n.out = append(n.out, &Send{To: to, Message: m})
}

// stamped judges a message's age and learns from its stamp.
func (n *Node) stamped(from string, p *peer, m *Message) bool {
	age := n.now.Mono - int64(m.Echo)
	if m.ToTenure != n.tenure || age < 0 || age > n.o.Lifetime {
		if m.Kind == Ping && !m.Reply || planted(BugOldMessages) {
			return true // what asks for a stamp needs none, and teaches nothing
		}
		if !m.Reply {
			n.refuse(from, m, Stale)
		}
		return false
	}
	if slices.Contains(p.past, m.Tenure) {
		return !m.Reply // from a process that is no more, as its successor told us
	}
	if m.Tenure != p.tenure {
		// Another process than before: what was asked of that one is not answered.
		if p.past = append(p.past, p.tenure); len(p.past) > pastTenures {
			p.past = p.past[1:]
		}
		p.tenure, p.stamp = m.Tenure, 0
		if p.up {
			p.up = false
			n.gone(from)
		}
	}
	p.stamp = max(p.stamp, m.Stamp)
	p.heard = max(p.heard, int64(m.Echo))
	n.watch(from, p)
	return true
}

// ping sends every peer a stamp, once the number of this start is safe on disk.
func (n *Node) ping() {
	for _, id := range n.members {
		if id != n.o.ID {
			n.send(id, &Message{Kind: Ping, Digest: n.gen})
		}
	}
}

// pinged answers with a stamp, and with the number under which the sender is known if
// that is one too many.
func (n *Node) pinged(from string, m *Message) {
	p := n.peers[from]
	switch {
	case m.Tenure == p.genTenure && m.Digest < p.gen:
		return // held up on its way
	case m.Tenure == p.genTenure && m.Digest == p.gen:
	case m.Digest > p.gen:
		b := binary.AppendUvarint(binary.AppendUvarint(nil, m.Digest), m.Tenure)
		token, err := n.o.Store.Apply(Entry{metaKey("start " + from), b})
		if err != nil {
			n.refuse(from, m, NoSpace)
			return
		}
		p.gen, p.genTenure, p.genToken = m.Digest, m.Tenure, token
	default:
		n.reply(from, m, Message{Digest: p.gen, Code: Stale})
		return
	}
	n.whenDurable(p.genToken, func() { n.reply(from, m, Message{Digest: m.Digest}) })
}

// ponged learns what a peer thinks of the number of this start.
func (n *Node) ponged(from string, m *Message) {
	if m.Code == Stale && m.Digest >= n.gen {
		n.restored(m.Digest + 1)
		return
	}
	if m.Code == OK && m.Digest == n.gen && !n.named[from] {
		n.named[from] = true
		n.watch(from, n.peers[from])
		n.settle()
	}
}

// restored takes note that the directory is an old copy.
func (n *Node) restored(gen uint64) {
	n.gen, n.named = gen, map[string]bool{}
	n.becomeFresh()
	n.stats.Restored++
	n.note("", "this directory is an old copy: peers have seen a newer start of it; comparing with the other owners")
	n.writeGen(true)
}

// writeGen stores the number of this start; peers hear of it when it is durable.
func (n *Node) writeGen(forgetReady bool) {
	w := []Entry{{metaKey("gen"), binary.AppendUvarint(nil, n.gen)}}
	if forgetReady {
		w = append(w, Entry{metaKey("ready"), nil})
	}
	n.repair.nextPing = never
	token, err := n.o.Store.Apply(w...)
	if err != nil {
		n.repair.retryGen = true
		return
	}
	n.repair.retryGen = false
	n.whenDurable(token, func() { n.repair.nextPing = n.now.Mono })
}

// loadMeta reads what the node knows of itself and its peers, and numbers this start.
func (n *Node) loadMeta() error {
	number := func(name string, into ...*uint64) error {
		b, err := n.o.Store.Get(metaKey(name))
		if err != nil {
			return err
		}
		for _, p := range into {
			if len(b) == 0 {
				return nil
			}
			v, size := binary.Uvarint(b)
			if size <= 0 {
				return fmt.Errorf("%w: %q", ErrMalformed, name)
			}
			*p, b = v, b[size:]
		}
		return nil
	}
	if err := number("gen", &n.gen); err != nil {
		return err
	}
	for _, id := range n.members {
		if p := n.peers[id]; p != nil {
			if err := number("start "+id, &p.gen, &p.genTenure); err != nil {
				return err
			}
		}
	}
	mark, err := n.o.Store.Get(metaKey("ready"))
	if err != nil {
		return err
	}
	n.fresh = len(mark) == 0 && !planted(BugServeWiped)
	n.gen++
	n.writeGen(false)
	return nil
}

// becomeFresh takes the node's say in reads away until it is level again.
func (n *Node) becomeFresh() {
	if planted(BugServeWiped) {
		return
	}
	n.fresh = true
	for _, part := range n.parts {
		part.level = map[string]bool{}
	}
	n.settle()
}

// settle looks which partitions may be read here.
func (n *Node) settle() {
	all, passed := true, len(n.named) > 0 || len(n.members) == 1
	for id, p := range n.peers {
		passed = passed && (n.named[id] || !p.alive)
	}
	for _, part := range n.parts {
		if !part.mine {
			continue
		}
		switch {
		case n.fresh:
			part.ready = true
			for _, id := range part.owners {
				part.ready = part.ready && (id == n.o.ID || part.level[id])
			}
		default:
			part.ready = part.ready || passed
		}
		all = all && part.ready
	}
	if n.fresh && all {
		n.fresh = false
		n.note("", "all partitions are level with their other owners")
		if _, err := n.o.Store.Apply(Entry{metaKey("ready"), []byte{1}}); err != nil {
			n.stats.Refusals++
		}
		// The mark must not be younger than what it says is there; nor is it: both are in
		// one log, and a log is lost from its end.
	}
}
