package snowflake

import (
	"errors"
	"flag"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/internal/testkit"
)

var idsFlag = flag.Int("snowflake.ids", 5_000_000, "ids of the uniqueness test")

// stepped is the bubble's clock, or the real one, with a step that tests change.
type stepped struct{ step atomic.Int64 }

func (s *stepped) now() time.Time           { return time.Now().Add(time.Duration(s.step.Load())) }
func (s *stepped) back(d time.Duration)     { s.step.Add(-int64(d)) }
func (s *stepped) of(g *Generator) int64    { return int64(s.now().Sub(g.o.Layout.Epoch)) }
func (s *stepped) tick(g *Generator) uint64 { return g.tick(s.of(g)) }

func newTest(t testing.TB, o Options) *Generator {
	t.Helper()
	g, err := New(o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = g.Close() })
	return g
}

func next(t testing.TB, g *Generator) ID {
	t.Helper()
	id, err := g.Next()
	require.NoError(t, err)
	return id
}

// stateOf is the id without its node.
func stateOf(g *Generator, id ID) uint64 {
	return uint64(id)>>g.shift<<g.seqBits | uint64(id)&g.seqMask
}

// bubbleEpoch makes the bubble's clock, which begins in 2000, one of today.
var bubbleEpoch = time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC)

func inBubble(l Layout) Layout {
	l.Epoch = bubbleEpoch
	return l
}

func TestIDsFollowTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := inBubble(Classic)
		g := newTest(t, Options{Layout: l, Node: 77})
		require.Equal(t, Stats{Node: 77}, g.Stats())
		for range 3 {
			now := time.Now()
			for seq := range uint64(5) {
				require.Equal(t, Parts{now.UTC(), 77, seq}, l.Split(next(t, g)))
			}
			time.Sleep(time.Millisecond)
		}
		require.Equal(t, l, g.Layout())
		require.Equal(t, uint64(77), g.Node())
	})
}

func TestSequenceCarriesThenWaits(t *testing.T) {
	for name, o := range map[string]Options{
		"system's clock": {},
		"own clock":      {Now: time.Now},
		"not ahead":      {MaxAhead: -1},
		"long unit":      {Layout: Long, MaxAhead: 20 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				o.Layout = inBubble(o.Layout.resolve())
				g := newTest(t, o)
				unit, perUnit := o.Layout.Unit, int(g.seqMask)+1
				start, last := time.Now(), ID(0)
				burst := perUnit * (int(g.ahead) + 1)
				for range burst {
					id := next(t, g)
					require.Greater(t, id, last)
					last = id
				}
				require.Equal(t, start, time.Now(), "nothing waits within MaxAhead")
				require.Equal(t, start.Add(time.Duration(g.ahead)*unit).UTC(), o.Layout.Time(last))
				// The first wait may cost an id: the one that found out that there is to be one.
				for range perUnit {
					last = next(t, g)
				}
				require.LessOrEqual(t, time.Since(start), 2*unit)
				old, from := g.Stats(), stateOf(g, last)
				for range 20 {
					before := time.Now()
					for range perUnit {
						id := next(t, g)
						require.Greater(t, id, last)
						last = id
					}
					require.Equal(t, unit, time.Since(before), "the format's rate, and one unit's wait")
				}
				require.Equal(t, 20*uint64(perUnit), stateOf(g, last)-from, "nothing is wasted")
				s := g.Stats()
				require.Equal(t, int64(20), s.Waits-old.Waits)
				require.Equal(t, 20*unit, s.Waited-old.Waited)
				require.Equal(t, time.Duration(g.ahead)*unit, s.Ahead)
				require.Equal(t, last, s.Last)
				// A pause in the middle of a unit, and ids carry the time again: no window was
				// left open.
				for range perUnit/2 + 1 {
					next(t, g)
				}
				time.Sleep(time.Minute)
				require.Equal(t, time.Now().UTC(), o.Layout.Time(next(t, g)))
			})
		})
	}
}

func TestFill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := inBubble(Layout{TimeBits: 41, NodeBits: 18, SeqBits: 4})
		g := newTest(t, Options{Layout: l, Node: 5, MaxAhead: 3 * time.Millisecond})
		require.NoError(t, g.Fill(nil))
		last, start := next(t, g), time.Now()
		for _, n := range []int{1, 2, 15, 16, 17, 64, 1000} {
			ids := make([]ID, n)
			require.NoError(t, g.Fill(ids))
			for _, id := range ids {
				require.Equal(t, stateOf(g, last)+1, stateOf(g, id), "no gap while ahead of the clock")
				require.Equal(t, uint64(5), l.Node(id))
				last = id
			}
		}
		total := 1 + 1 + 2 + 15 + 16 + 17 + 64 + 1000
		require.Equal(t, time.Duration((total+15)/16-4)*time.Millisecond, time.Since(start))
	})
}

