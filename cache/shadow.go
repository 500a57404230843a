package cache

import (
	"sync"
	"sync/atomic"
)

// shadows are five small caches without values, one for each share that the window may
// have. They see the keys whose hashes fall into a sample and count their hits.
type shadows struct {
	best   atomic.Int32 // index of the share that did best
	rate   atomic.Int32 // of 65536 hashes, how many are sampled
	last   atomic.Uint32
	mu     sync.Mutex
	models [len(shares)]*shadow
	hits   [len(shares)]float64
	trust  [len(shares)]float64 // how much of a model's promise the cache has kept
	real   float64              // hits of the cache itself, fading
	model  float64              // hits of the model that was chosen, fading
	tenure int                  // decisions since the last change
	seen   int
	size   int

	// counters is the size of cache whose sketch a shadow gets. In a small cache that is
	// about its own, or twice that. The sketch of a large cache has fewer counters for each
	// entry; a shadow that erred less than the cache would promise it too much.
	counters int
}

var shares = [...]float64{0.01, 0.06, 0.25, 0.6, 0.95}

const (
	shadowSize = 256
	patience   = 2     // requests for each entry of a shadow between two decisions
	memory     = 0.8   // share of its hits that a shadow keeps from one decision to the next
	hysteresis = 1.005 // a new share must be so much better
	probation  = 3     // decisions after a change before the model is held to its promise
	forgive    = 0.005 // share of lost trust that is given back with every decision
)

func newShadows(bound int64, byCount bool) *shadows {
	s := &shadows{size: shadowSize, counters: 2 * shadowSize}
	if bound >= smallSketch {
		s.counters = shadowSize / 2
	}
	if byCount {
		s.size = int(min(shadowSize, bound/2))
		if bound < shadowSize { // an error costs little here, and memory much
			s.size = int(max(16, bound/4))
			s.counters = s.size
		}
		s.fit(int(min(bound, 1<<40)))
	}
	return s
}

// fit sets the sample so that a shadow is to its sample what the cache is to all keys. In
// small caches it is an eighth more: a loop that just overflows the cache has, by chance,
// often a few keys less than its due in the sample, and would seem to fit. Large caches
// hardly ever meet such an edge, and lose by the pessimism: a point or two, measured.
func (s *shadows) fit(entries int) {
	rate := 65536 * s.size / max(1, entries)
	if entries < smallSketch {
		rate += rate / 8
	}
	s.rate.Store(int32(max(1, min(65536, rate))))
}

func (s *shadows) share() float64 { return shares[s.best.Load()] }

// sampled uses bits that neither the table's tags nor, at common sizes, its buckets use.
func (s *shadows) sampled(h uint32) bool { return int32(h>>8&0xffff) < s.rate.Load() }

// see shows a request to the shadows. At a moment when another goroutine does so, and when
// a key repeats itself, the request is left out of the sample: the first is rare, the second
// hits whatever the share is.
func (s *shadows) see(h uint32, hit bool) {
	if s.last.Load() == h || !s.mu.TryLock() {
		return
	}
	defer s.mu.Unlock()
	s.last.Store(h)
	best := int(s.best.Load())
	for i := range shares {
		if s.models[i] == nil {
			s.models[i] = newShadow(s.size, s.counters, shares[i])
			s.trust[i] = 1
		}
		if s.models[i].access(h) {
			s.hits[i]++
			if i == best {
				s.model++
			}
		}
	}
	if hit {
		s.real++
	}
	if s.seen++; s.seen >= patience*s.size {
		s.decide(best)
	}
}

func (s *shadows) decide(now int) {
	s.tenure++
	if s.tenure >= probation {
		if 4*s.real < s.model {
			s.trust[now] *= 0.5
		} else {
			s.trust[now] += (1 - s.trust[now]) / 2
		}
	}
	best := now
	for i := range shares {
		if i != now {
			s.trust[i] += (1 - s.trust[i]) * forgive
		}
		if s.hits[i]*s.trust[i] > s.hits[best]*s.trust[best] {
			best = i
		}
	}
	if s.hits[best]*s.trust[best] > s.hits[now]*s.trust[now]*hysteresis {
		s.best.Store(int32(best))
		s.tenure, s.real, s.model = 0, 0, 0
	}
	s.real *= memory
	s.model *= memory
	for i := range s.hits {
		s.hits[i] *= memory
	}
	s.seen = 0
}

// shadow is the adaptive policy with a fixed window, in arrays: the same decisions as
// adaptive takes, on hashes alone.
type shadow struct {
	slots  []slot
	index  []uint16 // open addressing: slot number + 1
	free   uint16
	n      int
	window int
	lists  [2]struct{ head, tail, n uint16 }
	sketch sketch
	rng    uint64
}

