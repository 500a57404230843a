package bloom

import (
	"fmt"
	"math"
	"math/rand/v2"
	"sync"
	"testing"

	standard "github.com/bits-and-blooms/bloom/v3"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// keys and strangers are disjoint streams of hashes.
func key(i int) uint64      { return mix(uint64(i)) }
func stranger(i int) uint64 { return mix(1<<63 | uint64(i)) }

func TestHashIsFrozen(t *testing.T) {
	// Published vectors of xxHash64 with seed 0.
	require.Equal(t, uint64(0xef46db3751d8e999), Hash(nil))
	require.Equal(t, uint64(0xd24ec4f1a98c6e5b), Hash([]byte("a")))
	require.Equal(t, uint64(0x44bc2cf5ad770999), HashString("abc"))
}

// filter is what all kinds have in common once built.
type filter interface {
	Set
	Bits() int
}

// build makes each kind of filter from the first n keys.
func build(t testing.TB, n int, fpr float64) map[string]filter {
	f, co, ct, sc := New(n, fpr), NewConcurrent(n, fpr), NewCounting(n, fpr), NewScalable(max(n/16, 1), fpr)
	var b Builder
	for i := range n {
		f.AddHash(key(i))
		co.AddHash(key(i))
		ct.AddHash(key(i))
		sc.AddHash(key(i))
		b.AddHash(key(i))
	}
	f8, err := b.Fuse(8)
	require.NoError(t, err)
	f16, err := b.Fuse(16)
	require.NoError(t, err)
	return map[string]filter{"Filter": f, "Concurrent": co, "Counting": ct, "Scalable": sc, "Fuse8": f8, "Fuse16": f16, "Blocked": b.Blocked(12)}
}

func TestNoFalseNegatives(t *testing.T) {
	for _, n := range []int{0, 1, 2, 3, 10, 100, 1000, 50_000} {
		for name, f := range build(t, n, 0.01) {
			for i := range n {
				require.True(t, f.HasHash(key(i)), "%s of %d keys lost key %d", name, n, i)
			}
		}
	}
}

// The measured rate lies within 5 % of the prediction and, at the stated load, at or
// below the target. Enough strangers are asked, of enough filters, that chance moves the
// measurement by well under the tolerance: a rate p measured by q questions has a
// relative deviation of 1/sqrt(p q), here under 0.5 %.
func TestRateMatchesPrediction(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the rate of large filters takes seconds")
	}
	for _, tc := range []struct {
		n       int
		fpr     float64
		filters int
	}{{1_000, 0.05, 60}, {1_000, 0.01, 200}, {10_000, 0.01, 30}, {100_000, 0.01, 4}, {1_000_000, 0.01, 1}, {10_000_000, 0.01, 1}} {
		t.Run(fmt.Sprintf("n=%d fpr=%v", tc.n, tc.fpr), func(t *testing.T) {
			t.Parallel()
			questions := int(50_000/tc.fpr) / tc.filters
			var hits int
			var predicted, now float64
			for k := range tc.filters {
				f := New(tc.n, tc.fpr)
				base := uint64(k) << 32
				for i := range tc.n {
					f.AddHash(mix(base + uint64(i)))
				}
				for i := range questions {
					if f.HasHash(mix(1<<63 | base + uint64(i))) {
						hits++
					}
				}
				predicted = Rate(float64(tc.n), float64(f.lines))
				now += f.FPR() / float64(tc.filters)
				require.InEpsilon(t, tc.n, f.Len(), 0.005+2/math.Sqrt(float64(tc.n)), "estimate of the number of keys")
			}
			measured := float64(hits) / float64(questions*tc.filters)
			require.InEpsilon(t, predicted, measured, 0.05)
			require.InEpsilon(t, now, measured, 0.05, "FPR()")
			require.LessOrEqual(t, measured, tc.fpr*1.015, "target; chance accounts for the rest")
			require.LessOrEqual(t, predicted, tc.fpr)
		})
	}
}

func TestRateOfTheOthers(t *testing.T) {
	const n, questions = 20_000, 1_000_000
	for name, f := range build(t, n, 0.01) {
		hits := 0
		for i := range questions {
			if f.HasHash(stranger(i)) {
				hits++
			}
		}
		got := float64(hits) / questions
		want := map[string]float64{"Fuse8": 1.0 / 256, "Fuse16": 1.0 / 65536, "Blocked": 0.0042}[name]
		switch name {
		case "Fuse8", "Blocked":
			require.InEpsilon(t, want, got, 0.08, name)
		case "Fuse16":
			require.InDelta(t, want, got, 2e-5, name)
		case "Scalable":
			require.Less(t, got, 0.0105, name)
			require.InEpsilon(t, f.(*Scalable).FPR(), got, 0.1)
		default:
			require.InEpsilon(t, 0.01, got, 0.06, name)
		}
	}
}

