package server

import (
	"errors"
	"net"
	"syscall"
	"unsafe"
)

// loop serves all connections from one goroutine, as Redis does from one thread: it asks
// the kernel which of them have something, reads, carries out and answers. A command then
// costs one read and one write, and no switch between goroutines, which is what a command
// costs most of all.
type loop struct {
	n     *Node
	ep    int
	wake  [2]int          // a pipe; a byte in it has the loop look at again
	socks map[int32]*sock // guarded by Node.mu, by descriptor
	again []*sock         // guarded by Node.mu: may go on
	batch [256]syscall.EpollEvent
	ready int
	turn  func()
}

// newLoop is nil if the listener is not one whose connections the kernel can watch.
func newLoop(n *Node) (acceptor, error) {
	if _, ok := n.o.Listener.(*net.TCPListener); !ok {
		return nil, nil
	}
	l := &loop{n: n, socks: map[int32]*sock{}}
	var err error
	if l.ep, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil, err
	}
	if err = syscall.Pipe2(l.wake[:], syscall.O_NONBLOCK|syscall.O_CLOEXEC); err == nil {
		err = l.control(syscall.EPOLL_CTL_ADD, l.wake[0], syscall.EPOLLIN)
	}
	if err != nil {
		syscall.Close(l.ep)
		return nil, err
	}
	l.turn = l.serve
	n.wg.Go(l.accept)
	n.wg.Go(l.run)
	return l, nil
}

func (l *loop) control(op, fd int, events uint32) error {
	return syscall.EpollCtl(l.ep, op, fd, &syscall.EpollEvent{Events: events, Fd: int32(fd)})
}

// poke has the loop look.
func (l *loop) poke() {
	syscall.Write(l.wake[1], []byte{0}) // a full pipe wakes as well
}

// close ends accept and run; run closes the rest.
func (l *loop) close() {
	l.n.o.Listener.Close()
	l.poke()
}

func (l *loop) accept() {
	for {
		nc, err := l.n.o.Listener.Accept()
		if err != nil {
			select {
			case <-l.n.done:
			default:
				l.n.o.Logger.Error("cachecluster: the listener failed", "err", err)
			}
			return
		}
		if err := l.adopt(nc.(*net.TCPConn)); err != nil {
			l.n.o.Logger.Warn("cachecluster: a connection is refused", "err", err)
		}
	}
}

// adopt takes a connection away from Go's own poller.
func (l *loop) adopt(nc *net.TCPConn) error {
	defer nc.Close() // the copy of its descriptor lives on
	raw, err := nc.SyscallConn()
	if err != nil {
		return err
	}
	fd := -1
	if cerr := raw.Control(func(f uintptr) {
		r, _, e := syscall.Syscall(syscall.SYS_FCNTL, f, syscall.F_DUPFD_CLOEXEC, 0)
		if fd = int(r); e != 0 {
			fd, err = -1, e
		}
	}); cerr != nil || err != nil {
		return errors.Join(cerr, err)
	}
	s := &sock{l: l, fd: fd, addr: nc.RemoteAddr().String(), armed: syscall.EPOLLIN}
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	if l.n.closed {
		return syscall.Close(fd)
	}
	if err := l.control(syscall.EPOLL_CTL_ADD, fd, syscall.EPOLLIN); err != nil {
		return errors.Join(err, syscall.Close(fd))
	}
	s.c = l.n.attach(s)
	l.socks[int32(fd)] = s
	return nil
}

// run serves until the node ends.
func (l *loop) run() {
	for {
		l.ready = l.wait()
		select {
		case <-l.n.done:
			l.end()
			return
		default:
		}
		l.n.do(l.turn)
	}
}

// wait returns how many connections have something. It looks first without telling Go's
// scheduler: under load there is always something, and then that would be the dearer part.
func (l *loop) wait() int {
	n, _, e := syscall.RawSyscall6(syscall.SYS_EPOLL_PWAIT, uintptr(l.ep), uintptr(unsafe.Pointer(&l.batch[0])), uintptr(len(l.batch)), 0, 0, 0)
	if e == 0 && int(n) > 0 {
		return int(n)
	}
	for {
		n, err := syscall.EpollWait(l.ep, l.batch[:], -1)
		if err == nil {
			return n
		}
		if err != syscall.EINTR {
			l.n.o.Logger.Error("cachecluster: epoll", "err", err)
			return 0
		}
	}
}

