package fetch

import (
	"bufio"
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
)

// fixed resolves every name to the same addresses.
type fixed []netip.Addr

func (f fixed) Lookup(context.Context, string) ([]netip.Addr, time.Duration, error) { return f, 0, nil }

// scripted returns options for a client whose every connection is served by script, over a
// pipe. The request has been read when the script begins.
func scripted(script func(conn net.Conn)) Options {
	return Options{
		DNS: DNS{Resolver: fixed{netip.MustParseAddr("8.8.8.8")}},
		Dial: func(context.Context, string, netip.AddrPort) (net.Conn, error) {
			client, server := net.Pipe()
			go func() {
				defer server.Close()
				if _, err := http.ReadRequest(bufio.NewReader(server)); err == nil {
					script(server)
				}
			}()
			return client, nil
		},
	}
}

// endless is what does not stop by itself.
func endless(conn net.Conn, s string) {
	for {
		if _, err := io.WriteString(conn, s); err != nil {
			return
		}
	}
}

// drip sends a byte a second.
func drip(conn net.Conn, s string) {
	for i := range s {
		if _, err := io.WriteString(conn, s[i:i+1]); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
}

// silence lasts until the client has gone.
func silence(conn net.Conn) { io.Copy(io.Discard, conn) }

func say(s string) func(net.Conn) { return func(c net.Conn) { io.WriteString(c, s) } }

func ok(header, body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s", len(body), header, body)
}

func gzipped(s string) string { return packed(gzip.NewWriter, s) }

func wrongSum(s string) string {
	z := []byte(gzipped(s))
	z[len(z)-8]++
	return string(z)
}

func packed[W io.WriteCloser](writer func(io.Writer) W, s string) string {
	var b bytes.Buffer
	w := writer(&b)
	io.WriteString(w, s)
	w.Close()
	return b.String()
}

func rawDeflate(w io.Writer) io.WriteCloser { f, _ := flate.NewWriter(w, 6); return f }
func newZstd(w io.Writer) io.WriteCloser    { z, _ := zstd.NewWriter(w); return z }

// bomb writes ten gigabytes of nothing, as gzip: members of 8 MiB.
func bomb(w io.Writer) {
	member := gzipped(strings.Repeat("\x00", 8<<20))
	for range 1280 {
		if _, err := io.WriteString(w, member); err != nil {
			return
		}
	}
}

// TestBadServers has what servers send by mistake or malice, by number: those of one list
// for the whole crawler, which goes on in its other packages. Time is virtual; every case ends within the bounds of time, and leaves
// nothing running.
func TestBadServers(t *testing.T) {
	noise := make([]byte, 3<<20)
	for i := range noise {
		noise[i] = byte(rand.Uint32())
	}
	cases := []struct {
		n      int
		name   string
		script func(net.Conn)
		err    error  // nil: none
		body   string // if not "": what the response has, also with an error
		max    time.Duration
	}{
		{n: 6, name: "gzip bomb", script: func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n"); bomb(c) }, err: ErrRatio},
		{n: 6, name: "zstd bomb", script: say(ok("Content-Encoding: zstd\r\n", packed(newZstd, strings.Repeat("x", 9<<20)))), err: ErrRatio},
		{n: 6, name: "deflate bomb", script: say(ok("Content-Encoding: deflate\r\n", packed(zlib.NewWriter, strings.Repeat("x", 9<<20)))), err: ErrRatio},
		{n: 6, name: "bomb within a bomb", script: say(ok("Content-Encoding: gzip, gzip\r\n", gzipped(gzipped(strings.Repeat("\x00", 9<<20))))), err: ErrRatio},
		{n: 7, name: "gzip", script: say(ok("Content-Encoding: gzip\r\n", gzipped("hello"))), body: "hello"},
		{n: 7, name: "x-gzip, in capitals", script: say(ok("content-encoding: X-GZIP\r\n", gzipped("hello"))), body: "hello"},
		{n: 7, name: "gzip inside gzip", script: say(ok("Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n", gzipped(gzipped("hello")))), body: "hello"},
		{n: 7, name: "gzip in zstd", script: say(ok("Content-Encoding: gzip , zstd\r\n", packed(newZstd, gzipped("hello")))), body: "hello"},
		{n: 7, name: "three layers", script: say(ok("Content-Encoding: gzip,gzip,gzip\r\n", gzipped(gzipped(gzipped("x"))))), err: ErrEncoding},
		{n: 7, name: "a thousand layers", script: say(ok("Content-Encoding: "+strings.Repeat("gzip,", 1000)+"\r\n", "")), err: ErrEncoding},
		{n: 7, name: "deflate as in the standard", script: say(ok("Content-Encoding: deflate\r\n", packed(zlib.NewWriter, "hello"))), body: "hello"},
		{n: 7, name: "deflate as in practice", script: say(ok("Content-Encoding: deflate\r\n", packed(rawDeflate, "hello"))), body: "hello"},
		{n: 7, name: "zstd", script: say(ok("Content-Encoding: zstd\r\n", packed(newZstd, "hello"))), body: "hello"},
		{n: 7, name: "identity", script: say(ok("Content-Encoding: identity\r\n", "hello")), body: "hello"},
		{n: 7, name: "nothing, as gzip", script: say(ok("Content-Encoding: gzip\r\n", ""))},
		{n: 7, name: "text that is said to be gzip", script: say(ok("Content-Encoding: gzip\r\n", "hello, hello, hello")), err: ErrEncoding},
		{n: 7, name: "a letter that is said to be zstd", script: say(ok("Content-Encoding: zstd\r\n", "x")), err: ErrTruncated},
		{n: 7, name: "brotli, unasked", script: say(ok("Content-Encoding: br\r\n", "\x0b\x02\x80hello\x03")), err: ErrEncoding},
		{n: 7, name: "gzip cut short", script: say(ok("Content-Encoding: gzip\r\n", gzipped(strings.Repeat("hello ", 100))[:30])), err: ErrTruncated},
		{n: 7, name: "gzip with a wrong sum", script: say(ok("Content-Encoding: gzip\r\n", wrongSum("hello"))), err: ErrEncoding},
		{n: 8, name: "endless body", script: func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n"); endless(c, string(noise[:1<<16])) }, err: ErrTooLarge},
		{n: 8, name: "endless chunks", script: func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			endless(c, "1000\r\n"+strings.Repeat("x", 0x1000)+"\r\n")
		}, err: ErrTooLarge},
		{n: 8, name: "incompressible gzip without end", script: func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")
			endless(c, gzipped(string(noise)))
		}, err: ErrTooLarge},
		{n: 9, name: "header a byte a second", script: func(c net.Conn) { drip(c, ok("", "hello")) }, err: ErrTimeout, max: 20 * time.Second},
		{n: 9, name: "body a byte a second", script: func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
			drip(c, strings.Repeat("x", 1000))
		}, err: ErrSlow, max: 11 * time.Second},
		{n: 9, name: "much at once, then a pause", script: func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"+strings.Repeat("x", 500_000))
			silence(c)
		}, err: ErrSlow, max: 10 * time.Second},
		{n: 9, name: "just fast enough, for ever", script: func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\n\r\n")
			for {
				if _, err := io.WriteString(c, strings.Repeat("x", 512)); err != nil {
					return
				}
				time.Sleep(time.Second)
			}
		}, err: ErrTimeout, max: time.Minute},
		{n: 9, name: "gzip a byte a second", script: func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")
			drip(c, gzipped(string(noise[:1000])))
		}, err: ErrSlow, max: 11 * time.Second},
		{n: 10, name: "Content-Length too large", script: say("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhello"), err: ErrTruncated, body: "hello"},
		{n: 10, name: "Content-Length too small", script: say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello, world"), body: "hello"},
		{n: 10, name: "Content-Length of 2⁶³", script: say("HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\nhello"), err: ErrTruncated, body: "hello"},
		{n: 10, name: "Content-Length beyond that", script: say("HTTP/1.1 200 OK\r\nContent-Length: 92233720368547758070\r\n\r\nhello"), err: ErrProtocol},
		{n: 10, name: "Content-Length negative", script: say("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nhello"), err: ErrProtocol},
		{n: 10, name: "Content-Length twice, differing", script: say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello"), err: ErrProtocol},
		{n: 10, name: "Content-Length twice, the same", script: say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), body: "hello"},
		{n: 10, name: "Content-Length and chunks", script: say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"), body: "hello"},
		{n: 10, name: "unknown Transfer-Encoding", script: say("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello"), err: ErrProtocol},
		{n: 11, name: "10 MB header", script: say("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", 10<<20) + "\r\n\r\n"), err: ErrHeaderSize},
		{n: 11, name: "10,000 headers", script: say("HTTP/1.1 200 OK\r\n" + strings.Repeat("X-Header: x\r\n", 10_000) + "\r\n"), err: ErrHeaderSize},
		{n: 11, name: "header without end", script: func(c net.Conn) { io.WriteString(c, "HTTP/1.1 200 OK\r\n"); endless(c, "a: b\r\n") }, err: ErrHeaderSize},
		{n: 11, name: "status line without end", script: func(c net.Conn) { endless(c, "HTTP/1.1 200 ") }, err: ErrHeaderSize},
		{n: 11, name: "header of the greatest size", script: say("HTTP/1.1 200 OK\r\nX: " + strings.Repeat("x", DefaultMaxHeader-60) + "\r\nContent-Length: 5\r\n\r\nhello"), body: "hello"},
		{n: 12, name: "chunk extensions without end", script: func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;")
			endless(c, "a=b;")
		}, err: ErrProtocol},
		{n: 12, name: "many chunk extensions", script: func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
			endless(c, "1;"+strings.Repeat("a", 1000)+"\r\nx\r\n")
		}, err: ErrProtocol},
		{n: 12, name: "chunk size that is none", script: say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"), err: ErrProtocol},
		{n: 12, name: "chunk size beyond 64 bits", script: say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000000000\r\n"), err: ErrProtocol},
		{n: 12, name: "trailer without end", script: func(c net.Conn) {
			io.WriteString(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n")
			endless(c, "a: b\r\n")
		}, err: ErrProtocol},
		{n: 13, name: "closed at once", script: func(net.Conn) {}, err: ErrLost},
		{n: 13, name: "closed within the header", script: say("HTTP/1.1 200 OK\r\nContent-"), err: ErrLost},
		{n: 13, name: "closed after the header", script: say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), err: ErrTruncated},
		{n: 13, name: "closed within a chunk", script: say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel"), err: ErrTruncated, body: "hel"},
		{n: 14, name: "interim responses", script: say(strings.Repeat("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", 5) + ok("", "hello")), body: "hello"},
		{n: 14, name: "interim responses without end", script: func(c net.Conn) { endless(c, "HTTP/1.1 100 Continue\r\n\r\n") }, err: ErrHeaderSize},
		{n: 14, name: "switching protocols", script: say("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\n"), err: ErrProtocol},
		{n: 15, name: "status 0", script: say("HTTP/1.1 000 None\r\n\r\n"), err: ErrProtocol},
		{n: 15, name: "status 999", script: say("HTTP/1.1 999 Request denied\r\nContent-Length: 5\r\n\r\nhello"), body: "hello"},
		{n: 15, name: "status without reason", script: say("HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello"), body: "hello"},
		{n: 15, name: "status of one digit", script: say("HTTP/1.1 2 OK\r\n\r\n"), err: ErrProtocol},
		{n: 15, name: "no HTTP at all", script: say("220 smtp.example.org ESMTP\r\n"), err: ErrProtocol},
		{n: 15, name: "HTTP/0.9", script: say("<html>hello</html>\r\n"), err: ErrProtocol},
		{n: 15, name: "HTTP/2", script: say("HTTP/2.0 200 OK\r\n\r\n"), err: ErrProtocol},
		{n: 15, name: "HTTP/1.0 until the end", script: say("HTTP/1.0 200 OK\r\n\r\nhello"), body: "hello"},
		{n: 16, name: "204 with body", script: say("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nhello")},
		{n: 16, name: "304 with body", script: say("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\nhello")},
		{n: 19, name: "no answer", script: silence, err: ErrTimeout, max: 20 * time.Second},
		{n: 36, name: "header with bytes of all kinds", script: say("HTTP/1.1 200 OK\r\nX: \x01\xff\r\n\r\n"), err: ErrProtocol},
	}
	for _, tc := range cases {
		t.Run(fmt.Sprintf("%d %s", tc.n, tc.name), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, err := New(scripted(tc.script))
				require.NoError(t, err)
				begin := time.Now()
				resp, err := c.Fetch(t.Context(), Request{URL: parse(t, "http://bad.example/")})
				require.LessOrEqual(t, time.Since(begin), tc.max)
				if tc.err != nil {
					require.ErrorIs(t, err, tc.err)
					var fe *Error
					require.ErrorAs(t, err, &fe)
					named := 0
					for _, s := range []error{ErrRatio, ErrEncoding, ErrTooLarge, ErrTimeout, ErrSlow, ErrTruncated, ErrProtocol, ErrHeaderSize, ErrLost, ErrStale} {
						if errors.Is(err, s) {
							named++
						}
					}
					require.Equal(t, 1, named, "an error has one name: %v", err)
				} else {
					require.NoError(t, err)
				}
				if tc.body != "" {
					require.Equal(t, tc.body, string(resp.Body))
				}
				if resp != nil {
					require.LessOrEqual(t, cap(resp.Body), 2*DefaultMaxBody)
				}
				require.NoError(t, c.Close())
				time.Sleep(2 * time.Second) // for the server to notice
			}) // which fails if a goroutine is left
		})
	}
}

