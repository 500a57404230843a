package node_test

import (
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
	"github.com/ashlar-go/ashlar/examples/kv/internal/local"
)

func startBench(b *testing.B) *local.Cluster {
	b.Helper()
	c, err := local.New(local.Options{Nodes: 3, Dir: b.TempDir(), Probe: 100 * time.Millisecond, Deaf: true})
	require.NoError(b, err)
	b.Cleanup(func() { c.Close() })
	require.NoError(b, c.StartAll())
	require.NoError(b, c.Ready(b.Context()))
	return c
}

// BenchmarkNode has one hundred clients ask three nodes in this process, R = W = 2, every
// write synced by two.
func BenchmarkNode(b *testing.B) {
	for _, size := range []int{100, 10_000} {
		for _, writes := range []int{0, 20, 100} {
			b.Run(fmt.Sprintf("size=%d/writes=%d%%", size, writes), func(b *testing.B) {
				c := startBench(b)
				value := make([]byte, size)
				const keys = 5000
				key := func(i int) []byte { return fmt.Appendf(nil, "key%07d", i) }
				for i := range keys {
					_, err := c.Node(c.IDs()[i%3]).Put(b.Context(), key(i), value, api.WriteOptions{Mode: api.Blind})
					require.NoError(b, err)
				}
				var worker atomic.Uint64
				b.SetParallelism(50)
				b.ResetTimer()
				b.RunParallel(func(pb *testing.PB) {
					rng := rand.New(rand.NewPCG(worker.Add(1), 1))
					for pb.Next() {
						n := c.Node(c.IDs()[rng.IntN(3)])
						k := key(rng.IntN(keys))
						var err error
						if rng.IntN(100) < writes {
							_, err = n.Put(b.Context(), k, value, api.WriteOptions{})
						} else {
							_, err = n.Get(b.Context(), k, api.ReadOptions{})
						}
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			})
		}
	}
}
