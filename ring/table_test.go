package ring

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func mustTable(t testing.TB, o TableOptions, n ...Node) *Table {
	tb, err := NewTable(o, n...)
	require.NoError(t, err)
	return tb
}

// check holds a table to what it promises.
func check(t require.TestingT, tb *Table) {
	want := min(tb.o.Replicas, len(tb.nodes))
	for p := range tb.o.Partitions {
		owners := tb.Owners(p)
		require.Len(t, owners, want)
		for i, n := range owners {
			require.False(t, has(owners[:i], n.ID), "distinct owners")
		}
		fall := slices.Collect(tb.Fallbacks(p))
		require.Len(t, append(fall, owners...), len(tb.nodes))
	}
}

func TestTableBalance(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 5, 7, 10, 33, 100} {
		tb := mustTable(t, TableOptions{Partitions: 256}, nodes(n, 0)...)
		check(t, tb)
		replicas, primaries := tb.Load()
		require.LessOrEqual(t, slices.Max(replicas)-slices.Min(replicas), 1, "%d nodes", n)
		require.LessOrEqual(t, slices.Max(primaries)-slices.Min(primaries), 1, "primaries of %d nodes", n)
	}
	ns := nodes(5, 0)
	for i := range ns {
		ns[i].Weight = i + 1
	}
	tb := mustTable(t, TableOptions{Partitions: 512}, ns...)
	replicas, _ := tb.Load()
	for i, r := range replicas {
		exact := 512 * 3 * float64(i+1) / 15
		require.InDelta(t, min(exact, 512), r, 1.01)
	}
}

// One node more or less moves exactly what it gains or held.
func TestTableMovesTheLeast(t *testing.T) {
	for _, n := range []int{4, 5, 8, 20} {
		tb := mustTable(t, TableOptions{Partitions: 256}, nodes(n, 0)...)
		count := func(p *Plan) (moved int) {
			for tr := range p.Transfers() {
				require.False(t, has(tb.Owners(tr.Partition), tr.To.ID))
				moved++
			}
			return moved
		}
		add, err := tb.Plan(nodes(n+1, 0)...)
		require.NoError(t, err)
		check(t, add.Result())
		gained, _ := add.Result().Load()
		require.Equal(t, gained[n], count(add), "%d nodes and one more", n)
		require.Equal(t, tb.Epoch()+1, add.Result().Epoch())
		held, _ := tb.Load()
		remove, err := tb.Plan(nodes(n, 0)[1:]...)
		require.NoError(t, err)
		check(t, remove.Result())
		require.Equal(t, held[0], count(remove), "%d nodes and one less", n)
		nothing, err := tb.Plan(nodes(n, 0)...)
		require.NoError(t, err)
		require.Zero(t, count(nothing))
	}
}

func TestTableZones(t *testing.T) {
	for _, tc := range []struct{ n, z int }{{6, 3}, {9, 3}, {12, 4}, {7, 3}, {10, 5}, {6, 2}, {4, 2}} {
		tb := mustTable(t, TableOptions{Partitions: 128}, nodes(tc.n, tc.z)...)
		check(t, tb)
		most := (3 + tc.z - 1) / tc.z
		if tc.n%tc.z > 0 { // a zone's share by weight is more than one replica of each partition
			most++
		}
		for p := range 128 {
			count := map[string]int{}
			for _, o := range tb.Owners(p) {
				count[o.Zone]++
			}
			for _, c := range count {
				require.LessOrEqual(t, c, most, "%d nodes in %d zones", tc.n, tc.z)
			}
			// Stand-ins of other zones come first.
			last := false
			for f := range tb.Fallbacks(p) {
				near := count[f.Zone] > 0
				require.False(t, last && !near)
				last = near
			}
		}
	}
}

func TestTablePlansAtRandom(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := TableOptions{Partitions: 1 << rapid.IntRange(0, 6).Draw(t, "p"), Replicas: rapid.IntRange(1, 4).Draw(t, "r"), Seed: rapid.Uint64().Draw(t, "seed")}
		tb, err := NewTable(o, genNodes(t, 10)...)
		require.NoError(t, err)
		for range 4 {
			check(t, tb)
			p, err := tb.Plan(genNodes(t, 10)...)
			require.NoError(t, err)
			// Every transfer comes once, a partition moves one replica a step, and no
			// node has more to do than it may.
			limit := rapid.IntRange(1, 5).Draw(t, "limit")
			var all []Transfer
			for step := range p.Steps(limit) {
				busy, moving := map[string]int{}, map[int]bool{}
				for _, tr := range step {
					require.False(t, moving[tr.Partition])
					moving[tr.Partition] = true
					busy[tr.To.ID]++
					busy[tr.From.ID]++
				}
				delete(busy, "")
				for _, n := range busy {
					require.LessOrEqual(t, n, limit)
				}
				all = append(all, step...)
			}
			require.ElementsMatch(t, slices.Collect(p.Transfers()), all)
			tb = p.Result()
			// Within one of the share, unless a node cannot hold its share at all.
			replicas, _ := tb.Load()
			weights := 0.0
			for _, n := range tb.nodes {
				weights += float64(n.weight())
			}
			for i, n := range tb.nodes {
				share := float64(o.Partitions*min(o.Replicas, len(tb.nodes))) * float64(n.weight()) / weights
				if share > float64(o.Partitions) {
					return
				}
				_ = i
			}
			for i, n := range tb.nodes {
				share := float64(o.Partitions*min(o.Replicas, len(tb.nodes))) * float64(n.weight()) / weights
				require.Less(t, math.Abs(share-float64(replicas[i])), 1.001, "%s", n.ID)
			}
		}
	})
}

