package cache

// policy decides what leaves a full cache. It works on hashes and queues and knows neither
// keys nor values; everything here runs under Cache.mu, but for the two lowest bits of an
// entry's meta, its uses since a hand last came by, which hits raise without a lock.
type policy interface {
	// add queues a new entry of weight w. h is not in the table yet.
	add(h *head, hash uint32, w int64)
	// victim chooses an entry to evict, never the newcomer; nil if there is no other.
	victim(newcomer *head) *head
	// remove takes an entry out.
	remove(pos uint32, w int64)
	// reweigh tells that the entry at pos weighs so much more.
	reweigh(pos uint32, more int64)
	// hash is that of the entry at pos.
	hash(pos uint32) uint32
	queue() *queues
	// used tells of a hit, to policies whose hits lock.
	used(h *head)
	// evicted tells that the entry at pos leaves for lack of room, before remove.
	evicted(pos uint32)
	// worth is how many uses of a queued entry the policy lately counted; 0 if it counts none.
	worth(h *head) int
	// fit tells of a new bound, or of a new number of entries in a cache bound by weight.
	fit(bound int64, entries int)
}

// entries finds what a policy needs of an entry by its place.
type entries interface {
	headAt(hash, pos uint32) *head
	headsAt(hashes *[aheadSize]uint32, pos uint32, out *[aheadSize]*head)
	weightOf(h *head) int64
}

var _ = [...]policy{(*adaptive)(nil), (*lru)(nil), (*lfu)(nil), (*s3fifo)(nil), (*sieve)(nil), (*fifo)(nil), (*random)(nil), (*endless)(nil)}

const (
	usesMask = 3
	maxWalk  = 256 // steps of a hand before it takes what it finds
)

func (h *head) uses() uint32 { return h.meta.Load() & usesMask }

// setUses lowers the count of uses; a use at the same moment may be lost, but nothing else.
func (h *head) setUses(n uint32) {
	for {
		m := h.meta.Load()
		if h.meta.CompareAndSwap(m, m&^usesMask|n) {
			return
		}
	}
}

// use counts a hit: a load, and a store for the first three hits since a hand came by.
func (h *head) use() {
	if m := h.meta.Load(); m&usesMask != usesMask {
		h.meta.CompareAndSwap(m, m+1)
	}
}

// base has what all policies share: the queues, and the entries behind them.
type base struct {
	*queues
	of    entries
	bound int64
}

func newBase(lists int, of entries, bound int64, entries int) base {
	b := base{of: of, bound: bound}
	b.queues = newQueues(lists, entries, func(hash, from, to uint32) {
		if h := of.headAt(hash, from); h != nil {
			h.pos = to
		}
	})
	return b
}

func (b *base) put(l int, h *head, hash uint32, w int64) {
	h.pos = b.push(l, hash)
	b.lists[l].weight += w
}

func (b *base) remove(pos uint32, w int64) {
	b.lists[b.list(pos)].weight -= w
	b.queues.remove(pos)
}

func (b *base) reweigh(pos uint32, more int64) { b.lists[b.list(pos)].weight += more }

// move puts an entry at the new end of list l.
func (b *base) move(h *head, l int) {
	hash, w := b.hash(h.pos), b.of.weightOf(h)
	b.remove(h.pos, w)
	b.put(l, h, hash, w)
}

// oldest is the entry at the front of l that is not the newcomer.
func (b *base) oldest(l int, newcomer *head) *head {
	pos := b.front(l)
	if pos != none && pos == newcomer.pos {
		pos = b.next(pos)
	}
	if pos == none {
		return nil
	}
	return b.headOf(pos)
}

func (b *base) used(*head)             {}
func (b *base) worth(*head) int        { return 0 }
func (b *base) evicted(uint32)         {}
func (b *base) fit(bound int64, _ int) { b.bound = bound }

// headOf is the entry at pos.
func (b *base) headOf(pos uint32) *head { return b.of.headAt(b.hash(pos), pos) }
