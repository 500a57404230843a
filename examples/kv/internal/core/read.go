package core

import (
	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
)

// A read asks R owners: one for the object, the others for its digest alone. Answers that
// differ are fetched and merged, and the stale owners among them are brought level before
// anybody is told: so two reads one after the other never go back in time, even if the
// write they saw never reached its quorum.
//
//	ask R ──▶ R answers ──▶ equal ────────────────────────────▶ answer
//	  │            │                                       ▲
//	  │            └─▶ differ ─▶ fetch ─▶ merge ─▶ repair ─┘   late answers are repaired after it
//	  └─▶ one cannot, or is slow ─▶ ask the rest; see hedge.go

// reading is one read.
type reading struct {
	n    *Node
	op   *op
	part *partition
	key  []byte
	need int  // R
	late bool // answers that come after the R-th are repaired too
	then func(obj Object, answers int, c Code)

	obj      Object            // the join of what came
	merged   uint64            // its digest
	encoded  []byte            // its encoding
	seen     map[string]uint64 // digest at each owner that answered well
	fetched  map[uint64]bool   // digests whose object is in obj
	sent     map[string]uint64 // digest of the repair that an owner was sent last
	asked    map[string]bool   // owners whose answer is still to come
	spare    []string          // owners that are up and were not asked
	full     int               // of those, asked for the object and not the digest
	bad      Code              // the last answer that was none
	hedged   bool              // a second owner was asked for the object since the first is slow
	answered bool
}

// get is a client's read.
func (n *Node) get(r Request) {
	part := n.parts[n.o.Table.PartitionOf(r.Key)]
	if err := api.CheckKey(r.Key); err != nil {
		n.done(Done{ID: r.ID, Err: err})
		return
	}
	need, err := api.Need(r.Read.Level, r.Read.R, len(part.owners))
	if err != nil {
		n.done(Done{ID: r.ID, Err: err})
		return
	}
	n.stats.Reads++
	n.read(part, r.Key, need, true, n.life(r.Timeout), func(obj Object, answers int, c Code) {
		if c != OK {
			n.stats.Failed++
			n.done(Done{ID: r.ID, Err: fail(c, "%d of %d answers (%v)", answers, need, c)})
			return
		}
		n.done(Done{ID: r.ID, Read: n.result(r.Key, &obj, answers)})
	})
}

// result shows an object to a client.
func (n *Node) result(key []byte, obj *Object, answers int) *api.Read {
	res := &api.Read{Answers: answers, Epoch: n.o.Table.Epoch(), Context: n.sign(key, obj.Context())}
	for _, v := range live(obj, n.now.Wall) {
		res.Values = append(res.Values, api.Value{Data: v.Data, Expires: timeOf(v.Expires), Written: timeOf(v.Written)})
	}
	return res
}

// life is how long an op of a request may take.
func (n *Node) life(timeout int64) int64 {
	if timeout <= 0 {
		return n.o.Timeout
	}
	return min(timeout, n.o.MaxTimeout)
}

// read calls then once: with what need owners have, or with a code.
func (n *Node) read(part *partition, key []byte, need int, late bool, life int64, then func(Object, int, Code)) {
	r := &reading{
		n: n, part: part, key: key, need: need, late: late, then: then, bad: Unavailable,
		seen: map[string]uint64{}, fetched: map[uint64]bool{}, sent: map[string]uint64{}, asked: map[string]bool{},
	}
	first := n.candidates(part)
	if len(first) < need {
		then(Object{}, len(first), Unavailable)
		return
	}
	if !late || n.stats.Reads%n.o.Survey != 0 {
		first, r.spare = first[:need], first[need:]
	}
	r.op = n.begin(life)
	r.op.on = r.reply
	r.op.expired = func() {
		if !r.answered {
			r.finish(Unavailable)
		}
	}
	for _, id := range first {
		r.asked[id] = true
	}
	if r.asked[n.o.ID] {
		code, enc := n.readable(part, key)
		r.full++
		defer n.whenKeyDurable(objectKey(part.id, key), func() {
			if n.live(r.op) {
				r.reply(n.o.ID, &Message{Kind: Read, Code: code, Object: enc, Digest: Digest(enc)})
			}
		})
	}
	for _, id := range first {
		if id != n.o.ID {
			r.ask(id, r.full == 0)
		}
	}
	n.hedge(r)
}

