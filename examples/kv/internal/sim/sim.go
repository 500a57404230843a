// Package sim runs a whole cluster of nodes in one goroutine from a seed: their clients,
// disks, clocks and network, and everything that goes wrong with them. It records what
// clients saw and judges it; see check.go for what is promised and faults.go for what
// happens. The same seed gives the same run, to the bit.
package sim

import (
	"fmt"
	"io"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/ashlar-go/ashlar/examples/kv/internal/core"
	"github.com/ashlar-go/ashlar/internal/simnet"
	"github.com/ashlar-go/ashlar/ring"
)

// wallEpoch is what wall clocks show at time 0.
const wallEpoch = 1_800_000_000_000

// Options of a run.
type Options struct {
	Seed  uint64
	Load  int64     // milliseconds under load and faults (20 s)
	Quiet bool      // the network and the clocks are good
	Log   io.Writer // what happens, line by line; nil: nowhere
}

// Result of a run.
type Result struct {
	Violations []string // of what is promised
	Trace      uint64   // fingerprint of all that happened
	Acked      int      // writes
	Failed     int      // requests
	Reads      int      // that succeeded at a quorum
	Faults     int
	Stats      core.Stats // of all nodes, added up
}

type sim struct {
	o       Options
	w       *simnet.World
	net     *simnet.Net
	options core.Options
	ids     []string
	procs   map[string]*process
	clients []*client
	over    bool // no more load and faults
	hash    *xxhash.Digest
	res     Result

	history  map[string][]*op // by key
	keys     []string
	order    int64 // of what clients do and see
	lossy    bool  // disks may be lost, one at a time
	wipes    int   // disks lost or put back that are not level yet
	backup   *disk
	backupOf string
	backupAt int64
}

const nodes = 5

// Run runs a cluster from a seed.
func Run(o Options) *Result {
	if o.Load == 0 {
		o.Load = 20_000
	}
	s := newSim(o)
	s.prepare()
	s.load()
	s.w.Run(s.w.Now() + o.Load)
	s.settle()
	s.judge()
	s.res.Trace = s.hash.Sum64()
	return &s.res
}

func newSim(o Options) *sim {
	s := &sim{o: o, w: simnet.New(o.Seed), procs: map[string]*process{}, hash: xxhash.New(), history: map[string][]*op{}}
	s.net = simnet.NewNet(s.w)
	return s
}

// prepare starts the nodes. Half of the seeds have a network that is bad all the time.
func (s *sim) prepare() {
	members := make([]ring.Node, nodes)
	for i := range members {
		id := fmt.Sprintf("n%d", i+1)
		members[i].ID = id
		s.ids = append(s.ids, id)
	}
	table, err := ring.NewTable(ring.TableOptions{Partitions: 8, Replicas: 3, Seed: s.o.Seed}, members...)
	if err != nil {
		panic(err) // this package's own mistake
	}
	s.options = core.Options{
		Table: table, Secret: []byte("a secret of the cluster"),
		Timeout: 1000, MaxTimeout: 2000, Linger: 200, Lifetime: 2000, Ping: 200, Exchange: 500, TreeLevels: 2, Hedge: 20, Survey: 4, Settle: 100,
		Retention: 1, // the least that is safe
		Siblings:  40,
	}
	s.lossy = s.w.Chance(0.5)
	if s.w.Chance(0.5) && !s.o.Quiet {
		s.net.Loss, s.net.Double = s.w.Rand.Float64()*0.05, s.w.Rand.Float64()*0.05
		s.net.Slow, s.net.SlowFor = s.w.Rand.Float64()*0.1, 300
		s.net.Stuck, s.net.StuckFor = s.w.Rand.Float64()*0.02, 15_000
	}
	for _, id := range s.ids {
		p := &process{
			s: s, id: id, disk: newDisk(), fsync: s.w.Between(2, 20),
			drift: s.w.Between(-5, 5), skew: s.w.Between(-maxSkew, maxSkew),
		}
		s.procs[id] = p
		p.start()
	}
	s.w.Run(3000) // until they know each other
}

// settle ends all faults and lets the cluster come to rest.
func (s *sim) settle() {
	s.over = true
	s.net.Heal()
	s.net.Loss, s.net.Double, s.net.Slow, s.net.Stuck = 0, 0, 0, 0
	for _, id := range s.ids {
		p := s.procs[id]
		p.disk.full, p.disk.bad, p.fsync = false, 0, 5
		if p.node == nil {
			p.start()
		}
	}
	s.w.Run(s.w.Now() + 16_000) // what was stuck arrives
	s.alive()
	s.w.Run(s.w.Now() + 25_000) // comparisons and votes
}

// alive tells everybody the truth about everybody.
func (s *sim) alive() {
	for _, a := range s.ids {
		for _, b := range s.ids {
			s.tell(a, b, s.procs[b].node != nil)
		}
	}
}

// tell is the failure detector of one process speaking of another.
func (s *sim) tell(a, b string, up bool) {
	if p := s.procs[a]; a != b && p.node != nil {
		p.step(core.Alive{Peer: b, Up: up})
	}
}

// note writes a line of the log.
func (s *sim) note(format string, a ...any) {
	if s.o.Log != nil {
		fmt.Fprintf(s.o.Log, "%6d  %s\n", s.w.Now(), fmt.Sprintf(format, a...))
	}
}

// trace adds a message to the fingerprint.
func (s *sim) trace(from, to string, b []byte) {
	fmt.Fprintf(s.hash, "%d %s %s %d\n", s.w.Now(), from, to, len(b))
	s.hash.Write(b)
	if s.o.Log != nil {
		m, _ := core.ParseMessage(b)
		s.note("%s → %s  %v", from, to, m)
	}
}

// fail records a broken promise.
func (s *sim) fail(format string, a ...any) {
	if v := fmt.Sprintf(format, a...); len(s.res.Violations) < 20 && !slices.Contains(s.res.Violations, v) {
		s.res.Violations = append(s.res.Violations, v)
		s.note("VIOLATION %s", v)
	}
}
