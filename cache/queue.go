package cache

import "math/bits"

// queues are the doubly ended orders that policies keep entries in: unrolled linked lists
// of hashes. A queued entry costs four bytes and holds no pointer, so that the collector
// does not look here and walking a queue reads memory in order.
//
//	list ──▶ chunk [ h h · h h h h · ] ⇄ chunk [ h · h h h _ _ _ ]      · hole   _ not used yet
//	                 ▲ pos = chunk number × chunk size + index
//
// An entry is named by its pos, which the node knows, so removal from the middle takes
// constant time and leaves a hole. The node is found from a pos through the table: the
// hash names the bucket, and of the nodes there the one whose pos agrees is meant.
//
// Invariants: a chunk without entries is in no list but the free list; a list has no two
// neighbouring chunks that together are less than half full for longer than one removal;
// live is the number of hashes that are not holes. All under Cache.mu.
type queues struct {
	size   uint32 // of a chunk, a power of two
	log    uint8  // of size
	chunks []chunk
	free   []uint32
	lists  []list
	moved  func(hash, from, to uint32) // told when merging moves an entry
}

const none = ^uint32(0)

type chunk struct {
	hash       []uint32 // 0 is a hole
	first, end uint32   // entries lie in [first, end)
	live       uint32
	prev, next uint32
	list       uint8
}

type list struct {
	head, tail uint32 // chunks; head has the oldest
	n          int
	weight     int64
}

func newQueues(lists, entries int, moved func(hash, from, to uint32)) *queues {
	log := uint8(min(8, max(3, bits.Len(uint(entries))-4)))
	q := &queues{size: 1 << log, log: log, lists: make([]list, lists), moved: moved}
	for i := range q.lists {
		q.lists[i].head, q.lists[i].tail = none, none
	}
	return q
}

func (q *queues) hash(pos uint32) uint32 { return q.chunks[pos>>q.log].hash[pos&(q.size-1)] }
func (q *queues) list(pos uint32) int    { return int(q.chunks[pos>>q.log].list) }

// push adds an entry at the new end of a list.
func (q *queues) push(l int, hash uint32) uint32 {
	li := &q.lists[l]
	if li.tail == none || q.chunks[li.tail].end == q.size {
		id := q.take()
		c := &q.chunks[id]
		c.list, c.prev, c.next = uint8(l), li.tail, none
		if li.tail != none {
			q.chunks[li.tail].next = id
		} else {
			li.head = id
		}
		li.tail = id
	}
	c := &q.chunks[li.tail]
	pos := li.tail<<q.log | c.end
	c.hash[c.end] = hash
	c.end++
	c.live++
	li.n++
	return pos
}

func (q *queues) take() uint32 {
	if n := len(q.free); n > 0 {
		id := q.free[n-1]
		q.free = q.free[:n-1]
		return id
	}
	q.chunks = append(q.chunks, chunk{hash: make([]uint32, q.size)})
	return uint32(len(q.chunks) - 1)
}

// remove takes the entry at pos out of its list.
func (q *queues) remove(pos uint32) {
	id := pos >> q.log
	c := &q.chunks[id]
	c.hash[pos&(q.size-1)] = 0
	c.live--
	q.lists[c.list].n--
	if c.live == 0 {
		q.unlink(id)
		return
	}
	for c.hash[c.first] == 0 {
		c.first++
	}
	if c.live < q.size/4 {
		q.merge(id)
	}
}

func (q *queues) unlink(id uint32) {
	c := &q.chunks[id]
	li := &q.lists[c.list]
	if c.prev != none {
		q.chunks[c.prev].next = c.next
	} else {
		li.head = c.next
	}
	if c.next != none {
		q.chunks[c.next].prev = c.prev
	} else {
		li.tail = c.prev
	}
	c.first, c.end, c.live = 0, 0, 0
	q.free = append(q.free, id)
}

// merge moves a sparse chunk's entries and its successor's into one if both are sparse.
// The chunk at the end of a list is left alone, for it is still being filled; the one at
// the head will soon be gone.
func (q *queues) merge(id uint32) {
	c := &q.chunks[id]
	if c.next == none || c.prev == none {
		return
	}
	to := c.prev
	p := &q.chunks[to]
	if p.live+c.live > q.size/2 {
		return
	}
	// Close the holes of the predecessor, then append.
	w := uint32(0)
	place := func(from uint32, h uint32) {
		at := to<<q.log | w
		p.hash[w] = h
		w++
		if from != at {
			q.moved(h, from, at)
		}
	}
	for i := p.first; i < p.end; i++ {
		if h := p.hash[i]; h != 0 {
			p.hash[i] = 0
			place(to<<q.log|i, h)
		}
	}
	for i := c.first; i < c.end; i++ {
		if h := c.hash[i]; h != 0 {
			c.hash[i] = 0
			place(id<<q.log|i, h)
		}
	}
	p.first, p.end, p.live = 0, w, w
	q.unlink(id)
}

// front is the oldest entry of a list, or none.
func (q *queues) front(l int) uint32 {
	id := q.lists[l].head
	if id == none {
		return none
	}
	return id<<q.log | q.chunks[id].first
}

// next is the entry after pos in its list, or none.
func (q *queues) next(pos uint32) uint32 {
	id := pos >> q.log
	for i := pos&(q.size-1) + 1; id != none; i = 0 {
		c := &q.chunks[id]
		for ; i < c.end; i++ {
			if c.hash[i] != 0 {
				return id<<q.log | i
			}
		}
		id = c.next
	}
	return none
}

func (q *queues) queue() *queues { return q }
