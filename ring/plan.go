package ring

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"slices"
)

// A plan is found in four steps, on a matrix of who holds a replica of what:
//
//  1. Quotas: every node's share of all replicas by weight, rounded so that they add up;
//     of two roundings a node keeps the one that is nearer to what it has.
//  2. Release: replicas of nodes that left, then of nodes above their quota, of those
//     first the ones that share a zone with another replica of their partition.
//  3. Fill: each vacant replica goes to the node furthest below its quota that does not
//     hold the partition, in a zone that has fewest of its replicas. Where all nodes
//     below their quota hold it already, a third node gives up another partition to one
//     of them and takes this one: the only case in which more moves than must.
//  4. Order: owners of a partition change places until primaries are even, which moves
//     nothing.

// Plan is the way from one table to the next.
type Plan struct {
	from, to *Table
	warnings []string
}

// Transfer says that To must be given a copy of a partition. From, its holder in the old
// table, keeps it until To has been verified; a zero From means that nobody has to give
// it up (a new table, or more replicas than before).
type Transfer struct {
	Partition int
	From, To  Node
}

// Plan finds the least movement to a table of these members. Errors match ErrNodes.
// O(partitions × replicas × nodes) at worst.
func (t *Table) Plan(nodes ...Node) (*Plan, error) {
	nodes, err := sorted(nodes)
	if err != nil {
		return nil, err
	}
	m := newPlanner(t, nodes)
	m.release()
	m.fill()
	m.spread()
	m.order()
	owners := make([][]Node, t.o.Partitions)
	for p, held := range m.held {
		owners[p] = make([]Node, len(held))
		for i, n := range held {
			owners[p][i] = nodes[n]
		}
	}
	return &Plan{t, newTable(t.o, t.epoch+1, nodes, owners), m.warnings()}, nil
}

// Result is the table at the end of the plan.
func (p *Plan) Result() *Table { return p.to }

// Warnings tells, for people, what the members do not permit, such as one replica a zone.
func (p *Plan) Warnings() []string { return p.warnings }

// Transfers yields all copies that the plan needs, by partition.
func (p *Plan) Transfers() iter.Seq[Transfer] {
	return func(yield func(Transfer) bool) {
		for part := range p.to.owners {
			old, now := p.from.owners[part], p.to.owners[part]
			var gone []Node
			for _, n := range old {
				if !has(now, n.ID) {
					gone = append(gone, n)
				}
			}
			for _, n := range now {
				if has(old, n.ID) {
					continue
				}
				var from Node
				if len(gone) > 0 {
					from, gone = gone[0], gone[1:]
				}
				if !yield(Transfer{part, from, n}) {
					return
				}
			}
		}
	}
}

// Steps yields the transfers in groups that can run at the same time: of a partition at
// most one replica moves in a step, so that a majority of its owners always stays; and no
// node gives or takes more than maxPerNode partitions (0: no bound).
func (p *Plan) Steps(maxPerNode int) iter.Seq[[]Transfer] {
	return func(yield func([]Transfer) bool) {
		left := slices.Collect(p.Transfers())
		if maxPerNode <= 0 {
			maxPerNode = math.MaxInt
		}
		for len(left) > 0 {
			busy, moving := map[string]int{}, map[int]bool{}
			var step, later []Transfer
			for _, t := range left {
				if moving[t.Partition] || busy[t.To.ID] >= maxPerNode || t.From.ID != "" && busy[t.From.ID] >= maxPerNode {
					later = append(later, t)
					continue
				}
				moving[t.Partition] = true
				busy[t.To.ID]++
				if t.From.ID != "" {
					busy[t.From.ID]++
				}
				step = append(step, t)
			}
			if !yield(step) {
				return
			}
			left = later
		}
	}
}

// planner is the matrix at work. Nodes are indexes in the new membership.
type planner struct {
	t     *Table
	nodes []Node
	zone  []int
	zones int
	want  int     // replicas of each partition
	held  [][]int // by partition
	count []int   // replicas by node
	quota []int
}

func newPlanner(t *Table, nodes []Node) *planner {
	m := &planner{t: t, nodes: nodes, want: min(t.o.Replicas, len(nodes)), held: make([][]int, t.o.Partitions), count: make([]int, len(nodes))}
	index, zones := map[string]int{}, map[string]int{}
	for i, n := range nodes {
		index[n.ID] = i
		if _, ok := zones[n.Zone]; !ok {
			zones[n.Zone] = len(zones)
		}
		m.zone = append(m.zone, zones[n.Zone])
	}
	m.zones = len(zones)
	for p, owners := range t.owners {
		for _, n := range owners {
			if i, ok := index[n.ID]; ok && len(m.held[p]) < m.want {
				m.held[p] = append(m.held[p], i)
				m.count[i]++
			}
		}
	}
	m.setQuotas()
	return m
}

