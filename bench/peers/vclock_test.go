package peers

import (
	"bytes"
	"encoding/gob"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/ashlar-go/ashlar/vclock"
)

// Version vectors beside the "map+gob baseline": a map from actor to counter, compared by
// looking every actor up on both sides and encoded with encoding/gob, which is what one
// writes without a library. It is written here, and no measure of any library; the
// libraries that work this way are not to be had from the module proxy. The hybrid clock
// stands beside the same arithmetic under a mutex, the "mutex baseline".

// mapVector is the baseline.
type mapVector map[uint64]uint64

func (v mapVector) compare(w mapVector) vclock.Order {
	var more, less bool
	for a, c := range v {
		more = more || c > w[a]
	}
	for a, c := range w {
		less = less || c > v[a]
	}
	switch {
	case more && less:
		return vclock.Concurrent
	case more:
		return vclock.After
	case less:
		return vclock.Before
	}
	return vclock.Equal
}

func (v mapVector) merge(w mapVector) {
	for a, c := range w {
		v[a] = max(v[a], c)
	}
}

func (v mapVector) encode(tb testing.TB) []byte {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(v); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func decodeMapVector(tb testing.TB, b []byte) (v mapVector) {
	if err := gob.NewDecoder(bytes.NewReader(b)).Decode(&v); err != nil {
		tb.Fatal(err)
	}
	return v
}

// vclockPair is two versions of one key over three actors, concurrent with each other, in
// both forms.
func vclockPair() (v, w vclock.Vector, mv, mw mapVector) {
	actors := [3]uint64{0x9e3779b97f4a7c15, 0xc2b2ae3d27d4eb4f, 0x165667b19e3779f9}
	mv, mw = mapVector{}, mapVector{}
	for i, a := range actors {
		mv[a], mw[a] = uint64(10+i), uint64(12-i)
		v.Add(vclock.Dot{Actor: vclock.Actor(a), Counter: mv[a]})
		w.Add(vclock.Dot{Actor: vclock.Actor(a), Counter: mw[a]})
	}
	return v, w, mv, mw
}

// TestVclockAgrees compares both sides over all pairs of small vectors, and prints what
// three actors take in bytes.
func TestVclockAgrees(t *testing.T) {
	numbered := func(n int) (v vclock.Vector, m mapVector) {
		m = mapVector{}
		for a := uint64(1); a <= 3; a, n = a+1, n/4 {
			if c := uint64(n % 4); c > 0 {
				v.Add(vclock.Dot{Actor: vclock.Actor(a), Counter: c})
				m[a] = c
			}
		}
		return v, m
	}
	for i := range 64 {
		for j := range 64 {
			v, m := numbered(i)
			w, n := numbered(j)
			if got, want := v.Compare(w), m.compare(n); got != want {
				t.Fatalf("%v and %v: %v, baseline %v", v, w, got, want)
			}
			v.Merge(w)
			m.merge(n)
			got := mapVector{}
			for d := range v.Dots() {
				got[uint64(d.Actor)] = d.Counter
			}
			if !maps.Equal(got, m) || !maps.Equal(decodeMapVector(t, m.encode(t)), m) {
				t.Fatalf("join: %v, baseline %v", v, m)
			}
		}
	}
	v, _, m, _ := vclockPair()
	b, err := v.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("three actors: ashlar %d bytes, map+gob baseline %d bytes", len(b), len(m.encode(t)))
}

func BenchmarkVclockCompare(b *testing.B) {
	v, w, m, n := vclockPair()
	x, _ := v.MarshalBinary()
	y, _ := w.MarshalBinary()
	gx, gy := m.encode(b), n.encode(b)
	b.Run("ashlar", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if v.Compare(w) != vclock.Concurrent {
				b.Fatal("wrong")
			}
		}
	})
	b.Run("map+gob_baseline", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if m.compare(n) != vclock.Concurrent {
				b.Fatal("wrong")
			}
		}
	})
	b.Run("encoded/ashlar", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if o, err := vclock.CompareEncoded(x, y); err != nil || o != vclock.Concurrent {
				b.Fatal("wrong")
			}
		}
	})
	b.Run("encoded/map+gob_baseline", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if decodeMapVector(b, gx).compare(decodeMapVector(b, gy)) != vclock.Concurrent {
				b.Fatal("wrong")
			}
		}
	})
}

func BenchmarkVclockEncode(b *testing.B) {
	v, _, m, _ := vclockPair()
	buf, _ := v.MarshalBinary()
	b.Run("ashlar", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf, _ = v.AppendBinary(buf[:0])
		}
		b.ReportMetric(float64(len(buf)), "bytes")
	})
	b.Run("map+gob_baseline", func(b *testing.B) {
		b.ReportAllocs()
		size := 0
		for b.Loop() {
			size = len(m.encode(b))
		}
		b.ReportMetric(float64(size), "bytes")
	})
}

func BenchmarkVclockDecode(b *testing.B) {
	v, _, m, _ := vclockPair()
	x, _ := v.MarshalBinary()
	gx := m.encode(b)
	b.Run("ashlar", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := v.UnmarshalBinary(x); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("map+gob_baseline", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			decodeMapVector(b, gx)
		}
	})
}

// mutexClock is the same clock as vclock.Clock, under a lock.
type mutexClock struct {
	mu   sync.Mutex
	last vclock.Timestamp
}

func (c *mutexClock) now() vclock.Timestamp {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = max(c.last+1, vclock.NewTimestamp(time.Now()))
	return c.last
}

func BenchmarkVclockClock(b *testing.B) {
	ours, theirs := vclock.NewClock(vclock.ClockOptions{}), &mutexClock{}
	b.Run("time.Now", func(b *testing.B) {
		for b.Loop() {
			time.Now()
		}
	})
	run := func(name string, now func()) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				now()
			}
		})
		b.Run("parallel/"+name, func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					now()
				}
			})
		})
	}
	run("ashlar", func() {
		if _, err := ours.Now(); err != nil {
			b.Error(err)
		}
	})
	run("mutex_baseline", func() { theirs.now() })
}
