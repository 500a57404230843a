package keyspace

import (
	"fmt"
	"math"
	"testing"

	"github.com/stretchr/testify/require"
)

func key(i int) []byte { return fmt.Appendf(nil, "key:%05d", i) }

// fill stores so many keys that the bound is reached twice over; every tenth key is used
// again and again, and every second one has a time to live, later keys an earlier one.
func fill(t *testing.T, p Policy) (kept map[int]bool) {
	const n = 4000
	d := newDB(t, Options{MaxMemory: n / 2 * (overhead + 9), Policy: p, Seed: 1, Expires: true})
	d.SetTime(1)
	for i := range n {
		if d.MakeRoom() != nil {
			break
		}
		e := d.SetString(key(i), nil, false)
		if i%2 == 0 {
			d.SetExpire(e, int64(1_000_000-i))
		}
		d.Settle()
		for j := range 4 {
			d.Read(key((i*4 + j) % 100 * 10))
		}
	}
	kept = map[int]bool{}
	for i := range n {
		kept[i] = d.Peek(key(i)) != nil
	}
	return kept
}

// share is how many of the keys for which of holds are kept.
func share(kept map[int]bool, of func(i int) bool) float64 {
	n, k := 0, 0
	for i, there := range kept {
		if of(i) {
			n++
			if there {
				k++
			}
		}
	}
	return float64(k) / float64(n)
}

// TestPolicies: each policy keeps what it promises to.
func TestPolicies(t *testing.T) {
	hot := func(i int) bool { return i < 1000 && i%10 == 0 }
	cold := func(i int) bool { return i >= 500 && i < 1500 && i%10 != 0 }
	odd := func(i int) bool { return i%2 == 1 }
	for _, p := range []Policy{AllKeysLRU, AllKeysLFU, AllKeysAdaptive, AllKeysS3FIFO, AllKeysSIEVE} {
		kept := fill(t, p)
		require.Greater(t, share(kept, hot), 0.95, p.String())
		if p == AllKeysLRU || p == AllKeysLFU { // the others know that all cold keys are equally useless
			require.Less(t, share(kept, cold), 0.6, p.String())
		}
	}
	for _, p := range []Policy{VolatileLRU, VolatileLFU, VolatileRandom, VolatileTTL} {
		require.Equal(t, 1.0, share(fill(t, p), odd), "%v: a key without an end never leaves", p)
	}
	ttl := fill(t, VolatileTTL)
	require.Less(t, share(ttl, func(i int) bool { return i >= 3500 && i < 3900 && i%2 == 0 }), 0.1, "the first to end leave")
	none := fill(t, NoEviction)
	require.Equal(t, 1.0, share(none, func(i int) bool { return i < 2000 }))
	require.Zero(t, share(none, func(i int) bool { return i > 2001 }))
	require.InDelta(t, 0.5, share(fill(t, AllKeysRandom), odd), 0.1)
}

func TestConfigure(t *testing.T) {
	d := newDB(t, Options{})
	for _, bad := range []struct {
		memory  int64
		policy  Policy
		samples int
	}{{-1, 0, 1}, {math.MinInt64, 0, 1}, {0, policies, 1}, {0, 0, 0}, {0, 0, 65}} {
		require.ErrorIs(t, d.Configure(bad.memory, bad.policy, bad.samples), ErrOptions)
	}
	require.NoError(t, d.Configure(math.MaxInt64, AllKeysAdaptive, 5))
	_, err := ParsePolicy("allkeys-best")
	require.ErrorIs(t, err, ErrOptions)
	for _, p := range Policies() {
		q, err := ParsePolicy(p.String())
		require.NoError(t, err)
		require.Equal(t, p, q)
	}
	// A bound that comes later is met by the next write, under any policy.
	for _, p := range Policies()[1:] {
		d := newDB(t, Options{})
		for i := range 1000 {
			d.SetExpire(d.SetString(key(i), nil, false), 1000)
		}
		require.NoError(t, d.Configure(50_000, p, 5))
		require.NoError(t, d.MakeRoom())
		require.LessOrEqual(t, d.Used(), int64(50_000), p.String())
		require.NotZero(t, d.Len())
	}
}

// A value larger than the bound leaves at once and takes nothing else along for ever.
func TestOversized(t *testing.T) {
	for _, p := range []Policy{AllKeysLRU, AllKeysAdaptive} {
		d := newDB(t, Options{MaxMemory: 10_000, Policy: p, Expires: true})
		d.SetString([]byte("big"), make([]byte, 20_000), false)
		require.NoError(t, d.MakeRoom())
		require.LessOrEqual(t, d.Used(), int64(10_000))
		d.SetString([]byte("small"), nil, false)
		d.Settle()
		require.NotNil(t, d.Peek([]byte("small")))
	}
}

func TestExpiry(t *testing.T) {
	var gone []string
	d := newDB(t, Options{Expires: true, Gone: func(k string, evicted bool) { gone = append(gone, k); require.False(t, evicted) }})
	d.SetTime(1000)
	for i := range 100 {
		d.SetExpire(d.SetString(key(i), []byte("v"), false), 2000)
	}
	d.SetString(key(0), []byte("again"), false) // ends no more
	d.SetString(key(1), []byte("again"), true)
	d.SetTime(1999)
	require.NotNil(t, d.Read(key(1)))
	d.SetTime(2000)
	require.Nil(t, d.Read(key(1)))
	require.NotNil(t, d.Read(key(0)))
	require.Equal(t, []string{string(key(1))}, gone)
	d.Sweep()
	require.Equal(t, 1, d.Len())
	require.Len(t, gone, 99)
	// The clock goes back a day and on by two: nothing comes back, and nothing hangs.
	d.SetTime(2000 - 86_400_000)
	require.Nil(t, d.Read(key(1)))
	d.SetTime(2000 + 2*86_400_000)
	d.Sweep()
	require.Equal(t, 1, d.Len())

	// A replica hides what has ended and waits for its primary to say so.
	r := newDB(t, Options{})
	r.SetExpire(r.SetString(key(1), nil, false), 500)
	r.SetTime(1000)
	require.Nil(t, r.Read(key(1)))
	require.Nil(t, r.Random())
	require.Equal(t, 1, r.Len())
	r.Sweep()
	require.Equal(t, 1, r.Len())
	require.False(t, r.Delete(key(1)))
	require.Zero(t, r.Len())
	require.Zero(t, r.Used())
}
