package failover

import (
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/internal/simnet"
	"github.com/ashlar-go/ashlar/internal/testkit"
)

// A cluster in one goroutine: clocks that run fast, slow and apart, a network that loses,
// doubles and delays, cuts one way and both, crashes and restarts. What is promised is
// checked after every step.

const timeout = 300

type world struct {
	*simnet.World
	net    *simnet.Net
	shards [][]string
	nodes  []*host
	byID   map[string]*host
	won    map[[2]uint64]string // (shard, epoch) → who leads it
	bad    string
	trace  uint64
	moves  int
}

type host struct {
	w     *world
	id    string
	shard int
	rate  float64 // of its clock
	skew  int64
	m     *Machine // nil: down
	disk  *State
	life  int
}

func (h *host) now() int64 { return h.skew + int64(float64(h.w.Now())*h.rate) }

func (h *host) start() {
	h.life++
	m, err := New(Options{Self: h.id, Shards: h.w.shards, Timeout: timeout, Seed: uint64(h.life) + h.w.Rand.Uint64(), State: h.disk, Blank: h.disk != nil}, h.now())
	if err != nil {
		panic(err)
	}
	h.m = m
	h.tick(h.life)
}

func (h *host) tick(life int) {
	if h.m == nil || h.life != life {
		return
	}
	h.carry(h.m.Tick(h.now(), int64(h.life)))
	h.w.After(h.w.Between(20, 40), func() { h.tick(life) })
}

func (h *host) carry(out Out) {
	if out.Save {
		s := h.m.State()
		h.disk = &s
	}
	for _, msg := range out.Messages {
		to := h.w.byID[msg.To]
		h.w.net.Send(h.id, msg.To, func() {
			if to.m != nil {
				to.carry(to.m.Receive(to.now(), msg))
			}
		})
	}
	h.w.check(h.shard)
}

// check holds the promises of a shard against the whole world, as nobody in it can see it.
// Only a step of one of its nodes can break them.
func (w *world) check(shard int) {
	serving := ""
	for _, id := range w.shards[shard] {
		h := w.byID[id]
		if h.m == nil {
			continue
		}
		lead := h.m.Leader(shard)
		if h.m.Leads() {
			at := [2]uint64{uint64(shard), lead.Epoch}
			if who := w.won[at]; who != "" && who != h.id {
				w.fail("both %s and %s lead shard %d since epoch %d", who, h.id, shard, lead.Epoch)
			}
			if w.won[at] == "" {
				w.won[at] = h.id
				w.moves++
			}
		}
		if h.m.Serving(h.now()) {
			if serving != "" {
				w.fail("both %s and %s serve shard %d", serving, h.id, shard)
			}
			serving = h.id
		}
	}
	for _, x := range []uint64{uint64(w.Now()), uint64(shard), uint64(len(serving)), w.Rand.Uint64()} {
		w.trace = (w.trace ^ x) * 0x100000001b3
	}
}

func (w *world) fail(format string, args ...any) {
	if w.bad == "" {
		w.bad = fmt.Sprintf("at %d ms: ", w.Now()) + fmt.Sprintf(format, args...)
	}
}

// quiet tells whether every shard is served, and everybody agrees by whom.
func (w *world) quiet() bool {
	for s := range w.shards {
		var lead Lead
		for _, h := range w.nodes {
			l := h.m.Leader(s)
			if lead.Node != "" && l != lead {
				return false
			}
			lead = l
		}
		if h := w.byID[lead.Node]; !h.m.Serving(h.now()) {
			return false
		}
	}
	return true
}

func newWorld(seed uint64, shards, replicas int) *world {
	w := &world{World: simnet.New(seed), byID: map[string]*host{}, won: map[[2]uint64]string{}}
	w.net = simnet.NewNet(w.World)
	for s := range shards {
		var ids []string
		for r := range replicas + 1 {
			h := &host{w: w, id: fmt.Sprintf("n%d%c", s+1, 'a'+r), shard: s, rate: 1 + (w.Rand.Float64()-0.5)*0.08, skew: w.Between(0, 1_000_000)}
			w.nodes, w.byID[h.id], ids = append(w.nodes, h), h, append(ids, h.id)
		}
		w.shards = append(w.shards, ids)
	}
	for _, h := range w.nodes {
		h.start()
	}
	return w
}