func TestAll(t *testing.T) {
	g := newTest(t, Options{})
	var last ID
	n := 0
	for id, err := range g.All() {
		require.NoError(t, err)
		require.Greater(t, id, last)
		last = id
		if n++; n == 10_000 {
			break
		}
	}
	require.NoError(t, g.Close())
	for id, err := range g.All() {
		require.ErrorIs(t, err, ErrClosed)
		require.Zero(t, id)
		n++
	}
	require.Equal(t, 10_001, n)
}

// TestClockSteps is a script of random pauses, steps, ids and batches. What it demands of
// each id follows from the contract alone.
func TestClockSteps(t *testing.T) {
	rng := testkit.Rand(t)
	scripts := 150
	if testing.Short() {
		scripts = 60
	}
	for range scripts {
		synctest.Test(t, func(t *testing.T) { clockScript(t, rng) })
	}
}

func clockScript(t *testing.T, rng *rand.Rand) {
	layouts := []Layout{Classic, Wide, Long, JS53, {TimeBits: 41, NodeBits: 20, SeqBits: 2}}
	o := Options{
		Layout:   inBubble(layouts[rng.IntN(len(layouts))]),
		MaxAhead: []time.Duration{-1, 0, 3 * time.Millisecond, 100 * time.Millisecond}[rng.IntN(4)],
		MaxBack:  []time.Duration{-1, 0, 20 * time.Millisecond, 2 * time.Hour}[rng.IntN(4)],
	}
	clock := &stepped{}
	o.Now = clock.now
	g := newTest(t, o)
	unit := g.o.Layout.Unit
	last := g.state.Load()
	steps := []time.Duration{time.Millisecond, 10 * time.Millisecond, time.Second, time.Hour}
	for range 200 {
		switch rng.IntN(8) {
		case 0:
			clock.back(steps[rng.IntN(len(steps))])
		case 1:
			clock.back(-steps[rng.IntN(len(steps))])
		case 2:
			time.Sleep(time.Duration(rng.Int64N(int64(50 * time.Millisecond))))
		default:
			ids := make([]ID, 1+rng.IntN(3)*rng.IntN(100))
			before := time.Now()
			var err error
			if len(ids) == 1 {
				ids[0], err = g.Next()
			} else {
				err = g.Fill(ids)
			}
			waited, wall := time.Since(before), clock.of(g)
			// What is needed beyond what MaxAhead has, in the layout's units.
			need := time.Duration(uint64(len(ids))/(g.seqMask+1)+2) * unit
			if err != nil {
				var ce *ClockError
				require.ErrorAs(t, err, &ce)
				require.ErrorIs(t, err, ErrClock)
				require.Greater(t, ce.Back, g.o.MaxBack)
				require.Equal(t, ce.Max, g.o.MaxBack)
				require.Greater(t, int64(last>>g.seqBits)*int64(unit)+int64(need)-wall, int64(g.o.MaxBack), "the clock is not that far back")
				require.Zero(t, ids[0])
				require.LessOrEqual(t, waited, need*8/7+unit)
				continue
			}
			for _, id := range ids {
				require.Greater(t, stateOf(g, id), last)
				last = stateOf(g, id)
			}
			require.LessOrEqual(t, int64(last>>g.seqBits)*int64(unit), wall+int64(g.o.MaxAhead)+int64(g.o.MaxBack), "too far ahead")
			require.GreaterOrEqual(t, last>>g.seqBits, clock.tick(g)-uint64(need/unit), "behind the clock")
			require.LessOrEqual(t, waited, need*8/7+unit, "a wait longer than the layout needs")
		}
	}
}

