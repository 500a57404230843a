package ring

import (
	"cmp"
	"fmt"
	"iter"
	"math/bits"
	"slices"
)

// TableOptions configures a Table. The zero value is a good default.
type TableOptions struct {
	Partitions int    // a power of two, fixed for the life of the table (1024)
	Replicas   int    // owners of a partition (3)
	Seed       uint64 // part of the cluster's configuration
}

const maxPartitions = 1 << 20

func (o TableOptions) withDefaults() (TableOptions, error) {
	if o.Partitions == 0 {
		o.Partitions = 1024
	}
	if o.Replicas == 0 {
		o.Replicas = 3
	}
	if o.Partitions < 1 || o.Partitions > maxPartitions || bits.OnesCount(uint(o.Partitions)) != 1 {
		return o, fmt.Errorf("%w: %d partitions, not a power of two up to 2^20", ErrOptions, o.Partitions)
	}
	if o.Replicas < 1 || o.Replicas > 1<<8 {
		return o, fmt.Errorf("%w: %d replicas", ErrOptions, o.Replicas)
	}
	return o, nil
}

// Table assigns a fixed number of partitions to nodes. Where a Ring follows from its
// members, a Table is a decision: it is made once, numbered by an epoch, handed to
// everybody, and changed by a Plan that moves the least. Every node's number of partition
// replicas is within one of its share by weight, as far as zones permit. It is immutable.
type Table struct {
	o      TableOptions
	epoch  uint64
	nodes  []Node
	owners [][]Node // of each partition, the primary first
	shift  uint
}

// NewTable makes the table of epoch 1. Errors match ErrOptions or ErrNodes.
func NewTable(o TableOptions, nodes ...Node) (*Table, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	empty := newTable(o, 0, nil, make([][]Node, o.Partitions))
	p, err := empty.Plan(nodes...)
	if err != nil {
		return nil, err
	}
	return p.Result(), nil
}

func newTable(o TableOptions, epoch uint64, nodes []Node, owners [][]Node) *Table {
	return &Table{o: o, epoch: epoch, nodes: nodes, owners: owners, shift: 64 - uint(bits.TrailingZeros(uint(o.Partitions)))}
}

// Epoch numbers the versions of a table: a plan's result has the next.
func (t *Table) Epoch() uint64 { return t.epoch }

// Options returns the table's options, defaults filled in.
func (t *Table) Options() TableOptions { return t.o }

// Nodes returns the members by ID: read-only.
func (t *Table) Nodes() []Node { return t.nodes }

// Partition is the partition of a key.
func (t *Table) Partition(key string) int { return t.partition(HashString(t.o.Seed, key)) }

// PartitionOf is Partition for bytes.
func (t *Table) PartitionOf(key []byte) int { return t.partition(Hash(t.o.Seed, key)) }

// partition takes the top bits; a shift by 64, for one partition, gives 0.
func (t *Table) partition(h uint64) int { return int(h >> t.shift) }

// Owners is the preference list of a partition, the primary first: distinct nodes, fewer
// than TableOptions.Replicas if there are not so many. Read-only; nil for a partition that
// does not exist.
func (t *Table) Owners(partition int) []Node {
	if partition < 0 || partition >= len(t.owners) {
		return nil
	}
	return t.owners[partition]
}

// Fallbacks yields the nodes that are not owners of a partition, in the order in which
// they should stand in for one that is down: nodes of zones without an owner first, and
// among equals by an order of the partition's own, so that the load of a failed node
// spreads over all others.
func (t *Table) Fallbacks(partition int) iter.Seq[Node] {
	return func(yield func(Node) bool) {
		owners := t.Owners(partition)
		type candidate struct {
			Node
			near  bool
			order uint64
		}
		var all []candidate
		for _, n := range t.nodes {
			if has(owners, n.ID) {
				continue
			}
			near := slices.ContainsFunc(owners, func(o Node) bool { return o.Zone == n.Zone })
			all = append(all, candidate{n, near, mix(HashString(t.o.Seed, n.ID) + uint64(partition)*golden)})
		}
		slices.SortFunc(all, func(a, b candidate) int {
			if a.near != b.near {
				if b.near {
					return -1
				}
				return 1
			}
			return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.ID, b.ID))
		})
		for _, c := range all {
			if !yield(c.Node) {
				return
			}
		}
	}
}

// Load counts the replicas and the primaries of each node, in the order of Nodes.
func (t *Table) Load() (replicas, primaries []int) {
	replicas, primaries = make([]int, len(t.nodes)), make([]int, len(t.nodes))
	index := t.byID()
	for _, o := range t.owners {
		for i, n := range o {
			replicas[index[n.ID]]++
			if i == 0 {
				primaries[index[n.ID]]++
			}
		}
	}
	return replicas, primaries
}

func (t *Table) byID() map[string]int {
	m := make(map[string]int, len(t.nodes))
	for i, n := range t.nodes {
		m[n.ID] = i
	}
	return m
}
