package redisstore_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// client speaks enough RESP for these tests, over a few connections that it reuses.
type client struct {
	room chan struct{} // commands under way
	dial func(ctx context.Context) (net.Conn, error)
	mu   sync.Mutex
	idle []*conn
	sent atomic.Int64 // commands
}

type conn struct {
	net.Conn
	r *bufio.Reader
}

func (c *client) Do(ctx context.Context, args ...any) (any, error) {
	c.sent.Add(1)
	c.room <- struct{}{}
	defer func() { <-c.room }()
	c.mu.Lock()
	var cn *conn
	if n := len(c.idle); n > 0 {
		cn, c.idle = c.idle[n-1], c.idle[:n-1]
	}
	c.mu.Unlock()
	if cn == nil {
		nc, err := c.dial(ctx)
		if err != nil {
			return nil, err
		}
		cn = &conn{nc, bufio.NewReader(nc)}
	}
	stop := context.AfterFunc(ctx, func() { cn.Close() })
	v, err := cn.do(args)
	if !stop() {
		return nil, ctx.Err()
	}
	var refused reply
	if err != nil && !errors.As(err, &refused) {
		cn.Close()
		return nil, err
	}
	c.mu.Lock()
	c.idle = append(c.idle, cn)
	c.mu.Unlock()
	return v, err
}

func (c *client) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cn := range c.idle {
		cn.Close()
	}
	c.idle = nil
}

// reply is an error that the server answered.
type reply string

func (r reply) Error() string { return string(r) }

func (c *conn) do(args []any) (any, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "*%d\r\n", len(args))
	for _, a := range args {
		s := fmt.Sprint(a)
		fmt.Fprintf(&b, "$%d\r\n%s\r\n", len(s), s)
	}
	if _, err := io.WriteString(c, b.String()); err != nil {
		return nil, err
	}
	return c.read()
}

func (c *conn) read() (any, error) {
	line, err := c.r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	line = strings.TrimSuffix(line, "\r\n")
	if line == "" {
		return nil, errors.New("empty line")
	}
	switch rest := line[1:]; line[0] {
	case '+':
		return rest, nil
	case '-':
		return nil, reply(rest)
	case ':':
		return strconv.ParseInt(rest, 10, 64)
	case '$':
		n, err := strconv.Atoi(rest)
		if err != nil || n < 0 {
			return nil, err
		}
		buf := make([]byte, n+2)
		_, err = io.ReadFull(c.r, buf)
		return string(buf[:n]), err
	case '*':
		n, err := strconv.Atoi(rest)
		if err != nil || n < 0 {
			return nil, err
		}
		list := make([]any, n)
		for i := range list {
			if list[i], err = c.read(); err != nil {
				return nil, err
			}
		}
		return list, nil
	}
	return nil, fmt.Errorf("unknown reply %q", line)
}

// server is a redis-server on a socket of its own: no port, no file that lasts.
type server struct {
	path string
	cmd  *exec.Cmd
}

// start runs a server, or skips the test where none is installed.
func start(t testing.TB) *server {
	t.Helper()
	bin := ""
	for _, name := range []string{"redis-server", "valkey-server"} {
		if p, err := exec.LookPath(name); err == nil {
			bin = p
			break
		}
	}
	if bin == "" {
		t.Skip("neither redis-server nor valkey-server is installed")
	}
	// The path of a socket is short by law; t.TempDir may not be.
	dir, err := os.MkdirTemp("", "rl")
	require.NoError(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &server{path: filepath.Join(dir, "s")}
	s.run(t, bin)
	t.Cleanup(s.kill)
	return s
}

func (s *server) run(t testing.TB, bin string) {
	t.Helper()
	s.cmd = exec.Command(bin, "--port", "0", "--unixsocket", s.path, "--save", "", "--appendonly", "no", "--dir", filepath.Dir(s.path))
	out, err := s.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	ready := make(chan bool, 1)
	go func() {
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			if strings.Contains(lines.Text(), "ready to accept connections") || strings.Contains(lines.Text(), "Ready to accept connections") ||
				strings.Contains(lines.Text(), "now ready") {
				ready <- true
			}
		}
		close(ready)
	}()
	require.True(t, <-ready, "the server ended before it was ready")
}

func (s *server) kill() {
	if s.cmd != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
		s.cmd = nil
	}
}

func (s *server) client(t testing.TB) *client { return newClient(t, s.path) }

func newClient(t testing.TB, path string) *client {
	c := &client{room: make(chan struct{}, 50), dial: func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "unix", path)
	}}
	t.Cleanup(c.close)
	return c
}

// proxy passes bytes on, counts what clients send, and can hold answers back.
type proxy struct {
	path     string
	requests atomic.Int64 // pieces that clients sent: one a round trip
	hold     atomic.Bool
}

func newProxy(t testing.TB, to string) *proxy {
	p := &proxy{path: to + "p"}
	l, err := net.Listen("unix", p.path)
	require.NoError(t, err)
	var wg sync.WaitGroup
	var mu sync.Mutex
	var open []net.Conn
	keep := func(c net.Conn) { mu.Lock(); open = append(open, c); mu.Unlock() }
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("unix", to)
			if err != nil {
				in.Close()
				continue
			}
			keep(in)
			keep(out)
			pass := func(from, to net.Conn, count bool) {
				defer to.Close()
				buf := make([]byte, 1<<16)
				for {
					n, err := from.Read(buf)
					if err != nil {
						return
					}
					if count {
						p.requests.Add(1)
					} else if p.hold.Load() {
						continue
					}
					if _, err := to.Write(buf[:n]); err != nil {
						return
					}
				}
			}
			wg.Go(func() { pass(in, out, true) })
			wg.Go(func() { pass(out, in, false) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		mu.Lock()
		for _, c := range open {
			c.Close()
		}
		mu.Unlock()
		wg.Wait()
	})
	return p
}
