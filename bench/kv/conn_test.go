package main

import (
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func serve(t *testing.T, h http.HandlerFunc) (addr string, dials *atomic.Int64) {
	t.Helper()
	dials = new(atomic.Int64)
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			dials.Add(1)
		}
	}
	srv.Start()
	t.Cleanup(srv.Close)
	return srv.Listener.Addr().String(), dials
}

func TestConnSpeaksHTTP(t *testing.T) {
	addr, dials := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil || r.Method != "PUT" && len(body) > 0 {
			w.WriteHeader(500)
			return
		}
		switch r.URL.Path {
		case "/chunks":
			for range 3 {
				io.WriteString(w, strings.Repeat("x", 10_000))
				w.(http.Flusher).Flush()
			}
		case "/empty":
			w.WriteHeader(204)
		case "/close":
			w.Header().Set("Connection", "close")
			io.WriteString(w, "bye")
		default:
			w.WriteHeader(300)
			w.Write(body)
		}
	})
	c := newConn(addr, 20*time.Second)
	defer c.close()
	for range 3 {
		for _, tc := range []struct {
			method, path, body string
			status             int
			size               int64
		}{
			{"GET", "/chunks", "", 200, 30_000},
			{"GET", "/empty", "", 204, 0},
			{"PUT", "/echo", "hello", 300, 5},
			{"PUT", "/echo", "", 300, 0},
			{"PUT", "/echo", strings.Repeat("v", 1<<20), 300, 1 << 20},
		} {
			status, size, err := c.do(tc.method, tc.path, []byte(tc.body))
			require.NoError(t, err)
			require.Equal(t, tc.status, status)
			require.Equal(t, tc.size, size)
		}
	}
	require.EqualValues(t, 1, dials.Load(), "one connection for all")
	for range 2 {
		_, size, err := c.do("GET", "/close", nil)
		require.NoError(t, err)
		require.EqualValues(t, 3, size)
	}
	require.EqualValues(t, 2, dials.Load())
}

func TestConnOnBrokenAnswers(t *testing.T) {
	answers := []string{
		"", "\r\n", "hello\n", "HTTP/1.1 ", "HTTP/1.1 2x0 OK\r\n\r\n", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "HTTP/1.1 200 OK\r\n" + strings.Repeat("x", 100_000),
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	go func() {
		for _, a := range append(answers, "HTTP/1.1 200 OK\r\n\r\nto the end") {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Read(make([]byte, 1000))
			io.WriteString(c, a)
			c.(*net.TCPConn).CloseWrite()
			io.Copy(io.Discard, c)
			c.Close()
		}
	}()
	c := newConn(l.Addr().String(), 20*time.Second)
	defer c.close()
	for _, a := range answers {
		_, _, err := c.do("GET", "/", nil)
		require.Error(t, err, "%.40q", a)
	}
	_, size, err := c.do("GET", "/", nil)
	require.NoError(t, err, "and it goes on")
	require.EqualValues(t, 10, size)
	l.Close()
	_, _, err = c.do("GET", "/", nil)
	require.Equal(t, "connection", kind(err))
}

func TestWhatUsersNotice(t *testing.T) {
	var status atomic.Int64
	var body atomic.Value
	body.Store("")
	addr, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.WriteHeader(int(status.Load()))
		if status.Load() != 204 {
			io.WriteString(w, body.Load().(string))
		}
	})
	rng := rand.New(rand.NewPCG(1, 2))
	for _, tc := range []struct {
		reads  float64
		status int64
		body   string
		note   string
		failed bool
	}{
		{1, 200, "1234", "", false},
		{1, 200, "123", "wrong value", true},
		{1, 300, "{}", "siblings", false},
		{1, 404, "", "not found", true},
		{1, 503, "", "read 503", true},
		{0, 204, "", "", false},
		{0, 504, "", "write 504", true},
	} {
		w := &workload{size: 4, keys: newChooser(10, 0), reads: tc.reads, values: newValues(rng, 4)}
		status.Store(tc.status)
		body.Store(tc.body)
		users := newUsers(w, []string{addr}, 1, 1)
		note, failed := users[0].do()
		require.Equal(t, tc.note, note)
		require.Equal(t, tc.failed, failed)
		closeUsers(users)
	}
}
