package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// net of nodes that know each other's addresses.
type nodes struct {
	mu    sync.Mutex
	addrs map[string]string // guarded by mu
}

func (n *nodes) resolve(peer string) (string, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a, ok := n.addrs[peer]
	return a, ok
}

type message struct {
	peer string
	body string
}

// node is a transport with what it received and what came back.
type node struct {
	*Transport
	in, back chan message
}

func (n *nodes) start(t *testing.T, id string, edit ...func(*Options)) *node {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	x := &node{in: make(chan message, 1024), back: make(chan message, 1024)}
	o := Options{
		ID: id, Cluster: "test", Listener: l, Resolve: n.resolve,
		Receive:     func(from string, f []byte) { x.in <- message{from, string(f)} },
		Undelivered: func(to string, f []byte) { x.back <- message{to, string(f)} },
	}
	for _, e := range edit {
		e(&o)
	}
	x.Transport, err = New(o)
	require.NoError(t, err)
	n.mu.Lock()
	if n.addrs == nil {
		n.addrs = map[string]string{}
	}
	n.addrs[id] = l.Addr().String()
	n.mu.Unlock()
	t.Cleanup(func() { x.Close() })
	return x
}

func next(t *testing.T, c <-chan message) message {
	t.Helper()
	select {
	case m := <-c:
		return m
	case <-time.After(20 * time.Second):
		t.Fatal("nothing came within 20 s")
		return message{}
	}
}

func TestFramesArriveInOrder(t *testing.T) {
	var n nodes
	a, b := n.start(t, "a"), n.start(t, "b")
	for i := range 500 {
		require.NoError(t, a.Send("b", fmt.Append(nil, i)))
	}
	for i := range 500 {
		require.Equal(t, message{"a", fmt.Sprint(i)}, next(t, b.in))
	}
	require.NoError(t, b.Send("a", nil))
	require.Equal(t, message{"b", ""}, next(t, a.in))
	require.EqualValues(t, 500, a.Stats().Sent)
	require.EqualValues(t, 500, b.Stats().Received)
}

func TestLargeFrames(t *testing.T) {
	var n nodes
	a, b := n.start(t, "a"), n.start(t, "b")
	big := bytes.Repeat([]byte("x"), 5<<20)
	require.NoError(t, a.Send("b", big))
	require.Equal(t, string(big), next(t, b.in).body)
	require.ErrorIs(t, a.Send("b", make([]byte, 20<<20+1)), ErrTooLarge)
}

// What cannot have been sent comes back: to nobody, to a closed port, to a stranger.
func TestUndelivered(t *testing.T) {
	var n nodes
	a := n.start(t, "a")
	require.NoError(t, a.Send("nobody", []byte("1")))
	require.Equal(t, message{"nobody", "1"}, next(t, a.back))

	b := n.start(t, "b")
	require.NoError(t, b.Close())
	require.NoError(t, a.Send("b", []byte("2")))
	require.Equal(t, message{"b", "2"}, next(t, a.back))

	n.start(t, "c")
	n.mu.Lock()
	n.addrs["d"] = n.addrs["c"]
	n.mu.Unlock()
	require.NoError(t, a.Send("d", []byte("3")))
	require.Equal(t, message{"d", "3"}, next(t, a.back))

	n.start(t, "e", func(o *Options) { o.Cluster = "another" })
	require.NoError(t, a.Send("e", []byte("4")))
	require.Equal(t, message{"e", "4"}, next(t, a.back))
	require.EqualValues(t, 4, a.Stats().Undelivered)
}

func TestFullQueueGivesBack(t *testing.T) {
	var n nodes
	hold := make(chan struct{})
	a := n.start(t, "a", func(o *Options) { o.MaxQueue = 1 << 20 })
	n.start(t, "b", func(o *Options) { o.Receive = func(string, []byte) { <-hold } })
	t.Cleanup(func() { close(hold) }) // runs before b's Close, which waits for Receive
	frame := make([]byte, 256<<10)
	for range 400 { // more than the queue and the kernel's buffers hold together
		require.NoError(t, a.Send("b", frame))
		if len(a.back) > 0 {
			return
		}
	}
	t.Fatal("100 MiB were queued under a bound of 1 MiB")
}

// After a peer restarts, on another port, frames reach it again.
func TestPeerRestarts(t *testing.T) {
	var n nodes
	a, b := n.start(t, "a"), n.start(t, "b")
	require.NoError(t, a.Send("b", []byte("1")))
	require.Equal(t, message{"a", "1"}, next(t, b.in))
	require.NoError(t, b.Close())
	require.NoError(t, b.Close())
	b = n.start(t, "b")
	// One frame may vanish into the dead connection; later ones must arrive.
	for i := 0; ; i++ {
		require.NoError(t, a.Send("b", fmt.Append(nil, i)))
		select {
		case m := <-b.in:
			require.Equal(t, "a", m.peer)
			return
		case <-a.back:
		case <-time.After(10 * time.Millisecond):
		}
		require.Less(t, i, 1000)
	}
}

