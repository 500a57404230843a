package server

import (
	"net"
	"sync"
)

// goroutines serves each connection with two goroutines, one that reads and one that
// writes: it works everywhere.
type goroutines struct {
	n  *Node
	wg sync.WaitGroup
}

func newAcceptor(n *Node) *goroutines {
	g := &goroutines{n: n}
	g.wg.Go(g.accept)
	return g
}

func (g *goroutines) accept() {
	for {
		nc, err := g.n.o.Listener.Accept()
		if err != nil {
			select {
			case <-g.n.done:
				return
			default:
			}
			if ne, ok := err.(net.Error); ok && ne.Timeout() {
				continue
			}
			g.n.o.Logger.Error("cachecluster: the listener failed", "err", err)
			return
		}
		l := &pipe{nc: nc, wake: make(chan struct{}, 1), room: make(chan struct{}, 1)}
		g.n.mu.Lock()
		if g.n.closed {
			g.n.mu.Unlock()
			nc.Close()
			return
		}
		c := g.n.attach(l)
		g.n.mu.Unlock()
		g.wg.Go(func() { g.read(c, l) })
		g.wg.Go(l.write)
	}
}

// close ends all connections and waits for them.
func (g *goroutines) close() {
	g.n.o.Listener.Close()
	g.n.mu.Lock()
	for c := range g.n.conns {
		c.l.cut()
	}
	g.n.mu.Unlock()
	g.wg.Wait()
}

func (g *goroutines) read(c *conn, l *pipe) {
	n := g.n
	for {
		// Whoever does not read is not read from; a blocked one waits for its answer.
		n.mu.Lock()
		wait := !c.ended && (c.blocked || l.unsent() >= soft)
		n.mu.Unlock()
		if wait {
			select {
			case <-l.room:
			case <-n.done:
			}
		} else {
			k, err := l.nc.Read(c.in.Space())
			if err != nil {
				break
			}
			c.in.Filled(k)
		}
		ended := true
		n.do(func() {
			n.turn(c)
			ended = c.ended
		})
		if ended {
			break
		}
	}
	n.mu.Lock()
	n.detach(c)
	n.mu.Unlock()
	l.hangUp()
}

// pipe is a link whose bytes a goroutine writes.
type pipe struct {
	nc   net.Conn
	wake chan struct{} // there is something to write
	room chan struct{} // the reader may look again

	mu    sync.Mutex
	q     []byte // guarded by mu, and so is all below
	busy  int    // bytes that are being written
	ended bool
}

func (l *pipe) send(b []byte) {
	l.mu.Lock()
	if !l.ended {
		l.q = append(l.q, b...)
	}
	l.mu.Unlock()
	poke(l.wake)
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func (l *pipe) unsent() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.q) + l.busy
}

func (l *pipe) hangUp() {
	l.mu.Lock()
	l.ended = true
	l.mu.Unlock()
	poke(l.wake)
}

func (l *pipe) cut() { l.nc.Close() }

func (l *pipe) resume() { poke(l.room) }

func (l *pipe) remote() string { return l.nc.RemoteAddr().String() }

// write sends what is queued until the connection ends.
func (l *pipe) write() {
	defer l.nc.Close()
	var b []byte
	for range l.wake {
		for {
			l.mu.Lock()
			b, l.q = l.q, b[:0]
			l.busy = len(b)
			ended := l.ended
			l.mu.Unlock()
			if len(b) == 0 {
				if ended {
					return
				}
				break
			}
			_, err := l.nc.Write(b)
			l.mu.Lock()
			l.busy = 0
			if err != nil {
				l.ended = true
				l.q = nil
			}
			l.mu.Unlock()
			if err != nil {
				return
			}
			if cap(b) > 1<<20 {
				b = nil
			}
			poke(l.room)
		}
	}
}
