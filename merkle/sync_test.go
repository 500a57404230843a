package merkle

import (
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// checkSums holds every sum of a view against the definition: the digests of the items below.
func checkSums(t require.TestingT, v *View, items map[string]uint64) {
	g := v.geo
	for level := 0; level <= g.Levels; level++ {
		want := map[uint32]Sum{}
		for k, version := range items {
			h := g.hash([]byte(k))
			i := uint32(0)
			if level > 0 {
				i = uint32(h >> (64 - level*g.bits))
			}
			want[i] = want[i].Plus(g.item(h, version))
		}
		if level == 0 {
			require.Equal(t, want[0], v.Root())
			continue
		}
		for i := range uint32(1) << (level * g.bits) {
			sums := v.children(level-1, i>>g.bits)
			require.Equal(t, want[i], child(sums, int(i)&(g.Fanout-1)), "level %d node %d", level, i)
		}
	}
	for leaf := range uint32(g.leaves()) {
		require.Equal(t, child(v.children(g.Levels-1, leaf>>g.bits), int(leaf)&(g.Fanout-1)), v.LeafSum(leaf))
	}
}

// TestSyncAgainstDefinition drives a tree by random changes, merges and views.
func TestSyncAgainstDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := SyncOptions{
			Levels: rapid.IntRange(1, 3).Draw(t, "levels"),
			Fanout: rapid.SampledFrom([]int{2, 4, 8}).Draw(t, "fanout"),
			Seed:   [2]uint64{rapid.Uint64().Draw(t, "seed"), 0},
		}
		r := newReplica(o)
		type snapshot struct {
			*View
			items map[string]uint64
		}
		var views []snapshot
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				items := map[string]uint64{}
				for k, v := range r.items {
					items[k] = v
				}
				views = append(views, snapshot{r.View(), items})
			case 1:
				other := newReplica(o)
				for range rapid.IntRange(0, 5).Draw(t, "others") {
					other.put("o"+rapid.String().Draw(t, "key"), 9)
				}
				for k := range r.items {
					other.put(k, 0)
				}
				for k, v := range other.items {
					r.items[k] = v
				}
				before := other.View()
				require.NoError(t, r.Add(other.Sync))
				require.Equal(t, before.Root(), other.Root())
				checkSums(t, other.View(), other.items)
			default:
				r.put(rapid.SampledFrom([]string{"", "a", "b", "c", "d", "e", "f"}).Draw(t, "key"), rapid.Uint64Range(0, 4).Draw(t, "version"))
			}
		}
		require.Equal(t, r.Root(), r.View().Root())
		checkSums(t, r.View(), r.items)
		for _, v := range views {
			checkSums(t, v.View, v.items)
		}
	})
}

func TestSyncOptions(t *testing.T) {
	for _, c := range []struct{ levels, fanout, wantLevels, wantFanout int }{
		{0, 0, 4, 16},
		{3, 16, 3, 16},
		{-5, -5, 1, 2},
		{1 << 30, 1 << 30, 2, 256},
		{3, 17, 3, 32},
		{100, 2, 20, 2},
		{9, 3, 9, 4},
		{6, 16, 5, 16},
	} {
		s := NewSync(SyncOptions{Levels: c.levels, Fanout: c.fanout})
		require.Equal(t, SyncOptions{Levels: c.wantLevels, Fanout: c.wantFanout}, s.Options())
		require.LessOrEqual(t, s.Leaves(), 1<<maxLeafBits)
		s.Update([]byte("k"), 0, 1)
		require.Less(t, int(s.Leaf([]byte("k"))), s.Leaves())
		require.Equal(t, s.Root(), s.View().LeafSum(s.Leaf([]byte("k"))))
		require.Zero(t, s.View().LeafSum(uint32(s.Leaves())))
		require.Equal(t, s.Options(), s.View().Options())
		require.Equal(t, s.Leaf([]byte("q")), s.View().Leaf([]byte("q")))
	}
}

// TestDoubleFoldShows is why sums are added and not XORed.
func TestDoubleFoldShows(t *testing.T) {
	a, b := NewSync(SyncOptions{}), NewSync(SyncOptions{})
	a.Update([]byte("k"), 0, 1)
	b.Update([]byte("k"), 0, 1)
	b.Update([]byte("k"), 0, 1)
	require.NotEqual(t, a.Root(), b.Root())
	b.Update([]byte("k"), 1, 0)
	require.Equal(t, a.Root(), b.Root())
	a.Update([]byte("k"), 1, 0)
	require.Zero(t, a.Root())
}

// TestSeedSeparates keeps digests of one seed from meaning anything under another.
func TestSeedSeparates(t *testing.T) {
	seen := map[Sum]bool{}
	leaves := map[uint32]bool{}
	for lo := range uint64(20) {
		for hi := range uint64(20) {
			s := NewSync(SyncOptions{Seed: [2]uint64{lo, hi}})
			s.Update([]byte("k"), 0, 1)
			require.False(t, seen[s.Root()])
			seen[s.Root()] = true
			leaves[s.Leaf([]byte("k"))] = true
		}
	}
	require.Greater(t, len(leaves), 350)
}

