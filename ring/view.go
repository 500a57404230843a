package ring

import (
	"encoding/binary"
	"iter"
	"math"
	"math/bits"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// A node owns the arcs that end in its points:
//
//	         b₁   a₁      c₁  a₂    b₂
//	0 ───────┴────┴───────┴───┴─────┴──────── 2⁶⁴
//	└── b ───┘└ a ┘└─ c ──┘└a─┘└─ b ┘└── b ──▶ wraps to the first point
//
// Points are hashes of a node's ID and a counter, so a node's points are the same in every
// ring, and a larger weight only adds some. All that a lookup needs is computed when the
// view is made: the preference list of every point, each distinct list stored once; and an
// index that leads from the top bits of a hash to the first point that can be its owner's,
// from where on average less than one step remains.
//
// Invariants: points ascend, equal ones by the node's ID; every node has a point.

// View is one immutable state of a ring.
type View struct {
	o      Options
	nodes  []Node // by ID
	points []point
	index  []uint32 // by the top bits of a hash: the first point at or after them
	shift  uint
	lists  [][]Node // distinct preference lists
	print  uint64
}

type point struct {
	at   uint64
	node uint16 // index in nodes
	list uint32 // index in lists
}

// maxPoints bounds the memory of a view, whatever the weights: beyond it all nodes get
// fewer points, in proportion.
const maxPoints = 1 << 20

func newView(o Options, nodes []Node) (*View, error) {
	nodes, err := sorted(nodes)
	if err != nil {
		return nil, err
	}
	v := &View{o: o, nodes: nodes}
	v.place()
	v.buildIndex()
	v.buildLists()
	v.print = v.fingerprint()
	return v, nil
}

// place computes the points of all nodes.
func (v *View) place() {
	total := 0.0
	for _, n := range v.nodes {
		total += float64(n.weight()) * float64(v.o.VirtualNodes)
	}
	scale := math.Min(1, maxPoints/math.Max(total, 1))
	for i, n := range v.nodes {
		count := max(1, int(math.Round(float64(n.weight())*float64(v.o.VirtualNodes)*scale)))
		base := HashString(v.o.Seed, n.ID)
		for j := range count {
			v.points = append(v.points, point{at: mix(base + uint64(j+1)*golden), node: uint16(i)})
		}
	}
	slices.SortFunc(v.points, func(a, b point) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		}
		return int(a.node) - int(b.node)
	})
}

func (v *View) buildIndex() {
	width := uint(bits.Len(uint(2 * len(v.points))))
	v.shift = 64 - width
	v.index = make([]uint32, 1<<width)
	i := 0
	for b := range v.index {
		for i < len(v.points) && v.points[i].at < uint64(b)<<v.shift {
			i++
		}
		v.index[b] = uint32(i)
	}
}

// find returns the point that owns hash h; there is one.
func (v *View) find(h uint64) int {
	i := int(v.index[h>>v.shift])
	for steps := 0; i < len(v.points) && v.points[i].at < h; i++ {
		if steps++; steps == 16 { // a crowded arc
			rest := v.points[i:]
			n, _ := slices.BinarySearchFunc(rest, h, func(p point, h uint64) int {
				if p.at < h {
					return -1
				}
				return 1
			})
			i += n
			break
		}
	}
	if i == len(v.points) {
		return 0
	}
	return i
}

// buildLists computes every point's preference list.
func (v *View) buildLists() {
	zones := map[string]int{}
	zoneOf := make([]int, len(v.nodes))
	for i, n := range v.nodes {
		if _, ok := zones[n.Zone]; !ok {
			zones[n.Zone] = len(zones)
		}
		zoneOf[i] = zones[n.Zone]
	}
	w := newWalker(zoneOf, len(zones))
	for i := len(v.points) - 1; i >= 0; i-- {
		w.meet(int(v.points[i].node))
	}
	known := map[string]uint32{}
	var key []byte
	for i := len(v.points) - 1; i >= 0; i-- {
		w.meet(int(v.points[i].node))
		owners := w.owners(min(v.o.Replicas, len(v.nodes)))
		key = key[:0]
		for _, n := range owners {
			key = binary.LittleEndian.AppendUint16(key, uint16(n))
		}
		list, ok := known[string(key)]
		if !ok {
			list = uint32(len(v.lists))
			known[string(key)] = list
			nodes := make([]Node, len(owners))
			for j, n := range owners {
				nodes[j] = v.nodes[n]
			}
			v.lists = append(v.lists, nodes)
		}
		v.points[i].list = list
	}
}

// walker finds preference lists: of the nodes not taken yet, each time the first that the
// ring meets from a point on, passing over nodes of zones that have more replicas so far
// than another zone that still has nodes.
//
// It goes round the ring backwards and keeps the nodes in the order in which they come
// next: a step back moves one node to the front. So a point costs the nodes that it looks
// at and not the points between them, which may be nearly all of the ring where weights
// differ much.
type walker struct {
	zoneOf     []int
	next, prev []int // a ring of nodes in order; the last index is its start
	size       []int // nodes of each zone
	room       []int // those of them that are not taken
	taken      []int // replicas in each zone
	passed     []int // nodes that were passed over, in order
	minimum    int
	out        []int
}

