package snowflake

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"
)

// ample has so many ids a unit that the clock never holds it up: what is measured is the
// generator.
var ample = Layout{TimeBits: 40, NodeBits: 1, SeqBits: 22}

func newBench(b *testing.B, o Options) *Generator {
	b.Helper()
	g, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = g.Close() })
	return g
}

// BenchmarkClock is the floor: what one reading of the system's clocks costs.
func BenchmarkClock(b *testing.B) {
	b.Run("now", func(b *testing.B) {
		for b.Loop() {
			_ = time.Now()
		}
	})
	b.Run("since", func(b *testing.B) {
		base := time.Now()
		for b.Loop() {
			_ = time.Since(base)
		}
	})
}

func BenchmarkNext(b *testing.B) {
	for _, l := range []struct {
		name   string
		layout Layout
	}{{"classic", Classic}, {"wide", Wide}, {"ample", ample}} {
		b.Run(l.name, func(b *testing.B) {
			g := newBench(b, Options{Layout: l.layout})
			b.ReportAllocs()
			for b.Loop() {
				if _, err := g.Next(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("ample/parallel", func(b *testing.B) {
		g := newBench(b, Options{Layout: ample})
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := g.Next(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
	b.Run("ample/clock=time.Now", func(b *testing.B) {
		g := newBench(b, Options{Layout: ample, Now: time.Now})
		for b.Loop() {
			if _, err := g.Next(); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkFill(b *testing.B) {
	for _, n := range []int{1, 16, 1024} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			g := newBench(b, Options{Layout: ample})
			ids := make([]ID, n)
			b.ReportAllocs()
			for b.Loop() {
				if err := g.Fill(ids); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/id")
		})
	}
}

func BenchmarkEncoding(b *testing.B) {
	const id = ID(1_234_567_890_123_456_789)
	for e := Decimal; e <= Hex; e++ {
		text := e.Format(id)
		b.Run(e.String()+"/append", func(b *testing.B) {
			buf := make([]byte, 0, 32)
			b.ReportAllocs()
			for b.Loop() {
				buf = e.Append(buf[:0], id)
			}
		})
		b.Run(e.String()+"/parse", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Parse(text); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkVeil(b *testing.B) {
	v := newTestVeil(b, "order")
	b.Run("hide", func(b *testing.B) {
		b.ReportAllocs()
		for id := ID(0); b.Loop(); id++ {
			v.Hide(id)
		}
	})
	b.Run("reveal", func(b *testing.B) {
		b.ReportAllocs()
		for id := ID(0); b.Loop(); id++ {
			v.Reveal(id)
		}
	})
}

func BenchmarkTickets(b *testing.B) {
	s, err := NewStoreTickets(&MemStore{}, CounterOptions{Key: "n"})
	if err != nil {
		b.Fatal(err)
	}
	t := newTickets(b, TicketOptions{Sources: []TicketSource{s}, Block: 100_000})
	b.ReportAllocs()
	for b.Loop() {
		if _, err := t.Next(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFileMark(b *testing.B) {
	m := FileMark(filepath.Join(b.TempDir(), "mark"))
	if _, err := m.Load(b.Context()); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := m.Store(b.Context(), time.Now()); err != nil {
			b.Fatal(err)
		}
	}
}
