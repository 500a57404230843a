package cache

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func newCache[K comparable, V any](t testing.TB, o Options[K, V]) *Cache[K, V] {
	t.Helper()
	c, err := New(o)
	require.NoError(t, err)
	t.Cleanup(func() { c.Close() })
	return c
}

func allPolicies() []Policy {
	return []Policy{Adaptive, LRU, LFU, TinyLFU, S3FIFO, SIEVE, FIFO, Random}
}

// check walks all of a cache and compares what table, queues and counts say.
func check[K comparable, V any](t testing.TB, c *Cache[K, V]) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	tab, weight, queued := c.table.Load(), int64(0), 0
	seen := map[K]bool{}
	for n := range tab.all() {
		require.False(t, seen[n.key], "%v is there twice", n.key)
		seen[n.key] = true
		h := c.hash.of(n.key)
		require.Same(t, n, tab.find(h, n.key))
		weight += c.weightOf(n)
		if n.pos != pinned {
			queued++
			require.Equal(t, h, c.policy.hash(n.pos))
			require.Same(t, n, tab.at(h, n.pos))
		}
	}
	if c.next != nil { // the copy holds what lies in the part that is copied, and nothing else
		copied := 0
		for i := range c.copied {
			for p := range tab.buckets[i].node {
				if n := tab.buckets[i].node[p].Load(); n != nil {
					require.Same(t, n, c.next.find(c.hash.of(n.key), n.key))
					copied++
				}
			}
		}
		require.Equal(t, copied, c.next.n)
		in := 0
		for range c.next.all() {
			in++
		}
		require.Equal(t, copied, in)
	}
	require.Equal(t, len(seen), tab.n)
	require.Equal(t, len(seen), c.Len())
	require.Equal(t, weight, c.Weight())
	if c.opts.Policy != Unbounded {
		require.LessOrEqual(t, weight, c.Bound())
	}
	lists := c.policy.queue().lists
	n, w := 0, int64(0)
	for i := range lists {
		n += lists[i].n
		w += lists[i].weight
	}
	require.Equal(t, queued, n)
	require.Equal(t, weight, w)
}

func TestFillAndEvict(t *testing.T) {
	for _, p := range allPolicies() {
		for _, size := range []int{1, 2, 3, 10, 100, 1000, 5000} {
			t.Run(fmt.Sprint(p, size), func(t *testing.T) {
				c := newCache(t, Options[int, int]{MaxEntries: size, Policy: p, Seed: 7})
				for i := range size {
					require.True(t, c.Set(i, -i))
				}
				require.Equal(t, size, c.Len(), "a cache holds what fits")
				for i := range size {
					v, ok := c.Get(i)
					require.True(t, ok, "%d", i)
					require.Equal(t, -i, v)
				}
				check(t, c)
				for i := range 4 * size {
					c.Set(size+i, i)
					require.LessOrEqual(t, c.Len(), size)
					_, ok := c.Peek(size + i)
					require.True(t, ok, "a Set is visible")
					c.Get(i)
				}
				require.Equal(t, size, c.Len())
				check(t, c)
			})
		}
	}
}

// TestGrowthIsGradual: no insert copies more than a few buckets, and the table has grown
// before it is too full, whatever happens meanwhile.
func TestGrowthIsGradual(t *testing.T) {
	c := newCache(t, Options[int, int]{Policy: Unbounded, Seed: 3})
	growths := 0
	for i := range 20_000 {
		was, tab := c.copied, c.table.Load()
		c.Set(i, i)
		if c.table.Load() != tab {
			growths++
		} else if c.next != nil && len(tab.buckets) >= copyAtOnce {
			require.LessOrEqual(t, c.copied-was, copyStep)
		}
		require.Less(t, tab.n, tab.room)
		if i%3 == 0 {
			c.Delete(i / 2)
			c.Set(i/4, i)
		}
		if i%4999 == 0 || c.next != nil && i%401 == 0 {
			check(t, c)
		}
	}
	require.Greater(t, growths, 6)
	check(t, c)
	for i := 0; c.next == nil; i++ {
		c.Set(100_000+i, i)
	}
	c.Clear()
	check(t, c)
	require.Zero(t, c.Len())

	r := newCache(t, Options[int, int]{MaxEntries: 3000, Seed: 3})
	for i := range 20_000 { // full, then wider by little
		if i%1000 == 500 {
			require.True(t, r.Resize(r.Bound()+300))
		}
		r.Set(i, i)
	}
	require.Equal(t, int(r.Bound()), r.Len())
	check(t, r)
}
