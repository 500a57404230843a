package upstream

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"time"
)

// held is how long an answer to a request that may be made again can be for it to be read
// whole before any of it is passed on: a backend that dies while it answers is then one
// attempt that failed, and no broken answer.
const held = 64 << 10

// longest is the most that attempts wait for each other.
const longest = 200 * time.Millisecond

// RoundTrip implements http.RoundTripper.
func (p *Pool) RoundTrip(r *http.Request) (*http.Response, error) {
	done, err := p.breaker.Allow()
	if err != nil {
		p.rested.Add(1)
		closeBody(r)
		return nil, ErrRest
	}
	p.budget.deposit()
	res, err := p.attempts(r)
	switch {
	case err != nil:
		closeBody(r)
		done(err)
	case failure(res.StatusCode):
		done(errors.New(res.Status))
	default:
		done(nil)
	}
	return res, err
}

// failure says that a status means that the backend, not the request, was at fault.
func failure(status int) bool {
	return status >= http.StatusInternalServerError && status != http.StatusNotImplemented
}

// attempts makes a request until it succeeds, may not be made again, or patience ends.
func (p *Pool) attempts(r *http.Request) (*http.Response, error) {
	body := &keptBody{ReadCloser: r.Body}
	most := orInt(p.rules.Retry.Attempts, 3)
	backoff := p.rules.Retry.Backoff.Or(5 * time.Millisecond)
	var tried []*Backend
	for n := 1; ; n++ {
		ready, available := p.ready(tried)
		if len(ready) == 0 {
			return nil, ErrNoBackend
		}
		b, release := p.policy.choose(ready, available, r)
		res, err := p.attempt(r, body, b, release)
		if err == nil && !failure(res.StatusCode) {
			if s, ok := p.policy.(sticky); ok {
				s.remember(r, res.Header, b)
			}
			return res, nil
		}
		if n >= most || r.Context().Err() != nil || !repeatable(r, body, err) {
			return res, err
		}
		if !p.budget.withdraw() {
			p.starved.Add(1)
			return res, err
		}
		if err == nil {
			res.Body.Close()
		}
		p.retries.Add(1)
		tried = append(tried, b)
		if err := pause(r.Context(), rand.N(min(backoff<<(n-1), longest))); err != nil {
			return nil, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// repeatable says that a request may be made again: it was never sent, or carrying it out
// twice does no harm; and its body is still there.
func repeatable(r *http.Request, body *keptBody, err error) bool {
	if body.read.Load() {
		return false
	}
	var op *net.OpError
	if errors.As(err, &op) && op.Op == "dial" {
		return true
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodTrace, http.MethodPut, http.MethodDelete:
		return body.ReadCloser == nil || body.ReadCloser == http.NoBody
	}
	return false
}

// attempt makes a request once, of one backend.
func (p *Pool) attempt(in *http.Request, body *keptBody, b *Backend, release func()) (*http.Response, error) {
	b.requests.Add(1)
	b.inFlight.Add(1)
	ctx, cancel := context.WithCancel(in.Context())
	ended := &ending{cancel: cancel, b: b, release: release}
	var timer *time.Timer
	if d := p.rules.Retry.Timeout.Or(0); d > 0 {
		timer = time.AfterFunc(d, cancel)
	}
	out := in.Clone(ctx)
	out.URL.Scheme, out.URL.Host = b.url.Scheme, b.url.Host
	if in.Body != nil && in.Body != http.NoBody {
		out.Body = body
	}
	begun := time.Now()
	res, err := p.transport.RoundTrip(out)
	if err == nil {
		now := time.Now()
		b.observe(now, now.Sub(begun))
		err = hold(in, res)
		if err != nil {
			res.Body.Close()
		}
	}
	late := timer != nil && !timer.Stop()
	if err != nil {
		ended.end()
		return nil, p.blame(in, body, b, err, late, begun)
	}
	p.judge(b, failure(res.StatusCode))
	res.Body = ended.of(res.Body)
	return res, nil
}

// blame finds out whose fault it is that an attempt failed. Only the backend's counts
// against it: that its client left does not, nor that the request's body never came.
func (p *Pool) blame(in *http.Request, body *keptBody, b *Backend, err error, late bool, begun time.Time) error {
	waiting := body.reading.Load() // before err, which is set first
	if cause := body.err.Load(); cause != nil {
		return &BodyError{*cause}
	}
	switch gone := in.Context().Err(); {
	case errors.Is(gone, context.Canceled):
		return gone
	case gone != nil && waiting:
		return &BodyError{os.ErrDeadlineExceeded}
	case gone != nil:
		err = gone
	case late:
		err = &timeoutError{b.ID}
	}
	now := time.Now()
	b.observe(now, now.Sub(begun))
	p.judge(b, true)
	return err
}

// BodyError means that a request failed since its body could not be read.
type BodyError struct{ Err error }

func (e *BodyError) Error() string { return "upstream: reading the request: " + e.Err.Error() }

// Unwrap is what reading has returned.
func (e *BodyError) Unwrap() error { return e.Err }

// timeoutError is an attempt that took too long.
type timeoutError struct{ id string }

func (e *timeoutError) Error() string   { return "upstream: " + e.id + " takes too long to answer" }
func (e *timeoutError) Timeout() bool   { return true }
func (e *timeoutError) Temporary() bool { return true }

// hold reads a short answer whole.
func hold(r *http.Request, res *http.Response) error {
	n := res.ContentLength
	if n <= 0 || n > held || r.Method == http.MethodHead || res.StatusCode == http.StatusSwitchingProtocols {
		return nil
	}
	buf := make([]byte, n)
	if _, err := io.ReadFull(res.Body, buf); err != nil {
		return err
	}
	if err := res.Body.Close(); err != nil {
		return err
	}
	res.Body = io.NopCloser(bytes.NewReader(buf))
	return nil
}

// ending is what has to be done when a request is over, once.
type ending struct {
	cancel  context.CancelFunc
	b       *Backend
	release func()
	over    atomic.Bool
}

func (e *ending) end() {
	if e.over.Swap(true) {
		return
	}
	e.cancel()
	e.b.inFlight.Add(-1)
	if e.release != nil {
		e.release()
	}
}

// of ends it with the body; that of a connection that changed its protocol can be
// written to, too.
func (e *ending) of(body io.ReadCloser) io.ReadCloser {
	if rw, ok := body.(io.ReadWriteCloser); ok {
		return &endingDuplex{ReadWriteCloser: rw, e: e}
	}
	return &endingBody{ReadCloser: body, e: e}
}

type endingBody struct {
	io.ReadCloser
	e *ending
}

func (b *endingBody) Close() error {
	err := b.ReadCloser.Close()
	b.e.end()
	return err
}

type endingDuplex struct {
	io.ReadWriteCloser
	e *ending
}

func (b *endingDuplex) Close() error {
	err := b.ReadWriteCloser.Close()
	b.e.end()
	return err
}

// keptBody is a request's body that an attempt which fails before it has read of it
// leaves for the next. It is closed by who made the request: a ReverseProxy does.
type keptBody struct {
	io.ReadCloser
	read    atomic.Bool
	reading atomic.Bool           // now
	err     atomic.Pointer[error] // that reading has returned, and not the end
}

func (b *keptBody) Read(buf []byte) (int, error) {
	b.read.Store(true)
	b.reading.Store(true)
	defer b.reading.Store(false)
	n, err := b.ReadCloser.Read(buf)
	if err != nil && err != io.EOF {
		b.err.Store(&err)
	}
	return n, err
}

func (b *keptBody) Close() error { return nil }

func closeBody(r *http.Request) {
	if r.Body != nil {
		_ = r.Body.Close()
	}
}