// TestSmallStepIsSmoothedOver follows one step back until the generator's clock and the
// true one have met again.
func TestSmallStepIsSmoothedOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := &stepped{}
		l := inBubble(Classic)
		g := newTest(t, Options{Layout: l, Now: clock.now})
		next(t, g)
		clock.back(time.Second)
		last := next(t, g)
		require.InDelta(t, time.Second-10*time.Millisecond, g.Stats().Skew, float64(2*time.Millisecond))
		for range 79 {
			before := l.Time(last)
			time.Sleep(100 * time.Millisecond)
			last = next(t, g)
			require.InDelta(t, 87.5, float64(l.Time(last).Sub(before).Milliseconds()), 12)
		}
		time.Sleep(100 * time.Millisecond)
		require.Equal(t, clock.now().UTC(), l.Time(next(t, g)), "the clocks have met")
		s := g.Stats()
		require.Zero(t, s.Skew)
		require.Equal(t, int64(1), s.Absorbed)
		require.Zero(t, s.Refused)
		require.Contains(t, s.String(), "clock back 1 times")
	})
}

func TestLargeStepIsAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		clock := &stepped{}
		g := newTest(t, Options{Layout: inBubble(Classic), Now: clock.now})
		last := next(t, g)
		clock.back(time.Hour)
		for range 3 {
			_, err := g.Next()
			require.ErrorIs(t, err, ErrClock)
			require.ErrorContains(t, err, "by 59m59.99")
			ids := []ID{1, 2, 3}
			require.ErrorIs(t, g.Fill(ids), ErrClock)
			require.Equal(t, []ID{0, 0, 0}, ids)
		}
		require.Equal(t, int64(6), g.Stats().Refused)
		time.Sleep(time.Hour)
		require.Greater(t, next(t, g), last)
	})
}

func TestClockThatStandsStill(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, at := range []time.Duration{0, time.Millisecond - 1} {
			now := time.Now().Add(at)
			g := newTest(t, Options{Layout: inBubble(Long), Now: func() time.Time { return now }})
			require.NoError(t, g.Fill(make([]ID, 2*256)))
			before := time.Now()
			_, err := g.Next()
			var ce *ClockError
			require.ErrorAs(t, err, &ce)
			require.True(t, ce.Stalled)
			require.ErrorContains(t, err, "stood still")
			require.LessOrEqual(t, time.Since(before), g.o.MaxAhead+2*g.o.Layout.Unit)
		}
	})
}

// TestClocksFromAnywhere: no time that a clock can say breaks the order or panics.
func TestClocksFromAnywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now atomic.Pointer[time.Time]
		set := func(t time.Time) { now.Store(&t) }
		for _, back := range []time.Duration{0, 1<<63 - 1} {
			set(time.Now())
			g := newTest(t, Options{Layout: inBubble(Classic), MaxBack: back, Now: func() time.Time { return *now.Load() }})
			last := ID(0)
			for _, c := range []time.Time{time.Now(), {}, time.Unix(1<<60, 0), time.Now(), time.Unix(-1<<60, 0), bubbleEpoch, bubbleEpoch.Add(-1)} {
				set(c)
				for range 3 {
					id, err := g.Next()
					if err == nil {
						require.Greater(t, id, last)
						last = id
						continue
					}
					if !errors.Is(err, ErrExhausted) {
						require.ErrorIs(t, err, ErrClock)
					}
				}
				_ = g.Stats().String()
			}
		}
	})
}

func TestExhausted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := Layout{TimeBits: 10, NodeBits: 43, SeqBits: 10, Epoch: time.Now()}
		for _, mark := range []Mark{nil, &memMark{}} {
			l.Epoch = time.Now()
			g, err := New(Options{Layout: l, Mark: mark})
			require.NoError(t, err)
			seen := 0
			for _, err = range g.All() {
				if err != nil {
					break
				}
				seen++
			}
			require.ErrorIs(t, err, ErrExhausted)
			require.Equal(t, 1<<20, seen+1, "all but the id 0")
			require.ErrorIs(t, g.Fill(make([]ID, 1)), ErrExhausted)
			require.NoError(t, g.Close())
			time.Sleep(2 * time.Second)
			_, err = New(Options{Layout: l, Mark: mark})
			require.ErrorIs(t, err, ErrExhausted)
		}
	})
}

func TestBadOptions(t *testing.T) {
	future := Classic
	future.Epoch = time.Now().Add(time.Hour)
	for _, c := range []struct {
		o    Options
		want error
	}{
		{Options{Node: 1024}, ErrNode},
		{Options{Layout: Wide, Node: 64}, ErrNode},
		{Options{Layout: Layout{TimeBits: 41, NodeBits: 10, SeqBits: 13}}, ErrLayout},
		{Options{Layout: future}, ErrEpoch},
		{Options{Layout: future}, ErrClock},
		{Options{MarkEvery: -1}, ErrOptions},
		{Options{Mark: &memMark{}, Lease: &memLease{}}, ErrOptions},
		{Options{Node: 1, Lease: &memLease{}}, ErrOptions},
		{Options{Lease: &memLease{node: 1 << 40}}, ErrNode},
	} {
		_, err := New(c.o)
		require.ErrorIs(t, err, c.want, "%+v", c.o)
		if l, ok := c.o.Lease.(*memLease); ok {
			require.True(t, l.released, "New owns what it was given")
		}
	}
}