// end closes everything.
func (l *loop) end() {
	l.n.mu.Lock()
	defer l.n.mu.Unlock()
	for _, s := range l.socks {
		s.cut()
	}
	syscall.Close(l.ep)
	syscall.Close(l.wake[0])
	syscall.Close(l.wake[1])
}

// serve carries out a turn for each connection that has something.
func (l *loop) serve() {
	for i := range l.ready {
		e := &l.batch[i]
		if int(e.Fd) == l.wake[0] {
			var b [64]byte
			syscall.Read(l.wake[0], b[:])
			continue
		}
		s := l.socks[e.Fd]
		if s == nil {
			continue // closed earlier in this turn
		}
		if e.Events&syscall.EPOLLOUT != 0 {
			s.flush()
			if s.fd >= 0 && s.unsent() == 0 {
				s.proceed()
			}
		}
		if s.fd >= 0 && e.Events&(syscall.EPOLLIN|syscall.EPOLLHUP|syscall.EPOLLERR) != 0 {
			s.read()
		}
	}
	for i := 0; i < len(l.again); i++ {
		if s := l.again[i]; s.fd >= 0 {
			s.proceed()
		}
		l.again[i] = nil
	}
	l.again = l.again[:0]
}

// sock is a link whose descriptor the loop reads and writes.
type sock struct {
	l     *loop
	c     *conn
	fd    int // -1: closed
	addr  string
	q     []byte // from sent on, what the kernel would not take yet
	sent  int
	armed uint32
	last  bool // to be closed once q is sent
}

// read takes what has come and carries it out.
func (s *sock) read() {
	b := s.c.in.Space()
	n, _, e := syscall.RawSyscall(syscall.SYS_READ, uintptr(s.fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
	switch {
	case e == syscall.EAGAIN || e == syscall.EINTR:
		return
	case e != 0 || n == 0:
		s.cut()
		return
	}
	s.c.in.Filled(int(n))
	s.proceed()
}

// proceed carries out what has come, as far as may be.
func (s *sock) proceed() {
	s.l.n.turn(s.c)
	s.arm()
}

// arm tells the kernel what to watch for: not for more commands while the client waits for
// an answer or does not read those that it got.
func (s *sock) arm() {
	if s.fd < 0 {
		return
	}
	want := uint32(0)
	if !s.c.blocked && !s.c.ended && s.unsent() < soft {
		want |= syscall.EPOLLIN
	}
	if s.unsent() > 0 {
		want |= syscall.EPOLLOUT
	}
	if want != s.armed {
		s.armed = want
		if err := s.l.control(syscall.EPOLL_CTL_MOD, s.fd, want); err != nil {
			s.cut()
		}
	}
}

func (s *sock) send(b []byte) {
	if s.fd < 0 {
		return
	}
	if s.unsent() == 0 {
		n, ok := s.write(b)
		if !ok {
			s.cut()
			return
		}
		if b = b[n:]; len(b) == 0 {
			return
		}
	}
	if s.sent > len(s.q)/2 {
		s.q, s.sent = s.q[:copy(s.q, s.q[s.sent:])], 0
	}
	s.q = append(s.q, b...)
	s.arm()
}

// write hands bytes to the kernel and returns how many it took.
func (s *sock) write(b []byte) (n int, ok bool) {
	for n < len(b) {
		k, _, e := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(s.fd), uintptr(unsafe.Pointer(&b[n])), uintptr(len(b)-n))
		switch e {
		case 0:
			n += int(k)
		case syscall.EINTR:
		case syscall.EAGAIN:
			return n, true
		default:
			return n, false
		}
	}
	return n, true
}

// flush sends what was left.
func (s *sock) flush() {
	n, ok := s.write(s.q[s.sent:])
	if !ok {
		s.cut()
		return
	}
	if s.sent += n; s.unsent() > 0 {
		return
	}
	s.q, s.sent = s.q[:0], 0
	if cap(s.q) > 1<<20 {
		s.q = nil
	}
	if s.last {
		s.cut()
		return
	}
	s.arm()
}

func (s *sock) unsent() int { return len(s.q) - s.sent }

func (s *sock) hangUp() {
	if s.last = true; s.unsent() == 0 {
		s.cut()
		return
	}
	s.arm()
}

func (s *sock) cut() {
	if s.fd < 0 {
		return
	}
	delete(s.l.socks, int32(s.fd))
	syscall.Close(s.fd) // which takes it out of the poll as well
	s.fd, s.q, s.sent = -1, nil, 0
	s.l.n.detach(s.c)
}

func (s *sock) resume() {
	s.l.again = append(s.l.again, s)
	s.l.poke()
}

func (s *sock) remote() string { return s.addr }
