package cache

import (
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
