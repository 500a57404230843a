package cache

import "time"

// Op is what Update's function wants done.
type Op uint8

const (
	Keep   Op = iota // leave the entry, or its absence, as it is
	Store            // store the returned value
	Remove           // remove the entry
)

// Set stores v under k and reports whether it did; on return every Get sees it. It does not
// store, and removes what is there, if the entry's weight is negative or above the bound,
// or if TTLFunc gives less than 0. A load of k that is under way will not replace v.
func (c *Cache[K, V]) Set(k K, v V) bool { return c.SetTTL(k, v, c.ttlOf(k, v)) }

// SetTTL is Set with a time to live of its own; 0 means for ever, less than 0 that nothing
// is stored and what is there is removed.
func (c *Cache[K, V]) SetTTL(k K, v V, ttl time.Duration) bool {
	e := entry[K, V]{hash: c.hash.of(k), key: k, ttl: ttl, weight: 1}
	if !c.weigh(&e, v) {
		c.Delete(k)
		return false
	}
	if c.opts.Weigh == nil && c.replace(&e, v) {
		return true
	}
	c.put(&e, v, always)
	return true
}

// Add stores v under k if there is no entry. It returns the value that is there afterwards
// and whether it is v that was added. If v cannot be stored (see Set), both v and false
// are returned.
func (c *Cache[K, V]) Add(k K, v V) (V, bool) {
	e := entry[K, V]{hash: c.hash.of(k), key: k, ttl: c.ttlOf(k, v), weight: 1}
	if old, ok := c.Peek(k); ok {
		return old, false
	}
	if !c.weigh(&e, v) {
		return v, false
	}
	return c.put(&e, v, ifAbsent)
}

// Update changes the entry of k as one step: f gets the value that is there, if any, and
// says what is to become of it. Update returns the value that is there afterwards, if any.
// f runs outside locks and may use the cache; it is called again if the entry has changed
// in the meantime. A store takes a new time to live.
func (c *Cache[K, V]) Update(k K, f func(old V, ok bool) (V, Op)) (V, bool) {
	h := c.hash.of(k)
	for {
		n, was, old, ok := c.look(h, k)
		v, op := f(old, ok)
		switch op {
		case Store:
			e := entry[K, V]{hash: h, key: k, ttl: c.ttlOf(k, v), weight: 1, node: n, was: was}
			if !c.weigh(&e, v) {
				if c.deleteIf(h, k, n, was) {
					return *new(V), false
				}
				continue
			}
			if got, stored := c.put(&e, v, ifSame); stored {
				return got, true
			}
		case Remove:
			if n == nil || c.deleteIf(h, k, n, was) {
				return *new(V), false
			}
		default:
			return old, ok
		}
	}
}

// look finds the node that is alive under k and what lies in it.
func (c *Cache[K, V]) look(h uint32, k K) (n *node[K], was raw, v V, ok bool) {
	n = c.table.Load().find(h, k)
	if n == nil {
		return nil, was, v, false
	}
	was = c.loadRaw(n)
	if m := n.meta.Load(); (m&^usesMask != 0 || c.opts.Idle > 0) && c.dead(n, m, c.time()) {
		return nil, raw{}, v, false
	}
	return n, was, c.unpack(was), true
}

// entry is a write on its way.
type entry[K comparable, V any] struct {
	hash   uint32
	key    K
	ttl    time.Duration
	weight int64
	absent bool       // the memory of an ErrNotFound
	node   *node[K]   // ifSame: what was seen
	was    raw        // ifSame: and its value
	flight *flight[V] // ifLoading: the load that brings the value
}

func (c *Cache[K, V]) ttlOf(k K, v V) time.Duration {
	if c.opts.TTLFunc != nil {
		return c.opts.TTLFunc(k, v)
	}
	return c.opts.TTL
}

// weigh reports whether the entry may be stored.
func (c *Cache[K, V]) weigh(e *entry[K, V], v V) bool {
	if c.opts.Weigh != nil && !e.absent {
		e.weight = c.opts.Weigh(e.key, v)
	}
	return e.ttl >= 0 && e.weight >= 0 && (c.opts.Weigh == nil || e.weight <= c.bound.Load())
}

// condition of a put, judged under the key's stripe.
type condition uint8

const (
	always    condition = iota
	ifAbsent            // no live entry
	ifSame              // what look saw
	ifLoading           // no write since the load began
)

// replace is the way of a Set that finds its key: in place, under the stripe alone.
func (c *Cache[K, V]) replace(e *entry[K, V], v V) bool {
	s := c.stripe(e.hash)
	t := c.table.Load()
	if t.both(e.hash) == 0 || t.find(e.hash, e.key) == nil {
		return false
	}
	life, r := c.life(e.ttl), c.pack(v)
	s.mu.Lock()
	n := c.table.Load().find(e.hash, e.key)
	if n == nil {
		s.mu.Unlock()
		return false
	}
	s.supersede(e.key)
	s.replaced++
	if c.opts.OnRemove == nil {
		c.change(n, r, life)
		s.mu.Unlock()
	} else {
		var rs removals[K, V]
		c.note(n, c.replaceCause(n), &rs)
		c.change(n, r, life)
		s.mu.Unlock()
		c.tell(&rs)
	}
	if c.careful {
		c.touch(n)
		c.reorder(n)
	}
	if sh := c.shadows; sh != nil && sh.sampled(e.hash) {
		sh.see(e.hash, true)
	}
	return true
}

