package fetch

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/crawler/urlx"
	"golang.org/x/net/http/httpguts"
)

// maxTarget bounds the path and query of a request. Servers refuse half of that.
const maxTarget = 64 << 10

type counter = atomic.Int64

// Client fetches. Its methods may be used by any number of goroutines.
type Client struct {
	o     Options
	names names
	pools decoders
	get   *http.Request // what responses are answers to

	base context.Context // ends with Close
	stop context.CancelCauseFunc
	work sync.WaitGroup

	mu             sync.Mutex
	closed         bool
	idle           map[string][]*conn
	nIdle          int
	newest, oldest *conn
	sweep          *time.Timer

	stats struct{ requests, dials, reused, received, refused, failed counter }
}

// New returns a client. Errors name all options that make no sense.
func New(o Options) (*Client, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &Client{o: o, idle: map[string][]*conn{}, get: &http.Request{Method: http.MethodGet}}
	if c.o.Dial == nil {
		c.o.Dial = c.dialSystem
	}
	c.names.o, c.names.timeout, c.names.m = o.DNS, o.Timeouts.Connect, map[string]*answer{}
	c.base, c.stop = context.WithCancelCause(context.Background())
	c.sweep = time.AfterFunc(time.Hour, c.expire)
	c.sweep.Stop()
	return c, nil
}

// Close ends all fetches with ErrClosed, waits for them, and closes the connections. Later
// calls do nothing.
func (c *Client) Close() error {
	c.mu.Lock()
	c.closed = true
	c.sweep.Stop()
	c.mu.Unlock()
	c.stop(ErrClosed)
	c.work.Wait()
	c.names.asks.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.oldest != nil {
		k := c.oldest
		c.unlink(k)
		k.net.Close()
	}
	return nil
}

// Stats counts since New.
type Stats struct {
	Requests int64 // sent
	Failed   int64 // of all hops, those that ended with an error
	Received int64 // bytes, as they came over the wire and without TLS
	Dials    int64 // connections tried
	Reused   int64 // requests on a kept connection
	Idle     int   // connections that rest at the moment
	Refused  int64 // hosts without a permitted address
	Lookups  int64 // names that the resolver was asked for
	NameHits int64 // names that were remembered
}

// Stats returns the counts.
func (c *Client) Stats() Stats {
	c.mu.Lock()
	idle := c.nIdle
	c.mu.Unlock()
	s := &c.stats
	return Stats{
		Requests: s.requests.Load(), Failed: s.failed.Load(), Received: s.received.Load(), Dials: s.dials.Load(), Reused: s.reused.Load(),
		Idle: idle, Refused: s.refused.Load(), Lookups: c.names.lookups.Load(), NameHits: c.names.hits.Load(),
	}
}

// String prints the counts in one line.
func (s Stats) String() string {
	return fmt.Sprintf("%d requests (%d failed, %d reused connections), %d bytes, %d dials, %d resting, %d hosts refused, %d lookups (%d remembered)",
		s.Requests, s.Failed, s.Reused, s.Received, s.Dials, s.Idle, s.Refused, s.Lookups, s.NameHits)
}

// Request says what to fetch.
type Request struct {
	URL *urlx.URL

	// What is known of the page from an earlier response; the server then may answer 304.
	// They are for URL itself and not sent to where it redirects.
	ETag, LastModified string

	// Follow is asked before each redirect; nil: none is followed, the redirect is the
	// response. It may wait. nil goes on, ErrUseLast makes the redirect the response, any
	// other error ends the fetch.
	Follow func(ctx context.Context, h Hop) error
	// Accept, if not nil, sees the last response before its body is read. An error ends the
	// fetch.
	Accept func(r *Response) error

	MaxBody int64     // bytes, if not that of the Options; 0: that
	Buffer  []byte    // the body is appended to Buffer[:0], which grows if need be
	Body    io.Writer // if not nil, the body goes here, as it comes, and not into the Response
}

// Hop is a redirect.
type Hop struct {
	From, To *urlx.URL
	Status   int
	N        int // how many there were before it
}

// Permanent reports whether the redirect says that the new address is the page's own.
func (h Hop) Permanent() bool { return h.Status == 301 || h.Status == 308 }

