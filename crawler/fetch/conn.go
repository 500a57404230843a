package fetch

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"time"
)

const connBuffer = 8 << 10

// restsUntried is how long a kept connection may have rested and still be used without a
// look at whether the server has closed it.
const restsUntried = time.Second

// conn is a connection to one server. All reading goes through Read, which is where the
// bounds are: no watcher and no timer of its own, only a deadline for each read.
//
//	header:  deadline = the earlier of FirstByte and Total;  bytes ≤ MaxHeader
//	body:    deadline = the earliest of Total, a pause of Grace,
//	                    and begin + Grace + received / MinRate
//
// What a body has sent early buys it time later, but no pause longer than Grace.
type conn struct {
	net  net.Conn
	br   *bufio.Reader
	key  string
	addr netip.AddrPort

	used  bool      // it has served a request before
	since time.Time // when it came to rest
	newer *conn     // of the kept ones, in the order in which they came to rest
	older *conn

	t         *Timeouts
	deadline  time.Time // of the hop
	first     time.Time // of its header
	header    bool
	budget    int // bytes that the header may still have
	bodySince time.Time
	received  int64 // bytes of this response
	ofHeader  int64 // of them, those before the body
	fit       error // why the last deadline was set: ErrTimeout or ErrSlow
	err       error // the first error of the wire
}

// begin makes the connection ready for a request that has to be over at deadline.
func (c *conn) begin(t *Timeouts, deadline time.Time, maxHeader int) {
	c.t, c.deadline = t, deadline
	c.first = time.Now().Add(t.FirstByte)
	c.header, c.budget, c.received = true, maxHeader, 0
	c.err, c.fit = nil, nil
}

// beginBody ends the bounds of the header and begins those of the body.
func (c *conn) beginBody() {
	c.header = false
	c.bodySince = time.Now()
	c.ofHeader = c.received - int64(c.br.Buffered())
}

// until returns the deadline of the next read, and what it means to miss it.
func (c *conn) until() (time.Time, error) {
	if c.header {
		if c.first.Before(c.deadline) {
			return c.first, ErrTimeout
		}
		return c.deadline, ErrTimeout
	}
	at, why := time.Now().Add(c.t.Grace), ErrSlow
	if c.t.MinRate > 0 {
		earned := time.Duration(float64(c.received-c.ofHeader) / float64(c.t.MinRate) * float64(time.Second))
		if rate := c.bodySince.Add(c.t.Grace + earned); rate.Before(at) {
			at = rate
		}
	}
	if c.deadline.Before(at) {
		at, why = c.deadline, ErrTimeout
	}
	return at, why
}

// Read reads from the wire, for the buffer alone.
func (c *conn) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if c.header {
		if c.budget == 0 {
			c.err = ErrHeaderSize
			return 0, c.err
		}
		p = p[:min(len(p), c.budget)]
	}
	at, why := c.until()
	if !time.Now().Before(at) {
		c.err = why
		return 0, c.err
	}
	// A net.Pipe whose other end is closed takes no deadline, and needs none.
	if err := c.net.SetReadDeadline(at); err != nil && !errors.Is(err, io.ErrClosedPipe) {
		c.err = err
		return 0, err
	}
	n, err := c.net.Read(p)
	c.received += int64(n)
	if c.header {
		c.budget -= n
	}
	if err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = why
		}
		c.err = err
	}
	return n, err
}

// alive looks whether a connection that has rested is still open. A server that has closed it, or sent
// what nobody asked for, has spoken; silence is what it takes.
func (c *conn) alive(now time.Time) bool {
	if now.Sub(c.since) < restsUntried {
		return true
	}
	if c.net.SetReadDeadline(time.Now().Add(time.Millisecond)) != nil {
		return false
	}
	var b [1]byte
	_, err := c.net.Read(b[:])
	return errors.Is(err, os.ErrDeadlineExceeded)
}

// connect returns a kept connection to the server, or a new one. The time it takes is bounded
// by ctx.
func (c *Client) connect(ctx context.Context, t *target, tr *Trace) (*conn, Phase, error) {
	if k := c.kept(t.key); k != nil {
		k.used = true
		return k, PhaseConnect, nil
	}
	begin := time.Now()
	ctx, cancel := context.WithTimeoutCause(ctx, c.o.Timeouts.Connect, ErrTimeout)
	defer cancel()
	addrs, err := c.addresses(ctx, t)
	if err != nil {
		return nil, PhaseResolve, err
	}
	tr.Resolve = time.Since(begin)
	c.stats.dials.Add(1)
	nc, ap, err := c.dial(ctx, addrs, t.port)
	if err != nil {
		return nil, PhaseConnect, cause(ctx, err, ErrConnect)
	}
	tr.Connect = time.Since(begin) - tr.Resolve
	if t.tls {
		cfg := c.o.TLS.Clone()
		if cfg.ServerName == "" {
			cfg.ServerName = t.name
		}
		tc := tls.Client(nc, cfg)
		if err := tc.HandshakeContext(ctx); err != nil {
			nc.Close()
			var bad *tls.CertificateVerificationError
			if errors.As(err, &bad) {
				return nil, PhaseTLS, because(ErrCertificate, err)
			}
			return nil, PhaseTLS, cause(ctx, err, ErrTLS)
		}
		nc = tc
		tr.TLS = time.Since(begin) - tr.Resolve - tr.Connect
	}
	k := &conn{net: nc, key: t.key, addr: ap}
	k.br = bufio.NewReaderSize(k, connBuffer)
	return k, PhaseConnect, nil
}

