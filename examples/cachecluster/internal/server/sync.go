package server

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/keyspace"
	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/snapshot"
	"github.com/ashlar-go/ashlar/examples/internal/resp"
)

// Replication: a replica connects to its leader, says which stream it knows up to where
// (SYNCFROM), and is sent either what comes after that or a snapshot, and from then on all
// that the leader does. It answers with SYNCACK how far it came.

// follower is a replica as its leader sees it.
type follower struct {
	id     string
	acked  int64
	behind int // bytes of the snapshot, which do not count as unread
}

// propagate adds a command to the stream and sends it to all replicas. The caller holds mu.
func (n *Node) propagate(args [][]byte) {
	if n.stream == nil || !n.cluster.leading {
		return
	}
	n.scratch.B = n.scratch.B[:0]
	n.scratch.Command(args...)
	n.stream.Append(n.scratch.B)
	for c := range n.replicas {
		c.out.B = append(c.out.B, n.scratch.B...)
		c.later()
	}
	if cap(n.scratch.B) > 1<<20 {
		n.scratch.B = nil
	}
}

// heartbeat keeps a quiet stream from looking like a dead one. The caller holds mu.
func (n *Node) heartbeat() {
	if n.cluster != nil && len(n.replicas) > 0 && n.o.Now().UnixMilli()/100%20 == 0 {
		n.propagate([][]byte{[]byte("PING")})
	}
}

// dropSlot removes the keys of a slot here and at the replicas.
func (n *Node) dropSlot(slot uint16) {
	var keys [][]byte
	n.db.InSlot(slot, func(e *keyspace.Entry) bool { keys = append(keys, []byte(e.Key())); return true })
	for _, k := range keys {
		n.db.Delete(k)
		n.propagate([][]byte{[]byte("DEL"), k})
	}
}

// syncFrom takes a replica.
func (cl *membership) syncFrom(c *conn, args [][]byte) {
	n := cl.n
	id, stream := string(args[2]), string(args[3])
	offset, ok := resp.ParseInt(args[4])
	_, shard, known := cl.cfg.Member(id)
	if string(args[1]) != cl.cfg.Cluster || !known || shard != cl.shard || id == cl.self.ID || !ok {
		c.refuse("ERR not a replica of this shard")
		return
	}
	if !cl.leading {
		c.refuse("ERR this node does not lead")
		return
	}
	for o, f := range n.replicas {
		if f.id == id && o != c {
			o.drop() // it is back before its old connection was missed
		}
	}
	f := &follower{id: id, acked: offset}
	if rest, ok := n.stream.Since(nil, stream, offset); ok {
		n.stats.PartSyncs++
		c.out.Status("CONTINUE " + n.stream.ID())
		c.out.B = append(c.out.B, rest...)
		n.note("replica", "%s goes on %s behind", id, size(int64(len(rest))))
	} else {
		n.stats.FullSyncs++
		b := n.snapshot()
		f.acked, f.behind = 0, len(b)
		c.out.Status("FULL " + n.stream.ID() + " " + strconv.FormatInt(n.stream.Offset(), 10))
		c.out.Bulk(b)
		n.note("replica", "%s is sent a snapshot of %d keys, %s", id, n.db.Len(), size(int64(len(b))))
	}
	n.replicas[c] = f
}

// ack notes how far a replica came.
func (cl *membership) ack(c *conn, arg []byte) {
	f := cl.n.replicas[c]
	offset, ok := resp.ParseInt(arg)
	if f == nil || !ok || offset < 0 || offset > cl.n.stream.Offset() {
		c.refuse("ERR not a replica")
		c.end()
		return
	}
	f.acked, f.behind = max(f.acked, offset), 0
	for w := range cl.waiting {
		if cl.reached(w.offset) >= w.replicas {
			w.answer()
		}
	}
}

// reached is how many replicas have come to an offset.
func (cl *membership) reached(offset int64) (replicas int) {
	for _, f := range cl.n.replicas {
		if f.acked >= offset {
			replicas++
		}
	}
	return replicas
}

// waiter is a client that waits for replicas.
type waiter struct {
	cl       *membership
	c        *conn
	offset   int64
	replicas int
	timer    *time.Timer
}

