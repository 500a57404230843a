package redisstore_test

import (
	"encoding/binary"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/ratelimit"
)

// FuzzReply has the server answer anything: the decision is an error or makes sense.
func FuzzReply(f *testing.F) {
	f.Add([]byte{}, int64(1), int64(1), int64(time.Second), int64(1), uint8(0))
	f.Add(make([]byte, 40), int64(5), int64(10), int64(time.Minute), int64(7), uint8(3))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\x7f\x00\x00\x00\x00\x00\x00\x00\x80 some words that are no number"), int64(1<<40), int64(1<<31), int64(time.Hour), int64(1), uint8(5))
	f.Fuzz(func(t *testing.T, words []byte, n, events, per, burst int64, alg uint8) {
		var list []any
		for ; len(words) >= 8; words = words[8:] {
			list = append(list, int64(binary.LittleEndian.Uint64(words)))
		}
		if len(words) > 0 {
			list = append(list, string(words))
		}
		s := open(t, doer(func([]any) (any, error) { return list, nil }))
		dst := make([]ratelimit.Decision, 1)
		err := s.Take(t.Context(), []ratelimit.Request{{
			Key: "k", N: n, Algorithm: ratelimit.Algorithm(alg),
			Limit: ratelimit.Limit{Events: events, Per: time.Duration(per), Burst: burst},
		}}, dst)
		if err == nil {
			require.GreaterOrEqual(t, dst[0].RetryAfter, time.Duration(0))
			require.GreaterOrEqual(t, dst[0].ResetAfter, time.Duration(0))
			require.Equal(t, dst[0].OK, dst[0].RetryAfter == 0)
		}
		_ = s.Reset(t.Context(), "k")
	})
}
