package memtable_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
	"github.com/ashlar-go/ashlar/lsm/internal/memtable"
)

// entry is what the model holds.
type entry struct {
	k, v []byte
	t    key.Trailer
}

func compareEntries(a, b entry) int { return key.Compare(a.k, a.t, b.k, b.t) }

// model is a sorted slice.
type model struct {
	entries []entry
	spans   []key.Span
}

func (m *model) add(seq uint64, kind key.Kind, k, v []byte) {
	if kind == key.RangeDelete {
		m.spans = append(m.spans, key.Span{Start: k, End: v, Seq: seq})
		return
	}
	e := entry{k, v, key.Pack(seq, kind)}
	i, _ := slices.BinarySearchFunc(m.entries, e, compareEntries)
	m.entries = slices.Insert(m.entries, i, e)
}

// seek is the index of the first entry at or after (k, t).
func (m *model) seek(k []byte, t key.Trailer) int {
	i, _ := slices.BinarySearchFunc(m.entries, entry{k: k, t: t}, compareEntries)
	return i
}

func (m *model) cover(k []byte, seq uint64) (best uint64) {
	for _, s := range m.spans {
		if s.Seq <= seq && s.Contains(k) {
			best = max(best, s.Seq)
		}
	}
	return best
}

// keys draws keys that share beginnings longer and shorter than what links hold.
func keys() *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) []byte {
		head := rapid.SampledFrom([]string{"", "a", "shared/", "shared/long", "shared/longer/than/links"}).Draw(t, "head")
		tail := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 'b', 0xff}), 0, 4).Draw(t, "tail")
		return append([]byte(head), tail...)
	})
}

func at(t require.TestingT, m *model, it key.Iterator, want int, ok bool) {
	in := want >= 0 && want < len(m.entries)
	require.Equal(t, in, ok)
	require.Equal(t, in, it.Valid())
	if in {
		e := m.entries[want]
		require.Equal(t, e.t, it.Trailer())
		require.True(t, bytes.Equal(e.k, it.Key()))
		require.True(t, bytes.Equal(e.v, it.Value()))
	}
}

func TestTableAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mt, m := memtable.New(rapid.SampledFrom([]int{-1, 0, 1 << 12, 1 << 16}).Draw(t, "arena")), &model{}
		seq := uint64(0)
		for range rapid.IntRange(0, 150).Draw(t, "n") {
			seq++
			kind := rapid.SampledFrom([]key.Kind{key.Set, key.Set, key.Delete, key.SetExpiring, key.RangeDelete}).Draw(t, "kind")
			k := keys().Draw(t, "k")
			v := rapid.SliceOfN(rapid.Byte(), 0, 40).Draw(t, "v")
			if kind == key.RangeDelete {
				v = keys().Draw(t, "end")
			}
			require.NoError(t, mt.Add(seq, kind, k, v))
			m.add(seq, kind, k, v)
		}
		require.Equal(t, len(m.entries)+len(m.spans), mt.Len())
		require.Equal(t, len(m.spans), len(mt.Spans()))
		for i, s := range mt.Spans() {
			require.Zero(t, key.CompareSpans(m.spans[i], s))
		}
		it, pos := mt.Iter(), -1
		for range 60 {
			k := keys().Draw(t, "ask")
			s := rapid.Uint64Range(0, seq+1).Draw(t, "seq")
			i := m.seek(k, key.Pack(s, key.MaxKind))
			v, tr, ok := mt.Get(k, s)
			require.Equal(t, i < len(m.entries) && bytes.Equal(m.entries[i].k, k), ok)
			if ok {
				require.Equal(t, m.entries[i].t, tr)
				require.True(t, bytes.Equal(m.entries[i].v, v))
			}
			require.Equal(t, m.cover(k, s), mt.CoverSeq(k, s))
			switch rapid.IntRange(0, 5).Draw(t, "move") {
			case 0:
				pos = i
				at(t, m, it, pos, it.SeekGE(k, key.Pack(s, key.MaxKind)))
			case 1:
				pos = m.seek(k, key.MaxTrailer) - 1
				at(t, m, it, pos, it.SeekLT(k))
			case 2:
				pos = 0
				at(t, m, it, pos, it.First())
			case 3:
				pos = len(m.entries) - 1
				at(t, m, it, pos, it.Last())
			case 4:
				if pos >= 0 && pos < len(m.entries) {
					pos++
				}
				at(t, m, it, pos, it.Next())
			case 5:
				if pos >= 0 && pos < len(m.entries) {
					pos--
				}
				at(t, m, it, pos, it.Prev())
			}
			if pos < 0 || pos >= len(m.entries) {
				pos = -1
			}
		}
		require.NoError(t, it.Err())
		require.NoError(t, it.Close())
	})
}

