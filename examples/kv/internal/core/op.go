package core

import (
	"container/heap"
	"slices"
)

// op is something under way that waits for answers: a read, a write, a delivery, a
// comparison. It ends by ending, or by its deadline; nothing it knows outlives that.
type op struct {
	id       uint64
	deadline int64 // on the monotonic clock
	index    int   // in the heap
	waiting  []question
	asked    uint64 // questions so far

	// on is called with each answer. Undelivered as the code stands for one that will not
	// come since the message surely did not arrive, Gone for one that will hardly come.
	on func(peer string, m *Message)
	// expired is called at the deadline.
	expired func()
}

// question is one that a peer has not answered.
type question struct {
	peer string
	id   uint64
}

// A message is named by its op and by which of the op's questions it is: an answer that is
// doubled on its way must not be taken for that to the next question.
const questionBits = 16

// begin registers an op that lives at most so long.
func (n *Node) begin(life int64) *op {
	n.lastOp++
	o := &op{id: n.lastOp, deadline: n.now.Mono + life}
	n.ops[o.id] = o
	heap.Push(&n.expiry, o)
	return o
}

// end forgets an op; answers that still come are ignored.
func (n *Node) end(o *op) {
	if n.ops[o.id] == o {
		delete(n.ops, o.id)
		heap.Remove(&n.expiry, o.index)
	}
}

// live tells whether an op has not ended.
func (n *Node) live(o *op) bool { return n.ops[o.id] == o }

// postpone moves an op's deadline.
func (n *Node) postpone(o *op, life int64) {
	o.deadline = n.now.Mono + life
	heap.Fix(&n.expiry, o.index)
}

// call sends a message whose answer goes to the op.
func (n *Node) call(o *op, to string, m *Message) {
	o.asked++
	m.ID = o.id<<questionBits | o.asked&(1<<questionBits-1)
	o.waiting = append(o.waiting, question{to, m.ID})
	n.send(to, m)
}

// answered hands an answer to the op that waits for it.
func (n *Node) answered(from string, m *Message) {
	o := n.ops[m.ID>>questionBits]
	if o == nil {
		return
	}
	i := slices.Index(o.waiting, question{from, m.ID})
	if i < 0 {
		return // doubled on its way
	}
	o.waiting = slices.Delete(o.waiting, i, i+1)
	o.on(from, m)
}

// next is the first question that a peer has not answered, 0 if there is none.
func (o *op) next(peer string) uint64 {
	for _, q := range o.waiting {
		if q.peer == peer {
			return q.id
		}
	}
	return 0
}

// undelivered is a message that came back.
func (n *Node) undelivered(to string, m *Message) {
	if m != nil && !m.Reply && m.ID != 0 {
		n.answered(to, &Message{Kind: m.Kind, Reply: true, ID: m.ID, Code: Undelivered, Partition: m.Partition, Key: m.Key})
	}
}

// gone tells every op that waits for a peer that it is down. In the order of the ops: a
// map has none, and a simulation must.
func (n *Node) gone(peer string) {
	var ids []uint64
	for id, o := range n.ops {
		if o.next(peer) != 0 {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	for _, id := range ids {
		for o := n.ops[id]; o != nil && n.live(o) && o.next(peer) != 0; {
			n.answered(peer, &Message{Reply: true, ID: o.next(peer), Code: Gone})
		}
	}
}

// expire ends what is past its deadline.
func (n *Node) expire() {
	for len(n.expiry) > 0 && n.expiry[0].deadline <= n.now.Mono {
		o := n.expiry[0]
		n.end(o)
		o.expired()
	}
}

// expiryHeap has the op with the earliest deadline first, of equals the older one.
type expiryHeap []*op

func (h expiryHeap) Len() int { return len(h) }
func (h expiryHeap) Less(i, j int) bool {
	if h[i].deadline != h[j].deadline {
		return h[i].deadline < h[j].deadline
	}
	return h[i].id < h[j].id
}

func (h expiryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

func (h *expiryHeap) Push(x any) {
	o := x.(*op)
	o.index = len(*h)
	*h = append(*h, o)
}

func (h *expiryHeap) Pop() any {
	old := *h
	o := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return o
}
