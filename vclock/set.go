package vclock

import (
	"iter"
	"slices"
)

// Set holds the concurrent values of one key and their causal context: a dotted version
// vector set. The zero Set is a key that was never written.
//
//	context {a:2 b:1}         everything this set knows of
//	values   a:2 → "x"        written last by a, not yet replaced
//	         b:1 → "y"        concurrent with it
//
// A dot that is in the context but has no value was replaced. That is all a merge needs:
// a value of one side survives if the other side has it too, or has never heard of it.
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
// it may know events that this set does not, if the writer read elsewhere. d must be new:
// ErrDot or ErrDotUsed leave the set as it was. O(actors + values).
func (s *Set[T]) Put(ctx Vector, d Dot, v T) error {
	return s.put(ctx, Value[T]{Dot: d, V: v})
}

// Delete records a delete, as Put does a write: what ctx has seen goes, what it has not
// stays. The delete itself remains as a valueless sibling, for a replica that missed it
// must be able to tell "deleted" from "not heard of yet".
func (s *Set[T]) Delete(ctx Vector, d Dot) error {
	return s.put(ctx, Value[T]{Dot: d, Deleted: true})
}

func (s *Set[T]) put(ctx Vector, v Value[T]) error {
	if !v.Dot.valid() {
		return ErrDot
	}
	if s.ctx.Contains(v.Dot) || ctx.Contains(v.Dot) {
		return ErrDotUsed
	}
	// New memory: sets that were assigned or yielded before share the old.
	vals := make([]Value[T], 0, len(s.vals)+1)
	for _, old := range s.vals {
		if !ctx.Contains(old.Dot) {
			vals = append(vals, old)
		}
	}
	i, _ := slices.BinarySearchFunc(vals, v.Dot, func(w Value[T], d Dot) int { return w.Dot.Compare(d) })
	s.vals = slices.Insert(vals, i, v)
	all := s.ctx.Clone()
	all.Merge(ctx)
	all.Add(v.Dot)
	s.ctx = all
	return nil
}

// Merge makes s the join of both sets: commutative, associative and idempotent. o is not
// changed. O(actors + values).
func (s *Set[T]) Merge(o Set[T]) {
	vals := make([]Value[T], 0, len(s.vals)+len(o.vals))
	a, b := s.vals, o.vals
	for len(a) > 0 || len(b) > 0 {
		switch c := compareHeads(a, b); {
		case c == 0:
			vals = append(vals, a[0])
			a, b = a[1:], b[1:]
		case c < 0:
			if !o.ctx.Contains(a[0].Dot) {
				vals = append(vals, a[0])
			}
			a = a[1:]
		default:
			if !s.ctx.Contains(b[0].Dot) {
				vals = append(vals, b[0])
			}
			b = b[1:]
		}
	}
	all := s.ctx.Clone()
	all.Merge(o.ctx)
	s.ctx, s.vals = all, slices.Clip(vals)
}

func compareHeads[T any](a, b []Value[T]) int {
	switch {
	case len(a) == 0:
		return 1
	case len(b) == 0:
		return -1
	}
	return a[0].Dot.Compare(b[0].Dot)
}

// Compare tells how what s knows relates to what o knows.
func (s *Set[T]) Compare(o Set[T]) Order { return s.ctx.Compare(o.ctx) }

// Context is everything the set knows of. Hand it to the Put or Delete that replaces what
// was read. The caller must not change it; Clone first.
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

// All yields every sibling, deletes too.
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
