package resp

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Handler answers one command by writing exactly one reply to c. args[0] is the name
// in upper case; args are valid until it returns. Commands of one connection come one
// after another, those of different connections at the same time.
type Handler func(c *Conn, args [][]byte)

// Options configures a Server.
type Options struct {
	Handler Handler       // required
	Closed  func(*Conn)   // a connection has ended; nil: nobody cares
	Limits  Limits        // zero fields: the defaults
	Idle    time.Duration // a connection that is silent for so long is closed; 0: never
	Version string        // what HELLO and INFO tell of the server ("7.2.0")
	Logger  *slog.Logger  // nil: silent
}

// Server serves one handler on any number of listeners.
type Server struct {
	o      Options
	ctx    context.Context
	cancel context.CancelFunc
	ids    atomic.Int64

	mu     sync.Mutex
	open   map[io.Closer]struct{} // guarded by mu: listeners and connections
	closed bool                   // guarded by mu
	wg     sync.WaitGroup
}

// ErrNoHandler is returned by NewServer for options without a handler.
var ErrNoHandler = errors.New("resp: no handler")

// ErrClosed is returned by Serve after Close.
var ErrClosed = errors.New("resp: server closed")

// NewServer makes a server; it starts nothing.
func NewServer(o Options) (*Server, error) {
	if o.Handler == nil {
		return nil, ErrNoHandler
	}
	if o.Version == "" {
		o.Version = "7.2.0"
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	o.Limits = o.Limits.withDefaults()
	s := &Server{o: o, open: map[io.Closer]struct{}{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s, nil
}

// Serve accepts connections on l until Close, which it reports as ErrClosed, or until
// l fails.
func (s *Server) Serve(l net.Listener) error {
	if !s.track(l) {
		l.Close()
		return ErrClosed
	}
	defer s.untrack(l)
	for {
		nc, err := l.Accept()
		if err != nil {
			if s.ctx.Err() != nil {
				return ErrClosed
			}
			return err
		}
		if !s.track(nc) {
			nc.Close()
			return ErrClosed
		}
		go func() {
			defer s.untrack(nc)
			s.serve(nc)
		}()
	}
}

// Close stops listening, closes every connection, cancels the context of the commands
// that run and waits for them.
func (s *Server) Close() error {
	s.cancel()
	s.mu.Lock()
	s.closed = true
	for c := range s.open {
		c.Close()
	}
	s.mu.Unlock()
	s.wg.Wait()
	return nil
}

func (s *Server) track(c io.Closer) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.open[c] = struct{}{}
	s.wg.Add(1)
	return true
}

func (s *Server) untrack(c io.Closer) {
	s.mu.Lock()
	delete(s.open, c)
	s.mu.Unlock()
	c.Close()
	s.wg.Done()
}

// Conn is one client's connection, as a Handler sees it.
type Conn struct {
	*Writer
	ctx  context.Context
	nc   net.Conn
	id   int64
	name string
	quit bool
}

// Context is cancelled when the server closes.
func (c *Conn) Context() context.Context { return c.ctx }

// RemoteAddr is the client's address.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// serve runs one connection. Replies are flushed when no further command has arrived,
// so that a pipeline costs one write.
func (s *Server) serve(nc net.Conn) {
	r := NewReader(nc, s.o.Limits)
	c := &Conn{Writer: NewWriter(nc), ctx: s.ctx, nc: nc, id: s.ids.Add(1)}
	if s.o.Closed != nil {
		defer s.o.Closed(c)
	}
	for !c.quit {
		if s.o.Idle > 0 {
			nc.SetReadDeadline(time.Now().Add(s.o.Idle))
		}
		args, err := r.ReadCommand()
		if err != nil {
			if errors.Is(err, ErrProtocol) {
				s.o.Logger.Warn("resp: malformed request", "client", nc.RemoteAddr(), "err", err)
				c.Error("ERR Protocol error" + strings.TrimPrefix(err.Error(), ErrProtocol.Error()))
				c.Flush()
			}
			return
		}
		upper(args[0])
		if !s.session(c, args) {
			s.o.Handler(c, args)
		}
		if r.Buffered() == 0 || c.quit {
			if c.Flush() != nil {
				return
			}
		}
	}
}

func upper(b []byte) {
	for i, c := range b {
		if 'a' <= c && c <= 'z' {
			b[i] = c - 'a' + 'A'
		}
	}
}
