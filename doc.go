// Package ashlar is the map of a library of distributed-systems primitives.
//
// Each package below it is of use on its own:
//
//   - ring: consistent hashing: ring, partition table, bounded load, jump, rendezvous, maglev
//   - lsm: embedded, ordered, crash-safe key-value store
//   - bloom: approximate set filters, growing and static
//   - merkle: replica anti-entropy, and RFC 6962 proofs
//   - vclock: version vectors, sibling sets, hybrid logical clock
//   - ratelimit: rates, keyed and shared rates, work in flight, HTTP middleware
//   - trie: exact top-k completion, mapped snapshots and a live index
//   - snowflake: time-ordered ids, leases of worker ids, tickets
//
// The systems under examples/ (kv: a replicated key-value store) are composed of these packages and of no other
// engine; docs/ARCHITECTURE.md shows how they fit together.
package ashlar
