package ring

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/internal/testkit"
)

// nodes makes n nodes in z zones.
func nodes(n, z int) []Node {
	out := make([]Node, n)
	for i := range out {
		out[i] = Node{ID: fmt.Sprintf("node-%03d", i), Weight: 1}
		if z > 0 {
			out[i].Zone = fmt.Sprintf("zone-%d", i%z)
		}
	}
	return out
}

func mustNew(t testing.TB, o Options, n ...Node) *Ring {
	r, err := New(o, n...)
	require.NoError(t, err)
	return r
}

// genNodes draws memberships with weights and zones.
func genNodes(t *rapid.T, most int) []Node {
	ids := rapid.SliceOfNDistinct(rapid.IntRange(0, 40), 0, most, rapid.ID[int]).Draw(t, "ids")
	zones := rapid.IntRange(1, 5).Draw(t, "zones")
	out := make([]Node, len(ids))
	for i, id := range ids {
		out[i] = Node{ID: fmt.Sprint("n", id), Zone: fmt.Sprint("z", id%zones), Weight: rapid.IntRange(0, 4).Draw(t, "weight")}
	}
	return out
}

// naiveOwners is the definition: points sorted, walk from the hash, distinct nodes, zones
// balanced among those that can still give a node.
func naiveOwners(v *View, h uint64, n int) []Node {
	pts := slices.Clone(v.points)
	slices.SortStableFunc(pts, func(a, b point) int { return cmp.Compare(a.at, b.at) })
	start := slices.IndexFunc(pts, func(p point) bool { return p.at >= h })
	if start < 0 {
		start = 0
	}
	var out []Node
	for len(out) < n && len(out) < len(v.nodes) {
		before := len(out)
		for i := range pts {
			c := v.nodes[pts[(start+i)%len(pts)].node]
			if has(out, c.ID) {
				continue
			}
			count := map[string]int{}
			for _, x := range v.nodes {
				if !has(out, x.ID) {
					count[x.Zone] += 0
				}
			}
			least := math.MaxInt
			for z := range count {
				k := 0
				for _, o := range out {
					if o.Zone == z {
						k++
					}
				}
				count[z] = k
				least = min(least, k)
			}
			if count[c.Zone] == least {
				out = append(out, c)
				break
			}
		}
		if len(out) == before {
			break
		}
	}
	return out
}

func TestViewAgainstDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ns := genNodes(t, 12)
		o := Options{VirtualNodes: rapid.IntRange(1, 20).Draw(t, "v"), Replicas: rapid.IntRange(1, 6).Draw(t, "r"), Seed: rapid.Uint64().Draw(t, "seed")}
		r, err := New(o, ns...)
		if err != nil {
			t.Fatal(err)
		}
		v := r.View()
		hashes := []uint64{0, 1, math.MaxUint64, math.MaxUint64 - 1}
		for _, p := range v.points {
			hashes = append(hashes, p.at, p.at+1, p.at-1)
		}
		for range 50 {
			hashes = append(hashes, rapid.Uint64().Draw(t, "h"))
		}
		for _, h := range hashes {
			want := naiveOwners(v, h, o.Replicas)
			if got := v.OwnersOf(h); !same(got, want) {
				t.Fatalf("at %x: %v, want %v", h, got, want)
			}
			walk := slices.Collect(v.Walk(h))
			if len(walk) != len(ns) || !same(walk[:len(want)], want) {
				t.Fatalf("walk at %x: %v", h, walk)
			}
			for i, n := range walk {
				if has(walk[:i], n.ID) {
					t.Fatal("walk repeats a node")
				}
			}
		}
		sum := 0.0
		for _, s := range v.Shares() {
			sum += s
		}
		if len(ns) > 0 && math.Abs(sum-1) > 1e-9 {
			t.Fatalf("shares add up to %v", sum)
		}
		// The order of the nodes does not matter.
		rand.Shuffle(len(ns), func(i, j int) { ns[i], ns[j] = ns[j], ns[i] })
		again, _ := New(o, ns...)
		if again.View().Fingerprint() != v.Fingerprint() {
			t.Fatal("placement depends on the order of nodes")
		}
	})
}

