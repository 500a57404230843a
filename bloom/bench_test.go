package bloom

import (
	"fmt"
	"testing"
)

var sizes = []int{10_000, 1_000_000, 10_000_000}

func BenchmarkAdd(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			f := New(n, 0.01)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				f.AddHash(key(i))
			}
		})
	}
}

func BenchmarkHas(b *testing.B) {
	for _, n := range sizes {
		f := New(n, 0.01)
		for i := range n {
			f.AddHash(key(i))
		}
		for name, ask := range map[string]func(int) uint64{"hit": func(i int) uint64 { return key(i % n) }, "miss": stranger} {
			b.Run(fmt.Sprintf("%d/%s", n, name), func(b *testing.B) {
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					f.HasHash(ask(i))
				}
			})
		}
		b.Run(fmt.Sprintf("%d/many", n), func(b *testing.B) {
			hashes, out := make([]uint64, 64), make([]uint64, 1)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if i%64 == 0 {
					for j := range hashes {
						hashes[j] = stranger(i + j)
					}
					f.HasMany(hashes, out)
				}
			}
		})
	}
}

func BenchmarkConcurrent(b *testing.B) {
	c := NewConcurrent(1_000_000, 0.01)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			c.AddHash(key(i))
			c.HasHash(stranger(i))
		}
	})
}

func BenchmarkFuse(b *testing.B) {
	const n = 1_000_000
	var bd Builder
	for i := range n {
		bd.AddHash(key(i))
	}
	f, err := bd.Fuse(8)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("build", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := bd.Fuse(8); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/key")
	})
	b.Run("has", func(b *testing.B) {
		for i := 0; b.Loop(); i++ {
			f.HasHash(stranger(i))
		}
	})
}
