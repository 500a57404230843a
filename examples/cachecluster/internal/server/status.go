package server

// What State of a Status may be.
const (
	StateServing = "serving" // leads its shard, and a majority answers
	StateWaiting = "waiting" // leads its shard, and may not serve at the moment
	StateReplica = "replica" // has what its primary had some moments ago
	StateSyncing = "syncing" // follows, and is not in step
)

// Status is a node at one moment.
type Status struct {
	ID, Addr         string
	State            string
	Shard            int
	Epoch            uint64 // since which its shard is led by who leads it
	Primary          string // whom it follows; empty: nobody
	Keys, Slots      int
	Used, Max        int64 // bytes
	Policy           string
	Offset, Lag      int64 // of the stream; how far the slowest replica, or this one, is behind
	Replicas         int
	Clients          int
	Commands         int64
	Hits, Misses     int64
	Evicted, Expired int64
	Moving           int // slots
}

// Run is a run of slots and the shard that owns it.
type Run struct {
	First, Last uint16
	Shard       int
}

// Look is the node's state.
func (n *Node) Look() Status {
	n.mu.Lock()
	defer n.mu.Unlock()
	o := n.db.Options()
	s := Status{
		ID: n.o.ID, Addr: n.Addr(), State: StateServing, Keys: n.db.Len(), Used: n.db.Used(), Max: o.MaxMemory, Policy: o.Policy.String(),
		Clients: len(n.conns), Commands: n.stats.Commands,
		Hits: n.db.Stats.Hits, Misses: n.db.Stats.Misses, Evicted: n.db.Stats.Evicted, Expired: n.db.Stats.Expired,
	}
	cl := n.cluster
	if cl == nil {
		return s
	}
	lead := cl.machine.Leader(cl.shard)
	s.Shard, s.Epoch, s.Offset, s.Replicas, s.Moving = cl.shard, lead.Epoch, n.stream.Offset(), len(n.replicas), len(cl.moves.To)
	switch {
	case cl.machine.Leads():
		s.Slots = cl.slots.Owned(cl.shard)
		if !cl.machine.Serving(cl.now()) {
			s.State = StateWaiting
		}
		for _, f := range n.replicas {
			s.Lag = max(s.Lag, s.Offset-f.acked)
		}
	case cl.inSync():
		s.State, s.Primary = StateReplica, lead.Node
	default:
		s.State, s.Primary = StateSyncing, lead.Node
	}
	return s
}

// Map is who owns which slots, as the node knows it.
func (n *Node) Map() []Run {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cluster == nil {
		return nil
	}
	var runs []Run
	for _, r := range n.cluster.slots.Ranges() {
		if k := len(runs); k > 0 && runs[k-1].Shard == r.Shard && runs[k-1].Last+1 == r.First {
			runs[k-1].Last = r.Last
			continue
		}
		runs = append(runs, Run{r.First, r.Last, r.Shard})
	}
	return runs
}
