package fetch

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/ashlar-go/ashlar/crawler/urlx"
	"github.com/stretchr/testify/require"
)

var loopback = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}

// newClient closes itself, and looks that nothing of it is left.
func newClient(t testing.TB, o Options) *Client {
	t.Helper()
	c, err := New(o)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, c.Close())
		require.NoError(t, c.Close())
		require.Zero(t, c.Stats().Idle)
		requireNoGoroutines(t)
	})
	return c
}

// requireNoGoroutines fails if a goroutine is still inside of a client. Functions that end
// with a context may be about to.
func requireNoGoroutines(t testing.TB) {
	t.Helper()
	buf := make([]byte, 1<<20)
	for range 10_000 {
		if !bytes.Contains(buf[:runtime.Stack(buf, true)], []byte("fetch.(*Client).")) {
			return
		}
		runtime.Gosched()
	}
	t.Fatalf("goroutines are left:\n%s", buf[:runtime.Stack(buf, true)])
}

func parse(t testing.TB, s string) *urlx.URL {
	t.Helper()
	u, err := urlx.Parse(s)
	require.NoError(t, err)
	return u
}

// serve runs a server on loopback.
func serve(t testing.TB, h http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s.URL
}

func TestRequestOnTheWire(t *testing.T) {
	got := make(chan *http.Request, 1)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got <- r
		w.Header().Set("ETag", `"1"`)
		w.Header().Set("Content-Type", "text/html")
		if r.Header.Get("If-None-Match") == `"1"` {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		io.WriteString(w, "hello")
	})
	c := newClient(t, Options{UserAgent: "examplebot/1.0 (+https://example.org)", Permit: loopback})
	u := parse(t, url+"/a%2Fb//c|d?x=ü&y=%41#top")
	resp, err := c.Fetch(t.Context(), Request{URL: u})
	require.NoError(t, err)
	r := <-got
	require.Equal(t, "GET", r.Method)
	require.Equal(t, "/a%2Fb//c|d?x=%C3%BC&y=%41", r.RequestURI)
	require.Equal(t, u.Host(), r.Host)
	require.Equal(t, "examplebot/1.0 (+https://example.org)", r.UserAgent())
	require.Equal(t, "gzip, deflate, zstd", r.Header.Get("Accept-Encoding"))
	require.Equal(t, 200, resp.Status)
	require.Equal(t, "hello", string(resp.Body))
	require.Equal(t, "text/html", resp.ContentType)
	require.EqualValues(t, 5, resp.Size)
	require.EqualValues(t, 5, resp.Transferred)
	require.False(t, resp.Reused)
	require.True(t, resp.Addr.Addr().IsLoopback())

	resp, err = c.Fetch(t.Context(), Request{URL: u, ETag: `"1"`, LastModified: "Mon, 02 Jan 2006 15:04:05 GMT"})
	require.NoError(t, err)
	require.True(t, resp.NotModified())
	require.True(t, resp.Reused)
	require.Equal(t, "Mon, 02 Jan 2006 15:04:05 GMT", (<-got).Header.Get("If-Modified-Since"))
	s := c.Stats()
	require.EqualValues(t, 2, s.Requests)
	require.EqualValues(t, 1, s.Dials)
	require.EqualValues(t, 1, s.Reused)
	require.Equal(t, 1, s.Idle)
	require.Contains(t, s.String(), "2 requests (0 failed, 1 reused connections)")

	_, err = c.Fetch(t.Context(), Request{URL: u, ETag: "a\r\nX: y"})
	require.ErrorIs(t, err, ErrURL)
}

