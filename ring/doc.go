// Package ring decides which nodes hold a key, so that all who know the same members
// agree, and little moves when the members change.
//
//	r, err := ring.New(ring.Options{}, ring.Node{ID: "a"}, ring.Node{ID: "b"}, ring.Node{ID: "c"})
//	owners := r.Owners("user:42") // the preference list: three distinct nodes
//
// # Which one
//
//	Ring        stateless: placement follows from the members alone. 256 points a node keep the
//	            fullest of ten nodes within some 10 % of the mean. Lookup: no lock, no allocation.
//	Table       fixed partitions with an epoch, changed by plans: within one partition of perfect
//	            balance, and moves the least that it can. For stores that own data.
//	Bounded     a Ring whose nodes never take more than their share of what is held right now.
//	Jump        numbered buckets that come and go at the end only; no memory, perfect balance.
//	Rendezvous  few nodes, no state, weights; O(nodes) a lookup.
//	Maglev      one array access a lookup; small disturbance on change. For load balancers.
//
// # Guarantees
//
// Placement depends on the options and the nodes' IDs, weights and zones; not on their
// order, the process, the machine or the release: golden vectors hold it. A node with any
// weight has at least one point. With at least as many zones as replicas, every preference
// list is spread over as many zones as it has nodes; with fewer, no zone has two more than
// another that could take one.
//
// # Concurrency and errors
//
// Ring, Bounded and all immutable types are safe for concurrent use; lookups never wait
// for updates. Empty rings, duplicate IDs and more replicas than nodes are errors or short
// lists, never panics.
//
// Sources: Karger et al., "Consistent Hashing and Random Trees" (1997); DeCandia et al.,
// "Dynamo" (2007); Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing with Bounded
// Loads" (2016); Lamping, Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm"
// (2014); Thaler, Ravishankar (1998) for rendezvous; Eisenbud et al., "Maglev" (2016).
package ring
