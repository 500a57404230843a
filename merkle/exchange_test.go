package merkle

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

// replica is a naive store: the oracle's side of a Sync.
type replica struct {
	*Sync
	items map[string]uint64
	scans int
	err   error // yielded after half of a scan
}

func newReplica(o SyncOptions) *replica {
	return &replica{Sync: NewSync(o), items: map[string]uint64{}}
}

func (r *replica) put(key string, version uint64) {
	r.Update([]byte(key), r.items[key], version)
	if r.items[key] = version; version == 0 {
		delete(r.items, key)
	}
}

func (r *replica) Items(leaves []uint32) iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		r.scans++
		n := 0
		var buf []byte // reused, as a store would
		for k, v := range r.items {
			if n++; r.err != nil && n > len(r.items)/2 {
				yield(Item{}, r.err)
				return
			}
			buf = append(buf[:0], k...)
			if _, ok := slices.BinarySearch(leaves, r.Leaf(buf)); ok && !yield(Item{buf, v}, nil) {
				return
			}
		}
		if r.err != nil {
			yield(Item{}, r.err)
		}
	}
}

func (r *replica) session(o SessionOptions) *Session { return NewSession(r.View(), r, o) }

// exchange carries frames between two sessions until both are done.
func exchange(a, b *Session) error {
	for out := a.Start(); out != nil; {
		in, err := b.Step(out)
		if err != nil {
			return fmt.Errorf("b: %w", err)
		}
		if out, err = a.Step(in); err != nil {
			return fmt.Errorf("a: %w", err)
		}
	}
	if !a.Done() || !b.Done() {
		return errors.New("not done")
	}
	return nil
}

// difference is the definition: every key whose versions differ, as seen from a.
func difference(a, b map[string]uint64) map[string][2]uint64 {
	out := map[string][2]uint64{}
	for k, v := range a {
		if b[k] != v {
			out[k] = [2]uint64{v, b[k]}
		}
	}
	for k, v := range b {
		if a[k] != v {
			out[k] = [2]uint64{a[k], v}
		}
	}
	return out
}

// requireDiffs holds what a session found against the definition.
func requireDiffs(t require.TestingT, s *Session, local, remote *replica) {
	want := difference(local.items, remote.items)
	names := map[uint64]string{}
	for k := range want {
		names[local.Hash([]byte(k))] = k
	}
	last := uint64(0)
	for d := range s.Diffs() {
		k, ok := names[d.Hash]
		require.True(t, ok, "an invented or repeated difference: %+v", d)
		delete(names, d.Hash)
		require.Equal(t, want[k], [2]uint64{d.Local, d.Remote}, k)
		if d.Local == 0 {
			require.Nil(t, d.Key)
		} else {
			require.NotNil(t, d.Key)
			require.Equal(t, k, string(d.Key))
		}
		require.LessOrEqual(t, last, d.Hash)
		last = d.Hash
	}
	require.Empty(t, names, "missed")
	require.Equal(t, len(want), s.Stats().Diffs)
}

// twins returns two replicas of n equal items that differ in d more: changed, only here, only there.
func twins(o SyncOptions, rng *rand.Rand, n, d int) (*replica, *replica) {
	a, b := newReplica(o), newReplica(o)
	for range n {
		k, v := fmt.Sprintf("k%d", rng.Uint64()), rng.Uint64()|1
		a.put(k, v)
		b.put(k, v)
	}
	for range d {
		k, v := fmt.Sprintf("d%d", rng.Uint64()), rng.Uint64()|1
		switch rng.IntN(3) {
		case 0:
			a.put(k, v)
			b.put(k, v+1)
		case 1:
			a.put(k, v)
		case 2:
			b.put(k, v)
		}
	}
	return a, b
}

// TestDiffsAreTheDifference runs random pairs of sets through random geometries and limits.
func TestDiffsAreTheDifference(t *testing.T) {
	pairs := 6_000
	if testing.Short() || raceEnabled {
		pairs = 1_000
	}
	for seed := range uint64(pairs) {
		rng := rand.New(rand.NewPCG(seed, 1))
		o := SyncOptions{Levels: 1 + rng.IntN(4), Fanout: 1 << (1 + rng.IntN(4)), Seed: [2]uint64{seed, 7}}
		a, b := twins(o, rng, rng.IntN(60), rng.IntN(1<<rng.IntN(7)))
		sa, sb := a.session(SessionOptions{MaxFrame: minFrame}), b.session(SessionOptions{})
		require.NoError(t, exchange(sa, sb), "seed %d", seed)
		requireDiffs(t, sa, a, b)
		requireDiffs(t, sb, b, a)
		require.LessOrEqual(t, a.scans, 1)
		require.LessOrEqual(t, b.scans, 1)
		require.Equal(t, sa.Stats().Sent, sb.Stats().Received)
		require.Equal(t, sb.Stats().Sent, sa.Stats().Received)
		require.Equal(t, sa.Stats().RoundTrips, sb.Stats().RoundTrips)
	}
}

