package ring

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/cespare/xxhash/v2"
)

var (
	// ErrNodes is matched by errors about a node that cannot be: an empty or duplicate
	// ID, a negative weight, too many nodes.
	ErrNodes = errors.New("ring: bad nodes")
	// ErrOptions is matched by errors about options out of range.
	ErrOptions = errors.New("ring: bad options")
	// ErrNoNodes is returned where there is nobody to choose.
	ErrNoNodes = errors.New("ring: no nodes")
	// ErrCorrupt is matched by errors about an encoded table that is damaged.
	ErrCorrupt = errors.New("ring: corrupt encoding")
)

// Node is a member. ID, Zone and Weight decide placement; Addr is carried along.
type Node struct {
	ID     string // unique, not empty
	Addr   string
	Zone   string // failure domain; replicas are spread over zones
	Weight int    // share of the load relative to the others; 0 means 1
}

func (n Node) weight() int { return max(n.Weight, 1) }

// maxNodes bounds the members, so that a node fits 16 bits.
const maxNodes = 1 << 15

// sorted checks nodes and returns a copy in the order of their IDs.
func sorted(nodes []Node) ([]Node, error) {
	if len(nodes) > maxNodes {
		return nil, fmt.Errorf("%w: %d of them, at most %d", ErrNodes, len(nodes), maxNodes)
	}
	out := slices.Clone(nodes)
	slices.SortFunc(out, func(a, b Node) int { return strings.Compare(a.ID, b.ID) })
	for i, n := range out {
		switch {
		case n.ID == "":
			return nil, fmt.Errorf("%w: empty ID", ErrNodes)
		case n.Weight < 0 || n.Weight > 1<<30:
			return nil, fmt.Errorf("%w: %s has weight %d", ErrNodes, n.ID, n.Weight)
		case i > 0 && out[i-1].ID == n.ID:
			return nil, fmt.Errorf("%w: %s is there twice", ErrNodes, n.ID)
		}
	}
	return out, nil
}

const golden = 0x9e3779b97f4a7c15

// mix is a bijection of 64-bit words without visible pattern (splitmix64's finaliser).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// Hash places a key on the ring: xxHash64, mixed with the seed. It is frozen.
func Hash(seed uint64, key []byte) uint64 { return mix(xxhash.Sum64(key) + seed*golden) }

// HashString is Hash for a string, without a copy.
func HashString(seed uint64, key string) uint64 { return mix(xxhash.Sum64String(key) + seed*golden) }
