package router

import (
	"context"
	"runtime"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFlights: a hundred who ask the same thing while it is being asked get one answer, and
// one of them who goes away does not spoil it; who asks for something else is not held up.
func TestFlights(t *testing.T) {
	var s flights
	k := flightKey{question{prefix: "hot"}, 1}
	begun, end := make(chan struct{}), make(chan struct{})
	calls := 0
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		res, err := s.do(ctx, k, func(ctx context.Context) (Response, error) {
			close(begun)
			<-end
			calls++
			return Response{Generation: 7}, ctx.Err()
		})
		require.NoError(t, err)
		require.Equal(t, uint64(7), res.Generation)
	})
	<-begun
	cancel() // of the one who asked first
	for range 100 {
		wg.Go(func() {
			res, err := s.do(t.Context(), k, func(context.Context) (Response, error) { panic("asked twice") })
			require.NoError(t, err)
			require.Equal(t, uint64(7), res.Generation)
		})
	}
	gone, err := s.do(ctx, k, func(context.Context) (Response, error) { panic("asked twice") })
	require.ErrorIs(t, err, context.Canceled)
	require.Zero(t, gone.Generation)
	other, err := s.do(t.Context(), flightKey{k.question, 2}, func(context.Context) (Response, error) { return Response{Generation: 2}, nil })
	require.NoError(t, err)
	require.Equal(t, uint64(2), other.Generation)
	waiting := func() int {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.now[k].shared
	}
	for waiting() < 101 {
		runtime.Gosched()
	}
	close(end)
	wg.Wait()
	require.Equal(t, 1, calls)
	require.Empty(t, s.now)
}
