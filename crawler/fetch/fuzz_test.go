package fetch

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/ashlar-go/ashlar/crawler/urlx"
)

// tape is a connection whose other side has said all in advance. It is cut into pieces, as a
// network may.
type tape struct {
	net.Conn
	r     *bytes.Reader
	piece int
}

func (c *tape) Read(p []byte) (int, error) {
	return c.r.Read(p[:min(len(p), c.piece)])
}
func (c *tape) Write(p []byte) (int, error)      { return len(p), nil }
func (c *tape) Close() error                     { return nil }
func (c *tape) SetReadDeadline(time.Time) error  { return nil }
func (c *tape) SetWriteDeadline(time.Time) error { return nil }

// FuzzResponse feeds a client whatever a server could send. It must end, keep its bounds, and
// name its error.
func FuzzResponse(f *testing.F) {
	for _, s := range []string{
		ok("", "hello"), ok("Content-Encoding: gzip\r\n", gzipped("hello")), ok("Content-Encoding: zstd\r\n", packed(newZstd, "hello")), ok("Content-Encoding: deflate\r\n", packed(rawDeflate, "hello")),
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n", "HTTP/1.1 302 Found\r\nLocation: //b.example/%ff\r\n\r\n",
		"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 429 Slow down\r\nRetry-After: 99999999999\r\n\r\n", "HTTP/1.0 204\r\n\r\nx", "HTTP/1.1 200 OK\r\nContent-Encoding: gzip, deflate\r\nContent-Length: 3\r\n\r\nxyz",
	} {
		f.Add([]byte(s), uint8(3))
	}
	u, err := urlx.Parse("http://a.example/")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, answer []byte, piece uint8) {
		const maxBody = 64 << 10
		c, err := New(Options{
			MaxBody: maxBody, DNS: DNS{Resolver: fixed{netip.MustParseAddr("8.8.8.8")}},
			Dial: func(context.Context, string, netip.AddrPort) (net.Conn, error) {
				return &tape{r: bytes.NewReader(answer), piece: int(piece) + 1}, nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		for range 2 { // the second may be on the kept connection
			resp, err := c.Fetch(t.Context(), Request{URL: u, Follow: func(context.Context, Hop) error { return ErrUseLast }})
			if (resp == nil) && err == nil {
				t.Fatal("neither response nor error")
			}
			var fe *Error
			if err != nil && !errors.As(err, &fe) {
				t.Fatalf("untyped error %v", err)
			}
			if err != nil && errors.Is(err, io.EOF) && !errors.Is(err, ErrLost) && !errors.Is(err, ErrStale) {
				t.Fatalf("bare end of file: %v", err)
			}
			if resp != nil {
				if len(resp.Body) > maxBody || int64(len(resp.Body)) != resp.Size || resp.Status < 200 {
					t.Fatalf("status %d, %d bytes, said to be %d", resp.Status, len(resp.Body), resp.Size)
				}
				if d, ok := resp.RetryAfter(time.Now()); d < 0 || !ok && d != 0 {
					t.Fatalf("retry after %v", d)
				}
			}
		}
	})
}
