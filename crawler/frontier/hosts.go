package frontier

import (
	"hash/maphash"
	"strings"
)

// State is what a host is doing.
type State uint8

// The states of a host.
const (
	StateIdle    State = iota // has nothing queued
	StateWaiting              // until its delay, its rest or an item's time is over
	StateReady                // may be visited now
	StateLeased               // is being visited
	StateSpent                // has items but no budget left
	StateHeld                 // is being moved: see Export
	StateDamaged              // has a record that cannot be read; after a restart it is tried again
)

// String is the state's name.
func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return "unknown"
}

var stateNames = [...]string{"idle", "waiting", "ready", "leased", "spent", "held", "damaged"}

// host is all that is in memory of a host: about 200 bytes with its name and its place in
// the index. Hosts live in blocks and never move; they refer to each other by number.
type host struct {
	name   string
	levels []queue // that have items; few, so a list
	run    *run    // what is loaded of the queue served last

	due   int64 // tick for which it waits in the wheel
	since int64 // ready: since when, in nanoseconds
	fence int64 // no visit before, in nanoseconds
	block int64 // nor before this
	timed int64 // when the first item that was held back is due, in milliseconds; 0: none

	id, next, prev uint32
	lease          uint32 // number of the last lease

	base    uint32 // delay that SetDelay asked for, in ms
	penalty uint32 // delay that throttling led to, in ms
	edge    uint32 // delay at which it last throttled, in ms
	latency uint32 // moving mean, in ms

	queued, waiting uint32 // items in chunks, and held back
	visits, budget  uint32 // pages fetched, and allowed (0: no bound)

	slot    int16  // in the wheel
	fails   uint16 // in a row
	trips   uint8  // of the breaker, in a row
	expired uint8  // leases of the item at hand, in a row
	state   State
	level   uint8 // ready: the list it is in; leased: the level the item came from
	items   uint8 // leased: in the chunk that the item came from
	saved   bool  // its record is in the store
	held    bool
	damaged bool
	dirty   bool // differs from its record by what must not be lost
	stale   bool // differs from its record by what may be
	busy    bool // a lease is being ended or a chunk loaded: it cannot expire
}

// queue is the items of one level of a host: chunks head … tail-1, the first of which is
// done up to item pos.
type queue struct {
	since      int64 // when it was served last, or began: what ageing counts from
	head, tail uint32
	pos, level uint8
}

const blockBits = 10

// hosts is the table of all known hosts, by number and by name. Number 0 is nobody.
type hosts struct {
	seed   maphash.Seed
	blocks []*[1 << blockBits]host
	top    uint32   // last number given out, here or earlier
	count  int      // hosts that are there
	index  []uint32 // open addressing, a power of two, at most 2/3 full
	names  int64    // bytes
}

func newHosts() *hosts { return &hosts{seed: maphash.MakeSeed(), index: make([]uint32, 1024)} }

func (hs *hosts) at(id uint32) *host { return &hs.blocks[id>>blockBits][id&(1<<blockBits-1)] }

// known returns a host by number, or nil.
func (hs *hosts) known(id uint32) *host {
	if id == 0 || int(id>>blockBits) >= len(hs.blocks) || hs.blocks[id>>blockBits] == nil {
		return nil
	}
	if h := hs.at(id); h.id != 0 {
		return h
	}
	return nil
}

func (hs *hosts) find(name string) *host {
	mask := uint64(len(hs.index) - 1)
	for i := maphash.String(hs.seed, name) & mask; hs.index[i] != 0; i = (i + 1) & mask {
		if h := hs.at(hs.index[i]); h.name == name {
			return h
		}
	}
	return nil
}

