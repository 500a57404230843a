package vclock

import (
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func values[T any](s *Set[T]) (out []T) {
	for _, v := range s.Values() {
		out = append(out, v)
	}
	return out
}

// The worked example of the literature: a value at {A:1} is updated at A, and at B during
// a partition; both updates survive the reconciliation.
func TestWorkedExample(t *testing.T) {
	const A, B = Actor(10), Actor(11)
	var a Set[string]
	require.NoError(t, a.Put(Vector{}, Dot{A, 1}, "v1"))
	b := a
	read := a.Context()
	require.Equal(t, "{a:1}", read.String())
	require.NoError(t, a.Put(read, Dot{A, 2}, "v2"))
	require.NoError(t, b.Put(read, Dot{B, 1}, "w1"))
	require.Equal(t, "{a:2}", a.Context().String())
	require.Equal(t, "{a:1 b:1}", b.Context().String())
	require.Equal(t, Concurrent, a.Compare(b))
	a.Merge(b)
	require.Equal(t, []string{"v2", "w1"}, values(&a))
	require.NoError(t, a.Put(a.Context(), Dot{A, 3}, "both"))
	require.Equal(t, []string{"both"}, values(&a))
	b.Merge(a)
	require.Equal(t, []string{"both"}, values(&b))
}

func TestDotsAreUsedOnce(t *testing.T) {
	var s Set[int]
	require.NoError(t, s.Put(Vector{}, Dot{1, 2}, 1))
	before := s
	require.ErrorIs(t, s.Put(Vector{}, Dot{1, 2}, 2), ErrDotUsed)
	require.ErrorIs(t, s.Put(Vector{}, Dot{1, 1}, 2), ErrDotUsed, "an actor does not go back")
	require.ErrorIs(t, s.Delete(vec(Dot{2, 5}), Dot{2, 5}), ErrDotUsed, "the context knows it already")
	for _, d := range []Dot{{}, {Actor: 1}, {Counter: 3}} {
		require.ErrorIs(t, s.Put(Vector{}, d, 2), ErrDot)
		require.ErrorIs(t, s.Delete(Vector{}, d), ErrDot)
	}
	require.Equal(t, before, s)
	require.Equal(t, []int{1}, values(&s))
}

// A context may know more than the set; what it knows counts as replaced. One that claims
// what has not happened yet makes the replica refuse its own next dots, loudly, and a new
// actor goes on.
func TestContextsAhead(t *testing.T) {
	var here, there Set[string]
	require.NoError(t, there.Put(Vector{}, Dot{2, 1}, "old"))
	require.NoError(t, here.Put(there.Context(), Dot{1, 1}, "new"))
	require.Equal(t, "{1:1 2:1}", here.Context().String())
	here.Merge(there)
	require.Equal(t, []string{"new"}, values(&here), "replaced where it was read, gone when it arrives")

	forged := vec(Dot{1, math.MaxUint64})
	require.ErrorIs(t, here.Put(forged, Dot{1, 2}, "x"), ErrDotUsed)
	require.NoError(t, here.Put(forged, Dot{3, 1}, "forged"))
	require.ErrorIs(t, here.Put(here.Context(), Dot{1, 2}, "y"), ErrDotUsed)
	require.NoError(t, here.Put(Vector{}, Dot{4, 1}, "next tenure"))
	require.Equal(t, []string{"forged", "next tenure"}, values(&here))
}

// Why Put is for the dot's own replica: without the actor's earlier dots, a later one
// claims them, and they are taken for replaced. Merge of the whole set keeps both.
func TestReplicasLearnByMerge(t *testing.T) {
	var owner, wrong, right Set[string]
	require.NoError(t, owner.Put(Vector{}, Dot{1, 1}, "first"))
	require.NoError(t, owner.Put(Vector{}, Dot{1, 2}, "second"))
	require.NoError(t, wrong.Put(Vector{}, Dot{1, 2}, "second"))
	wrong.Merge(owner)
	require.Equal(t, []string{"second"}, values(&wrong))
	right.Merge(owner)
	require.Equal(t, []string{"first", "second"}, values(&right))
}

// One dot that stands for two writes is an actor used twice. Nothing sound can come of it,
// but a delete takes no value with it, and nothing breaks.
func TestOneDotTwoWrites(t *testing.T) {
	var value, del, other Set[int]
	require.NoError(t, value.Put(Vector{}, Dot{1, 1}, 7))
	require.NoError(t, del.Delete(Vector{}, Dot{1, 1}))
	require.NoError(t, other.Put(Vector{}, Dot{1, 1}, 8))
	x, y, z := value, del, value
	x.Merge(del)
	y.Merge(value)
	require.Equal(t, []int{7}, values(&x))
	require.Equal(t, x, y)
	z.Merge(other)
	require.Equal(t, []int{7}, values(&z))
}

// genSet draws any well-formed set, also ones that no history leads to, as peers may forge
// them.
func genSet(t *rapid.T, label string) Set[int] {
	s := Set[int]{ctx: genVector(t, label)}
	for d := range s.ctx.Dots() {
		for c := max(d.Counter, 3) - 2; c <= d.Counter; c++ {
			dot := Dot{d.Actor, c}
			switch rapid.IntRange(0, 4).Draw(t, label+" value") {
			case 0:
				s.vals = append(s.vals, Value[int]{Dot: dot, V: int(c)})
			case 1:
				s.vals = append(s.vals, Value[int]{Dot: dot, Deleted: true})
			}
		}
	}
	return s
}

// TestMergeAgainstDefinition compares Merge with the definition of the join, value by value.
func TestMergeAgainstDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, o := genSet(t, "s"), genSet(t, "o")
		want := map[Dot]Value[int]{}
		keep := func(from, other Set[int]) {
			for _, v := range from.vals {
				i := slices.IndexFunc(other.vals, func(w Value[int]) bool { return w.Dot == v.Dot })
				if i < 0 && !other.ctx.events()[v.Dot] || i >= 0 && (!v.Deleted || other.vals[i].Deleted) {
					want[v.Dot] = v
				}
			}
		}
		keep(s, o)
		keep(o, s)
		known := s.ctx.events()
		maps.Copy(known, o.ctx.events())
		for _, m := range []Set[int]{join(s, o), join(o, s)} {
			if !slices.IsSortedFunc(m.vals, func(a, b Value[int]) int { return a.Dot.Compare(b.Dot) }) || len(m.vals) != len(want) {
				t.Fatalf("join of %v and %v: %v, want %v", s, o, m, want)
			}
			for v := range m.All() {
				if want[v.Dot] != v {
					t.Fatalf("join of %v and %v: %v, want %v", s, o, v, want[v.Dot])
				}
			}
			if !maps.Equal(m.ctx.events(), known) {
				t.Fatalf("join of %v and %v knows %v", s, o, m.ctx)
			}
		}
	})
}

