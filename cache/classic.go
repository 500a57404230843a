package cache

// The policies of the textbooks, for those who need their exact behaviour or want to
// compare. All but lru and lfu have hits without a lock.

// fifo evicts what came first, whatever was used since.
type fifo struct{ base }

func newFIFO(of entries, bound int64, expect int) *fifo {
	return &fifo{newBase(1, of, bound, expect)}
}

func (p *fifo) add(h *head, hash uint32, w int64) { p.put(0, h, hash, w) }
func (p *fifo) victim(newcomer *head) *head       { return p.oldest(0, newcomer) }

// lru evicts what was not used for the longest time. Exact, so a hit takes the lock.
type lru struct{ fifo }

func newLRU(of entries, bound int64, expect int) *lru { return &lru{*newFIFO(of, bound, expect)} }

func (p *lru) used(h *head) { p.move(h, 0) }

// random evicts any entry with the same chance.
type random struct {
	fifo
	rng uint64
}

func newRandom(of entries, bound int64, expect int, seed uint64) *random {
	return &random{fifo: *newFIFO(of, bound, expect), rng: seed | 1}
}

func (p *random) victim(newcomer *head) *head {
	if p.lists[0].n < 2 {
		return p.oldest(0, newcomer)
	}
	// All chunks have one size, so drawing places until one is taken is fair.
	for {
		p.rng ^= p.rng << 13
		p.rng ^= p.rng >> 7
		p.rng ^= p.rng << 17
		pos := uint32((p.rng >> 32) * uint64(len(p.chunks)) << p.log >> 32)
		if p.chunks[pos>>p.log].live > 0 && p.hash(pos) != 0 && pos != newcomer.pos {
			return p.headOf(pos)
		}
	}
}

// sieve keeps entries in order of arrival; a hand walks from old to new, spares once what
// was used and evicts what was not.
//
// Source: Zhang et al., "SIEVE is Simpler than LRU" (NSDI 2024).
type sieve struct {
	fifo
	hand uint32
}

func newSIEVE(of entries, bound int64, expect int) *sieve {
	p := &sieve{fifo: *newFIFO(of, bound, expect), hand: none}
	moved := p.moved
	p.moved = func(hash, from, to uint32) {
		if p.hand == from {
			p.hand = to
		}
		moved(hash, from, to)
	}
	return p
}

func (p *sieve) victim(newcomer *head) *head {
	pos := p.hand
	for {
		if pos == none {
			pos = p.front(0)
		}
		h := p.headOf(pos)
		if h != newcomer && h.uses() == 0 {
			p.hand = pos
			return h
		}
		if p.lists[0].n < 2 {
			return nil
		}
		h.setUses(0)
		pos = p.next(pos)
	}
}

func (p *sieve) worth(h *head) int { return int(min(h.uses(), 1)) }

func (p *sieve) remove(pos uint32, w int64) {
	if pos == p.hand {
		p.hand = p.next(pos)
	}
	p.base.remove(pos, w)
}

// s3fifo has a small queue for newcomers, a main clock, and a memory of hashes that the
// small queue let go.
//
// Source: Yang et al., "FIFO Queues are All You Need for Cache Eviction" (SOSP 2023).
type s3fifo struct {
	base
	ghost ghost
	small int64
}

const (
	inSmall = iota
	inBig
)

func newS3FIFO(of entries, bound int64, expect int) *s3fifo {
	p := &s3fifo{base: newBase(2, of, bound, expect)}
	p.fit(bound, 0)
	return p
}

func (p *s3fifo) fit(bound int64, n int) {
	p.bound, p.small = bound, max(1, bound/10)
	p.ghost.fit(n - n/10)
}

func (p *s3fifo) add(h *head, hash uint32, w int64) {
	if p.ghost.take(hash) {
		p.put(inBig, h, hash, w)
		return
	}
	p.put(inSmall, h, hash, w)
}

func (p *s3fifo) victim(newcomer *head) *head {
	small, big := &p.lists[inSmall], &p.lists[inBig]
	for small.weight > p.small || big.n == 0 {
		h := p.oldest(inSmall, newcomer)
		if h == nil {
			break
		}
		if h.uses() < 2 {
			return h
		}
		h.setUses(0)
		p.move(h, inBig)
		if big.weight > p.bound-p.small {
			break
		}
	}
	for big.n > 0 {
		h := p.headOf(p.front(inBig))
		if h == newcomer {
			if big.n == 1 {
				break
			}
		} else if n := h.uses(); n == 0 {
			return h
		} else {
			h.setUses(n - 1)
		}
		p.move(h, inBig)
	}
	return p.oldest(inSmall, newcomer)
}