// add makes a host that is not there, under a number that is not taken.
func (hs *hosts) add(id uint32, name string) *host {
	hs.top = max(hs.top, id)
	for int(id>>blockBits) >= len(hs.blocks) {
		hs.blocks = append(hs.blocks, nil)
	}
	if b := &hs.blocks[id>>blockBits]; *b == nil {
		*b = new([1 << blockBits]host)
	}
	h := hs.at(id)
	*h = host{id: id, name: strings.Clone(name), slot: noSlot}
	if hs.count++; hs.count*3 > len(hs.index)*2 {
		old := hs.index
		hs.index = make([]uint32, 2*len(old))
		for _, id := range old {
			if id != 0 {
				hs.enter(hs.at(id))
			}
		}
	}
	hs.enter(h)
	hs.names += int64(len(name))
	return h
}

func (hs *hosts) enter(h *host) {
	mask := uint64(len(hs.index) - 1)
	i := maphash.String(hs.seed, h.name) & mask
	for hs.index[i] != 0 {
		i = (i + 1) & mask
	}
	hs.index[i] = h.id
}

// drop forgets a host. Those that collided with it are entered again.
func (hs *hosts) drop(h *host) {
	mask := uint64(len(hs.index) - 1)
	i := maphash.String(hs.seed, h.name) & mask
	for hs.index[i] != h.id {
		i = (i + 1) & mask
	}
	hs.index[i] = 0
	for i = (i + 1) & mask; hs.index[i] != 0; i = (i + 1) & mask {
		other := hs.at(hs.index[i])
		hs.index[i] = 0
		hs.enter(other)
	}
	hs.count--
	hs.names -= int64(len(h.name))
	*h = host{slot: noSlot}
}

// pushFront and unlink keep the doubly linked lists of the wheel and of ready hosts.
func (hs *hosts) pushFront(head *uint32, h *host) {
	h.next, h.prev = *head, 0
	if h.next != 0 {
		hs.at(h.next).prev = h.id
	}
	*head = h.id
}

func (hs *hosts) unlink(head *uint32, h *host) {
	if h.prev != 0 {
		hs.at(h.prev).next = h.next
	} else {
		*head = h.next
	}
	if h.next != 0 {
		hs.at(h.next).prev = h.prev
	}
	h.next, h.prev = 0, 0
}

// queueOf returns the host's queue of a level, or nil.
func (h *host) queueOf(level uint8) *queue {
	for i := range h.levels {
		if h.levels[i].level == level {
			return &h.levels[i]
		}
	}
	return nil
}

// best returns the queue to be served next: that with the earliest deadline, which is
// when it was last served, and an ageing step later for each level that it is lower.
func (h *host) best(step int64) *queue {
	var best *queue
	var first int64
	for i := range h.levels {
		q := &h.levels[i]
		if d := q.since + int64(q.level)*step; best == nil || d < first || d == first && q.level < best.level {
			best, first = q, d
		}
	}
	return best
}

// ready is the hosts that may be visited now: a list for each level, in the order in which
// they became ready. As that is the order of their deadlines too, the earliest of all is
// at the head of one of sixteen lists.
type ready struct {
	head, tail [levelCount]uint32
	count      int
}

func (r *ready) push(hs *hosts, h *host, level uint8, now int64) {
	h.level, h.since = level, now
	h.next, h.prev = 0, r.tail[level]
	if h.prev != 0 {
		hs.at(h.prev).next = h.id
	} else {
		r.head[level] = h.id
	}
	r.tail[level] = h.id
	r.count++
}

func (r *ready) remove(hs *hosts, h *host) {
	if r.tail[h.level] == h.id {
		r.tail[h.level] = h.prev
	}
	hs.unlink(&r.head[h.level], h)
	r.count--
}

// pop takes out the host with the earliest deadline.
func (r *ready) pop(hs *hosts, step int64) *host {
	var best *host
	var first int64
	for l := range r.head {
		if r.head[l] == 0 {
			continue
		}
		h := hs.at(r.head[l])
		if d := h.since + int64(l)*step; best == nil || d < first {
			best, first = h, d
		}
	}
	if best != nil {
		r.remove(hs, best)
	}
	return best
}
