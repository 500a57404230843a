package core

import (
	"encoding/binary"
	"slices"
)

// A tombstone must outlive every older copy of its key, or the next comparison brings a
// deleted value back. It goes by agreement, never by age alone. The partition's first
// owner asks every member of the cluster:
//
//	an owner:   have you held exactly this tombstone, durably and unchanged, for R?
//	anybody:    have you had no hint for the partition for R?
//
// R is at least 2 × Lifetime + MaxTimeout. When all say yes, an older copy could only be
//
//	in a store                 no: all owners hold the tombstone, nobody a hint
//	in a message to an op      sent before R began, so refused after Lifetime
//	in the memory of that op   ended MaxTimeout later, by its node's own clock
//	in a message from that op  refused after another Lifetime
//
// and R has passed on every node's own clock. So each owner is told to drop it, if it
// still holds exactly it. One that is not reached keeps it and spreads it again; the next
// vote takes it away again.
//
// What this cannot see is a disk that is put back from a copy older than the tombstone.
// Retention is how old such a copy may be.

// grave is a tombstone to be voted on.
type grave struct {
	key    []byte
	digest uint64
}

func encodeGraves(gs []grave) []byte {
	var b []byte
	for _, g := range gs {
		b = appendList(b, g.key, binary.BigEndian.AppendUint64(nil, g.digest))
	}
	return b
}

func decodeGraves(b []byte) ([]grave, bool) {
	parts, err := parseList(b)
	if err != nil || len(parts)%2 != 0 || len(parts) > 2*voteLimit {
		return nil, false
	}
	var gs []grave
	for i := 0; i < len(parts); i += 2 {
		if len(parts[i]) == 0 || len(parts[i+1]) != 8 {
			return nil, false
		}
		gs = append(gs, grave{parts[i], binary.BigEndian.Uint64(parts[i+1])})
	}
	return gs, true
}

// collect puts the tombstones of one partition to the vote.
func (n *Node) collect() {
	r := &n.repair
	if n.now.Mono < r.nextCollect {
		return
	}
	r.nextCollect = n.now.Mono + max(n.o.Exchange/int64(len(n.parts)), 1)
	r.collect = (r.collect + 1) % len(n.parts)
	part := n.parts[r.collect]
	if planted(BugReapByAge) {
		n.reap(part)
		return
	}
	if !part.mine || part.owners[0] != n.o.ID || len(part.tombs) == 0 {
		return
	}
	for _, id := range n.members {
		if !n.up(id) {
			return
		}
	}
	gs := n.graves(part, n.o.Retention)
	if len(gs) == 0 {
		return
	}
	agreed := n.agrees(part, gs)
	if !slices.Contains(agreed, true) {
		return
	}
	op := n.begin(n.o.Timeout)
	op.expired = func() {} // somebody did not vote
	op.on = func(_ string, m *Message) {
		if m.Code != OK || len(m.Frame) != len(gs) {
			n.end(op)
			return
		}
		for i, yes := range m.Frame {
			agreed[i] = agreed[i] && yes == 1
		}
		if len(op.waiting) > 0 {
			return
		}
		n.end(op)
		var go_ []grave
		for i, g := range gs {
			if agreed[i] {
				go_ = append(go_, g)
			}
		}
		if len(go_) == 0 {
			return
		}
		for _, id := range part.owners {
			if id != n.o.ID {
				n.send(id, &Message{Kind: Drop, Partition: part.id, Frame: encodeGraves(go_)})
			}
		}
		n.bury(part, go_)
	}
	frame := encodeGraves(gs)
	for _, id := range n.members {
		if id != n.o.ID {
			n.call(op, id, &Message{Kind: Vote, Partition: part.id, Frame: frame})
		}
	}
	if len(n.members) == 1 {
		n.end(op)
		n.bury(part, gs)
	}
}

// graves are tombstones that have not changed for so long, in the order of their keys.
func (n *Node) graves(part *partition, age int64) []grave {
	var keys []string
	for k, since := range part.tombs {
		if since != never && n.now.Mono-since >= age {
			keys = append(keys, k)
		}
	}
	slices.Sort(keys)
	var gs []grave
	for _, k := range keys[:min(len(keys), voteLimit)] {
		if obj, enc, err := n.stored(part, []byte(k)); err == nil && obj.Tombstone() {
			gs = append(gs, grave{[]byte(k), Digest(enc)})
		}
	}
	return gs
}

// agrees is this node's vote.
func (n *Node) agrees(part *partition, gs []grave) []bool {
	yes := make([]bool, len(gs))
	if part.hints > 0 || n.now.Mono-part.hintGone < n.o.Retention || part.mine && !part.ready {
		return yes
	}
	for i, g := range gs {
		if !part.mine {
			yes[i] = true
			continue
		}
		since, ok := part.tombs[string(g.key)]
		if !ok || since == never || n.now.Mono-since < n.o.Retention {
			continue
		}
		_, enc, err := n.stored(part, g.key)
		yes[i] = err == nil && Digest(enc) == g.digest
	}
	return yes
}

func (n *Node) vote(from string, m *Message, part *partition) {
	gs, ok := decodeGraves(m.Frame)
	if !ok {
		n.refuse(from, m, Malformed)
		return
	}
	ballot := make([]byte, len(gs))
	for i, yes := range n.agrees(part, gs) {
		if yes {
			ballot[i] = 1
		}
	}
	n.reply(from, m, Message{Frame: ballot})
}

// drop is the outcome of a vote.
func (n *Node) drop(from string, m *Message, part *partition) {
	gs, ok := decodeGraves(m.Frame)
	if !ok || !part.mine {
		n.stats.Refused++
		return
	}
	n.bury(part, gs)
}

// bury forgets tombstones that are exactly these.
func (n *Node) bury(part *partition, gs []grave) {
	for _, g := range gs {
		since, ok := part.tombs[string(g.key)]
		if !ok || since == never {
			continue
		}
		obj, enc, err := n.stored(part, g.key)
		if err != nil || Digest(enc) != g.digest {
			continue
		}
		k := objectKey(part.id, g.key)
		token, err := n.o.Store.Apply(Entry{k, nil})
		if err != nil {
			n.stats.Refusals++
			return
		}
		n.wrote(k, token)
		n.account(part, g.key, enc, nil, &obj, nil)
		delete(part.tombs, string(g.key))
		n.stats.Collected++
	}
}

// reap is the mistake of BugReapByAge.
func (n *Node) reap(part *partition) {
	if part.mine {
		n.bury(part, n.graves(part, n.o.Lifetime))
	}
}
