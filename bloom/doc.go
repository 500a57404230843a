// Package bloom has approximate set filters: they answer "surely not there" or "perhaps
// there" in a few nanoseconds and about ten bits a key.
//
//	f := bloom.New(1_000_000, 0.01)
//	f.AddString("alice")
//	f.HasString("alice") // true, always
//	f.HasString("bob")   // false, but for one in a hundred strangers
//
// # Which one
//
//	Filter      keys come one by one; the fastest: one cache line a look-up      10.1 bits/key at 1 %
//	Classic     least space of those that grow; bits-and-blooms' format           9.6
//	Concurrent  Filter with a lock-free Add                                       10.1
//	Counting    keys can be removed again                                        47
//	Scalable    the number of keys is not known                                  15 to 30
//	Fuse        all keys are known before the first look-up                       9.0 at 0.4 %
//
// Use none of them where a wrong "perhaps" has no cheap second look behind it, and no
// filter at all where the set fits a map.
//
// # Hash once, ask many
//
// Every filter but Classic works on a 64-bit [Hash]. Compute it once and ask any number
// of filters; Add, AddString, Has and HasString are shorthand. The hash is xxHash64 and
// will never change, so encoded filters stay valid. It is not keyed: who may choose keys
// may choose ones that collide. Hash with a secret of your own where that matters.
//
// # Guarantees
//
// A key that was added is never reported absent. The rate of false positives follows
// [Rate], the exact prediction for the layout, and is at most the target while no more
// than the stated number of keys are in. Encodings are versioned, equal on every
// platform, and end in a checksum: a damaged filter is refused (ErrCorrupt) rather than
// trusted, for a false negative would be silent loss.
//
// # Concurrency
//
// Look-ups may run beside look-ups. A write needs the filter for itself, except in
// Concurrent.
//
// Sources: Putze, Sanders, Singler, "Cache-, Hash- and Space-Efficient Bloom Filters"
// (2007) for the blocked layout; Almeida et al., "Scalable Bloom Filters" (2007); Graf,
// Lemire, "Binary Fuse Filters: Fast and Smaller Than Xor Filters" (2022).
package bloom