// TestLargeDifferences makes levels, runs and answers exceed a frame many times over.
func TestLargeDifferences(t *testing.T) {
	for _, fan := range []int{2, 16, 256} {
		for _, c := range []struct{ equal, onlyA, onlyB, both int }{
			{0, 9000, 0, 0}, {0, 0, 9000, 0}, {0, 0, 0, 9000}, {3000, 2000, 2000, 2000}, {9000, 0, 0, 1}, {9000, 0, 300, 0},
		} {
			for _, levels := range []int{1, 2, 8} {
				o := SyncOptions{Levels: levels, Fanout: fan}
				a, b := newReplica(o), newReplica(o)
				for i := range c.equal {
					a.put(fmt.Sprint("e", i), 5)
					b.put(fmt.Sprint("e", i), 5)
				}
				for i := range c.onlyA {
					a.put(fmt.Sprint("a", i), uint64(i+1))
				}
				for i := range c.onlyB {
					b.put(fmt.Sprint("b", i), uint64(i+1))
				}
				for i := range c.both {
					a.put(fmt.Sprint("x", i), uint64(i+1))
					b.put(fmt.Sprint("x", i), uint64(i+2))
				}
				sa, sb := a.session(SessionOptions{}), b.session(SessionOptions{MaxFrame: minFrame})
				largest := 0
				for out := sa.Start(); out != nil; {
					in, err := sb.Step(out)
					require.NoError(t, err)
					largest = max(largest, len(out), len(in))
					out, err = sa.Step(in)
					require.NoError(t, err)
				}
				require.True(t, sa.Done() && sb.Done())
				require.LessOrEqual(t, largest, minFrame)
				requireDiffs(t, sa, a, b)
				requireDiffs(t, sb, b, a)
			}
		}
	}
}

// TestMaxDiffs ends early, on both sides with the same truth, and repeated repair converges.
func TestMaxDiffs(t *testing.T) {
	for _, limit := range []int{1, 3, 16, 17, 100, 1000} {
		a, b := twins(SyncOptions{Levels: 3}, rand.New(rand.NewPCG(2, 2)), 2000, 150)
		rounds := 0
		for more := true; more; rounds++ {
			require.Less(t, rounds, 1000)
			before := difference(a.items, b.items)
			sa, sb := a.session(SessionOptions{MaxDiffs: limit}), b.session(SessionOptions{MaxDiffs: 5000})
			require.NoError(t, exchange(sa, sb))
			da, db := slices.Collect(sa.Diffs()), slices.Collect(sb.Diffs())
			require.Equal(t, len(da), len(db))
			require.LessOrEqual(t, len(da), limit)
			require.NotEmpty(t, da)
			require.LessOrEqual(t, sa.Stats().Leaves, limit, "no more is opened than can be reported")
			require.Equal(t, sa.Stats().Leaves, sb.Stats().Leaves)
			more = sa.Stats().More
			require.Equal(t, more, sb.Stats().More)
			require.Equal(t, more, len(before) > len(da))
			for i, d := range da {
				require.Equal(t, [3]uint64{d.Hash, d.Local, d.Remote}, [3]uint64{db[i].Hash, db[i].Remote, db[i].Local})
				name := string(d.Key)
				if d.Key == nil {
					name = string(db[i].Key)
				}
				require.Equal(t, before[name], [2]uint64{d.Local, d.Remote})
				a.put(name, 77)
				b.put(name, 77)
			}
		}
		require.Equal(t, a.Root(), b.Root())
		require.Empty(t, difference(a.items, b.items))
	}
}

// TestEqualTrees costs one round trip and less than a network packet's headers.
func TestEqualTrees(t *testing.T) {
	a, b := twins(SyncOptions{Seed: [2]uint64{1, 2}}, rand.New(rand.NewPCG(3, 3)), 1000, 0)
	o := SessionOptions{MaxFrame: 1 << 30, MaxDiffs: 1 << 30}
	sa, sb := a.session(o), b.session(o)
	require.NoError(t, exchange(sa, sb))
	require.LessOrEqual(t, sa.Stats().Sent+sa.Stats().Received, 64)
	require.Equal(t, 1, sa.Stats().RoundTrips)
	require.Zero(t, a.scans+b.scans, "equal trees read no item")
	require.Zero(t, sa.Stats().Diffs)

	empty := newReplica(SyncOptions{})
	sa, sb = empty.session(o), newReplica(SyncOptions{}).session(o)
	require.NoError(t, exchange(sa, sb))
}

