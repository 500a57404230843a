// Package ashlar is the map of a library of distributed-systems primitives.
//
// Each package below it is of use on its own:
//
//   - ring: consistent hashing: ring, partition table, bounded load, jump, rendezvous, maglev
//   - lsm: embedded, ordered, crash-safe key-value store
//   - bloom: approximate set filters, growing and static
//   - merkle: replica anti-entropy, and RFC 6962 proofs
//   - vclock: version vectors, sibling sets, hybrid logical clock
//   - cache: bounded concurrent map with an adaptive policy, bytes, groups of peers
//   - ratelimit: rates, keyed and shared rates, work in flight, HTTP middleware
//   - trie: exact top-k completion, mapped snapshots and a live index
//   - snowflake: time-ordered ids, leases of worker ids, tickets
//   - crawler/{robots,urlx,extract,sitemap,neardup}: what a polite crawler reads
//   - crawler/frontier: what it visits next
//
// The systems under examples/ are composed of these packages and of no other engine: kv, a
// replicated key-value store; idservice, unique ids from many nodes; autocomplete, suggestions
// while people type; gateway, limits and routes in front of services. docs/ARCHITECTURE.md
// shows how they fit together.
package ashlar
