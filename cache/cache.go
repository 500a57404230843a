package cache

import (
	"iter"
	"math/rand/v2"
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"
)

// Cache is a bounded map for many goroutines that keeps the entries most worth keeping.
// All its methods may be called at the same time, also from its callbacks. It starts no
// goroutine but for loads, and needs no Close to be collected.
//
// A Get that hits takes no lock: hash, one line of the table, the node. Everything that
// adds or removes an entry holds mu; everything that changes one holds its stripe:
//
//	order of locks:  mu ▶ stripe          callbacks run outside of both
//
// Invariants:
//   - the table and the queues hold the same entries, but for pinned ones, which are in no
//     queue; the number and the weight of entries never exceed the bound;
//   - an entry's value changes under its stripe alone and it leaves the table under mu and
//     its stripe, so a change in place is never lost to a removal at the same time;
//   - a load's result is stored under the stripe that it registered in, and only if no write
//     of its key was seen there since.
type Cache[K comparable, V any] struct {
	hash hasher[K]
	codec[K, V]
	careful bool // a hit has more to do than to count a use
	locking bool // a hit reorders the policy's queues
	timed   atomic.Bool
	table   atomic.Pointer[table[K]]
	shadows *shadows
	stripes []stripe[K, V]
	keep    time.Duration // how long a stale entry is kept
	base    time.Time
	opts    Options[K, V]
	bound   atomic.Int64
	loads   loads

	sweptFrom atomic.Int64 // when the last complete round of the sweep began
	length    atomic.Int64
	weight    atomic.Int64

	_         [64]byte // what readers read, above, is not what writers write, below
	mu        sync.Mutex
	policy    policy
	newcomer  *node[K]  // queued, not yet in the table
	next      *table[K] // that the table is being copied to, or nil; see grow
	copied    int       // how many of its buckets are
	hand      int
	roundFrom int64
	counters  counters
}

// stripe guards the values of some keys, and knows the loads of these.
type stripe[K comparable, V any] struct {
	mu       sync.Mutex
	flights  map[K]*flight[V]
	replaced uint64
	_        [40]byte
}

// pinned is the place of entries that are in no queue.
const pinned = none - 1

// New makes a cache. Errors wrap ErrOptions.
func New[K comparable, V any](o Options[K, V]) (*Cache[K, V], error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	if o.MaxEntries == 0 && o.MaxWeight == 0 && o.Policy != Unbounded {
		o.MaxEntries = defaultEntries
	}
	c := &Cache[K, V]{hash: newHasher[K](o.Seed), opts: o, base: time.Now(), keep: max(o.StaleFor, o.StaleOnError)}
	if o.Now != nil {
		c.base = o.Now()
	}
	c.kind = kindOf(reflect.TypeFor[V]())
	c.rich = o.Weigh != nil || o.Idle > 0 || o.Ages
	c.locking = o.Policy == LRU || o.Policy == LFU
	c.careful = c.locking || o.Idle > 0 || o.CountHits
	if o.CountHits {
		c.counters.lanes.Store(new([counterLanes]lane))
	}
	if o.Ages {
		c.counters.ages = new([64]uint64)
	}
	c.sweptFrom.Store(c.now())
	c.roundFrom = c.sweptFrom.Load()
	bound, expect := o.MaxWeight, 1024
	if o.MaxEntries > 0 {
		bound, expect = int64(o.MaxEntries), o.MaxEntries
	}
	c.bound.Store(bound)
	c.loads.init(o.MaxLoads)
	stripes := 1
	for stripes < 16*runtime.GOMAXPROCS(0) && stripes < expect/64 {
		stripes *= 2
	}
	c.stripes = make([]stripe[K, V], stripes)
	c.policy = c.newPolicy(bound, expect)
	c.table.Store(newTable[K](min(expect, 16)))
	c.policy.fit(bound, c.table.Load().room)
	return c, nil
}

func (c *Cache[K, V]) newPolicy(bound int64, expect int) policy {
	of := (*lookup[K, V])(c)
	byCount := c.opts.Weigh == nil
	switch c.opts.Policy {
	case LRU:
		return newLRU(of, bound, expect)
	case LFU:
		return newLFU(of, bound, expect)
	case TinyLFU:
		return newAdaptive(of, bound, expect, byCount, nil, 0.01)
	case S3FIFO:
		return newS3FIFO(of, bound, expect)
	case SIEVE:
		return newSIEVE(of, bound, expect)
	case FIFO:
		return newFIFO(of, bound, expect)
	case Random:
		seed := c.opts.Seed
		if seed == 0 {
			seed = rand.Uint64()
		}
		return newRandom(of, bound, expect, seed)
	case Unbounded:
		return newEndless(of, expect)
	}
	if bound >= 32 {
		c.shadows = newShadows(bound, byCount)
	}
	return newAdaptive(of, bound, expect, byCount, c.shadows, 0.25)
}

