package vclock

import (
	"fmt"
	"iter"
	"slices"
)

// A dotted version vector set. A plain version vector on each value cannot tell two
// writes apart that went through one replica, so either one is lost or all pile up. Here
// every value carries the dot of its own write, and one context stands for all of them:
//
//	context {a:3 b:1}       everything this set knows of
//	values   a:3 → "x"      the third write of a, not replaced yet
//	         b:1 → "y"      concurrent with it
//	         (a:1, a:2      in the context without a value: known and replaced)
//
// That is all a merge needs. A value of one side survives if the other side has it too,
// or has never heard of it; if the other side knows its dot but has no such value, it saw
// the value replaced:
//
//	     left                    right                    join
//	{a:2}     a:2 "x"      {a:1 b:1}  b:1 "y"      {a:2 b:1}  a:2 "x"  b:1 "y"
//	{a:2}     a:2 "x"      {a:2 b:1}  b:1 "y"      {a:2 b:1}  b:1 "y"
//
// # What the rest of a store must do
//
// A set loses nothing on its own; these rules keep its user from losing something.
//
//   - Only the replica that owns a dot's actor calls Put or Delete with it, on a set that
//     holds all earlier dots of that actor for the key. Other replicas learn of the write
//     by Merge of the whole resulting set. A context has no gaps: given a:7 alone, it
//     says that a:6 is known too, and a value at a:6 that comes later is taken for
//     replaced.
//   - An actor's counters come from a sequence that outlives the key. Numbers may be
//     skipped, but one that starts again when a deleted key is collected issues old dots.
//   - A context covers every event it names, whether or not this set has seen it: a writer
//     may have read elsewhere. One that comes back from an untrusted client can claim
//     events that are still to happen, which are then dropped when they do. Authenticate
//     it, or refuse what no replica has issued.
//   - Whoever is handed Context must be handed the values, too. A client that gets the
//     context in reply to a write, but not the siblings, replaces unseen values with its
//     next write.
//
// Source: Preguiça, Baquero, Almeida, Fonte, Gonçalves, "Dotted Version Vectors: Logical
// Clocks for Optimistic Replication" (2010), and the authors' later sets of siblings under
// one context. Unlike theirs, a delete leaves a dot of its own behind.

// Set holds the concurrent values of one key and their causal context. The zero Set is a
// key that was never written. A Set is a value: assigning it copies it, for what it points
// to is never changed, only replaced. Several goroutines may read one variable, or write
// their own copies; T's own memory (the bytes of a []byte) is shared by the copies and
// must not be changed.
//
// Invariants: every value's dot is in the context; values are in the order of their dots;
// no dot appears twice.
type Set[T any] struct {
	ctx  Vector
	vals []Value[T]
}

// Value is one of the siblings.
type Value[T any] struct {
	Dot     Dot
	V       T    // zero for a delete
	Deleted bool // a delete: a sibling without content, until it is collected
}

// Put records a write: values whose dots are in ctx are replaced by v, the others stay as
// its siblings. ctx is what the writer had seen, usually the Context of an earlier read;
// the empty Vector replaces nothing. It may know events that this set does not, if the
// writer read elsewhere: they count as replaced, here and wherever this set is merged.
//
// d must be new. ErrDot is returned for actor or counter zero, ErrDotUsed if the set or
// ctx knows d, and the set is as it was: a dot used twice would make the one write pass
// for the other. After ErrDotUsed, a replica that is sure of its sequence was given a
// forged context; one that is not lost its state. Both go on under a new actor.
// O(actors + values), times the logarithm of ctx's actors.
func (s *Set[T]) Put(ctx Vector, d Dot, v T) error {
	return s.put(ctx, Value[T]{Dot: d, V: v})
}

// Delete records a delete, as Put does a write: what ctx has seen goes, what it has not
// stays. The delete itself remains as a valueless sibling, for a replica that missed it
// must be able to tell "deleted" from "not heard of yet". It goes by a later write that
// saw it, or when the whole set is dropped, which is safe once every replica of the key
// holds the same Tombstone and no older copy is left (a hint, a transfer, a node away).
func (s *Set[T]) Delete(ctx Vector, d Dot) error {
	return s.put(ctx, Value[T]{Dot: d, Deleted: true})
}

