package ratelimit

import (
	"fmt"
	"testing"
	"time"
)

func BenchmarkLimiter(b *testing.B) {
	free, err := New(PerSecond(1_000_000_000))
	if err != nil {
		b.Fatal(err)
	}
	empty, err := New(PerHour(1))
	if err != nil {
		b.Fatal(err)
	}
	at := time.Now()
	for _, c := range []struct {
		name string
		do   func()
	}{
		{"clock", func() { _ = time.Since(free.start) }},
		{"allow", func() { free.Allow() }},
		{"take", func() { free.Take(1) }},
		{"deny", func() { empty.Allow() }},
		{"deny-told-the-time", func() { empty.AllowAt(at, 1) }},
		{"reserve-cancel", func() {
			if r, err := free.Reserve(1, time.Second); err == nil {
				r.Cancel()
			}
		}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.do()
			}
		})
		b.Run(c.name+"/parallel", func(b *testing.B) {
			b.RunParallel(func(p *testing.PB) {
				for p.Next() {
					c.do()
				}
			})
		})
	}
}

func BenchmarkKeyed(b *testing.B) {
	for _, a := range algorithms {
		for _, limits := range [][]Limit{{PerSecond(1000)}, {PerSecond(1000), PerMinute(10_000), PerHour(100_000)}} {
			k, err := NewKeyed[uint64](KeyedOptions{Limits: limits, Algorithm: a})
			if err != nil {
				b.Fatal(err)
			}
			b.Run(fmt.Sprintf("%v/%d", a, len(limits)), func(b *testing.B) {
				b.ReportAllocs()
				for i := uint64(0); b.Loop(); i++ {
					k.Take(i*7919%10_000, 1)
				}
			})
		}
	}
}

// BenchmarkNewKeys is an attack: each key comes once, the table is full.
func BenchmarkNewKeys(b *testing.B) {
	for _, full := range []OnFull{DenyNew, Evict} {
		k, err := NewKeyed[uint64](KeyedOptions{Limits: []Limit{PerHour(1)}, MaxKeys: 100_000, OnFull: full})
		if err != nil {
			b.Fatal(err)
		}
		for i := range uint64(100_000) {
			k.Allow(i)
		}
		b.Run([]string{"deny", "evict"}[full], func(b *testing.B) {
			b.ReportAllocs()
			for i := uint64(1 << 20); b.Loop(); i++ {
				k.Allow(i)
			}
		})
	}
}

func BenchmarkConcurrency(b *testing.B) {
	for _, a := range []Adaptation{Fixed, Vegas} {
		c, err := NewConcurrency(ConcurrencyOptions{Adaptation: a})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(a.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if p, ok := c.TryAcquire(); ok {
					p.Done(OK)
				}
			}
		})
	}
}
