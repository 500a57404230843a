package client

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
	"github.com/ashlar-go/ashlar/examples/kv/internal/httpapi"
)

// Options configures a Client.
type Options struct {
	Addrs   []string      // host:port of the nodes; at least one
	HTTP    *http.Client  // nil: one of its own, which keeps its connections
	Timeout time.Duration // of one call, all nodes that it asks together (10 s)
}

// Client is an api.Store that asks a node. It is safe for concurrent use.
type Client struct {
	nodes   []*node
	turn    atomic.Uint64
	http    *http.Client
	own     bool
	timeout time.Duration
	now     func() time.Time
}

var _ api.Store = (*Client)(nil)

const (
	dialTimeout = 2 * time.Second
	idlePerNode = 256 // kept connections; more parallel calls than that dial anew
)

// New makes a client. It does not connect; Close lets its idle connections go.
func New(o Options) (*Client, error) {
	c := &Client{http: o.HTTP, timeout: o.Timeout, now: time.Now}
	for _, addr := range o.Addrs {
		if err := checkAddr(addr); err != nil {
			return nil, err
		}
		c.nodes = append(c.nodes, &node{addr: addr})
	}
	if len(c.nodes) == 0 {
		return nil, fmt.Errorf("%w: no address", ErrOptions)
	}
	if c.timeout < 0 {
		return nil, fmt.Errorf("%w: time-out %v", ErrOptions, c.timeout)
	}
	if c.timeout == 0 {
		c.timeout = 10 * time.Second
	}
	if c.http == nil {
		c.own = true
		c.http = &http.Client{
			Transport: &http.Transport{
				DialContext:         (&net.Dialer{Timeout: dialTimeout}).DialContext,
				MaxIdleConnsPerHost: idlePerNode,
				IdleConnTimeout:     30 * time.Second,
				DisableCompression:  true,
			},
			// No node sends anybody elsewhere.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return c, nil
}

func checkAddr(addr string) error {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return fmt.Errorf("%w: address %q: want host:port", ErrOptions, addr)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return fmt.Errorf("%w: address %q: bad port", ErrOptions, addr)
	}
	if u, err := url.Parse("http://" + addr); err != nil || u.Host != addr {
		return fmt.Errorf("%w: address %q: bad host", ErrOptions, addr)
	}
	return nil
}

// Close closes the connections that are idle, if they are the client's own. Calls that
// run go on.
func (c *Client) Close() error {
	if c.own {
		c.http.CloseIdleConnections()
	}
	return nil
}

// Get implements api.Store.
func (c *Client) Get(ctx context.Context, key []byte, o api.ReadOptions) (*api.Read, error) {
	if err := api.CheckKey(key); err != nil {
		return nil, err
	}
	var out *api.Read
	err := c.do(ctx, call{
		method: http.MethodGet, path: keyPath(key), query: readQuery(o), read: true,
		answer: func(r *http.Response) (err error) { out, err = decodeRead(r); return err },
	})
	return out, err
}

// Put implements api.Store.
func (c *Client) Put(ctx context.Context, key, value []byte, o api.WriteOptions) (*api.Written, error) {
	return c.write(ctx, http.MethodPut, key, value, o)
}

// Delete implements api.Store.
func (c *Client) Delete(ctx context.Context, key []byte, o api.WriteOptions) (*api.Written, error) {
	return c.write(ctx, http.MethodDelete, key, nil, o)
}

func (c *Client) write(ctx context.Context, method string, key, value []byte, o api.WriteOptions) (*api.Written, error) {
	if err := api.CheckWrite(key, value, o); err != nil {
		return nil, err
	}
	query, header := writeQuery(o)
	var out *api.Written
	err := c.do(ctx, call{
		method: method, path: keyPath(key), query: query, header: header, body: value,
		answer: func(r *http.Response) (err error) { out, err = decodeWritten(r); return err },
	})
	return out, err
}

// Scan implements api.Store. Of an entry's Read, Answers and Epoch stay zero: a page does
// not carry them.
func (c *Client) Scan(ctx context.Context, prefix []byte, o api.ScanOptions) (*api.Page, error) {
	query := readQuery(o.ReadOptions)
	if len(prefix) > 0 {
		query.Set("prefix", string(prefix))
	}
	if len(o.After) > 0 {
		query.Set("after", base64.RawURLEncoding.EncodeToString(o.After))
	}
	if o.Limit > 0 {
		query.Set("limit", strconv.Itoa(min(o.Limit, api.MaxPage)))
	}
	if o.KeysOnly {
		query.Set("keys", "true")
	}
	var out *api.Page
	err := c.do(ctx, call{
		method: http.MethodGet, path: "/scan", query: query, read: true,
		answer: func(r *http.Response) (err error) { out, err = decodePage(r); return err },
	})
	return out, err
}

// Status implements api.Store: the status of the node whose turn it is, as a
// json.RawMessage, or an object with the error.
func (c *Client) Status() any {
	var out json.RawMessage
	if err := c.do(context.Background(), statusCall(&out)); err != nil {
		return map[string]string{"error": err.Error()}
	}
	return out
}

// StatusOf is the status of one node, by its place in Options.Addrs.
func (c *Client) StatusOf(ctx context.Context, i int) (json.RawMessage, error) {
	var out json.RawMessage
	err := c.ask(ctx, c.nodes[i:i+1], statusCall(&out))
	return out, err
}

func statusCall(out *json.RawMessage) call {
	return call{method: http.MethodGet, path: "/status", read: true, answer: func(r *http.Response) (err error) {
		*out, err = decodeStatus(r)
		return err
	}}
}

// call is one request, whichever node it goes to.
type call struct {
	method string
	path   string // percent-encoded
	query  url.Values
	header http.Header
	body   []byte
	read   bool
	answer func(*http.Response) error
}

// do asks the nodes, in turn.
func (c *Client) do(ctx context.Context, x call) error {
	return c.ask(ctx, c.order(), x)
}

// ask asks one node after the other for as long as it is sure that nothing has happened.
// Of several errors it returns the first that a node itself answered, else the first.
func (c *Client) ask(ctx context.Context, nodes []*node, x call) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	var first, answered error
	for i, n := range nodes {
		if ctx.Err() != nil {
			break
		}
		err := c.try(ctx, n, x, len(nodes)-i)
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
		if _, ok := errors.AsType[*remoteError](err); ok && answered == nil {
			answered = err
		}
		if !x.goesOn(err) {
			return err
		}
	}
	switch {
	case answered != nil:
		return answered
	case first != nil:
		return first
	}
	return fmt.Errorf("%w: %w", api.ErrUnavailable, ctx.Err())
}

