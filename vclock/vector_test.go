package vclock

import (
	"bytes"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/internal/testkit"
)

func vec(dots ...Dot) (v Vector) {
	for _, d := range dots {
		v.Add(d)
	}
	return v
}

// genVector draws vectors over few actors and counters, so that all relations occur; some
// have enough actors to be searched by halving.
func genVector(t *rapid.T, label string) Vector {
	actors := rapid.SampledFrom([]uint64{5, 5, 3 * linearSearch}).Draw(t, label+" actors")
	m := rapid.MapOfN(rapid.Uint64Range(1, actors), rapid.SampledFrom([]uint64{1, 2, 3, 127, 128, 300}), 0, int(actors)).Draw(t, label)
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
	for d := range v.Dots() {
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
		for d := range b {
			if v.Contains(d) != a[d] {
				t.Fatalf("%v contains %v: %v", v, d, !a[d])
			}
		}
		m := v
		m.Merge(w)
		maps.Copy(a, b)
		if !maps.Equal(m.events(), a) {
			t.Fatalf("%v merged with %v is %v", v, w, m)
		}
	})
}

// A vector that was assigned or handed out does not change with its copy.
func TestVectorIsAValue(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, w := genVector(t, "v"), genVector(t, "w")
		before := v.String()
		d := Dot{Actor(rapid.Uint64Range(0, 6).Draw(t, "actor")), rapid.Uint64Range(0, 400).Draw(t, "counter")}
		added, merged := v, v
		added.Add(d)
		merged.Merge(w)
		merged.Add(d)
		if v.String() != before {
			t.Fatalf("%s became %v", before, v)
		}
		if d.valid() != added.Contains(d) {
			t.Fatalf("%v added to %v: %v", d, v, added)
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
	require.False(t, v.Contains(Dot{Actor: 10}), "no event has the number zero")
	require.Equal(t, []Dot{{2, 1}, {10, 3}}, slices.Collect(v.Dots()))
	w := v.Clone()
	w.Add(Dot{10, math.MaxUint64})
	w.Add(Dot{10, 5})
	require.Equal(t, uint64(math.MaxUint64), w.Counter(10))
	require.Equal(t, uint64(3), v.Counter(10))
	require.Equal(t, 2, w.Len())
	for o, name := range map[Order]string{Equal: "equal", Before: "before", After: "after", Concurrent: "concurrent", 9: "Order(9)"} {
		require.Equal(t, name, o.String())
	}
}

// zeros is a broken source of randomness.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { clear(b); return len(b), nil }

func TestNewActor(t *testing.T) {
	a, err := NewActor(bytes.NewReader([]byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2}))
	require.NoError(t, err)
	require.Equal(t, Actor(258), a, "zero is no actor")
	_, err = NewActor(strings.NewReader("short"))
	require.Error(t, err)
	_, err = NewActor(zeros{})
	require.ErrorIs(t, err, ErrActor, "and does not hang")
}

func TestParseActor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a := Actor(rapid.Uint64Min(1).Draw(t, "actor"))
		if got, err := ParseActor(a.String()); err != nil || got != a {
			t.Fatalf("%v: %v %v", a, got, err)
		}
	})
	for _, s := range []string{"", "0", "00", "01", "A", "+1", "-1", "0x1", "1_0", " 1", "g", "10000000000000000", strings.Repeat("1", 1<<20)} {
		_, err := ParseActor(s)
		require.ErrorIs(t, err, ErrActor)
		require.Less(t, len(err.Error()), 200, "the error does not repeat what it was given")
	}
}

func TestAllocations(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	v, w := vec(Dot{1, 1}, Dot{2, 2}, Dot{3, 3}), vec(Dot{1, 2}, Dot{2, 2}, Dot{4, 1})
	more := v
	more.Merge(w)
	a, _ := v.MarshalBinary()
	b, _ := w.MarshalBinary()
	require.LessOrEqual(t, len(a), 1+3*10)
	var s Set[int]
	require.NoError(t, s.Put(v, Dot{9, 1}, 1))
	old := s
	require.NoError(t, s.Put(s.Context(), Dot{9, 2}, 2))
	buf := make([]byte, 0, 100)
	clock := NewClock(ClockOptions{})
	require.Zero(t, testing.AllocsPerRun(100, func() {
		v.Compare(w)
		v.Contains(Dot{4, 1})
		if _, err := CompareEncoded(a, b); err != nil {
			t.Fatal(err)
		}
		buf, _ = v.AppendBinary(buf[:0])
		x, y, z := v, more, s
		x.Merge(more) // takes over all of it
		y.Merge(v)    // no news
		x.Add(Dot{1, 1})
		z.Merge(old)
		z.Merge(s)
		z = old
		z.Merge(s)
		stamp, err := clock.Now()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := clock.Observe(stamp); err != nil {
			t.Fatal(err)
		}
	}))
}
