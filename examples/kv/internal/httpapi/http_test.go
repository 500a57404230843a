package httpapi

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
	"github.com/ashlar-go/ashlar/examples/kv/internal/apitest"
)

func start(t *testing.T) (*apitest.Memory, string) {
	t.Helper()
	m := apitest.New()
	srv := httptest.NewServer(New(Options{Store: m}))
	t.Cleanup(srv.Close)
	return m, srv.URL
}

type answer struct {
	code int
	body string
	head http.Header
}

// do sends a request; headers come in pairs.
func do(t *testing.T, method, target, body string, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequest(method, target, strings.NewReader(body))
	require.NoError(t, err)
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return answer{resp.StatusCode, string(b), resp.Header}
}

func TestPutGetDelete(t *testing.T) {
	_, base := start(t)
	require.Equal(t, http.StatusNotFound, do(t, "GET", base+"/kv/a", "").code)
	put := do(t, "PUT", base+"/kv/a", "hello")
	require.Equal(t, http.StatusNoContent, put.code)
	require.Equal(t, "2", put.head.Get(HeaderPrimaries))
	get := do(t, "GET", base+"/kv/a", "")
	require.Equal(t, http.StatusOK, get.code)
	require.Equal(t, "hello", get.body)
	require.Equal(t, put.head.Get(HeaderContext), get.head.Get(HeaderContext))
	require.Equal(t, "2", get.head.Get(HeaderAnswers))
	head := do(t, "HEAD", base+"/kv/a", "")
	require.Equal(t, "5", head.head.Get("Content-Length"))
	require.Equal(t, http.StatusNoContent, do(t, "DELETE", base+"/kv/a", "").code)
	require.Equal(t, http.StatusNotFound, do(t, "GET", base+"/kv/a", "").code)
}

// Keys may hold anything that can be percent-encoded.
func TestAnyKey(t *testing.T) {
	_, base := start(t)
	for _, key := range []string{"net/http/server.go", "a//b/../c/.", "\x00\xff", "日本", "?#%", " ", strings.Repeat("k", 1000)} {
		target := base + "/kv/" + strings.ReplaceAll(url.PathEscape(key), "%2F", "/")
		require.Equal(t, http.StatusNoContent, do(t, "PUT", target, key).code, key)
		require.Equal(t, key, do(t, "GET", target, "").body, key)
	}
}

func TestSiblingsAndTheirResolution(t *testing.T) {
	_, base := start(t)
	do(t, "PUT", base+"/kv/a", "one")
	require.Equal(t, http.StatusNoContent, do(t, "PUT", base+"/kv/a?context=none", "two").code)
	get := do(t, "GET", base+"/kv/a", "")
	require.Equal(t, http.StatusMultipleChoices, get.code)
	var s siblings
	require.NoError(t, json.Unmarshal([]byte(get.body), &s))
	require.Len(t, s.Siblings, 2)
	require.Equal(t, "one", string(s.Siblings[0].Value))
	require.Equal(t, http.StatusNoContent, do(t, "PUT", base+"/kv/a", "both", HeaderContext, get.head.Get(HeaderContext)).code)
	require.Equal(t, "both", do(t, "GET", base+"/kv/a", "").body)
}

func TestConditionsAndExpiry(t *testing.T) {
	m, base := start(t)
	now := time.Unix(1000, 0)
	m.Now = func() time.Time { return now }
	require.Equal(t, http.StatusPreconditionFailed, do(t, "PUT", base+"/kv/a", "x", "If-Match", "*").code)
	require.Equal(t, http.StatusNoContent, do(t, "PUT", base+"/kv/a?ttl=10", "x", "If-None-Match", "*").code)
	require.Equal(t, http.StatusPreconditionFailed, do(t, "PUT", base+"/kv/a", "y", "If-None-Match", "*").code)
	require.Equal(t, "1970-01-01T00:16:50Z", do(t, "GET", base+"/kv/a", "").head.Get(HeaderExpires))
	now = now.Add(10 * time.Second)
	require.Equal(t, http.StatusNotFound, do(t, "GET", base+"/kv/a", "").code)
}

func TestScan(t *testing.T) {
	_, base := start(t)
	for i := range 25 {
		do(t, "PUT", fmt.Sprintf("%s/kv/p%%2F%02d", base, i), fmt.Sprint(i))
	}
	do(t, "PUT", base+"/kv/q", "other")
	var keys []string
	after := ""
	for pages := 0; ; pages++ {
		require.Less(t, pages, 10)
		a := do(t, "GET", base+"/scan?prefix=p/&limit=10&after="+after, "")
		require.Equal(t, http.StatusOK, a.code, a.body)
		var p page
		require.NoError(t, json.Unmarshal([]byte(a.body), &p))
		for _, e := range p.Entries {
			k, err := url.PathUnescape(e.Key)
			require.NoError(t, err)
			require.Equal(t, strings.TrimPrefix(fmt.Sprintf("p/%02s", e.Siblings[0].Value), ""), k)
			keys = append(keys, k)
		}
		if after = p.Next; after == "" {
			break
		}
	}
	require.Len(t, keys, 25)
	require.Contains(t, do(t, "GET", base+"/scan?prefix=q&keys=true", "").body, `{"key":"q","context"`)
}

