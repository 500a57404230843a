package core

import (
	"errors"
	"slices"
	"time"

	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
	"github.com/ashlar-go/ashlar/vclock"
)

// A write is coordinated by an owner of its key, which alone gives it a dot:
//
//	any node ── Forward ──▶ owner ── dot, own log ──┬─ Merge ─▶ owner 2 ─┐
//	    │  refused or never delivered:              └─ Merge ─▶ owner 3 ─┤ durable there
//	    └─▶ the next owner                                               ▼
//	        otherwise never again: one request, one dot        W of them: acknowledged
//
// Who does not answer gets a hint: a copy that the coordinator, or for a sloppy write
// another node, keeps on disk until it is delivered.

func isNoSpace(err error) bool { return errors.Is(err, ErrNoSpace) }

func timeOf(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms)
}

// outcome of a write.
type outcome struct {
	code      Code
	primaries int    // owners that have it on disk
	fallbacks int    // stand-ins that have
	token     []byte // context that covers it, nil if there are siblings that its writer has not seen
}

// write is a client's.
func (n *Node) write(r Request) {
	if err := api.CheckWrite(r.Key, r.Value, r.Write); err != nil {
		n.done(Done{ID: r.ID, Err: err})
		return
	}
	part := n.parts[n.o.Table.PartitionOf(r.Key)]
	w, err := api.Need(r.Write.Level, r.Write.W, len(part.owners))
	if err != nil {
		n.done(Done{ID: r.ID, Err: err})
		return
	}
	o := &order{
		del: r.Action == Delete, mode: r.Write.Mode, cond: r.Write.If, sloppy: r.Write.Sloppy,
		r: r.Write.Level.Count(len(part.owners)), w: w, life: n.life(r.Timeout), token: r.Write.Context, value: r.Value,
	}
	if r.Write.TTL > 0 {
		o.ttl = max(r.Write.TTL.Milliseconds(), 1)
	}
	if _, ok := n.verify(r.Key, o.token); !ok {
		n.done(Done{ID: r.ID, Err: api.ErrContext})
		return
	}
	n.stats.Writes++
	n.place(part, r.Key, o, func(x outcome) {
		if x.code != OK {
			n.stats.Failed++
			n.done(Done{ID: r.ID, Err: fail(x.code, "%d of %d owners have it (%v)", x.primaries, w, x.code)})
			return
		}
		n.done(Done{ID: r.ID, Written: &api.Written{Context: x.token, Primaries: x.primaries, Fallbacks: x.fallbacks, Epoch: n.o.Table.Epoch()}})
	})
}

// place finds an owner to coordinate, this node if it is one, and goes to the next only
// while it is sure that nobody has begun.
func (n *Node) place(part *partition, key []byte, o *order, then func(outcome)) {
	owners := slices.DeleteFunc(slices.Clone(part.owners), func(id string) bool { return !n.up(id) })
	// Writes that replace whatever is there meet at one owner, which puts them in a row:
	// they would end up as siblings otherwise. Others are quicker here.
	if i := slices.Index(owners, n.o.ID); i > 0 && o.mode != api.ReadFirst {
		owners[0], owners[i] = owners[i], owners[0]
	}
	deadline := n.now.Mono + o.life
	refused := Unavailable
	var next func()
	next = func() {
		if len(owners) == 0 {
			if o.sloppy && refused != NoSpace {
				n.standIn(part, key, o, deadline, then)
				return
			}
			then(outcome{code: refused})
			return
		}
		id := owners[0]
		owners = owners[1:]
		o.life = deadline - n.now.Mono
		done := func(x outcome) {
			if x.code.undone() {
				refused = Unavailable
				if x.code == NoSpace || x.code == Damaged {
					refused = x.code
				}
				next()
				return
			}
			then(x)
		}
		if id == n.o.ID {
			n.coordinate(part, key, o, done)
			return
		}
		if !n.up(id) {
			next()
			return
		}
		op := n.begin(o.life)
		op.on = func(_ string, m *Message) {
			n.end(op)
			if m.Code == Gone {
				m.Code = Unknown
			}
			done(outcome{code: m.Code, primaries: m.Counts[0], fallbacks: m.Counts[1], token: m.Frame})
		}
		op.expired = func() { then(outcome{code: Unknown}) }
		n.call(op, id, &Message{Kind: Forward, Partition: part.id, Key: key, Object: o.value, Frame: o.encode()})
	}
	next()
}