// TestUnique is the whole promise at once: goroutines that take ids by one and by many,
// each of them in order, none twice, and later calls with greater ones. The narrower
// layouts spend the test at their limit, where calls wait.
func TestUnique(t *testing.T) {
	total := *idsFlag
	if testing.Short() || testkit.Race {
		total = min(total, 1_000_000)
	}
	for name, l := range map[string]Layout{"wide": Wide, "classic": Classic, "js53": JS53} {
		t.Run(name, func(t *testing.T) {
			n := total
			if name != "wide" {
				n = min(total, int(l.MaxSeq()+1)*300) // 300 ms
			}
			g := newTest(t, Options{Layout: l, Node: l.MaxNode()})
			requireUnique(t, g, n)
			t.Logf("%d ids; %v", n, g.Stats())
		})
	}
}

// requireUnique takes total ids with several goroutines.
func requireUnique(t *testing.T, g *Generator, total int) {
	const workers = 8
	var seen bitmap
	var highest atomic.Int64 // the greatest id that some call has returned
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 1))
			last := ID(0)
			batch := make([]ID, 300)
			for left := total / workers; left > 0; {
				floor := ID(highest.Load()) // returned before this call began
				ids := batch[:min(left, 1+rng.IntN(2)*rng.IntN(len(batch)))]
				var err error
				if len(ids) == 1 {
					ids[0], err = g.Next()
				} else {
					err = g.Fill(ids)
				}
				if err != nil {
					t.Error(err)
					return
				}
				if ids[0] <= floor {
					t.Errorf("%d after %d was returned", ids[0], floor)
					return
				}
				for _, id := range ids {
					if id <= last {
						t.Errorf("%d after %d", id, last)
						return
					}
					last = id
					if !seen.set(stateOf(g, id)) {
						t.Errorf("%d twice", id)
						return
					}
				}
				for {
					h := highest.Load()
					if h >= int64(last) || highest.CompareAndSwap(h, int64(last)) {
						break
					}
				}
				left -= len(ids)
			}
		})
	}
	wg.Wait()
}

// bitmap is a set of states, in pages so that time may leap.
type bitmap struct{ pages sync.Map }

func (b *bitmap) set(state uint64) (fresh bool) {
	p, ok := b.pages.Load(state >> 16)
	if !ok {
		p, _ = b.pages.LoadOrStore(state>>16, new([1 << 10]atomic.Uint64))
	}
	bit := uint64(1) << (state & 63)
	return p.(*[1 << 10]atomic.Uint64)[state>>6&(1<<10-1)].Or(bit)&bit == 0
}

func TestAllocations(t *testing.T) {
	if testkit.Race {
		t.Skip("the race detector allocates")
	}
	ids, buf := make([]ID, 64), make([]byte, 0, 64)
	for name, o := range map[string]Options{"plain": {}, "own clock": {Now: time.Now}, "marked": {Mark: &memMark{}, MarkEvery: time.Hour}} {
		g := newTest(t, o)
		next(t, g)
		require.Zero(t, testing.AllocsPerRun(1000, func() { _, _ = g.Next() }), name)
		require.Zero(t, testing.AllocsPerRun(1000, func() { _ = g.Fill(ids) }), name)
		require.Zero(t, testing.AllocsPerRun(1000, func() { _ = g.Stats() }), name)
	}
	veil, err := NewVeil(make([]byte, 16), "")
	require.NoError(t, err)
	form := Form{Prefix: "x_", Encoding: Base62, Veil: veil}
	text := form.Format(ids[0])
	require.Zero(t, testing.AllocsPerRun(1000, func() { buf = form.Append(buf[:0], ids[0]) }))
	require.Zero(t, testing.AllocsPerRun(1000, func() { _, _ = form.Parse(text) }))
	require.Zero(t, testing.AllocsPerRun(1000, func() { buf, _ = ids[0].AppendText(buf[:0]) }))
	require.Zero(t, testing.AllocsPerRun(1000, func() { _ = Classic.Split(ids[0]) }))
}
