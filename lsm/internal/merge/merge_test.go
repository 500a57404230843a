package merge_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
	"github.com/ashlar-go/ashlar/lsm/internal/merge"
)

type point struct {
	k []byte
	t key.Trailer
}

func comparePoints(a, b point) int { return key.Compare(a.k, a.t, b.k, b.t) }

// sliceIter walks a sorted slice. It reuses the memory of keys, as iterators may, and
// fails at its failAt-th move if that is positive.
type sliceIter struct {
	points []point
	at     int
	key    []byte
	failAt int
	moves  int
	err    error
	closed *int
}

var errBroken = errors.New("broken")

func (s *sliceIter) set(i int) bool {
	s.at = i
	for j := range s.key {
		s.key[j] = 0xee // nobody may still look at it
	}
	if s.moves++; s.moves == s.failAt {
		s.err = errBroken
	}
	if s.err != nil || i < 0 || i >= len(s.points) {
		s.at = -1
		return false
	}
	s.key = append(s.key[:0], s.points[i].k...)
	return true
}

func (s *sliceIter) find(k []byte, t key.Trailer) int {
	i, _ := slices.BinarySearchFunc(s.points, point{k, t}, comparePoints)
	return i
}
func (s *sliceIter) First() bool                         { return s.set(0) }
func (s *sliceIter) Last() bool                          { return s.set(len(s.points) - 1) }
func (s *sliceIter) SeekGE(k []byte, t key.Trailer) bool { return s.set(s.find(k, t)) }
func (s *sliceIter) SeekLT(k []byte) bool                { return s.set(s.find(k, key.MaxTrailer) - 1) }
func (s *sliceIter) Next() bool                          { return s.at >= 0 && s.set(s.at+1) }
func (s *sliceIter) Prev() bool                          { return s.at >= 0 && s.set(s.at-1) }
func (s *sliceIter) Valid() bool                         { return s.at >= 0 }
func (s *sliceIter) Key() []byte                         { return s.key }
func (s *sliceIter) Trailer() key.Trailer                { return s.points[s.at].t }
func (s *sliceIter) Value() []byte                       { return fmt.Append(nil, s.points[s.at]) }
func (s *sliceIter) Err() error                          { return s.err }
func (s *sliceIter) Close() error {
	if s.closed != nil {
		*s.closed++
	}
	return s.err
}

func newIter(points []point) *sliceIter { return &sliceIter{points: points, at: -1} }

func keys() *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) []byte {
		head := rapid.SampledFrom([]string{"", "a", "longer than eight"}).Draw(t, "head")
		return append([]byte(head), rapid.SliceOfN(rapid.SampledFrom([]byte{0, 'b', 0xff}), 0, 3).Draw(t, "tail")...)
	})
}

func TestMergeAgainstSortedSlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sources := rapid.IntRange(0, 7).Draw(t, "sources")
		parts := make([][]point, sources)
		var all []point
		for i := range rapid.IntRange(0, 60).Draw(t, "n") {
			if sources == 0 {
				break
			}
			p := point{keys().Draw(t, "k"), key.Pack(uint64(i), key.Set)}
			s := min(rapid.IntRange(0, sources-1).Draw(t, "s"), rapid.IntRange(0, sources-1).Draw(t, "or s"))
			parts[s] = append(parts[s], p)
			all = append(all, p)
		}
		slices.SortFunc(all, comparePoints)
		var its []key.Iterator
		for _, p := range parts {
			slices.SortFunc(p, comparePoints)
			its = append(its, newIter(p))
		}
		m, want, pos := merge.New(its...), newIter(all), 0
		for range 80 {
			k, tr := keys().Draw(t, "k"), key.Pack(rapid.Uint64Range(0, 60).Draw(t, "seq"), key.Set)
			var a, b bool
			switch rapid.IntRange(0, 9).Draw(t, "move") {
			case 0:
				a, b = m.SeekGE(k, tr), want.SeekGE(k, tr)
			case 1:
				a, b = m.SeekLT(k), want.SeekLT(k)
			case 2:
				a, b = m.First(), want.First()
			case 3:
				a, b = m.Last(), want.Last()
			case 4, 5, 6:
				a, b = m.Next(), want.Next()
			default:
				a, b = m.Prev(), want.Prev()
			}
			require.Equal(t, b, a, pos)
			require.Equal(t, b, m.Valid())
			if b {
				require.Equal(t, string(want.Key()), string(m.Key()))
				require.Equal(t, want.Trailer(), m.Trailer())
				require.Equal(t, string(want.Value()), string(m.Value()))
			}
			pos++
		}
		require.NoError(t, m.Err())
		require.NoError(t, m.Close())
	})
}

