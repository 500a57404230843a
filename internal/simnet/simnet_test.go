package simnet

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

// run lets a hundred packets travel both ways and returns what arrived when.
func run(seed uint64, set func(*Net)) (log []string) {
	w := New(seed)
	n := NewNet(w)
	set(n)
	for i := range 100 {
		w.After(int64(i), func() {
			n.Send("a", "b", func() { log = append(log, fmt.Sprint(w.Now(), "b", i)) })
			n.Send("b", "a", func() { log = append(log, fmt.Sprint(w.Now(), "a", i)) })
		})
	}
	w.Run(100_000)
	return log
}

func TestSeedDecides(t *testing.T) {
	bad := func(n *Net) { n.Loss, n.Double, n.Slow, n.SlowFor = 0.2, 0.2, 0.2, 50 }
	require.Equal(t, run(1, bad), run(1, bad))
	require.NotEqual(t, run(1, bad), run(2, bad))
}

func TestNetwork(t *testing.T) {
	require.Len(t, run(1, func(*Net) {}), 200)
	require.Len(t, run(1, func(n *Net) { n.Cut("a", "b") }), 100)
	require.Len(t, run(1, func(n *Net) { n.Cut("a", "b"); n.Heal() }), 200)
	require.Empty(t, run(1, func(n *Net) { n.Loss = 1 }))
	require.Len(t, run(1, func(n *Net) { n.Double = 1 }), 400)
	require.Len(t, run(1, func(n *Net) { n.Stuck, n.SlowFor, n.StuckFor = 1, 1000, 2000 }), 200)
}

func TestOrderOfEqualTimes(t *testing.T) {
	w := New(0)
	var got []int
	for i := range 10 {
		w.After(5, func() { got = append(got, i) })
	}
	w.After(3, func() { w.After(2, func() { got = append(got, 10) }) })
	w.Run(5)
	require.Empty(t, got)
	require.EqualValues(t, 5, w.Now())
	w.Run(6)
	require.Equal(t, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, got)
}
