package cache

// adaptive is the default policy: a window and a main region, a frequency test between
// them, and small shadows that find out how large the window should be.
//
//	new ──▶ window ──oldest──▶ rarer than main's? ──yes──▶ out
//	          ▲ │ used lately                 │ no
//	          └─┘                             ▼
//	                             main (a clock) ──main's candidate──▶ out
//
// Recency lives in the window, frequency in main. How much of which pays depends on the
// load: a scan wants a window of 1 %, a stack-like load one of 95 %. Caffeine climbs towards
// the better size by trying sizes on the whole cache, one in ten capacities of requests.
// Here five shadow caches of at most 256 entries, each with a fixed share for its window,
// see a sample of the keys chosen by hash. Each is a true model of the whole cache scaled
// down, so that after some five hundred sampled requests all five shares have been tried,
// and the best is taken. The regions then move towards it a few entries an insert.
//
// A hit only raises the entry's two-bit count of uses. Both regions are clocks: the hand
// gives an entry that was used another round instead of evicting it, and tells the sketch
// what it saw. So a hit needs no lock, no buffer and no queue operation, and none is lost.
//
// Invariants: every entry is in one of the two lists; the newcomer never is the victim.
//
// Sources: Einziger et al., "TinyLFU" and "Adaptive Software Cache Management" (2018);
// Waldspurger et al., "Cache Modeling and Optimization using Miniature Simulations" (2017).
type adaptive struct {
	base
	sketch  sketch
	shadows *shadows // nil: the window's share is fixed
	window  int64    // bound of the window's weight
	share   float64  // of the bound that the window may have
	rng     uint64
	byCount bool // the bound is a number of entries

	next16  *[2]ahead // of each list; nil in small caches
	unseen  [aheadSize]uint32
	unseenN int
	warm    uint64 // only so that reading ahead has a result
}

const (
	inWindow = iota
	inMain
)

// settleSteps is how many entries a change of the window's size moves with each insert.
const settleSteps = 4

func newAdaptive(of entries, bound int64, expect int, byCount bool, s *shadows, share float64) *adaptive {
	a := &adaptive{base: newBase(2, of, bound, expect), shadows: s, share: share, rng: 88172645463325252, byCount: byCount}
	moved := a.moved
	a.moved = func(hash, from, to uint32) {
		a.unhint(from)
		moved(hash, from, to)
	}
	a.fit(bound, 0)
	return a
}

func (a *adaptive) fit(bound int64, n int) {
	a.bound = bound
	if a.byCount {
		a.sketch.entries = int(min(bound, 1<<40))
	}
	a.sketch.fit(n)
	if n >= smallSketch && a.next16 == nil {
		a.next16 = &[2]ahead{{from: none}, {from: none}}
	}
	a.resizeWindow()
}

func (a *adaptive) resizeWindow() {
	if a.shadows != nil {
		a.share = a.shadows.share()
	}
	a.window = max(1, min(a.bound-1, int64(a.share*float64(a.bound)+0.5)))
}

func (a *adaptive) full(w int64) bool {
	return a.lists[inWindow].weight+a.lists[inMain].weight+w > a.bound
}

func (a *adaptive) add(h *head, hash uint32, w int64) {
	a.sight(hash)
	win, main := &a.lists[inWindow], &a.lists[inMain]
	if !a.full(w) {
		a.put(inWindow, h, hash, w)
		for win.weight > a.window && a.front(inWindow) != h.pos {
			a.move(a.first(inWindow), inMain)
		}
		return
	}
	if a.shadows != nil && a.shadows.share() != a.share {
		a.resizeWindow()
	}
	for range settleSteps {
		switch {
		case win.n > 0 && win.weight-a.next(inWindow) >= a.window:
			a.move(a.first(inWindow), inMain)
		case main.n > 0 && win.weight+a.next(inMain) <= a.window:
			a.move(a.first(inMain), inWindow)
		}
	}
	a.put(inWindow, h, hash, w)
}

// next is the weight of a region's first entry: what a move would take out of it. Weights
// that differ never fill a region exactly, and what is left over is no reason to move.
func (a *adaptive) next(list int) int64 {
	if a.byCount {
		return 1
	}
	return a.of.weightOf(a.first(list))
}

func (a *adaptive) victim(newcomer *head) *head {
	win, main := &a.lists[inWindow], &a.lists[inMain]
	if win.weight <= a.window || win.n < 2 {
		if main.n > 0 {
			return a.mainHand()
		}
		return a.windowHand(newcomer)
	}
	cand := a.windowHand(newcomer)
	if main.n == 0 || main.weight+a.of.weightOf(cand) <= a.bound-a.window {
		// Main has room. Something must go all the same, and that is the window's next.
		a.move(cand, inMain)
		if next := a.oldest(inWindow, newcomer); next != nil {
			return next
		}
		return a.mainHand()
	}
	v := a.mainHand()
	if a.admit(a.hash(cand.pos), a.hash(v.pos)) {
		a.move(cand, inMain)
		return v
	}
	return cand
}

// admit compares the window's candidate with main's. A loser that is warm wins one time in
// 128 all the same: who knows which keys collide in the sketch could otherwise keep a
// guarded entry in main for ever.
func (a *adaptive) admit(cand, v uint32) bool {
	c := a.sketch.count(cand)
	if c > a.sketch.count(v) {
		return true
	}
	if c < 6 {
		return false
	}
	a.rng ^= a.rng << 13
	a.rng ^= a.rng >> 7
	a.rng ^= a.rng << 17
	return a.rng&127 == 0
}

// windowHand gives used entries another round and stops at the first that is not used.
func (a *adaptive) windowHand(newcomer *head) *head {
	for range maxWalk {
		h := a.first(inWindow)
		n := h.uses()
		if n == 0 && h != newcomer {
			return h
		}
		a.spend(h, n)
		a.move(h, inWindow)
	}
	return a.oldest(inWindow, newcomer)
}

// mainHand takes one use off every used entry it passes, so that an entry may stay for as
// many rounds as it had uses.
func (a *adaptive) mainHand() *head {
	for range maxWalk {
		h := a.first(inMain)
		if h.uses() == 0 {
			return h
		}
		a.spend(h, 1)
		a.move(h, inMain)
	}
	return a.first(inMain)
}

func (a *adaptive) worth(h *head) int {
	return int(a.sketch.count(a.hash(h.pos))) + int(h.uses())
}

// spend takes n uses off an entry and tells the sketch of them.
func (a *adaptive) spend(h *head, n uint32) {
	if n == 0 {
		return
	}
	h.setUses(h.uses() - n)
	hash := a.hash(h.pos)
	for range n {
		a.sketch.add(hash)
	}
}
