package keyspace

import (
	"errors"
	"math/rand/v2"
)

// Kind is the type of a value.
type Kind uint8

// The kinds of values.
const (
	String Kind = iota
	List
	Set
	Hash
	ZSet
	kinds
)

// String is the type's name as the protocol has it.
func (k Kind) String() string {
	if k < kinds {
		return [...]string{"string", "list", "set", "hash", "zset"}[k]
	}
	return "unknown"
}

// Entry is a key with its value. Who changes a value calls DB.Changed.
type Entry struct {
	key    string
	kind   Kind
	freq   uint8  // logarithmic count of uses, for allkeys-lfu
	seen   uint32 // DB.clock at the last use
	pos    int32  // in DB.all; -1: removed
	vol    int32  // in DB.volatile, -1: not there
	slot   uint16
	size   int64
	expire int64 // Unix milliseconds; 0: never

	Str  []byte // of a String
	list *Deque
	dict *Dict
	zset *Sorted

	next, prev *Entry // of the same slot
}

// Key is the entry's key.
func (e *Entry) Key() string { return e.key }

// Kind is the type of the entry's value.
func (e *Entry) Kind() Kind { return e.kind }

// Expire is when the entry ends, in Unix milliseconds; 0 means never.
func (e *Entry) Expire() int64 { return e.expire }

// Size is what the entry costs by the account.
func (e *Entry) Size() int64 { return e.size }

// List is the value of a List.
func (e *Entry) List() *Deque { return e.list }

// Dict is the value of a Set, whose values are nil, or of a Hash.
func (e *Entry) Dict() *Dict { return e.dict }

// Sorted is the value of a ZSet.
func (e *Entry) Sorted() *Sorted { return e.zset }

// Freq is the logarithmic count of the entry's uses.
func (e *Entry) Freq() int { return int(e.freq) }

// overhead is what an entry costs beside its bytes: the struct, the key's header, its place
// in a map and two lists.
const overhead = 160

// Slots is the number of hash slots.
const Slots = 16384

// DB is a keyspace. The zero value is not ready; see New.
type DB struct {
	o        Options
	byKey    map[string]*Entry
	all      []*Entry
	volatile []*Entry
	slots    []*Entry // the first of each slot; nil: slots are not kept
	inSlot   []int32
	used     int64
	now      int64
	clock    uint32 // counts uses
	rng      *rand.Rand
	order    *order // of package cache, for the policies that it brings

	// Dirty counts changes; what a command did to it tells whether it has to be replicated.
	Dirty uint64
	Stats Stats
}

// Stats count what happened to keys.
type Stats struct {
	Hits, Misses     int64 // of reads
	Expired, Evicted int64
}

// Options configure a keyspace. The zero value is one without a bound.
type Options struct {
	MaxMemory int64  // by the account; 0: no bound
	Policy    Policy // when the bound is reached; the zero value refuses writes
	Samples   int    // keys looked at per eviction (10)
	Seed      uint64 // of all that is drawn
	SlotOf    func(key []byte) uint16
	// Expires tells whether keys whose time has come are removed, as on a primary. A replica
	// hides them and waits to be told.
	Expires bool
	// Gone is told of a key that left by itself, before the command that found it goes on.
	Gone func(key string, evicted bool)
}

var (
	// ErrMemory is returned when a bound is reached and nothing may leave.
	ErrMemory = errors.New("keyspace: out of memory")
	// ErrOptions is wrapped by errors about options that are out of range.
	ErrOptions = errors.New("keyspace: bad options")
)

// New makes an empty keyspace.
func New(o Options) (*DB, error) {
	if o.Samples == 0 {
		o.Samples = 10
	}
	d := &DB{rng: rand.New(rand.NewPCG(o.Seed, 0xcac4e))}
	d.o.SlotOf, d.o.Expires, d.o.Gone, d.o.Seed = o.SlotOf, o.Expires, o.Gone, o.Seed
	if o.SlotOf != nil {
		d.slots, d.inSlot = make([]*Entry, Slots), make([]int32, Slots)
	}
	d.byKey = map[string]*Entry{}
	return d, d.Configure(o.MaxMemory, o.Policy, o.Samples)
}

// Options are those in force.
func (d *DB) Options() Options { return d.o }

// SetExpires says whether keys whose time has come are removed, or only hidden and nothing
// is evicted.
func (d *DB) SetExpires(v bool) {
	if v != d.o.Expires {
		d.o.Expires = v
		d.order = newOrder(d)
	}
}

// SetTime tells the time, in Unix milliseconds.
func (d *DB) SetTime(now int64) { d.now = now }

// Now is the time that was told.
func (d *DB) Now() int64 { return d.now }

// Len is the number of keys, those that have expired and are not yet removed included.
func (d *DB) Len() int { return len(d.all) }

