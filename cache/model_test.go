package cache

import (
	"context"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// testClock is a clock that tests move.
type testClock struct{ t atomic.Int64 }

func (c *testClock) now() time.Time          { return time.Unix(1_700_000_000, c.t.Load()) }
func (c *testClock) advance(d time.Duration) { c.t.Add(int64(d)) }

// TestModel runs random operations against a map. A cache may have lost what the map has,
// but whatever it gives must be what the map has, no older and not expired.
func TestModel(t *testing.T) {
	type want struct {
		v   int
		end int64 // 0: never
	}
	rapid.Check(t, func(t *rapid.T) {
		var clock testClock
		weighed := rapid.Bool().Draw(t, "weighed")
		o := Options[int, int]{Policy: Policy(rapid.IntRange(0, int(policies)-1).Draw(t, "policy")), Now: clock.now, Seed: 5}
		size := rapid.IntRange(1, 60).Draw(t, "size")
		removed := map[int]int{} // values told of, by value
		switch {
		case o.Policy == Unbounded:
		case weighed:
			o.MaxWeight = int64(size)
			o.Weigh = func(_, v int) int64 { return int64(v % 5) }
		default:
			o.MaxEntries = size
		}
		o.OnRemove = func(r Removal[int, int]) { removed[r.Value]++ }
		c, err := New(o)
		require.NoError(t, err)
		m := map[int]want{}
		next, stored := 0, map[int]bool{}
		live := func(k int) (want, bool) {
			w, ok := m[k]
			return w, ok && (w.end == 0 || clock.t.Load() < w.end)
		}
		for range rapid.IntRange(1, 300).Draw(t, "ops") {
			k := rapid.IntRange(0, 40).Draw(t, "k")
			next++
			fits := o.Weigh == nil || int64(next%5) <= c.Bound()
			switch op := rapid.IntRange(0, 12).Draw(t, "op"); op {
			case 0, 1, 2:
				require.Equal(t, fits, c.Set(k, next))
				if delete(m, k); fits {
					m[k], stored[next] = want{v: next}, true
				}
			case 3:
				ttl := time.Duration(rapid.IntRange(1, 5000).Draw(t, "ttl")) * time.Millisecond
				require.Equal(t, fits, c.SetTTL(k, next, ttl))
				if delete(m, k); fits {
					// A life is a tick of the clock at least.
					m[k], stored[next] = want{next, clock.t.Load() + max(int64(ttl), 1<<fineBits)}, true
				}
			case 4:
				_, had := c.Peek(k)
				v, added := c.Add(k, next)
				require.Equal(t, !had && fits, added)
				if added {
					require.Equal(t, next, v)
					m[k], stored[next] = want{v: next}, true
				} else if had {
					require.Equal(t, m[k].v, v)
				}
			case 5:
				v, ok := c.Delete(k)
				if ok {
					require.Equal(t, m[k].v, v)
				}
				delete(m, k)
			case 6:
				act := Op(rapid.IntRange(0, 2).Draw(t, "act"))
				v, ok := c.Update(k, func(old int, ok bool) (int, Op) {
					if ok {
						w, is := live(k)
						require.True(t, is)
						require.Equal(t, w.v, old)
					}
					return next, act
				})
				switch act {
				case Store:
					require.Equal(t, fits, ok)
					if delete(m, k); fits {
						require.Equal(t, next, v)
						m[k], stored[next] = want{v: next}, true
					}
				case Remove:
					require.False(t, ok)
					delete(m, k)
				}
			case 7:
				clock.advance(time.Duration(rapid.IntRange(0, 3000).Draw(t, "step")) * time.Millisecond)
			case 8:
				if o.Policy != Unbounded && rapid.IntRange(0, 9).Draw(t, "rare") == 0 {
					require.True(t, c.Resize(int64(rapid.IntRange(1, 60).Draw(t, "bound"))))
				}
			case 9:
				odd := func(_, v int) bool { return v%7 == 0 }
				c.DeleteFunc(odd)
				for k, w := range m {
					if odd(k, w.v) {
						delete(m, k)
					}
				}
			case 10:
				if rapid.IntRange(0, 9).Draw(t, "rare") == 0 {
					c.Clear()
					clear(m)
					require.Zero(t, c.Len())
				} else {
					c.DeleteExpired()
				}
			default:
				v, ok := c.Get(k)
				w, is := live(k)
				if ok {
					require.True(t, is, "key %d is served and should not be", k)
					require.Equal(t, w.v, v)
				} else if o.Policy == Unbounded && is && w.end == 0 {
					t.Fatalf("key %d is lost", k)
				}
			}
			for k, v := range c.All() {
				w, is := live(k)
				require.True(t, is)
				require.Equal(t, w.v, v)
			}
		}
		checkAny(t, c)
		// Every value that was stored has been told of once, or is still there.
		c.Clear()
		for v := range stored {
			require.Equal(t, 1, removed[v], "value %d", v)
		}
	})
}

func checkAny(t *rapid.T, c *Cache[int, int]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, weight := 0, int64(0)
	for x := range c.table.Load().all() {
		n++
		weight += c.weightOf(x)
	}
	require.Equal(t, n, c.Len())
	require.Equal(t, weight, c.Weight())
}

// naive caches by definition: keys in the order of arrival or of use, or with their counts.
type naive struct {
	policy Policy
	size   int
	order  []int
	uses   map[int]int
	hits   int
}

func (n *naive) access(k int) bool {
	if i := slices.Index(n.order, k); i >= 0 {
		n.uses[k] = min(n.uses[k]+1, lfuLevels-1)
		if n.policy == LRU || n.policy == LFU {
			n.order = append(slices.Delete(n.order, i, i+1), k)
		}
		if n.hits++; n.policy == LFU && n.hits >= 10*len(n.order) {
			n.hits = 0
			n.age()
		}
		return true
	}
	if len(n.order) == n.size {
		v := 0
		if n.policy == LFU {
			for i, k := range n.order {
				if n.uses[k] < n.uses[n.order[v]] {
					v = i
				}
			}
		}
		delete(n.uses, n.order[v])
		n.order = slices.Delete(n.order, v, v+1)
	}
	n.order = append(n.order, k)
	n.uses[k] = 0
	return false
}

// age halves the counts; of keys that then have the same one, those that had less go first.
func (n *naive) age() {
	slices.SortStableFunc(n.order, func(a, b int) int { return n.uses[a] - n.uses[b] })
	for k, u := range n.uses {
		n.uses[k] = u / 2
	}
}

// TestExactPolicies holds FIFO, LRU and LFU against their definitions, request by request.
func TestExactPolicies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := naive{policy: rapid.SampledFrom([]Policy{FIFO, LRU, LFU}).Draw(t, "policy"), size: rapid.IntRange(1, 80).Draw(t, "size"), uses: map[int]int{}}
		c, err := New(Options[int, int]{MaxEntries: n.size, Policy: n.policy})
		require.NoError(t, err)
		keys := rapid.SliceOfN(rapid.IntRange(0, 2*n.size), 1, 1500).Draw(t, "keys")
		for i, k := range keys {
			_, hit := c.Get(k)
			if !hit {
				c.Set(k, k)
			}
			require.Equal(t, n.access(k), hit, "request %d, key %d", i, k)
		}
	})
}

