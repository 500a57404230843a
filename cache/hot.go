package cache

import (
	"cmp"
	"iter"
	"slices"
	"time"
)

// Info is what a cache knows of an entry.
type Info struct {
	Uses   int           // the policy's count of lately seen uses, from 0; under LRU, FIFO and Random 0
	Weight int64         // 0 if pinned; 1 in a cache without Weigh
	TTL    time.Duration // until Get does not serve it any more; 0 if it lives for ever
	Age    time.Duration // since its key was inserted; 0 in a cache without Weigh, Idle and Ages
	Unused time.Duration // since it was last used, to a 256th of Idle; 0 in a cache without Idle
}

// Info tells about the entry of k, if Get would find it. It does not count as a use. It
// takes the cache's lock for a moment.
func (c *Cache[K, V]) Info(k K) (Info, bool) {
	h := c.hash.of(k)
	now := c.time()
	c.mu.Lock()
	defer c.mu.Unlock()
	n := c.table.Load().find(h, k)
	if n == nil || c.dead(n, n.meta.Load(), now) {
		return Info{}, false
	}
	return c.info(n, now), true
}

// info is Info of an entry that is in the table. Under mu.
func (c *Cache[K, V]) info(n *node[K], now int64) Info {
	i := Info{Weight: c.weightOf(n)}
	if n.pos < pinned {
		i.Uses = c.policy.worth(&n.head)
	}
	if m := n.meta.Load(); m>>endShift != 0 {
		i.TTL = max(1, left(m, now)-c.keep)
	}
	if x := c.extra(n); x != nil {
		i.Age = time.Duration(now - x.born)
		if c.opts.Idle > 0 {
			i.Unused = time.Duration(now - x.touched.Load())
		}
	}
	return i
}

// Hot yields the keys of all entries, those that are most worth keeping first as the policy
// sees it: pinned ones, then by uses, then what came or moved last. It is a snapshot of one
// moment, which costs the cache's lock for a walk over all entries, a sort, and some 60
// bytes an entry. The loop runs outside locks; entries that have left the cache since are
// yielded all the same.
func (c *Cache[K, V]) Hot() iter.Seq2[K, Info] {
	return func(yield func(K, Info) bool) {
		for _, e := range c.ranked() {
			if !yield(e.key, e.info) {
				return
			}
		}
	}
}

type rank[K comparable] struct {
	key  K
	info Info
	pin  bool
}

// ranked is all live entries in the order of Hot.
func (c *Cache[K, V]) ranked() []rank[K] {
	now := c.time()
	c.mu.Lock()
	all := make([]rank[K], 0, c.Len())
	see := func(n *node[K]) {
		if !c.dead(n, n.meta.Load(), now) {
			all = append(all, rank[K]{n.key, c.info(n, now), n.pos == pinned})
		}
	}
	q := c.policy.queue()
	for l := range q.lists {
		for pos := q.front(l); pos != none; pos = q.next(pos) {
			see(c.table.Load().at(q.hash(pos), pos))
		}
	}
	if c.opts.Weigh != nil {
		for n := range c.table.Load().all() {
			if n.pos == pinned {
				see(n)
			}
		}
	}
	c.mu.Unlock()
	slices.Reverse(all) // newest first, and the sort leaves that order among equals
	slices.SortStableFunc(all, func(a, b rank[K]) int {
		if a.pin != b.pin {
			if a.pin {
				return -1
			}
			return 1
		}
		return cmp.Compare(b.info.Uses, a.info.Uses)
	})
	return all
}
