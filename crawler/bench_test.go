package crawler

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ashlar-go/ashlar/crawler/crawlertest"
	"github.com/ashlar-go/ashlar/crawler/fetch"
	"github.com/ashlar-go/ashlar/crawler/frontier"
	"github.com/ashlar-go/ashlar/lsm"
	"github.com/stretchr/testify/require"
)

// BenchmarkCrawl crawls a calm web of 20 hosts over loopback without any delay; servers are in the
// same process. One operation is a whole crawl.
func BenchmarkCrawl(b *testing.B) {
	pages := 0
	b.ReportAllocs()
	for b.Loop() {
		w, err := crawlertest.New(crawlertest.Options{Hosts: 20, Pages: 50, Calm: true, Latency: -1, Delays: []time.Duration{time.Millisecond}})
		require.NoError(b, err)
		n, err := w.ListenLoopback()
		require.NoError(b, err)
		c, err := New(Options{
			Dir: b.TempDir(), UserAgent: agent,
			Fetch:    fetch.Options{DNS: fetch.DNS{Resolver: n}, Dial: n.Dial, Permit: []netip.Prefix{crawlertest.Range}},
			Frontier: frontier.Options{MinDelay: -1, LatencyFactor: -1, Durability: lsm.Queued},
		})
		require.NoError(b, err)
		_, err = c.Add(b.Context(), w.Seeds()...)
		require.NoError(b, err)
		require.NoError(b, c.Run(b.Context()))
		pages += int(c.Stats().Pages)
		require.NoError(b, c.Close())
		require.NoError(b, n.Close())
	}
	b.ReportMetric(float64(pages)/b.Elapsed().Seconds(), "pages/s")
}
