package vclock

import "testing"

func BenchmarkCompare(b *testing.B) {
	v, w := vec(Dot{1, 1}, Dot{2, 2}, Dot{3, 3}), vec(Dot{1, 1}, Dot{2, 2}, Dot{3, 4})
	ve, _ := v.MarshalBinary()
	we, _ := w.MarshalBinary()
	b.Run("vectors", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			v.Compare(w)
		}
	})
	b.Run("encoded", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := CompareEncoded(ve, we); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkSetMerge(b *testing.B) {
	var s Set[int]
	_ = s.Put(Vector{}, Dot{1, 1}, 1)
	o := s
	_ = o.Put(o.Context(), Dot{2, 1}, 2)
	b.ReportAllocs()
	for b.Loop() {
		x := s
		x.Merge(o)
	}
}

func BenchmarkClock(b *testing.B) {
	c := NewClock(ClockOptions{})
	b.Run("alone", func(b *testing.B) {
		for b.Loop() {
			if _, err := c.Now(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := c.Now(); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
}