func TestZonesAreSpread(t *testing.T) {
	for n := 1; n <= 6; n++ {
		for z := 1; z <= 4; z++ {
			v := mustNew(t, Options{VirtualNodes: 32}, nodes(n, z)...).View()
			for _, p := range v.points {
				owners := v.OwnersOf(p.at)
				require.Len(t, owners, min(3, n))
				count := map[string]int{}
				for _, o := range owners {
					count[o.Zone]++
				}
				most := 0
				for _, c := range count {
					most = max(most, c)
				}
				zones := min(n, z)
				require.Equal(t, (min(3, n)+zones-1)/zones, most, "%d nodes in %d zones", n, z)
			}
		}
	}
}

func TestMovesAreExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := Options{VirtualNodes: rapid.IntRange(1, 12).Draw(t, "v"), Replicas: 3}
		r, err := New(o, genNodes(t, 8)...)
		if err != nil {
			t.Fatal(err)
		}
		next := genNodes(t, 8)
		c, err := r.Update(func(e *Edit) { e.Set(next...) })
		if err != nil {
			t.Fatal(err)
		}
		n := rapid.IntRange(1, 4).Draw(t, "n")
		moves := slices.Collect(c.Moves(n))
		for i, m := range moves {
			if m.First > m.Last || i > 0 && moves[i-1].Last >= m.First {
				t.Fatal("ranges overlap")
			}
			if i > 0 && moves[i-1].Last+1 == m.First && same(moves[i-1].From, m.From) && same(moves[i-1].To, m.To) {
				t.Fatal("ranges are not maximal")
			}
		}
		hashes := []uint64{0, math.MaxUint64}
		for _, v := range []*View{c.Old, c.New} {
			for _, p := range v.points {
				hashes = append(hashes, p.at, p.at+1)
			}
		}
		for range 200 {
			hashes = append(hashes, rapid.Uint64().Draw(t, "h"))
		}
		for _, h := range hashes {
			from, to := head(c.Old.OwnersOf(h), n), head(c.New.OwnersOf(h), n)
			i := slices.IndexFunc(moves, func(m Move) bool { return m.First <= h && h <= m.Last })
			if same(from, to) != (i < 0) {
				t.Fatalf("at %x: %v to %v, move %d", h, from, to, i)
			}
			if i >= 0 && (!same(moves[i].From, from) || !same(moves[i].To, to)) {
				t.Fatal("wrong owners in a move")
			}
		}
	})
}

func TestMovementIsMinimal(t *testing.T) {
	for name, edit := range map[string]func(*Edit){
		"add":    func(e *Edit) { e.Put(Node{ID: "new"}) },
		"remove": func(e *Edit) { e.Remove("node-003") },
		"weight": func(e *Edit) { e.Put(Node{ID: "node-003", Weight: 2}) },
		"same":   func(e *Edit) { e.Put(Node{ID: "node-003", Addr: "elsewhere:1"}) },
	} {
		r := mustNew(t, Options{}, nodes(10, 0)...)
		c, err := r.Update(edit)
		require.NoError(t, err)
		moved, least := c.Moved(1)
		require.InDelta(t, least, moved, 1e-9, name)
	}
}

func TestBalance(t *testing.T) {
	for n, most := range map[int]float64{10: 1.11, 100: 1.18} {
		sum := 0.0
		seeds := 20
		for seed := range seeds {
			peak := 0.0
			for _, s := range mustNew(t, Options{Seed: uint64(seed)}, nodes(n, 0)...).View().Shares() {
				peak = max(peak, s*float64(n))
			}
			sum += peak
		}
		require.Less(t, sum/float64(seeds), most, "%d nodes", n)
	}
	// Shares follow weights, however far apart they are.
	shares := map[string]float64{}
	for n, s := range mustNew(t, Options{}, Node{ID: "a", Weight: 1}, Node{ID: "b", Weight: 1000}, Node{ID: "c", Weight: 1 << 30}).View().Shares() {
		shares[n.ID] = s
	}
	require.Positive(t, shares["a"])
	require.Greater(t, shares["c"], 0.99)
}

