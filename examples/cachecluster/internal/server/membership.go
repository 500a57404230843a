package server

import (
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/command"
	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/failover"
	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/slots"
	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/snapshot"
)

// membership is a node's part in its cluster. All of it is guarded by Node.mu.
type membership struct {
	n       *Node
	cfg     *Config
	self    Member
	shard   int
	base    time.Time
	machine *failover.Machine
	slots   *slots.Map
	moves   slots.Moves
	serving bool // in this turn
	leading bool // after the last step
	peers   map[string]*peer
	names   map[string]Member // by the name that the protocol has for a node
	moving  map[string]int    // keys that MIGRATE is sending, by how often
	waiting map[*waiter]struct{}
	source  *source // whom this node follows; nil: nobody
	blank   bool    // nothing here is of the stream that its name says
}

// saved is what a node writes to its folder.
type saved struct {
	failover.State
	Slots []slots.Range `json:"slots"`
	Clean bool          `json:"clean"` // the node was closed, and its snapshot holds all it had
}

// protocolID is the name of a node in CLUSTER NODES, 40 hexadecimal digits.
func protocolID(cluster, id string) string {
	sum := sha1.Sum([]byte(cluster + "\x00" + id))
	return hex.EncodeToString(sum[:])
}

func openMembership(n *Node) (*membership, error) {
	cfg := n.o.Cluster
	if err := cfg.Check(); err != nil {
		return nil, err
	}
	self, shard, ok := cfg.Member(n.o.ID)
	if !ok {
		return nil, fmt.Errorf("%w: no node %q in the cluster", ErrOptions, n.o.ID)
	}
	cl := &membership{
		n: n, cfg: cfg, self: self, shard: shard, base: time.Now(), slots: slots.Even(len(cfg.Shards)),
		moves: slots.Moves{To: map[uint16]int{}, From: map[uint16]int{}},
		peers: map[string]*peer{}, names: map[string]Member{}, moving: map[string]int{}, waiting: map[*waiter]struct{}{},
	}
	o := failover.Options{Self: self.ID, Timeout: cfg.timeout().Milliseconds(), Seed: uint64(time.Now().UnixNano())}
	for _, nodes := range cfg.Shards {
		var ids []string
		for _, m := range nodes {
			ids = append(ids, m.ID)
			cl.names[protocolID(cfg.Cluster, m.ID)] = m
			if m.ID != self.ID {
				cl.peers[m.ID] = newPeer(cl, m)
			}
		}
		o.Shards = append(o.Shards, ids)
	}
	past, err := cl.load()
	if err != nil {
		return nil, err
	}
	if past != nil {
		o.State, o.Blank = &past.State, !past.Clean
		if _, err := cl.slots.Merge(past.Slots, len(cfg.Shards)); err != nil {
			return nil, err
		}
	}
	if cl.machine, err = failover.New(o, cl.now()); err != nil {
		return nil, err
	}
	return cl, cl.save(false) // from now on it is not clean
}

func (cl *membership) stateFile() string { return filepath.Join(cl.n.o.Dir, "node.json") }

func (cl *membership) load() (*saved, error) {
	if cl.n.o.Dir == "" {
		return nil, nil
	}
	b, err := os.ReadFile(cl.stateFile())
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var s saved
	if err := json.Unmarshal(b, &s); err != nil {
		return nil, fmt.Errorf("%s: %w", cl.stateFile(), err)
	}
	return &s, nil
}

// save writes what must not be forgotten.
func (cl *membership) save(clean bool) error {
	if cl.n.o.Dir == "" {
		return nil
	}
	b, err := json.Marshal(saved{cl.machine.State(), cl.slots.Ranges(), clean})
	if err != nil {
		return err
	}
	return snapshot.WriteFile(cl.stateFile(), b)
}

// now is milliseconds on a clock that does not jump, and that a later run of the same node
// does not repeat.
func (cl *membership) now() int64 {
	return cl.base.UnixMilli() + time.Since(cl.base).Milliseconds()
}

// start begins to take part.
func (cl *membership) start() {
	for _, p := range cl.peers {
		cl.n.wg.Go(p.run)
	}
	cl.n.wg.Go(func() {
		t := time.NewTicker(min(cl.cfg.timeout()/12, 50*time.Millisecond))
		defer t.Stop()
		for {
			cl.n.do(func() {
				offset := cl.n.stream.Offset()
				if cl.blank {
					offset = -1
				}
				cl.carry(cl.machine.Tick(cl.now(), offset))
			})
			select {
			case <-cl.n.done:
				return
			case <-t.C:
			}
		}
	})
}

