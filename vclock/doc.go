// Package vclock tracks what happened before what, without trusting clocks: version
// vectors, sets of concurrent values, and a hybrid logical clock.
//
// A replica that takes a write gives it a [Dot], the next number of its own [Actor]. A
// [Vector] is a set of dots without gaps: everything that somebody has seen. A [Set] holds
// the values of one key that no other value replaces, with the context that tells which
// those are:
//
//	var s vclock.Set[string]
//	s.Put(vclock.Vector{}, vclock.Dot{Actor: 1, Counter: 1}, "milk")  // replaces nothing
//	seen := s.Context()                                               // a client reads …
//	s.Put(seen, vclock.Dot{Actor: 2, Counter: 1}, "milk, eggs")       // … and replaces what it saw
//
// Two writes that did not see each other both stay, as siblings, until a write that saw
// both replaces them. Nothing is dropped by age or by number: a set holds as many values
// as there are truly concurrent writes, no more.
//
// # The one rule
//
// An Actor names one tenure of one replica: it must die with the state that knows its
// dots. A replica that lost data (a wiped disk, a restored backup, a corrupted table) and
// goes on under its old actor issues dots that others have already seen, and its new
// writes vanish in the next merge. Draw a new actor, and a forgotten write merely stays
// concurrent.
//
// # Use something else
//
// Where a single node or a consensus log orders all writes, a sequence number is enough.
// Where losing one of two concurrent writes is acceptable, the larger [Timestamp] will do.
//
// # Costs and concurrency
//
// Vectors are sorted slices: Compare, Merge and Contains are linear in the number of
// actors, a few nanoseconds each, and do not allocate but to grow. Vector and Set are
// values for one goroutine; Clock is safe for many.
//
// Sources: Parker et al., "Detection of Mutual Inconsistency in Distributed Systems"
// (1983); Preguiça, Baquero, Almeida, Fonte, Gonçalves, "Dotted Version Vectors" (2010)
// and the compact sets of the same authors; Kulkarni, Demirbas et al., "Logical Physical
// Clocks" (2014).
package vclock
