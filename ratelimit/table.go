package ratelimit

import (
	"sync"
	"sync/atomic"
	"unsafe"
)

// A Keyed's keys lie in shards, each an open-addressing table with linear probing under
// its own lock:
//
//	entries   [ at | b | tag tier | key ][ at | b | tag tier | key ] …    16 bytes and the key
//	wide      [ at b c ][ at b c ] …      one for each limit, where one state does not fit
//	logs      [ ring ][ ring ] …          for SlidingLog
//
// An access touches one or two lines of entries, which lie side by side. The tag is 16
// bits of the hash: keys that only share a place are told apart without following the
// pointers of strings.
//
// Idle keys cost nothing to forget: after entry.at a key's state is that of a key never
// seen, so its place may be taken by any key that probes past it, and is left behind when
// the table is rebuilt. No sweeper runs. An entry whose at is 0 was never taken and ends
// a probe.
//
// Tables grow by somewhat less than a third, from 7/12 to 3/4 full. Growth rebuilds one
// shard of two to four thousand keys under its lock, 0.1 to 0.2 ms; looking for idle keys
// when all is full takes a tenth of that.

type entry[K comparable] struct {
	at   int64 // 0: free; before now: idle
	b    uint32
	tag  uint16
	tier uint16
	key  K
}

type table[K comparable] struct {
	// Read all the time, written when the table is rebuilt or the rules change: a line that
	// all processors can have.
	hint    atomic.Pointer[entry[K]] // where entries begin, and how many there are: readable
	hinted  atomic.Uint64            // without the lock, for bring
	set     *ruleset
	entries []entry[K]
	hash    func(K) uint64
	_       [8]byte

	// Written by every access.
	mu       sync.Mutex
	admitted uint64
	refused  uint64
	used     int // entries that are not free, idle ones among them
	waste    int // new keys that found no room since the last purge

	full, evicted uint64
	_             [8]byte

	wide []state
	logs []stamps
	_    [16]byte // whole lines, so that neighbours' locks are apart
}

// bring has the lines that a hash leads to brought into the cache, without waiting for
// them. What is done meanwhile costs next to nothing: reading the clock takes a third of the
// time of a line from memory, and the clock's instruction waits for loads, but not for
// these.
func (s *table[K]) bring(h uint64) {
	if base := s.hint.Load(); base != nil {
		at := uint64(uint32(h>>16)) * s.hinted.Load() >> 32
		prefetch(unsafe.Pointer(base), uintptr(at)*unsafe.Sizeof(*base), unsafe.Pointer(&s.mu))
	}
}

// home is where the probe for a hash begins.
func (s *table[K]) home(h uint64) int {
	return int(uint64(uint32(h>>16)) * uint64(len(s.entries)) >> 32)
}

// find is where key is; or, if it is not there, where it may be put: an idle entry on its
// way, or the free one that ends it. -1 in an empty table.
func (s *table[K]) find(h uint64, key K, now int64) (at int, ok bool) {
	if len(s.entries) == 0 {
		return -1, false
	}
	tag, place := uint16(h), -1
	for i := s.home(h); ; {
		e := &s.entries[i]
		if e.at == 0 {
			if place < 0 {
				place = i
			}
			return place, false
		}
		if e.tag == tag && e.key == key {
			return i, true
		}
		if place < 0 && e.at < now {
			place = i
		}
		if i++; i == len(s.entries) {
			i = 0
		}
	}
}

// crowded says that one more free entry may not be taken before a rebuild.
func (s *table[K]) crowded() bool { return (s.used+1)*4 > len(s.entries)*3 }

// rebuild makes a table for the keys that are not idle and more, and returns how many idle
// ones it forgot.
func (s *table[K]) rebuild(now int64) (forgot int) {
	live := 0
	for i := range s.entries {
		if s.entries[i].at >= now {
			live++
		}
	}
	old, wide, logs := s.entries, s.wide, s.logs
	// By halves at most: when the idle ones come back it need not grow again from nothing.
	size := max((live+1)*12/7+4, len(old)/2)
	forgot = s.used - live
	s.entries, s.used = make([]entry[K], size), live
	s.hint.Store(&s.entries[0])
	s.hinted.Store(uint64(size))
	s.makeWide()
	for i := range old {
		if old[i].at < now {
			continue
		}
		j := s.home(s.hash(old[i].key))
		for s.entries[j].at != 0 {
			if j++; j == size {
				j = 0
			}
		}
		s.entries[j] = old[i]
		s.copyWide(j, wide, logs, i, s.set.stride)
	}
	return forgot
}

func (s *table[K]) makeWide() {
	s.wide, s.logs = nil, nil
	if n := s.set.stride * len(s.entries); n > 0 {
		s.wide = make([]state, n)
		if s.set.logs {
			s.logs = make([]stamps, n)
		}
	}
}

// copyWide takes what belongs to entry i over from slices that hold stride states a key.
func (s *table[K]) copyWide(to int, wide []state, logs []stamps, from, stride int) {
	n := s.set.stride
	copy(s.wide[to*n:to*n+n], wide[from*stride:from*stride+stride])
	if s.logs != nil {
		copy(s.logs[to*n:to*n+n], logs[from*stride:from*stride+stride])
	}
}

