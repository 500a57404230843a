// Package server is one node: it takes connections, carries out their commands one after
// the other on a keyspace, and speaks with the other nodes of its cluster.
//
//	connections ─▶ parser ─▶ one lock ─▶ route (slots) ─▶ command ─▶ keyspace
//	                                                        └─▶ stream ─▶ replicas
//	other nodes ◀─▶ bus ─▶ failover.Machine, slots.Map
//
// All commands of a node run under one lock, as in Redis they run in one thread: each is
// atomic, and so is what is between MULTI and EXEC. What a connection sent in one piece is
// carried out in one turn, and its replies leave in one write.
package server

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/command"
	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/keyspace"
	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/replica"
	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/slots"
	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/snapshot"
	"github.com/ashlar-go/ashlar/examples/internal/resp"
)

// Options configure a node. Listener is required; the zero value of all else is a node by
// itself, without a bound and without a disk.
type Options struct {
	Listener net.Listener
	Cluster  *Config // nil: a node by itself
	ID       string  // which of the cluster's nodes this is
	Dir      string  // for snapshots and what must survive a restart; empty: nowhere
	Logger   *slog.Logger
	Event    func(Event) // told of what happens, outside locks; nil: nobody

	MaxMemory int64
	Policy    keyspace.Policy
	Seed      uint64

	Limits       resp.Limits
	ClientBuffer int // replies and messages that a client may leave unread (8 MiB)
	Backlog      int // bytes of the replication stream that are kept (1 MiB)

	Portable bool // a goroutine for each connection also where there is something faster
	Now      func() time.Time
}

// Event is something that happened to a node.
type Event struct {
	At   time.Time
	Node string
	Kind string // a word: "failover", "replica", "slots" …
	Text string
}

// replicaBuffer is how many bytes of the stream a replica may leave unread.
const replicaBuffer = 256 << 20

// ErrOptions is wrapped by errors about options that cannot be.
var ErrOptions = errors.New("server: bad options")

// Node is one node. It is safe for concurrent use.
type Node struct {
	o       Options
	begun   time.Time
	done    chan struct{}
	wg      sync.WaitGroup
	server  acceptor
	closing sync.Once

	mu       sync.Mutex
	db       *keyspace.DB                  // guarded by mu, and so is all below
	table    command.Table                 //
	ctx      command.Ctx                   // of the command that runs
	stream   *replica.Stream               // nil: a node by itself
	conns    map[*conn]struct{}            //
	pending  []*conn                       // have output that is not yet flushed
	channels map[string]map[*conn]struct{} //
	patterns map[string]map[*conn]struct{} //
	watched  map[string]map[*conn]struct{} //
	replicas map[*conn]*follower           //
	cluster  *membership                   // nil: a node by itself
	lastSave time.Time
	isSaving bool // a client has asked for a snapshot
	events   []Event
	closed   bool
	scratch  resp.Buffer
	stats    Stats
	nextID   int64
}

// Stats count what a node did.
type Stats struct {
	Commands    int64
	Connections int64
	Refused     int64 // commands
	Redirected  int64 // commands, by MOVED and ASK
	NetIn       int64 // bytes
	NetOut      int64
	FullSyncs   int64 // given
	PartSyncs   int64 // given
	Dropped     int64 // clients that did not read
}

