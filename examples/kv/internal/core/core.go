// Package core is a node of the store without its surroundings: no socket, no disk, no
// clock, no goroutine, no randomness but what is passed in. A Node is a machine that one
// goroutine steps:
//
//	            ┌──────────────────────────────┐
//	Request ───▶│ coordinator   one op a request│───▶ Send    a message to a peer
//	Received ──▶│ replica       objects, hints  │───▶ Done    the answer to a request
//	Lost ──────▶│ repair        trees, sessions │
//	Durable ───▶│ links         who is reachable│◀──▶ Store   visible at once, durable later
//	Tick ──────▶└──────────────────────────────┘
//
// The same inputs give the same outputs, so that a whole cluster can be run in one
// goroutine from a seed; see the package sim next door.
//
// # What it keeps
//
//   - A value leaves a replica only by a write that saw it. Replicas are told to merge,
//     never to overwrite.
//   - A dot (actor, counter) is given to one write, once. The actor is drawn anew when a
//     process starts and when it finds that it cannot read what it wrote.
//   - An acknowledgement is sent when the write is durable, and so is the answer to a
//     read: nobody is told of what a power cut could still take back.
//   - "I cannot read it" is never reported as "it is not there".
//   - A tombstone goes when every owner has held exactly it for so long that nothing
//     older can be left in a message, in a hint or in the memory of a coordinator.
//
// # Time
//
// Safety needs two bounds, and neither trusts a wall clock. An op ends by its node's own
// monotonic clock, before anything else is handled. And every message repeats the newest
// stamp its sender has had from the receiver: a receiver that finds a stamp older than
// Options.Lifetime on its own monotonic clock, or of an earlier tenure, refuses the
// message, however long it was held up. The wall clock only ages values with a time to
// live and breaks ties for display.
package core

import (
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/cespare/xxhash/v2"

	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
	"github.com/ashlar-go/ashlar/ring"
	"github.com/ashlar-go/ashlar/vclock"
)

// Time is now, by two clocks, in milliseconds.
type Time struct {
	Mono int64 // never steps back while the process lives; any origin
	Wall int64 // Unix time; may be wrong
}

// Store is the node's disk. It is called by the goroutine that steps the node.
type Store interface {
	// Get returns the value of a key, nil if there is none. The node may keep it.
	Get(key []byte) ([]byte, error)
	// Scan yields the entries whose keys begin with prefix and are greater than after
	// (nil: all), in order. An entry is valid until the next.
	Scan(prefix, after []byte) iter.Seq2[Entry, error]
	// Apply makes all of the writes visible at once, or none and returns an error. They
	// are durable when a Durable event with this token, or a greater one, has come; token
	// 0 says that they are, as far as this store goes. Tokens never fall.
	Apply(writes ...Entry) (token uint64, err error)
	// Writable returns why an Apply would fail now, or nil. It is asked before work that
	// would be in vain.
	Writable() error
}

// Entry is a key and its value; in Apply, no value deletes the key.
type Entry struct{ Key, Value []byte }

// Options configures a Node. Times are milliseconds.
type Options struct {
	ID     string      // this node, a member of the table
	Table  *ring.Table // who owns what
	Store  Store
	Rand   io.Reader // for actors, tenures and secrets' use; crypto/rand.Reader outside of tests
	Secret []byte    // authenticates contexts that clients hand back; the same on all nodes

	Timeout    int64 // of a request that names none (5 s)
	MaxTimeout int64 // of any request (30 s)
	Linger     int64 // how long a coordinator waits for the last replicas after it answered (1 s)
	Lifetime   int64 // of a message (10 s)
	Hedge      int64 // how long a read waits for the R owners that it asked before it asks the others (10)
	Survey     int64 // one read in so many asks every owner at once (16; 1: all do)
	Ping       int64 // between two stamps to each peer (500)
	Exchange   int64 // between two comparisons of the same partition with the same peer (5 s)
	Settle     int64 // how long a write is taken to be on its way to other owners (1 s)
	Sessions   int   // comparisons that run at once (4)
	HintBytes  int64 // that wait for one target; more is left to the comparison (64 MiB)
	Retention  int64 // of a tombstone that all agree on, at least 1.1 × (2 × Lifetime + MaxTimeout) (1 h)
	Siblings   int   // values of one key (100)
	ObjectSize int   // bytes of all siblings of one key (48 MiB)

	TreeSeed   [2]uint64 // of the comparison trees; the same on all nodes
	TreeLevels int       // (3)
}

// ErrOptions is matched by what New says about its options.
var ErrOptions = errors.New("kv: bad options")

// ErrNoSpace is matched by errors of Store.Apply for want of space.
var ErrNoSpace = errors.New("kv: no space")