func TestSpace(t *testing.T) {
	per := func(f filter, n int) float64 { return float64(f.Bits()) / float64(n) }
	require.Less(t, per(New(1_000_000, 0.01), 1_000_000), 10.2)
	require.Less(t, float64(NewClassic(1_000_000, 0.01).Bits())/1e6, 9.6)
	require.Less(t, per(NewCounting(1_000_000, 0.01), 1_000_000), 48.0)
	for n, most := range map[int]float64{10_000: 10.3, 1_000_000: 9.1} {
		var b Builder
		for i := range n {
			b.AddHash(key(i))
		}
		f, err := b.Fuse(8)
		require.NoError(t, err)
		require.Less(t, per(f, n), most)
	}
}

func TestArgumentsAreClamped(t *testing.T) {
	for _, n := range []int{math.MinInt, -1, 0, 1} {
		for _, fpr := range []float64{math.NaN(), math.Inf(-1), -1, 0, 1e-30, 0.5, 1, math.Inf(1)} {
			for _, f := range []interface {
				filter
				AddHash(uint64)
			}{New(n, fpr), NewBits(n, fpr), NewCounting(n, fpr)} {
				f.AddHash(7)
				require.True(t, f.HasHash(7))
			}
			NewClassic(n, fpr).Add(nil)
			NewScalable(n, fpr).AddHash(1)
			NewConcurrent(n, fpr).AddHash(1)
		}
	}
	var b Builder
	_, err := b.Fuse(9)
	require.ErrorIs(t, err, ErrMismatch)
	require.Zero(t, Rate(0, 10))
	require.Zero(t, Rate(10, 0))
	require.Equal(t, 1.0, Rate(1e9, 1))
}

func TestHasMany(t *testing.T) {
	f := New(1000, 0.05)
	for i := range 1000 {
		f.AddHash(key(i))
	}
	rapid.Check(t, func(t *rapid.T) {
		seed := rapid.Uint64().Draw(t, "seed")
		n := rapid.IntRange(0, 300).Draw(t, "hashes")
		r := rand.New(rand.NewPCG(seed, 0))
		hashes := make([]uint64, n)
		for i := range hashes {
			if hashes[i] = stranger(int(r.Int32())); r.IntN(2) == 0 {
				hashes[i] = key(r.IntN(1000))
			}
		}
		out := make([]uint64, rapid.IntRange(0, 6).Draw(t, "words"))
		for i := range out {
			out[i] = r.Uint64() // what was there must not matter
		}
		got, want := f.HasMany(hashes, out), 0
		for i, h := range hashes[:min(n, 64*len(out))] {
			has := f.HasHash(h)
			if has {
				want++
			}
			if out[i/64]>>(i%64)&1 == 1 != has {
				t.Fatalf("hash %d: HasMany and HasHash differ", i)
			}
		}
		if got != want {
			t.Fatalf("counted %d, want %d", got, want)
		}
	})
}

func TestUnionAndIntersect(t *testing.T) {
	a, b := New(2000, 0.01), New(2000, 0.01)
	for i := range 1000 {
		a.AddHash(key(i))
		b.AddHash(key(i + 500))
	}
	u := a.Clone()
	require.NoError(t, u.Union(b))
	x := a.Clone()
	require.NoError(t, x.Intersect(b))
	for i := range 1500 {
		require.True(t, u.HasHash(key(i)))
		if i >= 500 && i < 1000 {
			require.True(t, x.HasHash(key(i)))
		}
	}
	require.InDelta(t, 1500, u.Len(), 60)
	require.False(t, a.HasHash(key(1200)) && a.HasHash(key(1201)) && a.HasHash(key(1202)), "a clone is independent")
	require.ErrorIs(t, a.Union(New(1, 0.01)), ErrMismatch)
	require.ErrorIs(t, a.Intersect(New(1, 0.01)), ErrMismatch)
	require.ErrorIs(t, NewClassic(10, 0.1).Union(NewClassic(1000, 0.1)), ErrMismatch)
	u.Reset()
	require.Zero(t, u.Len())
	require.Zero(t, u.FPR())
}

func TestTestAndAdd(t *testing.T) {
	f := New(100, 1e-6)
	for i := range 100 {
		require.False(t, f.TestAndAddHash(key(i)))
		require.True(t, f.TestAndAddHash(key(i)))
	}
}