// Open makes a node of a listener, which it closes, and of what it finds in its folder.
func Open(o Options) (*Node, error) {
	if o.Listener == nil {
		return nil, fmt.Errorf("%w: no listener", ErrOptions)
	}
	if o.ClientBuffer == 0 {
		o.ClientBuffer = 8 << 20
	}
	if o.Backlog == 0 {
		o.Backlog = 1 << 20
	}
	if o.ClientBuffer < 0 || o.Backlog < 0 {
		return nil, fmt.Errorf("%w: negative buffers", ErrOptions)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	n := &Node{
		o: o, begun: o.Now(), done: make(chan struct{}), table: command.NewTable(),
		conns: map[*conn]struct{}{}, channels: map[string]map[*conn]struct{}{}, patterns: map[string]map[*conn]struct{}{},
		watched: map[string]map[*conn]struct{}{}, replicas: map[*conn]*follower{},
	}
	ko := keyspace.Options{MaxMemory: o.MaxMemory, Policy: o.Policy, Seed: o.Seed, Expires: true, Gone: n.gone}
	if o.Cluster != nil {
		ko.SlotOf = slots.Of
	}
	var err error
	if n.db, err = keyspace.New(ko); err != nil {
		return nil, err
	}
	n.ctx = command.Ctx{DB: n.db}
	n.db.SetTime(o.Now().UnixMilli())
	meta := snapshot.Meta{}
	if o.Dir != "" {
		if err := os.MkdirAll(o.Dir, 0o755); err != nil {
			return nil, err
		}
		if meta, err = snapshot.ReadFile(n.dumpFile(), n.db); err != nil {
			return nil, err
		}
	}
	if o.Cluster != nil {
		n.stream = replica.New(newID(), o.Backlog)
		if meta.ID != "" {
			n.stream.Follow(meta.ID, meta.Offset)
		}
		if n.cluster, err = openMembership(n); err != nil {
			return nil, err
		}
	}
	if n.server, err = n.listen(); err != nil {
		return nil, err
	}
	n.wg.Go(n.cron)
	if n.cluster != nil {
		n.cluster.start()
	}
	return n, nil
}

// listen serves the listener in the way that suits the machine.
func (n *Node) listen() (acceptor, error) {
	if !n.o.Portable {
		if a, err := newLoop(n); a != nil || err != nil {
			return a, err
		}
	}
	return newAcceptor(n), nil
}

// newID is a name that nobody else has: 40 hexadecimal digits.
func newID() string {
	var b [20]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

func (n *Node) dumpFile() string { return filepath.Join(n.o.Dir, "dump.ashlar") }

// Addr is where clients reach the node.
func (n *Node) Addr() string { return n.o.Listener.Addr().String() }

// ID is the node's name in the configuration.
func (n *Node) ID() string { return n.o.ID }

// Close saves a snapshot, if there is a folder, and ends the node.
func (n *Node) Close() error {
	n.mu.Lock()
	open := !n.closed
	n.mu.Unlock()
	n.Kill()
	if !open || n.o.Dir == "" {
		return nil
	}
	// Nothing runs any more, so that nothing is acknowledged that the snapshot does not hold.
	err := n.save()
	if err == nil && n.cluster != nil && !n.cluster.blank {
		err = n.cluster.save(true)
	}
	return err
}

// Kill ends the node as the loss of its process would: nothing is saved.
func (n *Node) Kill() {
	n.closing.Do(func() {
		n.mu.Lock()
		n.closed = true
		n.mu.Unlock()
		close(n.done)
		n.server.close()
		if n.cluster != nil {
			n.cluster.stop()
		}
	})
	n.wg.Wait()
}

// save writes a snapshot.
func (n *Node) save() error {
	if n.o.Dir == "" {
		return fmt.Errorf("%w: no folder to save to", ErrOptions)
	}
	n.mu.Lock()
	b := n.snapshot()
	n.mu.Unlock()
	if err := snapshot.WriteFile(n.dumpFile(), b); err != nil {
		return err
	}
	n.mu.Lock()
	n.lastSave = n.o.Now()
	n.mu.Unlock()
	return nil
}

// snapshot is the keyspace as bytes. The caller holds mu.
func (n *Node) snapshot() []byte {
	m := snapshot.Meta{}
	if n.stream != nil {
		m = snapshot.Meta{ID: n.stream.ID(), Offset: n.stream.Offset()}
	}
	return snapshot.Append(make([]byte, 0, n.db.Used()+n.db.Used()/8), n.db, m)
}

// cron does what is due whether or not anybody asks for something.
func (n *Node) cron() {
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-n.done:
			return
		case <-t.C:
		}
		n.do(func() {
			n.db.Sweep()
			n.heartbeat()
		})
	}
}

// do runs f in a turn of its own: under the lock, at the present time, with what it wrote
// to any connection sent at its end, and what happened told.
func (n *Node) do(f func()) {
	n.mu.Lock()
	if n.closed {
		n.mu.Unlock()
		return
	}
	n.db.SetTime(n.o.Now().UnixMilli())
	f()
	n.endTurn()
	events := n.events
	n.events = nil
	n.mu.Unlock()
	n.tell(events)
}

func (n *Node) tell(events []Event) {
	if n.o.Event != nil {
		for _, e := range events {
			n.o.Event(e)
		}
	}
}

// endTurn flushes what a turn wrote to other connections than its own.
func (n *Node) endTurn() {
	for i, c := range n.pending {
		c.queued = false
		c.flush()
		n.pending[i] = nil
	}
	n.pending = n.pending[:0]
}

// note keeps an event until the turn ends. The caller holds mu.
func (n *Node) note(kind, format string, args ...any) {
	e := Event{At: n.o.Now(), Node: n.o.ID, Kind: kind, Text: fmt.Sprintf(format, args...)}
	n.events = append(n.events, e)
	n.o.Logger.Info("cachecluster: "+kind, "node", n.o.ID, "what", e.Text)
}

// gone replicates that a key left by itself.
func (n *Node) gone(key string, _ bool) {
	n.touchWatched(key)
	n.propagate([][]byte{[]byte("DEL"), []byte(key)})
}

// Stats are counts since the start.
func (n *Node) Stats() Stats {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.stats
}