func (c *Cache[K, V]) replaceCause(n *node[K]) Cause {
	if c.dead(n, n.meta.Load(), c.now()) {
		return Expired
	}
	return Replaced
}

// change writes a value and a life into n, which counts as a use; under n's stripe.
func (c *Cache[K, V]) change(n *node[K], r raw, life uint32) {
	c.store(n, r)
	for {
		m := n.meta.Load()
		if n.meta.CompareAndSwap(m, life|min(m&usesMask+1, usesMask)) {
			return
		}
	}
}

func (c *Cache[K, V]) touch(n *node[K]) {
	if c.opts.Idle > 0 {
		c.extra(n).touched.Store(c.now())
	}
}

// put stores under mu: a new entry, or a change of weight. It returns the value that is
// there and whether that is v.
func (c *Cache[K, V]) put(e *entry[K, V], v V, cond condition) (V, bool) {
	var rs removals[K, V]
	life, r := c.life(e.ttl), c.pack(v)
	if e.absent {
		life |= metaAbsent
	}
	c.mu.Lock()
	got, stored := c.putLocked(e, v, r, life, cond, &rs)
	c.mu.Unlock()
	c.tell(&rs)
	return got, stored
}

func (c *Cache[K, V]) putLocked(e *entry[K, V], v V, r raw, life uint32, cond condition, rs *removals[K, V]) (V, bool) {
	s := c.stripe(e.hash)
	n := c.table.Load().find(e.hash, e.key)
	if n == nil && cond == always { // the usual case: nothing can appear here under mu
		c.insert(e, r, life, rs)
		if sh := c.shadows; sh != nil && sh.sampled(e.hash) {
			sh.see(e.hash, false)
		}
		return v, true
	}
	s.mu.Lock()
	if got, ok := c.allowed(s, e, n, cond); !ok {
		s.mu.Unlock()
		return got, false
	}
	if n != nil && c.fits(n, e.weight) {
		s.supersede(e.key)
		s.replaced++
		c.note(n, c.replaceCause(n), rs)
		c.change(n, r, life)
		c.reweigh(n, e.weight)
		s.mu.Unlock()
		c.touch(n)
		if c.locking && n.pos < pinned {
			c.policy.used(&n.head)
		}
		c.makeRoom(0, rs)
	} else {
		s.mu.Unlock() // insert strikes the flight out, at the moment when the value appears
		if n != nil { // pinned becomes unpinned, or the reverse: out and in again
			c.drop(n, c.replaceCause(n), rs)
		}
		c.insert(e, r, life, rs)
	}
	if sh := c.shadows; sh != nil && sh.sampled(e.hash) {
		sh.see(e.hash, n != nil)
	}
	return v, true
}

// allowed judges the condition of a put; n is what is in the table.
func (c *Cache[K, V]) allowed(s *stripe[K, V], e *entry[K, V], n *node[K], cond condition) (v V, ok bool) {
	if cond == always {
		return v, true
	}
	if cond == ifLoading {
		return v, s.flights[e.key] == e.flight
	}
	var now raw
	live := n
	if n != nil {
		if now = c.loadRaw(n); c.dead(n, n.meta.Load(), c.now()) {
			live, now = nil, raw{}
		}
	}
	if cond == ifSame {
		return v, live == e.node && now == e.was
	}
	if live != nil {
		return c.unpack(now), false
	}
	return v, true
}

// fits reports whether n can take the weight where it is in the queues.
func (c *Cache[K, V]) fits(n *node[K], w int64) bool {
	return c.opts.Weigh == nil || (w == 0) == (c.extra(n).weight == 0)
}

func (c *Cache[K, V]) reweigh(n *node[K], w int64) {
	if c.opts.Weigh == nil {
		return
	}
	x := c.extra(n)
	if n.pos < pinned {
		c.policy.reweigh(n.pos, w-x.weight)
	}
	c.weight.Add(w - x.weight)
	x.weight = w
}

// insert adds a new entry, evicting first, so that the bound holds at every moment. Under mu.
func (c *Cache[K, V]) insert(e *entry[K, V], r raw, life uint32, rs *removals[K, V]) {
	s := c.stripe(e.hash)
	if c.opts.Weigh != nil && e.weight > c.bound.Load() { // a Resize came between; as if evicted at once
		s.mu.Lock()
		s.supersede(e.key)
		s.mu.Unlock()
		return
	}
	n := c.newNode(e.key, r, life)
	if x := c.extra(n); x != nil {
		now := c.now()
		x.weight, x.born = e.weight, now
		x.touched.Store(now)
	}
	if c.timed.Load() {
		c.sweep(rs)
	}
	if e.weight > 0 {
		c.newcomer = n
		c.policy.add(&n.head, e.hash, e.weight)
		c.makeRoom(e.weight, rs)
		c.newcomer = nil
	}
	t := c.grow()
	s.mu.Lock()
	s.supersede(e.key)
	if at := t.insert(e.hash, n); c.next != nil && at < c.copied {
		c.next.insert(e.hash, n)
	}
	s.mu.Unlock()
	c.length.Store(int64(t.n))
	if c.opts.Weigh != nil {
		c.weight.Add(e.weight)
	}
	c.counters.inserts++
}

