package cache

import (
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestQueuesAgainstSlices holds every order against a slice, through pushes, removals from
// anywhere and the merges that these cause.
func TestQueuesAgainstSlices(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		at := map[uint32]uint32{} // hash → pos
		q := newQueues(2, rapid.SampledFrom([]int{10, 500}).Draw(t, "entries"), func(h, from, to uint32) {
			if at[h] != from {
				t.Fatalf("%d moved from %d, but was at %d", h, from, at[h])
			}
			at[h] = to
		})
		var want [2][]uint32
		next := uint32(1)
		for range rapid.IntRange(1, 400).Draw(t, "ops") {
			l := rapid.IntRange(0, 1).Draw(t, "list")
			switch {
			case len(want[l]) == 0 || rapid.IntRange(0, 9).Draw(t, "op") < 6:
				for range rapid.IntRange(1, 20).Draw(t, "n") {
					at[next] = q.push(l, next)
					want[l] = append(want[l], next)
					next++
				}
			default:
				for range min(len(want[l]), rapid.IntRange(1, 20).Draw(t, "n")) {
					i := rapid.IntRange(0, len(want[l])-1).Draw(t, "i")
					h := want[l][i]
					require.Equal(t, l, q.list(at[h]))
					q.remove(at[h])
					delete(at, h)
					want[l] = slices.Delete(want[l], i, i+1)
				}
			}
			for l := range want {
				var got []uint32
				for p := q.front(l); p != none; p = q.next(p) {
					require.Equal(t, at[q.hash(p)], p)
					got = append(got, q.hash(p))
				}
				require.True(t, slices.Equal(want[l], got), "%v %v", want[l], got)
				require.Equal(t, len(want[l]), q.lists[l].n)
			}
		}
	})
}

// TestQueuesDoNotGrow pushes and removes for ever; holes must not pile up.
func TestQueuesDoNotGrow(t *testing.T) {
	at := map[uint32]uint32{}
	q := newQueues(1, 4096, func(h, _, to uint32) { at[h] = to })
	for h := uint32(1); h < 300_000; h++ {
		at[h] = q.push(0, h)
		if h > 1000 {
			// Sevenths stay for long: every chunk is left with survivors.
			for _, old := range []uint32{h - 1000, h - 900} {
				if p, ok := at[old]; ok && (old%7 != 0 || h-old == 1000 && old%49 != 0) {
					q.remove(p)
					delete(at, old)
				}
			}
		}
	}
	require.Equal(t, len(at), q.lists[0].n)
	require.Less(t, len(q.chunks)*int(q.size), 8*len(at)+8*int(q.size))
}
