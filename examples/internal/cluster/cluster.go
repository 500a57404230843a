// Package cluster tells each node of a system which others are there. It is the only
// importer of memberlist (the SWIM protocol with Lifeguard's refinements).
//
// What it adds: members named by an identity that outlives their address, a rejoin
// loop, and a cut for stories and tests.
//
// The rejoin loop is not a nicety. memberlist forgets a dead member after
// GossipToTheDeadTime, so two halves of a network that was cut for longer never find
// each other again by themselves; the loop dials, for ever, every configured peer that
// is not alive.
//
// Ownership of data is not decided here. Gossip gives each node its own view, at its own
// time; a system derives liveness from it, never who stores what.
//
// SWIM: Das, Gupta, Motivala, "SWIM: Scalable Weakly-consistent Infection-style Process
// Group Membership Protocol", DSN 2002. Lifeguard: Dadgar, Phillips, Currey, DSN 2018.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"maps"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/hashicorp/memberlist"
)

// MaxMeta is the most bytes that a member may tell of itself.
const MaxMeta = memberlist.MetaMaxSize

var (
	// ErrOptions is matched by every error that the options cause.
	ErrOptions = errors.New("cluster: bad options")
	// ErrClosed is returned after Close.
	ErrClosed = errors.New("cluster: closed")
)

// Options configures Open.
type Options struct {
	ID    string   // this node's identity: unique, and the same after a restart; required
	Bind  string   // host:port for gossip, TCP and UDP ("127.0.0.1:0")
	Meta  []byte   // what others learn of this node, at most MaxMeta bytes
	Peers []string // gossip addresses of others; one that answers is enough

	ProbeInterval time.Duration // between two probes of a member (1 s); the other periods follow it
	Rejoin        time.Duration // between two attempts to reach peers that are not alive (2 s)

	OnChange   func(Member)                 // a member came, changed, or went; one call at a time
	OnConflict func(known, claimant Member) // two nodes use one ID; the claimant is not admitted
	Cut        func(addr string) bool       // true: nothing is sent to this gossip address; nil: never
	Logger     *slog.Logger                 // nil: silent
}

// Member is one node as this one sees it.
type Member struct {
	ID    string
	Addr  string // gossip address
	Meta  []byte // shared: read-only
	Alive bool
}

// Cluster is this node's view. It is safe for concurrent use.
type Cluster struct {
	o    Options
	list *memberlist.Memberlist
	addr string
	stop context.CancelFunc
	done chan struct{}
	once sync.Once
	err  error

	mu    sync.Mutex // held during OnChange, so that calls keep their order
	peers []string   // guarded by mu

	// Who is alive, as memberlist told. Its own list hands out pointers to what it goes on
	// changing.
	aliveMu sync.Mutex
	alive   map[string]Member // guarded by aliveMu: by name
}

// Open starts gossip and the rejoin loop. It does not wait for peers: a first node has
// none, and a node that starts during a cut must start all the same.
func Open(o Options) (*Cluster, error) {
	if err := o.validate(); err != nil {
		return nil, err
	}
	c := &Cluster{o: o, done: make(chan struct{}), peers: o.Peers, alive: map[string]Member{}}
	cfg, err := c.config()
	if err != nil {
		return nil, err
	}
	if c.list, err = memberlist.Create(cfg); err != nil {
		cfg.Transport.Shutdown()
		return nil, fmt.Errorf("cluster: %w", err)
	}
	c.addr = c.list.LocalNode().Address()
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	go c.rejoin(ctx)
	return c, nil
}