func (o *Options) validate() error {
	if o.ID == "" || o.Table == nil || o.Store == nil || o.Rand == nil {
		return fmt.Errorf("%w: ID, Table, Store and Rand are required", ErrOptions)
	}
	for _, d := range []struct {
		p   *int64
		def int64
	}{
		{&o.Timeout, 5_000},
		{&o.MaxTimeout, 30_000},
		{&o.Linger, 1_000},
		{&o.Lifetime, 10_000},
		{&o.Hedge, 10},
		{&o.Survey, 16},
		{&o.Ping, 500},
		{&o.Exchange, 5_000},
		{&o.Settle, 1_000},
		{&o.HintBytes, 64 << 20},
		{&o.Retention, 3_600_000},
	} {
		if *d.p < 0 {
			return fmt.Errorf("%w: negative limit", ErrOptions)
		}
		if *d.p == 0 {
			*d.p = d.def
		}
	}
	o.Timeout = min(o.Timeout, o.MaxTimeout)
	o.Retention = max(o.Retention, (2*o.Lifetime+o.MaxTimeout)*11/10) // a tenth for clocks that differ
	if o.Sessions <= 0 {
		o.Sessions = 4
	}
	if o.Siblings <= 0 {
		o.Siblings = 100
	}
	if o.ObjectSize <= 0 {
		o.ObjectSize = 48 << 20
	}
	if o.TreeLevels <= 0 {
		o.TreeLevels = 3
	}
	return nil
}

// Event is what a Node is stepped with.
type Event interface{ event() }

// Action is what a client asks for.
type Action uint8

// The actions.
const (
	Get Action = iota
	Put
	Delete
	Scan
)

// Request is a client's. The node answers it by exactly one Done with its ID.
type Request struct {
	ID      uint64
	Action  Action
	Key     []byte // of a Scan, the prefix
	Value   []byte
	Read    api.ReadOptions
	Write   api.WriteOptions
	Scan    api.ScanOptions
	Timeout int64 // milliseconds; 0: Options.Timeout
}

// Received is a message from a peer.
type Received struct {
	From    string
	Message *Message
}

// Lost returns a message that was surely not delivered.
type Lost struct {
	To      string
	Message *Message
}

// Durable reports that all writes up to a token are.
type Durable struct{ Token uint64 }

// Alive is the opinion of a failure detector. Peers are alive until one says otherwise;
// one that is alive must also be heard of to count as up.
type Alive struct {
	Peer string
	Up   bool
}

// Tick lets time pass; one every 20 to 100 ms.
type Tick struct{}

func (Request) event()  {}
func (Received) event() {}
func (Lost) event()     {}
func (Durable) event()  {}
func (Alive) event()    {}
func (Tick) event()     {}

// Send is a message to be sent; it may be lost, doubled, held up or overtaken.
type Send struct {
	To      string
	Message *Message
}

// Done is the answer to a request: one of the three results, or an error that matches
// one of api's.
type Done struct {
	ID      uint64
	Read    *api.Read
	Written *api.Written
	Page    *api.Page
	Err     error
}

// Note is something that an operator may want to know. Nothing depends on it.
type Note struct {
	Peer string // whom it is about; empty: this node
	Text string
}

// Output is what a Step asks of its caller: *Send, *Done or *Note.
type Output any

// Node is one node's machine. It is not safe for concurrent use.
type Node struct {
	o       Options
	now     Time
	epoch   uint64 // of the table; see epochOf
	tenure  uint64 // this run of the process, to peers
	out     []Output
	members []string // all, sorted
	parts   []*partition

	actor   vclock.Actor // of this tenure
	counter uint64       // the last dot given to a write

	ops     map[uint64]*op
	expiry  expiryHeap
	lastOp  uint64
	hedges  []hedge // by time
	peers   map[string]*peer
	gen     uint64          // number of this start of the directory; see links.go
	fresh   bool            // it may have lost what it once held; see links.go
	named   map[string]bool // peers that have gen on disk as ours
	fences  fences
	hints   map[string]*hintQueue
	repair  repairer
	forward map[forwardID]int64 // forwards taken, until when they are remembered
	coming  map[uint64]int64    // digests of offers that were accepted, until when they are waited for
	stats   Stats
}

// New makes a node from what its store holds, which it reads through. It draws an actor
// of its own.
func New(o Options, now Time) (*Node, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	n := &Node{
		o: o, now: now, epoch: epochOf(o.Table), ops: map[uint64]*op{}, peers: map[string]*peer{}, named: map[string]bool{},
		hints: map[string]*hintQueue{}, forward: map[forwardID]int64{}, coming: map[uint64]int64{},
	}
	n.fences.dirty = map[string]uint64{}
	self := false
	for _, m := range o.Table.Nodes() {
		n.members = append(n.members, m.ID)
		if m.ID == o.ID {
			self = true
		} else {
			n.peers[m.ID] = &peer{alive: true}
		}
	}
	if !self {
		return nil, fmt.Errorf("%w: %s is not in the table", ErrOptions, o.ID)
	}
	var err error
	if n.tenure, err = n.draw(); err != nil {
		return nil, err
	}
	if err := n.newActor(); err != nil {
		return nil, err
	}
	if err := n.load(); err != nil {
		return nil, err
	}
	return n, nil
}

// draw is a random number other than 0.
func (n *Node) draw() (uint64, error) {
	a, err := vclock.NewActor(n.o.Rand)
	return uint64(a), err
}

