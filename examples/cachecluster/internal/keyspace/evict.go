package keyspace

import (
	"fmt"

	"github.com/ashlar-go/ashlar/cache"
)

// Policy says what leaves when the memory's bound is reached.
type Policy uint8

// The policies: those of Redis, and three of ashlar's package cache.
const (
	NoEviction Policy = iota
	AllKeysLRU
	AllKeysLFU
	AllKeysRandom
	VolatileLRU
	VolatileLFU
	VolatileRandom
	VolatileTTL
	AllKeysAdaptive
	AllKeysS3FIFO
	AllKeysSIEVE
	policies
)

var policyNames = [policies]string{
	"noeviction", "allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl",
	"allkeys-adaptive", "allkeys-s3fifo", "allkeys-sieve",
}

// String is the name of the policy as CONFIG SET maxmemory-policy has it.
func (p Policy) String() string {
	if p < policies {
		return policyNames[p]
	}
	return "unknown"
}

// ParsePolicy is the policy of a name.
func ParsePolicy(name string) (Policy, error) {
	for p, n := range policyNames {
		if n == name {
			return Policy(p), nil
		}
	}
	return 0, fmt.Errorf("%w: no policy %q", ErrOptions, name)
}

// Policies are all there are.
func Policies() []Policy {
	var all []Policy
	for p := range policies {
		all = append(all, p)
	}
	return all
}

// Configure sets the bound, 0 for none, what leaves when it is reached, and how many keys
// are looked at. What is over the bound leaves with the next writes.
func (d *DB) Configure(maxMemory int64, p Policy, samples int) error {
	if maxMemory < 0 || p >= policies || samples < 1 || samples > 64 {
		return fmt.Errorf("%w: memory %d, policy %d, samples %d", ErrOptions, maxMemory, p, samples)
	}
	changed := maxMemory != d.o.MaxMemory || p != d.o.Policy
	d.o.MaxMemory, d.o.Policy, d.o.Samples = maxMemory, p, samples
	if changed {
		d.order = newOrder(d)
	}
	return nil
}

const (
	newFreq  = 5   // a new key's count of uses, so that it lives long enough to be used
	maxFreq  = 255 // about a million uses
	logScale = 10
)

// use notes that a key was used.
func (d *DB) use(e *Entry) {
	d.clock++
	if d.o.Policy == AllKeysLFU || d.o.Policy == VolatileLFU {
		e.freq = d.aged(e)
		if e.freq < maxFreq && d.rng.Float64() < 1/(float64(max(int(e.freq)-newFreq, 0))*logScale+1) {
			e.freq++
		}
	}
	e.seen = d.clock
	if d.order != nil {
		d.order.use(e)
	}
}

// aged is a key's count of uses now: it loses one for each time that as many uses as ten
// for every key went by without it.
func (d *DB) aged(e *Entry) uint8 {
	periods := (d.clock - e.seen) / uint32(10*len(d.all)+1)
	return uint8(max(int(e.freq)-int(min(periods, maxFreq)), 0))
}

// MakeRoom evicts until the bound holds. It returns ErrMemory when it does not and nothing
// may leave.
func (d *DB) MakeRoom() error {
	d.Settle()
	for d.o.MaxMemory > 0 && d.used > d.o.MaxMemory {
		e := d.victim()
		if e == nil {
			return ErrMemory
		}
		d.evict(e)
	}
	return nil
}

// Settle lets the policies of package cache evict what the last command made too much. It
// runs after a command, never within, so that no value disappears under one that uses it.
func (d *DB) Settle() {
	if d.order != nil && len(d.order.changed) > 0 {
		d.order.settle()
	}
}

func (d *DB) evict(e *Entry) {
	d.Stats.Evicted++
	d.remove(e)
	if d.o.Gone != nil {
		d.o.Gone(e.key, true)
	}
}

// victim is who leaves next, nil if nobody may.
func (d *DB) victim() *Entry {
	from := d.all
	switch d.o.Policy {
	case NoEviction:
		return nil
	case VolatileLRU, VolatileLFU, VolatileRandom, VolatileTTL:
		from = d.volatile
	}
	if len(from) == 0 {
		return nil
	}
	worst := from[d.rng.IntN(len(from))]
	if d.o.Policy == AllKeysRandom || d.o.Policy == VolatileRandom {
		return worst
	}
	for range d.o.Samples - 1 {
		if e := from[d.rng.IntN(len(from))]; d.worse(e, worst) {
			worst = e
		}
	}
	return worst
}

// worse tells whether a should leave before b.
func (d *DB) worse(a, b *Entry) bool {
	switch d.o.Policy {
	case AllKeysLFU, VolatileLFU:
		if x, y := d.aged(a), d.aged(b); x != y {
			return x < y
		}
	case VolatileTTL:
		return a.expire < b.expire
	}
	return d.clock-a.seen > d.clock-b.seen // the clock may have wrapped around
}

// order is what package cache knows of the keys: it decides who leaves, the DB follows.
type order struct {
	d       *DB
	keys    *cache.Cache[string, *Entry]
	changed []*Entry // since the last settle
	busy    bool     // an entry is being removed: nobody need be told
}

// newOrder is the order that the policy needs, nil if it needs none.
func newOrder(d *DB) *order {
	p, ok := map[Policy]cache.Policy{AllKeysAdaptive: cache.Adaptive, AllKeysS3FIFO: cache.S3FIFO, AllKeysSIEVE: cache.SIEVE}[d.o.Policy]
	if !ok || d.o.MaxMemory == 0 || !d.o.Expires {
		return nil
	}
	o := &order{d: d}
	var err error
	o.keys, err = cache.New(cache.Options[string, *Entry]{
		MaxWeight: d.o.MaxMemory, Policy: p, Seed: d.o.Seed,
		Weigh:    func(_ string, e *Entry) int64 { return e.size },
		OnRemove: o.removed,
	})
	if err != nil {
		return nil // a bound beyond what the cache can count is none
	}
	o.changed = append(o.changed, d.all...)
	return o
}

// settle tells the cache of new entries and of new sizes.
func (o *order) settle() {
	for i := 0; i < len(o.changed); i++ {
		e := o.changed[i]
		o.changed[i] = nil
		if e.pos >= 0 && !o.keys.Set(e.key, e) && e.pos >= 0 {
			o.d.evict(e) // it is larger than the bound by itself
		}
	}
	o.changed = o.changed[:0]
}

func (o *order) use(e *Entry) { o.keys.Get(e.key) }

func (o *order) drop(e *Entry) {
	if o.busy {
		return
	}
	o.busy = true
	o.keys.Delete(e.key)
	o.busy = false
}

// removed follows an eviction by the cache.
func (o *order) removed(r cache.Removal[string, *Entry]) {
	if !o.busy && r.Cause == cache.Evicted && r.Value.pos >= 0 {
		// It has left the cache; a Delete would make that forget that it ever was there.
		o.busy = true
		o.d.evict(r.Value)
		o.busy = false
	}
}