func newWalker(zoneOf []int, zones int) *walker {
	n := len(zoneOf)
	w := &walker{zoneOf: zoneOf, next: make([]int, n+1), prev: make([]int, n+1), size: make([]int, zones), room: make([]int, zones), taken: make([]int, zones)}
	for i := range w.next {
		w.next[i], w.prev[i] = i, i
	}
	for _, z := range zoneOf {
		w.size[z]++
	}
	return w
}

// meet moves a node to the front.
func (w *walker) meet(node int) {
	start := len(w.zoneOf)
	w.next[w.prev[node]], w.prev[w.next[node]] = w.next[node], w.prev[node]
	first := w.next[start]
	w.prev[node], w.next[node] = start, first
	w.next[start], w.prev[first] = node, node
}

// owners returns the first n nodes by the rule.
func (w *walker) owners(n int) []int {
	copy(w.room, w.size)
	clear(w.taken)
	w.out, w.passed, w.minimum = w.out[:0], w.passed[:0], 0
	for node := w.next[len(w.zoneOf)]; len(w.out) < n; node = w.next[node] {
		if w.taken[w.zoneOf[node]] > w.minimum {
			w.passed = append(w.passed, node)
			continue
		}
		w.take(node)
		w.reconsider(n)
	}
	return w.out
}

func (w *walker) take(node int) {
	z := w.zoneOf[node]
	w.out = append(w.out, node)
	w.taken[z]++
	w.room[z]--
	w.minimum = w.least()
}

// reconsider takes nodes that were passed over and may come in now.
func (w *walker) reconsider(n int) {
	for i := 0; i < len(w.passed) && len(w.out) < n; i++ {
		if node := w.passed[i]; w.taken[w.zoneOf[node]] <= w.minimum {
			w.passed = slices.Delete(w.passed, i, i+1)
			w.take(node)
			i = -1
		}
	}
}

// least is the smallest number of replicas in a zone that could take another.
func (w *walker) least() int {
	m := math.MaxInt
	for z, r := range w.room {
		if r > 0 {
			m = min(m, w.taken[z])
		}
	}
	return m
}

// Hash is where key lies on this ring.
func (v *View) Hash(key string) uint64 { return HashString(v.o.Seed, key) }

// Nodes returns the members by ID: read-only.
func (v *View) Nodes() []Node { return v.nodes }

// Len is the number of members.
func (v *View) Len() int { return len(v.nodes) }

// Owner is the node for key; ok is false only for an empty ring.
func (v *View) Owner(key string) (n Node, ok bool) {
	if len(v.points) == 0 {
		return Node{}, false
	}
	return v.nodes[v.points[v.find(v.Hash(key))].node], true
}

// Owners is the preference list of key; see Ring.Owners.
func (v *View) Owners(key string) []Node { return v.OwnersOf(v.Hash(key)) }

// OwnersOf is the preference list of the place h on the ring.
func (v *View) OwnersOf(h uint64) []Node {
	if len(v.points) == 0 {
		return nil
	}
	return v.lists[v.points[v.find(h)].list]
}

// Walk yields every node once in the order in which it would take over the place h: the
// preference list first, then the others as the ring comes round to them.
func (v *View) Walk(h uint64) iter.Seq[Node] {
	return func(yield func(Node) bool) {
		if len(v.points) == 0 {
			return
		}
		at := v.find(h)
		seen := make([]bool, len(v.nodes))
		left := len(v.nodes)
		take := func(i uint16) bool {
			seen[i] = true
			left--
			return yield(v.nodes[i])
		}
		for _, n := range v.lists[v.points[at].list] {
			i, _ := slices.BinarySearchFunc(v.nodes, n.ID, func(a Node, id string) int {
				switch {
				case a.ID < id:
					return -1
				case a.ID > id:
					return 1
				}
				return 0
			})
			if !take(uint16(i)) {
				return
			}
		}
		for i := at; left > 0; i++ {
			if p := v.points[i%len(v.points)]; !seen[p.node] && !take(p.node) {
				return
			}
		}
	}
}

// Shares yields each node with the part of the ring that it owns, from 0 to 1.
func (v *View) Shares() iter.Seq2[Node, float64] {
	return func(yield func(Node, float64) bool) {
		arcs := make([]float64, len(v.nodes))
		for i, p := range v.points {
			prev := v.points[(i+len(v.points)-1)%len(v.points)].at
			if len(v.points) == 1 {
				arcs[p.node] = 1
			} else {
				arcs[p.node] += float64(p.at-prev) / (1 << 64)
			}
		}
		for i, n := range v.nodes {
			if !yield(n, arcs[i]) {
				return
			}
		}
	}
}

// Fingerprint is equal, up to chance in 2^64, exactly for views that place every key
// alike. Nodes of a cluster compare it.
func (v *View) Fingerprint() uint64 { return v.print }

func (v *View) fingerprint() uint64 {
	d := xxhash.New()
	var b [8]byte
	number := func(n uint64) {
		binary.LittleEndian.PutUint64(b[:], n)
		d.Write(b[:])
	}
	number(v.o.Seed)
	number(uint64(v.o.Replicas))
	for _, n := range v.nodes {
		number(uint64(len(n.ID)))
		d.WriteString(n.ID)
	}
	for _, p := range v.points {
		number(p.at)
		number(uint64(p.node))
	}
	for _, p := range v.points {
		for _, n := range v.lists[p.list] {
			d.WriteString(n.ID)
			d.Write([]byte{0})
		}
	}
	return d.Sum64()
}