// Fetch gets a page. The error is always an *Error. The response is nil if there is no
// header; with an error in the body, or in a redirect, it has what came before.
func (c *Client) Fetch(ctx context.Context, r Request) (*Response, error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return nil, &Error{PhaseRequest, r.address(), ErrClosed}
	}
	c.work.Add(1)
	c.mu.Unlock()
	defer c.work.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer context.AfterFunc(c.base, func() { cancel(ErrClosed) })()

	if r.MaxBody <= 0 {
		r.MaxBody = c.o.MaxBody
	}
	var hops []Hop
	for {
		resp, phase, err := c.hop(ctx, &r, len(hops) == 0)
		if resp != nil {
			resp.Hops = hops
		}
		if err != nil {
			c.stats.failed.Add(1)
			return resp, &Error{phase, r.address(), err}
		}
		if r.Follow == nil || resp.Location == nil {
			return resp, nil
		}
		h := Hop{resp.URL, resp.Location, resp.Status, len(hops)}
		if err := c.follow(ctx, &r, h, hops); err == ErrUseLast {
			return resp, nil
		} else if err != nil {
			return resp, &Error{PhaseRedirect, r.address(), err}
		}
		hops = append(hops, h)
		r.URL = h.To
	}
}

// follow decides on a redirect.
func (c *Client) follow(ctx context.Context, r *Request, h Hop, hops []Hop) error {
	if h.N >= c.o.MaxRedirects {
		return fmt.Errorf("%w: more than %d", ErrTooManyRedirects, c.o.MaxRedirects)
	}
	for _, old := range hops {
		if same(old.From, h.To) {
			return fmt.Errorf("%w: %.200s", ErrLoop, h.To)
		}
	}
	if err := r.Follow(ctx, h); err != nil {
		return err
	}
	return context.Cause(ctx)
}

// same reports whether two addresses are one to a server.
func same(a, b *urlx.URL) bool {
	return a.Scheme() == b.Scheme() && a.Host() == b.Host() && a.PathQuery() == b.PathQuery()
}

func (r *Request) address() string {
	if r.URL == nil {
		return ""
	}
	return r.URL.String()
}

// target is a URL as a connection needs it.
type target struct {
	key  string // scheme, host and port
	name string // of the host, without brackets
	ip   netip.Addr
	port uint16
	tls  bool
}

func (c *Client) target(u *urlx.URL) (t target, err error) {
	if u == nil {
		return t, because(ErrURL, fmt.Errorf("there is none"))
	}
	port := "80"
	switch u.Scheme() {
	case "http":
	case "https":
		t.tls, port = true, "443"
	default:
		return t, fmt.Errorf("%w: scheme %.20q", ErrURL, u.Scheme())
	}
	t.name = strings.TrimSuffix(u.Hostname(), ".")
	if t.name == "" || len(t.name) > 253 {
		return t, fmt.Errorf("%w: host of %d bytes", ErrURL, len(t.name))
	}
	if len(u.PathQuery()) > maxTarget {
		return t, fmt.Errorf("%w: %d bytes long", ErrURL, len(u.PathQuery()))
	}
	if u.IsIP() {
		if t.ip, err = netip.ParseAddr(strings.Trim(t.name, "[]")); err != nil {
			return t, because(ErrURL, err)
		}
		t.name = t.ip.String()
	}
	if p := u.Port(); p != "" {
		port = p
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return t, because(ErrURL, err)
	}
	if t.port = uint16(n); !c.permittedPort(t.port) {
		return t, fmt.Errorf("%w: %d", ErrPort, t.port)
	}
	origin := u.String()
	t.key = u.Scheme() + "://" + u.Host()
	if strings.HasPrefix(origin, t.key) {
		t.key = origin[:len(t.key)] // no copy, where there is no userinfo between
	}
	return t, nil
}

// appendRequest appends the request as it goes over the wire.
func (c *Client) appendRequest(b []byte, r *Request, first bool) ([]byte, error) {
	b = append(b, "GET "...)
	b = append(b, r.URL.PathQuery()...)
	b = append(b, " HTTP/1.1\r\nHost: "...)
	b = append(b, r.URL.Host()...)
	field := func(name, value string) error {
		if value == "" {
			return nil
		}
		if !httpguts.ValidHeaderFieldValue(value) {
			return fmt.Errorf("%w: %s cannot be sent", ErrURL, name)
		}
		b = append(b, "\r\n"...)
		b = append(b, name...)
		b = append(b, ": "...)
		b = append(b, value...)
		return nil
	}
	_ = field("User-Agent", c.o.UserAgent) // New has checked both
	_ = field("Accept", c.o.Accept)
	b = append(b, "\r\nAccept-Encoding: gzip, deflate, zstd"...)
	if first {
		if err := field("If-None-Match", r.ETag); err != nil {
			return nil, err
		}
		if err := field("If-Modified-Since", r.LastModified); err != nil {
			return nil, err
		}
	}
	if c.o.MaxIdle < 0 {
		b = append(b, "\r\nConnection: close"...)
	}
	return append(b, "\r\n\r\n"...), nil
}