// lookup is the cache as policies see it.
type lookup[K comparable, V any] Cache[K, V]

func (l *lookup[K, V]) headAt(hash, pos uint32) *head {
	if l.newcomer != nil && l.newcomer.pos == pos {
		return &l.newcomer.head
	}
	if n := l.table.Load().at(hash, pos); n != nil {
		return &n.head
	}
	return nil
}

func (l *lookup[K, V]) weightOf(h *head) int64 {
	return (*Cache[K, V])(l).weightOf(nodeOf[K](h))
}

func (c *Cache[K, V]) weightOf(n *node[K]) int64 {
	if c.opts.Weigh == nil {
		return 1
	}
	return c.extra(n).weight
}

func (c *Cache[K, V]) stripe(h uint32) *stripe[K, V] {
	return &c.stripes[h>>4&uint32(len(c.stripes)-1)]
}

// Get returns the value of k and counts as a use of it. It takes no lock (but under LRU and
// LFU) and does not allocate.
func (c *Cache[K, V]) Get(k K) (v V, ok bool) {
	h := c.hash.of(k)
	n := c.table.Load().find(h, k)
	if n == nil {
		if c.opts.CountHits {
			c.counters.count(uintptr(unsafe.Pointer(&v)), miss)
		}
		return v, false
	}
	m := n.meta.Load()
	if m&^usesMask != 0 || c.careful {
		if !c.alive(n, m) {
			if c.opts.CountHits {
				c.counters.count(uintptr(unsafe.Pointer(&v)), miss)
			}
			return v, false
		}
		if c.careful {
			c.reorder(n)
			if c.opts.CountHits {
				c.counters.count(uintptr(unsafe.Pointer(&v)), hit)
			}
		}
	}
	if m&usesMask != usesMask {
		n.meta.CompareAndSwap(m, m+1)
	}
	if s := c.shadows; s != nil && s.sampled(h) {
		s.see(h, true)
	}
	return c.load(n), true
}

// alive is the part of a hit that looks at the clock.
func (c *Cache[K, V]) alive(n *node[K], m uint32) bool {
	if m>>endShift == 0 && c.opts.Idle == 0 {
		return m&metaAbsent == 0
	}
	now := c.time()
	if c.dead(n, n.meta.Load(), now) {
		if c.gone(n, m, now) {
			c.expire(n, now)
		}
		return false
	}
	if c.opts.Idle > 0 {
		// A hot entry is not written to at every hit: a 256th of the time is close enough.
		if x := c.extra(n); now-x.touched.Load() > int64(c.opts.Idle)>>8 {
			x.touched.Store(now)
		}
	}
	return true
}

func (c *Cache[K, V]) reorder(n *node[K]) {
	if !c.locking {
		return
	}
	c.mu.Lock()
	if n.pos < pinned {
		c.policy.used(&n.head)
	}
	c.mu.Unlock()
}

// Peek is Get without counting as a use.
func (c *Cache[K, V]) Peek(k K) (v V, ok bool) {
	n := c.table.Load().find(c.hash.of(k), k)
	if n == nil {
		return v, false
	}
	if m := n.meta.Load(); m&^usesMask != 0 || c.opts.Idle > 0 {
		if now := c.time(); c.dead(n, n.meta.Load(), now) {
			return v, false
		}
	}
	return c.load(n), true
}

// Has reports whether Get would find k, without counting as a use.
func (c *Cache[K, V]) Has(k K) bool {
	_, ok := c.Peek(k)
	return ok
}

// Len is the number of entries. Expired ones count until they are removed.
func (c *Cache[K, V]) Len() int { return int(c.length.Load()) }

// Weight is the sum of the weights of all entries, or their number in a cache without Weigh.
func (c *Cache[K, V]) Weight() int64 {
	if c.opts.Weigh == nil {
		return c.length.Load()
	}
	return c.weight.Load()
}

// Bound is MaxEntries or MaxWeight, or what Resize made of it; 0 for an unbounded cache.
func (c *Cache[K, V]) Bound() int64 { return c.bound.Load() }

// All yields the entries in no order and without counting as a use. What is stored or
// removed meanwhile may be yielded or not; nothing is yielded twice, unless it was removed
// and stored again. No lock is held, so the loop may use the cache.
func (c *Cache[K, V]) All() iter.Seq2[K, V] {
	return func(yield func(K, V) bool) {
		c.time()
		t := c.table.Load()
		for n := range t.all() {
			if now := c.table.Load(); now != t && now.find(c.hash.of(n.key), n.key) != n {
				continue // the table grew, and n has left it since
			}
			if m := n.meta.Load(); (m&^usesMask != 0 || c.opts.Idle > 0) && c.dead(n, m, c.now()) {
				continue
			}
			if !yield(n.key, c.load(n)) {
				return
			}
		}
	}
}
