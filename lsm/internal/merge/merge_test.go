package merge

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
	"github.com/ashlar-go/ashlar/lsm/internal/memtable"
)

type entry struct {
	k []byte
	t key.Trailer
}

func TestAgainstSortedSlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 0))
		var sources []key.Iterator
		var all []entry
		seq := uint64(0)
		for range rapid.IntRange(0, 5).Draw(t, "sources") {
			tb := memtable.New(1 << 16)
			for range r.IntN(40) {
				seq++
				k := fmt.Append(nil, r.IntN(30))
				tb.Add(seq, key.Set, k, nil)
				all = append(all, entry{k, key.Pack(seq, key.Set)})
			}
			sources = append(sources, tb.Iter())
		}
		slices.SortFunc(all, func(a, b entry) int { return key.Compare(a.k, a.t, b.k, b.t) })
		it := New(sources...)
		at := -1
		for range 150 {
			k := fmt.Append(nil, r.IntN(31))
			var ok bool
			switch r.IntN(8) {
			case 0:
				at, ok = min(0, len(all)-1), it.First()
			case 1:
				at, ok = len(all)-1, it.Last()
			case 2:
				tr := key.Newest(r.Uint64N(100))
				at = slices.IndexFunc(all, func(e entry) bool { return key.Compare(e.k, e.t, k, tr) >= 0 })
				ok = it.SeekGE(k, tr)
			case 3:
				for at = len(all) - 1; at >= 0 && bytes.Compare(all[at].k, k) >= 0; at-- {
				}
				ok = it.SeekLT(k)
			case 4, 5:
				if at >= 0 {
					if at++; at == len(all) {
						at = -1
					}
				}
				ok = it.Next()
			default:
				if at >= 0 {
					at--
				}
				ok = it.Prev()
			}
			if ok != (at >= 0) || it.Valid() != ok || ok && (it.Trailer() != all[at].t || !bytes.Equal(it.Key(), all[at].k)) {
				t.Fatalf("arrived %v, want entry %d of %d", ok, at, len(all))
			}
		}
		if it.Close() != nil {
			t.Fatal("Close")
		}
	})
}

// broken fails at its n-th move.
type broken struct {
	key.Iterator
	left int
	err  error
}

func (b *broken) Next() bool {
	if b.left--; b.left < 0 {
		b.err = errors.New("bad disk")
		return false
	}
	return b.Iterator.Next()
}

func (b *broken) Err() error { return b.err }

// An error of one source ends the walk; it is never mistaken for the source's end.
func TestErrorsEndTheWalk(t *testing.T) {
	a, b := memtable.New(1<<16), memtable.New(1<<16)
	for i := range uint64(10) {
		a.Add(i+1, key.Set, fmt.Append(nil, i), nil)
		b.Add(i+20, key.Set, fmt.Append(nil, i), nil)
	}
	it := New(a.Iter(), &broken{Iterator: b.Iter(), left: 3})
	n := 0
	for ok := it.First(); ok; ok = it.Next() {
		n++
	}
	require.ErrorContains(t, it.Err(), "bad disk")
	require.Less(t, n, 20)
	require.False(t, it.Next())
	require.True(t, it.First(), "a new seek starts afresh")
}

func BenchmarkNext(b *testing.B) {
	for _, n := range []int{1, 2, 5} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var sources []key.Iterator
			for s := range n {
				tb := memtable.New(4 << 20)
				for i := range uint64(20_000) {
					tb.Add(i*8+uint64(s)+1, key.Set, fmt.Appendf(nil, "%016d", (i*8+uint64(s))*2654435761%1e9), nil)
				}
				sources = append(sources, tb.Iter())
			}
			it := New(sources...)
			for b.Loop() {
				if !it.Next() {
					it.First()
				}
			}
		})
	}
}
