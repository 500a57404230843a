package local

import (
	"context"
	"maps"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/router"
)

// BenchmarkSuggest is one keystroke, from the router on: from its cache, from nodes over
// loopback HTTP, and with a history mixed in.
func BenchmarkSuggest(b *testing.B) {
	for name, c := range map[string]struct {
		cache time.Duration
		user  string
	}{"cached": {time.Hour, ""}, "nodes": {-1, ""}, "personal": {-1, "ada"}} {
		b.Run(name, func(b *testing.B) {
			cluster, err := New(Options{Dir: b.TempDir(), Router: router.Options{CacheFor: c.cache, Rate: -1, Timeout: time.Minute}})
			require.NoError(b, err)
			defer cluster.Close()
			require.NoError(b, cluster.Router.Seed(b.Context(), maps.All(words(1, 20_000))))
			for range 20 {
				require.NoError(b, cluster.Router.Search(b.Context(), "abc of ada", "ada", false))
			}
			require.NoError(b, cluster.Settled(b.Context()))
			for b.Loop() {
				if _, err := cluster.Router.Suggest(context.Background(), router.Request{Prefix: "abc", Limit: 10, User: c.user}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