// setQuotas shares partitions × replicas out by weight; no node can hold a partition
// twice, so what a heavy node cannot take goes to the others.
func (m *planner) setQuotas() {
	m.quota = make([]int, len(m.nodes))
	full := make([]bool, len(m.nodes))
	left, parts := m.t.o.Partitions*m.want, m.t.o.Partitions
	exact := make([]float64, len(m.nodes))
	for {
		weights := 0.0
		for i, n := range m.nodes {
			if !full[i] {
				weights += float64(n.weight())
			}
		}
		again := false
		for i, n := range m.nodes {
			if full[i] {
				continue
			}
			if exact[i] = float64(left) * float64(n.weight()) / weights; exact[i] > float64(parts) {
				full[i], again = true, true
				m.quota[i] = parts
			}
		}
		if !again {
			break
		}
		left = m.t.o.Partitions * m.want
		for i := range full {
			if full[i] {
				left -= parts
			}
		}
	}
	var open []int
	for i := range m.nodes {
		if !full[i] {
			m.quota[i] = int(exact[i])
			left -= m.quota[i]
			open = append(open, i)
		}
	}
	// What rounding down left over goes, one each, to those that have most beyond it,
	// so that as little as possible moves, and then to those that lost most by rounding.
	slices.SortFunc(open, func(a, b int) int {
		over := func(i int) int { return min(max(m.count[i]-m.quota[i], 0), 1) }
		frac := func(i int) float64 { return exact[i] - math.Floor(exact[i]) }
		return cmp.Or(cmp.Compare(over(b), over(a)), cmp.Compare(frac(b), frac(a)), cmp.Compare(a, b))
	})
	for _, i := range open {
		if left <= 0 {
			break
		}
		if m.quota[i] < parts {
			m.quota[i]++
			left--
		}
	}
}

// inZone counts a partition's replicas in a zone.
func (m *planner) inZone(p, zone int) (n int) {
	for _, i := range m.held[p] {
		if m.zone[i] == zone {
			n++
		}
	}
	return n
}

func (m *planner) drop(p, node int) {
	m.held[p] = slices.DeleteFunc(m.held[p], func(i int) bool { return i == node })
	m.count[node]--
}

func (m *planner) give(p, node int) {
	m.held[p] = append(m.held[p], node)
	m.count[node]++
}

// release takes from nodes above their quota: first replicas that crowd a zone, and of a
// partition no second one while others still have none vacant, since one new node can
// take only one of each.
func (m *planner) release() {
	for _, pass := range []struct{ crowded, whole bool }{{true, true}, {false, true}, {false, false}} {
		for _, p := range m.shuffled() {
			for !pass.whole || len(m.held[p]) == m.want {
				over := -1
				for _, i := range m.held[p] {
					if m.count[i] > m.quota[i] && (!pass.crowded || m.inZone(p, m.zone[i]) > 1) &&
						(over < 0 || m.count[i]-m.quota[i] > m.count[over]-m.quota[over]) {
						over = i
					}
				}
				if over < 0 {
					break
				}
				m.drop(p, over)
			}
		}
	}
}

// shuffled is all partitions in an order that follows from the seed: what a node gives up
// should not be neighbours.
func (m *planner) shuffled() []int {
	order := make([]int, len(m.held))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int {
		return cmp.Compare(mix(m.t.o.Seed+uint64(a)*golden), mix(m.t.o.Seed+uint64(b)*golden))
	})
	return order
}

// fill finds holders for all vacant replicas.
func (m *planner) fill() {
	for _, p := range m.shuffled() {
		for len(m.held[p]) < m.want {
			if i := m.best(p); i >= 0 {
				m.give(p, i)
			} else {
				m.exchange(p)
			}
		}
	}
}

// best is the node to take partition p: below its quota, not a holder, in the zone with
// the fewest replicas, and furthest from its quota; -1 if there is none.
func (m *planner) best(p int) int {
	best, bestZone, bestNeed := -1, 0, 0.0
	for i := range m.nodes {
		if m.count[i] >= m.quota[i] || slices.Contains(m.held[p], i) {
			continue
		}
		z, need := m.inZone(p, m.zone[i]), float64(m.quota[i]-m.count[i])/float64(m.quota[i])
		if best < 0 || z < bestZone || z == bestZone && need > bestNeed {
			best, bestZone, bestNeed = i, z, need
		}
	}
	return best
}

// exchange makes room: every node below its quota holds p already, so one of them, u,
// takes another partition off a node v that does not hold p, and v takes p.
func (m *planner) exchange(p int) {
	for u := range m.nodes {
		if m.count[u] >= m.quota[u] {
			continue
		}
		for q := range m.held {
			if slices.Contains(m.held[q], u) {
				continue
			}
			for _, v := range m.held[q] {
				if !slices.Contains(m.held[p], v) {
					m.drop(q, v)
					m.give(q, u)
					m.give(p, v)
					return
				}
			}
		}
	}
	// No such pair: quotas cannot be met exactly. Let the emptiest take it.
	best := -1
	for i := range m.nodes {
		if !slices.Contains(m.held[p], i) && (best < 0 || m.count[i]-m.quota[i] < m.count[best]-m.quota[best]) {
			best = i
		}
	}
	m.give(p, best)
}

