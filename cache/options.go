package cache

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"
)

var (
	// ErrOptions is wrapped by what New, NewBytes and NewGroup return for options that
	// contradict each other or are out of range.
	ErrOptions = errors.New("cache: bad options")
	// ErrNotFound is for loaders to return when the source has no value. It is kept for
	// Options.NotFoundTTL, so that the source is not asked again at once.
	ErrNotFound = errors.New("cache: not found")
	// ErrOverloaded is returned by Fetch when Options.MaxLoads loads are running.
	ErrOverloaded = errors.New("cache: too many loads")
	// ErrNoLoader is returned by Fetch and FetchMany when the cache has nothing to load with.
	ErrNoLoader = errors.New("cache: no loader")
	// ErrClosed is returned by loads that begin after Close.
	ErrClosed = errors.New("cache: closed")
	// ErrGoexit is returned to those who waited for a load whose loader left its
	// goroutine by runtime.Goexit.
	ErrGoexit = errors.New("cache: loader called Goexit")
)

// PanicError is what those who wait for a load get when the loader panics. The panic goes
// no further.
type PanicError struct {
	Value any    // what was passed to panic
	Stack []byte // of the loader
}

func (e *PanicError) Error() string { return fmt.Sprintf("cache: loader panicked: %v", e.Value) }

// Policy says which entry leaves a full cache.
type Policy uint8

const (
	Adaptive  Policy = iota // window and frequency, the window's size found while running
	LRU                     // least recently used; a hit takes a lock
	LFU                     // least frequently used, with ageing; a hit takes a lock
	TinyLFU                 // window of 1 % and frequency
	S3FIFO                  // small queue, main clock, ghosts
	SIEVE                   // one queue and a hand
	FIFO                    // oldest
	Random                  // any
	Unbounded               // nothing leaves but by time or Delete; no bound may be set
	policies
)

func (p Policy) String() string {
	names := [...]string{"Adaptive", "LRU", "LFU", "TinyLFU", "S3FIFO", "SIEVE", "FIFO", "Random", "Unbounded"}
	if int(p) < len(names) {
		return names[p]
	}
	return fmt.Sprintf("Policy(%d)", uint8(p))
}

// Options describe a cache. The zero value is an adaptive cache of 10,000 entries that
// never expire.
type Options[K comparable, V any] struct {
	// MaxEntries bounds the number of entries, strictly. 0 means 10,000 unless MaxWeight
	// is set. At most 2³⁰.
	MaxEntries int
	// MaxWeight bounds the sum of Weigh over all entries, strictly. 0 means none. Only one
	// of MaxEntries and MaxWeight may be set.
	MaxWeight int64
	// Weigh gives an entry's weight when it is stored; needed with MaxWeight, not allowed
	// without. 0 pins the entry: it is never evicted and not counted. An entry that weighs
	// less than 0 or more than MaxWeight is not stored. It runs outside locks.
	Weigh func(K, V) int64
	// Policy chooses what leaves. Default Adaptive.
	Policy Policy

	// TTL is how long an entry is served after it was stored. 0 means for ever. Times up
	// to 12 hours are kept to a millisecond, longer ones to 0.27 seconds, always rounded
	// down (but up to a millisecond at least); those above a year are cut to a year, and
	// those above a century never end.
	TTL time.Duration
	// TTLFunc, if set, gives each entry's time to live instead of TTL; 0 means for ever,
	// less than 0 that the entry is not stored. It runs outside locks.
	TTLFunc func(K, V) time.Duration
	// Idle, if not 0, drops entries that were not used for so long.
	Idle time.Duration
	// Jitter, from 0 to 1, takes a random share of at most so much off every time to live,
	// so that what was stored together does not expire together.
	Jitter float64

	// Load is what Fetch calls for a key that is not there. It runs in its own goroutine;
	// its context ends when nobody waits any more, after LoadTimeout, or with Close.
	Load func(context.Context, K) (V, error)
	// LoadMany is what FetchMany calls for keys that are not there; nil means Load for
	// each. Keys that are missing in the answer are ErrNotFound.
	LoadMany func(context.Context, []K) (map[K]V, error)
	// LoadTimeout bounds every load. 0 means no bound.
	LoadTimeout time.Duration
	// MaxLoads bounds how many loads run at the same time; more are refused with
	// ErrOverloaded. 0 means no bound. One LoadMany is one load.
	MaxLoads int
	// NotFoundTTL is how long Fetch remembers an ErrNotFound. 0 means not at all.
	NotFoundTTL time.Duration
	// RefreshAhead makes Fetch reload an entry in the background when less than so much of
	// its time to live is left. 0 means not.
	RefreshAhead time.Duration
	// StaleFor lets Fetch serve an entry for so long after its time to live while it is
	// reloaded in the background. 0 means not.
	StaleFor time.Duration
	// StaleOnError lets Fetch serve an entry for so long after its time to live when its
	// reload fails. 0 means not. ErrNotFound is an answer, not a failure.
	StaleOnError time.Duration
	// EarlyBeta, if above 0, lets each Fetch reload an entry early with a chance that grows
	// towards its end, so that one of many callers reloads before all miss. 1 is usual; see
	// Vattani, Chierichetti, Lowenstein, "Optimal Probabilistic Cache Stampede Prevention".
	EarlyBeta float64

	// OnRemove, if set, is told of every value that left the cache, after the fact and
	// outside locks, by the goroutine whose call caused it. It may call the cache.
	OnRemove func(Removal[K, V])
	// OnLoadError, if set, is told of failed loads that nobody waited for.
	OnLoadError func(K, error)
	// CountHits makes Stats count hits and misses, at the price of one atomic addition a Get.
	CountHits bool
	// Ages makes Stats keep a histogram of how old entries were when they were evicted, at
	// the price of 24 bytes an entry.
	Ages bool
	// Now is the clock. nil means the monotonic clock of the machine, which no step of the
	// wall clock disturbs.
	Now func() time.Time
	// Seed, if not 0, makes evictions reproducible for integer and string keys. 0 means a
	// secret seed, which is what keys from strangers need.
	Seed uint64
}