func (s *Set[T]) put(ctx Vector, v Value[T]) error {
	if !v.Dot.valid() {
		return fmt.Errorf("%w: %v", ErrDot, v.Dot)
	}
	if s.ctx.Contains(v.Dot) || ctx.Contains(v.Dot) {
		return fmt.Errorf("%w: %v", ErrDotUsed, v.Dot)
	}
	// New memory: copies of the set share the old.
	vals := make([]Value[T], 0, len(s.vals)+1)
	for _, old := range s.vals {
		if !ctx.Contains(old.Dot) {
			vals = append(vals, old)
		}
	}
	i, _ := slices.BinarySearchFunc(vals, v.Dot, func(w Value[T], d Dot) int { return w.Dot.Compare(d) })
	s.vals = slices.Insert(vals, i, v)
	s.ctx.Merge(ctx)
	s.ctx.Add(v.Dot)
	return nil
}

// Merge makes s the join of both sets: commutative, associative and idempotent, so that
// replicas that exchange their sets in any order, any number of times, end with equal
// ones. O(actors + values), times the logarithm of the actors; no allocation if one side
// has nothing for the other.
//
// A dot stands for one write. If the two sets disagree about what was written, an actor
// was used twice; then a value is kept rather than a delete, and of two values s's own.
func (s *Set[T]) Merge(o Set[T]) {
	var mine, theirs, both int
	for _, from := range survivors(*s, o) {
		switch from {
		case fromBoth:
			both++
		case fromLeft:
			mine++
		case fromRight:
			theirs++
		}
	}
	switch {
	case theirs == 0 && mine+both == len(s.vals): // o has nothing new: keep s.vals
	case mine == 0 && theirs+both == len(o.vals): // and s has nothing beside o's
		s.vals = o.vals
	default:
		vals := make([]Value[T], 0, mine+theirs+both)
		for v := range survivors(*s, o) {
			vals = append(vals, *v)
		}
		s.vals = vals
	}
	s.ctx.Merge(o.ctx)
}

// side tells where a survivor's content is taken from.
type side uint8

const (
	fromBoth side = iota
	fromLeft
	fromRight
)

// survivors yields the values of the join of s and o, in the order of their dots.
func survivors[T any](s, o Set[T]) iter.Seq2[*Value[T], side] {
	return func(yield func(*Value[T], side) bool) {
		a, b := s.vals, o.vals
		for len(a) > 0 || len(b) > 0 {
			var v *Value[T]
			var from side
			switch c := compareHeads(a, b); {
			case c < 0:
				v, from, a = &a[0], fromLeft, a[1:]
				if o.ctx.Contains(v.Dot) {
					continue
				}
			case c > 0:
				v, from, b = &b[0], fromRight, b[1:]
				if s.ctx.Contains(v.Dot) {
					continue
				}
			case a[0].Deleted == b[0].Deleted:
				v, from, a, b = &a[0], fromBoth, a[1:], b[1:]
			case a[0].Deleted:
				v, from, a, b = &b[0], fromRight, a[1:], b[1:]
			default:
				v, from, a, b = &a[0], fromLeft, a[1:], b[1:]
			}
			if !yield(v, from) {
				return
			}
		}
	}
}

// compareHeads orders the first dots of a and b; an empty one comes last.
func compareHeads[T any](a, b []Value[T]) int {
	switch {
	case len(a) == 0:
		return 1
	case len(b) == 0:
		return -1
	}
	return a[0].Dot.Compare(b[0].Dot)
}

// Compare tells how what s knows relates to what o knows: a Merge with o is news to s
// exactly if the result is Before or Concurrent.
func (s *Set[T]) Compare(o Set[T]) Order { return s.ctx.Compare(o.ctx) }

// Context is everything the set knows of. Hand it to the Put or Delete that replaces what
// was read, together with the values.
func (s *Set[T]) Context() Vector { return s.ctx }

// Values yields the siblings that are not deletes, in the order of their dots, which is
// the same on all replicas and means nothing.
func (s *Set[T]) Values() iter.Seq2[Dot, T] {
	return func(yield func(Dot, T) bool) {
		for _, v := range s.vals {
			if !v.Deleted && !yield(v.Dot, v.V) {
				return
			}
		}
	}
}

// All yields every sibling, deletes too, in the order of their dots.
func (s *Set[T]) All() iter.Seq[Value[T]] { return slices.Values(s.vals) }

// Len is the number of siblings, deletes included.
func (s *Set[T]) Len() int { return len(s.vals) }

// IsZero reports whether the key was never written.
func (s *Set[T]) IsZero() bool { return len(s.ctx.dots) == 0 }

// Tombstone reports whether the key was written and only deletes are left of it.
func (s *Set[T]) Tombstone() bool {
	for _, v := range s.vals {
		if !v.Deleted {
			return false
		}
	}
	return len(s.vals) > 0
}