// remove frees an entry and moves those up that were put behind it only because it was
// taken.
func (s *table[K]) remove(i int) {
	n := s.set.stride
	for j := i; ; {
		if j++; j == len(s.entries) {
			j = 0
		}
		if s.entries[j].at == 0 {
			break
		}
		// j may move to i unless its home lies cyclically in (i, j].
		home := s.home(s.hash(s.entries[j].key))
		if i <= j && i < home && home <= j || i > j && (i < home || home <= j) {
			continue
		}
		s.entries[i] = s.entries[j]
		s.copyWide(i, s.wide, s.logs, j, n)
		i = j
	}
	s.entries[i] = entry[K]{}
	clear(s.wide[i*n : i*n+n])
	if s.logs != nil {
		clear(s.logs[i*n : i*n+n])
	}
	s.used--
}

// purge frees the entries of idle keys and returns how many.
func (s *table[K]) purge(now int64) (freed int) {
	s.waste = 0
	for i := 0; i < len(s.entries); {
		if at := s.entries[i].at; at != 0 && at < now {
			s.remove(i) // another may have moved here
			freed++
		} else {
			i++
		}
	}
	return freed
}

// idlest is the entry near a hash's home whose key would be idle first; -1 if there is none.
func (s *table[K]) idlest(h uint64) int {
	best := -1
	i := s.home(h)
	for seen, step := 0, 0; seen < 8 && step < len(s.entries); step++ {
		if e := &s.entries[i]; e.at != 0 {
			if seen++; best < 0 || e.at < s.entries[best].at {
				best = i
			}
		}
		if i++; i == len(s.entries) {
			i = 0
		}
	}
	return best
}

// state is the i-th state of an entry; its log, if it has one.
func (s *table[K]) state(at, i int) (state, *stamps) {
	if s.set.stride == 0 {
		e := &s.entries[at]
		return state{at: e.at, b: e.b}, nil
	}
	j := at*s.set.stride + i
	if s.logs != nil {
		return s.wide[j], &s.logs[j]
	}
	return s.wide[j], nil
}

// put stores the states of an entry that it has now.
func (s *table[K]) put(at int, states []state) {
	e := &s.entries[at]
	if s.set.stride == 0 {
		e.at, e.b = max(states[0].at, 1), states[0].b
		return
	}
	e.at = 1
	for i, x := range states {
		s.wide[at*s.set.stride+i] = x
		e.at = max(e.at, x.at)
	}
}

// place makes an entry that find found free or idle one of a new key.
func (s *table[K]) place(at int, h uint64, key K, tier uint16) {
	e := &s.entries[at]
	if e.at == 0 {
		s.used++
	}
	*e = entry[K]{at: 1, tag: uint16(h), tier: tier, key: key}
	n := s.set.stride
	clear(s.wide[at*n : at*n+n])
	if s.logs != nil {
		clear(s.logs[at*n : at*n+n])
	}
}

// retier puts an entry under another tier and keeps what is in use.
func (s *table[K]) retier(at int, to uint16, now int64) {
	e := &s.entries[at]
	if from := s.set.tiers[e.tier]; e.tier != to {
		s.carry(at, from, s.set.tiers[to], now)
		e.tier = to
	}
}

func (s *table[K]) carry(at int, from, to *tier, now int64) {
	var next [maxLimits]state
	var logs [maxLimits]stamps
	for i, r := range to.rules {
		if j := to.before(from, i); j >= 0 {
			old, lg := s.state(at, j)
			if next[i] = r.carry(from.rules[j], old, now); lg != nil {
				logs[i] = *lg
			}
		}
	}
	if n := s.set.stride; s.logs != nil {
		copy(s.logs[at*n:at*n+n], logs[:])
	}
	s.put(at, next[:len(to.rules)])
}

// adopt changes to a new ruleset; used says that keys may be in the tier that is another
// now. Keys of dropped tiers fall to the default.
func (s *table[K]) adopt(set *ruleset, now int64, used bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.set
	s.set = set
	if set.stride != old.stride {
		wide, logs := s.wide, s.logs
		s.makeWide()
		for i := range s.entries {
			if old.stride == 0 {
				s.wide[i*set.stride] = state{at: s.entries[i].at, b: s.entries[i].b}
			} else {
				s.copyWide(i, wide, logs, i, old.stride)
			}
		}
	}
	if !used {
		return
	}
	for i := range s.entries {
		e := &s.entries[i]
		if e.at == 0 {
			continue
		}
		from, to := old.tiers[e.tier], set.tiers[e.tier]
		if to == nil {
			e.tier, to = 0, set.tiers[0]
		}
		if from != to {
			s.carry(i, from, to, now)
		}
	}
}

func (s *table[K]) bytes() int64 {
	return int64(unsafe.Sizeof(*s)) + int64(cap(s.entries))*int64(unsafe.Sizeof(entry[K]{})) +
		int64(cap(s.wide))*int64(unsafe.Sizeof(state{})) + int64(cap(s.logs))*int64(unsafe.Sizeof(stamps{}))
}
