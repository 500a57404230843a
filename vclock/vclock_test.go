package vclock

import (
	"bytes"
	"cmp"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func vec(dots ...Dot) (v Vector) {
	for _, d := range dots {
		v.Add(d)
	}
	return v
}

// genVector draws small vectors, so that all relations occur.
func genVector(t *rapid.T, label string) Vector {
	m := rapid.MapOfN(rapid.Uint64Range(1, 5), rapid.Uint64Range(1, 4), 0, 5).Draw(t, label)
	var v Vector
	for a, c := range m {
		v.Add(Dot{Actor(a), c})
	}
	return v
}

// events is the oracle: a history as an explicit set of events.
type events map[Dot]bool

func (v Vector) events() events {
	e := events{}
	for _, d := range v.dots {
		for c := uint64(1); c <= d.Counter; c++ {
			e[Dot{d.Actor, c}] = true
		}
	}
	return e
}

func subset(a, b events) bool {
	for d := range a {
		if !b[d] {
			return false
		}
	}
	return true
}

func TestVectorAgainstEventSets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, w := genVector(t, "v"), genVector(t, "w")
		a, b := v.events(), w.events()
		want := order(!subset(a, b), !subset(b, a))
		if got := v.Compare(w); got != want {
			t.Fatalf("%v compared with %v: %v, want %v", v, w, got, want)
		}
		ve, _ := v.MarshalBinary()
		we, _ := w.MarshalBinary()
		if got, err := CompareEncoded(ve, we); err != nil || got != want {
			t.Fatalf("%v compared with %v encoded: %v %v, want %v", v, w, got, err, want)
		}
		if (want == Equal) != bytes.Equal(ve, we) {
			t.Fatal("the encoding is not canonical")
		}
		var u Vector
		if err := u.UnmarshalBinary(ve); err != nil || u.Compare(v) != Equal {
			t.Fatalf("round trip: %v", err)
		}
		m := v.Clone()
		m.Merge(w)
		maps.Copy(a, b)
		if !maps.Equal(m.events(), a) {
			t.Fatalf("%v merged with %v is %v", v, w, m)
		}
		for d := range a {
			if !m.Contains(d) {
				t.Fatal("Contains")
			}
		}
	})
}

func TestVectorEdges(t *testing.T) {
	var v Vector
	v.Add(Dot{})
	v.Add(Dot{Actor: 1})
	v.Add(Dot{Counter: 1})
	require.Zero(t, v.Len())
	require.False(t, v.Contains(Dot{}))
	require.Equal(t, "{}", v.String())
	v = vec(Dot{10, 3}, Dot{2, 1})
	require.Equal(t, "{2:1 a:3}", v.String())
	require.Equal(t, uint64(3), v.Counter(10))
	require.Equal(t, []Dot{{2, 1}, {10, 3}}, slices.Collect(v.Dots()))
	w := v.Clone()
	w.Add(Dot{10, 9})
	require.Equal(t, uint64(3), v.Counter(10))
	require.Equal(t, "after", w.Compare(v).String())
	require.Equal(t, "Order(9)", Order(9).String())
}

func TestNewActor(t *testing.T) {
	a, err := NewActor(bytes.NewReader([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2}))
	require.NoError(t, err)
	require.Equal(t, Actor(258), a, "zero is no actor")
	_, err = NewActor(strings.NewReader("short"))
	require.Error(t, err)
}