// TestSIEVEAgainstDefinition: a list, a bit, and a hand.
func TestSIEVEAgainstDefinition(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		size := rapid.IntRange(2, 60).Draw(t, "size")
		c, err := New(Options[int, int]{MaxEntries: size, Policy: SIEVE})
		require.NoError(t, err)
		var order []int // oldest first
		visited, hand := map[int]bool{}, 0
		for _, k := range rapid.SliceOfN(rapid.IntRange(0, 2*size), 1, 1000).Draw(t, "keys") {
			_, hit := c.Get(k)
			require.Equal(t, slices.Contains(order, k), hit)
			if hit {
				visited[k] = true
				continue
			}
			c.Set(k, k)
			if len(order) == size {
				for hand %= size; visited[order[hand]]; hand = (hand + 1) % size {
					visited[order[hand]] = false
				}
				delete(visited, order[hand])
				order = slices.Delete(order, hand, hand+1)
			}
			order = append(order, k)
		}
	})
}

// TestNeverOlder: every key's value only grows, written by one goroutine each while others
// read, evict, expire, delete and grow the table. No reader may see a value go back.
func TestNeverOlder(t *testing.T) {
	for _, p := range allPolicies() {
		t.Run(p.String(), func(t *testing.T) {
			c := newCache(t, Options[int, []int]{MaxEntries: 300, Policy: p, TTL: time.Second})
			const keys = 64
			var floor [keys]atomic.Int64 // every later Get sees at least this, or nothing
			var wg sync.WaitGroup
			for w := range 4 {
				wg.Go(func() {
					for i := 1; i < 2000; i++ {
						k := w*keys/4 + i%(keys/4)
						switch i % 11 {
						case 3:
							c.Delete(k)
						case 5:
							c.Update(k, func(old []int, ok bool) ([]int, Op) { return []int{i, k}, Store })
							floor[k].Store(int64(i))
						case 7:
							c.Set(1000+i, []int{i, 1000 + i})
						default:
							c.Set(k, []int{i, k})
							floor[k].Store(int64(i))
						}
					}
				})
				wg.Go(func() {
					for i := range 6000 {
						k := i * 7 % keys
						low := floor[k].Load()
						if v, ok := c.Get(k); ok && (v[1] != k || int64(v[0]) < low) {
							t.Errorf("key %d: %v, but %d was written before", k, v, low)
							return
						}
					}
				})
			}
			wg.Wait()
			check(t, c)
		})
	}
}