// stop ends what waits for other nodes.
func (cl *membership) stop() {
	cl.n.mu.Lock()
	defer cl.n.mu.Unlock()
	for w := range cl.waiting {
		w.timer.Stop()
	}
	if cl.source != nil {
		cl.source.stop()
		cl.source = nil
	}
}

// carry does what a step of the machine wants.
func (cl *membership) carry(out failover.Out) {
	if out.Save {
		if err := cl.save(false); err != nil {
			// What is not saved must not be relied on: nothing is sent, and others see silence.
			cl.n.note("disk", "cannot save: %v", err)
			return
		}
	}
	for _, note := range out.Notes {
		cl.n.note("failover", "%s", note)
	}
	for _, msg := range out.Messages {
		cl.peers[msg.To].tell(envelope{Cluster: cl.cfg.Cluster, Message: msg, Slots: cl.slots.Ranges()})
	}
	cl.settle()
}

// settle follows a change of who leads.
func (cl *membership) settle() {
	cl.serving = cl.machine.Serving(cl.now())
	leads := cl.machine.Leads() && !cl.machine.Blank()
	if leads && !cl.leading {
		// A stream of its own: what others have of the old one beyond this point is not in it.
		cl.n.stream.Rename(newID())
		clear(cl.moving)
	}
	if !leads && cl.leading {
		for c := range cl.n.replicas {
			c.drop()
		}
		for w := range cl.waiting {
			w.answer()
		}
	}
	cl.leading = leads
	cl.n.db.SetExpires(leads)
	leader := cl.machine.Leader(cl.shard).Node
	if s := cl.source; s != nil && (leads || s.from.ID != leader) {
		s.stop()
		cl.source = nil
	}
	if cl.source == nil && leader != cl.self.ID && !cl.n.closed {
		m, _, _ := cl.cfg.Member(leader)
		cl.follow(m)
	}
}

// leads tells whether the node leads its shard.
func (cl *membership) leads() bool { return cl.machine.Leads() }

// leader is the member that leads a shard.
func (cl *membership) leader(shard int) Member {
	m, _, _ := cl.cfg.Member(cl.machine.Leader(shard).Node)
	return m
}

// route decides whether a command runs here; if not it has answered.
func (cl *membership) route(c *conn, spec *command.Spec, args [][]byte) bool {
	if spec.First == 1 && spec.Last == 1 && cl.serving && len(cl.moves.To)+len(cl.moves.From)+len(cl.moving) == 0 {
		// The common case: one key, nothing in motion.
		if cl.slots.At(slots.Of(args[1])).Shard == cl.shard {
			return true
		}
	}
	q := slots.Question{Shard: cl.shard, Serving: cl.serving, Asking: c.asking}
	slot, cross, frozen := uint16(0), false, false
	spec.Keys(args, func(key []byte) bool {
		s := slots.Of(key)
		if q.Keys > 0 && s != slot {
			cross = true
			return false
		}
		slot = s
		if len(cl.moving) > 0 && cl.moving[string(key)] > 0 {
			frozen = true
		}
		q.Keys++
		return true
	})
	switch {
	case cross:
		c.refuse("CROSSSLOT Keys in request don't hash to the same slot")
		return false
	case q.Keys == 0:
		if spec.Has(command.Write) && !cl.serving {
			c.refuse("READONLY You can't write against a read only replica.")
			return false
		}
		return true
	case frozen && spec.Has(command.Write):
		c.refuse("TRYAGAIN the key is on its way to another node")
		return false
	}
	if q.Slot = slot; cl.moves.Moving(slot) {
		spec.Keys(args, func(key []byte) bool {
			if cl.n.db.Peek(key) != nil {
				q.Present++
			}
			return true
		})
		if spec.Name == "RESTORE" && c.asking {
			q.Present = q.Keys // it brings what is not here
		}
	}
	verdict, shard := slots.Route(cl.slots, &cl.moves, q)
	if verdict == slots.Down && !cl.machine.Leads() {
		if c.readonly && spec.Has(command.Read) && cl.inSync() {
			return true
		}
		verdict, shard = slots.Moved, cl.shard
	}
	switch verdict {
	case slots.Moved, slots.Ask:
		word := "MOVED "
		if verdict == slots.Ask {
			word = "ASK "
		}
		cl.n.stats.Redirected++
		c.refuse(word + strconv.Itoa(int(slot)) + " " + cl.leader(shard).Addr)
	case slots.TryAgain:
		c.refuse("TRYAGAIN Multiple keys request during rehashing of slot")
	case slots.Down:
		c.refuse("CLUSTERDOWN The cluster is down")
	}
	return verdict == slots.Serve
}
