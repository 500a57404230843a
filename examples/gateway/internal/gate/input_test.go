package gate

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/gateway/internal/rules"
)

// TestBadRequests: each is answered with what is wrong, none reaches the backend, and the
// gateway goes on.
func TestBadRequests(t *testing.T) {
	x := newRig(t, as, Options{})
	for _, c := range []struct {
		what   string
		raw    string
		status int
	}{
		{"no HTTP", "hello\r\n\r\n", 400},
		{"no host", "GET /echo HTTP/1.1\r\n\r\n", 400},
		{"two hosts", "GET /echo HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400},
		{"dot segments", "GET /files/../search HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"dot segments, encoded", "GET /files/%2e%2e/search HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"dot segments, slash encoded", "GET /files/..%2fsearch HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"no path", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"tunnel", "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n", 400},
		{"bad escape", "GET /files/%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400},
		{"no key", "GET /search?q=a HTTP/1.1\r\nHost: a\r\n\r\n", 401},
		{"unknown key", "GET /search?q=a HTTP/1.1\r\nHost: a\r\nX-Api-Key: nope\r\n\r\n", 401},
		{"unknown key where none is needed", "GET /echo HTTP/1.1\r\nHost: a\r\nX-Api-Key: nope\r\n\r\n", 401},
		{"empty key", "GET /search?q=a HTTP/1.1\r\nHost: a\r\nX-Api-Key:\r\n\r\n", 401},
		{"two keys", "GET /search?q=a HTTP/1.1\r\nHost: a\r\nX-Api-Key: secret1\r\nX-Api-Key: secret2\r\n\r\n", 401},
		{"key and token", "GET /search?q=a HTTP/1.1\r\nHost: a\r\nX-Api-Key: secret1\r\nAuthorization: Bearer secret1\r\n\r\n", 401},
		{"another scheme", "GET /search?q=a HTTP/1.1\r\nHost: a\r\nAuthorization: Basic secret1\r\n\r\n", 401},
		{"huge key", "GET /search?q=a HTTP/1.1\r\nHost: a\r\nX-Api-Key: " + strings.Repeat("x", 10_000) + "\r\n\r\n", 401},
		{"forwarded for nobody", "GET /echo HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: somebody\r\n\r\n", 400},
		{"forwarded with a port out of range", "GET /echo HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 1.2.3.4:99999999\r\n\r\n", 400},
		{"forwarded by an empty list", "GET /echo HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: ,\r\n\r\n", 400},
		{"body too long", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n" + strings.Repeat("x", 1001), 413},
		{"length beyond all", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 400},
		{"negative length", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400},
		{"length and chunks", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nTransfer-Encoding: gzip\r\n\r\nabc", 501},
		{"chunks too long together", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + strings.Repeat("64\r\n"+strings.Repeat("x", 100)+"\r\n", 11) + "0\r\n\r\n", 413},
		{"broken chunks", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400},
		{"body that never ends", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n", 408},
		{"body that never comes", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n", 408},
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(x.url, "http://"))
		require.NoError(t, err)
		require.NoError(t, conn.SetDeadline(time.Now().Add(10*time.Second)))
		_, err = io.WriteString(conn, c.raw)
		require.NoError(t, err, c.what)
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		require.NoError(t, err, c.what)
		b, _ := io.ReadAll(res.Body)
		require.Equal(t, c.status, res.StatusCode, "%s: %s", c.what, b)
		conn.Close()
	}
	require.LessOrEqual(t, x.backend.Served(), int64(4), "only the bodies that went on for too long have got there")
	res, _ := x.do("GET", "/files/a.txt")
	require.Equal(t, 200, res.StatusCode)
}

// TestCostAboveBurst: what costs more than a limit ever holds is refused for good, and
// takes nothing.
func TestCostAboveBurst(t *testing.T) {
	for _, cost := range []string{"6", "1000000000"} {
		x := newRig(t, func(s string) string { return strings.Replace(s, `"cost": 4`, `"cost": `+cost, 1) }, Options{})
		res, body := x.do("GET", "/search?q=txt", "X-Api-Key", "secret1")
		require.Equal(t, 429, res.StatusCode)
		require.Empty(t, res.Header.Get("Retry-After"), "there is no use in coming again")
		require.Contains(t, body, "ever allows")
		for range 5 {
			res, _ = x.do("GET", "/files/a.txt", "X-Api-Key", "secret1")
			require.Equal(t, 200, res.StatusCode)
		}
	}
}

// TestOneHostManyAddresses: who has one IPv6 address has all of its /64, and as many zones
// as he can write down.
func TestOneHostManyAddresses(t *testing.T) {
	x := newRig(t, as, Options{})
	got := map[int]int{}
	for i := range 80 {
		from := fmt.Sprintf("2001:db8::%x%%eth%d", i+1, i)
		if i%2 == 0 {
			from = fmt.Sprintf("[2001:db8::1:%x]:%d", i+1, i+1)
		}
		res, _ := x.do("GET", "/files/a.txt", "X-Forwarded-For", from)
		got[res.StatusCode]++
	}
	require.LessOrEqual(t, got[200], 50)
	require.Equal(t, 80, got[200]+got[400]+got[429], "%v", got)
}

// TestSilentRedis: a store that takes connections and says nothing costs its timeout once.
func TestSilentRedis(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	const timeout = 50 * time.Millisecond
	x := newRig(t, as, Options{Limits: Limits{Redis: l.Addr().String(), Gateways: 5, Timeout: rules.Duration(timeout)}})
	begun := time.Now()
	res, _ := x.do(http.MethodGet, "/files/a.txt", "X-Api-Key", "secret1")
	require.Equal(t, 200, res.StatusCode)
	require.GreaterOrEqual(t, time.Since(begun), timeout)
	require.True(t, x.Look().Counting.Down)
	res, _ = x.do(http.MethodGet, "/files/a.txt", "X-Api-Key", "secret1")
	require.Equal(t, 429, res.StatusCode, "a fifth of five is one")
	require.EqualValues(t, 2, x.Look().Total.Degraded.Load())
}