const (
	defaultEntries = 10_000
	maxEntries     = 1 << 30
	maxWeight      = math.MaxInt64 / 4
)

func (o *Options[K, V]) validate() error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrOptions, fmt.Sprintf(format, args...))
	}
	switch {
	case o.Policy >= policies:
		return bad("unknown policy %d", o.Policy)
	case o.MaxEntries < 0 || o.MaxEntries > maxEntries:
		return bad("MaxEntries %d is not in 0 … 2³⁰", o.MaxEntries)
	case o.MaxWeight < 0 || o.MaxWeight > maxWeight:
		return bad("MaxWeight %d is not in 0 … 2⁶¹", o.MaxWeight)
	case o.MaxEntries > 0 && o.MaxWeight > 0:
		return bad("both MaxEntries and MaxWeight are set")
	case o.MaxWeight > 0 && o.Weigh == nil:
		return bad("MaxWeight without Weigh")
	case o.MaxWeight == 0 && o.Weigh != nil:
		return bad("Weigh without MaxWeight")
	case o.Policy == Unbounded && (o.MaxEntries > 0 || o.MaxWeight > 0):
		return bad("an unbounded cache with a bound")
	case !(o.Jitter >= 0 && o.Jitter <= 1):
		return bad("Jitter %v is not in 0 … 1", o.Jitter)
	case !(o.EarlyBeta >= 0 && o.EarlyBeta <= 1e6):
		return bad("EarlyBeta %v is not in 0 … 1e6", o.EarlyBeta)
	case o.MaxLoads < 0:
		return bad("MaxLoads %d is negative", o.MaxLoads)
	}
	for _, d := range []struct {
		name string
		d    time.Duration
	}{
		{"TTL", o.TTL},
		{"Idle", o.Idle},
		{"LoadTimeout", o.LoadTimeout},
		{"NotFoundTTL", o.NotFoundTTL},
		{"RefreshAhead", o.RefreshAhead},
		{"StaleFor", o.StaleFor},
		{"StaleOnError", o.StaleOnError},
	} {
		if d.d < 0 {
			return bad("%s %v is negative", d.name, d.d)
		}
	}
	if o.StaleFor > maxStale || o.StaleOnError > maxStale {
		return bad("StaleFor and StaleOnError are at most %v", maxStale)
	}
	return nil
}
