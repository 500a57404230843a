package cache

// Delete removes the entry of k and returns its value. A load of k that is under way will
// not bring it back.
func (c *Cache[K, V]) Delete(k K) (v V, ok bool) {
	var rs removals[K, V]
	h := c.hash.of(k)
	if c.timed.Load() {
		c.time()
	}
	c.mu.Lock()
	s := c.stripe(h)
	s.mu.Lock()
	s.supersede(k)
	s.mu.Unlock()
	if n := c.table.Load().find(h, k); n != nil {
		cause := Deleted
		if c.dead(n, n.meta.Load(), c.now()) {
			cause = Expired
		}
		c.drop(n, cause, &rs)
		if cause == Deleted { // nobody can change what is in no table
			v, ok = c.load(n), true
		}
	}
	c.mu.Unlock()
	c.tell(&rs)
	return v, ok
}

// deleteIf removes k if look would still see n with that value. n nil: if it sees nothing.
func (c *Cache[K, V]) deleteIf(h uint32, k K, n *node[K], was raw) bool {
	var rs removals[K, V]
	c.mu.Lock()
	s := c.stripe(h)
	s.mu.Lock()
	_, same := c.allowed(s, &entry[K, V]{key: k, node: n, was: was}, c.table.Load().find(h, k), ifSame)
	if same {
		s.supersede(k)
		if n != nil {
			c.unlink(n, h, Deleted, &rs)
		}
	}
	s.mu.Unlock()
	if same && n != nil {
		c.forget(n, Deleted)
	}
	c.mu.Unlock()
	c.tell(&rs)
	return same
}

// DeleteFunc removes all entries for which f is true and returns how many. f runs outside
// locks; an entry that changes after f has seen it stays.
func (c *Cache[K, V]) DeleteFunc(f func(K, V) bool) (count int) {
	for n := range c.table.Load().all() {
		h := c.hash.of(n.key)
		if m, was, v, ok := c.look(h, n.key); ok && m == n && f(n.key, v) && c.deleteIf(h, n.key, n, was) {
			count++
		}
	}
	return count
}

// Clear removes all entries, pinned ones too. Loads under way will not store their results.
func (c *Cache[K, V]) Clear() {
	var rs removals[K, V]
	c.mu.Lock()
	for i := range c.stripes {
		s := &c.stripes[i]
		s.mu.Lock()
		for k := range s.flights {
			s.supersede(k)
		}
		s.mu.Unlock()
	}
	for n := range c.table.Load().all() {
		c.drop(n, Deleted, &rs)
	}
	c.mu.Unlock()
	c.tell(&rs)
}

// Resize changes the bound, in entries or in weight as it was given to New, and evicts what
// is too much. It reports false, and changes nothing, for less than 1, for more than New
// allows, and in an unbounded cache. The table keeps the size that it has grown to.
func (c *Cache[K, V]) Resize(bound int64) bool {
	if bound < 1 || c.opts.Policy == Unbounded || c.opts.Weigh == nil && bound > maxEntries || bound > maxWeight {
		return false
	}
	var rs removals[K, V]
	c.mu.Lock()
	c.bound.Store(bound)
	if c.shadows != nil && c.opts.Weigh == nil {
		c.shadows.fit(int(bound))
	}
	c.refit()
	c.makeRoom(0, &rs)
	c.mu.Unlock()
	c.tell(&rs)
	return true
}