// What a failed node leaves spreads over many others.
func TestFailureSpreads(t *testing.T) {
	r := mustNew(t, Options{}, nodes(20, 0)...)
	c, err := r.Update(func(e *Edit) { e.Remove("node-007") })
	require.NoError(t, err)
	takers := map[string]float64{}
	for m := range c.Moves(1) {
		takers[m.To[0].ID] += float64(m.Last - m.First)
	}
	require.GreaterOrEqual(t, len(takers), 15)
}

func TestGoldenPlacement(t *testing.T) {
	type vector struct {
		Seed   uint64
		Key    string
		Hash   uint64
		Owners []string
		Part   int
		Table  []string
		Jump   int
		Pick   string
	}
	b, err := os.ReadFile("testdata/placement.json")
	require.NoError(t, err)
	var want []vector
	require.NoError(t, json.Unmarshal(b, &want))
	require.NotEmpty(t, want)
	ids := func(ns []Node) (out []string) {
		for _, n := range ns {
			out = append(out, n.ID)
		}
		return out
	}
	for _, w := range want {
		members := nodes(7, 3)
		members[2].Weight = 3
		r := mustNew(t, Options{Seed: w.Seed}, members...)
		tb, err := NewTable(TableOptions{Partitions: 64, Seed: w.Seed}, members...)
		require.NoError(t, err)
		m, err := NewMaglev(0, members...)
		require.NoError(t, err)
		pick, _ := m.Pick(w.Hash)
		require.Equal(t, w, vector{
			w.Seed, w.Key, HashString(w.Seed, w.Key), ids(r.Owners(w.Key)), tb.Partition(w.Key),
			ids(tb.Owners(tb.Partition(w.Key))), Jump(w.Hash, 100), pick.ID,
		})
		require.Equal(t, w.Hash, Hash(w.Seed, []byte(w.Key)))
	}
}

func TestBadNodesAndOptions(t *testing.T) {
	for _, ns := range [][]Node{{{}}, {{ID: "a"}, {ID: "a"}}, {{ID: "a", Weight: -1}}, {{ID: "a", Weight: 1<<30 + 1}}} {
		_, err := New(Options{}, ns...)
		require.ErrorIs(t, err, ErrNodes)
		_, err = NewTable(TableOptions{}, ns...)
		require.ErrorIs(t, err, ErrNodes)
		_, err = NewMaglev(101, ns...)
		require.ErrorIs(t, err, ErrNodes)
	}
	for _, o := range []Options{{VirtualNodes: -1}, {Replicas: -1}, {VirtualNodes: 1 << 20}, {Replicas: 1000}} {
		_, err := New(o)
		require.ErrorIs(t, err, ErrOptions)
	}
	r := mustNew(t, Options{}, nodes(3, 0)...)
	before := r.View()
	_, err := r.Update(func(e *Edit) { e.Set(Node{ID: "x"}, Node{ID: "x"}) })
	require.ErrorIs(t, err, ErrNodes)
	require.Same(t, before, r.View(), "a refused update changes nothing")
}