// wait answers WAIT: how many replicas have all that was written so far.
func (cl *membership) wait(c *conn, args [][]byte) {
	need, ok1 := resp.ParseInt(args[1])
	timeout, ok2 := resp.ParseInt(args[2])
	if !ok1 || !ok2 || timeout < 0 || need < 0 {
		c.refuse("ERR value is not an integer or out of range")
		return
	}
	w := &waiter{cl: cl, c: c, offset: cl.n.stream.Offset(), replicas: int(min(need, 1<<20))}
	if got := cl.reached(w.offset); got >= w.replicas {
		c.out.Int(int64(got))
		return
	}
	const longest = 24 * 3600 * 1000
	if timeout == 0 || timeout > longest {
		timeout = longest
	}
	c.blocked = true
	cl.waiting[w] = struct{}{}
	w.timer = time.AfterFunc(time.Duration(timeout)*time.Millisecond, func() { cl.n.do(w.answer) })
}

// answer ends the wait. The caller holds mu.
func (w *waiter) answer() {
	if _, there := w.cl.waiting[w]; !there {
		return
	}
	delete(w.cl.waiting, w)
	w.timer.Stop()
	w.c.out.Int(int64(w.cl.reached(w.offset)))
	w.c.unblock()
}

// source is the leader that a replica follows.
type source struct {
	cl   *membership
	from Member
	once sync.Once
	done chan struct{}

	mu sync.Mutex
	nc net.Conn // guarded by mu

	synced bool     // guarded by Node.mu: the keys are those of the leader some moments ago
	open   [][]byte // of a transaction that is not whole: its commands, encoded
	inTx   bool
}

// follow begins to copy a leader. The caller holds mu.
func (cl *membership) follow(m Member) {
	s := &source{cl: cl, from: m, done: make(chan struct{})}
	cl.source = s
	cl.n.wg.Go(s.run)
}

func (s *source) stop() {
	s.once.Do(func() { close(s.done) })
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.nc != nil {
		s.nc.Close()
	}
}

func (s *source) stopped() bool {
	select {
	case <-s.done:
		return true
	case <-s.cl.n.done:
		return true
	default:
		return false
	}
}

// run connects again and again until another leader is followed.
func (s *source) run() {
	for !s.stopped() {
		if err := s.session(); err != nil && !s.stopped() {
			s.cl.n.o.Logger.Debug("cachecluster: replication", "node", s.cl.self.ID, "from", s.from.ID, "err", err)
		}
		s.cl.n.do(func() { s.synced, s.open, s.inTx = false, nil, false })
		select {
		case <-s.done:
		case <-s.cl.n.done:
		case <-time.After(min(s.cl.cfg.timeout()/10, 100*time.Millisecond)):
		}
	}
}

// dead is how long a leader may say nothing.
const dead = 10 * time.Second

var errStream = errors.New("server: bad replication stream")

func (s *source) session() error {
	nc, err := net.DialTimeout("tcp", s.from.Addr, s.cl.cfg.timeout())
	if err != nil {
		return err
	}
	defer nc.Close()
	s.mu.Lock()
	s.nc = nc
	s.mu.Unlock()
	if s.stopped() {
		return nil
	}
	n := s.cl.n
	var out resp.Buffer
	n.mu.Lock()
	id, offset := n.stream.ID(), n.stream.Offset()
	if s.cl.blank {
		id = ""
	}
	n.mu.Unlock()
	out.Command([]byte("SYNCFROM"), []byte(s.cl.cfg.Cluster), []byte(s.cl.self.ID), []byte(id), strconv.AppendInt(nil, offset, 10))
	nc.SetDeadline(time.Now().Add(dead))
	if _, err := nc.Write(out.B); err != nil {
		return err
	}
	br := bufio.NewReaderSize(nc, 64<<10)
	line, err := br.ReadSlice('\n')
	if err != nil {
		return err
	}
	words := strings.Fields(string(line))
	switch {
	case len(words) == 2 && words[0] == "+CONTINUE" && len(words[1]) <= 64:
		err = s.apply(func() error { n.stream.Rename(words[1]); return nil })
	case len(words) == 3 && words[0] == "+FULL":
		err = s.full(nc, br, words[1], words[2])
	default:
		err = fmt.Errorf("%w: %q", errStream, clip(line))
	}
	if err != nil {
		return err
	}
	return s.stream(nc, br)
}

