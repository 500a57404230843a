package cache

// In a cache of a million entries nothing that an eviction looks at is near the processor:
// the candidates' buckets, the candidates, their counters in the sketch. Read one by one
// each costs what a hundred instructions do. But who comes next is known: it stands in the
// queues. So the fronts of the queues are resolved sixteen places at a time, in loops whose
// reads do not wait for each other, and an eviction finds what it needs in the near caches.
// In the same way newcomers are told to the sketch sixteen at a time.
//
// Small caches lie in the processor's near caches as a whole, and do without.
//
// Invariant: what ahead holds is a hint; an entry whose pos is not the one that is asked for
// has moved or left, and is looked up again. What leaves its place is forgotten here, so that
// no value is kept alive.
type ahead struct {
	from uint32
	head [aheadSize]*head
}

const aheadSize = 16

// first is the entry at the front of list l, which is not empty.
func (a *adaptive) first(l int) *head {
	pos := a.front(l)
	if a.next16 == nil {
		return a.headOf(pos)
	}
	n := &a.next16[l]
	if pos-n.from >= aheadSize {
		a.lookAhead(n, pos)
	}
	if h := n.head[pos-n.from]; h != nil && h.pos == pos {
		return h
	}
	return a.headOf(pos)
}

// lookAhead resolves the places from pos to the next multiple of aheadSize.
func (a *adaptive) lookAhead(n *ahead, pos uint32) {
	var hashes [aheadSize]uint32
	n.from = pos &^ (aheadSize - 1)
	c := &a.chunks[pos>>a.log]
	for p := pos; p < n.from+aheadSize && p&(a.size-1) < c.end; p++ {
		hashes[p-n.from] = c.hash[p&(a.size-1)]
	}
	clear(n.head[:])
	a.of.headsAt(&hashes, n.from, &n.head)
	a.warmUp(&hashes)
}

// warmUp reads the sketch's lines of some hashes, for they are needed soon.
func (a *adaptive) warmUp(hashes *[aheadSize]uint32) {
	for _, h := range hashes {
		l, _ := a.sketch.line(h)
		a.warm += l[0]
	}
}

// sight tells the sketch of a newcomer.
func (a *adaptive) sight(hash uint32) {
	if a.next16 == nil {
		a.sketch.add(hash)
		return
	}
	a.unseen[a.unseenN] = hash
	if a.unseenN++; a.unseenN == aheadSize {
		a.unseenN = 0
		a.warmUp(&a.unseen)
		for _, h := range a.unseen {
			a.sketch.add(h)
		}
	}
}

// unhint forgets what is known of a place that an entry leaves.
func (a *adaptive) unhint(pos uint32) {
	if a.next16 == nil {
		return
	}
	if n := &a.next16[a.list(pos)]; pos-n.from < aheadSize {
		n.head[pos-n.from] = nil
	}
}

func (a *adaptive) remove(pos uint32, w int64) {
	a.unhint(pos)
	a.base.remove(pos, w)
}

func (a *adaptive) move(h *head, l int) {
	a.unhint(h.pos)
	a.base.move(h, l)
}

// headsAt is headAt for the places from pos on, at once; hash 0 is no place.
func (l *lookup[K, V]) headsAt(hashes *[aheadSize]uint32, pos uint32, out *[aheadSize]*head) {
	t := l.table.Load()
	var tags [aheadSize]uint64
	for i, h := range hashes {
		tags[i] = t.buckets[t.home(h)].tags.Load()
	}
	for i, h := range hashes {
		if h != 0 {
			out[i] = t.inBucket(t.home(h), tags[i], tagOf(h), pos+uint32(i))
		}
	}
	for i, h := range hashes {
		if h != 0 && out[i] == nil {
			out[i] = l.headAt(h, pos+uint32(i))
		}
	}
}