func TestCut(t *testing.T) {
	var n nodes
	var cut atomic.Bool
	a := n.start(t, "a", func(o *Options) { o.Cut = func(peer string) bool { return cut.Load() && peer == "b" } })
	b := n.start(t, "b")
	require.NoError(t, a.Send("b", []byte("1")))
	require.Equal(t, "1", next(t, b.in).body)
	require.NoError(t, b.Send("a", []byte("2")))
	require.Equal(t, "2", next(t, a.in).body)

	cut.Store(true)
	a.Break("b")
	require.NoError(t, a.Send("b", []byte("3")))
	require.Equal(t, message{"b", "3"}, next(t, a.back), "outgoing")

	cut.Store(false)
	require.NoError(t, a.Send("b", []byte("4")))
	require.Equal(t, "4", next(t, b.in).body)
	require.Empty(t, a.in)
}

// Whatever a stranger sends, the node goes on.
func TestHostileCallers(t *testing.T) {
	var n nodes
	a, b := n.start(t, "a"), n.start(t, "b")
	addr, _ := n.resolve("b")
	hi := func(h hello) []byte { return appendHello(nil, h) }
	good := hi(hello{"test", "a", "b"})
	for name, in := range map[string][]byte{
		"silence":        nil,
		"other protocol": []byte("GET / HTTP/1.1\r\n\r\n"),
		"no name":        hi(hello{"test", "", "b"}),
		"own name":       hi(hello{"test", "b", "b"}),
		"other node":     hi(hello{"test", "a", "z"}),
		"other cluster":  hi(hello{"prod", "a", "b"}),
		"cut hello":      good[:6],
		"huge frame":     append(good[:len(good):len(good)], 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0),
		"bad checksum":   append(good[:len(good):len(good)], 1, 0, 0, 0, 1, 2, 3, 4, 'x'),
		"cut frame":      append(good[:len(good):len(good)], 9, 0, 0, 0, 1, 2, 3, 4, 'x'),
	} {
		c, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		require.NoError(t, c.SetDeadline(time.Now().Add(20*time.Second)))
		_, err = c.Write(in)
		require.NoError(t, err)
		_ = c.(*net.TCPConn).CloseWrite() // the node may have hung up already
		_, err = io.Copy(io.Discard, c)
		if err != nil && !errors.Is(err, net.ErrClosed) {
			var ne net.Error
			require.False(t, errors.As(err, &ne) && ne.Timeout(), "%s: the node does not hang up", name)
		}
		c.Close()
	}
	require.NoError(t, a.Send("b", []byte("still here")))
	require.Equal(t, message{"a", "still here"}, next(t, b.in))
	require.Empty(t, b.in)
}

func TestBadOptions(t *testing.T) {
	_, err := New(Options{})
	require.ErrorIs(t, err, ErrOptions)
	var n nodes
	a := n.start(t, "a")
	o := a.o
	o.MaxFrame = -1
	_, err = New(o)
	require.ErrorIs(t, err, ErrOptions)
	o.MaxFrame, o.ID = 0, string(make([]byte, 256))
	_, err = New(o)
	require.ErrorIs(t, err, ErrOptions)
	require.NoError(t, a.Close())
	require.ErrorIs(t, a.Send("b", nil), ErrClosed)
}

func FuzzReadFrame(f *testing.F) {
	var buf bytes.Buffer
	if err := writeFrame(&buf, []byte("hello")); err != nil {
		f.Fatal(err)
	}
	f.Add(buf.Bytes())
	f.Add([]byte{0xff, 0xff, 0xff, 0x7f, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, in []byte) {
		frame, err := readFrame(bytes.NewReader(in), 1<<20)
		if err != nil {
			return
		}
		var out bytes.Buffer
		if err := writeFrame(&out, frame); err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(in, out.Bytes()) {
			t.Fatalf("%x reads as %x", in, frame)
		}
	})
}

func FuzzReadHello(f *testing.F) {
	f.Add(appendHello(nil, hello{"c", "a", "b"}))
	f.Fuzz(func(t *testing.T, in []byte) {
		h, err := readHello(bytes.NewReader(in))
		if err != nil {
			return
		}
		if out := appendHello(nil, h); !bytes.HasPrefix(in, out) {
			t.Fatalf("%x reads as %+v", in, h)
		}
	})
}

func BenchmarkSend(b *testing.B) {
	for _, size := range []int{100, 10 << 10} {
		b.Run(fmt.Sprintf("%dB", size), func(b *testing.B) {
			got := make(chan struct{}, 1<<16)
			la, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(b, err)
			lb, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(b, err)
			resolve := func(string) (string, bool) { return lb.Addr().String(), true }
			x, err := New(Options{ID: "a", Listener: la, Resolve: resolve, Receive: func(string, []byte) {}})
			require.NoError(b, err)
			defer x.Close()
			y, err := New(Options{ID: "b", Listener: lb, Resolve: resolve, Receive: func(string, []byte) { got <- struct{}{} }})
			require.NoError(b, err)
			defer y.Close()
			frame := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			inflight := 0
			for b.Loop() {
				if err := x.Send("b", frame); err != nil {
					b.Fatal(err)
				}
				if inflight++; inflight == 256 {
					<-got
					inflight--
				}
			}
		})
	}
}
