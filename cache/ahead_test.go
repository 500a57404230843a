package cache

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestAhead: whatever happens to the entries that evictions were prepared for, no hint names
// an entry that has left its place, and none is missing from the books.
func TestAhead(t *testing.T) {
	const size = smallSketch + 3000
	for _, p := range []Policy{Adaptive, TinyLFU} {
		c := newCache(t, Options[int, int]{MaxEntries: size, Policy: p, Seed: 3})
		a := c.policy.(*adaptive)
		rng := rand.New(rand.NewPCG(1, 2))
		used := 0
		n := 150_000
		if testing.Short() {
			n = 60_000
		}
		for i := range n {
			switch k := rng.IntN(2 * size); i % 8 {
			case 0:
				c.Delete(k)
			case 1, 2:
				c.Get(k / 4)
			default:
				c.Set(k, i)
			}
			if i%20_000 == 15_000 { // so sparse that chunks are merged
				c.DeleteFunc(func(int, int) bool { return rng.IntN(8) > 0 })
			}
			if i%20_000 == 19_999 {
				c.Resize(int64(size/2 + rng.IntN(size)))
			}
			if a.next16 == nil || i%16 != 0 && i%20_000 != 15_000 {
				continue
			}
			for l := range a.next16 {
				for j, h := range a.next16[l].head {
					if h == nil {
						continue
					}
					pos := a.next16[l].from + uint32(j)
					require.Equal(t, pos, h.pos)
					require.Same(t, h, a.of.headAt(a.hash(pos), pos))
					require.Equal(t, l, a.list(pos))
					used++
				}
			}
		}
		require.Positive(t, used)
		check(t, c)
	}
}
