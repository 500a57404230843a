package core

// A hint is what an owner missed, kept on disk by another node until the owner has it on
// its own. Hints of one key for one target are merged into one. They are delivered as
// merges, so a late one harms nothing, and removed when the target has said that it is
// durable there and only if nothing was added meanwhile.
//
// Hints are not what keeps a strict write safe (that is W owners); they bring an owner
// level faster than a comparison does. For a sloppy write that no owner took, they are
// all there is.

// Bounds of one delivery.
const (
	hintBatch      = 32
	hintBatchBytes = 4 << 20
)

type hintQueue struct {
	count, bytes int64
	cursor       []byte // the last storage key tried in this round
	flying       int
	delivered    int   // in this batch
	next         int64 // when to try again
}

// hint is one that is about to be stored.
type hint struct {
	target string
	part   *partition
	entry  Entry
	grows  int64 // bytes
	fresh  bool  // there was none for the key
}

func (n *Node) queue(target string) *hintQueue {
	q := n.hints[target]
	if q == nil {
		q = &hintQueue{}
		n.hints[target] = q
	}
	return q
}

// makeHint joins an object into the hint that a target has for the key. Not ok: there is
// no room, and the comparison has to do.
func (n *Node) makeHint(target string, part *partition, key []byte, obj *Object) (hint, bool) {
	k := hintKey(target, key)
	old, err := n.o.Store.Get(k)
	if err != nil {
		n.damaged(err)
		return hint{}, false
	}
	joined := *obj
	if len(old) > 0 {
		was, err := DecodeObject(old)
		if err != nil {
			n.damaged(err)
			return hint{}, false
		}
		joined.Merge(was)
	}
	enc := EncodeObject(&joined)
	h := hint{target: target, part: part, entry: Entry{k, enc}, grows: int64(len(enc) - len(old)), fresh: len(old) == 0}
	if h.grows > 0 && n.queue(target).bytes+h.grows > n.o.HintBytes {
		n.stats.HintsRefused++
		return hint{}, false
	}
	return h, true
}

// hintStored counts a hint that is on its way to the disk.
func (n *Node) hintStored(h hint) {
	q := n.queue(h.target)
	q.bytes += h.grows
	if h.fresh {
		q.count++
		h.part.hints++
	}
	n.stats.Hinted++
}

// keepHint stores a hint.
func (n *Node) keepHint(target string, part *partition, key []byte, obj *Object) (token uint64, c Code) {
	h, ok := n.makeHint(target, part, key, obj)
	if !ok {
		return 0, NoSpace
	}
	token, err := n.o.Store.Apply(h.entry)
	if err != nil {
		n.stats.Refusals++
		return 0, codeOf(err)
	}
	n.hintStored(h)
	return token, OK
}

// hintFor keeps for an owner what this owner has of a key.
func (n *Node) hintFor(target string, part *partition, key []byte) {
	if obj, _, err := n.stored(part, key); err == nil && !obj.IsZero() {
		n.keepHint(target, part, key, &obj)
	}
}

// storeHint keeps a hint for a peer that coordinates a sloppy write.
func (n *Node) storeHint(from string, m *Message, part *partition) {
	obj, err := DecodeObject(m.Object)
	if err != nil || obj.IsZero() || n.o.Table.PartitionOf(m.Key) != part.id || n.peers[m.Target] == nil {
		n.refuse(from, m, Malformed)
		return
	}
	token, c := n.keepHint(m.Target, part, m.Key, &obj)
	if c != OK {
		n.refuse(from, m, c)
		return
	}
	n.whenDurable(token, func() { n.reply(from, m, Message{}) })
}

// loadHints counts what is stored.
func (n *Node) loadHints() error {
	var forget []Entry
	for e, err := range n.o.Store.Scan([]byte{'h'}, nil) {
		if err != nil {
			return err
		}
		target, key, ok := hintOf(e.Key)
		if !ok {
			continue
		}
		if planted(BugForgetHints) {
			forget = append(forget, Entry{append([]byte(nil), e.Key...), nil})
			continue
		}
		q := n.queue(target)
		q.count++
		q.bytes += int64(len(e.Value))
		n.parts[n.o.Table.PartitionOf(key)].hints++
	}
	if len(forget) > 0 {
		_, err := n.o.Store.Apply(forget...)
		return err
	}
	return nil
}

// wakeHints starts a delivery soon.
func (n *Node) wakeHints(target string) {
	if q := n.hints[target]; q != nil {
		q.next = n.now.Mono
	}
}

// deliverHints sends a batch to every target that is up and has none under way.
func (n *Node) deliverHints() {
	for _, id := range n.members {
		q := n.hints[id]
		if q != nil && q.count > 0 && q.flying == 0 && q.next <= n.now.Mono && id != n.o.ID && n.up(id) {
			n.deliver(id, q)
		}
	}
}

func (n *Node) deliver(target string, q *hintQueue) {
	q.delivered = 0
	bytes, end := 0, true
	var batch []Entry
	for e, err := range n.o.Store.Scan(hintPrefix(target), q.cursor) {
		if err != nil {
			n.damaged(err)
			break
		}
		batch = append(batch, Entry{append([]byte(nil), e.Key...), append([]byte(nil), e.Value...)})
		if bytes += len(e.Value); len(batch) == hintBatch || bytes >= hintBatchBytes {
			end = false
			break
		}
	}
	if len(batch) == 0 || end {
		q.cursor = nil // the next batch begins a new round
	} else {
		q.cursor = batch[len(batch)-1].Key
	}
	if len(batch) == 0 {
		q.next = n.now.Mono + n.o.Exchange
		return
	}
	q.flying = len(batch)
	for _, e := range batch {
		_, key, _ := hintOf(e.Key)
		part := n.parts[n.o.Table.PartitionOf(key)]
		op := n.begin(n.o.Timeout)
		send := func(m *Message) {
			m.Kind, m.Partition, m.Key = Merge, part.id, key
			n.stats.HintSent += int64(len(key) + len(m.Object))
			n.call(op, target, m)
		}
		op.on = func(_ string, m *Message) {
			if m.Code == Wanted {
				send(&Message{Object: e.Value})
				return
			}
			n.end(op)
			n.delivered(q, part, e, m.Code)
		}
		op.expired = func() { n.delivered(q, part, e, Gone) }
		if len(e.Value) > offerSize {
			send(&Message{Digest: Digest(e.Value)}) // a comparison may have been there before
		} else {
			send(&Message{Object: e.Value})
		}
	}
}

// delivered removes a hint that the target has, if it is still the same.
func (n *Node) delivered(q *hintQueue, part *partition, e Entry, c Code) {
	q.flying--
	if c == OK {
		now, err := n.o.Store.Get(e.Key)
		if err == nil && Digest(now) == Digest(e.Value) {
			if _, err := n.o.Store.Apply(Entry{e.Key, nil}); err == nil {
				q.count--
				q.bytes -= int64(len(now))
				q.delivered++
				part.hints--
				part.hintGone = n.now.Mono
				n.stats.HintsDelivered++
			}
		}
	}
	if q.flying == 0 {
		q.next = n.now.Mono
		if q.delivered == 0 {
			q.next += n.o.Linger
		}
	}
}
