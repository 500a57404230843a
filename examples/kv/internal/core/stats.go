package core

import "github.com/ashlar-go/ashlar/merkle"

// Stats counts what a node has done since it started, and shows what it holds.
type Stats struct {
	Reads, Writes, Failed int64 // client requests that this node took, and those that failed
	Refused               int64 // messages refused
	Refusals              int64 // writes that the disk refused
	Merged                int64 // merges that brought news
	ReadRepairs           int64
	Hinted                int64 // hints stored
	HintsRefused          int64 // for want of room: left to the comparison
	HintsDelivered        int64
	Comparisons           int64 // begun here
	Differences           int64
	Repaired              int64 // keys pushed to a peer after a comparison
	RepairSent            int64 // bytes of comparisons and pushes
	RepairReceived        int64 // bytes of comparisons
	Collected             int64 // tombstones
	Drifts                int64 // leaves of trees that were wrong
	Restored              int64 // times that the directory turned out to be an old copy
	Damaged               int64 // reads that failed
	Damage                string

	Keys, Bytes       int64 // live keys, and bytes of keys and objects, in partitions owned
	Tombstones        int64
	Partitions        int64 // owned
	Ready             int64 // of those, that may be read
	Rebuilding        int64 // of those, that are not level with their other owners since the disk was lost
	Hints, HintBytes  int64 // waiting here
	HintsFor          map[string]int64
	Ops, Sessions     int
	Actor             string
	Start             uint64 // number of this start of the directory
	UpPeers, AllPeers int

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
