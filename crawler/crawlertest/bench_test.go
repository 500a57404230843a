package crawlertest

import (
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkVisit is one request over a pipe, by net/http.
func BenchmarkVisit(b *testing.B) {
	w, err := New(Options{Latency: -1})
	require.NoError(b, err)
	n := w.Listen()
	defer n.Close()
	c := &http.Client{Transport: &http.Transport{DialContext: n.DialContext}}
	defer c.CloseIdleConnections()
	for b.Loop() {
		resp, err := c.Get("http://h0.example/")
		require.NoError(b, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(b, err)
		require.NoError(b, resp.Body.Close())
	}
}

// BenchmarkAudit judges a log of 100,000 visits.
func BenchmarkAudit(b *testing.B) {
	var log []Visit
	for i := range 100_000 {
		log = append(log, visit(string(rune('a'+i%26)), "/robots.txt", i*1000, i*1000+10))
	}
	for b.Loop() {
		Audit(log, func(string) Rules { return Rules{} }, AuditOptions{})
	}
}
