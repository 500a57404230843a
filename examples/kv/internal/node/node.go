package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cespare/xxhash/v2"

	"github.com/ashlar-go/ashlar/examples/internal/cluster"
	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
	"github.com/ashlar-go/ashlar/examples/kv/internal/core"
	"github.com/ashlar-go/ashlar/examples/kv/internal/transport"
	"github.com/ashlar-go/ashlar/lsm"
)

// Options of a node.
type Options struct {
	Config *Config // required
	ID     string  // which of its nodes this is; required
	Dir    string  // of its data; made if it is not there; required

	Peer   net.Listener           // where peers connect; nil: the address in Config
	Cut    func(peer string) bool // true: nothing goes to or comes from a peer; for stories and tests; nil: never
	Event  func(Event)            // something happened; must not block; nil: nobody cares
	Logger *slog.Logger           // nil: silent

	FS    lsm.FS        // where files live (the operating system)
	Probe time.Duration // between two probes of the failure detector (1 s)
	Tune  func(*core.Options)
}

// Event is something that an operator may want to see.
type Event struct {
	At   time.Time `json:"at"`
	Node string    `json:"node"`
	Peer string    `json:"peer,omitempty"` // whom it is about, if not the node
	Text string    `json:"text"`
}

// Bounds of what a node holds in memory for others.
const (
	maxFrame   = 128 << 20 // bytes of a message: an object may have several siblings of 16 MiB
	maxQueue   = 256 << 20 // bytes that wait for a peer
	maxMailbox = 64 << 20  // bytes that wait for the loop
	tick       = 25 * time.Millisecond
)

var errClosed = fmt.Errorf("%w", api.ErrClosed)

// Node is one running node. It is safe for concurrent use.
type Node struct {
	o         Options
	self      Member
	log       *slog.Logger
	machine   *core.Node
	store     *store
	box       *mailbox
	transport *transport.Transport
	members   *cluster.Cluster
	latency   latencies
	started   time.Time
	lastID    atomic.Uint64

	stop    chan struct{} // the loop is to end
	stopped chan struct{} // it has
	once    sync.Once
	err     error

	// Of the loop alone.
	pending  map[uint64]chan<- *core.Done
	clock    clock
	saidLast map[string]time.Time
	mu       sync.Mutex
	events   []Event // guarded by mu: the latest
}

