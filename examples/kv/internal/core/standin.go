package core

import (
	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
	"github.com/ashlar-go/ashlar/vclock"
)

// standIn takes a sloppy write when no owner can: with an actor for this write alone, for
// a stand-in does not keep what its dots would claim to know.
func (n *Node) standIn(part *partition, key []byte, o *order, deadline int64, then func(outcome)) {
	if part.mine || o.cond != api.Always {
		then(outcome{code: Unavailable})
		return
	}
	ctx, ok := n.verify(key, o.token)
	if !ok {
		then(outcome{code: BadContext})
		return
	}
	actor, err := vclock.NewActor(n.o.Rand)
	if err != nil {
		then(outcome{code: Unavailable})
		return
	}
	var obj Object
	c := n.apply(&obj, o, ctx, vclock.Dot{Actor: actor, Counter: 1})
	if c != OK {
		then(outcome{code: c})
		return
	}
	enc := EncodeObject(&obj)
	holders := []string{}
	for _, id := range n.fallbacks(part) {
		if id != n.o.ID {
			holders = append(holders, id)
		}
	}
	if 1+len(holders) < o.w {
		then(outcome{code: Unavailable})
		return
	}
	op := n.begin(deadline - n.now.Mono)
	count, answered := 0, false
	look := func() {
		if count >= o.w && !answered {
			answered = true
			then(outcome{code: OK, fallbacks: count, token: n.sign(key, obj.Context())})
			n.end(op)
		}
	}
	op.on = func(_ string, m *Message) {
		if m.Code == OK {
			count++
		}
		look()
	}
	op.expired = func() {
		if !answered {
			then(outcome{code: Unknown, fallbacks: count})
		}
	}
	// Each holder keeps it for one owner, this node for those that are left.
	for i, id := range part.owners {
		if i > 0 && i <= len(holders) {
			n.call(op, holders[i-1], &Message{Kind: StoreHint, Partition: part.id, Key: key, Object: enc, Target: id})
			continue
		}
		token, code := n.keepHint(id, part, key, &obj)
		if i == 0 && code == OK {
			n.whenDurable(token, func() {
				if n.live(op) {
					count++
					look()
				}
			})
		}
	}
}
