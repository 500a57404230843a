package neardup

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// prose is made of words of the usual lengths.
func prose(n int) []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for b.Len() < n {
		for range 2 + rng.IntN(4) + rng.IntN(5) {
			b.WriteByte(byte('a' + rng.IntN(26)))
		}
		b.WriteByte(' ')
	}
	return []byte(b.String()[:n])
}

func BenchmarkSum(b *testing.B) {
	for _, n := range []int{1 << 10, 64 << 10} {
		text := prose(n)
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.SetBytes(int64(n))
			b.ReportAllocs()
			for b.Loop() {
				Sum(text)
			}
		})
		b.Run(fmt.Sprintf("%d/plain", n), func(b *testing.B) { // the usual loop, on the same pairs
			b.SetBytes(int64(n))
			for b.Loop() {
				var count [64]int32
				var prev uint64
				for i := 0; i < n; i++ {
					k := wordLen(text[i:], 0)
					if k == 0 {
						continue
					}
					w := hashBytes(text, i, k)
					x := pairHash(prev, w)
					for bit := range count {
						count[bit] += int32(x>>bit&1)*2 - 1
					}
					prev = w
					i += k
				}
			}
		})
	}
}

func BenchmarkIndex(b *testing.B) {
	for _, n := range []int{1000, 100_000, 10_000_000} {
		if n > 100_000 && testing.Short() {
			continue
		}
		rng := rand.New(rand.NewPCG(1, 2))
		var x Index
		for i := range n {
			x.add(rng.Uint64(), uint64(i))
		}
		b.Run(fmt.Sprintf("near/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				for range x.Near(rng.Uint64(), MaxDistance) {
				}
			}
		})
		b.Run(fmt.Sprintf("add/%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for i := uint64(0); b.Loop(); i++ {
				x.AddNew(rng.Uint64(), i)
			}
		})
	}
}