// newActor ends a tenure: dots given so far stay, none follows them.
func (n *Node) newActor() (err error) {
	if planted(BugKeepActor) {
		n.actor, n.counter = vclock.Actor(len(n.o.ID)*1000+int(n.o.ID[len(n.o.ID)-1])), 0
		return nil
	}
	n.actor, err = vclock.NewActor(n.o.Rand)
	n.counter = 0
	return err
}

// Step handles one event and returns what is to be done about it. The slice is the
// caller's until the next Step. Time must not step back.
func (n *Node) Step(now Time, e Event) []Output {
	now.Mono = max(now.Mono, n.now.Mono)
	n.now, n.out = now, n.out[:0]
	// First of all, what is over is over: a process that was frozen must not go on with
	// what it knew before.
	n.expire()
	n.overdue()
	switch e := e.(type) {
	case Request:
		n.request(e)
	case Received:
		n.receive(e.From, e.Message)
	case Lost:
		n.undelivered(e.To, e.Message)
	case Durable:
		n.durable(e.Token)
	case Alive:
		n.setAlive(e.Peer, e.Up)
	case Tick:
		n.tick()
	}
	return n.out
}

func (n *Node) done(d Done) { n.out = append(n.out, &d) }

func (n *Node) note(peer, format string, a ...any) {
	n.out = append(n.out, &Note{Peer: peer, Text: fmt.Sprintf(format, a...)})
}

// epochOf is the table's epoch with a fingerprint of the table in the lower half: two
// tables that differ under one epoch are a mistake in somebody's configuration, and must
// not meet.
func epochOf(t *ring.Table) uint64 {
	b, _ := t.AppendBinary(nil) // the error is always nil
	return t.Epoch()<<32 | xxhash.Sum64(b)&(1<<32-1)
}

func (n *Node) request(r Request) {
	switch r.Action {
	case Get:
		n.get(r)
	case Put, Delete:
		n.write(r)
	case Scan:
		n.scan(r)
	default:
		n.done(Done{ID: r.ID, Err: fmt.Errorf("%w: action %d", ErrMalformed, r.Action)})
	}
}

// receive judges a message by what holds for all kinds and hands it to its kind.
func (n *Node) receive(from string, m *Message) {
	p := n.peers[from]
	if p == nil || m == nil {
		n.stats.Refused++
		return
	}
	if !n.stamped(from, p, m) {
		return
	}
	switch {
	case m.Reply && m.Kind == Ping:
		n.ponged(from, m)
		return
	case m.Reply:
		n.answered(from, m)
		return
	}
	if m.Epoch != n.epoch {
		n.note(from, "has another partition table (epoch %d, ours %d) or other settings", m.Epoch>>32, n.epoch>>32)
		n.refuse(from, m, WrongEpoch)
		return
	}
	switch m.Kind {
	case Ping:
		n.pinged(from, m)
		return
	case Page:
		n.page(from, m)
		return
	}
	if m.Partition >= len(n.parts) {
		n.refuse(from, m, Malformed)
		return
	}
	part := n.parts[m.Partition]
	switch m.Kind {
	case Read, Merge, Forward:
		if len(m.Key) == 0 || len(m.Key) > api.MaxKey || n.o.Table.PartitionOf(m.Key) != m.Partition {
			n.refuse(from, m, Malformed)
			return
		}
		if !part.mine {
			n.refuse(from, m, NotOwner)
			return
		}
		switch m.Kind {
		case Read:
			n.readAt(from, m, part)
		case Merge:
			n.mergeAt(from, m, part)
		case Forward:
			n.forwarded(from, m, part)
		}
	case Exchange:
		n.exchanged(from, m, part)
	case Vote:
		n.vote(from, m, part)
	case Drop:
		n.drop(from, m, part)
	case StoreHint:
		n.storeHint(from, m, part)
	}
}

// reply answers a message: to the process that sent it, for the next one gives the same
// numbers to other ops.
func (n *Node) reply(to string, m *Message, r Message) {
	r.Kind, r.Reply, r.ID, r.Partition = m.Kind, true, m.ID, m.Partition
	r.ToTenure, r.Echo = m.Tenure, m.Stamp
	n.send(to, &r)
}

// refuse answers that nothing was done, and why.
func (n *Node) refuse(to string, m *Message, c Code) {
	n.stats.Refused++
	if !m.Reply {
		n.reply(to, m, Message{Code: c})
	}
}

// fail is the error for a code.
func fail(c Code, format string, a ...any) error {
	base := api.ErrUnavailable
	switch c {
	case Damaged:
		base = api.ErrDamaged
	case NoSpace:
		base = api.ErrNoSpace
	case Unknown:
		base = api.ErrUnknown
	case BadContext:
		base = api.ErrContext
	case Failed:
		base = api.ErrCondition
	case TooMany:
		base = api.ErrSiblings
	}
	if format == "" {
		return fmt.Errorf("%w (%v)", base, c)
	}
	return fmt.Errorf("%w: %s", base, fmt.Sprintf(format, a...))
}
