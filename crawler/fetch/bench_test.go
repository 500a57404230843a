package fetch

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkFetch gets a page of 16 KiB from loopback on a kept connection; the server is in
// the same process and part of the figures. net/http is beside it.
func BenchmarkFetch(b *testing.B) {
	page := strings.Repeat("<p>hello, world</p>\n", 820)
	zipped := gzipped(page)
	url := serve(b, func(w http.ResponseWriter, r *http.Request) {
		body := page
		if r.URL.Path == "/gzip" {
			w.Header().Set("Content-Encoding", "gzip")
			body = zipped
		}
		io.WriteString(w, body)
	})
	for _, path := range []string{"/plain", "/gzip"} {
		b.Run("ashlar"+path, func(b *testing.B) {
			c := newClient(b, Options{Permit: loopback})
			u := parse(b, url+path)
			var buf []byte
			b.ReportAllocs()
			b.SetBytes(int64(len(page)))
			for b.Loop() {
				resp, err := c.Fetch(b.Context(), Request{URL: u, Buffer: buf})
				require.NoError(b, err)
				buf = resp.Body
			}
		})
		b.Run("net-http"+path, func(b *testing.B) {
			c := http.Client{Transport: &http.Transport{}}
			defer c.CloseIdleConnections()
			b.ReportAllocs()
			b.SetBytes(int64(len(page)))
			for b.Loop() {
				resp, err := c.Get(url + path)
				require.NoError(b, err)
				_, err = io.Copy(io.Discard, resp.Body)
				require.NoError(b, err)
				require.NoError(b, resp.Body.Close())
			}
		})
	}
}
