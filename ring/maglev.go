package ring

import (
	"fmt"
	"math/big"
)

// Maglev is Google's table: each node has a permutation of all slots, and in turns takes
// the first of its permutation that is free, so that all get the same number of slots to
// within one, or their weight's share. A lookup is one array access. When a node goes, a
// little more than its own slots change hands. It is immutable.
//
// Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer" (2016).
type Maglev struct {
	nodes []Node
	slots []uint16
}

// NewMaglev fills a table of size slots, a prime well above a hundred times the number of
// nodes (0: 65,537). Errors match ErrOptions or ErrNodes. O(size log size).
func NewMaglev(size int, nodes ...Node) (*Maglev, error) {
	if size == 0 {
		size = 65537
	}
	if size < 2 || size > 1<<26 || !big.NewInt(int64(size)).ProbablyPrime(0) {
		return nil, fmt.Errorf("%w: table of %d slots, not a prime up to 2^26", ErrOptions, size)
	}
	nodes, err := sorted(nodes)
	if err != nil {
		return nil, err
	}
	if len(nodes) > size {
		return nil, fmt.Errorf("%w: %d for %d slots", ErrNodes, len(nodes), size)
	}
	m := &Maglev{nodes: nodes, slots: make([]uint16, size)}
	m.fill(uint64(size))
	return m, nil
}

func (m *Maglev) fill(size uint64) {
	if len(m.nodes) == 0 {
		return
	}
	const free = 1<<16 - 1
	for i := range m.slots {
		m.slots[i] = free
	}
	offset, skip := make([]uint64, len(m.nodes)), make([]uint64, len(m.nodes))
	heaviest := 0
	for i, n := range m.nodes {
		h := HashString(0, n.ID)
		offset[i], skip[i] = h%size, mix(h)%(size-1)+1
		heaviest = max(heaviest, n.weight())
	}
	// A node of half the weight of the heaviest takes a slot every other round.
	credit := make([]int, len(m.nodes))
	for left := size; left > 0; {
		for i, n := range m.nodes {
			if credit[i] += n.weight(); credit[i] < heaviest {
				continue
			}
			credit[i] -= heaviest
			for m.slots[offset[i]] != free {
				offset[i] = (offset[i] + skip[i]) % size
			}
			m.slots[offset[i]] = uint16(i)
			if left--; left == 0 {
				break
			}
		}
	}
}

// Pick is the node for the hash h; ok is false only without nodes. No allocation.
func (m *Maglev) Pick(h uint64) (n Node, ok bool) {
	if len(m.nodes) == 0 {
		return Node{}, false
	}
	return m.nodes[m.slots[h%uint64(len(m.slots))]], true
}