// Open starts a node on its directory.
func Open(o Options) (_ *Node, err error) {
	if o.Config == nil || o.Dir == "" {
		return nil, fmt.Errorf("%w: Config and Dir are required", ErrConfig)
	}
	self, ok := o.Config.Member(o.ID)
	if !ok {
		return nil, fmt.Errorf("%w: there is no node %q in cluster %s", ErrConfig, o.ID, o.Config.Cluster)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Cut == nil {
		o.Cut = func(string) bool { return false }
	}
	if o.Event == nil {
		o.Event = func(Event) {}
	}
	n := &Node{
		o: o, self: self, log: o.Logger.With("node", o.ID), box: newMailbox(maxMailbox), started: time.Now(),
		stop: make(chan struct{}), stopped: make(chan struct{}), pending: map[uint64]chan<- *core.Done{}, saidLast: map[string]time.Time{},
	}
	n.clock.start(n.started)
	var undo []func() error
	defer func() {
		if err != nil {
			for _, f := range slices.Backward(undo) {
				f()
			}
		}
	}()
	if o.Peer == nil {
		if o.Peer, err = net.Listen("tcp", self.Peer); err != nil {
			return nil, fmt.Errorf("kv: %w", err)
		}
	}
	undo = append(undo, o.Peer.Close)
	db, err := lsm.Open(o.Dir, lsm.Options{FS: o.FS, Logger: n.log, MemtableSize: 32 << 20})
	if err != nil {
		return nil, err
	}
	n.store = openStore(db, func(token uint64) { n.box.put(mail{event: core.Durable{Token: token}}) }, n.log)
	undo = append(undo, n.store.Close)
	if err := n.openMachine(); err != nil {
		return nil, err
	}
	n.transport, err = transport.New(transport.Options{
		ID: o.ID, Cluster: o.Config.Cluster, Listener: o.Peer, Resolve: n.resolve, Receive: n.receive, Undelivered: n.undelivered,
		Cut: o.Cut, MaxFrame: maxFrame, MaxQueue: maxQueue, Logger: n.log,
	})
	if err != nil {
		return nil, err
	}
	undo = append(undo, n.transport.Close)
	if err := n.join(); err != nil {
		return nil, err
	}
	go n.loop()
	return n, nil
}

func (n *Node) openMachine() error {
	table, err := n.o.Config.Table()
	if err != nil {
		return err
	}
	o := core.Options{
		ID: n.o.ID, Table: table, Store: n.store, Rand: rand.Reader, Secret: []byte(n.o.Config.Secret),
		TreeSeed: [2]uint64{xxhash.Sum64String(n.o.Config.Cluster), xxhash.Sum64String(n.o.Config.Secret)},
	}
	if n.o.Tune != nil {
		n.o.Tune(&o)
	}
	n.machine, err = core.New(o, n.clock.now(time.Now()))
	return err
}

// join starts the failure detector.
func (n *Node) join() (err error) {
	byAddr := map[string]string{}
	var peers []string
	for _, m := range n.o.Config.Nodes {
		if m.ID != n.o.ID {
			byAddr[m.Gossip] = m.ID
			peers = append(peers, m.Gossip)
		}
	}
	n.members, err = cluster.Open(cluster.Options{
		ID: n.o.ID, Bind: n.self.Gossip, Peers: peers, ProbeInterval: n.o.Probe, Logger: n.log,
		OnChange: func(m cluster.Member) {
			if m.ID != n.o.ID {
				n.box.put(mail{event: core.Alive{Peer: m.ID, Up: m.Alive}})
			}
		},
		OnConflict: func(known, claimant cluster.Member) {
			n.box.put(mail{call: func() {
				n.say(core.Note{Peer: known.ID, Text: fmt.Sprintf("two nodes have this name: %s and %s", known.Addr, claimant.Addr)})
			}})
		},
		Cut: func(addr string) bool { return n.o.Cut(byAddr[addr]) },
	})
	return err
}

func (n *Node) resolve(peer string) (string, bool) {
	m, ok := n.o.Config.Member(peer)
	return m.Peer, ok
}

// receive takes a frame from a peer. That the mailbox is full holds up the peer.
func (n *Node) receive(from string, frame []byte) {
	m, err := core.ParseMessage(frame)
	if err != nil {
		n.box.put(mail{call: func() { n.say(core.Note{Peer: from, Text: "sends what is no message: " + err.Error()}) }})
		return
	}
	n.box.wait(context.Background(), mail{event: core.Received{From: from, Message: m}, size: len(frame)})
}

func (n *Node) undelivered(to string, frame []byte) {
	if m, err := core.ParseMessage(frame); err == nil {
		n.box.put(mail{event: core.Lost{To: to, Message: m}})
	}
}

// loop owns the machine.
func (n *Node) loop() {
	defer close(n.stopped)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	go func() {
		for {
			select {
			case <-ticker.C:
				n.box.put(mail{event: core.Tick{}})
			case <-n.stop:
				n.box.close()
				return
			}
		}
	}()
	var spare []mail
	synced := uint64(0) // the last token that the syncer was told of
	for {
		items, ok := n.box.take(spare)
		if !ok {
			return
		}
		for _, m := range items {
			if m.call != nil {
				m.call()
				continue
			}
			if r, ok := m.event.(core.Request); ok {
				n.pending[r.ID] = m.reply
			}
			n.step(m.event)
		}
		if token := n.store.token.Load(); token > synced {
			synced = token
			n.store.kick()
		}
		spare = items
	}
}

func (n *Node) step(e core.Event) {
	for _, out := range n.machine.Step(n.clock.now(time.Now()), e) {
		switch o := out.(type) {
		case *core.Send:
			n.send(o)
		case *core.Done:
			n.pending[o.ID] <- o // it has room for one
			delete(n.pending, o.ID)
		case *core.Note:
			n.say(*o)
		}
	}
}

func (n *Node) send(s *core.Send) {
	m := s.Message
	frame := m.Append(make([]byte, 0, len(m.Key)+len(m.Object)+len(m.Frame)+128))
	if err := n.transport.Send(s.To, frame); err != nil {
		if !errors.Is(err, transport.ErrClosed) {
			n.say(core.Note{Peer: s.To, Text: err.Error()})
		}
		n.box.put(mail{event: core.Lost{To: s.To, Message: m}})
	}
}

// quiet is for how long the same is not said again.
const quiet = time.Minute

// keptEvents are shown by Status.
const keptEvents = 50

// say logs a note, once.
func (n *Node) say(note core.Note) {
	now := time.Now()
	text := note.Peer + "\x00" + note.Text
	if now.Sub(n.saidLast[text]) < quiet && note.Text != "is in reach" && note.Text != "is out of reach" {
		return
	}
	if len(n.saidLast) > 1000 {
		clear(n.saidLast)
	}
	n.saidLast[text] = now
	n.log.Info("kv: "+note.Text, "peer", note.Peer)
	e := Event{At: now, Node: n.o.ID, Peer: note.Peer, Text: note.Text}
	n.mu.Lock()
	n.events = append(n.events, e)
	if len(n.events) > keptEvents {
		n.events = slices.Delete(n.events, 0, len(n.events)-keptEvents)
	}
	n.mu.Unlock()
	n.o.Event(e)
}

// inLoop calls f between two events.
func (n *Node) inLoop(f func()) error {
	done := make(chan struct{})
	if !n.box.put(mail{call: func() { f(); close(done) }}) {
		return errClosed
	}
	select {
	case <-done:
		return nil
	case <-n.stopped:
		return errClosed
	}
}

// Break closes the connections with a peer, so that a cut is at once.
func (n *Node) Break(peer string) { n.transport.Break(peer) }

// Close ends the node: requests under way fail, what was written is on disk.
func (n *Node) Close() error {
	n.once.Do(func() {
		close(n.stop)
		<-n.stopped
		n.err = errors.Join(n.members.Close(), n.transport.Close(), n.store.Close())
	})
	return n.err
}

// Self is the node's place in its configuration.
func (n *Node) Self() Member { return n.self }
