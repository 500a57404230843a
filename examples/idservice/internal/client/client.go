// Package client takes ids from a node over one of its protocols.
package client

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/examples/internal/resp"
	"github.com/ashlar-go/ashlar/snowflake"
)

// Taker takes n ids, which the caller owns. It is for one goroutine.
type Taker interface {
	Take(ctx context.Context, n int) ([]snowflake.ID, error)
	Close() error
}

// Refused is a node's answer that is no id.
type Refused struct {
	Code  string        // an HTTP status, or the first word of a Redis error
	Text  string        // why
	Retry time.Duration // after how long to try again; 0: it was not said
}

// Error says it.
func (e *Refused) Error() string { return "refused with " + e.Code + ": " + e.Text }

// ErrAnswer is matched when an answer is not what was asked for.
var ErrAnswer = errors.New("client: bad answer")

// HTTP takes ids over HTTP.
type HTTP struct {
	addr      string
	client    http.Client
	transport *http.Transport
	buf       bytes.Buffer
}

// NewHTTP asks the node at host:port.
func NewHTTP(addr string) *HTTP {
	t := &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 1}
	return &HTTP{addr: addr, transport: t, client: http.Client{Transport: t}}
}

// maxAnswer is more than MaxFill ids of 19 digits.
const maxAnswer = 1 << 20

// Take implements Taker.
func (c *HTTP) Take(ctx context.Context, n int) ([]snowflake.ID, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("http://%s/id?n=%d", c.addr, n), nil)
	if err != nil {
		return nil, err
	}
	res, err := c.client.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	c.buf.Reset()
	if _, err := c.buf.ReadFrom(io.LimitReader(res.Body, maxAnswer)); err != nil {
		return nil, err
	}
	if res.StatusCode != http.StatusOK {
		after, _ := strconv.Atoi(res.Header.Get("Retry-After")) // absent: 0
		return nil, &Refused{strconv.Itoa(res.StatusCode), strings.TrimSpace(c.buf.String()), time.Duration(after) * time.Second}
	}
	ids := make([]snowflake.ID, 0, n)
	for line := range bytes.Lines(c.buf.Bytes()) {
		var id snowflake.ID
		if err := id.UnmarshalText(bytes.TrimSuffix(line, []byte("\n"))); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
		}
		ids = append(ids, id)
	}
	return ids, check(ids, n)
}

// Close drops the connection.
func (c *HTTP) Close() error {
	c.transport.CloseIdleConnections()
	return nil
}

// Redis takes ids over the Redis protocol.
type Redis struct {
	addr string
	nc   net.Conn
	conn *resp.Client
}

// NewRedis asks the node at host:port; it connects when it is asked.
func NewRedis(addr string) *Redis { return &Redis{addr: addr} }

// Take implements Taker.
func (c *Redis) Take(ctx context.Context, n int) ([]snowflake.ID, error) {
	if c.conn == nil {
		var d net.Dialer
		nc, err := d.DialContext(ctx, "tcp", c.addr)
		if err != nil {
			return nil, err
		}
		c.nc, c.conn = nc, resp.NewClient(nc)
	}
	// A context that ends closes the connection, for an answer that comes later would be
	// taken for the next one's.
	stop := context.AfterFunc(ctx, func() { c.nc.Close() })
	r, err := c.conn.Do("ID.FILL", strconv.Itoa(n))
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if refusal, ok := errors.AsType[resp.ServerError](err); ok {
		code, text, _ := strings.Cut(string(refusal), " ")
		return nil, &Refused{Code: code, Text: text}
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	ids := make([]snowflake.ID, len(r.Elems))
	for i, e := range r.Elems {
		if err := ids[i].UnmarshalText(e.Bytes); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrAnswer, err)
		}
	}
	return ids, check(ids, n)
}

// Close drops the connection.
func (c *Redis) Close() error {
	if c.conn == nil {
		return nil
	}
	err := c.conn.Close()
	c.conn = nil
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// check holds an answer against what was asked for: so many ids, each greater than the last.
func check(ids []snowflake.ID, n int) error {
	if len(ids) != n {
		return fmt.Errorf("%w: %d ids of %d", ErrAnswer, len(ids), n)
	}
	for i := 1; i < n; i++ {
		if ids[i] <= ids[i-1] {
			return fmt.Errorf("%w: %d after %d", ErrAnswer, ids[i], ids[i-1])
		}
	}
	return nil
}
