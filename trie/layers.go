package trie

import (
	"bytes"
	"iter"
)

// layers is what an Index is at one moment: a base, under a delta that is being merged
// into it, if there is one, under the delta that is written to. A key in an upper layer
// hides the same key in those below.
type layers struct {
	base   *Snapshot
	frozen *delta // nil: nothing is being merged
	active *delta
}

// get returns what the layers know of a key.
func (l *layers) get(key []byte) (v value, alive bool) {
	if of := l.active.get(key); of != nil {
		return of.value, !of.deleted
	}
	v, alive, _ = l.below(key)
	return v, alive
}

// forUpdate is get for the writer, who is quicker, and wants to know whether the layers below
// the active one have a key that it does not have.
func (l *layers) forUpdate(key []byte) (v value, alive, below bool) {
	if n := l.active.nodes[view(key)]; n != nil {
		of := n.leaf.Load()
		return of.value, !of.deleted, false
	}
	return l.below(key)
}

// below is get without the active delta; known says whether the key is there, alive or not.
func (l *layers) below(key []byte) (v value, alive, known bool) {
	if l.frozen != nil {
		if of := l.frozen.get(key); of != nil {
			return of.value, !of.deleted, true
		}
	}
	score, show, ok := l.base.lookup(key)
	if !ok {
		return value{}, false, false
	}
	v.score = score
	if show != nil { // a copy: the base may go away
		v.show = l.base.symbols.appendDecoded(nil, show)
	}
	return v, true, true
}

// layerCursor merges the completions of all layers, best first. It is for one goroutine.
//
// Updates may run beside a search. It sees all that were done before it began. A key that
// came into a delta only since then hides nothing, for the search may have passed its
// place already; if it meets the key in both layers, it gives what it meets first.
type layerCursor struct {
	of     layers
	since  uint64 // updates before the search began
	base   cursor
	fuzzy  fuzzyCursor
	deltas [2]deltaCursor // active, frozen
	edits  int
	plain  bool        // only the base has anything to say
	heads  [3]layerHit // the next of active, frozen and base
	given  [][]byte    // keys that were given
	late   bool        // one of them was updated since the search began
	seen   map[string]bool
	known  int // how many of given are in seen
}

type layerHit struct {
	hit
	seq  uint64
	some bool
}

// start begins with the completions of prefix; limit as in cursor.start.
func (c *layerCursor) start(of layers, since uint64, prefix []byte, limit int) {
	c.of, c.since, c.edits, c.given = of, since, 0, c.given[:0]
	c.late, c.seen, c.known = false, nil, 0
	c.base.keep = true
	c.heads = [3]layerHit{}
	c.plain = of.active.empty() && of.frozen == nil
	if c.plain {
		c.base.start(of.base, prefix, limit)
		return
	}
	if !planted(bugHeadUnderDelta) {
		limit = 0 // how many of the base's are hidden is not known
	}
	c.base.start(of.base, prefix, limit)
	c.deltas[0].start(of.active, prefix)
	if of.frozen != nil {
		c.deltas[1].start(of.frozen, prefix)
	}
	c.fill()
}

// startFuzzy goes on with the terms that match with exactly so many edits; limit as in start.
func (c *layerCursor) startFuzzy(q *fuzzyQuery, edits, limit int) {
	c.edits = edits
	if c.plain {
		c.fuzzy.start(c.of.base, q, edits, limit)
		return
	}
	c.fuzzy.start(c.of.base, q, edits, 0)
	c.deltas[0].startFuzzy(c.of.active, q, edits)
	if c.of.frozen != nil {
		c.deltas[1].startFuzzy(c.of.frozen, q, edits)
	}
	c.fill()
}

func (c *layerCursor) fill() {
	for i := range c.heads {
		c.pull(i)
	}
}

// pull fetches the next hit of layer i that no layer above hides.
func (c *layerCursor) pull(i int) {
	h := &c.heads[i]
	for {
		h.seq = 0
		switch {
		case i < 2:
			h.some = (i == 0 || c.of.frozen != nil) && c.deltas[i].next(&h.hit)
			h.seq = c.deltas[i].seq
		case c.edits == 0:
			h.some = c.base.next(&h.hit)
		default:
			h.some = c.fuzzy.next(&h.hit)
		}
		if !h.some {
			return
		}
		if i > 0 && !(i == 1 && planted(bugFrozenShows)) && c.hidden(h, c.of.active) || i > 1 && c.hidden(h, c.of.frozen) {
			continue
		}
		if h.seq > c.since && c.wasGiven(h.key) {
			continue
		}
		return
	}
}

// hidden reports whether an upper layer hides the hit; if one has had its key only since
// the search began, the hit becomes as recent.
func (c *layerCursor) hidden(h *layerHit, upper *delta) bool {
	l := upper.over(h.key)
	if l == nil {
		return false
	}
	h.seq = max(h.seq, l.seq)
	return l.born <= c.since
}

// wasGiven reports whether a key was given already. It is asked only of what was updated
// since the search began, and from then on.
func (c *layerCursor) wasGiven(key []byte) bool {
	if c.seen == nil {
		c.seen = map[string]bool{}
	}
	for ; c.known < len(c.given); c.known++ {
		c.seen[view(c.given[c.known])] = true
	}
	return c.seen[view(key)]
}

func (c *layerCursor) next(h *hit) bool {
	if c.plain {
		if c.edits > 0 {
			return c.fuzzy.next(h)
		}
		return c.base.next(h)
	}
	for {
		best := -1
		for i := range c.heads {
			if c.heads[i].some && (best < 0 || c.heads[i].before(&c.heads[best].hit)) {
				best = i
			}
		}
		if best < 0 {
			return false
		}
		*h = c.heads[best].hit
		late := c.heads[best].seq > c.since
		again := (late || c.late) && c.wasGiven(h.key)
		c.late = c.late || late
		c.pull(best)
		if !again {
			c.given = append(c.given, h.key)
			return true
		}
	}
}

func (h *hit) before(o *hit) bool {
	if h.score != o.score {
		return h.score > o.score
	}
	return bytes.Compare(h.key, o.key) < 0
}

// release forgets the layers, so that a searcher at rest keeps none of them in memory.
func (c *layerCursor) release() {
	c.of = layers{}
	c.base.s, c.fuzzy.found.s = nil, nil
	for i := range c.deltas {
		front := &c.deltas[i].front
		clear(front.entries[:cap(front.entries)])
		if cap(front.entries) > 1<<12 {
			front.entries = nil // of a long iteration; the next search need not pay for it
		}
	}
	if cap(c.given) > 1<<12 {
		c.given = nil
		c.base.buf, c.fuzzy.found.buf, c.deltas[0].buf, c.deltas[1].buf = nil, nil, nil, nil
	}
	clear(c.given[:cap(c.given)])
}

// items merges the base and the frozen delta for a builder.
func (l *layers) items() iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		next, stop := iter.Pull2(l.frozen.leaves())
		defer stop()
		key, of, some := next()
		give := func(k []byte, v value) bool { return yield(item{k, v.show, v.score}, nil) }
		for k, v := range l.base.entries(nil) {
			for some && bytes.Compare(key, k) < 0 {
				if !of.deleted && !give(key, of.value) {
					return
				}
				key, of, some = next()
			}
			if some && bytes.Equal(key, k) && !(of.deleted && planted(bugMergeRevives)) {
				if !of.deleted && !give(key, of.value) {
					return
				}
				key, of, some = next()
				continue
			}
			if !give(k, v) {
				return
			}
		}
		for some {
			if !of.deleted && !give(key, of.value) {
				return
			}
			key, of, some = next()
		}
	}
}