// TestUpdateIsAtomic counts with Update from many goroutines.
func TestUpdateIsAtomic(t *testing.T) {
	c := newCache(t, Options[string, int]{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 5000 {
				c.Update("n", func(old int, _ bool) (int, Op) { return old + 1, Store })
			}
		})
	}
	wg.Wait()
	v, _ := c.Get("n")
	require.Equal(t, 20000, v)
}

func TestBadOptions(t *testing.T) {
	one := func(int, int) int64 { return 1 }
	for name, o := range map[string]Options[int, int]{
		"negative":           {MaxEntries: -1},
		"huge":               {MaxEntries: math.MaxInt},
		"negative weight":    {MaxWeight: -1, Weigh: one},
		"weight without":     {MaxWeight: 1},
		"weigh without":      {Weigh: one},
		"both":               {MaxEntries: 1, MaxWeight: 1, Weigh: one},
		"huge weight":        {MaxWeight: math.MaxInt64, Weigh: one},
		"unbounded bound":    {MaxEntries: 1, Policy: Unbounded},
		"policy":             {Policy: 99},
		"NaN jitter":         {Jitter: math.NaN()},
		"jitter":             {Jitter: 1.1},
		"negative jitter":    {Jitter: -0.1},
		"NaN beta":           {EarlyBeta: math.NaN()},
		"infinite beta":      {EarlyBeta: math.Inf(1)},
		"negative ttl":       {TTL: -1},
		"negative idle":      {Idle: -1},
		"negative timeout":   {LoadTimeout: -1},
		"negative not found": {NotFoundTTL: -1},
		"negative ahead":     {RefreshAhead: -1},
		"negative stale":     {StaleFor: -1},
		"long stale":         {StaleFor: maxStale + 1},
		"negative on error":  {StaleOnError: -1},
		"loads":              {MaxLoads: -1},
	} {
		_, err := New(o)
		require.ErrorIs(t, err, ErrOptions, name)
	}
}

