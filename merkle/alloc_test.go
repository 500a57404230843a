package merkle

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAllocations(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	s := NewSync(SyncOptions{})
	key, version := []byte("some key"), uint64(0)
	s.Update(key, 0, 1)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		version++
		s.Update(key, version, version+1)
	}), "update")
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = s.Leaf(key) }), "leaf")
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = s.Root() }), "root")
	s.View()
	require.Zero(t, testing.AllocsPerRun(100, func() { _ = s.View() }), "a view of what was viewed")
}

// allocated returns the bytes that f takes from the heap.
func allocated(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

// least is the least of a few tries: what the runtime allocates meanwhile counts too.
func least(f func()) int {
	got := allocated(f)
	for range 4 {
		got = min(got, allocated(f))
	}
	return got
}

// TestTreeMemory holds what SyncOptions promises about a full tree.
func TestTreeMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	for levels, most := range []int{1: 1 << 10, 2: 8 << 10, 3: 122 << 10, 4: 2 << 20} {
		if levels == 0 {
			continue
		}
		got := least(func() {
			s := NewSync(SyncOptions{Levels: levels})
			for leaf := range uint32(s.Leaves()) {
				s.add(leaf, Sum{1, 1, 1})
			}
		})
		t.Logf("%d levels of 16: %d bytes", levels, got)
		require.LessOrEqual(t, got, most, "%d levels", levels)
	}
	require.LessOrEqual(t, least(func() { NewSync(SyncOptions{}) }), 512, "an empty tree")
}

// TestExchangeMemory holds a converged exchange to bytes, and a small one to what it sends.
func TestExchangeMemory(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	a, b := twins(SyncOptions{}, rand.New(rand.NewPCG(6, 6)), 20_000, 0)
	for i := range 10 {
		a.put(fmt.Sprint("x", i), 1)
		a.put(fmt.Sprint("x", i), 0) // so that no view is cached
	}
	got := least(func() {
		if err := exchange(a.session(SessionOptions{}), b.session(SessionOptions{})); err != nil {
			t.Error(err)
		}
	})
	t.Logf("converged: %d bytes on both sides together", got)
	require.LessOrEqual(t, got, 2*512)
}
