package core

import "github.com/ashlar-go/ashlar/merkle"

// Stats counts what a node has done since it started, and shows what it holds.
type Stats struct {
	Reads          int64  `json:"reads"` // client requests that this node took
	Writes         int64  `json:"writes"`
	Failed         int64  `json:"failed"`   // of both
	Refused        int64  `json:"refused"`  // messages refused
	Refusals       int64  `json:"refusals"` // writes that the disk refused
	Merged         int64  `json:"merged"`   // merges that brought news
	ReadRepairs    int64  `json:"readRepairs"`
	Hinted         int64  `json:"hinted"`       // hints stored
	HintsRefused   int64  `json:"hintsRefused"` // for want of room: left to the comparison
	HintsDelivered int64  `json:"hintsDelivered"`
	HintSent       int64  `json:"hintSent"`    // bytes of hints delivered
	Comparisons    int64  `json:"comparisons"` // begun here
	Differences    int64  `json:"differences"`
	Repaired       int64  `json:"repaired"`       // keys pushed to a peer after a comparison
	RepairSent     int64  `json:"repairSent"`     // bytes of comparisons and pushes
	RepairReceived int64  `json:"repairReceived"` // bytes of comparisons
	Collected      int64  `json:"collected"`      // tombstones
	Drifts         int64  `json:"drifts"`         // leaves of trees that were wrong
	Restored       int64  `json:"restored"`       // times that the directory turned out to be an old copy
	Damaged        int64  `json:"damaged"`        // reads that failed
	Damage         string `json:"damage"`

	Keys       int64            `json:"keys"`  // with a value, in partitions owned
	Bytes      int64            `json:"bytes"` // of keys and objects, in partitions owned
	Tombstones int64            `json:"tombstones"`
	Partitions int64            `json:"partitions"` // owned
	Ready      int64            `json:"ready"`      // of those, that may be read
	Rebuilding int64            `json:"rebuilding"` // of those, that are not level with their other owners since the disk was lost
	Hints      int64            `json:"hints"`      // waiting here
	HintBytes  int64            `json:"hintBytes"`
	HintsFor   map[string]int64 `json:"hintsFor"`
	Ops        int              `json:"ops"`
	Sessions   int              `json:"sessions"`
	Actor      string           `json:"actor"`
	Start      uint64           `json:"start"` // number of this start of the directory
	UpPeers    int              `json:"upPeers"`
	AllPeers   int              `json:"allPeers"`

	nextActor int64
}

// Stats is a snapshot.
func (n *Node) Stats() Stats {
	s := n.stats
	s.HintsFor = map[string]int64{}
	for _, part := range n.parts {
		if part.mine {
			s.Partitions++
			s.Keys += part.keys
			s.Bytes += part.bytes
			s.Tombstones += int64(len(part.tombs))
			if part.ready {
				s.Ready++
			}
			if n.fresh {
				s.Rebuilding++
			}
		}
	}
	for id, q := range n.hints {
		s.Hints += q.count
		s.HintBytes += q.bytes
		if q.count > 0 {
			s.HintsFor[id] = q.count
		}
	}
	for id := range n.peers {
		s.AllPeers++
		if n.up(id) {
			s.UpPeers++
		}
	}
	s.Ops, s.Sessions, s.Actor, s.Start = len(n.ops)-len(n.repair.inbound), n.repair.sessions, n.actor.String(), n.gen
	return s
}

// Epoch is the partition table's.
func (n *Node) Epoch() uint64 { return n.o.Table.Epoch() }

// Local reads a key's live values in this node's own store, for those who want to know
// what a single replica holds.
func (n *Node) Local(key []byte) ([][]byte, error) {
	obj, _, err := n.stored(n.parts[n.o.Table.PartitionOf(key)], key)
	if err != nil {
		return nil, err
	}
	var values [][]byte
	for _, v := range live(&obj, n.now.Wall) {
		values = append(values, v.Data)
	}
	return values, nil
}

// Roots are the fingerprints of the partitions that this node owns: equal on all owners
// when they hold the same.
func (n *Node) Roots() map[int]merkle.Sum {
	roots := map[int]merkle.Sum{}
	for _, part := range n.parts {
		if part.mine {
			roots[part.id] = part.tree.Root()
		}
	}
	return roots
}

// Add adds the counts of another node.
func (s *Stats) Add(o Stats) {
	for _, p := range [][2]*int64{
		{&s.Reads, &o.Reads},
		{&s.Writes, &o.Writes},
		{&s.Failed, &o.Failed},
		{&s.Refused, &o.Refused},
		{&s.Refusals, &o.Refusals},
		{&s.Merged, &o.Merged},
		{&s.ReadRepairs, &o.ReadRepairs},
		{&s.Hinted, &o.Hinted},
		{&s.HintsRefused, &o.HintsRefused},
		{&s.HintsDelivered, &o.HintsDelivered},
		{&s.HintSent, &o.HintSent},
		{&s.Comparisons, &o.Comparisons},
		{&s.Differences, &o.Differences},
		{&s.Repaired, &o.Repaired},
		{&s.RepairSent, &o.RepairSent},
		{&s.RepairReceived, &o.RepairReceived},
		{&s.Collected, &o.Collected},
		{&s.Drifts, &o.Drifts},
		{&s.Restored, &o.Restored},
		{&s.Damaged, &o.Damaged},
		{&s.Keys, &o.Keys},
		{&s.Bytes, &o.Bytes},
		{&s.Tombstones, &o.Tombstones},
		{&s.Partitions, &o.Partitions},
		{&s.Ready, &o.Ready},
		{&s.Rebuilding, &o.Rebuilding},
		{&s.Hints, &o.Hints},
		{&s.HintBytes, &o.HintBytes},
	} {
		*p[0] += *p[1]
	}
}
