package router

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestHistogram(t *testing.T) {
	now := time.Now()
	l := newLatency(now)
	for i := range 1000 {
		l.add(time.Duration(i+1) * time.Microsecond)
	}
	s := l.look(now.Add(2 * time.Second))
	require.InEpsilon(t, 500, s.P50.Microseconds(), 0.26)
	require.InEpsilon(t, 990, s.P99.Microseconds(), 0.26)
	require.InEpsilon(t, 500, s.Rate, 0.01)
	for b := range 60 * 4 { // every duration is in a bucket that ends after it, and not long after
		if d := upper(b); b >= 8 && d > 0 {
			require.Equal(t, b, bucket(d-1))
			require.Equal(t, b+1, bucket(d))
		}
	}
	l.add(-1)
	l.add(1 << 62)
	l.look(now.Add(time.Minute))
	require.Zero(t, l.look(now.Add(2*time.Minute)).P50, "what is long ago is not lately")
}