// Volatile is the number of keys with a time to live.
func (d *DB) Volatile() int { return len(d.volatile) }

// Used is the memory taken, by the account.
func (d *DB) Used() int64 { return d.used }

// Peek returns a key's entry, nil if there is none, and counts no use.
func (d *DB) Peek(key []byte) *Entry {
	e := d.byKey[string(key)]
	if e == nil || e.expire == 0 || e.expire > d.now {
		return e
	}
	if d.o.Expires {
		d.expire(e)
	}
	return nil
}

// Find is Peek for writers: it counts a use.
func (d *DB) Find(key []byte) *Entry {
	e := d.Peek(key)
	if e != nil {
		d.use(e)
	}
	return e
}

// Read is Find for readers: it counts a hit or a miss.
func (d *DB) Read(key []byte) *Entry {
	e := d.Find(key)
	if e == nil {
		d.Stats.Misses++
		if d.order != nil {
			d.order.keys.Get(string(key)) // policies learn from what they do not hold, too
		}
	} else {
		d.Stats.Hits++
	}
	return e
}

// Create adds an empty value under a key that must not be there. Changed must follow.
func (d *DB) Create(key []byte, kind Kind) *Entry {
	if old := d.byKey[string(key)]; old != nil {
		d.remove(old) // on a replica: expired, and hidden from whoever looked for it
	}
	e := &Entry{key: string(key), kind: kind, pos: int32(len(d.all)), vol: -1, freq: newFreq}
	switch kind {
	case List:
		e.list = &Deque{}
	case Set, Hash:
		e.dict = &Dict{}
	case ZSet:
		e.zset = newSorted()
	}
	d.byKey[e.key] = e
	d.all = append(d.all, e)
	if d.slots != nil {
		e.slot = d.o.SlotOf(key)
		if e.next = d.slots[e.slot]; e.next != nil {
			e.next.prev = e
		}
		d.slots[e.slot] = e
		d.inSlot[e.slot]++
	}
	d.clock++
	e.seen = d.clock
	return e
}

// Changed accounts for a change of an entry's value. A collection that is empty is removed.
func (d *DB) Changed(e *Entry) {
	d.Dirty++
	var size int64
	switch e.kind {
	case String:
		size = int64(len(e.Str))
	case List:
		if e.list.Len() == 0 {
			d.remove(e)
			return
		}
		size = e.list.size
	case Set, Hash:
		if e.dict.Len() == 0 {
			d.remove(e)
			return
		}
		size = e.dict.size
	case ZSet:
		if e.zset.Len() == 0 {
			d.remove(e)
			return
		}
		size = e.zset.Size()
	}
	size += overhead + int64(len(e.key))
	d.used += size - e.size
	e.size = size
	if d.order != nil {
		d.order.changed = append(d.order.changed, e)
	}
}

// SetString stores a copy of value under a key, whatever was there, and keeps its time to
// live if asked to.
func (d *DB) SetString(key, value []byte, keepTTL bool) *Entry {
	e := d.byKey[string(key)]
	if e != nil && e.expire != 0 && e.expire <= d.now {
		if d.Peek(key); d.byKey[string(key)] != nil {
			d.remove(e)
		}
		e = nil
	}
	if e == nil {
		e = d.Create(key, String)
	} else {
		d.use(e)
		e.kind, e.list, e.dict, e.zset = String, nil, nil, nil
		if !keepTTL && e.vol >= 0 {
			d.setExpire(e, 0)
		}
	}
	if c := cap(e.Str); c < len(value) || c > 2*len(value)+32 {
		e.Str = make([]byte, len(value))
	}
	e.Str = e.Str[:copy(e.Str[:cap(e.Str)], value)]
	d.Changed(e)
	return e
}

// SetExpire makes an entry end at a time in Unix milliseconds, or never with 0.
func (d *DB) SetExpire(e *Entry, at int64) {
	d.Dirty++
	d.setExpire(e, at)
}

func (d *DB) setExpire(e *Entry, at int64) {
	if e.pos < 0 && at != 0 {
		return // it has left
	}
	switch e.expire = at; {
	case at != 0 && e.vol < 0:
		e.vol = int32(len(d.volatile))
		d.volatile = append(d.volatile, e)
	case at == 0 && e.vol >= 0:
		last := d.volatile[len(d.volatile)-1]
		d.volatile[e.vol], last.vol = last, e.vol
		d.volatile[len(d.volatile)-1] = nil
		d.volatile = d.volatile[:len(d.volatile)-1]
		e.vol = -1
	}
}

// Delete removes a key and tells whether it was there.
func (d *DB) Delete(key []byte) bool {
	e := d.Peek(key)
	if e == nil {
		if e = d.byKey[string(key)]; e != nil { // a replica is told of a key that it hides
			d.Dirty++
			d.remove(e)
		}
		return false
	}
	d.Dirty++
	d.remove(e)
	return true
}