// TestSharedHash has distinct keys with one hash: they are compared as one and all are reported.
func TestSharedHash(t *testing.T) {
	s := &Session{view: NewSync(SyncOptions{}).View()}
	g := s.view.geo
	c := &compare{}
	for _, it := range []struct {
		hash, version uint64
		key           string
	}{{5, 1, "x"}, {9, 2, "a"}, {9, 3, "b"}, {9, 4, "a"}, {11, 6, "y"}, {11, 7, "y"}} {
		from := len(c.keys)
		c.keys = append(c.keys, it.key...)
		c.items = append(c.items, held{entry{it.hash, it.version}, from, len(c.keys)})
	}
	c.group(g)
	require.Len(t, c.items, 3)
	require.Equal(t, uint64(1), c.items[0].version)
	require.Equal(t, g.join(g.join(0, 3), 4), c.items[1].version)
	require.Equal(t, g.join(g.join(0, 4), 3), c.items[1].version)
	require.Equal(t, uint64(7), c.items[2].version, "of a key told twice, the last")

	s.cmp = c
	for _, h := range c.items {
		s.differ(h, 0)
	}
	got := map[string]uint64{}
	for d := range s.Diffs() {
		got[string(d.Key)] = d.Local
	}
	require.Equal(t, map[string]uint64{"x": 1, "a": 4, "b": 3, "y": 7}, got)
	require.Equal(t, 3, c.found)
}

// TestFoldCollision plants equal folds below a node that differs: its children are all opened.
func TestFoldCollision(t *testing.T) {
	a, b := newReplica(SyncOptions{Levels: 2}), newReplica(SyncOptions{Levels: 2})
	a.put("k", 1)
	b.put("k", 2)
	// The roots differ, the rest of the trees is the same, as if folds collided.
	v := a.View()
	sa := NewSession(v, a, SessionOptions{})
	sb := NewSession(&View{geo: v.geo, root: v.root, sum: b.Root()}, b, SessionOptions{})
	require.NoError(t, exchange(sa, sb))
	requireDiffs(t, sa, a, b)
	requireDiffs(t, sb, b, a)
}

// TestWritesDuringExchange lets every frame be followed by writes to both stores and trees.
func TestWritesDuringExchange(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 4))
		a, b := twins(SyncOptions{Levels: 2}, rng, 200, 10)
		keys := slices.Sorted(maps.Keys(a.items))
		truth := difference(a.items, b.items)
		written := map[uint64]bool{}
		write := func() {
			for range rng.IntN(4) {
				k := keys[rng.IntN(len(keys))]
				written[a.Hash([]byte(k))] = true
				[]*replica{a, b}[rng.IntN(2)].put(k, rng.Uint64()|1)
			}
		}
		sa, sb := a.session(SessionOptions{}), b.session(SessionOptions{})
		for out := sa.Start(); out != nil; {
			write()
			in, err := sb.Step(out)
			require.NoError(t, err)
			write()
			out, err = sa.Step(in)
			require.NoError(t, err)
		}
		require.True(t, sa.Done() && sb.Done())
		seen := map[uint64]bool{}
		for d := range sa.Diffs() {
			require.False(t, seen[d.Hash])
			seen[d.Hash] = true
		}
		for k := range truth {
			h := a.Hash([]byte(k))
			require.True(t, seen[h] || written[h], "seed %d: %s missed", seed, k)
			delete(seen, h)
		}
		for h := range seen {
			require.True(t, written[h], "seed %d: a false difference that nobody wrote", seed)
		}
		// And in quiet, the next exchange is exact.
		sa, sb = a.session(SessionOptions{}), b.session(SessionOptions{})
		require.NoError(t, exchange(sa, sb))
		requireDiffs(t, sa, a, b)
	}
}

// TestSourceErrors surface on the side of the source and end the session.
func TestSourceErrors(t *testing.T) {
	broken := errors.New("disk on fire")
	for _, side := range []int{0, 1} {
		a, b := twins(SyncOptions{}, rand.New(rand.NewPCG(1, 1)), 100, 10)
		[]*replica{a, b}[side].err = broken
		sa, sb := a.session(SessionOptions{}), b.session(SessionOptions{})
		err := exchange(sa, sb)
		require.ErrorIs(t, err, broken)
		bad := []*Session{sa, sb}[side]
		require.False(t, bad.Done())
		_, err = bad.Step(nil)
		require.ErrorIs(t, err, broken, "and stays")
	}
}
