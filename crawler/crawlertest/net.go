package crawlertest

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"
)

// Net is a network with nothing on it but a web: names, and connections to them.
type Net struct {
	web    *Web
	server *http.Server
	dial   func(ctx context.Context) (net.Conn, error)
	done   sync.WaitGroup
}

// Range is where the addresses of a web are: a range for tests of networks, which no crawler
// should visit unless it is told that it may.
var Range = netip.MustParsePrefix("198.18.0.0/15")

// Listen serves the web over pipes within the process. It suits testing/synctest.
func (w *Web) Listen() *Net {
	p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	return w.listen(p, p.dial)
}

// ListenLoopback serves the web on a port of this machine, for all its hosts.
func (w *Web) ListenLoopback() (*Net, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	return w.listen(l, func(ctx context.Context) (net.Conn, error) {
		return d.DialContext(ctx, "tcp", l.Addr().String())
	}), nil
}

func (w *Web) listen(l net.Listener, dial func(context.Context) (net.Conn, error)) *Net {
	n := &Net{web: w, dial: dial, server: &http.Server{Handler: w, ErrorLog: log.New(io.Discard, "", 0)}}
	n.done.Go(func() { n.server.Serve(l) })
	return n
}

// Close ends all connections. Requests that are in hand may still be logged.
func (n *Net) Close() error {
	err := n.server.Close()
	n.done.Wait()
	return err
}

// Lookup resolves the names of the web, and no others. It is a fetch.Resolver.
func (n *Net) Lookup(_ context.Context, host string) ([]netip.Addr, time.Duration, error) {
	if h := n.web.names[host]; h != nil {
		return []netip.Addr{h.Addr}, 0, nil
	}
	return nil, 0, &net.DNSError{Err: "no such host", Name: host, IsNotFound: true}
}

// Dial connects to an address of the web. It suits the options of package fetch.
func (n *Net) Dial(ctx context.Context, _ string, addr netip.AddrPort) (net.Conn, error) {
	if !Range.Contains(addr.Addr()) || addr.Port() != 80 {
		return nil, errors.New("crawlertest: connection refused")
	}
	return n.dial(ctx)
}

// DialContext connects to a name of the web and port 80, as net/http's Transport wants it.
func (n *Net) DialContext(ctx context.Context, _, addr string) (net.Conn, error) {
	name, port, _ := strings.Cut(addr, ":")
	if n.web.names[name] == nil || port != "80" {
		return nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
	}
	return n.dial(ctx)
}

// pipes is a listener whose connections are pipes.
type pipes struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (p *pipes) dial(ctx context.Context) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case p.conns <- server:
		return client, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Accept waits for a connection.
func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

// Close ends Accept.
func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

// Addr names the listener.
func (p *pipes) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