func TestWeights(t *testing.T) {
	c := newCache(t, Options[int, int]{MaxWeight: 100, Weigh: func(_, v int) int64 { return int64(v) }})
	require.False(t, c.Set(1, 101), "heavier than all")
	require.False(t, c.Set(1, -1), "negative")
	require.True(t, c.Set(1, 100))
	require.True(t, c.Set(2, 0), "pinned")
	for i := 3; i < 1000; i++ {
		require.True(t, c.Set(i, 1+i%30))
		require.LessOrEqual(t, c.Weight(), int64(100))
	}
	_, ok := c.Get(2)
	require.True(t, ok, "what is pinned stays")
	check(t, c)
	require.True(t, c.Set(2, 50), "unpinned")
	check(t, c)
	require.True(t, c.Set(2, 0))
	require.False(t, c.Set(2, 1000), "what cannot be stored replaces all the same")
	_, ok = c.Get(2)
	require.False(t, ok)
	require.False(t, c.Resize(0))
	require.True(t, c.Resize(10))
	require.LessOrEqual(t, c.Weight(), int64(10))
	check(t, c)
}

// TestResizeUnderLoad: the bound holds while it changes.
func TestResizeUnderLoad(t *testing.T) {
	for _, p := range []Policy{Adaptive, SIEVE, S3FIFO, LFU} {
		c := newCache(t, Options[int, int]{MaxWeight: 500, Policy: p, Weigh: func(_, v int) int64 { return int64(v % 90) }})
		var wg sync.WaitGroup
		for g := range 3 {
			wg.Go(func() {
				for i := range 4000 {
					c.Set(i*7%901, i+g)
					c.Get(i % 50)
				}
			})
		}
		wg.Go(func() {
			for i := range 400 {
				c.Resize(int64(40 + i*37%700))
			}
		})
		wg.Wait()
		check(t, c)
	}
}

func TestReentry(t *testing.T) {
	var c *Cache[int, int]
	told := 0
	c = newCache(t, Options[int, int]{
		MaxWeight: 10,
		Weigh:     func(k, _ int) int64 { c.Peek(k + 1); return 1 },
		TTLFunc:   func(k, _ int) time.Duration { c.Delete(k + 100); return time.Hour },
		OnRemove: func(r Removal[int, int]) {
			if told++; told < 50 {
				c.Set(r.Key+1000, 1)
				c.Get(r.Key)
			}
		},
	})
	for i := range 100 {
		c.Set(i, i)
		c.Update(i, func(old int, ok bool) (int, Op) { c.Set(i+1, 1); return old + 1, Store })
	}
	c.DeleteFunc(func(k, _ int) bool { c.Delete(k + 1); return k%2 == 0 })
	check(t, c)
}

func TestNoAllocations(t *testing.T) {
	c := newCache(t, Options[string, int]{MaxEntries: 100, TTL: time.Hour})
	p := newCache(t, Options[int, *int]{MaxEntries: 100})
	s := newCache(t, Options[int, string]{MaxEntries: 100})
	x := 5
	c.Set("a", 1)
	p.Set(1, &x)
	s.Set(1, "a")
	for name, f := range map[string]func(){
		"get":          func() { c.Get("a"); p.Get(1); s.Get(1) },
		"miss":         func() { c.Get("b"); p.Get(2) },
		"set in place": func() { c.Set("a", 2); p.Set(1, &x) },
		"peek":         func() { c.Peek("a") },
	} {
		require.Zero(t, testing.AllocsPerRun(100, f), name)
	}
	f := newCache(t, Options[int, int]{TTL: time.Hour, RefreshAhead: time.Minute, EarlyBeta: 1, Load: func(context.Context, int) (int, error) { return 1, nil }})
	f.Set(1, 1)
	ctx := t.Context()
	require.Zero(t, testing.AllocsPerRun(100, func() { _, _ = f.Fetch(ctx, 1) }), "fetch")
	bs := newBytes(t, BytesOptions{})
	k, buf := []byte("key"), make([]byte, 0, 10)
	require.NoError(t, bs.Set(k, k, 0))
	require.Zero(t, testing.AllocsPerRun(100, func() { buf, _ = bs.Append(buf[:0], k); _ = bs.Set(k, k, time.Hour) }), "bytes")
	next := 1000
	require.LessOrEqual(t, testing.AllocsPerRun(1000, func() { p.Set(next, &x); next++ }), 1.0, "insert and evict")
}
