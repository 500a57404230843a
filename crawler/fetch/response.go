package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/ashlar-go/ashlar/crawler/urlx"
)

// Response is what came of a request.
type Response struct {
	URL    *urlx.URL // of the last hop
	Status int
	Header http.Header
	Body   []byte // decompressed; nil if it went to Request.Body

	Size        int64  // bytes of the body, decompressed
	Transferred int64  // bytes of it on the wire
	ContentType string // as in the header

	Location *urlx.URL // where a redirect leads; nil if it is none
	Hops     []Hop     // that were followed to get here
	Addr     netip.AddrPort
	Reused   bool // on a kept connection
	Trace    Trace
}

// Trace says where the time of the last hop went.
type Trace struct {
	Begin     time.Time
	Resolve   time.Duration // zero on a kept connection, as are the next two
	Connect   time.Duration
	TLS       time.Duration
	FirstByte time.Duration // from the request to the end of the header
	Total     time.Duration // from Begin to the end of the body
}

// NotModified reports whether the server said that what the caller has is up to date.
func (r *Response) NotModified() bool { return r.Status == http.StatusNotModified }

// RetryAfter returns how long the server asks to wait, and whether it does: in seconds, or
// until a date in any of HTTP's three forms. A time in the past is 0. It may be absurdly long:
// what to make of that is for the caller.
func (r *Response) RetryAfter(now time.Time) (time.Duration, bool) {
	v := strings.TrimSpace(r.Header.Get("Retry-After"))
	if v == "" {
		return 0, false
	}
	const longest = time.Duration(1<<63 - 1)
	if digits := strings.TrimLeft(v, "0123456789"); digits == "" {
		s, err := strconv.ParseInt(v, 10, 64)
		if err != nil || s > int64(longest/time.Second) {
			return longest, true
		}
		return time.Duration(s) * time.Second, true
	}
	t, err := http.ParseTime(v)
	if err != nil {
		return 0, false
	}
	return max(t.Sub(now), 0), true // Sub keeps within what a Duration can hold
}

// hop sends one request and reads what comes.
func (c *Client) hop(ctx context.Context, r *Request, first bool) (resp *Response, phase Phase, err error) {
	if err := context.Cause(ctx); err != nil {
		return nil, PhaseRequest, err
	}
	t, err := c.target(r.URL)
	if err != nil {
		return nil, PhaseRequest, err
	}
	head, err := c.appendRequest(make([]byte, 0, 512), r, first)
	if err != nil {
		return nil, PhaseRequest, err
	}
	tr := Trace{Begin: time.Now()}
	deadline := tr.Begin.Add(c.o.Timeouts.Total)
	within, cancel := context.WithDeadlineCause(ctx, deadline, ErrTimeout)
	defer cancel()
	k, phase, err := c.connect(within, &t, &tr)
	if err != nil {
		return nil, phase, err
	}
	// A caller who gives up closes the connection: that ends every read and write.
	unwatch := context.AfterFunc(ctx, func() { k.net.Close() })
	whole := false
	defer func() {
		c.stats.received.Add(k.received)
		if unwatch() && whole && err == nil {
			c.keep(k)
			return
		}
		k.net.Close()
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
	}()

	k.begin(&c.o.Timeouts, deadline, c.o.MaxHeader)
	sent := time.Now()
	c.stats.requests.Add(1)
	if err := k.net.SetWriteDeadline(k.first); err != nil {
		return nil, PhaseHeader, because(ErrLost, err)
	}
	if _, err := k.net.Write(head); err != nil {
		return nil, PhaseHeader, k.headerError(err)
	}
	hr, err := c.readHeader(k)
	if err != nil {
		return nil, PhaseHeader, err
	}
	tr.FirstByte = time.Since(sent)
	k.beginBody()
	resp = &Response{
		URL: r.URL, Status: hr.StatusCode, Header: hr.Header, ContentType: hr.Header.Get("Content-Type"),
		Addr: k.addr, Reused: k.used, Trace: tr,
	}
	defer func() { resp.Trace.Total = time.Since(tr.Begin) }()
	bad := resp.redirect()
	if resp.Location != nil && r.Follow != nil {
		// The body of a redirect is for people. If it is here already it is read, to keep the connection.
		if n := hr.ContentLength; n >= 0 && n <= int64(k.br.Buffered()) {
			resp.Transferred, _ = io.Copy(io.Discard, hr.Body)
			whole = k.over(hr)
		}
		return resp, PhaseBody, nil
	}
	if r.Accept != nil {
		if err := r.Accept(resp); err != nil {
			return resp, PhaseHeader, err
		}
	}
	if err := c.readBody(resp, r, k, hr); err != nil {
		return resp, PhaseBody, err
	}
	whole = k.over(hr)
	return resp, PhaseRedirect, bad
}