// spread swaps holders between partitions where that makes zones less crowded; only
// partitions in which a zone has more replicas than it must are touched.
func (m *planner) spread() {
	if m.zones < 2 {
		return
	}
	most := (m.want + m.zones - 1) / m.zones
	order := m.shuffled()
	for _, p := range order {
		for _, i := range slices.Clone(m.held[p]) {
			if m.inZone(p, m.zone[i]) > most {
				m.swapOut(p, i, order)
			}
		}
	}
}

// swapOut exchanges node i of partition p for node j of another partition and zone if
// zones are then more even: the sum of the squares of the replicas in each zone falls.
func (m *planner) swapOut(p, i int, order []int) {
	zi := m.zone[i]
	for _, q := range order {
		if slices.Contains(m.held[q], i) {
			continue
		}
		for _, j := range m.held[q] {
			zj := m.zone[j]
			if zj == zi || slices.Contains(m.held[p], j) {
				continue
			}
			// Moving one from a to b changes a²+b² by 2(b-a+1).
			if m.inZone(p, zj)-m.inZone(p, zi)+1+m.inZone(q, zi)-m.inZone(q, zj)+1 >= 0 {
				continue
			}
			m.drop(p, i)
			m.drop(q, j)
			m.give(p, j)
			m.give(q, i)
			return
		}
	}
}

// order puts a primary in front of each partition, evenly by weight: first the holder
// furthest below its share, then along chains of partitions from nodes with too many
// primaries to nodes with too few.
func (m *planner) order() {
	share := make([]float64, len(m.nodes))
	for i, c := range m.count {
		share[i] = float64(c) / float64(max(m.want, 1))
	}
	primaries := make([]int, len(m.nodes))
	front := func(p, node int) {
		at := slices.Index(m.held[p], node)
		m.held[p][0], m.held[p][at] = m.held[p][at], m.held[p][0]
	}
	for p, held := range m.held {
		if len(held) == 0 {
			continue
		}
		best := held[0]
		for _, i := range held[1:] {
			if float64(primaries[i])-share[i] < float64(primaries[best])-share[best] {
				best = i
			}
		}
		front(p, best)
		primaries[best]++
	}
	// Then along chains of partitions whose primaries hand on to another holder each: from
	// nodes a whole primary above their share, and to nodes a whole one below.
	for {
		moved := false
		for i := range m.nodes {
			switch have := float64(primaries[i]); {
			case have >= share[i]+1:
				moved = m.relieve(i, primaries, front, func(j int) bool { return float64(primaries[j])+1 <= math.Ceil(share[j]) })
			case have > share[i]:
				moved = m.relieve(i, primaries, front, func(j int) bool { return float64(primaries[j])+1 <= share[j] })
			}
			if moved {
				break
			}
		}
		if !moved {
			return
		}
	}
}

// relieve moves one primary from a node along the shortest chain to one that accepts it.
func (m *planner) relieve(over int, primaries []int, front func(p, node int), accepts func(int) bool) bool {
	led := make([][]int, len(m.nodes))
	for p, held := range m.held {
		if len(held) > 0 {
			led[held[0]] = append(led[held[0]], p)
		}
	}
	type hop struct{ from, partition int }
	came := map[int]hop{over: {-1, -1}}
	queue := []int{over}
	for len(queue) > 0 {
		u := queue[0]
		queue = queue[1:]
		if u != over && accepts(u) {
			for v := u; v != over; v = came[v].from {
				front(came[v].partition, v)
			}
			primaries[over]--
			primaries[u]++
			return true
		}
		for _, p := range led[u] {
			for _, v := range m.held[p][1:] {
				if _, ok := came[v]; !ok {
					came[v] = hop{u, p}
					queue = append(queue, v)
				}
			}
		}
	}
	return false
}

func (m *planner) warnings() []string {
	var out []string
	if len(m.nodes) < m.t.o.Replicas {
		out = append(out, fmt.Sprintf("%d nodes for %d replicas: partitions have fewer", len(m.nodes), m.t.o.Replicas))
	}
	if m.zones > 1 {
		if m.zones < m.want {
			out = append(out, fmt.Sprintf("%d zones for %d replicas: zones hold several", m.zones, m.want))
		}
		most, crowded := (m.want+m.zones-1)/m.zones, 0
		for p := range m.held {
			for z := range m.zones {
				if m.inZone(p, z) > most {
					crowded++
					break
				}
			}
		}
		if crowded > 0 {
			out = append(out, fmt.Sprintf("%d partitions have more than %d replicas in one zone: zones differ too much in weight", crowded, most))
		}
	}
	return out
}
