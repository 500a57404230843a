package ratelimit

import (
	"context"
	"fmt"
	"hash/maphash"
	"math/bits"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// OnFull says what becomes of a new key when a Keyed holds as many as it may, none of them
// idle.
type OnFull uint8

const (
	// DenyNew refuses the new key. Keys that are there are not disturbed.
	DenyNew OnFull = iota
	// Evict forgets one of the keys nearby, the one closest to being idle. That key gets
	// what it had in use anew: who can make up keys can buy himself quota with them.
	Evict
)

// KeyedOptions are the options of NewKeyed.
type KeyedOptions struct {
	// Limits are those of every key that is not in a tier of its own. All have to admit,
	// or nothing is taken of any. 1 to 8.
	Limits []Limit
	// Tiers are further lists of limits, by name. See Assign and SetTier.
	Tiers     map[string][]Limit
	Algorithm Algorithm
	// MaxKeys bounds the keys that are remembered at once. 0 means 1,000,000.
	MaxKeys int
	OnFull  OnFull
	// OnChange is told of each change of the rules, also of those that were refused.
	OnChange func(Change)
	// Now is the clock. Nil means time.Now, read in the cheapest way. A clock that goes
	// back is taken to stand still until it has caught up.
	Now func() time.Time
}

// Keyed limits each key separately, in bounded memory. It is safe for concurrent use, and
// starts no goroutine.
type Keyed[K comparable] struct {
	shards []table[K]
	shift  uint // of a hash, to its shard
	seed   maphash.Seed
	alg    Algorithm
	max    int64
	full   OnFull
	keys   atomic.Int64 // entries taken in all shards
	rules  atomic.Pointer[ruleset]
	start  time.Time
	clock  func() time.Time
	origin int64

	admin    sync.Mutex // changing rules
	changes  []Change
	onChange func(Change)
	owned    atomic.Int64
	mu       sync.RWMutex
	own      map[K]uint16 // keys in a tier that is not the default
}

// epoch is the clock's zero, so long before the start that no time in use is 0.
const epoch = int64(time.Hour)

// NewKeyed makes a limiter of many keys. ErrLimit or ErrOptions says what is wrong with o.
func NewKeyed[K comparable](o KeyedOptions) (*Keyed[K], error) {
	switch {
	case o.MaxKeys < 0:
		return nil, fmt.Errorf("%w: MaxKeys %d", ErrOptions, o.MaxKeys)
	case o.MaxKeys == 0:
		o.MaxKeys = 1_000_000
	}
	if o.OnFull > Evict {
		return nil, fmt.Errorf("%w: OnFull %d", ErrOptions, o.OnFull)
	}
	k := &Keyed[K]{
		seed: maphash.MakeSeed(), alg: o.Algorithm, max: int64(o.MaxKeys), full: o.OnFull,
		start: time.Now(), clock: o.Now, onChange: o.OnChange, own: map[K]uint16{},
	}
	if o.Now != nil {
		k.start = o.Now()
	}
	k.origin = k.start.UnixNano() - epoch
	t, err := newTier("", o.Limits, k.alg, k.origin)
	if err != nil {
		return nil, err
	}
	set, err := (&ruleset{}).with(0, t, k.alg)
	if err != nil {
		return nil, err
	}
	for name, limits := range o.Tiers {
		if t, err = newTier(name, limits, k.alg, k.origin); err != nil {
			return nil, err
		}
		if name == "" {
			return nil, fmt.Errorf("%w: the default tier has its limits in Limits", ErrOptions)
		}
		if set, err = set.with(len(set.tiers), t, k.alg); err != nil {
			return nil, err
		}
	}
	k.rules.Store(set)
	// A shard of at most four thousand keys is rebuilt in some 0.2 ms; several shards for
	// each processor keep them out of each other's way.
	n := max(min(o.MaxKeys/64, 8*runtime.GOMAXPROCS(0)), o.MaxKeys/4096, 1)
	n = 1 << bits.Len(uint(min(n, 1<<14)-1))
	k.shards, k.shift = make([]table[K], n), uint(64-bits.Len(uint(n-1)))
	for i := range k.shards {
		k.shards[i].set, k.shards[i].hash = set, k.hash
	}
	return k, nil
}

func (k *Keyed[K]) hash(key K) uint64 { return maphash.Comparable(k.seed, key) }

// shard is the hash of a key and its table. A key that cannot be hashed, an interface that
// holds a slice, panics as in a map.
func (k *Keyed[K]) shard(key K) (uint64, *table[K]) {
	h := k.hash(key)
	return h, &k.shards[h>>k.shift]
}

func (k *Keyed[K]) now() int64 {
	if k.clock == nil {
		return int64(time.Since(k.start)) + epoch
	}
	return k.at(k.clock())
}

func (k *Keyed[K]) at(t time.Time) int64 {
	return min(max(int64(t.Sub(k.start)), 0), maxUnits) + epoch
}

func (k *Keyed[K]) wall() time.Time {
	if k.clock == nil {
		return time.Now()
	}
	return k.clock()
}

// Take admits n events of key or none, under all limits of its tier or none. An n of 0
// takes nothing and tells whether one event would be admitted; a negative one is refused.
// No allocation but for new keys.
func (k *Keyed[K]) Take(key K, n int64) (d Decision) {
	h, s := k.shard(key)
	s.bring(h)
	s.take(k, key, h, n, k.now(), &d, false)
	return d
}

// TakeAt is Take at a time that the caller has read.
func (k *Keyed[K]) TakeAt(t time.Time, key K, n int64) (d Decision) {
	h, s := k.shard(key)
	s.take(k, key, h, n, k.at(t), &d, false)
	return d
}

// Allow is Take of one event, without the words: the fastest.
func (k *Keyed[K]) Allow(key K) bool {
	h, s := k.shard(key)
	s.bring(h)
	return s.take(k, key, h, 1, k.now(), nil, false)
}

// Peek tells what Take of one event would decide.
func (k *Keyed[K]) Peek(key K) Decision { return k.Take(key, 0) }

// Charge takes n events of key without asking, for what turned out to cost more or is
// reported late by another host. The balance may go below zero; then nothing is admitted
// until it is paid back. A FixedWindow forgets debts with its window. ErrCost if n is not
// positive, ErrFull if there is no room for a new key.
func (k *Keyed[K]) Charge(key K, n int64) error {
	if n <= 0 {
		return fmt.Errorf("%w: %d", ErrCost, n)
	}
	h, s := k.shard(key)
	if !s.take(k, key, h, n, k.now(), nil, true) {
		return ErrFull
	}
	return nil
}

// take decides about n events of key, whose hash is h.
func (s *table[K]) take(k *Keyed[K], key K, h uint64, n, now int64, d *Decision, force bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.find(h, key, now)
	fresh := !ok || s.entries[at].at < now
	var t *tier
	if fresh {
		i := k.tierOf(key, s.set)
		t = s.set.tiers[i]
		if !ok && n > 0 {
			if at = k.room(s, at, h, key, now); at < 0 {
				s.full++
				s.refused++
				if d != nil {
					*d = Decision{Limit: t.rules[0].limit.Name, Quota: t.rules[0].quota, RetryAfter: time.Duration(t.rules[0].step.ns + 1)}
				}
				return false
			}
			s.place(at, h, key, i)
		} else if ok {
			s.entries[at].tier = i
		}
	} else {
		t = s.set.tiers[s.entries[at].tier]
	}
	if len(t.rules) == 1 && s.set.stride == 0 {
		// The usual case: one limit, its state in the entry.
		r, old := t.rules[0], state{}
		if !fresh {
			old = state{at: s.entries[at].at, b: s.entries[at].b}
		}
		next, ok := r.take(old, nil, now, max(n, 1), force)
		ok = (ok || force) && n >= 0
		if d != nil {
			s.tellOne(r, old, next, now, n, ok, d)
		}
		if ok && n > 0 {
			s.entries[at].at, s.entries[at].b = max(next.at, 1), next.b
		}
		s.count(ok)
		return ok
	}
	ok = s.takeAll(t, at, fresh, now, n, d, force)
	s.count(ok)
	return ok
}

func (s *table[K]) count(ok bool) {
	if ok {
		s.admitted++
	} else {
		s.refused++
	}
}

// tellOne words a decision of r, which went from one state to the next if ok.
func (s *table[K]) tellOne(r *rule, old, next state, now, n int64, ok bool, d *Decision) {
	if ok && n > 0 {
		old, next = next, old
		r.tell(d, old, nil, now, n, true)
		d.Delay = r.delay(next, now)
		return
	}
	r.tell(d, old, nil, now, n, ok)
}

// takeAll decides for several limits: first it asks all, then it takes of all or of none.
func (s *table[K]) takeAll(t *tier, at int, fresh bool, now, n int64, d *Decision, force bool) bool {
	var none stamps
	var old, next [maxLimits]state
	var logs [maxLimits]*stamps
	var admits [maxLimits]bool
	all := n >= 0
	for i, r := range t.rules {
		logs[i] = &none
		if at >= 0 && !fresh {
			if x, lg := s.state(at, i); lg != nil {
				old[i], logs[i] = x, lg
			} else {
				old[i] = x
			}
		} else if at >= 0 && s.logs != nil && n > 0 {
			logs[i] = &s.logs[at*s.set.stride+i] // idle: empty it, but keep its memory
			logs[i].n, logs[i].sum = 0, 0
		}
		var ok bool
		next[i], ok = r.take(old[i], logs[i], now, max(n, 1), force)
		admits[i] = ok || force
		all = all && admits[i]
	}
	taken := all && n > 0
	if taken {
		for i, r := range t.rules {
			if r.alg == SlidingLog {
				logs[i].push(next[i].at-r.per, n, r.quota)
			}
		}
		s.put(at, next[:len(t.rules)])
	}
	if d == nil {
		return all
	}
	for i, r := range t.rules {
		x := old[i]
		if taken {
			x = next[i]
		}
		var w Decision
		r.tell(&w, x, logs[i], now, n, all || admits[i] && n >= 0)
		delay := d.Delay
		if taken {
			delay = max(delay, r.delay(old[i], now))
		}
		if i == 0 || w.tighter(d) {
			*d = w
		}
		d.Delay = delay
	}
	return all
}

// tierOf is the number of the tier of a key that has no entry.
func (k *Keyed[K]) tierOf(key K, set *ruleset) uint16 {
	if i, ok := k.ownTier(key); ok && int(i) < len(set.tiers) && set.tiers[i] != nil {
		return i
	}
	return 0
}

// room is where a new key may be put, for which find has proposed at; -1 if there is none.
func (k *Keyed[K]) room(s *table[K], at int, h uint64, key K, now int64) int {
	if at >= 0 && s.entries[at].at != 0 {
		return at // in the place of an idle one
	}
	// The counter of all shards is touched only when a table's number of entries changes.
	if k.keys.Add(1) > k.max {
		if s.waste++; s.waste > s.used/16 {
			// The search for idle ones costs each refused key sixteen entries.
			k.keys.Add(-int64(s.purge(now)))
		}
		if k.keys.Load() > k.max {
			victim := -1
			if k.full == Evict && s.used > 0 {
				victim = s.idlest(h)
			}
			if k.keys.Add(-1); victim < 0 {
				return -1
			}
			s.remove(victim) // its place in the count is now the new key's
			s.evicted++
		}
		at, _ = s.find(h, key, now)
	}
	if at < 0 || s.crowded() {
		k.keys.Add(-int64(s.rebuild(now)))
		at, _ = s.find(h, key, now)
	}
	if s.entries[at].at != 0 {
		k.keys.Add(-1) // an idle entry after all
	}
	return at
}

// Forget drops what is known of key: it starts anew, with all its quota. Limits of its own
// and its tier stay.
func (k *Keyed[K]) Forget(key K) {
	h, s := k.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.find(h, key, k.now()); ok {
		s.remove(at)
		k.keys.Add(-1)
	}
}

// Wait takes n events of key as soon as they are admitted. A LeakyBucket's Delay is waited
// for, too; who gives up then leaves his place in the queue empty. Callers of one key are
// not put in order but by a LeakyBucket. ErrNever if they never are, ErrDeadline if the
// deadline of ctx comes first, or the error of ctx.
func (k *Keyed[K]) Wait(ctx context.Context, key K, n int64) error {
	if n <= 0 {
		return fmt.Errorf("%w: %d", ErrCost, n)
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		d := k.Take(key, n)
		pause := d.Delay
		if !d.OK {
			if pause = d.RetryAfter; pause == Never {
				return ErrNever
			}
		}
		if end, ok := ctx.Deadline(); ok && !d.OK && time.Until(end) < pause {
			return fmt.Errorf("%w: %v", ErrDeadline, pause)
		}
		if err := sleep(ctx, pause); err != nil || d.OK {
			return err
		}
	}
}

func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// KeyedStats are counts since the start, and the keys and the bytes of now.
type KeyedStats struct {
	Keys              int   // entries, idle ones that were not yet reused among them
	Bytes             int64 // of the tables; keys' own memory (the bytes of strings) and logs aside
	Admitted, Refused uint64
	Full              uint64 // refused because there was no room for a new key
	Evicted           uint64
}

// Stats adds up all shards.
func (k *Keyed[K]) Stats() KeyedStats {
	var out KeyedStats
	for i := range k.shards {
		s := &k.shards[i]
		s.mu.Lock()
		out.Keys += s.used
		out.Bytes += s.bytes()
		out.Admitted += s.admitted
		out.Refused += s.refused
		out.Full += s.full
		out.Evicted += s.evicted
		s.mu.Unlock()
	}
	return out
}

// Len is the number of keys that are remembered, idle ones that were not yet reused among
// them.
func (k *Keyed[K]) Len() int { return int(k.keys.Load()) }