func (p *s3fifo) worth(h *head) int { return int(h.uses()) }

// evicted leaves a ghost of what the small queue lets go.
func (p *s3fifo) evicted(pos uint32) {
	if p.list(pos) == inSmall {
		p.ghost.add(p.hash(pos))
	}
}

// ghost remembers the last so many hashes. Four to a line, the oldest of a line is
// overwritten; a hash counts as forgotten when more than size others came after it.
type ghost struct {
	lines [][4]ghostMark
	size  uint32
	now   uint32
}

type ghostMark struct{ hash, at uint32 }

func (g *ghost) fit(size int) {
	g.size = uint32(max(1, min(size, 1<<30)))
	if want := int(g.size)/3 + 1; want > 2*len(g.lines) || len(g.lines) == 0 {
		old := g.lines
		g.lines = make([][4]ghostMark, want)
		for _, l := range old {
			for _, m := range l {
				if m.hash != 0 {
					g.put(m)
				}
			}
		}
	}
}

func (g *ghost) line(hash uint32) *[4]ghostMark {
	return &g.lines[uint64(hash*0x9e3779b1)*uint64(len(g.lines))>>32]
}

func (g *ghost) put(m ghostMark) {
	l, oldest := g.line(m.hash), 0
	for i := range l {
		if l[i].hash == 0 {
			oldest = i
			break
		}
		if g.now-l[i].at > g.now-l[oldest].at {
			oldest = i
		}
	}
	l[oldest] = m
}

func (g *ghost) add(hash uint32) {
	g.now++
	g.put(ghostMark{hash, g.now})
}

// take reports whether hash is remembered, and forgets it.
func (g *ghost) take(hash uint32) bool {
	l := g.line(hash)
	for i := range l {
		if l[i].hash == hash {
			fresh := g.now-l[i].at < g.size
			l[i] = ghostMark{}
			return fresh
		}
	}
	return false
}

// lfu evicts what was used least often, and of those what was used longest ago. Uses are
// counted to fifteen and halved after ten hits for every entry; exact, so a hit locks.
type lfu struct {
	base
	hits int
}

const lfuLevels = 16

func newLFU(of entries, bound int64, expect int) *lfu {
	return &lfu{base: newBase(lfuLevels, of, bound, expect)}
}

func (p *lfu) add(h *head, hash uint32, w int64) { p.put(0, h, hash, w) }

func (p *lfu) used(h *head) {
	p.move(h, min(p.list(h.pos)+1, lfuLevels-1))
	n := 0
	for i := range p.lists {
		n += p.lists[i].n
	}
	if p.hits++; p.hits >= 10*n {
		p.hits = 0
		p.age()
	}
}

func (p *lfu) worth(h *head) int { return p.list(h.pos) }

func (p *lfu) victim(newcomer *head) *head {
	for l := range p.lists {
		if h := p.oldest(l, newcomer); h != nil {
			return h
		}
	}
	return nil
}

// age halves all counts by joining neighbouring lists.
func (p *lfu) age() {
	for l := 1; l < lfuLevels; l++ {
		p.join(l, l/2)
	}
}

// join appends list from to list to.
func (q *queues) join(from, to int) {
	f, t := &q.lists[from], &q.lists[to]
	if f.n == 0 {
		return
	}
	for id := f.head; id != none; id = q.chunks[id].next {
		q.chunks[id].list = uint8(to)
	}
	if t.tail == none {
		t.head = f.head
	} else {
		q.chunks[t.tail].next = f.head
		q.chunks[f.head].prev = t.tail
	}
	t.tail = f.tail
	t.n += f.n
	t.weight += f.weight
	*f = list{head: none, tail: none}
}

// endless evicts nothing; it is for caches that are bounded by time alone.
type endless struct{ fifo }

func newEndless(of entries, expect int) *endless { return &endless{*newFIFO(of, 0, expect)} }

func (p *endless) victim(*head) *head { return nil }