// apply runs f in a turn, unless this leader is not followed any more.
func (s *source) apply(f func() error) (err error) {
	s.cl.n.do(func() {
		if s.cl.source != s {
			err = errGone
			return
		}
		err = f()
		s.synced = err == nil
	})
	return err
}

// full takes a snapshot.
func (s *source) full(nc net.Conn, br *bufio.Reader, id, at string) error {
	offset, err := strconv.ParseInt(at, 10, 64)
	if err != nil || offset < 0 || len(id) > 64 {
		return fmt.Errorf("%w: %q", errStream, at)
	}
	line, err := br.ReadSlice('\n')
	if err != nil {
		return err
	}
	length, err := strconv.ParseInt(strings.TrimSpace(strings.TrimPrefix(string(line), "$")), 10, 64)
	if err != nil || length < 0 {
		return fmt.Errorf("%w: %q", errStream, clip(line))
	}
	var b bytes.Buffer
	for left := length + 2; left > 0; {
		nc.SetReadDeadline(time.Now().Add(dead))
		k, err := io.CopyN(&b, br, min(left, 1<<20))
		if err != nil {
			return err
		}
		left -= k
	}
	n := s.cl.n
	return s.apply(func() error {
		n.db.Clear()
		s.cl.blank = true
		m, err := snapshot.Read(io.LimitReader(&b, length), n.db)
		if err != nil || m.ID != id || m.Offset != offset {
			n.db.Clear()
			return fmt.Errorf("%w: snapshot: %w", errStream, err)
		}
		s.cl.blank = false
		n.stream.Follow(id, offset)
		n.note("replica", "has a copy of %s: %d keys", s.from.ID, n.db.Len())
		return nil
	})
}

// stream carries out what the leader does.
func (s *source) stream(nc net.Conn, br *bufio.Reader) error {
	n := s.cl.n
	p := resp.NewParser(n.o.Limits)
	var out resp.Buffer
	for {
		acked := int64(0)
		err := s.apply(func() error {
			for {
				args, _, err := p.Next()
				if err != nil || args == nil {
					acked = n.stream.Offset()
					return err
				}
				if err := s.command(args); err != nil {
					return err
				}
			}
		})
		if err != nil {
			return err
		}
		out.B = out.B[:0]
		out.Command([]byte("SYNCACK"), strconv.AppendInt(nil, acked, 10))
		nc.SetDeadline(time.Now().Add(dead))
		if _, err := nc.Write(out.B); err != nil {
			return err
		}
		k, err := br.Read(p.Space())
		if err != nil {
			return err
		}
		p.Filled(k)
	}
}

// command carries out one command of the stream, or keeps it until its transaction is
// whole.
func (s *source) command(args [][]byte) error {
	var enc resp.Buffer
	enc.Command(args...)
	switch string(args[0]) {
	case "MULTI":
		s.inTx, s.open = true, [][]byte{enc.B}
		return nil
	case "EXEC":
		for _, b := range s.open {
			p := resp.NewParser(s.cl.n.o.Limits)
			for rest := b; len(rest) > 0; {
				k := copy(p.Space(), rest)
				p.Filled(k)
				rest = rest[k:]
			}
			cmd, _, err := p.Next()
			if err != nil {
				return err
			}
			s.replay(b, cmd)
		}
		s.inTx, s.open = false, nil
		s.replay(enc.B, args)
		return nil
	}
	if s.inTx {
		s.open = append(s.open, enc.B)
		return nil
	}
	s.replay(enc.B, args)
	return nil
}

// replay carries out a command and counts its bytes as done.
func (s *source) replay(enc []byte, args [][]byte) {
	n := s.cl.n
	n.stream.Append(enc)
	spec := n.table[string(args[0])]
	switch {
	case spec == nil:
	case spec.Name == "CLUSTER":
		s.cl.replay(args)
	case spec.Run != nil && spec.Fits(len(args)):
		var discard resp.Buffer
		n.run(&discard, spec, args)
	}
}

// inSync tells whether a replica's keys are those of its leader some moments ago.
func (cl *membership) inSync() bool { return cl.source != nil && cl.source.synced }

// size is a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f kB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d bytes", n)
}
