package gate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

// says is an answer with a body and headers, told as in rig.do.
func says(r *http.Request, status int, body string, set ...string) *http.Response {
	res := &http.Response{
		StatusCode: status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r, Header: http.Header{},
		Body: io.NopCloser(strings.NewReader(body)), ContentLength: int64(len(body)),
	}
	for i := 0; i < len(set); i += 2 {
		res.Header.Add(set[i], set[i+1])
	}
	return res
}

func keepFiles(s string) string {
	return strings.Replace(s, `"path": "/files/",`, `"path": "/files/", "cache": "1h",`, 1)
}

// TestKept: of all that ask for the same, one request reaches a backend, in the gateway's
// own name; and limits count all of them.
func TestKept(t *testing.T) {
	var asked atomic.Int64
	enough := make(chan bool)
	x := newRig(t, keepFiles, Options{Dial: roundTrip(func(r *http.Request) (*http.Response, error) {
		asked.Add(1)
		<-enough
		for _, name := range []string{"X-User", "X-Tier", "X-Forwarded-For", "Cookie", "X-Api-Key", "Referer"} {
			if r.Header[name] != nil {
				return nil, errors.New(name + " is told")
			}
		}
		return says(r, 200, "hello "+r.URL.Path, "X-Backend", "b1"), nil
	})})
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			res, body := x.do("GET", "/files/a", "X-Forwarded-For", fmt.Sprintf("10.0.0.%d", i), "Referer", "elsewhere")
			if res.StatusCode != 200 || body != "hello /a" {
				t.Errorf("HTTP %d %s", res.StatusCode, body)
			}
		})
	}
	close(enough)
	wg.Wait()
	require.EqualValues(t, 1, asked.Load())
	res, body := x.do("GET", "/files/a", "X-Api-Key", "secret1")
	require.Equal(t, 200, res.StatusCode)
	require.Equal(t, "hello /a", body)
	require.Equal(t, "b1", res.Header.Get("X-Backend"))
	require.NotEmpty(t, res.Header.Get("Age"))
	require.Len(t, res.Header.Values("X-Request-Id"), 1)
	require.EqualValues(t, 1, asked.Load())
	require.Positive(t, x.Look().Total.Cached.Load())
	got := map[int]int{}
	for range 8 {
		res, _ = x.do("GET", "/files/a", "X-Api-Key", "secret1")
		got[res.StatusCode]++
	}
	require.Equal(t, map[int]int{200: 4, 429: 4}, got)
	require.EqualValues(t, 1, asked.Load())

	// Another question is another answer; other rules forget all.
	x.do("GET", "/files/a?b", "X-Api-Key", "secret2")
	require.EqualValues(t, 2, asked.Load())
	text := strings.ReplaceAll(keepFiles(file()), "BACKEND", x.backend.Addr)
	require.NoError(t, x.Load([]byte(text), "test"))
	x.do("GET", "/files/a", "X-Api-Key", "secret2")
	require.EqualValues(t, 3, asked.Load())
}

// TestNotKept: requests and answers that are for one client alone, or are not whole.
func TestNotKept(t *testing.T) {
	for _, c := range []struct {
		what     string
		status   int
		set      []string // of the answer
		ask      []string // of the request
		kept     bool
		breakOff bool
	}{
		{what: "an answer", status: 200, kept: true},
		{what: "with time", status: 200, set: []string{"Cache-Control", "public, max-age=60"}, kept: true},
		{what: "with time for caches that are shared", status: 200, set: []string{"Cache-Control", "max-age=0, s-maxage=60"}, kept: true},
		{what: "by encoding", status: 200, set: []string{"Vary", "accept-encoding"}, kept: true},
		{what: "an error", status: 404},
		{what: "not to store", status: 200, set: []string{"Cache-Control", "max-age=60, No-Store"}},
		{what: "private", status: 200, set: []string{"Cache-Control", `private="x"`}},
		{what: "too old at once", status: 200, set: []string{"Cache-Control", "max-age=0"}},
		{what: "an age that is none", status: 200, set: []string{"Cache-Control", "max-age=soon"}},
		{what: "a cookie", status: 200, set: []string{"Set-Cookie", "a=b"}},
		{what: "by cookie", status: 200, set: []string{"Vary", "Accept-Encoding", "Vary", "Cookie"}},
		{what: "by anything", status: 200, set: []string{"Vary", "*"}},
		{what: "broken off", status: 200, breakOff: true},
		{what: "asked with a cookie", status: 200, ask: []string{"Cookie", "a=b"}},
		{what: "a part", status: 200, ask: []string{"Range", "bytes=0-1"}},
		{what: "on condition", status: 200, ask: []string{"If-None-Match", `"x"`}},
	} {
		var asked atomic.Int64
		x := newRig(t, keepFiles, Options{Dial: roundTrip(func(r *http.Request) (*http.Response, error) {
			n := asked.Add(1)
			res := says(r, c.status, "answer", c.set...)
			if c.breakOff && n == 1 { // without a length nobody could tell but by the error
				res.ContentLength = -1
				res.Body = io.NopCloser(io.MultiReader(bytes.NewReader([]byte("ans")), broken{}))
			}
			return res, nil
		})})
		for range 3 {
			res, body := x.do("GET", "/files/a", c.ask...)
			require.Equal(t, c.status, res.StatusCode, c.what)
			require.Equal(t, "answer", body, c.what)
		}
		if c.kept {
			require.EqualValues(t, 1, asked.Load(), c.what)
		} else {
			require.GreaterOrEqual(t, asked.Load(), int64(3), c.what)
		}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errors.New("broken off") }

// TestKeptWhileBackendsAreGone: an answer that is too old is better than none.
func TestKeptWhileBackendsAreGone(t *testing.T) {
	var gone atomic.Bool
	x := newRig(t, func(s string) string {
		return strings.Replace(s, `"path": "/free/",`, `"path": "/free/", "cache": "1ms",`, 1)
	}, Options{
		Dial: roundTrip(func(r *http.Request) (*http.Response, error) {
			if gone.Load() {
				return nil, errors.New("gone")
			}
			return says(r, 200, "answer"), nil
		}),
	})
	x.do("GET", "/free/a")
	gone.Store(true)
	for x.Look().Pools[0].Backends[0].Failures == 0 { // until it was too old
		res, body := x.do("GET", "/free/a")
		require.Equal(t, 200, res.StatusCode)
		require.Equal(t, "answer", body)
	}
	res, body := x.do("GET", "/free/a")
	require.Equal(t, 200, res.StatusCode)
	require.Equal(t, "answer", body)
	res, _ = x.do("GET", "/free/b")
	require.Equal(t, 502, res.StatusCode, "what was never there is not")
}
