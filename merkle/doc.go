// Package merkle holds the two trees that people mean by the name.
//
// [Sync] tells replicas where they differ. It fingerprints a set of (key, version) items, follows
// every change in a fraction of a microsecond, and a [Session] between two such trees finds the differing
// keys at a cost in proportion to their number: equal sets of any size cost about 50 bytes and
// one round trip. Sums are keyed and 128 bits wide, but it is a tree for replicas that trust each
// other: who knows the seed can make different sets look equal.
//
// [Tree] proves to somebody who trusts nobody that an item is in a list, and that a longer list
// begins with a shorter one: the Merkle tree of RFC 6962 and RFC 9162 (SHA-256, distinct prefixes for
// leaves and nodes, nothing duplicated), as in certificate transparency. It is several
// times slower at changes and knows only how to append.
//
// # Anti-entropy
//
// A store updates the tree in the same critical section as the item. The version is any digest
// of what is stored; hash version vectors rather than values, they are shorter. From time to time
// two replicas take a view each and exchange frames over whatever transport they have:
//
//	t := merkle.NewSync(merkle.SyncOptions{Seed: secret})
//	t.Update(key, 0, version)          // put
//	t.Update(key, version, newVersion) // overwrite
//	t.Update(key, newVersion, 0)       // delete
//
//	s := merkle.NewSession(t.View(), store, merkle.SessionOptions{})
//	for out := s.Start(); out != nil; {
//		in, err := call(peer, out) // there: in, err = theirs.Step(out)
//		if err != nil {
//			return err
//		}
//		if out, err = s.Step(in); err != nil {
//			return err
//		}
//	}
//	for d := range s.Diffs() {
//		… // push d.Key if d.Local is newer; the peer does likewise
//	}
//
// What it guarantees: both sides report every key whose versions differ, exactly once. Sums travel
// folded to 64 bits, so each comparison of two sums that differ overlooks it with a chance of
// 2^-64 (where it was the only difference below a node, even that is noticed). Damaged, repeated or
// hostile frames end in an error, never in a panic or in unbounded memory: a session holds two frames,
// up to five bytes for each leaf that is open, our items of these leaves, and the differences,
// which MaxDiffs bounds. It does not guard against a peer that lies about its own versions.
//
// What it costs, both directions together, with the default geometry and a million keys:
//
//	differing keys      0        1       10      100     1,000    10,000
//	bytes              50      937    6,335   49,724   396,352  2,818,270
//	round trips         1        4        4        4         7        40
//
// Each side reads the items of the differing leaves in a single scan; about 15 items a difference
// in the table above. [Sync.Update] takes about 50 ns: two dozen of arithmetic, a lock, and one addition
// a level, which mostly wait for memory. A full tree of 65,536 leaves takes 1.9 MiB whatever the
// number of keys; see [SyncOptions] for others.
//
// When not to use it: sets that differ in most of their keys are cheaper to send than to compare;
// two hundred keys fit in a frame anyway; and replicas that share a log should compare positions.
//
// Sync may be used by any number of goroutines, a View is immutable, a Session belongs to one
// goroutine at a time. A Tree may be read by many goroutines while nobody appends.
//
// # Sources
//
// R. Merkle, "A digital signature based on a conventional encryption function" (CRYPTO 1987).
// G. DeCandia et al., "Dynamo: Amazon's highly available key-value store" (SOSP 2007), section 4.7, for trees between replicas.
// M. Bellare and D. Micciancio, "A new paradigm for collision-free hashing: incrementality at reduced cost"
// (EUROCRYPT 1997), for adding hashes instead of XORing them. RFC 6962 and RFC 9162 for proofs.
package merkle