func TestEmptyAndSmallRings(t *testing.T) {
	r := mustNew(t, Options{})
	_, ok := r.Owner("k")
	require.False(t, ok)
	require.Empty(t, r.Owners("k"))
	require.Empty(t, slices.Collect(r.View().Walk(7)))
	for range r.View().Shares() {
		t.Fatal("shares of nobody")
	}
	_, err := NewBounded(r, 0.1).Acquire("k")
	require.ErrorIs(t, err, ErrNoNodes)
	c, err := r.Update(func(e *Edit) { e.Put(Node{ID: "a"}); e.Remove("nobody") })
	require.NoError(t, err)
	moves := slices.Collect(c.Moves(3))
	require.Len(t, moves, 1)
	require.Equal(t, Range{0, math.MaxUint64}, moves[0].Range)
	require.Len(t, r.Owners("k"), 1, "more replicas than nodes: a short list")
	require.Equal(t, 1, r.View().Len())
	require.Len(t, r.View().Nodes(), 1)
}

// Lookups run beside updates and always see a whole view.
func TestLookupsBesideUpdates(t *testing.T) {
	r := mustNew(t, Options{VirtualNodes: 16}, nodes(5, 0)...)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				if n := len(r.Owners(fmt.Sprint(i))); n != 3 {
					t.Errorf("%d owners", n)
					return
				}
			}
		})
	}
	for i := range 200 {
		_, err := r.Update(func(e *Edit) {
			e.Put(Node{ID: fmt.Sprint("extra", i)})
			e.Remove(fmt.Sprint("extra", i-3))
		})
		require.NoError(t, err)
	}
	close(stop)
	wg.Wait()
}

func TestLookupsDoNotAllocate(t *testing.T) {
	r := mustNew(t, Options{}, nodes(10, 3)...)
	m, err := NewMaglev(0, nodes(10, 0)...)
	require.NoError(t, err)
	rv := NewRendezvous(nodes(10, 0)...)
	tb, err := NewTable(TableOptions{}, nodes(10, 3)...)
	require.NoError(t, err)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		r.Owner("some key")
		r.Owners("some key")
		m.Pick(42)
		rv.Pick(42)
		tb.Owners(tb.Partition("some key"))
	}))
}

func TestJump(t *testing.T) {
	require.Equal(t, -1, Jump(1, 0))
	require.Equal(t, -1, Jump(1, -5))
	require.Zero(t, Jump(1, 1))
	const keys = 20_000
	for n := 1; n < 20; n++ {
		count := make([]int, n+1)
		for i := range uint64(keys) {
			a, b := Jump(mix(i), n), Jump(mix(i), n+1)
			require.True(t, b == a || b == n, "a key moves to the new bucket or stays")
			count[b]++
		}
		for _, c := range count {
			require.InEpsilon(t, float64(keys)/float64(n+1), c, 0.2)
		}
	}
}

// TestRendezvousEqual: without logarithms the same node wins.
func TestRendezvousEqual(t *testing.T) {
	rng := testkit.Rand(t)
	for _, n := range []int{1, 2, 10, 100} {
		r := NewRendezvous(nodes(n, 0)...)
		for range 5000 {
			h := rng.Uint64()
			got, ok := r.Pick(h)
			require.True(t, ok)
			require.Equal(t, r.Owners(nil, h, 1)[0], got)
		}
	}
}

func TestRendezvous(t *testing.T) {
	r := NewRendezvous(Node{ID: "a"}, Node{ID: "b", Weight: 2}, Node{ID: "c", Weight: 5}, Node{ID: "a"}, Node{}, Node{ID: "d", Weight: -1})
	less := NewRendezvous(Node{ID: "a"}, Node{ID: "b", Weight: 2})
	count := map[string]float64{}
	const keys = 80_000
	for i := range uint64(keys) {
		n, ok := r.Pick(mix(i))
		require.True(t, ok)
		count[n.ID] += 8.0 / keys
		if n.ID != "c" {
			m, _ := less.Pick(mix(i))
			require.Equal(t, n, m, "only the keys of a node that went move")
		}
		owners := r.Owners(nil, mix(i), 2)
		require.Equal(t, n, owners[0])
		require.Len(t, owners, 2)
	}
	require.InDelta(t, 1, count["a"], 0.1)
	require.InDelta(t, 2, count["b"], 0.1)
	require.InDelta(t, 5, count["c"], 0.1)
	_, ok := NewRendezvous().Pick(1)
	require.False(t, ok)
	require.Empty(t, NewRendezvous().Owners(nil, 1, 3))
}