// cause names an error: that of the context if it is what ended the work, else as given.
func cause(ctx context.Context, err, sentinel error) error {
	if why := context.Cause(ctx); why != nil {
		return why
	}
	var ne net.Error
	switch {
	case errors.Is(err, ErrAddress):
		return err
	case errors.As(err, &ne) && ne.Timeout():
		return because(ErrTimeout, err)
	}
	return because(sentinel, err)
}

// addresses returns the permitted addresses of a server.
func (c *Client) addresses(ctx context.Context, t *target) ([]netip.Addr, error) {
	if t.ip.IsValid() {
		if !c.permitted(t.ip) {
			c.stats.refused.Add(1)
			return nil, because(ErrAddress, errors.New(t.ip.String()))
		}
		return []netip.Addr{t.ip}, nil
	}
	all, err := c.names.lookup(ctx, c.base, t.name)
	if err != nil {
		return nil, err
	}
	good := make([]netip.Addr, 0, len(all)) // all is shared
	for _, a := range all {
		if c.permitted(a) {
			good = append(good, a.Unmap())
		}
	}
	if len(good) == 0 {
		c.stats.refused.Add(1)
		return nil, because(ErrAddress, errors.New(all[0].String()))
	}
	return good, nil
}

// kept takes a connection to the server out of those that rest, nil if none is good.
func (c *Client) kept(key string) *conn {
	for {
		c.mu.Lock()
		list := c.idle[key]
		if len(list) == 0 {
			c.mu.Unlock()
			return nil
		}
		k := list[len(list)-1]
		c.unlink(k)
		c.mu.Unlock()
		if now := time.Now(); now.Sub(k.since) < c.o.IdleTimeout && k.alive(now) {
			c.stats.reused.Add(1)
			return k
		}
		k.net.Close()
	}
}

// keep lets a connection rest, or closes it if there are enough.
func (c *Client) keep(k *conn) {
	k.since = time.Now()
	c.mu.Lock()
	if c.closed || c.o.MaxIdle < 0 || len(c.idle[k.key]) >= c.o.MaxIdlePerHost {
		c.mu.Unlock()
		k.net.Close()
		return
	}
	var out *conn
	if c.nIdle == c.o.MaxIdle {
		out = c.oldest
		c.unlink(out)
	}
	c.idle[k.key] = append(c.idle[k.key], k)
	if k.older = c.newest; k.older != nil {
		k.older.newer = k
	} else {
		c.oldest = k
	}
	c.newest = k
	if c.nIdle++; c.nIdle == 1 {
		c.sweep.Reset(c.o.IdleTimeout)
	}
	c.mu.Unlock()
	if out != nil {
		out.net.Close()
	}
}

// unlink takes a connection out of the tables. The lock is held.
func (c *Client) unlink(k *conn) {
	list := c.idle[k.key]
	for i := range list {
		if list[i] == k {
			list[i] = list[len(list)-1]
			list[len(list)-1] = nil
			list = list[:len(list)-1]
			break
		}
	}
	if len(list) == 0 {
		delete(c.idle, k.key)
	} else {
		c.idle[k.key] = list
	}
	if k.newer != nil {
		k.newer.older = k.older
	} else {
		c.newest = k.older
	}
	if k.older != nil {
		k.older.newer = k.newer
	} else {
		c.oldest = k.newer
	}
	k.newer, k.older = nil, nil
	c.nIdle--
}

// expire closes connections that have rested for too long. It runs by a timer while any rest.
func (c *Client) expire() {
	now := time.Now()
	var out []io.Closer
	c.mu.Lock()
	for c.oldest != nil && now.Sub(c.oldest.since) >= c.o.IdleTimeout {
		out = append(out, c.oldest.net)
		c.unlink(c.oldest)
	}
	if c.oldest != nil && !c.closed {
		c.sweep.Reset(c.o.IdleTimeout - now.Sub(c.oldest.since))
	}
	c.mu.Unlock()
	for _, k := range out {
		k.Close()
	}
}