// goesOn says whether the next node may be asked after an error.
func (x call) goesOn(err error) bool {
	switch {
	case refused(err):
		return false // the next node would say the same
	case x.read:
		return true
	}
	return errors.Is(err, errNotSent) || errors.Is(err, api.ErrClosed)
}

// try asks one node; left nodes, this one among them, share the time that is left to a
// read, so that a node which hangs leaves some to the others. A write gets it all, for
// nobody will be asked after it.
func (c *Client) try(ctx context.Context, n *node, x call, left int) error {
	if deadline, ok := ctx.Deadline(); ok && x.read && left > 1 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)/time.Duration(left))
		defer cancel()
	}
	target := "http://" + n.addr + x.path
	if len(x.query) > 0 {
		target += "?" + x.query.Encode()
	}
	req, err := http.NewRequestWithContext(ctx, x.method, target, bytes.NewReader(x.body))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	for k, v := range x.header {
		req.Header[k] = v
	}
	resp, err := c.http.Do(req)
	if err != nil {
		err = x.lost(n, err)
		if errors.Is(err, errNotSent) || x.read {
			n.rest(c.now())
		}
		return err
	}
	defer func() {
		// What is left is little, an error's text at most; read, it leaves the connection
		// fit for the next call.
		io.CopyN(io.Discard, resp.Body, 4<<10)
		resp.Body.Close()
	}()
	if resp.StatusCode >= 400 && resp.StatusCode != http.StatusNotFound {
		err = x.failed(n, resp)
		if errors.Is(err, api.ErrClosed) {
			n.rest(c.now())
		}
		return err
	}
	n.awake()
	if err := x.answer(resp); err != nil {
		return x.lost(n, err)
	}
	return nil
}

func keyPath(key []byte) string { return "/kv/" + url.PathEscape(string(key)) }

func readQuery(o api.ReadOptions) url.Values {
	q := url.Values{}
	level(q, o.Level)
	if o.R != 0 {
		q.Set("r", strconv.Itoa(o.R))
	}
	return q
}

func writeQuery(o api.WriteOptions) (url.Values, http.Header) {
	q, h := url.Values{}, http.Header{}
	level(q, o.Level)
	if o.W != 0 {
		q.Set("w", strconv.Itoa(o.W))
	}
	if o.TTL != 0 {
		q.Set("ttl", o.TTL.String())
	}
	if o.Sloppy {
		q.Set("sloppy", "true")
	}
	switch {
	case o.Mode == api.Blind, o.Mode == api.Given && len(o.Context) == 0:
		// The context of a key that never was is empty: it replaces nothing.
		q.Set("context", "none")
	case o.Mode == api.Given:
		h.Set(httpapi.HeaderContext, base64.RawURLEncoding.EncodeToString(o.Context))
	}
	switch o.If {
	case api.IfAbsent:
		h.Set("If-None-Match", "*")
	case api.IfPresent:
		h.Set("If-Match", "*")
	}
	return q, h
}

func level(q url.Values, l api.Level) {
	if l != api.Quorum {
		q.Set("consistency", l.String())
	}
}