func TestMaglev(t *testing.T) {
	for _, size := range []int{-1, 1, 4, 100, 1<<26 + 1} {
		_, err := NewMaglev(size, nodes(2, 0)...)
		require.ErrorIs(t, err, ErrOptions)
	}
	_, err := NewMaglev(3, nodes(4, 0)...)
	require.ErrorIs(t, err, ErrNodes)
	empty, err := NewMaglev(0)
	require.NoError(t, err)
	_, ok := empty.Pick(1)
	require.False(t, ok)

	const n = 20
	m, err := NewMaglev(0, nodes(n, 0)...)
	require.NoError(t, err)
	count := make([]int, n)
	for _, s := range m.slots {
		count[s]++
	}
	require.LessOrEqual(t, slices.Max(count)-slices.Min(count), 1)
	less, err := NewMaglev(0, nodes(n-1, 0)...)
	require.NoError(t, err)
	moved := 0
	for i, s := range m.slots {
		if s != n-1 && less.slots[i] != s {
			moved++
		}
	}
	require.Less(t, float64(moved)/float64(len(m.slots)), 0.05, "besides its own, few slots change hands")
	w, err := NewMaglev(0, Node{ID: "a", Weight: 1}, Node{ID: "b", Weight: 3})
	require.NoError(t, err)
	a := 0
	for _, s := range w.slots {
		if s == 0 {
			a++
		}
	}
	require.InEpsilon(t, 65537.0/4, a, 0.01)
}

func TestBoundedKeepsTheBound(t *testing.T) {
	r := mustNew(t, Options{}, nodes(10, 0)...)
	const eps = 0.25
	b := NewBounded(r, eps)
	rnd := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(rnd, 1.2, 1, 1000)
	var held []Token
	steps := 1_000_000
	if testing.Short() {
		steps = 50_000
	}
	for i := range steps {
		if len(held) > 0 && (rnd.IntN(2) == 0 || len(held) > 2000) {
			j := rnd.IntN(len(held))
			held[j].Release()
			held[j].Release()
			held[j] = held[len(held)-1]
			held = held[:len(held)-1]
			continue
		}
		tk, err := b.Acquire(fmt.Sprint(zipf.Uint64()))
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, tk)
		if limit := int64(math.Ceil((1 + eps) * float64(len(held)) / 10)); b.Load(tk.Node().ID) > limit {
			t.Fatalf("step %d: %s holds %d of %d, limit %d", i, tk.Node().ID, b.Load(tk.Node().ID), len(held), limit)
		}
	}
	for _, h := range held {
		h.Release()
	}
	for _, n := range r.View().Nodes() {
		require.Zero(t, b.Load(n.ID), "no drift")
	}
	Token{}.Release()
	require.Zero(t, Token{}.Node())
	require.Zero(t, b.Load("nobody"))
}

func TestBoundedFollowsTheRing(t *testing.T) {
	r := mustNew(t, Options{}, nodes(3, 0)...)
	b := NewBounded(r, math.NaN())
	var wg sync.WaitGroup
	for w := range 3 {
		wg.Go(func() {
			for i := range 3000 {
				tk, err := b.Acquire(fmt.Sprint(w, i))
				if err != nil {
					t.Error(err)
					return
				}
				tk.Release()
			}
		})
	}
	for i := range 50 {
		_, err := r.Update(func(e *Edit) { e.Put(Node{ID: fmt.Sprint("x", i%5)}); e.Remove(fmt.Sprint("x", (i+2)%5)) })
		require.NoError(t, err)
	}
	wg.Wait()
	for _, n := range r.View().Nodes() {
		require.Zero(t, b.Load(n.ID))
	}
}