// TestBombIsCheap holds that ten gigabytes are not unpacked to be refused.
func TestBombIsCheap(t *testing.T) {
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		bomb(w)
	})
	c := newClient(t, Options{Permit: loopback})
	resp, err := c.Fetch(t.Context(), Request{URL: parse(t, url)})
	require.ErrorIs(t, err, ErrRatio)
	require.Less(t, resp.Size, int64(2<<20))
	require.Less(t, resp.Transferred, int64(16<<10))
}

// TestNeverTwice lets servers close kept connections at all moments: the request is never
// sent again by itself.
func TestNeverTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var requests atomic.Int32
		var asks atomic.Bool // the server reads the next request before it leaves
		o := scripted(nil)
		o.Dial = func(context.Context, string, netip.AddrPort) (net.Conn, error) {
			client, server := net.Pipe()
			go func() {
				defer server.Close()
				br := bufio.NewReader(server)
				for i := range 2 {
					if i == 1 && !asks.Load() {
						return // it leaves after the first response
					}
					if _, err := http.ReadRequest(br); err != nil {
						return
					}
					requests.Add(1)
					if i == 0 {
						io.WriteString(server, ok("", "hello"))
					}
				}
			}()
			return client, nil
		}
		c, err := New(o)
		require.NoError(t, err)
		fetch := func() error {
			_, err := c.Fetch(t.Context(), Request{URL: parse(t, "http://a.example/")})
			return err
		}
		require.NoError(t, fetch())
		time.Sleep(2 * time.Second)
		require.NoError(t, fetch(), "it has rested, was looked at, and found closed")
		require.EqualValues(t, 2, requests.Load())
		asks.Store(true)
		c.expireAll()
		require.NoError(t, fetch())
		err = fetch()
		require.ErrorIs(t, err, ErrStale)
		var fe *Error
		require.ErrorAs(t, err, &fe)
		require.True(t, fe.Temporary())
		require.EqualValues(t, 4, requests.Load())
		require.NoError(t, c.Close())
	})
}

// expireAll closes all that rests.
func (c *Client) expireAll() {
	for {
		c.mu.Lock()
		k := c.oldest
		if k != nil {
			c.unlink(k)
		}
		c.mu.Unlock()
		if k == nil {
			return
		}
		k.net.Close()
	}
}