func TestBodyGoesWhereItIsWanted(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, strings.Repeat("0123456789", 10_000)) })
	c := newClient(t, Options{Permit: loopback})
	var out bytes.Buffer
	resp, err := c.Fetch(t.Context(), Request{URL: parse(t, url), Body: &out})
	require.NoError(t, err)
	require.Nil(t, resp.Body)
	require.Equal(t, 100_000, out.Len())
	require.EqualValues(t, 100_000, resp.Size)

	buf := make([]byte, 0, 200_000)
	resp, err = c.Fetch(t.Context(), Request{URL: parse(t, url), Buffer: buf})
	require.NoError(t, err)
	require.Same(t, &buf[:1][0], &resp.Body[0])

	failed := errors.New("disk full")
	_, err = c.Fetch(t.Context(), Request{URL: parse(t, url), Body: failingWriter{failed}})
	require.ErrorIs(t, err, failed)

	resp, err = c.Fetch(t.Context(), Request{URL: parse(t, url), MaxBody: 1000})
	require.ErrorIs(t, err, ErrTooLarge)
	require.Len(t, resp.Body, 1000, "what fits")
	_, err = c.Fetch(t.Context(), Request{URL: parse(t, url), MaxBody: 100_000})
	require.NoError(t, err, "a body as large as the bound")

	_, err = c.Fetch(t.Context(), Request{URL: parse(t, url), Accept: func(r *Response) error {
		require.Equal(t, "text/plain; charset=utf-8", r.ContentType)
		return failed
	}})
	require.ErrorIs(t, err, failed)
	var fe *Error
	require.ErrorAs(t, err, &fe)
	require.Equal(t, PhaseHeader, fe.Phase)
	require.False(t, fe.Temporary())
}

type failingWriter struct{ err error }

func (f failingWriter) Write(p []byte) (int, error) { return 0, f.err }

func TestRedirects(t *testing.T) {
	base := serve(t, func(w http.ResponseWriter, r *http.Request) {
		to := map[string]string{
			"/": "/b", "/b": "c?x", "/c": "HTTP:end", "/self": "/self#again", "/pair": "/riap", "/riap": "/pair",
			"/none": "", "/file": "file:///etc/passwd", "/script": "javascript:alert(1)", "/ftp": "ftp://example.org/",
			"/spaces": " /a b ", "/latin": "/caf\xe9", "/bad": "http://[::1", "/in": "http://127.0.0.1:1/", "/out": "http://10.0.0.1/",
			"/meta": "http://169.254.169.254/latest/meta-data/", "/mapped": "http://[::ffff:10.0.0.1]/", "/n": "/n?" + r.URL.RawQuery + "x",
		}
		if v, ok := to[r.URL.Path]; ok {
			if v != "" {
				w.Header().Set("Location", v)
			}
			w.WriteHeader(http.StatusFound)
			io.WriteString(w, "moved")
			return
		}
		io.WriteString(w, r.RequestURI)
	})
	c := newClient(t, Options{Permit: loopback})
	var seen []Hop
	follow := func(_ context.Context, h Hop) error { seen = append(seen, h); return nil }

	resp, err := c.Fetch(t.Context(), Request{URL: parse(t, base+"/"), Follow: follow})
	require.NoError(t, err)
	require.Equal(t, "/end", string(resp.Body))
	require.Equal(t, base+"/end", resp.URL.String())
	require.Len(t, resp.Hops, 3)
	require.Equal(t, seen, resp.Hops)
	require.Equal(t, base+"/c?x", seen[1].To.String())
	require.Equal(t, 1, seen[1].N)
	require.False(t, seen[1].Permanent())

	resp, err = c.Fetch(t.Context(), Request{URL: parse(t, base+"/")})
	require.NoError(t, err, "nobody said to follow")
	require.Equal(t, base+"/b", resp.Location.String())
	require.Equal(t, "moved", string(resp.Body))
	resp, err = c.Fetch(t.Context(), Request{URL: parse(t, base+"/"), Follow: func(_ context.Context, h Hop) error {
		if h.N == 1 {
			return ErrUseLast
		}
		return nil
	}})
	require.NoError(t, err)
	require.Equal(t, base+"/b", resp.URL.String())
	refuse := errors.New("no")
	_, err = c.Fetch(t.Context(), Request{URL: parse(t, base+"/"), Follow: func(context.Context, Hop) error { return refuse }})
	require.ErrorIs(t, err, refuse)

	for path, want := range map[string]error{
		"/self": ErrLoop, "/pair": ErrLoop, "/none": ErrLocation, "/file": ErrLocation, "/script": ErrLocation, "/ftp": ErrLocation, "/bad": ErrLocation,
		"/in": ErrPort, "/out": ErrAddress, "/meta": ErrAddress, "/mapped": ErrAddress, "/n": ErrTooManyRedirects, "/spaces": nil, "/latin": nil,
	} {
		resp, err := c.Fetch(t.Context(), Request{URL: parse(t, base+path), Follow: follow})
		if want != nil {
			require.ErrorIs(t, err, want, path)
			continue
		}
		require.NoError(t, err, path)
		require.Len(t, resp.Hops, 1)
	}
	_, err = c.Fetch(t.Context(), Request{URL: parse(t, base+"/none")})
	require.ErrorIs(t, err, ErrLocation, "a redirect to nowhere is one whoever follows")
}