// TestDigestBalance looks for a bias in leaves, folds and digests, bit by bit.
func TestDigestBalance(t *testing.T) {
	const n = 1 << 14
	k := newKeys([2]uint64{})
	var ones [4][64]int
	for i := range uint64(n) {
		h := k.hash(fmt.Append(nil, i))
		s := k.item(h, 1+i%3)
		for j, w := range []uint64{h, s.Lo, s.Hi, k.fold(Sum{N: int64(i)})} {
			for b := range 64 {
				ones[j][b] += int(w >> b & 1)
			}
		}
	}
	for j := range ones {
		for b, c := range ones[j] {
			require.InDelta(t, n/2, c, 6*64, "word %d bit %d", j, b) // six deviations of sqrt(n)/2
		}
	}
}

func TestAddRefusesOtherGeometry(t *testing.T) {
	a := NewSync(SyncOptions{})
	a.Update([]byte("k"), 0, 1)
	before := a.Root()
	for _, o := range []SyncOptions{{Levels: 3}, {Fanout: 4}, {Seed: [2]uint64{0, 1}}} {
		require.ErrorIs(t, a.Add(NewSync(o)), ErrGeometry)
	}
	require.NoError(t, a.Add(nil))
	require.Equal(t, before, a.Root())
	require.NoError(t, a.Add(a), "with itself: everything twice, and no deadlock")
	require.Equal(t, before.Plus(before), a.Root())
}

// TestSelfCheck finds what was folded twice, or not at all, and mends it.
func TestSelfCheck(t *testing.T) {
	r, _ := twins(SyncOptions{Levels: 2}, rand.New(rand.NewPCG(5, 5)), 500, 0)
	drifts, err := r.SelfCheck(r)
	require.NoError(t, err)
	require.Empty(t, drifts)

	r.Update([]byte("twice"), 0, 3)
	r.put("twice", 3)
	r.items["never"] = 4
	twice, never := r.Leaf([]byte("twice")), r.Leaf([]byte("never"))
	require.NotEqual(t, twice, never)
	drifts, err = r.SelfCheck(r)
	require.NoError(t, err)
	leaves := []uint32{twice, never}
	slices.Sort(leaves)
	require.Len(t, drifts, 2)
	require.Equal(t, leaves, []uint32{drifts[0].Leaf, drifts[1].Leaf})

	drifts, err = r.SelfCheck(r, never, never)
	require.NoError(t, err)
	require.Len(t, drifts, 1)
	r.put("later", 8) // between check and correction
	r.Correct(drifts...)
	r.Correct(Drift{Leaf: 1 << 30, Stored: Sum{1, 1, 1}})
	drifts, err = r.SelfCheck(r)
	require.NoError(t, err)
	require.Len(t, drifts, 1)
	r.Correct(drifts...)
	checkSums(t, r.View(), r.items)

	_, err = r.SelfCheck(r, 256)
	require.ErrorIs(t, err, ErrRange)
	_, err = r.SelfCheck(nil)
	require.ErrorIs(t, err, ErrSession)
	r.err = errors.New("unreadable")
	_, err = r.SelfCheck(r)
	require.ErrorIs(t, err, r.err)
}

// TestSelfCheckLeavesOutWhatMoves has a write in the middle of the scan.
func TestSelfCheckLeavesOutWhatMoves(t *testing.T) {
	r := newReplica(SyncOptions{})
	r.put("k", 1)
	drifts, err := r.SelfCheck(SourceFunc(func([]uint32) iter.Seq2[Item, error] {
		return func(yield func(Item, error) bool) {
			r.put("k", 2)
			yield(Item{[]byte("k"), 2}, nil)
		}
	}))
	require.NoError(t, err)
	require.Empty(t, drifts)
}

// TestSyncConcurrently has writers, viewers and mergers at once; the race detector looks on.
func TestSyncConcurrently(t *testing.T) {
	s, want := NewSync(SyncOptions{Levels: 2}), NewSync(SyncOptions{Levels: 2})
	part := NewSync(SyncOptions{Levels: 2})
	part.Update([]byte("part"), 0, 1)
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range 500 {
				s.Update(fmt.Append(nil, w, " ", i), 0, uint64(i+1))
				want.Update(fmt.Append(nil, w, " ", i), 0, uint64(i+1))
				if i%50 == 0 {
					v := s.View()
					sum := Sum{}
					for leaf := range uint32(s.Leaves()) {
						sum = sum.Plus(v.LeafSum(leaf))
					}
					if sum != v.Root() {
						t.Error("a view is not one moment")
					}
				}
			}
		})
	}
	wg.Go(func() {
		for range 20 {
			if s.Add(part) != nil || want.Add(part) != nil {
				t.Error("add")
			}
		}
	})
	wg.Wait()
	require.Equal(t, want.Root(), s.Root())
	require.Equal(t, int64(2020), s.Root().N)
}