// readHeader reads up to the end of the header, over interim responses.
func (c *Client) readHeader(k *conn) (*http.Response, error) {
	for {
		hr, err := http.ReadResponse(k.br, c.get)
		if err != nil {
			return nil, k.headerError(err)
		}
		switch s := hr.StatusCode; {
		case s == http.StatusSwitchingProtocols || s < 100 || hr.ProtoMajor != 1:
			return nil, fmt.Errorf("%w: status %d, version %.20q", ErrProtocol, s, hr.Proto)
		case s >= 200:
			return hr, nil
		}
		// The bound on the header counts all of these together.
	}
}

// headerError names an error before the end of the header.
func (k *conn) headerError(err error) error {
	wire := k.err
	switch {
	case errors.Is(wire, ErrHeaderSize), errors.Is(wire, ErrTimeout):
		return wire
	case wire == nil && isTimeout(err):
		return because(ErrTimeout, err) // writing
	case wire == nil && k.received > 0:
		return because(ErrProtocol, err)
	case k.used && k.received == 0:
		return because(ErrStale, err)
	case wire == io.EOF && k.received > 0:
		return because(ErrLost, io.ErrUnexpectedEOF)
	}
	return because(ErrLost, err)
}

func isTimeout(err error) bool {
	var ne interface{ Timeout() bool }
	return errors.As(err, &ne) && ne.Timeout()
}

// over reports whether a body that was read has come to its end, and nothing is left behind
// it: only then may the connection be used again.
func (k *conn) over(hr *http.Response) bool {
	if hr.Close || k.err != nil {
		return false
	}
	var b [1]byte
	n, err := hr.Body.Read(b[:])
	return n == 0 && err == io.EOF && k.br.Buffered() == 0
}

// redirect finds where the response leads, if it is one that should. Its error is a bad target.
func (r *Response) redirect() error {
	switch r.Status {
	case 301, 302, 303, 307, 308:
	default:
		return nil
	}
	v := r.Header.Get("Location")
	if v == "" {
		return fmt.Errorf("%w: it leads nowhere", ErrLocation)
	}
	u, err := r.URL.Resolve(v)
	if err != nil {
		return fmt.Errorf("%w: %.200q: %w", ErrLocation, v, err)
	}
	if s := u.Scheme(); s != "http" && s != "https" {
		return fmt.Errorf("%w: scheme %.20q", ErrLocation, s)
	}
	if same(r.URL, u) {
		return fmt.Errorf("%w: %.200s", ErrLoop, u)
	}
	r.Location = u
	return nil
}

// wire reads a body as it is transferred, and remembers how that ended.
type wire struct {
	r   io.Reader
	n   int64
	err error
}

func (w *wire) Read(p []byte) (int, error) {
	n, err := w.r.Read(p)
	w.n += int64(n)
	if err != nil {
		w.err = err
	}
	return n, err
}

// readBody reads the body into the response, or to where the request wants it.
func (c *Client) readBody(resp *Response, r *Request, k *conn, hr *http.Response) error {
	w := &wire{r: hr.Body}
	src, done, err := c.pools.open(w, hr.Header["Content-Encoding"])
	if err == nil {
		defer done()
		err = c.copyBody(resp, r, src, w, hr.ContentLength)
	}
	resp.Transferred = w.n
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errOurs):
		return errors.Unwrap(err)
	case k.err != nil && k.err != io.EOF:
		if errors.Is(k.err, ErrTimeout) || errors.Is(k.err, ErrSlow) {
			return k.err
		}
		return because(ErrTruncated, k.err)
	case errors.Is(w.err, io.ErrUnexpectedEOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF): // the last from a decoder
		return because(ErrTruncated, io.ErrUnexpectedEOF)
	case w.err != nil && w.err != io.EOF:
		return because(ErrProtocol, w.err)
	}
	return because(ErrEncoding, err)
}