// makeRoom evicts until w more fits the bound. Under mu.
func (c *Cache[K, V]) makeRoom(w int64, rs *removals[K, V]) {
	if c.opts.Policy == Unbounded {
		return
	}
	for c.burden()+w > c.bound.Load() {
		h := c.policy.victim(c.newcomer.orNobody())
		if h == nil {
			return
		}
		c.policy.evicted(h.pos)
		c.drop(nodeOf[K](h), Evicted, rs)
	}
}

// burden is Weight for who holds mu.
func (c *Cache[K, V]) burden() int64 {
	if c.opts.Weigh == nil {
		return int64(c.table.Load().n)
	}
	return c.weight.Load()
}

func (n *node[K]) orNobody() *head {
	if n == nil {
		return nobody
	}
	return &n.head
}

// nobody stands for the newcomer when there is none.
var nobody = &head{pos: none}

// drop takes n out of table and queues. Under mu, and not under n's stripe.
func (c *Cache[K, V]) drop(n *node[K], cause Cause, rs *removals[K, V]) {
	h := c.hashOf(n)
	s := c.stripe(h)
	s.mu.Lock()
	c.unlink(n, h, cause, rs)
	s.mu.Unlock()
	c.forget(n, cause)
}

// hashOf spares the look at the key where the queues know the hash. Under mu.
func (c *Cache[K, V]) hashOf(n *node[K]) uint32 {
	if n.pos < pinned {
		return c.policy.hash(n.pos)
	}
	return c.hash.of(n.key)
}

// unlink is the part of drop that needs n's stripe, too.
func (c *Cache[K, V]) unlink(n *node[K], h uint32, cause Cause, rs *removals[K, V]) {
	c.table.Load().remove(h, n)
	if c.next != nil && c.next.find(h, n.key) == n {
		c.next.remove(h, n)
	}
	c.note(n, cause, rs)
}

// forget is the part of drop that needs mu alone.
func (c *Cache[K, V]) forget(n *node[K], cause Cause) {
	w := c.weightOf(n)
	if n.pos < pinned {
		c.policy.remove(n.pos, w)
	}
	n.pos = none
	if n.meta.Load()&metaAbsent == 0 {
		c.counters.removed[cause]++
	}
	if cause != Evicted || c.newcomer == nil { // else the insert will say
		c.length.Store(int64(c.table.Load().n))
	}
	if c.opts.Weigh != nil {
		c.weight.Add(-w)
	}
	if c.opts.Ages && cause == Evicted {
		c.counters.age(time.Duration(c.now() - c.extra(n).born))
	}
}

// grow sees to it that the table has room for one more, and returns it. Under mu.
//
// A table that is nearly full is copied to one twice as large, or as large as the bound
// allows, a few buckets with every insert, so that no insert waits for all. Meanwhile the
// old one stays what everybody reads and writes; what changes in its part that was copied
// already, changes in the new one too. When all is copied, the new one takes its place. It
// is there before the old one is full.
func (c *Cache[K, V]) grow() *table[K] {
	t := c.table.Load()
	if c.next == nil {
		byCount := c.opts.Weigh == nil && c.opts.Policy != Unbounded
		bound := int(min(c.bound.Load(), 1<<40))
		if t.n < t.room-t.room/8 || byCount && t.room >= bound {
			return t
		}
		want := 2 * t.room
		if byCount {
			want = min(want, bound)
		}
		c.next, c.copied = newTable[K](want), 0
	}
	for range max(copyStep, copyAtOnce-len(t.buckets)) {
		if c.copied == len(t.buckets) {
			break
		}
		for p := range t.buckets[c.copied].node {
			if n := t.buckets[c.copied].node[p].Load(); n != nil {
				c.next.insert(c.hashOf(n), n)
			}
		}
		c.copied++
	}
	if c.copied < len(t.buckets) {
		return t
	}
	t = c.next
	c.next, c.hand = nil, 0 // the sweep begins its round anew
	c.table.Store(t)
	c.refit()
	return t
}

const (
	copyStep   = 2  // buckets copied with an insert: a half of all while the last eighth of the room fills
	copyAtOnce = 32 // a table of half so many buckets or fewer is copied at once
)

// refit tells the policy how many entries there are to be.
func (c *Cache[K, V]) refit() {
	n := c.table.Load().room
	c.policy.fit(c.bound.Load(), n)
	if c.shadows != nil && c.opts.Weigh != nil {
		c.shadows.fit(n)
	}
}
