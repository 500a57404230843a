package core

// A fence holds back what tells others of a write until the write is durable.
//
//	Apply ─▶ token 7 ─┬─▶ visible here at once: later writes build on it
//	                  └─▶ acknowledgements, answers to reads, votes: when 7 is durable

const never = int64(1) << 62

type fences struct {
	durable uint64            // the greatest token that is
	waits   []wait            // by token
	dirty   map[string]uint64 // storage keys whose last write is not durable yet
	written []written         // the same, by token
}

type wait struct {
	token uint64
	do    func()
}

type written struct {
	token uint64
	key   string
}

// whenDurable does something when a token is durable, perhaps now.
func (n *Node) whenDurable(token uint64, do func()) {
	if token <= n.fences.durable || planted(BugEarlyAck) {
		do()
		return
	}
	n.fences.waits = append(n.fences.waits, wait{token, do})
}

// whenKeyDurable does something when the last write of a key is durable.
func (n *Node) whenKeyDurable(key []byte, do func()) {
	n.whenDurable(n.fences.dirty[string(key)], do)
}

// wrote notes a write.
func (n *Node) wrote(key []byte, token uint64) {
	if token > n.fences.durable {
		n.fences.dirty[string(key)] = token
		n.fences.written = append(n.fences.written, written{token, string(key)})
	}
}

// durable opens the fences up to a token.
func (n *Node) durable(token uint64) {
	f := &n.fences
	f.durable = max(f.durable, token)
	i := 0
	for ; i < len(f.written) && f.written[i].token <= token; i++ {
		if w := f.written[i]; f.dirty[w.key] <= token {
			delete(f.dirty, w.key)
		}
	}
	f.written = f.written[:copy(f.written, f.written[i:])]
	for len(f.waits) > 0 && f.waits[0].token <= f.durable {
		do := f.waits[0].do
		f.waits[0].do = nil
		f.waits = f.waits[1:]
		do()
	}
}