func TestBadEncodings(t *testing.T) {
	good, _ := vec(Dot{1, 1}, Dot{2, 300}).MarshalBinary()
	bad := map[string][]byte{
		"empty": {}, "version": append([]byte{2}, good[1:]...), "too long": append(slices.Clone(good), 0),
		"count": {1, 200, 1}, "zero counter": {1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0}, "zero actor": {1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1},
		"order":    append(append([]byte{1, 2}, good[11:]...), good[2:11]...),
		"long int": {1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0x81, 0},
	}
	for n := range good {
		bad["cut "+string(rune('a'+n))] = good[:n]
	}
	for name, b := range bad {
		v := vec(Dot{7, 7})
		require.ErrorIs(t, v.UnmarshalBinary(b), ErrCorrupt, name)
		require.Equal(t, "{7:7}", v.String())
		if name != "long int" && name != "count" {
			_, err := CompareEncoded(b, good)
			require.ErrorIs(t, err, ErrCorrupt, name)
			_, err = CompareEncoded(good, b)
			require.ErrorIs(t, err, ErrCorrupt, name)
		}
		if name != "too long" { // a vector and a zero are a set without values
			_, err := DecodeSet(b, decodeInt)
			require.Error(t, err, name)
		}
	}
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

func values[T any](s *Set[T]) (out []T) {
	for _, v := range s.Values() {
		out = append(out, v)
	}
	return out
}

func TestDotsAreUsedOnce(t *testing.T) {
	var s Set[int]
	require.NoError(t, s.Put(Vector{}, Dot{1, 2}, 1))
	before := s
	require.ErrorIs(t, s.Put(Vector{}, Dot{1, 2}, 2), ErrDotUsed)
	require.ErrorIs(t, s.Put(Vector{}, Dot{1, 1}, 2), ErrDotUsed, "an actor does not go back")
	require.ErrorIs(t, s.Delete(vec(Dot{2, 5}), Dot{2, 5}), ErrDotUsed, "the context knows it already")
	require.ErrorIs(t, s.Put(Vector{}, Dot{}, 2), ErrDot)
	require.Equal(t, before, s)
}

func TestTombstones(t *testing.T) {
	var s Set[int]
	require.True(t, s.IsZero())
	require.False(t, s.Tombstone())
	require.NoError(t, s.Put(Vector{}, Dot{1, 1}, 7))
	stale := s
	require.NoError(t, s.Delete(s.Context(), Dot{1, 2}))
	require.True(t, s.Tombstone())
	require.Empty(t, values(&s))
	require.Equal(t, 1, s.Len())
	s.Merge(stale)
	require.True(t, s.Tombstone(), "a stale replica does not bring it back")
	require.NoError(t, stale.Put(Vector{}, Dot{2, 1}, 8))
	s.Merge(stale)
	require.Equal(t, []int{8}, values(&s), "a write that did not see the delete stays")
	require.False(t, s.Tombstone())
}

// Two clients that write in turns, each with the context of its own last reply, end with
// two siblings, where plain version vectors would pile up a thousand.
func TestSiblingsDoNotExplode(t *testing.T) {
	var s Set[int]
	ctx := [2]Vector{}
	for i := range 1000 {
		c := i % 2
		require.NoError(t, s.Put(ctx[c], Dot{1, uint64(i + 1)}, i))
		// The reply to a put tells its writer of its own write and what that replaced.
		own := ctx[c].Clone()
		own.Add(Dot{1, uint64(i + 1)})
		ctx[c] = own
		require.LessOrEqual(t, s.Len(), 2)
	}
}

// model is the oracle of Set: each write is an element that knows explicitly which other
// writes it replaces. A replica is the set of writes it has heard of.
type model struct {
	replaces map[int]map[int]bool // write → writes it replaces, directly or through others
}

func (m *model) live(known map[int]bool) []int {
	var out []int
	for w := range known {
		gone := false
		for o := range known {
			gone = gone || m.replaces[o][w]
		}
		if !gone {
			out = append(out, w)
		}
	}
	slices.Sort(out)
	return out
}

// read is what a client remembers of a Get: the context and, for the oracle, all writes
// that it covers.
type read struct {
	ctx   Vector
	known map[int]bool
}

// TestSetAgainstHistories drives three replicas through random histories: puts and
// deletes with any context read before, merges both ways, and the loss of a replica's
// whole state, after which it goes on under a new actor.
func TestSetAgainstHistories(t *testing.T) {
	histories := 4000
	if testing.Short() {
		histories = 500
	}
	for seed := range uint64(histories) {
		r := rand.New(rand.NewPCG(seed, 1))
		m := model{replaces: map[int]map[int]bool{}}
		deletes := map[int]bool{}
		const replicas = 3
		var sets [replicas]Set[int]
		var known [replicas]map[int]bool
		actors, counters := [replicas]Actor{}, [replicas]uint64{}
		next := Actor(1)
		for i := range sets {
			known[i], actors[i] = map[int]bool{}, next
			next++
		}
		reads := []read{{known: map[int]bool{}}}
		for step := range 30 {
			i := r.IntN(replicas)
			switch r.IntN(10) {
			case 0, 1, 2: // read
				reads = append(reads, read{sets[i].Context().Clone(), maps.Clone(known[i])})
			case 3, 4, 5, 6: // write with a context read some time ago
				rd := reads[r.IntN(len(reads))]
				counters[i]++
				d := Dot{actors[i], counters[i]}
				del := r.IntN(4) == 0
				var err error
				if del {
					err = sets[i].Delete(rd.ctx, d)
				} else {
					err = sets[i].Put(rd.ctx, d, step)
				}
				if err != nil {
					t.Fatalf("seed %d step %d: %v", seed, step, err)
				}
				deletes[step] = del
				m.replaces[step] = maps.Clone(rd.known)
				known[i][step] = true
				maps.Copy(known[i], rd.known) // what the writer has seen, the replica now knows to be replaced
			case 7, 8: // merge
				j := r.IntN(replicas)
				sets[i].Merge(sets[j])
				maps.Copy(known[i], known[j])
			case 9: // the disk is lost; a new tenure begins
				if r.IntN(3) == 0 {
					sets[i], known[i] = Set[int]{}, map[int]bool{}
					actors[i], counters[i] = next, 0
					next++
				}
			}
			var got []int
			for v := range sets[i].All() {
				if v.Deleted {
					got = append(got, -1)
				} else {
					got = append(got, v.V)
				}
			}
			var want []int
			for _, w := range m.live(known[i]) {
				if deletes[w] {
					want = append(want, -1)
				} else {
					want = append(want, w)
				}
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Fatalf("seed %d step %d replica %d: %v, want %v", seed, step, i, got, want)
			}
			b := AppendSet(nil, &sets[i], encodeInt)
			s, err := DecodeSet(b, decodeInt)
			if err != nil || s.Compare(sets[i]) != Equal || !slices.Equal(values(&s), values(&sets[i])) {
				t.Fatalf("seed %d step %d: round trip: %v", seed, step, err)
			}
		}
		// Merge in any order gives the same bytes.
		x, y := sets[0], sets[2]
		x.Merge(sets[1])
		x.Merge(sets[2])
		x.Merge(sets[2])
		y.Merge(sets[0])
		y.Merge(sets[1])
		if a, b := AppendSet(nil, &x, encodeInt), AppendSet(nil, &y, encodeInt); !bytes.Equal(a, b) {
			t.Fatalf("seed %d: merge depends on the order", seed)
		}
	}
}

func encodeInt(b []byte, v int) []byte { return append(b, byte(v)) }

var errInt = errors.New("not an int")

func decodeInt(b []byte) (int, error) {
	if len(b) != 1 {
		return 0, errInt
	}
	return int(b[0]), nil
}

func TestSetEncodingIsStrict(t *testing.T) {
	var s Set[int]
	require.NoError(t, s.Put(Vector{}, Dot{1, 1}, 5))
	require.NoError(t, s.Put(Vector{}, Dot{2, 1}, 6))
	require.NoError(t, s.Delete(Vector{}, Dot{3, 1}))
	good := AppendSet(nil, &s, encodeInt)
	for n := range good {
		_, err := DecodeSet(good[:n], decodeInt)
		require.ErrorIs(t, err, ErrCorrupt, n)
	}
	_, err := DecodeSet(append(good, 0), decodeInt)
	require.ErrorIs(t, err, ErrCorrupt)
	long := AppendSet(nil, &s, func(b []byte, _ int) []byte { return append(b, make([]byte, 300)...) })
	_, err = DecodeSet(long, decodeInt)
	require.ErrorIs(t, err, errInt)
	wide, err := DecodeSet(long, func(b []byte) (int, error) { return len(b), nil })
	require.NoError(t, err)
	require.Equal(t, []int{300, 300}, values(&wide))
}

func FuzzDecodeSet(f *testing.F) {
	var s Set[int]
	_ = s.Put(Vector{}, Dot{1, 1}, 5)
	_ = s.Delete(Vector{}, Dot{2, 9})
	f.Add(AppendSet(nil, &s, encodeInt))
	f.Add([]byte{1, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := DecodeSet(b, func(b []byte) (string, error) { return string(b), nil })
		if err != nil {
			return
		}
		again := AppendSet(nil, &s, func(b []byte, v string) []byte { return append(b, v...) })
		if !bytes.Equal(again, b) {
			t.Fatalf("%x reads as %x", b, again)
		}
		o := s
		o.Merge(s)
		if o.Len() != s.Len() || !slices.IsSortedFunc(o.vals, func(a, b Value[string]) int { return a.Dot.Compare(b.Dot) }) {
			t.Fatal("merge with itself changes the set")
		}
	})
}

func FuzzVector(f *testing.F) {
	b, _ := vec(Dot{1, 1}, Dot{2, 300}).MarshalBinary()
	f.Add(b, b)
	f.Fuzz(func(t *testing.T, a, b []byte) {
		var v, w Vector
		bad := cmp.Or(v.UnmarshalBinary(a), w.UnmarshalBinary(b))
		got, err := CompareEncoded(a, b)
		if bad != nil {
			return // must not panic; need not notice all
		}
		if err != nil || got != v.Compare(w) {
			t.Fatalf("%v %v: %v %v", v, w, got, err)
		}
		again, _ := v.MarshalBinary()
		if !bytes.Equal(again, a) {
			t.Fatal("not canonical")
		}
	})
}

func TestAllocations(t *testing.T) {
	v, w := vec(Dot{1, 1}, Dot{2, 2}, Dot{3, 3}), vec(Dot{1, 2}, Dot{2, 2}, Dot{4, 1})
	a, _ := v.MarshalBinary()
	b, _ := w.MarshalBinary()
	buf := make([]byte, 0, 100)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		v.Compare(w)
		v.Contains(Dot{4, 1})
		if _, err := CompareEncoded(a, b); err != nil {
			t.Fatal(err)
		}
		buf, _ = v.AppendBinary(buf[:0])
	}))
	require.LessOrEqual(t, len(a), 2+3*10)
}
