package cache

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

func BenchmarkGet(b *testing.B) {
	for name, o := range map[string]Options[int, int]{
		"plain": {MaxEntries: 16384},
		"ttl":   {MaxEntries: 16384, TTL: time.Hour},
		"idle":  {MaxEntries: 16384, Idle: time.Hour},
		"count": {MaxEntries: 16384, CountHits: true},
		"lru":   {MaxEntries: 16384, Policy: LRU},
	} {
		b.Run(name, func(b *testing.B) {
			c := newCache(b, o)
			for i := range 16384 {
				c.Set(i, i)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				c.Get(i * 7919 & 16383)
			}
		})
	}
}

func BenchmarkGetParallel(b *testing.B) {
	c := newCache(b, Options[int, int]{MaxEntries: 16384})
	for i := range 16384 {
		c.Set(i, i)
	}
	b.RunParallel(func(pb *testing.PB) {
		for i := rand.IntN(16384); pb.Next(); i++ {
			c.Get(i * 7919 & 16383)
		}
	})
}

func BenchmarkSet(b *testing.B) {
	c := newCache(b, Options[int, int]{MaxEntries: 16384})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		c.Set(i&8191, i)
	}
}

func BenchmarkEvict(b *testing.B) {
	for _, n := range []int{16 << 10, 1 << 20} {
		for _, p := range allPolicies() {
			b.Run(fmt.Sprint(p, "/", n), func(b *testing.B) {
				c := newCache(b, Options[int, int]{MaxEntries: n, Policy: p})
				next := 0
				for ; next < n+n/8; next++ {
					c.Set(next, next)
				}
				b.ReportAllocs()
				for b.Loop() {
					c.Set(next, next)
					next++
				}
			})
		}
	}
}

func BenchmarkFetch(b *testing.B) {
	c := newCache(b, Options[int, int]{Load: func(_ context.Context, k int) (int, error) { return k, nil }})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := c.Fetch(b.Context(), i&1023); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBytes(b *testing.B) {
	c := newBytes(b, BytesOptions{MaxBytes: 16 << 20})
	key, val, dst := make([]byte, 16), make([]byte, 100), make([]byte, 0, 128)
	at := func(i int) []byte {
		le.PutUint64(key, uint64(i))
		return key
	}
	b.Run("set", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			_ = c.Set(at(i), val, 0)
		}
	})
	for i := range 10_000 {
		_ = c.Set(at(i), val, 0)
	}
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			dst, _ = c.Append(dst[:0], at(i%10_000))
		}
	})
}
