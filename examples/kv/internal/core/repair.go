package core

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/ashlar-go/ashlar/merkle"
)

// Anti-entropy: owners of a partition compare their trees in turns, the one with the
// smaller name asking. A comparison of equal partitions costs some fifty bytes; of others,
// bytes in proportion to the difference. Then each side merges into the other what that
// one lacks:
//
//	A ── frame ──▶ B ── frame ──▶ A …       until both know the differing keys
//	A ── Merge(key, what A has now) ──▶ B   for every key that A has
//	B ── Merge(key, what B has now) ──▶ A   for every key that B has
//
// What is large is offered by its digest first, and owners begin at different keys: so a
// node that was away gets from all of them together little more than it missed.
//
// It repairs whatever the rest missed: lost hints, replicas restored or wiped, reads that
// nobody makes.

const (
	pushWindow   = 16  // merges under way for one comparison
	offerSize    = 512 // bytes of an object that is offered before it is sent
	sessionLimit = 64  // comparisons that peers may run here at once
	voteLimit    = 256 // tombstones in one vote
)

// pair is a partition and a peer that owns it too.
type pair struct {
	part   *partition
	peer   string
	due    int64
	active bool
}

type repairer struct {
	pairs    []*pair // that this node asks in
	next     int
	sessions int // that this node began and that run
	inbound  map[forwardID]*inbound
	answers  int // of inbound, those that are not over

	nextSweep   int64
	nextPing    int64
	retryGen    bool
	nextCollect int64
	collect     int // the partition whose tombstones are next
	nextCheck   int64
	check       int // the partition whose tree is checked next
}

func (r *repairer) load(n *Node) {
	r.inbound = map[forwardID]*inbound{}
	for _, part := range n.parts {
		if !part.mine {
			continue
		}
		for _, id := range part.owners {
			if n.o.ID < id {
				r.pairs = append(r.pairs, &pair{part: part, peer: id})
			}
		}
	}
	r.nextCollect, r.nextCheck = n.now.Mono+n.o.Exchange, n.now.Mono+10*n.o.Exchange
}

// wake makes the comparisons with a peer due: it was away.
func (r *repairer) wake(peer string) {
	for _, p := range r.pairs {
		if p.peer == peer {
			p.due = 0
		}
	}
}

// tick lets time pass.
func (n *Node) tick() {
	for _, id := range n.members {
		if p := n.peers[id]; p != nil {
			n.watch(id, p)
		}
	}
	r := &n.repair
	if n.now.Mono >= r.nextSweep {
		r.nextSweep = n.now.Mono + n.o.Ping
		n.sweep()
	}
	if r.retryGen {
		n.writeGen(n.fresh)
	}
	if n.now.Mono >= r.nextPing {
		r.nextPing = n.now.Mono + n.o.Ping
		n.ping()
	}
	n.deliverHints()
	n.compare()
	n.collect()
	n.checkTree()
}

// sweep forgets what need not be remembered any more.
func (n *Node) sweep() {
	maps.DeleteFunc(n.forward, func(_ forwardID, until int64) bool { return until < n.now.Mono })
	maps.DeleteFunc(n.coming, func(_ uint64, until int64) bool { return until < n.now.Mono })
}

// compare begins the comparisons that are due, in turns.
func (n *Node) compare() {
	r := &n.repair
	for range r.pairs {
		if r.sessions >= n.o.Sessions {
			return
		}
		p := r.pairs[r.next]
		r.next = (r.next + 1) % len(r.pairs)
		if !p.active && p.due <= n.now.Mono && n.up(p.peer) {
			n.startSession(p)
		}
	}
}

func (n *Node) startSession(p *pair) {
	r := &n.repair
	sess := n.newSession(p.part, p.peer)
	op := n.begin(n.o.Timeout)
	p.active = true
	r.sessions++
	n.stats.Comparisons++
	seq := 0
	pause := n.o.Exchange // until the next
	over := func() {
		n.end(op)
		p.active = false
		r.sessions--
		p.due = n.now.Mono + pause
		if sess.Stats().More {
			p.due = n.now.Mono
		}
		n.compare()
	}
	ask := func(frame []byte) {
		n.stats.RepairSent += int64(len(frame))
		n.call(op, p.peer, &Message{Kind: Exchange, Partition: p.part.id, Frame: frame, Counts: [2]int{seq, 0}})
		seq++
	}
	op.expired = over
	op.on = func(_ string, m *Message) {
		if m.Code != OK {
			if m.Code == Coming {
				pause = n.o.Settle
			}
			over()
			return
		}
		n.stats.RepairReceived += int64(len(m.Frame))
		if !sess.Done() {
			out, err := sess.Step(m.Frame)
			if errors.Is(err, errUnderWay) {
				pause = n.o.Settle
				over()
				return
			}
			if err != nil {
				n.stats.Refused++
				over()
				return
			}
			if out != nil {
				n.postpone(op, n.o.Timeout)
				ask(out)
				return
			}
		}
		n.compared(p.part, p.peer, sess)
		over()
	}
	ask(sess.Start())
}

// inbound is a comparison that a peer began. It is remembered for a while after its end:
// a frame that was doubled on its way must not begin another.
type inbound struct {
	sess *merkle.Session // nil: over
	op   *op
	seq  int
}

// end is called at the end, and again when it is forgotten.
func (in *inbound) end(r *repairer) {
	if in.sess != nil {
		in.sess = nil
		r.answers--
	}
}

