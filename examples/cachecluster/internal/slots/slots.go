// Package slots says which hash slot a key is in, which shard owns each slot, and where a
// command that comes to a node has to go.
//
// A key's slot is CRC16(key) mod 16,384; of a key with a tag, "user:{42}:name", only the tag
// counts, so that keys of one tag are on one node. Clients know the same function.
//
// Who owns a slot is a register of its own: a claim with a version. Claims travel with the
// nodes' heartbeats, the higher version wins everywhere, and so all nodes end up with the
// same map whatever is lost, doubled or late (TestMergeOrder). Only two make a claim: the
// configuration, version 1, and the node that takes a slot over at the end of a migration,
// one above the version that it knows.
//
// Nothing here reads a clock or a socket, or is safe for concurrent use.
package slots

import (
	"bytes"
	"errors"
	"fmt"
)

// Count is the number of slots.
const Count = 16384

// Of is the slot of a key.
func Of(key []byte) uint16 {
	if open := bytes.IndexByte(key, '{'); open >= 0 {
		if size := bytes.IndexByte(key[open+1:], '}'); size > 0 {
			key = key[open+1 : open+1+size]
		}
	}
	return CRC16(key) % Count
}

// CRC16 is the checksum of XMODEM: polynomial 0x1021, begin 0, not reflected.
func CRC16(b []byte) uint16 {
	var crc uint16
	for _, c := range b {
		crc = crc<<8 ^ crcTable[byte(crc>>8)^c]
	}
	return crc
}

var crcTable = func() (t [256]uint16) {
	for i := range t {
		crc := uint16(i) << 8
		for range 8 {
			carry := crc >> 15
			crc = crc<<1 ^ carry*0x1021
		}
		t[i] = crc
	}
	return t
}()

// Claim says that a shard owns a slot since a version, 0 being nobody.
type Claim struct {
	Version uint64 `json:"v"`
	Epoch   uint64 `json:"e"` // of the claimer's leadership; decides between equal versions
	Shard   int    `json:"s"`
}

// over tells whether a claim wins against another.
func (c Claim) over(o Claim) bool {
	if c.Version != o.Version {
		return c.Version > o.Version
	}
	if c.Epoch != o.Epoch {
		return c.Epoch > o.Epoch
	}
	return c.Shard > o.Shard
}

// Range is a run of slots with one claim.
type Range struct {
	First uint16 `json:"a"`
	Last  uint16 `json:"z"` // included
	Claim
}

// ErrRange is matched by errors about ranges and slots that cannot be.
var ErrRange = errors.New("slots: bad range")

// Map is the claims of all slots. The zero value is ready and knows of none.
type Map struct {
	claims [Count]Claim
	counts map[int]int
	ranges []Range // nil: not up to date
}

// Even is the map in which so many shards own equal runs.
func Even(shards int) *Map {
	m := &Map{}
	for s := range shards {
		first, last := s*Count/shards, (s+1)*Count/shards-1
		if _, err := m.Merge([]Range{{uint16(first), uint16(last), Claim{1, 0, s}}}, shards); err != nil {
			panic(err) // this package's own mistake
		}
	}
	return m
}

// At is the claim of a slot.
func (m *Map) At(slot uint16) Claim { return m.claims[slot%Count] }

// Owned is how many slots a shard owns.
func (m *Map) Owned(shard int) int { return m.counts[shard] }

// Merge takes over the claims that win, and tells whether any did. Ranges are checked
// first: of what cannot be, nothing is taken.
func (m *Map) Merge(ranges []Range, shards int) (changed bool, err error) {
	for _, r := range ranges {
		if r.First > r.Last || r.Last >= Count || r.Shard < 0 || r.Shard >= shards || r.Version == 0 {
			return false, fmt.Errorf("%w: %d to %d of shard %d, version %d", ErrRange, r.First, r.Last, r.Shard, r.Version)
		}
	}
	for _, r := range ranges {
		for s := r.First; s <= r.Last; s++ {
			if r.Claim.over(m.claims[s]) {
				m.set(s, r.Claim)
				changed = true
			}
		}
	}
	return changed, nil
}

func (m *Map) set(slot uint16, c Claim) {
	if m.counts == nil {
		m.counts = map[int]int{}
	}
	if old := m.claims[slot]; old.Version != 0 {
		m.counts[old.Shard]--
	}
	m.counts[c.Shard]++
	m.claims[slot] = c
	m.ranges = nil
}

// Take lets a shard claim a slot over whoever has it, at the epoch of its leader.
func (m *Map) Take(slot uint16, shard int, epoch uint64) {
	m.set(slot, Claim{m.claims[slot].Version + 1, epoch, shard})
}

// Ranges are the claims of all slots that have one, as few runs as possible. They are
// shared: read only.
func (m *Map) Ranges() []Range {
	if m.ranges != nil {
		return m.ranges
	}
	var out []Range
	for s := range uint16(Count) {
		c := m.claims[s]
		if c.Version == 0 {
			continue
		}
		if n := len(out); n > 0 && out[n-1].Last == s-1 && out[n-1].Claim == c {
			out[n-1].Last = s
			continue
		}
		out = append(out, Range{s, s, c})
	}
	m.ranges = out
	return out
}

// Runs are the first and last slots of the runs that a shard owns, whatever the versions.
func (m *Map) Runs(shard int) (runs [][2]uint16) {
	for _, r := range m.Ranges() {
		if r.Shard != shard {
			continue
		}
		if n := len(runs); n > 0 && runs[n-1][1] == r.First-1 {
			runs[n-1][1] = r.Last
			continue
		}
		runs = append(runs, [2]uint16{r.First, r.Last})
	}
	return runs
}