// TestMergeWalks walks all the way, over sources of which one has most, so that the same
// source wins for long and others end one after the other.
func TestMergeWalks(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		parts := make([][]point, 1+rnd.IntN(8))
		var all []point
		for i := range 200 {
			p := point{fmt.Appendf(nil, "%03d", rnd.IntN(500)), key.Pack(uint64(i), key.Set)}
			s := min(rnd.IntN(len(parts)), rnd.IntN(len(parts)), rnd.IntN(len(parts)))
			parts[s] = append(parts[s], p)
			all = append(all, p)
		}
		slices.SortFunc(all, comparePoints)
		its := make([]key.Iterator, len(parts))
		for i, p := range parts {
			slices.SortFunc(p, comparePoints)
			its[i] = newIter(p)
		}
		m, i := merge.New(its...), 0
		for ok := m.First(); ok; ok = m.Next() {
			if comparePoints(point{m.Key(), m.Trailer()}, all[i]) != 0 {
				t.Fatalf("%q at %d", m.Key(), i)
			}
			i++
		}
		require.Len(t, all, i)
		for ok := m.Last(); ok; ok = m.Prev() {
			if i--; comparePoints(point{m.Key(), m.Trailer()}, all[i]) != 0 {
				t.Fatalf("%q at %d", m.Key(), i)
			}
		}
		require.Zero(t, i)
	}
}

func TestMergeDeliversEqualKeysOfAllSources(t *testing.T) {
	p := []point{{[]byte("a"), 7}, {[]byte("b"), 7}}
	its := []key.Iterator{newIter(p), newIter(p), newIter(p)}
	m, n := merge.New(its...), 0
	for ok := m.First(); ok; ok = m.Next() {
		n++
	}
	for ok := m.Last(); ok; ok = m.Prev() {
		n--
	}
	require.Zero(t, n)
}

func TestMergeStopsAtErrors(t *testing.T) {
	p := []point{{[]byte("a"), 1}, {[]byte("c"), 1}, {[]byte("e"), 1}, {[]byte("g"), 1}}
	q := []point{{[]byte("b"), 1}, {[]byte("d"), 1}, {[]byte("f"), 1}, {[]byte("h"), 1}}
	for failAt := 1; failAt <= 4; failAt++ {
		for _, back := range []bool{false, true} {
			closed := 0
			bad := newIter(p)
			bad.failAt, bad.closed = failAt, &closed
			good := newIter(q)
			good.closed = &closed
			m := merge.New(good, bad)
			n := 0
			if back {
				for ok := m.Last(); ok; ok = m.Prev() {
					n++
				}
			} else {
				for ok := m.First(); ok; ok = m.Next() {
					n++
				}
			}
			require.Less(t, n, len(p)+len(q))
			require.ErrorIs(t, m.Err(), errBroken)
			require.False(t, m.Valid() || m.Next() || m.Prev())
			require.ErrorIs(t, m.Close(), errBroken)
			require.Equal(t, 2, closed)
			require.NoError(t, m.Close())
			require.Equal(t, 2, closed)
		}
	}
	// while turning around
	bad := newIter(p)
	bad.failAt = 2
	m := merge.New(newIter(q), bad)
	require.True(t, m.First())
	require.False(t, m.Prev())
	require.ErrorIs(t, m.Err(), errBroken)
}

func TestMergeOfOneIsThatOne(t *testing.T) {
	it := newIter(nil)
	require.Same(t, it, merge.New(it))
}