func TestTableWarnings(t *testing.T) {
	p, err := mustTable(t, TableOptions{Partitions: 16}).Plan(nodes(2, 0)...)
	require.NoError(t, err)
	require.Len(t, p.Warnings(), 1)
	p, err = mustTable(t, TableOptions{Partitions: 16}).Plan(nodes(4, 2)...)
	require.NoError(t, err)
	require.Contains(t, p.Warnings()[0], "2 zones for 3 replicas")
	p, err = mustTable(t, TableOptions{Partitions: 16}).Plan(nodes(6, 3)...)
	require.NoError(t, err)
	require.Empty(t, p.Warnings())
}

func TestBadTableOptions(t *testing.T) {
	for _, o := range []TableOptions{{Partitions: 3}, {Partitions: -4}, {Partitions: 1 << 21}, {Replicas: -1}, {Replicas: 1000}} {
		_, err := NewTable(o)
		require.ErrorIs(t, err, ErrOptions)
	}
	tb := mustTable(t, TableOptions{})
	require.Empty(t, tb.Owners(0))
	require.Nil(t, tb.Owners(-1))
	require.Nil(t, tb.Owners(1024))
	require.Empty(t, slices.Collect(tb.Fallbacks(5000)))
	require.Equal(t, TableOptions{Partitions: 1024, Replicas: 3}, tb.Options())
	one := mustTable(t, TableOptions{Partitions: 1}, nodes(3, 0)...)
	require.Zero(t, one.Partition("x"))
	require.Zero(t, one.PartitionOf([]byte("x")))
}

func TestTableEncoding(t *testing.T) {
	ns := nodes(5, 2)
	ns[1].Addr = "127.0.0.1:7000"
	ns[2].Weight = 0
	tb := mustTable(t, TableOptions{Partitions: 32, Seed: 9}, ns...)
	b, err := tb.MarshalBinary()
	require.NoError(t, err)
	var got Table
	require.NoError(t, got.UnmarshalBinary(b))
	require.Equal(t, *tb, got)
	for bit := range len(b) * 8 {
		b[bit/8] ^= 1 << (bit % 8)
		require.ErrorIs(t, got.UnmarshalBinary(b), ErrCorrupt, "bit %d", bit)
		b[bit/8] ^= 1 << (bit % 8)
	}
	for n := range b {
		require.ErrorIs(t, got.UnmarshalBinary(b[:n]), ErrCorrupt)
	}
	require.Equal(t, *tb, got, "a failed decode changes nothing")
}

func FuzzTable(f *testing.F) {
	tb, err := NewTable(TableOptions{Partitions: 4}, nodes(3, 2)...)
	if err != nil {
		f.Fatal(err)
	}
	b, _ := tb.MarshalBinary()
	f.Add(b[4 : len(b)-4])
	f.Fuzz(func(t *testing.T, body []byte) {
		// With a right checksum, so that the fuzzer gets past it.
		b := append([]byte(tableMagic), body...)
		b = appendSum(b)
		var tb Table
		if tb.UnmarshalBinary(b) != nil {
			return
		}
		for p := range tb.o.Partitions {
			tb.Owners(p)
		}
		again, _ := tb.MarshalBinary()
		var same Table
		if err := same.UnmarshalBinary(again); err != nil {
			t.Fatal(err)
		}
		if more, _ := same.MarshalBinary(); !bytes.Equal(again, more) {
			t.Fatal("not stable")
		}
	})
}

func appendSum(b []byte) []byte {
	sum := crc32.Checksum(b, castagnoli)
	return append(b, byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24))
}

func BenchmarkOwner(b *testing.B) {
	for _, n := range []int{10, 100} {
		r := mustNew(b, Options{}, nodes(n, 3)...)
		keys := make([]string, 1024)
		for i := range keys {
			keys[i] = fmt.Sprintf("user:%011d", i)
		}
		b.Run(fmt.Sprintf("owner/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r.Owner(keys[i&1023])
			}
		})
		b.Run(fmt.Sprintf("owners/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				r.Owners(keys[i&1023])
			}
		})
		b.Run(fmt.Sprintf("update/%d", n), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				if _, err := r.Update(func(e *Edit) { e.Put(Node{ID: "x", Weight: 1 + i%2}) }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkOthers(b *testing.B) {
	ns := nodes(100, 0)
	m, err := NewMaglev(0, ns...)
	require.NoError(b, err)
	rv := NewRendezvous(ns...)
	bd := NewBounded(mustNew(b, Options{}, ns...), 0.25)
	b.Run("jump", func(b *testing.B) {
		for i := uint64(0); b.Loop(); i++ {
			Jump(mix(i), 100)
		}
	})
	b.Run("maglev", func(b *testing.B) {
		for i := uint64(0); b.Loop(); i++ {
			m.Pick(mix(i))
		}
	})
	b.Run("rendezvous", func(b *testing.B) {
		for i := uint64(0); b.Loop(); i++ {
			rv.Pick(mix(i))
		}
	})
	b.Run("bounded", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			t, err := bd.Acquire("user:42")
			if err != nil {
				b.Fatal(err)
			}
			t.Release()
		}
	})
	b.Run("plan", func(b *testing.B) {
		tb := mustTable(b, TableOptions{Partitions: 1024}, nodes(10, 0)...)
		for b.Loop() {
			if _, err := tb.Plan(nodes(11, 0)...); err != nil {
				b.Fatal(err)
			}
		}
	})
}