// TestGrowth fills far beyond the arena with entries of all sizes, in three orders.
func TestGrowth(t *testing.T) {
	for _, order := range []string{"ascending", "descending", "random"} {
		t.Run(order, func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(1, 2))
			mt := memtable.New(0)
			values := map[string][]byte{}
			const n = 5000
			for i := range n {
				id := i
				switch order {
				case "descending":
					id = n - i
				case "random":
					id = rnd.IntN(n * 10)
				}
				k := fmt.Appendf(nil, "key-%08d", id)
				v := make([]byte, rnd.IntN(100))
				if i%500 == 0 {
					v = make([]byte, 1000*(1+rnd.IntN(200))) // some beyond what the arena takes
				}
				for j := range v {
					v[j] = byte(rnd.Uint32())
				}
				require.NoError(t, mt.Add(uint64(i+1), key.Set, k, v))
				values[string(k)] = v
			}
			for k, v := range values {
				got, _, ok := mt.Get([]byte(k), key.MaxSeq)
				require.True(t, ok)
				require.True(t, bytes.Equal(v, got))
			}
			it, count := mt.Iter(), 0
			var last []byte
			for ok := it.First(); ok; ok = it.Next() {
				require.LessOrEqual(t, bytes.Compare(last, it.Key()), 0)
				last = it.Key()
				count++
			}
			require.Equal(t, n, count)
			for ok := it.Last(); ok; ok = it.Prev() {
				count--
			}
			require.Zero(t, count)
			require.Equal(t, n, mt.Len())
		})
	}
}

func TestSizeCountsWhatIsKept(t *testing.T) {
	mt := memtable.New(1 << 20)
	before := mt.Size()
	big := make([]byte, 1<<20)
	require.NoError(t, mt.Add(1, key.Set, []byte("big"), big))
	require.Greater(t, mt.Size(), before+1<<20)
	before = mt.Size()
	require.NoError(t, mt.Add(2, key.RangeDelete, []byte("a"), []byte("b")))
	require.Greater(t, mt.Size(), before)
	got, _, ok := mt.Get([]byte("big"), 1)
	require.True(t, ok)
	require.Len(t, got, 1<<20)
}

// TestLongKeys has keys with about as much in common as links can say, and more.
func TestLongKeys(t *testing.T) {
	rnd := rand.New(rand.NewPCG(8, 9))
	var all [][]byte
	for _, n := range []int{0, 1, 250, 251, 252, 253, 254, 255, 256, 257, 258, 259, 511, 3000} {
		for _, tail := range []string{"", "\x00", "a", "k", "z", "z\x00\x00\x00\x00\x00", "zzzz"} {
			all = append(all, append(bytes.Repeat([]byte("k"), n), tail...))
		}
	}
	slices.SortFunc(all, bytes.Compare)
	all = slices.CompactFunc(all, bytes.Equal)
	for round := range 60 {
		mt, m := memtable.New(0), &model{}
		for i, j := range rnd.Perm(len(all))[:10+round] {
			require.NoError(t, mt.Add(uint64(i+1), key.Set, all[j], nil))
			m.add(uint64(i+1), key.Set, all[j], nil)
		}
		it := mt.Iter()
		for _, k := range all {
			i := m.seek(k, key.MaxTrailer)
			at(t, m, it, i, it.SeekGE(k, key.MaxTrailer))
			at(t, m, it, i-1, it.SeekLT(k))
		}
	}
}

