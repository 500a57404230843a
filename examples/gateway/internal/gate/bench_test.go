package gate

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/gateway/internal/redis"
	"github.com/ashlar-go/ashlar/examples/gateway/internal/rules"
)

// canned is a backend without a network: what is left to measure is the gateway.
type canned struct{}

func (canned) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
	return &http.Response{
		StatusCode: http.StatusOK, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, ContentLength: int64(len(page)),
		Header: http.Header{"Content-Type": {"text/plain"}}, Body: io.NopCloser(bytes.NewReader(page)),
	}, nil
}

var page = bytes.Repeat([]byte("x"), 1000)

// BenchmarkRequest compares a gateway with httputil.ReverseProxy alone, and what the
// places to count cost.
func BenchmarkRequest(b *testing.B) {
	enough := strings.NewReplacer(`"events": 50,`, `"events": 1000000,`, `"events": 40,`, `"events": 1000000,`, `"events": 30,`, `"events": 1000000,`, `"per": "1h"`, `"per": "1ms"`)
	r, err := rules.Parse([]byte(strings.ReplaceAll(enough.Replace(file()), "BACKEND", "127.0.0.1:9")))
	require.NoError(b, err)
	measure := func(h http.Handler) func(b *testing.B) {
		return func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					q := httptest.NewRequest(http.MethodGet, "/files/a.txt", nil)
					q.RemoteAddr = "127.0.0.1:1"
					q.Header.Set("X-Api-Key", "secret2")
					w := httptest.NewRecorder()
					if h.ServeHTTP(w, q); w.Code != http.StatusOK || w.Body.Len() != len(page) {
						b.Fatalf("HTTP %d, %d bytes", w.Code, w.Body.Len())
					}
				}
			})
		}
	}
	gateway := func(b *testing.B, l Limits) *Gateway {
		g, err := New(Options{Name: "g", Rules: r, Dial: canned{}, Limits: l})
		require.NoError(b, err)
		b.Cleanup(func() { require.NoError(b, g.Close()) })
		return g
	}
	to := &url.URL{Scheme: "http", Host: "127.0.0.1:9"}
	b.Run("bare", measure(&httputil.ReverseProxy{Transport: canned{}, Rewrite: func(pr *httputil.ProxyRequest) { pr.SetURL(to); pr.SetXForwarded() }}))
	b.Run("memory", measure(gateway(b, Limits{})))
	s, err := redis.Start(b.Context())
	if err != nil {
		b.Log(err)
		return
	}
	b.Cleanup(func() { require.NoError(b, s.Close()) })
	b.Run("edge", measure(gateway(b, Limits{Redis: s.Addr, Edge: true})))
	b.Run("redis", measure(gateway(b, Limits{Redis: s.Addr})))
}
