package dash

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// Site is a dashboard on an address of its own.
type Site struct {
	Addr string // host:port

	dash   io.Closer
	server *http.Server
	wg     sync.WaitGroup
}

// Listen serves h on a TCP address. The dashboard, which is h or a part of it, is the site's
// from then on: it is closed with it, or at once if Listen fails.
func Listen(addr string, h http.Handler, dashboard io.Closer) (*Site, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, errors.Join(err, dashboard.Close())
	}
	s := &Site{
		Addr: l.Addr().String(), dash: dashboard,
		server: &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10},
	}
	s.wg.Go(func() { _ = s.server.Serve(l) }) // ends by Close
	return s, nil
}

// Close ends every connection and waits for the server.
func (s *Site) Close() error {
	err := errors.Join(s.dash.Close(), s.server.Close())
	s.wg.Wait()
	return err
}