// ask sends an owner a question: for the object, or for its digest alone.
func (r *reading) ask(id string, full bool) {
	m := &Message{Kind: Read, Partition: r.part.id, Key: r.key}
	if full {
		r.full++
	} else {
		m.Digest = 1
	}
	r.asked[id] = true
	r.n.call(r.op, id, m)
}

// reply takes an owner's answer, to a read or to a repair.
func (r *reading) reply(from string, m *Message) {
	delete(r.asked, from)
	repaired, wasRepair := r.sent[from]
	delete(r.sent, from)
	switch {
	case m.Code != OK:
		r.bad = m.Code
		if m.Code == Gone || m.Code == Undelivered {
			r.bad = Unavailable
		}
		if !wasRepair && r.full > 0 && len(r.seen) == 0 {
			r.full = 0 // perhaps the only one that was asked for the object
		}
		r.widen(1)
	case wasRepair:
		r.seen[from] = repaired // and what else it may have since
	case m.Digest == 0 || len(m.Object) > 0:
		r.full--
		if r.take(m) {
			r.seen[from] = m.Digest
		} else {
			r.bad = Damaged
		}
	default:
		r.seen[from] = m.Digest
	}
	r.look()
}

// take joins an object that came in full.
func (r *reading) take(m *Message) bool {
	if len(m.Object) > 0 && !r.fetched[m.Digest] {
		obj, err := DecodeObject(m.Object)
		if err != nil || Digest(m.Object) != m.Digest {
			return false
		}
		if r.obj.IsZero() {
			r.obj, r.encoded = obj, m.Object
		} else {
			r.obj.Merge(obj)
			r.encoded = EncodeObject(&r.obj)
		}
		r.merged = Digest(r.encoded)
	}
	r.fetched[m.Digest] = true
	return true
}

// look decides whether enough is known, and asks for what is missing.
func (r *reading) look() {
	if !r.n.live(r.op) {
		return
	}
	good, level := 0, 0
	for _, id := range r.part.owners {
		if d, ok := r.seen[id]; ok && (d == r.merged && len(r.fetched) > 0 || r.fetched[d]) {
			good++
			if d == r.merged {
				level++
			}
		}
	}
	if !r.answered && (level >= r.need || good >= r.need && (r.need == 1 || planted(BugLazyRepair))) {
		r.finish(OK)
	}
	if !r.n.live(r.op) {
		return
	}
	for _, id := range r.part.owners {
		d, ok := r.seen[id]
		switch {
		case !ok || r.asked[id] || d == r.merged && len(r.fetched) > 0:
		case r.fetched[d]:
			if good >= r.need {
				r.repair(id)
			}
		case r.full <= 0 || len(r.seen) >= r.need && !r.hedged:
			// Nobody was asked for the object, or whoever was is slower than R others.
			r.hedged = r.hedged || r.full > 0
			delete(r.seen, id)
			r.ask(id, true)
		}
		if !r.n.live(r.op) {
			return
		}
	}
	possible := len(r.asked) + len(r.spare)
	for id := range r.seen {
		if !r.asked[id] {
			possible++
		}
	}
	switch {
	case !r.answered && possible < r.need:
		r.finish(r.bad)
	case r.answered && len(r.asked) == 0:
		r.n.end(r.op)
	}
}

// finish answers; on success the op lives on for those who are late.
func (r *reading) finish(c Code) {
	r.answered = true
	if c == OK && r.late {
		r.n.postpone(r.op, min(r.n.o.Linger, r.op.deadline-r.n.now.Mono))
	} else {
		r.n.end(r.op)
	}
	r.then(r.obj, len(r.seen), c)
}

// repair tells an owner that has less what all of them together have.
func (r *reading) repair(id string) {
	r.n.stats.ReadRepairs++
	delete(r.seen, id) // until it says that it is level
	r.sent[id] = r.merged
	r.asked[id] = true
	if id != r.n.o.ID {
		r.n.call(r.op, id, &Message{Kind: Merge, Partition: r.part.id, Key: r.key, Object: r.encoded})
		return
	}
	token, _, _, err := r.n.merge(r.part, r.key, r.obj)
	if err != nil {
		r.reply(id, &Message{Code: codeOf(err)})
		return
	}
	r.n.whenDurable(token, func() {
		if r.n.live(r.op) {
			r.reply(id, &Message{})
		}
	})
}