// Rename gives an entry another key; what was there is gone.
func (d *DB) Rename(e *Entry, to []byte) {
	if e.key == string(to) {
		d.Dirty++
		return
	}
	if old := d.byKey[string(to)]; old != nil {
		d.remove(old)
	}
	n := d.Create(to, e.kind)
	n.Str, n.list, n.dict, n.zset = e.Str, e.list, e.dict, e.zset
	if e.expire != 0 {
		d.setExpire(n, e.expire)
	}
	d.remove(e)
	d.Changed(n)
}

// Clear removes everything.
func (d *DB) Clear() {
	d.Dirty += uint64(len(d.all))
	d.byKey, d.all, d.volatile, d.used = map[string]*Entry{}, nil, nil, 0
	clear(d.slots)
	clear(d.inSlot)
	if d.order != nil {
		d.order = newOrder(d)
	}
}

// remove takes an entry out of everything.
func (d *DB) remove(e *Entry) {
	delete(d.byKey, e.key)
	last := d.all[len(d.all)-1]
	d.all[e.pos], last.pos = last, e.pos
	d.all[len(d.all)-1] = nil
	d.all = d.all[:len(d.all)-1]
	e.pos = -1
	if e.vol >= 0 {
		at := e.expire
		d.setExpire(e, 0)
		e.expire = at
	}
	if d.slots != nil {
		if e.prev != nil {
			e.prev.next = e.next
		} else {
			d.slots[e.slot] = e.next
		}
		if e.next != nil {
			e.next.prev = e.prev
		}
		e.next, e.prev = nil, nil
		d.inSlot[e.slot]--
	}
	d.used -= e.size
	e.size = 0
	if d.order != nil {
		d.order.drop(e)
	}
}

// expire removes an entry whose time has come.
func (d *DB) expire(e *Entry) {
	d.Stats.Expired++
	d.remove(e)
	if d.o.Gone != nil {
		d.o.Gone(e.key, false)
	}
}

// Sweep removes keys whose time has come, in steps that stop when few of those it draws
// have, so that a bounded share of the keys with a time to live are dead.
func (d *DB) Sweep() {
	const draw, rounds = 20, 50
	if !d.o.Expires {
		return
	}
	for range rounds {
		dead := 0
		for range min(draw, len(d.volatile)) {
			if len(d.volatile) == 0 {
				return
			}
			if e := d.volatile[d.rng.IntN(len(d.volatile))]; e.expire <= d.now {
				d.expire(e)
				dead++
			}
		}
		if dead <= draw/4 {
			return
		}
	}
}

// Random is a key drawn at random, nil if there are none.
func (d *DB) Random() *Entry {
	for len(d.all) > 0 {
		e := d.all[d.rng.IntN(len(d.all))]
		if e.expire == 0 || e.expire > d.now {
			return e
		}
		if !d.o.Expires {
			return nil
		}
		d.expire(e)
	}
	return nil
}

// Rand draws a number below n.
func (d *DB) Rand(n int) int { return d.rng.IntN(n) }

// Scan calls visit for up to count keys after a cursor, 0 being the begin, and returns the
// next cursor, 0 at the end. What is there from the begin of a scan to its end is visited,
// and perhaps more than once; visit must not change the keyspace.
func (d *DB) Scan(cursor uint64, count int, visit func(*Entry)) uint64 {
	i := uint64(len(d.all))
	if cursor != 0 {
		i = min(cursor, i)
	}
	for ; i > 0 && count > 0; count-- {
		i--
		if e := d.all[i]; e.expire == 0 || e.expire > d.now {
			visit(e)
		}
	}
	return i
}

// All visits every key that has not expired; visit must not change the keyspace.
func (d *DB) All(visit func(*Entry) bool) {
	for _, e := range d.all {
		if e.expire != 0 && e.expire <= d.now {
			continue
		}
		if !visit(e) {
			return
		}
	}
}

// InSlot visits the keys of a slot; visit must not change the keyspace.
func (d *DB) InSlot(slot uint16, visit func(*Entry) bool) {
	if d.slots == nil || int(slot) >= len(d.slots) {
		return
	}
	for e := d.slots[slot]; e != nil; e = e.next {
		if !visit(e) {
			return
		}
	}
}

// CountSlot is the number of keys in a slot.
func (d *DB) CountSlot(slot uint16) int {
	if d.slots == nil || int(slot) >= len(d.slots) {
		return 0
	}
	return int(d.inSlot[slot])
}

// DropSlot removes all keys of a slot, and calls Gone for none.
func (d *DB) DropSlot(slot uint16) {
	for d.slots != nil && d.slots[slot] != nil {
		d.Dirty++
		d.remove(d.slots[slot])
	}
}