// TestCancelAndClose ends fetches in each phase, by the caller and by Close.
func TestCancelAndClose(t *testing.T) {
	entered := make(chan struct{}, 1)
	release := make(chan struct{})
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "x")
			w.(http.Flusher).Flush()
		}
		entered <- struct{}{}
		<-release
	})
	defer close(release)
	for _, path := range []string{"/header", "/body"} {
		c := newClient(t, Options{Permit: loopback})
		ctx, cancel := context.WithCancelCause(t.Context())
		mine := errors.New("mine")
		go func() { <-entered; cancel(mine) }()
		_, err := c.Fetch(ctx, Request{URL: parse(t, url+path)})
		require.ErrorIs(t, err, mine, path)
		_, err = c.Fetch(ctx, Request{URL: parse(t, url+path)})
		require.ErrorIs(t, err, mine, "before it began")

		closed := make(chan error)
		go func() { <-entered; closed <- c.Close() }()
		_, err = c.Fetch(t.Context(), Request{URL: parse(t, url+path)})
		require.ErrorIs(t, err, ErrClosed, path)
		require.NoError(t, <-closed)
		_, err = c.Fetch(t.Context(), Request{URL: parse(t, url+path)})
		require.ErrorIs(t, err, ErrClosed)
	}
	block := make(chan struct{})
	c := newClient(t, Options{Dial: func(ctx context.Context, _ string, _ netip.AddrPort) (net.Conn, error) {
		close(block)
		<-ctx.Done()
		return nil, ctx.Err()
	}})
	go func() { <-block; c.Close() }()
	_, err := c.Fetch(t.Context(), Request{URL: parse(t, "http://8.8.8.8/")})
	require.ErrorIs(t, err, ErrClosed, "while connecting")
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2024, 2, 29, 12, 0, 0, 0, time.UTC)
	for v, want := range map[string]time.Duration{
		"120": 2 * time.Minute, "0": 0, " 7 ": 7 * time.Second, "99999999999999999999": 1<<63 - 1, "9999999999999": 1<<63 - 1,
		"Thu, 29 Feb 2024 12:00:30 GMT": 30 * time.Second, "Thursday, 29-Feb-24 12:00:30 GMT": 30 * time.Second, "Thu Feb 29 12:00:30 2024": 30 * time.Second,
		"Tue, 28 Feb 2023 12:00:30 GMT": 0, "Fri, 31 Dec 9999 23:59:59 GMT": 1<<63 - 1,
		"": -1, "-5": -1, "soon": -1, "1.5": -1, "1e3": -1,
	} {
		r := Response{Header: http.Header{"Retry-After": {v}}}
		d, ok := r.RetryAfter(now)
		require.Equal(t, want >= 0, ok, v)
		if ok {
			require.Equal(t, want, d, v)
		}
	}
}

func TestOptions(t *testing.T) {
	_, err := New(Options{MaxHeader: -1, MaxBody: -1, Timeouts: Timeouts{Total: -1}, UserAgent: "a\nb", DNS: DNS{MinTTL: 2 * time.Hour}})
	for _, s := range []string{"MaxHeader", "MaxBody", "Total", "UserAgent", "MinTTL"} {
		require.ErrorContains(t, err, s)
	}
	_, err = (&Client{}).target(nil)
	require.ErrorIs(t, err, ErrURL)
	c := newClient(t, Options{})
	for u, want := range map[string]error{
		"ftp://example.org/": ErrURL, "mailto:a@example.org": ErrURL, "data:,x": ErrURL, "http://example.org:25/": ErrPort, "http://example.org:6379/": ErrPort, "http://example.org:0/": ErrPort,
		"http://example.org/" + strings.Repeat("x", 1<<20): ErrURL, "http://" + strings.Repeat("x.", 200) + "org/": ErrURL,
	} {
		_, err := c.Fetch(t.Context(), Request{URL: parse(t, u)})
		require.ErrorIs(t, err, want, "%.40s", u)
		var fe *Error
		require.ErrorAs(t, err, &fe)
		require.False(t, fe.Temporary())
		require.Less(t, len(err.Error()), 400)
	}
	require.Equal(t, "unknown", Phase(99).String())
	require.Contains(t, fmt.Sprint(&Error{PhaseBody, "http://a/", ErrSlow}), "fetch: too slow (body of http://a/)")
}
