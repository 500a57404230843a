package crawler

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"time"
)

// siteNet is a network with one host, at a public address that is never dialled.
type siteNet struct {
	conns chan net.Conn
	done  chan struct{}
}

func (n *siteNet) Lookup(_ context.Context, host string) ([]netip.Addr, time.Duration, error) {
	if host != "a.example" {
		return nil, 0, &net.DNSError{Name: host, IsNotFound: true}
	}
	return []netip.Addr{netip.MustParseAddr("8.8.8.8")}, 0, nil
}

func (n *siteNet) dial(ctx context.Context, _ string, _ netip.AddrPort) (net.Conn, error) {
	client, server := net.Pipe()
	select {
	case n.conns <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (n *siteNet) Accept() (net.Conn, error) {
	select {
	case c := <-n.conns:
		return c, nil
	case <-n.done:
		return nil, net.ErrClosed
	}
}

func (n *siteNet) Close() error {
	select {
	case <-n.done:
	default:
		close(n.done)
	}
	return nil
}

func (n *siteNet) Addr() net.Addr { return &net.TCPAddr{} }

// serveSite serves a site and notes the paths that it is asked for.
func serveSite(s *site) (*http.Server, *siteNet) {
	n := &siteNet{conns: make(chan net.Conn), done: make(chan struct{})}
	srv := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.paths = append(s.paths, r.URL.Path)
		s.mu.Unlock()
		s.h(w, r)
	})}
	go srv.Serve(n)
	return srv, n
}