// forwardID names a forward, so that one that is doubled on its way is carried out once.
type forwardID struct {
	from       string
	tenure, id uint64
}

// forwarded is a peer's client's write.
func (n *Node) forwarded(from string, m *Message, part *partition) {
	o, err := decodeOrder(m)
	if err == nil {
		err = api.CheckWrite(m.Key, o.value, api.WriteOptions{})
	}
	if err != nil || o.r < 1 || o.w < 1 || o.r > len(part.owners) || o.w > len(part.owners) {
		n.refuse(from, m, Malformed)
		return
	}
	id := forwardID{from, m.Tenure, m.ID}
	if n.forward[id] != 0 && !planted(BugTwice) {
		return
	}
	// Older messages are refused anyway.
	n.forward[id] = n.now.Mono + n.o.Lifetime + 1
	o.life = min(o.life, n.o.MaxTimeout)
	n.coordinate(part, m.Key, o, func(x outcome) {
		n.reply(from, m, Message{Code: x.code, Counts: [2]int{x.primaries, x.fallbacks}, Frame: x.token})
	})
}

// coordinate carries a write out at this owner.
func (n *Node) coordinate(part *partition, key []byte, o *order, then func(outcome)) {
	up := 0
	for _, id := range part.owners {
		if n.up(id) {
			up++
		}
	}
	if up < o.w && !o.sloppy {
		then(outcome{code: Unavailable, primaries: 0})
		return
	}
	if err := n.o.Store.Writable(); err != nil {
		then(outcome{code: codeOf(err)})
		return
	}
	ctx, ok := n.verify(key, o.token)
	if !ok {
		then(outcome{code: BadContext})
		return
	}
	if o.mode != api.ReadFirst && o.cond == api.Always {
		n.begun(part, key, o, ctx, Object{}, o.life, then)
		return
	}
	deadline := n.now.Mono + o.life
	n.read(part, key, min(o.r, max(up, 1)), false, o.life, func(obj Object, _ int, c Code) {
		switch {
		case c == OK && up < o.r && !o.sloppy:
			c = Unavailable
		case c == OK && o.cond == api.IfAbsent && len(live(&obj, n.now.Wall)) > 0, c == OK && o.cond == api.IfPresent && len(live(&obj, n.now.Wall)) == 0:
			c = Failed
		}
		if c != OK {
			then(outcome{code: c})
			return
		}
		if o.mode == api.ReadFirst {
			ctx.Merge(obj.Context())
		}
		n.begun(part, key, o, ctx, obj, deadline-n.now.Mono, then)
	})
}

// begun gives the write its dot, stores it and spreads it; seen is what was read for it. From here on nobody may say
// that nothing happened.
func (n *Node) begun(part *partition, key []byte, o *order, ctx vclock.Vector, seen Object, life int64, then func(outcome)) {
	if life <= 0 {
		then(outcome{code: Unavailable})
		return
	}
	obj, was, err := n.stored(part, key)
	if err != nil {
		then(outcome{code: codeOf(err)})
		return
	}
	if o.mode == api.ReadFirst {
		// What has come since the read is older than this write all the same.
		ctx.Merge(obj.Context())
	}
	before := obj
	if o.cond == api.IfAbsent {
		// Somebody else may have been faster meanwhile.
		seen.Merge(obj)
		if len(live(&seen, n.now.Wall)) > 0 {
			then(outcome{code: Failed})
			return
		}
	}
	n.counter++
	if c := n.apply(&obj, o, ctx, vclock.Dot{Actor: n.actor, Counter: n.counter}); c != OK {
		then(outcome{code: c})
		return
	}
	// Owners that are down get their hint in the same breath, unless another node keeps
	// it for a sloppy write.
	w := &writing{n: n, part: part, key: key, order: o, then: then, have: map[string]bool{}, hinted: map[string]bool{}}
	var down []string
	for _, id := range part.owners {
		if !n.up(id) {
			down = append(down, id)
		}
	}
	var hints []hint
	var also []Entry
	stand := n.fallbacks(part)
	for i, id := range down {
		if o.sloppy && i < len(stand) {
			continue
		}
		if h, ok := n.makeHint(id, part, key, &obj); ok {
			hints, also = append(hints, h), append(also, h.entry)
			w.hinted[id] = true
		}
	}
	token, enc, err := n.keep(part, key, was, &before, &obj, also...)
	if err != nil {
		then(outcome{code: codeOf(err)})
		return
	}
	for _, h := range hints {
		n.hintStored(h)
	}
	if obj.Len() == 1 {
		w.token = n.sign(key, obj.Context())
	}
	w.op = n.begin(life)
	w.op.on = w.reply
	w.op.expired = w.expired
	for _, id := range part.owners {
		if id != n.o.ID && n.up(id) {
			n.call(w.op, id, &Message{Kind: Merge, Partition: part.id, Key: key, Object: enc})
		}
	}
	if o.sloppy {
		for i, id := range down {
			if i < len(stand) {
				w.hinted[id] = true
				n.call(w.op, stand[i], &Message{Kind: StoreHint, Partition: part.id, Key: key, Object: enc, Target: id})
			}
		}
	}
	n.whenDurable(token, func() { w.has(n.o.ID) })
}

