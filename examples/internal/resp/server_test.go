package resp

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// newTestClient reads replies from r.
func newTestClient(r io.Reader) *Client {
	return &Client{br: bufio.NewReader(r), max: Limits{Args: 64, Bulk: 1 << 10, Command: 4 << 10, Inline: 1 << 10}}
}

// startMap serves a map with SET, GET and MGET and returns its address.
func startMap(t testing.TB, o Options) string {
	t.Helper()
	var mu sync.Mutex
	m := map[string]string{}
	o.Handler = func(c *Conn, args [][]byte) {
		mu.Lock()
		defer mu.Unlock()
		get := func(k []byte) {
			if v, ok := m[string(k)]; ok {
				c.BulkString(v)
				return
			}
			c.Null()
		}
		switch name := string(args[0]); {
		case name == "SET" && len(args) == 3:
			m[string(args[1])] = string(args[2])
			c.Status("OK")
		case name == "GET" && len(args) == 2:
			get(args[1])
		case name == "MGET" && len(args) > 1:
			c.Array(len(args) - 1)
			for _, k := range args[1:] {
				get(k)
			}
		case name == "SET" || name == "GET" || name == "MGET":
			WrongArgs(c, args[0])
		default:
			Unknown(c, args[0])
		}
	}
	s, err := NewServer(o)
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	t.Cleanup(func() {
		require.NoError(t, s.Close())
		require.NoError(t, s.Close())
		require.ErrorIs(t, <-done, ErrClosed)
	})
	return l.Addr().String()
}

func dial(t testing.TB, addr string) *Client {
	t.Helper()
	c, err := Dial(t.Context(), addr)
	require.NoError(t, err)
	require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
	t.Cleanup(func() { c.Close() })
	return c
}

func TestServerAnswers(t *testing.T) {
	c := dial(t, startMap(t, Options{}))
	do := func(args ...string) Reply {
		t.Helper()
		r, err := c.Do(args...)
		require.NoError(t, err)
		return r
	}
	refused := func(want string, args ...string) {
		t.Helper()
		_, err := c.Do(args...)
		require.ErrorContains(t, err, want)
	}
	require.Equal(t, "PONG", string(do("ping").Bytes))
	require.Equal(t, "hi", string(do("PING", "hi").Bytes))
	require.Equal(t, "hi", string(do("echo", "hi").Bytes))
	require.Equal(t, "OK", string(do("set", "k", "v\r\n\x00").Bytes))
	require.Equal(t, "v\r\n\x00", string(do("GET", "k").Bytes))
	require.True(t, do("GET", "none").Null)
	mget := do("MGET", "k", "none").Elems
	require.Len(t, mget, 2)
	require.True(t, mget[1].Null)
	require.Equal(t, "OK", string(do("SELECT", "0").Bytes))
	require.Equal(t, "OK", string(do("CLIENT", "SETNAME", "me").Bytes))
	require.Equal(t, "me", string(do("CLIENT", "GETNAME").Bytes))
	require.Empty(t, do("COMMAND").Elems)
	require.Len(t, do("HELLO").Elems, 12)

	refused("unknown command 'NOPE'", "NOPE", "x")
	refused("wrong number of arguments for 'get' command", "GET")
	refused("out of range", "SELECT", "1")
	refused("NOPROTO", "HELLO", "4")
	refused("syntax error", "HELLO", "3", "WAT")
	refused("unknown subcommand", "CLIENT", "KILL")
	refused("unknown command 'A  B'", "a\r\nb")

	require.Equal(t, byte('%'), do("HELLO", "3").Kind)
	require.Equal(t, byte('_'), do("GET", "none").Kind)
	require.Equal(t, "RESET", string(do("RESET").Bytes))
	require.Equal(t, byte('$'), do("GET", "none").Kind)
	require.Equal(t, "OK", string(do("QUIT").Bytes))
	_, err := c.Do("PING")
	require.Error(t, err)
}

func TestServerPipelines(t *testing.T) {
	c := dial(t, startMap(t, Options{}))
	const n = 1000
	for i := range n {
		c.Send("SET", fmt.Sprint(i), strings.Repeat("x", i))
		c.Send("GET", fmt.Sprint(i))
	}
	require.NoError(t, c.Flush())
	for i := range n {
		r, err := c.Receive()
		require.NoError(t, err)
		require.Equal(t, "OK", string(r.Bytes))
		r, err = c.Receive()
		require.NoError(t, err)
		require.Len(t, r.Bytes, i)
	}
}

// A malformed frame is answered, its connection closed, and the others go on.
func TestServerSurvivesMalformedFrames(t *testing.T) {
	addr := startMap(t, Options{Limits: Limits{Bulk: 100}})
	good := dial(t, addr)
	for _, in := range []string{"*1\r\n$101\r\n", "*1\r\nx", "*x\r\n", "GET \"\r\n"} {
		nc, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		require.NoError(t, nc.SetDeadline(time.Now().Add(20*time.Second)))
		_, err = io.WriteString(nc, in)
		require.NoError(t, err)
		out, err := io.ReadAll(nc)
		require.NoError(t, err, "the server closes the connection")
		require.True(t, bytes.HasPrefix(out, []byte("-ERR Protocol error")), "%q: %q", in, out)
		nc.Close()
		_, err = good.Do("PING")
		require.NoError(t, err)
	}
}

func TestServerClosesSilentConnections(t *testing.T) {
	addr := startMap(t, Options{Idle: time.Millisecond})
	nc, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer nc.Close()
	_, err = io.ReadAll(nc)
	require.NoError(t, err)
}

func TestServerMisuse(t *testing.T) {
	_, err := NewServer(Options{})
	require.ErrorIs(t, err, ErrNoHandler)
	s, err := NewServer(Options{Handler: func(*Conn, [][]byte) {}})
	require.NoError(t, err)
	require.NoError(t, s.Close())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	require.ErrorIs(t, s.Serve(l), ErrClosed)
}

// The real redis-cli, when it is installed.
func TestRedisCLI(t *testing.T) {
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		t.Skip("redis-cli is not installed (Debian: redis-tools)")
	}
	host, port, err := net.SplitHostPort(startMap(t, Options{}))
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for _, proto := range []string{"-2", "-3"} {
		cmd := exec.CommandContext(ctx, cli, "-h", host, "-p", port, proto)
		cmd.Stdin = strings.NewReader("SET greeting \"hello world\"\nGET greeting\nGET none\nMGET greeting none\nFLY\n")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "OK\nhello world\n\nhello world\n\nERR unknown command 'FLY'")
	}
}

func BenchmarkServerPipelined(b *testing.B) {
	c := dial(b, startMap(b, Options{}))
	require.NoError(b, c.SetDeadline(time.Time{}))
	b.ReportAllocs()
	const depth = 100
	for b.Loop() {
		for range depth {
			c.Send("GET", "key")
		}
		if err := c.Flush(); err != nil {
			b.Fatal(err)
		}
		for range depth {
			if _, err := c.Receive(); err != nil {
				b.Fatal(err)
			}
		}
	}
}
