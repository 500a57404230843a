package vclock

import (
	"fmt"
	"testing"
)

// benchVectors are two versions of one key: the second has one event more.
func benchVectors(actors int) (v, w Vector) {
	for n := range actors {
		v.Add(Dot{Actor(n)*0x9e3779b97f4a7c15 + 1, uint64(n + 1)})
	}
	w = v
	w.Add(Dot{1, 2})
	return v, w
}

func BenchmarkCompare(b *testing.B) {
	for _, n := range []int{3, 10, 100} {
		v, w := benchVectors(n)
		ve, _ := v.MarshalBinary()
		we, _ := w.MarshalBinary()
		b.Run(fmt.Sprintf("vectors/actors=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				v.Compare(w)
			}
		})
		b.Run(fmt.Sprintf("encoded/actors=%d", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := CompareEncoded(ve, we); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	v, _ := benchVectors(3)
	buf, _ := v.MarshalBinary()
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf, _ = v.AppendBinary(buf[:0])
		}
	})
	b.Run("unmarshal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := v.UnmarshalBinary(buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkSetPut(b *testing.B) {
	_, ctx := benchVectors(3)
	var s Set[int]
	_ = s.Put(ctx, Dot{7, 1}, 1)
	read := s.Context()
	b.ReportAllocs()
	for b.Loop() {
		x := s
		if err := x.Put(read, Dot{7, 2}, 2); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSetMerge(b *testing.B) {
	_, ctx := benchVectors(3)
	var old Set[int]
	_ = old.Put(ctx, Dot{7, 1}, 1)
	newer, beside := old, old
	_ = newer.Put(old.Context(), Dot{7, 2}, 2)
	_ = beside.Put(old.Context(), Dot{8, 1}, 3)
	for _, m := range []struct {
		name string
		s, o Set[int]
	}{{"same", newer, newer}, {"newer", old, newer}, {"siblings", newer, beside}} {
		b.Run(m.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				x := m.s
				x.Merge(m.o)
			}
		})
	}
}

func BenchmarkSetEncode(b *testing.B) {
	_, ctx := benchVectors(3)
	var s Set[[]byte]
	_ = s.Put(ctx, Dot{7, 1}, make([]byte, 100))
	enc := func(b, v []byte) []byte { return append(b, v...) }
	dec := func(b []byte) ([]byte, error) { return b, nil }
	buf := AppendSet(nil, &s, enc)
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf = AppendSet(buf[:0], &s, enc)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := DecodeSet(buf, dec); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkClock(b *testing.B) {
	c := NewClock(ClockOptions{})
	b.Run("alone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := c.Now(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := c.Now(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}