func (o *Options) validate() error {
	if o.ID == "" {
		return fmt.Errorf("%w: empty ID", ErrOptions)
	}
	if len(o.Meta) > MaxMeta {
		return fmt.Errorf("%w: %d bytes of meta, at most %d", ErrOptions, len(o.Meta), MaxMeta)
	}
	if o.ProbeInterval < 0 || o.Rejoin < 0 {
		return fmt.Errorf("%w: negative interval", ErrOptions)
	}
	if o.Bind == "" {
		o.Bind = "127.0.0.1:0"
	}
	if o.ProbeInterval == 0 {
		o.ProbeInterval = time.Second
	}
	if o.Rejoin == 0 {
		o.Rejoin = 2 * time.Second
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return nil
}

// config scales memberlist's periods with the probe interval.
func (c *Cluster) config() (*memberlist.Config, error) {
	host, port, err := splitHostPort(c.o.Bind)
	if err != nil {
		return nil, err
	}
	logger := slogLogger(c.o.Logger)
	cfg := memberlist.DefaultLANConfig()
	cfg.Name = c.o.ID
	cfg.BindAddr, cfg.BindPort, cfg.AdvertisePort = host, port, port
	cfg.ProbeInterval = c.o.ProbeInterval
	cfg.ProbeTimeout = c.o.ProbeInterval / 2
	cfg.GossipInterval = c.o.ProbeInterval / 5
	cfg.PushPullInterval = 10 * c.o.ProbeInterval
	cfg.TCPTimeout = max(2*c.o.ProbeInterval, time.Second)
	// A node that was killed may come back at once, at another address.
	cfg.DeadNodeReclaimTime = c.o.ProbeInterval
	cfg.Events, cfg.Delegate, cfg.Conflict = (*events)(c), meta(c.o.Meta), (*events)(c)
	cfg.Logger = logger

	transport, err := memberlist.NewNetTransport(&memberlist.NetTransportConfig{
		BindAddrs: []string{host}, BindPort: port, Logger: logger,
	})
	if err != nil {
		return nil, fmt.Errorf("cluster: listen on %s: %w", c.o.Bind, err)
	}
	if port == 0 {
		cfg.BindPort = transport.GetAutoBindPort()
		cfg.AdvertisePort = cfg.BindPort
	}
	cfg.Transport = &cutTransport{NetTransport: transport, cut: c.o.Cut}
	return cfg, nil
}

// Addr is this node's gossip address.
func (c *Cluster) Addr() string { return c.addr }

// Members returns all members that are not dead, this node among them, in no order.
func (c *Cluster) Members() []Member {
	c.aliveMu.Lock()
	defer c.aliveMu.Unlock()
	return slices.Collect(maps.Values(c.alive))
}

// AddPeers adds gossip addresses for the rejoin loop to look after.
func (c *Cluster) AddPeers(addrs ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.peers = append(c.peers, addrs...)
}

// Close leaves without telling the others, as a crash would, and waits for the loop.
// Call Leave first to go in peace.
func (c *Cluster) Close() error {
	c.once.Do(func() {
		c.stop()
		<-c.done
		c.err = c.list.Shutdown()
	})
	return c.err
}

// Leave tells the others that this node goes, and waits at most timeout for the word to
// spread.
func (c *Cluster) Leave(timeout time.Duration) error { return c.list.Leave(timeout) }

// rejoin dials every peer that is not alive, for ever.
func (c *Cluster) rejoin(ctx context.Context) {
	defer close(c.done)
	tick := time.NewTicker(c.o.Rejoin)
	defer tick.Stop()
	for {
		for _, addr := range c.missing() {
			if ctx.Err() != nil {
				return
			}
			if _, err := c.list.Join([]string{addr}); err != nil {
				c.o.Logger.Debug("cluster: peer does not answer", "peer", addr, "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// missing lists the peers that no member answers to.
func (c *Cluster) missing() []string {
	alive := map[string]bool{}
	for _, m := range c.Members() {
		alive[m.Addr] = true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []string
	for _, p := range c.peers {
		if !alive[p] {
			out = append(out, p)
		}
	}
	return out
}

// events turns memberlist's calls into ours.
type events Cluster

func (e *events) NotifyJoin(n *memberlist.Node)   { e.changed(member(n, true)) }
func (e *events) NotifyUpdate(n *memberlist.Node) { e.changed(member(n, true)) }
func (e *events) NotifyLeave(n *memberlist.Node)  { e.changed(member(n, false)) }

func (e *events) changed(m Member) {
	e.aliveMu.Lock()
	if m.Alive {
		e.alive[m.ID] = m
	} else {
		delete(e.alive, m.ID)
	}
	e.aliveMu.Unlock()
	if e.o.OnChange == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.o.OnChange(m)
}

// NotifyConflict says that other claims the name of known.
func (e *events) NotifyConflict(known, other *memberlist.Node) {
	e.o.Logger.Warn("cluster: two nodes use one name", "name", known.Name, "known", known.Address(), "claimant", other.Address())
	if e.o.OnConflict != nil {
		e.o.OnConflict(member(known, true), member(other, false))
	}
}

// meta is a delegate that only tells of this node.
type meta []byte

func (m meta) NodeMeta(int) []byte             { return m }
func (meta) NotifyMsg([]byte)                  {}
func (meta) GetBroadcasts(int, int) [][]byte   { return nil }
func (meta) LocalState(bool) []byte            { return nil }
func (meta) MergeRemoteState(_ []byte, _ bool) {}

func member(n *memberlist.Node, alive bool) Member {
	return Member{ID: n.Name, Addr: n.Address(), Meta: n.Meta, Alive: alive}
}

func splitHostPort(addr string) (string, int, error) {
	host, p, err := net.SplitHostPort(addr)
	if err != nil {
		return "", 0, fmt.Errorf("%w: %w", ErrOptions, err)
	}
	port, err := strconv.ParseUint(p, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("%w: port of %q", ErrOptions, addr)
	}
	return host, int(port), nil
}

// slogLogger hands memberlist's lines on at debug level: what matters of them comes
// through the callbacks.
func slogLogger(l *slog.Logger) *log.Logger { return slog.NewLogLogger(l.Handler(), slog.LevelDebug) }
