package fetch

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// farm is a network whose servers answer for ever, and count their open connections.
type farm struct {
	mu   sync.Mutex
	open map[string]int
	most int
}

func (f *farm) options() Options {
	f.open = map[string]int{}
	return Options{
		DNS: DNS{Resolver: fixed{netip.MustParseAddr("8.8.8.8")}},
		Dial: func(context.Context, string, netip.AddrPort) (net.Conn, error) {
			client, server := net.Pipe()
			go f.serve(server)
			return client, nil
		},
	}
}

func (f *farm) serve(conn net.Conn) {
	defer conn.Close()
	br := bufio.NewReader(conn)
	host := ""
	defer func() {
		f.mu.Lock()
		f.open[host]--
		f.mu.Unlock()
	}()
	for {
		r, err := http.ReadRequest(br)
		if err != nil {
			return
		}
		if host == "" {
			host = r.Host
			f.mu.Lock()
			f.open[host]++
			f.most = max(f.most, f.open[host])
			f.mu.Unlock()
		}
		io.WriteString(conn, ok("", "hello"))
	}
}

func (f *farm) total() (n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, v := range f.open {
		n += v
	}
	return n
}

func TestKeptConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f farm
		o := f.options()
		o.MaxIdle = 10
		c, err := New(o)
		require.NoError(t, err)
		fetch := func(i int) *Response {
			resp, err := c.Fetch(t.Context(), Request{URL: parse(t, fmt.Sprintf("http://h%d.example/", i))})
			require.NoError(t, err)
			return resp
		}
		for i := range 30 {
			require.False(t, fetch(i).Reused)
		}
		synctest.Wait()
		require.Equal(t, 10, f.total(), "those that rested longest are closed")
		for i := 29; i >= 20; i-- {
			require.True(t, fetch(i).Reused)
		}
		require.False(t, fetch(0).Reused)
		time.Sleep(20 * time.Second)
		require.True(t, fetch(0).Reused, "after a look")
		time.Sleep(20 * time.Second)
		synctest.Wait()
		require.Equal(t, 1, f.total(), "the others have rested for 40 s")
		time.Sleep(11 * time.Second)
		synctest.Wait()
		require.Zero(t, f.total())
		require.Zero(t, c.Stats().Idle)

		// Many at once to one host: one of their connections is kept.
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() { fetch(1) })
		}
		wg.Wait()
		synctest.Wait()
		require.Equal(t, 1, f.total())
		require.NoError(t, c.Close())
		synctest.Wait()
		require.Zero(t, f.total())
	})
}

func TestNoConnectionIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var f farm
		o := f.options()
		o.MaxIdle = -1
		c, err := New(o)
		require.NoError(t, err)
		defer c.Close()
		for range 3 {
			resp, err := c.Fetch(t.Context(), Request{URL: parse(t, "http://a.example/")})
			require.NoError(t, err)
			require.False(t, resp.Reused)
			synctest.Wait()
			require.Zero(t, f.total())
		}
	})
}

// TestLeftoversAreNotTheNextAnswer has a server that sends a second response with the first:
// it must not become the answer to the next request.
func TestLeftoversAreNotTheNextAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, later := range []time.Duration{0, time.Millisecond, 2 * time.Second} {
			c, err := New(scripted(func(conn net.Conn) {
				io.WriteString(conn, ok("", "hello"))
				time.Sleep(later)
				io.WriteString(conn, ok("", "forged"))
				silence(conn)
			}))
			require.NoError(t, err)
			for range 3 {
				resp, err := c.Fetch(t.Context(), Request{URL: parse(t, "http://a.example/")})
				require.NoError(t, err)
				require.Equal(t, "hello", string(resp.Body))
				time.Sleep(3 * time.Second)
			}
			require.NoError(t, c.Close())
		}
	})
}
