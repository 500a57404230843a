package merkle

import (
	"encoding/binary"
	"fmt"
	"testing"
)

func BenchmarkUpdate(b *testing.B) {
	for _, levels := range []int{3, 4} {
		b.Run(fmt.Sprintf("levels=%d", levels), func(b *testing.B) {
			c := newCounted(1_000_000, SyncOptions{Levels: levels})
			var key [16]byte
			i := uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				binary.LittleEndian.PutUint64(key[:], i%1_000_000)
				c.tree.Update(key[:], 1+i/1_000_000, 2+i/1_000_000)
				i++
			}
		})
	}
}

// BenchmarkUpdateViewed takes a view every thousand updates, as a busy store with many peers would.
func BenchmarkUpdateViewed(b *testing.B) {
	c := newCounted(1_000_000, SyncOptions{})
	var key [16]byte
	i := uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		if i%1000 == 0 {
			c.tree.View()
		}
		binary.LittleEndian.PutUint64(key[:], i%1_000_000)
		c.tree.Update(key[:], 1+i/1_000_000, 2+i/1_000_000)
		i++
	}
}

func BenchmarkBuildMillion(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		newCounted(1_000_000, SyncOptions{})
	}
}

func BenchmarkView(b *testing.B) {
	c := newCounted(1_000_000, SyncOptions{})
	key, i := []byte("key"), uint64(0)
	b.ReportAllocs()
	for b.Loop() {
		c.tree.Update(key, i, i+1)
		c.tree.View()
		i++
	}
}

// BenchmarkExchange includes the scan of a million generated keys on both sides.
func BenchmarkExchange(b *testing.B) {
	base := newCounted(1_000_000, SyncOptions{})
	for _, d := range []int{0, 1, 100, 10_000} {
		b.Run(fmt.Sprintf("differ=%d", d), func(b *testing.B) {
			other := base.change(b, d)
			b.ReportAllocs()
			bytes := 0
			for b.Loop() {
				x := NewSession(base.tree.View(), base, SessionOptions{})
				y := NewSession(other.tree.View(), other, SessionOptions{})
				if err := exchange(x, y); err != nil {
					b.Fatal(err)
				}
				bytes = x.Stats().Sent + x.Stats().Received
			}
			b.ReportMetric(float64(bytes), "wire-B/op")
		})
	}
}

func BenchmarkTree(b *testing.B) {
	const n = 100_000
	leaves := make([]Node, n)
	var data [64]byte
	for i := range leaves {
		binary.LittleEndian.PutUint64(data[:], uint64(i))
		leaves[i] = LeafHash(data[:])
	}
	tree := Build(leaves)
	root, proof := tree.Root(), make([]Node, 0, 64)
	b.Run("LeafHash", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			LeafHash(data[:])
		}
	})
	b.Run("Build", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Build(leaves)
		}
	})
	b.Run("Append", func(b *testing.B) {
		var t Tree
		b.ReportAllocs()
		for b.Loop() {
			t.Append(leaves[0])
		}
	})
	b.Run("Root", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			tree.Root()
		}
	})
	b.Run("Inclusion", func(b *testing.B) {
		b.ReportAllocs()
		i := uint64(0)
		for b.Loop() {
			proof, _ = tree.Inclusion(proof[:0], i%n)
			i++
		}
	})
	b.Run("VerifyInclusion", func(b *testing.B) {
		proof, _ = tree.Inclusion(proof[:0], 777)
		b.ReportAllocs()
		for b.Loop() {
			if VerifyInclusion(root, n, 777, leaves[777], proof) != nil {
				b.Fatal()
			}
		}
	})
	b.Run("Consistency", func(b *testing.B) {
		b.ReportAllocs()
		i := uint64(0)
		for b.Loop() {
			proof, _ = tree.Consistency(proof[:0], i%n)
			i++
		}
	})
	b.Run("VerifyConsistency", func(b *testing.B) {
		older, _ := tree.RootAt(77_777)
		proof, _ = tree.Consistency(proof[:0], 77_777)
		b.ReportAllocs()
		for b.Loop() {
			if VerifyConsistency(older, root, 77_777, n, proof) != nil {
				b.Fatal()
			}
		}
	})
}
