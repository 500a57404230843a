// Package transport carries frames between the nodes of a store: one TCP connection for
// each direction of each pair, redialled for ever, with a bounded queue in front.
//
// It promises little, and exactly that: a frame arrives whole and unaltered or not at
// all; frames of one connection arrive in order; a frame that surely was not sent comes
// back through Options.Undelivered. One that was handed to the kernel may or may not have
// arrived. Everything above (retries, acknowledgements, deadlines) is the protocol's.
//
//	Send ──▶ queue of the peer ──▶ writer goroutine ──▶ TCP ──▶ reader goroutine ──▶ Receive
//	            │ full, or the peer does not answer
//	            └────▶ Undelivered
package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

var (
	// ErrClosed is returned by Send after Close.
	ErrClosed = errors.New("transport: closed")
	// ErrTooLarge is returned by Send for a frame over Options.MaxFrame.
	ErrTooLarge = errors.New("transport: frame too large")
	// ErrOptions is matched by every error that the options cause.
	ErrOptions = errors.New("transport: bad options")
	// ErrHandshake is matched by errors about a peer that speaks another protocol,
	// belongs to another cluster, or is not the node that was called.
	ErrHandshake = errors.New("transport: handshake refused")
	// ErrFrame is matched by errors about a damaged or oversized frame.
	ErrFrame = errors.New("transport: bad frame")
)

// Options configures a Transport.
type Options struct {
	ID       string                                   // this node's name; required
	Cluster  string                                   // nodes of different clusters refuse each other
	Listener net.Listener                             // where peers connect; owned by the transport; required
	Resolve  func(peer string) (addr string, ok bool) // where a peer listens; asked before each dial; required
	Receive  func(from string, frame []byte)          // a frame came; it is the callee's; blocking holds up that peer; required

	Undelivered func(to string, frame []byte) // a frame was surely not sent; nil: it is dropped
	Cut         func(peer string) bool        // true: nothing goes to or comes from this peer; nil: never
	MaxFrame    int                           // bytes (20 MiB)
	MaxQueue    int                           // bytes that wait for one peer (64 MiB)
	DialTimeout time.Duration                 // (1 s)
	Logger      *slog.Logger                  // nil: silent
}

func (o *Options) validate() error {
	if o.ID == "" || o.Listener == nil || o.Resolve == nil || o.Receive == nil {
		return fmt.Errorf("%w: ID, Listener, Resolve and Receive are required", ErrOptions)
	}
	if len(o.ID) > maxName || len(o.Cluster) > maxName {
		return fmt.Errorf("%w: a name is longer than %d bytes", ErrOptions, maxName)
	}
	if o.MaxFrame < 0 || o.MaxQueue < 0 || o.DialTimeout < 0 {
		return fmt.Errorf("%w: negative limit", ErrOptions)
	}
	if o.MaxFrame == 0 {
		o.MaxFrame = 20 << 20
	}
	if o.MaxQueue == 0 {
		o.MaxQueue = 64 << 20
	}
	if o.DialTimeout == 0 {
		o.DialTimeout = time.Second
	}
	if o.Undelivered == nil {
		o.Undelivered = func(string, []byte) {}
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// Transport is one node's end. It is safe for concurrent use.
type Transport struct {
	o      Options
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	sent, received           atomic.Uint64
	sentBytes, receivedBytes atomic.Uint64
	undelivered              atomic.Uint64

	mu     sync.Mutex
	peers  map[string]*peer    // guarded by mu
	open   map[net.Conn]string // guarded by mu: connections and whom they lead to
	closed bool                // guarded by mu
}

// Stats counts what a transport has done since it started.
type Stats struct {
	Sent, Received           uint64 // frames
	SentBytes, ReceivedBytes uint64
	Undelivered              uint64 // frames that came back
}

// New starts accepting on o.Listener.
func New(o Options) (*Transport, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	t := &Transport{o: o, peers: map[string]*peer{}, open: map[net.Conn]string{}}
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.wg.Go(t.accept)
	return t, nil
}

// Send queues frame for peer to and returns at once. The transport owns frame until it
// comes back through Undelivered. An error means that it was not taken.
func (t *Transport) Send(to string, frame []byte) error {
	if len(frame) > t.o.MaxFrame {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(frame), t.o.MaxFrame)
	}
	p, err := t.peer(to)
	if err != nil {
		return err
	}
	if !p.push(frame) {
		t.giveBack(to, [][]byte{frame})
	}
	return nil
}

// Stats is a snapshot of the counters.
func (t *Transport) Stats() Stats {
	return Stats{
		Sent: t.sent.Load(), Received: t.received.Load(),
		SentBytes: t.sentBytes.Load(), ReceivedBytes: t.receivedBytes.Load(),
		Undelivered: t.undelivered.Load(),
	}
}

// Break closes the connections from and to a peer; they are dialled anew when there is
// something to send. Call it after Cut began to return true, for a cut that is at once.
func (t *Transport) Break(peer string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for c, name := range t.open {
		if name == peer {
			c.Close()
		}
	}
}

// Close stops everything and waits; frames that still queue are given back to nobody.
// Receive and Undelivered are not called after it.
func (t *Transport) Close() error {
	t.cancel()
	err := t.o.Listener.Close()
	t.mu.Lock()
	first := !t.closed
	t.closed = true
	for c := range t.open {
		c.Close()
	}
	t.mu.Unlock()
	t.wg.Wait()
	if !first {
		return nil
	}
	return err
}

func (t *Transport) isCut(peer string) bool { return t.o.Cut != nil && t.o.Cut(peer) }

// peer returns the queue to a node, made with its writer on first use.
func (t *Transport) peer(name string) (*peer, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return nil, ErrClosed
	}
	p := t.peers[name]
	if p == nil {
		p = &peer{t: t, name: name, limit: t.o.MaxQueue, ready: make(chan struct{}, 1)}
		t.peers[name] = p
		t.wg.Go(p.run)
	}
	return p, nil
}

// track registers a connection so that Close and Break find it; false after Close.
func (t *Transport) track(c net.Conn, peer string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return false
	}
	t.open[c] = peer
	return true
}

func (t *Transport) untrack(c net.Conn) {
	t.mu.Lock()
	delete(t.open, c)
	t.mu.Unlock()
	c.Close()
}

func (t *Transport) giveBack(to string, frames [][]byte) {
	for _, f := range frames {
		if t.ctx.Err() != nil {
			return
		}
		t.undelivered.Add(1)
		t.o.Undelivered(to, f)
	}
}
