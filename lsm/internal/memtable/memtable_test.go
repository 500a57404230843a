package memtable

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

type entry struct {
	k, v []byte
	t    key.Trailer
}

func compare(a, b entry) int { return key.Compare(a.k, a.t, b.k, b.t) }

// fill adds n entries with few distinct keys and returns them in order.
func fill(tb *Table, r *rand.Rand, n int) []entry {
	var all []entry
	for i := range n {
		k := fmt.Appendf(nil, "%0*d", r.IntN(12), r.IntN(40))
		e := entry{k, fmt.Append(nil, i), key.Pack(uint64(i+1), key.Kind(r.IntN(3)))}
		tb.Add(e.t.Seq(), e.t.Kind(), e.k, e.v)
		all = append(all, e)
	}
	slices.SortFunc(all, compare)
	return all
}

func TestAgainstSortedSlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		tb := New(1 << 20)
		all := fill(tb, r, rapid.IntRange(0, 300).Draw(t, "n"))
		if tb.Len() != len(all) || tb.Empty() != (len(all) == 0) {
			t.Fatal("Len")
		}
		it := tb.Iter()
		at := -1 // where it should be, -1 for nowhere
		check := func(ok bool) {
			if ok != (at >= 0) || it.Valid() != ok {
				t.Fatalf("arrived %v, want %v", ok, at >= 0)
			}
			if ok && (!bytes.Equal(it.Key(), all[at].k) || it.Trailer() != all[at].t || !bytes.Equal(it.Value(), all[at].v)) {
				t.Fatalf("at %q·%d, want %q·%d", it.Key(), it.Trailer(), all[at].k, all[at].t)
			}
		}
		for range 200 {
			k := fmt.Appendf(nil, "%0*d", r.IntN(12), r.IntN(41))
			switch r.IntN(6) {
			case 0:
				if at = -1; len(all) > 0 {
					at = 0
				}
				check(it.First())
			case 1:
				at = len(all) - 1
				check(it.Last())
			case 2:
				tr := key.Newest(r.Uint64N(300))
				at = slices.IndexFunc(all, func(e entry) bool { return key.Compare(e.k, e.t, k, tr) >= 0 })
				check(it.SeekGE(k, tr))
			case 3:
				for at = len(all) - 1; at >= 0 && bytes.Compare(all[at].k, k) >= 0; at-- {
				}
				check(it.SeekLT(k))
			case 4:
				if at >= 0 {
					if at++; at == len(all) {
						at = -1
					}
				}
				check(it.Next())
			case 5:
				if at >= 0 {
					at--
				}
				check(it.Prev())
			}
			seq := r.Uint64N(310)
			i := slices.IndexFunc(all, func(e entry) bool { return bytes.Equal(e.k, k) && e.t.Seq() <= seq })
			v, tr, ok := tb.Get(k, seq)
			if ok != (i >= 0) || ok && (tr != all[i].t || !bytes.Equal(v, all[i].v)) {
				t.Fatalf("Get %q at %d", k, seq)
			}
		}
		if it.Err() != nil || it.Close() != nil {
			t.Fatal("error")
		}
	})
}

func TestCover(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		tb := New(1 << 20)
		var spans []key.Span
		for i := range rapid.IntRange(0, 120).Draw(t, "n") {
			s := key.Span{Start: []byte{byte(r.IntN(20))}, End: []byte{byte(r.IntN(20))}, Seq: uint64(i + 1)}
			spans = append(spans, s)
			tb.Add(s.Seq, key.RangeDelete, s.Start, s.End)
			k, limit := []byte{byte(r.IntN(20))}, r.Uint64N(130)
			var want uint64
			for _, s := range spans {
				if s.Seq <= limit && bytes.Compare(s.Start, k) <= 0 && bytes.Compare(k, s.End) < 0 {
					want = s.Seq
				}
			}
			if got := tb.CoverSeq(k, limit); got != want {
				t.Fatalf("%v at %d: %d, want %d", k, limit, got, want)
			}
			if got := key.NewCover(spans).Seq(k, limit); got != want {
				t.Fatalf("cover: %v at %d: %d, want %d", k, limit, got, want)
			}
			if got := key.NewCover(key.NewCover(spans).Spans()).Seq(k, limit); got != want {
				t.Fatal("fragments of fragments differ")
			}
		}
		if len(tb.Spans()) != len(spans) {
			t.Fatal("Spans")
		}
	})
}

// Readers run beside the writer and always see an ordered prefix-complete list: every
// entry that was added before they looked is there.
func TestReadersBesideTheWriter(t *testing.T) {
	const n = 20_000
	tb := New(8 << 20)
	var published atomic.Int64
	k := func(i int64) []byte { return fmt.Appendf(nil, "%08d", uint32(i)*2654435761) }
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for round := int64(0); published.Load() < n; round++ {
				upTo := published.Load()
				if upTo == 0 {
					continue
				}
				i := round % upTo
				if _, tr, ok := tb.Get(k(i), key.MaxSeq); !ok || tr.Seq() != uint64(i+1) {
					t.Errorf("entry %d of %d is missing", i, upTo)
					return
				}
				it := tb.Iter()
				if round%512 == 0 {
					seen := int64(0)
					var last []byte
					for ok := it.First(); ok; ok = it.Next() {
						if bytes.Compare(last, it.Key()) >= 0 {
							t.Error("out of order")
							return
						}
						last = it.Key()
						seen++
					}
					if seen < upTo {
						t.Errorf("saw %d of %d", seen, upTo)
						return
					}
				}
			}
		})
	}
	for i := range int64(n) {
		tb.Add(uint64(i+1), key.Set, k(i), []byte("v"))
		published.Store(i + 1)
	}
	wg.Wait()
}

func TestFits(t *testing.T) {
	tb := New(64 << 10)
	added := 0
	for k := make([]byte, 8); tb.Fits(Cost(len(k), 0), 1); added++ {
		tb.Add(uint64(added+1), key.Set, k, nil)
	}
	require.Greater(t, added, 100)
	big := make([]byte, 1<<20)
	tb = New(Cost(len(big), len(big)) + 100)
	require.True(t, tb.Fits(Cost(len(big), len(big)), 1))
	tb.Add(1, key.Set, big, big)
	v, _, ok := tb.Get(big, 1)
	require.True(t, ok)
	require.Len(t, v, len(big))
	require.EqualValues(t, 2<<20, tb.Size()>>20<<20)
}

func TestGetDoesNotAllocate(t *testing.T) {
	tb := New(1 << 20)
	tb.Add(1, key.Set, []byte("key"), []byte("value"))
	k := []byte("key")
	require.Zero(t, testing.AllocsPerRun(100, func() { tb.Get(k, 5); tb.CoverSeq(k, 5) }))
}

func BenchmarkAdd(b *testing.B) {
	for _, order := range []string{"random", "ascending"} {
		b.Run(order, func(b *testing.B) {
			tb := New(64 << 20)
			k, v := make([]byte, 16), make([]byte, 100)
			b.ReportAllocs()
			for i := uint64(1); b.Loop(); i++ {
				if !tb.Fits(Cost(len(k), len(v)), 1) {
					b.StopTimer()
					tb = New(64 << 20)
					b.StartTimer()
				}
				x := i
				if order == "random" {
					x *= 0x9e3779b97f4a7c15
				}
				for j := range 8 {
					k[j] = byte(x >> (56 - 8*j))
				}
				tb.Add(i, key.Set, k, v)
			}
		})
	}
}
