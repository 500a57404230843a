package resp

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"time"
)

// Reply is one decoded reply.
type Reply struct {
	Kind  byte    // the protocol's type byte: + - : $ * % _ , ~ >
	Null  bool    // an absent value or array
	Int   int64   // of kind :
	Bytes []byte  // of kinds + - $ ,; the caller's to keep
	Elems []Reply // of kinds * ~ > and %, a map's keys and values in turn
}

// Err is the error that the server replied, or nil.
func (r Reply) Err() error {
	if r.Kind == '-' {
		return ServerError(r.Bytes)
	}
	return nil
}

// ServerError is an error that the server replied.
type ServerError string

// Error is the server's text.
func (e ServerError) Error() string { return string(e) }

// Client is one connection to a server. It is not safe for concurrent use.
type Client struct {
	nc  net.Conn
	br  *bufio.Reader
	w   *Writer
	max Limits
}

// Dial connects to addr.
func Dial(ctx context.Context, addr string) (*Client, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return NewClient(nc), nil
}

// NewClient speaks on nc, which it closes on Close.
func NewClient(nc net.Conn) *Client {
	return &Client{nc: nc, br: bufio.NewReaderSize(nc, 16<<10), w: NewWriter(nc), max: Limits{}.withDefaults()}
}

// Close closes the connection.
func (c *Client) Close() error { return c.nc.Close() }

// SetDeadline bounds the calls to come; the zero time lifts the bound.
func (c *Client) SetDeadline(t time.Time) error { return c.nc.SetDeadline(t) }

// Send buffers a command; Flush sends it, Receive reads its reply.
func (c *Client) Send(args ...string) {
	c.w.Array(len(args))
	for _, a := range args {
		c.w.BulkString(a)
	}
}

// Flush sends the buffered commands.
func (c *Client) Flush() error { return c.w.Flush() }

// Do sends one command and returns its reply; an error reply is returned as both.
func (c *Client) Do(args ...string) (Reply, error) {
	c.Send(args...)
	if err := c.Flush(); err != nil {
		return Reply{}, err
	}
	return c.Receive()
}

// Receive reads one reply; an error reply is returned as both.
func (c *Client) Receive() (Reply, error) {
	r, err := c.read(0)
	if err != nil {
		return r, err
	}
	return r, r.Err()
}

// maxDepth bounds the nesting of replies.
const maxDepth = 8

func (c *Client) read(depth int) (Reply, error) {
	line, err := readLine(c.br, c.max.Inline)
	if err != nil {
		return Reply{}, err
	}
	if len(line) == 0 || depth > maxDepth {
		return Reply{}, fmt.Errorf("%w: unreadable reply", ErrProtocol)
	}
	r, rest := Reply{Kind: line[0]}, line[1:]
	switch r.Kind {
	case '+', '-', ',':
		r.Bytes = rest
		return r, nil
	case '_':
		r.Null = true
		return r, nil
	}
	n, ok := ParseInt(rest)
	if !ok {
		return Reply{}, fmt.Errorf("%w: invalid length in reply", ErrProtocol)
	}
	switch r.Kind {
	case ':':
		r.Int = n
		return r, nil
	case '$':
		return c.readBulk(r, n)
	case '%':
		n *= 2
		fallthrough
	case '*', '~', '>':
		return c.readElems(r, n, depth)
	}
	return Reply{}, fmt.Errorf("%w: unknown reply type %q", ErrProtocol, r.Kind)
}

func (c *Client) readBulk(r Reply, n int64) (Reply, error) {
	if n == -1 {
		r.Null = true
		return r, nil
	}
	if n < 0 || n > int64(c.max.Command) {
		return Reply{}, fmt.Errorf("%w: invalid bulk length", ErrProtocol)
	}
	b, err := appendN(nil, c.br, int(n)+2)
	if err != nil {
		return Reply{}, err
	}
	if string(b[n:]) != crlf {
		return Reply{}, fmt.Errorf("%w: expected CRLF after a bulk string", ErrProtocol)
	}
	r.Bytes = b[:n:n]
	return r, nil
}

func (c *Client) readElems(r Reply, n int64, depth int) (Reply, error) {
	if n == -1 {
		r.Null = true
		return r, nil
	}
	if n < 0 || n > int64(c.max.Args) {
		return Reply{}, fmt.Errorf("%w: invalid array length", ErrProtocol)
	}
	for range n {
		e, err := c.read(depth + 1)
		if err != nil {
			return Reply{}, err
		}
		r.Elems = append(r.Elems, e)
	}
	return r, nil
}
