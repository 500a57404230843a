// Package cache keeps in memory what is worth keeping: a bounded map for many goroutines,
// with loading, times to live and a policy that finds out by itself what to evict.
//
//	users, err := cache.New(cache.Options[string, *User]{
//		MaxEntries: 100_000,
//		TTL:        10 * time.Minute,
//		Load:       db.User, // func(context.Context, string) (*User, error)
//	})
//	u, err := users.Fetch(ctx, "ada") // from memory, or one load however many ask
//
// # Which one
//
//	Cache   any keys and values of one process; the fastest hit
//	Bytes   millions of byte strings that the garbage collector must not see; snapshots
//	Group   the caches of several processes as one: every key loaded once, by its owner
//
// Use none of them for what may not be lost: a cache may drop anything at any time. Use a
// plain map under a mutex for what never leaves.
//
// # What leaves
//
// A bound is set in entries or in weight and holds at every moment. Adaptive, the default
// policy, serves scans, loops, and loads by recency or by frequency; in doubt, use it.
// Package cache/sim measures it on your own keys, against the others and against the best
// that is possible. LRU and LFU are exact, and therefore lock at every hit.
//
// # Guarantees
//
//   - Set is visible to every Get when it returns; nothing is dropped or delayed.
//   - Get, Set, Add, Update, Delete and Fetch of one key are linearizable.
//   - An entry is not served past its time to live. It may end up to a millisecond early
//     (0.27 seconds for lives above twelve hours).
//   - Of all who Fetch a key at the same time, one load is made; each waits no longer than
//     its own context; panics and Goexit of a loader are errors for those who wait. A Set
//     or Delete during a load wins.
//   - Callbacks run outside locks and may use the cache.
//   - No goroutine is started but for loads, so a cache needs no Close to be collected.
//
// # Costs
//
// A hit is a hash and two reads of memory, of a bucket and of the entry; it takes no lock,
// allocates nothing, and stores nothing after an entry's first few hits. A Set in place
// takes one of many locks; a Set of a new key takes the cache's lock for one allocation and
// one eviction, in constant time: until a cache has reached its bound its table doubles now
// and then, but it is copied a few entries with every insert, and nobody waits for more than
// its memory.
//
// An entry takes about 30 bytes beside key and value: a million of [string, uint64] with
// times to live 70 bytes each, 40 of them the key's header and bytes and the value. Values of at most eight bytes without pointers,
// and pointers, lie in the entry; others are a pointer away. Keys of integers and strings
// hash fastest. Floats that are not numbers are never found again, and an interface that
// holds an uncomparable type panics, both as in a Go map.
//
// # Time
//
// A Get of an entry that can expire reads the clock. Expired entries make room as others are
// inserted, a few places with every insert; until then they count in Len. Stale entries are
// kept for StaleFor and StaleOnError, and only Fetch serves them.
//
// Sources: Einziger, Friedman, Manes, "TinyLFU: A Highly Efficient Cache Admission Policy"
// (2017); Waldspurger et al., "Cache Modeling and Optimization using Miniature Simulations"
// (2017); Yang et al., "FIFO Queues are All You Need for Cache Eviction" (2023); Zhang et
// al., "SIEVE is Simpler than LRU" (2024); Vattani et al., "Optimal Probabilistic Cache
// Stampede Prevention" (2015).
package cache