// Counting against a multiset: what is in is reported, what was added and removed again
// leaves no trace.
func TestCountingAgainstAMultiset(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := NewCounting(200, 0.001)
		want := map[uint64]int{}
		for range rapid.IntRange(0, 300).Draw(t, "steps") {
			h := key(rapid.IntRange(0, 40).Draw(t, "key"))
			if rapid.Bool().Draw(t, "remove") && want[h] > 0 {
				if !c.RemoveHash(h) {
					t.Fatal("a key that is there cannot be removed")
				}
				want[h]--
			} else if want[h] < 5 {
				c.AddHash(h)
				want[h]++
			}
		}
		for h, n := range want {
			if n > 0 && !c.HasHash(h) {
				t.Fatal("false negative")
			}
			for range n {
				c.RemoveHash(h)
			}
		}
		for _, w := range c.words {
			if w != 0 {
				t.Fatal("counters remain after every key was removed")
			}
		}
	})
}

func TestCountingSaturates(t *testing.T) {
	c := NewCounting(10, 0.01)
	for range 100 {
		c.AddHash(7)
	}
	for range 200 {
		c.RemoveHash(7)
	}
	require.True(t, c.HasHash(7), "a saturated counter is never taken back")
	require.False(t, c.RemoveHash(stranger(1)))
	c.Reset()
	require.False(t, c.HasHash(7))
}

func TestScalableGrows(t *testing.T) {
	s := NewScalable(100, 0.01)
	for i := range 20_000 {
		s.AddHash(key(i))
	}
	require.Greater(t, s.Stages(), 5)
	require.False(t, s.AddHash(key(1)))
	require.True(t, s.HasHash(key(19_999)))
	require.Less(t, s.FPR(), 0.01)
}

func TestFuseTakesDuplicates(t *testing.T) {
	var b Builder
	for range 3 {
		for i := range 1000 {
			b.AddHash(key(i))
		}
	}
	require.Equal(t, 3000, b.Len())
	f, err := b.Fuse(8)
	require.NoError(t, err)
	for i := range 1000 {
		require.True(t, f.HasHash(key(i)))
	}
	b.Reset()
	require.Zero(t, b.Len())
	f, err = b.Fuse(16)
	require.NoError(t, err)
	require.False(t, f.HasHash(1) && f.HasHash(2))
}

func TestConcurrentAddAndHas(t *testing.T) {
	const n, workers = 20_000, 4
	c := NewConcurrent(n, 0.01)
	var wg sync.WaitGroup
	var added [workers]int
	for w := range workers {
		wg.Go(func() {
			for i := range n {
				h := key((i + w*n/workers) % n)
				if c.AddHash(h) {
					added[w]++
				}
				if !c.HasHash(h) {
					t.Error("false negative after Add")
					return
				}
			}
		})
	}
	wg.Wait()
	total := 0
	for _, a := range added {
		total += a
	}
	require.GreaterOrEqual(t, total, n*98/100, "each key is new to at least one, but for false positives")
	s := c.Snapshot()
	for i := range n {
		require.True(t, s.HasHash(key(i)))
	}
	require.Equal(t, c.Bits(), s.Bits())
}

func TestClassicInteroperates(t *testing.T) {
	ours := NewClassic(1000, 0.01)
	for i := range 1000 {
		ours.AddString(fmt.Sprint(i))
	}
	b, err := ours.AppendStandard(nil)
	require.NoError(t, err)
	theirs := new(standard.BloomFilter)
	require.NoError(t, theirs.UnmarshalBinary(b))
	for i := range 1000 {
		require.True(t, theirs.TestString(fmt.Sprint(i)))
	}
	theirs.AddString("new")
	b, err = theirs.MarshalBinary()
	require.NoError(t, err)
	again, err := ParseStandard(b)
	require.NoError(t, err)
	require.True(t, again.HasString("new"))
	require.True(t, again.Has([]byte("7")))
	require.InDelta(t, 1001, again.Len(), 50)
	require.InDelta(t, 0.01, again.FPR(), 0.003)
	require.NoError(t, again.Union(ours))
	again.Reset()
	require.False(t, again.HasString("new"))
	for n := range b {
		_, err := ParseStandard(b[:n])
		require.ErrorIs(t, err, ErrCorrupt)
	}
	for _, bit := range []int{0, 63, 64 + 7, 128 + 40} { // sizes that cannot be
		c := append([]byte(nil), b...)
		c[bit/8] ^= 0x80 >> (bit % 8)
		_, err := ParseStandard(c)
		require.ErrorIs(t, err, ErrCorrupt, bit)
	}
}

func TestHotPathsDoNotAllocate(t *testing.T) {
	f, c, n := New(1000, 0.01), NewConcurrent(1000, 0.01), NewCounting(1000, 0.01)
	k, out := []byte("some key"), make([]uint64, 1)
	hashes := []uint64{1, 2, 3}
	require.Zero(t, testing.AllocsPerRun(100, func() {
		f.Add(k)
		f.Has(k)
		f.HasString("some key")
		f.HasMany(hashes, out)
		c.Add(k)
		c.Has(k)
		n.Add(k)
		n.Remove(k)
	}))
}