// exchanged answers one frame of a peer's comparison.
func (n *Node) exchanged(from string, m *Message, part *partition) {
	id := forwardID{from, m.Tenure, m.ID >> questionBits} // its frames are questions of one op
	in := n.repair.inbound[id]
	switch {
	case !part.mine:
		n.refuse(from, m, NotOwner)
		return
	case in == nil && m.Counts[0] == 0 && n.repair.answers < sessionLimit:
		in = &inbound{sess: n.newSession(part, from), op: n.begin(n.o.Timeout)}
		in.op.on = func(string, *Message) {}
		in.op.expired = func() {
			in.end(&n.repair)
			delete(n.repair.inbound, id)
		}
		n.repair.inbound[id] = in
		n.repair.answers++
	case in == nil:
		n.refuse(from, m, Unavailable)
		return
	case m.Counts[0] != in.seq || in.sess == nil:
		return // doubled on its way
	}
	in.seq++
	n.postpone(in.op, n.o.Timeout)
	n.stats.RepairReceived += int64(len(m.Frame))
	out, err := in.sess.Step(m.Frame)
	if errors.Is(err, errUnderWay) {
		in.end(&n.repair)
		n.reply(from, m, Message{Code: Coming})
		return
	}
	if err != nil {
		in.end(&n.repair)
		n.refuse(from, m, Malformed)
		return
	}
	n.stats.RepairSent += int64(len(out))
	n.reply(from, m, Message{Frame: out})
	if sess := in.sess; sess.Done() {
		in.end(&n.repair)
		n.compared(part, from, sess)
	}
}

// compared spreads what a comparison found.
func (n *Node) compared(part *partition, peer string, sess *merkle.Session) {
	var keys [][]byte
	missing := map[uint64]bool{}
	for d := range sess.Diffs() {
		if d.Key != nil && d.Local != 0 {
			keys = append(keys, append([]byte(nil), d.Key...))
		}
		if d.Remote != 0 {
			missing[d.Hash] = true
		}
	}
	n.stats.Differences += int64(sess.Stats().Diffs)
	if n.fresh && !sess.Stats().More {
		part.missing[peer] = missing
		n.levelled(part, peer)
	}
	if len(keys) > 0 {
		first := slices.Index(part.owners, n.o.ID) * len(keys) / len(part.owners)
		n.push(part, peer, append(keys[first:], keys[:first]...))
	}
}

// levelled takes note if nothing of an owner's is missing here any more.
func (n *Node) levelled(part *partition, peer string) {
	if missing, ok := part.missing[peer]; ok && len(missing) == 0 {
		delete(part.missing, peer)
		part.level[peer] = true
		n.settle()
	}
}

// arrived takes note of a key that an owner pushed after a comparison.
func (n *Node) arrived(part *partition, key []byte, peer string) {
	if missing := part.missing[peer]; len(missing) > 0 {
		delete(missing, part.tree.Hash(key))
		n.levelled(part, peer)
	}
}

// push merges keys into a peer, some at a time, each as it is stored by then.
func (n *Node) push(part *partition, peer string, keys [][]byte) {
	flying := 0
	var more func()
	var send func(key []byte, offer bool) // one key's merge, or its offer
	send = func(key []byte, offer bool) {
		_, enc, err := n.stored(part, key)
		if err != nil || len(enc) == 0 {
			return
		}
		m := &Message{Kind: Merge, Partition: part.id, Key: key, Counts: [2]int{1, 0}}
		if offer = offer && len(enc) > offerSize; offer {
			m.Digest = Digest(enc)
		} else {
			m.Object = enc
		}
		op := n.begin(n.o.Timeout)
		flying++
		op.on = func(_ string, m *Message) {
			n.end(op)
			flying--
			switch m.Code {
			case OK:
				n.stats.Repaired++
			case Wanted:
				send(key, false)
			}
			more()
		}
		op.expired = func() {
			flying--
			keys = nil // the next comparison finds them again
		}
		n.stats.RepairSent += int64(len(m.Object) + len(key))
		n.call(op, peer, m)
	}
	more = func() {
		for flying < pushWindow && len(keys) > 0 && n.up(peer) {
			key := keys[0]
			keys = keys[1:]
			send(key, true)
		}
	}
	more()
}

// checkTree holds one partition's tree against what is stored, now and then: a tree that
// has drifted would call replicas equal that are not.
func (n *Node) checkTree() {
	r := &n.repair
	if n.now.Mono < r.nextCheck || len(n.parts) == 0 {
		return
	}
	r.nextCheck = n.now.Mono + 10*n.o.Exchange
	r.check = (r.check + 1) % len(n.parts)
	if part := n.parts[r.check]; part.mine {
		if _, err := n.CheckTree(part.id); err != nil {
			n.stats.Damage = err.Error()
		}
	}
}

// CheckTree compares a partition's tree with what is stored, corrects it and returns the
// number of leaves that were wrong.
func (n *Node) CheckTree(p int) (int, error) {
	if p < 0 || p >= len(n.parts) {
		return 0, fmt.Errorf("%w: partition %d", ErrMalformed, p)
	}
	part := n.parts[p]
	drifts, err := part.tree.SelfCheck(n.items(part))
	if err != nil {
		return 0, err
	}
	part.tree.Correct(drifts...)
	n.stats.Drifts += int64(len(drifts))
	return len(drifts), nil
}