// apply makes the write in an object, under a dot that was never used.
func (n *Node) apply(obj *Object, o *order, ctx vclock.Vector, d vclock.Dot) Code {
	written := n.now.Wall
	for _, v := range obj.Values() {
		written = max(written, v.Written+1)
	}
	v := Value{Data: o.value, Written: written}
	if o.ttl > 0 {
		v.Expires = n.now.Wall + o.ttl
	}
	var err error
	if o.del {
		err = obj.Delete(ctx, d)
	} else {
		err = obj.Put(ctx, d, v)
	}
	if err != nil {
		return BadContext
	}
	if obj.Len() > n.o.Siblings {
		return TooMany
	}
	size := 0
	for _, v := range obj.Values() {
		size += len(v.Data)
	}
	if size > max(n.o.ObjectSize, len(o.value)) {
		return TooMany
	}
	return OK
}

// fallbacks are the nodes that may stand in for owners of a partition.
func (n *Node) fallbacks(part *partition) (up []string) {
	for f := range n.o.Table.Fallbacks(part.id) {
		if n.up(f.ID) {
			up = append(up, f.ID)
		}
	}
	return up
}

// writing is a write that has its dot.
type writing struct {
	n     *Node
	op    *op
	part  *partition
	key   []byte
	order *order
	token []byte
	then  func(outcome)

	have      map[string]bool // owners that have it on disk
	hinted    map[string]bool // owners for whom somebody keeps a hint
	fallbacks int             // stand-ins that have it on disk
	answered  bool
}

// has counts an owner's durable copy.
func (w *writing) has(id string) {
	if !w.n.live(w.op) {
		return
	}
	w.have[id] = true
	w.look()
}

func (w *writing) reply(from string, m *Message) {
	switch {
	case m.Code == OK && slices.Contains(w.part.owners, from):
		w.have[from] = true
	case m.Code == OK:
		w.fallbacks++
	case slices.Contains(w.part.owners, from):
		w.hint(from)
	}
	w.look()
}

// look acknowledges when enough have it.
func (w *writing) look() {
	count := len(w.have)
	if w.order.sloppy || planted(BugHintIsOwner) {
		count += w.fallbacks
		if planted(BugHintIsOwner) {
			count += len(w.hinted)
		}
	}
	if count >= w.order.w {
		w.answer(OK)
	}
	if len(w.op.waiting) == 0 && w.answered && w.have[w.n.o.ID] {
		w.n.end(w.op)
	}
}

func (w *writing) answer(c Code) {
	if w.answered {
		return
	}
	w.answered = true
	if w.n.live(w.op) {
		w.n.postpone(w.op, min(w.n.o.Linger, w.op.deadline-w.n.now.Mono))
	}
	w.then(outcome{code: c, primaries: len(w.have), fallbacks: w.fallbacks, token: w.token})
}

// hint keeps for an owner what it may have missed.
func (w *writing) hint(id string) {
	if !w.hinted[id] && !w.have[id] {
		w.hinted[id] = true
		w.n.hintFor(id, w.part, w.key)
	}
}

// expired gives up on those who have not answered.
func (w *writing) expired() {
	for _, id := range w.part.owners {
		if id != w.n.o.ID {
			w.hint(id)
		}
	}
	w.answer(Unknown)
}