func TestTombstones(t *testing.T) {
	var s Set[int]
	require.True(t, s.IsZero())
	require.False(t, s.Tombstone())
	require.NoError(t, s.Put(Vector{}, Dot{1, 1}, 7))
	stale := s
	require.NoError(t, s.Delete(s.Context(), Dot{1, 2}))
	require.True(t, s.Tombstone())
	require.False(t, s.IsZero())
	require.Empty(t, values(&s))
	require.Equal(t, 1, s.Len())
	for v := range s.All() {
		require.Equal(t, Value[int]{Dot: Dot{1, 2}, Deleted: true}, v)
	}
	s.Merge(stale)
	require.True(t, s.Tombstone(), "a stale replica does not bring it back")
	require.NoError(t, stale.Put(Vector{}, Dot{2, 1}, 8))
	s.Merge(stale)
	require.Equal(t, []int{8}, values(&s), "a write that did not see the delete stays")
	require.False(t, s.Tombstone())

	var fresh Set[int]
	require.NoError(t, fresh.Delete(Vector{}, Dot{1, 1}))
	require.True(t, fresh.Tombstone(), "a delete of what was never written")
}

// A set that was assigned is a copy, whatever becomes of the other.
func TestSetIsAValue(t *testing.T) {
	var s Set[int]
	require.NoError(t, s.Put(Vector{}, Dot{1, 1}, 1))
	kept, ctx := s, s.Context()
	ctx.Add(Dot{1, 9})
	ctx.Merge(vec(Dot{5, 5}))
	require.Equal(t, "{1:1}", s.Context().String(), "the caller's copy of the context is the caller's")
	require.NoError(t, s.Put(Vector{}, Dot{1, 2}, 2))
	require.NoError(t, s.Put(vec(Dot{1, 1}), Dot{1, 3}, 3))
	var o Set[int]
	require.NoError(t, o.Put(kept.Context(), Dot{2, 1}, 4))
	joined := kept
	joined.Merge(o)
	require.Equal(t, []int{1}, values(&kept))
	require.Equal(t, "{1:1}", kept.Context().String())
	require.Equal(t, []int{2, 3}, values(&s))
	for range s.Values() {
		break
	}
	for range s.All() {
		break
	}
}

// Clients that write in turns, each with the context of its own last reply, end with as
// many siblings as there are clients, where a version vector on every value, which cannot
// tell two writes of one replica apart, would pile up a thousand.
func TestSiblingsDoNotExplode(t *testing.T) {
	for _, clients := range []int{1, 2, 7} {
		var s Set[int]
		replies := make([]Vector, clients)
		for i := range 1000 {
			c := i % clients
			require.NoError(t, s.Put(replies[c], Dot{1, uint64(i + 1)}, i))
			replies[c] = s.Context()
			require.LessOrEqual(t, s.Len(), clients)
		}
		require.Equal(t, clients, s.Len())
		require.Equal(t, 1, s.Context().Len())
		require.NoError(t, s.Put(s.Context(), Dot{1, 1001}, 1001))
		require.Equal(t, []int{1001}, values(&s), "a write that saw all leaves one")
	}
}