func TestBadRequests(t *testing.T) {
	_, base := start(t)
	for _, tc := range []struct {
		name, method, target, body string
		headers                    []string
		want                       int
	}{
		{"empty key", "GET", "/kv/", "", nil, 400},
		{"key too large", "GET", "/kv/" + strings.Repeat("k", api.MaxKey+1), "", nil, 413},
		{"value too large", "PUT", "/kv/a", strings.Repeat("v", api.MaxValue+1), nil, 413},
		{"level", "GET", "/kv/a?consistency=most", "", nil, 400},
		{"level of a write", "DELETE", "/kv/a?consistency=most", "", nil, 400},
		{"r over n", "GET", "/kv/a?r=4", "", nil, 400},
		{"w over n", "PUT", "/kv/a?w=9", "v", nil, 400},
		{"w of zero", "PUT", "/kv/a?w=0", "v", nil, 400},
		{"w is no number", "PUT", "/kv/a?w=two", "v", nil, 400},
		{"ttl", "PUT", "/kv/a?ttl=-1", "v", nil, 400},
		{"ttl is no time", "PUT", "/kv/a?ttl=soon", "v", nil, 400},
		{"context is no base64", "PUT", "/kv/a", "v", []string{HeaderContext, "!!"}, 400},
		{"context is forged", "PUT", "/kv/a", "v", []string{HeaderContext, "AAAAAAAAA_8"}, 400},
		{"context in the query", "PUT", "/kv/a?context=abc", "v", nil, 400},
		{"etag", "PUT", "/kv/a", "v", []string{"If-Match", `"abc"`}, 400},
		{"both conditions", "PUT", "/kv/a", "v", []string{"If-Match", "*", "If-None-Match", "*"}, 400},
		{"limit", "GET", "/scan?limit=0", "", nil, 400},
		{"large limit", "GET", "/scan?limit=100000", "", nil, 400},
		{"token", "GET", "/scan?after=!!", "", nil, 400},
		{"method", "POST", "/kv/a", "v", nil, 405},
		{"method of scan", "PUT", "/scan", "v", nil, 405},
		{"path", "GET", "/elsewhere", "", nil, 404},
	} {
		a := do(t, tc.method, base+tc.target, tc.body, tc.headers...)
		require.Equal(t, tc.want, a.code, "%s: %s", tc.name, a.body)
	}
	require.Equal(t, http.StatusNotFound, do(t, "GET", base+"/kv/a", "").code, "nothing was written")
}

func TestErrorsOfTheStore(t *testing.T) {
	m, base := start(t)
	for err, want := range map[error]int{
		api.ErrUnavailable: 503, api.ErrUnknown: 504, api.ErrNoSpace: 507, api.ErrDamaged: 500, api.ErrClosed: 503,
		api.ErrSiblings: 409, errors.New("anything"): 500, context.DeadlineExceeded: 504,
	} {
		m.Fail(fmt.Errorf("wrapped: %w", err))
		require.Equal(t, want, do(t, "GET", base+"/kv/a", "").code, err)
		require.Equal(t, want, do(t, "PUT", base+"/kv/a", "v").code, err)
		require.Equal(t, want, do(t, "DELETE", base+"/kv/a", "").code, err)
		require.Equal(t, want, do(t, "GET", base+"/scan", "").code, err)
	}
	m.Fail(nil)
	require.Equal(t, 200, do(t, "GET", base+"/status", "").code)
}

// A body that is not as long as declared writes nothing, and the server goes on.
func TestBodyNotAsDeclared(t *testing.T) {
	m, base := start(t)
	addr := strings.TrimPrefix(base, "http://")
	send := func(raw string) string {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		defer c.Close()
		require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
		_, err = io.WriteString(c, raw)
		require.NoError(t, err)
		require.NoError(t, c.(*net.TCPConn).CloseWrite())
		line, _ := bufio.NewReader(c).ReadString('\n')
		return line
	}
	send("PUT /kv/short HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nonly this")
	require.Contains(t, send("PUT /kv/long HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nfour, and more\r\n\r\n"), "204")
	res, err := m.Get(t.Context(), []byte("short"), api.ReadOptions{})
	require.NoError(t, err)
	require.Empty(t, res.Values)
	require.Equal(t, "four", do(t, "GET", base+"/kv/long", "").body)
}

func FuzzRequest(f *testing.F) {
	f.Add("PUT", "/kv/a?w=2&ttl=3s", "AAAA", []byte("v"))
	f.Add("GET", "/scan?prefix=%ff&limit=3", "", []byte{})
	f.Fuzz(func(t *testing.T, method, target, ctx string, body []byte) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			return
		}
		r := &http.Request{Method: method, URL: u, Header: http.Header{HeaderContext: {ctx}}, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body))}
		w := httptest.NewRecorder()
		New(Options{Store: apitest.New()}).ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Fatalf("%s %s: %d %s", method, target, w.Code, w.Body)
		}
	})
}