// TestManySpans holds the logarithmic covers against the model, for nested tombstones too.
func TestManySpans(t *testing.T) {
	mt, m := memtable.New(0), &model{}
	rnd := rand.New(rand.NewPCG(3, 4))
	pad := func(i int) []byte { return fmt.Appendf(nil, "%05d", i) }
	for i := range 1000 {
		s, e := rnd.IntN(1000), rnd.IntN(1000)
		if i%2 == 0 {
			s, e = i/2, 2000-i/2 // nested
		}
		require.NoError(t, mt.Add(uint64(i+1), key.RangeDelete, pad(s), pad(e)))
		m.add(uint64(i+1), key.RangeDelete, pad(s), pad(e))
		k, seq := pad(rnd.IntN(2000)), rnd.Uint64N(uint64(i+3))
		require.Equal(t, m.cover(k, seq), mt.CoverSeq(k, seq))
	}
}

// TestReadersBesideWriter has readers check, without a lock, that what was published is
// there, in order, both ways.
func TestReadersBesideWriter(t *testing.T) {
	const n, readers = 6000, 3
	mt := memtable.New(1 << 14)
	order := rand.New(rand.NewPCG(5, 6)).Perm(n)
	var published atomic.Int64
	name := func(i int) []byte { // with ties in what links hold, and without
		if i%2 == 0 {
			return fmt.Appendf(nil, "tied-for-eleven-%06d", i)
		}
		return binary.BigEndian.AppendUint32(nil, uint32(i)*2654435761)
	}
	var wg sync.WaitGroup
	for r := range readers {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(r), 7))
			for published.Load() < n {
				seen := int(published.Load())
				if seen == 0 {
					continue
				}
				i := rnd.IntN(seen)
				k := name(order[i])
				v, tr, ok := mt.Get(k, uint64(seen))
				if !ok || tr != key.Pack(uint64(i+1), key.Set) || !bytes.Equal(v, k) {
					t.Errorf("entry %d of %d: %q %v %v", i, seen, v, tr, ok)
					return
				}
				it := mt.Iter()
				if rnd.IntN(2) == 0 {
					if !it.SeekGE(k, key.MaxTrailer) || !bytes.Equal(it.Key(), k) {
						t.Errorf("SeekGE(%q) at %q", k, it.Key())
						return
					}
					for last, steps := k, 0; it.Next() && steps < 20; steps++ {
						if bytes.Compare(last, it.Key()) >= 0 {
							t.Errorf("%q after %q", it.Key(), last)
							return
						}
						last = it.Key()
					}
				} else if it.SeekLT(k) {
					for last, steps := k, 0; it.Valid() && steps < 20; steps++ {
						if bytes.Compare(last, it.Key()) <= 0 {
							t.Errorf("%q before %q", it.Key(), last)
							return
						}
						last = it.Key()
						it.Prev()
					}
				}
				if s := mt.Spans(); len(s) > 0 {
					last := s[len(s)-1]
					if got := mt.CoverSeq(last.Start, key.MaxSeq); got < last.Seq {
						t.Errorf("covered at %d, not %d", got, last.Seq)
						return
					}
				}
			}
		})
	}
	for i, o := range order {
		if err := mt.Add(uint64(i+1), key.Set, name(o), name(o)); err != nil {
			t.Fatal(err)
		}
		if i%50 == 0 {
			if err := mt.Add(uint64(i+1), key.RangeDelete, name(o), append(name(o), 0)); err != nil {
				t.Fatal(err)
			}
		}
		published.Store(int64(i + 1))
	}
	wg.Wait()
}

func TestReadsDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	mt := memtable.New(1 << 20)
	k := make([]byte, 16)
	for i := range 1000 {
		binary.BigEndian.PutUint64(k, uint64(i)*7919)
		require.NoError(t, mt.Add(uint64(i+1), key.Set, k, k))
		if i%10 == 0 {
			require.NoError(t, mt.Add(uint64(i+1), key.RangeDelete, k, append(k, 0)))
		}
	}
	it := mt.Iter()
	require.Zero(t, testing.AllocsPerRun(100, func() {
		mt.Get(k, 500)
		mt.CoverSeq(k, 500)
		it.SeekGE(k, key.MaxTrailer)
		it.Prev()
	}))
	seq := uint64(5000)
	big := memtable.New(1 << 20)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		seq++
		_ = big.Add(seq, key.Set, k, k)
	}))
}
