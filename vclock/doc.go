// Package vclock tracks what happened before what, without trusting clocks: version
// vectors, sets of concurrent values, and a hybrid logical clock.
//
// A replica that takes a write gives it a [Dot], the next number of its own [Actor]. A
// [Vector] is a set of dots without gaps: everything that somebody has seen. A [Set] holds
// the values of one key that no other value replaces, with the context that tells which
// those are:
//
//	var s vclock.Set[string]
//	err := s.Put(vclock.Vector{}, vclock.Dot{Actor: 1, Counter: 1}, "milk") // replaces nothing
//	seen := s.Context()                                                     // a client reads …
//	err = s.Put(seen, vclock.Dot{Actor: 2, Counter: 1}, "milk, eggs")       // … and replaces what it saw
//	s.Merge(other)                                                          // what another replica holds
//
// # When to use it
//
// Where several replicas take writes for one key without asking one another, and none of
// the writes may be lost. Where a single node or a consensus log orders all writes, a
// sequence number is enough. Where losing one of two concurrent writes is acceptable, the
// larger [Timestamp] of a [Clock] will do; it also orders what causality leaves open.
//
// # What it guarantees
//
// Two writes that did not see each other both stay, as siblings, until a write that saw
// both replaces them. Nothing is dropped by age or by number: a set holds as many values
// as there are truly concurrent writes, no more. Replicas that exchanged their sets, in
// any order and any number of times, hold equal sets, and equal sets have equal bytes.
// A deleted value does not come back from a replica that missed the delete.
//
// # What it asks for
//
// An Actor names one tenure of one replica: it must die with the state that knows its
// dots. A replica that lost data (a wiped disk, a restored backup, a corrupted table) and
// goes on under its old actor issues dots that others have already seen, and its new
// writes vanish in the next merge. Draw a new actor with [NewActor], and a forgotten write
// merely stays concurrent. There is one entry in a key's context for each tenure that took
// a write for it. Entries are not pruned: by age or size, that makes what was replaced
// look new again. The head of set.go lists what else a store must do.
//
// # Costs and concurrency
//
// A Vector takes 16 bytes an actor, encoded 9 or 10 as a rule. Compare, Merge and
// CompareEncoded are linear in the number of actors, some nanoseconds each; Counter and
// Contains are logarithmic. Nothing allocates but what makes a new vector or set, and what
// changes nothing does not. A stamp of the Clock costs a reading of the wall clock and one
// compare-and-swap.
//
// Vector and Set are values: assigning copies them, and what they share is never changed.
// So a copy may be read by any goroutine; one variable must not be changed by one and used
// by another at once. Clock is safe for concurrent use. The package starts no goroutine
// and reads no clock but the one passed in (time.Now, if none is).
//
// Decoding is strict: bytes that would not be written are refused with [ErrCorrupt], and
// memory is bounded by their number.
//
// Sources: Parker et al., "Detection of Mutual Inconsistency in Distributed Systems"
// (1983); Preguiça, Baquero, Almeida, Fonte, Gonçalves, "Dotted Version Vectors" (2010)
// and the compact sets of the same authors; Kulkarni, Demirbas et al., "Logical Physical
// Clocks" (2014).
package vclock
