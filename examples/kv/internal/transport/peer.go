package transport

import (
	"bufio"
	"fmt"
	"net"
	"sync"
	"time"
)

// peer is the sending side to one node: a queue bounded in bytes and the goroutine that
// empties it.
//
// A peer that does not answer costs one dial per batch: all that queued meanwhile is
// given back at once, so that the protocol can try another node rather than wait.
type peer struct {
	t     *Transport
	name  string
	limit int
	ready chan struct{} // one token: the queue is not empty

	mu    sync.Mutex
	queue [][]byte // guarded by mu
	bytes int      // guarded by mu
}

// push appends a frame; false means that the queue is full.
func (p *peer) push(frame []byte) bool {
	p.mu.Lock()
	if p.bytes+len(frame) > p.limit {
		p.mu.Unlock()
		return false
	}
	p.queue = append(p.queue, frame)
	p.bytes += len(frame)
	p.mu.Unlock()
	select {
	case p.ready <- struct{}{}:
	default:
	}
	return true
}

// take empties the queue into buf.
func (p *peer) take(buf [][]byte) [][]byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	buf = append(buf[:0], p.queue...)
	clear(p.queue)
	p.queue, p.bytes = p.queue[:0], 0
	return buf
}

// run writes batches until the transport closes.
func (p *peer) run() {
	var (
		l     *line
		batch [][]byte
	)
	hangUp := func() {
		if l != nil {
			p.t.untrack(l.Conn)
			l = nil
		}
	}
	defer hangUp()
	for {
		select {
		case <-p.t.ctx.Done():
			return
		case <-p.ready:
		}
		batch = p.take(batch)
		if len(batch) == 0 {
			continue
		}
		if p.t.isCut(p.name) {
			hangUp()
			p.t.giveBack(p.name, batch)
			continue
		}
		if l != nil && l.dead() {
			hangUp()
		}
		if l == nil {
			var err error
			if l, err = p.dial(); err != nil {
				p.t.o.Logger.Debug("transport: peer does not answer", "peer", p.name, "err", err)
				p.t.giveBack(p.name, batch)
				continue
			}
		}
		if n, err := l.write(p.t, batch); err != nil {
			p.t.o.Logger.Debug("transport: connection lost", "peer", p.name, "err", err)
			hangUp()
			p.t.giveBack(p.name, batch[n:])
		}
		clear(batch)
	}
}

// line is one outgoing connection.
type line struct {
	net.Conn
	bw   *bufio.Writer
	gone chan struct{} // closed when the peer hung up
}

// newLine watches for the peer's end of the connection: it never sends after its hello,
// so a read returns only when it hung up. Without this the first frames after a peer's
// restart would go into a dead connection, which TCP reports one write too late.
func newLine(t *Transport, c net.Conn) *line {
	l := &line{Conn: c, bw: bufio.NewWriterSize(c, 64<<10), gone: make(chan struct{})}
	t.wg.Go(func() {
		var b [1]byte
		c.Read(b[:])
		close(l.gone)
	})
	return l
}

func (l *line) dead() bool {
	select {
	case <-l.gone:
		return true
	default:
		return false
	}
}

// write sends a batch with one flush. On an error, frames from n on were surely not
// sent; those before it may or may not have arrived.
func (l *line) write(t *Transport, batch [][]byte) (n int, err error) {
	// A peer that takes nothing for so long is as good as gone.
	if err := l.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return 0, err
	}
	for i, f := range batch {
		if err := writeFrame(l.bw, f); err != nil {
			return i + 1, err
		}
		t.sent.Add(1)
		t.sentBytes.Add(uint64(len(f)))
	}
	return len(batch), l.bw.Flush()
}

// dial connects, introduces this node and learns that the right one answers.
func (p *peer) dial() (*line, error) {
	addr, ok := p.t.o.Resolve(p.name)
	if !ok {
		return nil, fmt.Errorf("transport: %s has no known address", p.name)
	}
	d := net.Dialer{Timeout: p.t.o.DialTimeout}
	c, err := d.DialContext(p.t.ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if !p.t.track(c, p.name) {
		c.Close()
		return nil, ErrClosed
	}
	if err := p.introduce(c); err != nil {
		p.t.untrack(c)
		return nil, err
	}
	return newLine(p.t, c), nil
}

func (p *peer) introduce(c net.Conn) error {
	if err := c.SetDeadline(time.Now().Add(p.t.o.DialTimeout)); err != nil {
		return err
	}
	if _, err := c.Write(appendHello(nil, hello{cluster: p.t.o.Cluster, from: p.t.o.ID, to: p.name})); err != nil {
		return err
	}
	answer, err := readHello(c)
	if err != nil {
		return err
	}
	if answer.from != p.name || answer.cluster != p.t.o.Cluster {
		return fmt.Errorf("%w: called %s of cluster %q, reached %s of cluster %q", ErrHandshake, p.name, p.t.o.Cluster, answer.from, answer.cluster)
	}
	return c.SetDeadline(time.Time{})
}
