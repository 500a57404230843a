// Package keyspace holds the keys of one node of the cache cluster: strings, lists, sets,
// hashes and sorted sets, with times to live, an account of the memory that they take, and
// eviction by policy when that reaches a bound.
//
// A [DB] is a map with a dense list beside it:
//
//	byKey  "a" ─▶ entry ◀─ all      dense: a random key and the next of a scan in one step
//	                    ◀─ volatile those with a time to live, dense too
//	                    ◀─ slot     linked per hash slot, for clusters
//
// A scan walks the dense list from its end to its begin. Removal fills the gap with the
// last entry, which such a scan has seen already, so that whatever is there all the time is
// returned, and a cursor is a number that costs the server nothing.
//
// Memory is counted, not measured: an entry costs its bytes and a fixed sum for headers.
// What is counted is exact to that rule at every moment (TestModel), so a bound holds.
//
// Eviction by recency and frequency looks at a few keys drawn at random and takes the worst,
// as Redis does. The policies allkeys-adaptive, -s3fifo and -sieve are those of ashlar's
// package cache, which then keeps the order of all keys.
//
// Nothing here is safe for concurrent use, and nothing reads a clock: the time is set by
// whoever runs commands.
package keyspace
