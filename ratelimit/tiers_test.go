package ratelimit

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestTiers(t *testing.T) {
	clock := &hand{}
	var seen []Change
	k, err := NewKeyed[string](KeyedOptions{
		Limits: []Limit{PerHour(100)}, Tiers: map[string][]Limit{"premium": {PerHour(1000)}},
		Now: clock.now, OnChange: func(c Change) { seen = append(seen, c) },
	})
	require.NoError(t, err)
	require.True(t, k.Take("ada", 40).OK)
	require.NoError(t, k.Assign("ada", "premium"))
	require.EqualValues(t, 960, k.Peek("ada").Remaining)
	require.ErrorIs(t, k.Assign("ada", "gold"), ErrOptions)
	clock.advance(2 * time.Hour)
	require.EqualValues(t, 1000, k.Peek("ada").Remaining, "idle keys stay in their tier")

	require.ErrorIs(t, k.SetTier("premium", PerHour(0)), ErrLimit)
	require.EqualValues(t, 1000, k.Peek("ada").Remaining, "a bad rule changes nothing")
	require.True(t, k.Take("ada", 10).OK)
	require.NoError(t, k.SetTier("premium", PerHour(2000)))
	require.EqualValues(t, 1990, k.Peek("ada").Remaining)

	require.NoError(t, k.SetTier("premium", Limit{Name: "hour", Events: 2000, Per: time.Hour, Burst: 2000}, Limit{Name: "second", Events: 5, Per: time.Second, Burst: 5}))
	require.Equal(t, "second", k.Take("ada", 5).Limit)
	require.False(t, k.Allow("ada"))
	require.True(t, k.Take("bob", 100).OK, "others are not concerned")
	require.False(t, k.Allow("bob"))

	require.NoError(t, k.SetLimits("bob", PerHour(150)))
	require.EqualValues(t, 50, k.Peek("bob").Remaining)
	require.Equal(t, []Limit{PerHour(150)}, k.Limits("bob"))
	require.NoError(t, k.SetLimits("bob", PerHour(160)))
	require.EqualValues(t, 60, k.Peek("bob").Remaining)
	require.NoError(t, k.SetLimits("bob"))
	require.Zero(t, k.Peek("bob").Remaining)
	require.Equal(t, []Limit{PerHour(100)}, k.Limits("bob"))

	require.NoError(t, k.DropTier("premium"))
	require.ErrorIs(t, k.DropTier("premium"), ErrOptions)
	require.ErrorIs(t, k.DropTier(""), ErrOptions)
	require.EqualValues(t, 100, k.Peek("ada").Quota)
	require.Len(t, k.Tiers(), 1)

	audit := k.Audit()
	require.Equal(t, len(seen), len(audit))
	require.ErrorIs(t, audit[0].Err, ErrLimit)
	require.Nil(t, audit[0].After)
	require.Equal(t, []Limit{PerHour(1000)}, audit[0].Before)
	require.Equal(t, clock.now(), audit[1].At)
	for _, c := range audit {
		require.NotEmpty(t, c.String())
	}
	for range 2 * maxAudit {
		require.NoError(t, k.SetTier("", PerHour(100)))
	}
	require.Len(t, k.Audit(), maxAudit)
}

// Rules change while others take; every decision is by one of the two rules.
func TestRulesChangeUnderLoad(t *testing.T) {
	k, err := NewKeyed[int](KeyedOptions{Limits: []Limit{PerHour(10)}})
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for i := range 5000 {
				if q := k.Take(i%500, 1).Quota; q != 10 && q != 20 {
					t.Errorf("quota %d", q)
				}
			}
		})
	}
	for i := range 50 {
		require.NoError(t, k.SetTier("", PerHour(int64(10+i%2*10))))
		require.NoError(t, k.SetLimits(i, PerHour(20)))
	}
	wg.Wait()
	require.NoError(t, k.SetTier("", PerHour(10)))
	for key := 100; key < 500; key++ {
		left := k.Peek(key).Remaining
		require.LessOrEqual(t, left, int64(0))
		require.GreaterOrEqual(t, left, int64(-10))
	}
}
