package redis

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/internal/resp"
	"github.com/ashlar-go/ashlar/ratelimit"
	"github.com/ashlar-go/ashlar/ratelimit/ratelimittest"
	"github.com/ashlar-go/ashlar/ratelimit/redisstore"
)

func start(t *testing.T) *Server {
	s, err := Start(t.Context())
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// TestStoreOverClient runs the suite of stores over this client and a real server.
func TestStoreOverClient(t *testing.T) {
	s := start(t)
	ratelimittest.TestStore(t, func(t *testing.T) ratelimit.Store {
		c := NewClient(s.Addr, 0)
		t.Cleanup(func() { c.Close() })
		_, err := c.Do(t.Context(), "FLUSHALL")
		require.NoError(t, err)
		store, err := redisstore.New(c, redisstore.Options{})
		require.NoError(t, err)
		return store
	})
}

// TestFailures: a server that refuses, is silent, talks nonsense, or is not there.
func TestFailures(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	answers := make(chan string, 1)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buf := make([]byte, 1<<10)
				for {
					if _, err := conn.Read(buf); err != nil {
						return
					}
					if a := <-answers; a != "" {
						_, _ = conn.Write([]byte(a))
					}
				}
			}()
		}
	}()
	c := NewClient(l.Addr().String(), 1)
	answers <- "-ERR no\r\n"
	_, err = c.Do(t.Context(), "X")
	require.Equal(t, resp.ServerError("ERR no"), err)
	answers <- "*2\r\n:1\r\n-ERR inside\r\n"
	_, err = c.Do(t.Context(), "X", 1, int64(2), []byte("3"), 4.5)
	require.ErrorContains(t, err, "ERR inside")
	answers <- "HTTP/1.1 400 Bad Request\r\n"
	_, err = c.Do(t.Context(), "X")
	require.ErrorIs(t, err, resp.ErrProtocol)
	answers <- "*3\r\n$2\r\nab\r\n$-1\r\n:7\r\n"
	v, err := c.Do(t.Context(), "X")
	require.NoError(t, err)
	require.Equal(t, []any{"ab", nil, int64(7)}, v)

	answers <- "" // silence
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = c.Do(ctx, "X")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	answers <- "+fine\r\n" // on a new connection
	v, err = c.Do(t.Context(), "X")
	require.NoError(t, err)
	require.Equal(t, "fine", v)
	require.NoError(t, c.Close())
	_, err = c.Do(t.Context(), "X")
	require.ErrorIs(t, err, ErrClosed)

	l.Close()
	_, err = NewClient(l.Addr().String(), 1).Do(t.Context(), "X")
	require.Error(t, err)
}

// TestServerComesBack: the connections of before do not stand in the way.
func TestServerComesBack(t *testing.T) {
	s := start(t)
	c := NewClient(s.Addr, 0)
	defer c.Close()
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { _, _ = c.Do(t.Context(), "DEBUG", "SLEEP", "0.02") })
		wg.Go(func() { _, _ = c.Do(t.Context(), "PING") })
	}
	wg.Wait()
	s.Kill()
	_, err := c.Do(t.Context(), "PING")
	require.Error(t, err)
	require.NoError(t, s.Restart(t.Context()))
	_, err = c.Do(t.Context(), "PING")
	require.NoError(t, err)
}
