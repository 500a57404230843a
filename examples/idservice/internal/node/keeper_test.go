package node

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/snowflake"
)

// TestWarnings: what is no error yet is told once, and again when it is over.
func TestWarnings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var step atomic.Int64
		var mu sync.Mutex
		var told []string
		l := snowflake.Classic
		l.Epoch = time.Now().Add(-time.Hour)
		n, err := Open(Options{
			ID: "a", Store: &snowflake.MemStore{}, Workers: 1, Layout: l, TTL: time.Minute,
			Now: func() time.Time { return time.Now().Add(time.Duration(step.Load())) },
			Event: func(e Event) {
				mu.Lock()
				defer mu.Unlock()
				told = append(told, e.Kind+": "+e.Text)
			},
		})
		require.NoError(t, err)
		require.NoError(t, n.Ready(t.Context()))
		said := func() (out []string) {
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			out, told = told, nil
			return out
		}
		require.Equal(t, []string{"lease: has worker id 0"}, said())
		time.Sleep(10 * time.Second)
		require.Empty(t, said())
		for range 3 {
			require.NoError(t, n.Fill(make([]snowflake.ID, 100_000)))
		}
		time.Sleep(lookEvery)
		busy := said()
		require.Len(t, busy, 1)
		require.Contains(t, busy[0], "busy: all ids of its layout are taken")
		time.Sleep(5 * lookEvery)
		require.Equal(t, []string{"busy: no call waits any more"}, said())
		step.Store(int64(-2 * time.Second))
		time.Sleep(5 * lookEvery)
		require.Equal(t, []string{"drift: its clock has gone wrong by -2s"}, said())
		step.Store(0)
		time.Sleep(5 * lookEvery)
		require.Equal(t, []string{"drift: its clock is right again"}, said())
		require.NoError(t, n.Close())
	})
}