// play lets things go wrong for a while, heals everything, and waits for peace.
func play(seed uint64) *world {
	w := newWorld(seed, []int{3, 3, 5}[seed%3], 1+int(seed/3%2))
	if w.Chance(0.7) {
		w.net.Loss, w.net.Double, w.net.Slow, w.net.SlowFor = w.Rand.Float64()*0.2, w.Rand.Float64()*0.1, w.Rand.Float64()*0.2, 400
		w.net.Stuck, w.net.StuckFor = w.Rand.Float64()*0.05, 5000
	}
	over := false
	var fault func()
	fault = func() {
		if over {
			return
		}
		switch h := w.nodes[w.Rand.IntN(len(w.nodes))]; w.Rand.IntN(6) {
		case 0, 1:
			if h.m != nil {
				h.m = nil
				h.life++
				if w.Chance(0.5) { // it is back before anybody misses it
					w.After(w.Between(1, 100), func() {
						if h.m == nil && !over {
							h.start()
						}
					})
				}
			}
		case 2:
			if h.m == nil {
				h.start()
			}
		case 3: // one way, one node
			for _, o := range w.nodes {
				if w.Chance(0.7) {
					w.net.Cut(h.id, o.id)
				}
			}
		case 4: // two sides
			side := map[string]bool{}
			for _, o := range w.nodes {
				side[o.id] = w.Chance(0.5)
			}
			for _, a := range w.nodes {
				for _, b := range w.nodes {
					if side[a.id] != side[b.id] {
						w.net.Cut(a.id, b.id)
					}
				}
			}
		default:
			w.net.Heal()
		}
		w.After(w.Between(20, 1500), fault)
	}
	w.After(1000, fault)
	w.Run(10_000)
	if w.bad != "" {
		return w
	}
	over = true
	w.net.Heal()
	w.net.Loss, w.net.Double, w.net.Slow, w.net.Stuck = 0, 0, 0, 0
	for _, h := range w.nodes {
		if h.m == nil {
			h.start()
		}
	}
	for range 200 {
		w.Run(w.Now() + 100)
		if w.bad != "" || w.quiet() {
			return w
		}
	}
	w.fail("no peace in 20 s without faults")
	return w
}

// seeds plays many worlds and returns the first that broke a promise.
func seeds(first uint64, n int) (bad *world, seed uint64, moves int) {
	var mu sync.Mutex
	var wg sync.WaitGroup
	var next, total atomic.Int64
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for {
				i := uint64(next.Add(1) - 1)
				mu.Lock()
				stop := bad != nil || i >= uint64(n)
				mu.Unlock()
				if stop {
					return
				}
				w := play(first + i)
				total.Add(int64(w.moves))
				if w.bad != "" {
					mu.Lock()
					if bad == nil || first+i < seed {
						bad, seed = w, first+i
					}
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	return bad, seed, int(total.Load())
}

// TestSeeds: no two nodes ever serve a shard, no two win an epoch, and whatever went wrong,
// when it is over all agree and every shard is served.
func TestSeeds(t *testing.T) {
	n := 60
	if testing.Short() {
		n = 15
	}
	bad, seed, moves := seeds(testkit.Seed(t)%1_000_000, n)
	if bad != nil {
		t.Fatalf("world %d: %s", seed, bad.bad)
	}
	require.Greater(t, moves, 4*n, "the faults must make leaders change")
	t.Logf("%d worlds, %d times a node came to lead", n, moves)
}

// TestReplay: a seed is a run.
func TestReplay(t *testing.T) {
	seed := testkit.Seed(t)
	a, b := play(seed), play(seed)
	require.Equal(t, a.trace, b.trace)
	require.NotEqual(t, a.trace, play(seed+1).trace)
}