type slot struct {
	hash       uint32
	prev, next uint16 // slot number + 1
	uses       uint8
	list       uint8
}

func newShadow(size, counters int, share float64) *shadow {
	index := 16
	for index < 2*size {
		index *= 2
	}
	s := &shadow{slots: make([]slot, size+1), index: make([]uint16, index), rng: 88172645463325252}
	s.window = max(1, min(size-1, int(share*float64(size)+0.5)))
	s.sketch.fit(counters)
	s.sketch.entries = max(8, size)
	for i := range s.slots {
		s.slots[i].next = uint16(i + 2)
	}
	s.slots[size].next = 0
	s.free = 1
	return s
}

func (s *shadow) find(h uint32) (i int, found bool) {
	for i = int(h*0x9e3779b1>>16) & (len(s.index) - 1); s.index[i] != 0; i = (i + 1) & (len(s.index) - 1) {
		if s.slots[s.index[i]-1].hash == h {
			return i, true
		}
	}
	return i, false
}

func (s *shadow) push(l uint8, id uint16) {
	li, e := &s.lists[l], &s.slots[id-1]
	e.list, e.prev, e.next = l, li.tail, 0
	if li.tail != 0 {
		s.slots[li.tail-1].next = id
	} else {
		li.head = id
	}
	li.tail = id
	li.n++
}

func (s *shadow) pop(l uint8) uint16 {
	li := &s.lists[l]
	id := li.head
	li.head = s.slots[id-1].next
	if li.head != 0 {
		s.slots[li.head-1].prev = 0
	} else {
		li.tail = 0
	}
	li.n--
	return id
}

// drop forgets an entry that was popped, closing the gap in the index.
func (s *shadow) drop(id uint16) {
	i, _ := s.find(s.slots[id-1].hash)
	mask := len(s.index) - 1
	for j := (i + 1) & mask; s.index[j] != 0; j = (j + 1) & mask {
		home := int(s.slots[s.index[j]-1].hash*0x9e3779b1>>16) & mask
		if (j-home)&mask >= (j-i)&mask {
			s.index[i] = s.index[j]
			i = j
		}
	}
	s.index[i] = 0
	s.slots[id-1].next = s.free
	s.free = id
	s.n--
}

func (s *shadow) access(h uint32) bool {
	i, found := s.find(h)
	if found {
		if e := &s.slots[s.index[i]-1]; e.uses < usesMask {
			e.uses++
		}
		return true
	}
	id := s.free
	e := &s.slots[id-1]
	s.free = e.next
	e.hash, e.uses = h, 0
	s.index[i] = id
	s.n++
	s.sketch.add(h)
	s.push(inWindow, id)
	if size := len(s.slots) - 1; s.n > size {
		s.drop(s.victim(id, size))
		return false
	}
	for int(s.lists[inWindow].n) > s.window {
		s.push(inMain, s.pop(inWindow))
	}
	return false
}

// victim takes an entry out of its list; compare adaptive.victim.
func (s *shadow) victim(newcomer uint16, size int) uint16 {
	if int(s.lists[inWindow].n) <= s.window {
		if s.lists[inMain].n > 0 {
			s.mainHand()
			return s.pop(inMain)
		}
		return s.pop(inWindow)
	}
	var cand uint16
	for {
		cand = s.pop(inWindow)
		e := &s.slots[cand-1]
		if e.uses == 0 && cand != newcomer {
			break
		}
		for ; e.uses > 0; e.uses-- {
			s.sketch.add(e.hash)
		}
		s.push(inWindow, cand)
	}
	if int(s.lists[inMain].n) < size-s.window {
		s.push(inMain, cand)
		return s.pop(inMain)
	}
	s.mainHand()
	v := s.lists[inMain].head
	if s.admit(s.slots[cand-1].hash, s.slots[v-1].hash) {
		s.pop(inMain)
		s.push(inMain, cand)
		return v
	}
	return cand
}

func (s *shadow) mainHand() {
	for {
		e := &s.slots[s.lists[inMain].head-1]
		if e.uses == 0 {
			return
		}
		e.uses--
		s.sketch.add(e.hash)
		s.push(inMain, s.pop(inMain))
	}
}

func (s *shadow) admit(cand, v uint32) bool {
	c := s.sketch.count(cand)
	if c > s.sketch.count(v) {
		return true
	}
	if c < 6 {
		return false
	}
	s.rng ^= s.rng << 13
	s.rng ^= s.rng >> 7
	s.rng ^= s.rng << 17
	return s.rng&127 == 0
}
