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
