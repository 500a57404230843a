package snowflake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/internal/testkit"
)

// memMark is a mark in memory, with faults.
type memMark struct {
	mu     sync.Mutex
	t      time.Time
	stores int
	fail   error                                        // what Store and Load return
	hook   func(ctx context.Context, t time.Time) error // called by Store first
}

func (m *memMark) Load(context.Context) (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.t, m.fail
}

func (m *memMark) Store(ctx context.Context, t time.Time) error {
	m.mu.Lock()
	hook := m.hook
	m.mu.Unlock()
	if hook != nil {
		if err := hook(ctx, t); err != nil {
			return err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	m.t = t
	m.stores++
	return nil
}

func (m *memMark) set(fail error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = fail
}

func (m *memMark) setHook(hook func(context.Context, time.Time) error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.hook = hook
}

// memLease is a lease of a node that is never lost.
type memLease struct {
	memMark
	node     uint64
	released bool
}

func (l *memLease) Node() uint64 { return l.node }

func (l *memLease) Release(context.Context) error {
	l.released = true
	return nil
}

// TestMarkIsAheadOfEveryID runs on a disk that is slow at random, with pauses and steps of
// the clock, and holds every id against what is durable at that moment.
func TestMarkIsAheadOfEveryID(t *testing.T) {
	rng := testkit.Rand(t)
	for range 50 {
		synctest.Test(t, func(t *testing.T) {
			delays := rand.New(rand.NewPCG(rng.Uint64(), 0))
			m := &memMark{hook: func(context.Context, time.Time) error {
				time.Sleep(time.Duration(delays.Int64N(int64(900 * time.Millisecond))))
				return nil
			}}
			clock := &stepped{}
			l := inBubble(Layout{TimeBits: 41, NodeBits: 18, SeqBits: 4})
			g := newTest(t, Options{Layout: l, Mark: m, Now: clock.now, MaxAhead: 700 * time.Millisecond})
			ids := make([]ID, 5000)
			var last ID
			for range 300 {
				batch := ids[:1+rng.IntN(2)*rng.IntN(len(ids))]
				require.NoError(t, g.Fill(batch))
				id := batch[len(batch)-1]
				require.Greater(t, id, last)
				last = id
				durable, err := m.Load(t.Context())
				require.NoError(t, err)
				require.True(t, g.o.Layout.Time(id).Before(durable), "%v is not before %v", g.o.Layout.Time(id), durable)
				require.LessOrEqual(t, g.Stats().MarkedTo, durable)
				switch rng.IntN(20) {
				case 0:
					clock.back(time.Duration(rng.Int64N(int64(time.Second))))
				case 1:
					clock.back(-time.Hour)
				case 2:
					time.Sleep(time.Hour)
				default:
					time.Sleep(time.Duration(rng.Int64N(int64(300 * time.Millisecond))))
				}
			}
		})
	}
}

// TestRestartWithTheClockBack kills a generator at a random moment, also between an id and
// the end of a Store that may come true or not, sets the clock back by ten minutes, and
// starts the next.
func TestRestartWithTheClockBack(t *testing.T) {
	rng := testkit.Rand(t)
	refused := 0
	for range 1000 {
		synctest.Test(t, func(t *testing.T) {
			clock := &stepped{}
			m := &memMark{}
			var crashed, lost bool
			delays := rand.New(rand.NewPCG(rng.Uint64(), 0))
			m.hook = func(context.Context, time.Time) error {
				time.Sleep(time.Duration(delays.Int64N(int64(100 * time.Millisecond))))
				m.mu.Lock()
				defer m.mu.Unlock()
				if crashed && lost {
					return errors.New("the process is dead")
				}
				return nil
			}
			o := Options{Layout: inBubble(Classic), Node: 3, Mark: m, Now: clock.now, MarkEvery: 200 * time.Millisecond}
			g, err := New(o)
			require.NoError(t, err)
			var last ID
			ids := make([]ID, 1000)
			for range rng.IntN(30) {
				require.NoError(t, g.Fill(ids))
				require.Greater(t, ids[0], last)
				last = ids[len(ids)-1]
				time.Sleep(time.Duration(rng.Int64N(int64(20 * time.Millisecond))))
			}
			m.mu.Lock()
			crashed, lost = true, rng.IntN(2) == 0
			m.mu.Unlock()
			synctest.Wait()
			time.Sleep(time.Second) // a running Store ends

			clock.back(10 * time.Minute)
			m.setHook(nil)
			g2, err := New(o)
			if last != 0 {
				require.ErrorIs(t, err, ErrClock)
				refused++
			}
			o.MaxBack = time.Hour
			if err != nil {
				g2, err = New(o)
				require.NoError(t, err)
			}
			for range 3 {
				require.NoError(t, g2.Fill(ids))
				require.Greater(t, ids[0], last, "issued before the crash")
				last = ids[len(ids)-1]
			}
			require.NoError(t, g2.Close())
		})
	}
	require.Greater(t, refused, 900)
}

// TestMarkWithinAUnit runs into a mark that does not move, in a moment of the clock.
func TestMarkWithinAUnit(t *testing.T) {
	for _, seqBits := range []uint8{4, 12} {
		synctest.Test(t, func(t *testing.T) {
			l := inBubble(Layout{TimeBits: 41, NodeBits: 22 - seqBits, SeqBits: seqBits})
			m := &memMark{}
			g := newTest(t, Options{Layout: l, Mark: m, MarkEvery: 2 * time.Millisecond, MaxAhead: time.Second})
			next(t, g)
			time.Sleep(time.Millisecond)
			last := next(t, g) // the first of the clock's unit
			m.setHook(func(ctx context.Context, _ time.Time) error {
				<-ctx.Done()
				return ctx.Err()
			})
			n, start := 1, time.Now()
			for id, err := range g.All() {
				if err != nil {
					require.ErrorIs(t, err, ErrMark)
					break
				}
				require.Greater(t, id, last)
				require.True(t, l.Time(id).Before(m.t))
				last = id
				n++
			}
			require.InDelta(t, 3<<seqBits, n, 3, "all that the mark allows, but for what is spent on nothing")
			require.Equal(t, 2*time.Millisecond, time.Since(start))
			m.setHook(nil)
		})
	}
}

// TestMarkUnderContention crosses marks all the time, from several goroutines.
func TestMarkUnderContention(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 10_000
	}
	m := &memMark{}
	g := newTest(t, Options{Layout: Wide, Mark: m, MarkEvery: time.Millisecond})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			last := ID(0)
			for range n {
				id, err := g.Next()
				for errors.Is(err, ErrMark) { // the machine is busy
					id, err = g.Next()
				}
				if err != nil || id <= last {
					t.Errorf("%d after %d: %v", id, last, err)
					return
				}
				last = id
				if durable, _ := m.Load(t.Context()); !Wide.Time(id).Before(durable) {
					t.Errorf("%v is not before %v", Wide.Time(id), durable)
					return
				}
			}
		})
	}
	wg.Wait()
	require.Positive(t, g.Stats().Marks)
}

func TestMarkThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		full := errors.New("disk full")
		m := &memMark{}
		g := newTest(t, Options{Layout: inBubble(Classic), Mark: m})
		last := next(t, g)
		synctest.Wait()
		m.set(full)
		start := time.Now()
		var err error
		for err == nil {
			time.Sleep(time.Millisecond)
			var id ID
			if id, err = g.Next(); err == nil {
				require.Greater(t, id, last)
				last = id
			}
		}
		require.ErrorIs(t, err, ErrMark)
		require.ErrorIs(t, err, full)
		require.InDelta(t, 2*time.Second, time.Since(start), float64(5*time.Millisecond), "as far as the last mark reached")
		tries := g.Stats().MarkErrors
		require.Greater(t, tries, int64(1), "tried again before it hurt")
		require.Less(t, tries, int64(30), "but not all the time")
		m.set(nil)
		require.Greater(t, next(t, g), last)
		require.Contains(t, g.Stats().String(), "failed")
	})
}

func TestMarkThatStalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &memMark{hook: func(ctx context.Context, _ time.Time) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(10 * time.Second):
				return nil
			}
		}}
		g, err := New(Options{Layout: inBubble(Classic), Mark: m})
		require.NoError(t, err)
		for range 3 {
			before := time.Now()
			_, err := g.Next()
			require.ErrorIs(t, err, ErrMark)
			require.ErrorContains(t, err, "not durable after 1s")
			require.Equal(t, time.Second, time.Since(before))
		}
		time.Sleep(7 * time.Second)
		_, err = g.Next() // the Store that ended was for a time that is past
		require.ErrorIs(t, err, ErrMark)
		before := time.Now()
		require.ErrorIs(t, g.Close(), ErrMark)
		require.LessOrEqual(t, time.Since(before), 5*time.Second)
		require.ErrorIs(t, g.Close(), ErrMark, "the same again")
	})
}

func TestMarkThatCannotBeRead(t *testing.T) {
	bad := errors.New("bad sector")
	_, err := New(Options{Mark: &memMark{fail: bad}})
	require.ErrorIs(t, err, ErrMark)
	require.ErrorIs(t, err, bad)
	m := &memMark{t: time.Now().Add(time.Minute)}
	_, err = New(Options{Mark: m, MaxBack: -1})
	var ce *ClockError
	require.ErrorAs(t, err, &ce)
	require.InDelta(t, time.Minute, ce.Back, float64(time.Second))
}

// TestCloseIsExact closes while others take ids, and holds each id against the final mark.
func TestCloseIsExact(t *testing.T) {
	for range 10 {
		m := &memMark{}
		g, err := New(Options{Layout: Wide, Mark: m})
		require.NoError(t, err)
		var wg sync.WaitGroup
		var last [4]ID
		started := make(chan struct{}, len(last))
		for w := range last {
			wg.Go(func() {
				for n := 0; ; n++ {
					id, err := g.Next()
					if err != nil {
						if !errors.Is(err, ErrClosed) {
							t.Error(err)
						}
						return
					}
					last[w] = id
					if n == 1000 {
						started <- struct{}{}
					}
				}
			})
		}
		<-started
		require.NoError(t, g.Close())
		wg.Wait()
		for _, id := range last {
			require.True(t, Wide.Time(id).Before(m.t))
		}
		require.Equal(t, Wide.Time(max(last[0], last[1], last[2], last[3])).Add(time.Millisecond), m.t)
		_, err = g.Next()
		require.ErrorIs(t, err, ErrClosed)
		require.ErrorIs(t, g.Fill(make([]ID, 2)), ErrClosed)
	}
}

// TestCloseWithoutIDs leaves the mark as it found it.
func TestCloseWithoutIDs(t *testing.T) {
	at := time.Now().Add(time.Second).Truncate(time.Millisecond).UTC()
	m := &memMark{t: at}
	g, err := New(Options{Mark: m})
	require.NoError(t, err)
	require.NoError(t, g.Close())
	require.Equal(t, at, m.t)
}

// TestNextRunWithoutMark: the clock alone keeps two runs apart, if it is not set back.
func TestNextRunWithoutMark(t *testing.T) {
	last := ID(0)
	ids := make([]ID, 30_000) // in Classic, more than seven milliseconds have
	for range 5 {
		g, err := New(Options{})
		require.NoError(t, err)
		require.NoError(t, g.Fill(ids))
		require.Greater(t, ids[0], last)
		last = ids[len(ids)-1]
		require.NoError(t, g.Close())
	}
}

func TestLostLeaseIsFinal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &memLease{node: 9}
		g, err := New(Options{Layout: inBubble(Classic), Lease: l})
		require.NoError(t, err)
		require.Equal(t, uint64(9), Classic.Node(next(t, g)))
		l.set(fmt.Errorf("%w: taken", ErrLeaseLost))
		for err == nil {
			time.Sleep(time.Millisecond)
			_, err = g.Next()
		}
		require.ErrorIs(t, err, ErrLeaseLost)
		l.set(nil)
		_, err = g.Next()
		require.ErrorIs(t, err, ErrLeaseLost)
		require.True(t, g.Stats().Lost)
		stores := l.stores
		require.NoError(t, g.Close())
		require.Equal(t, stores, l.stores, "the node's mark is somebody else's by now")
		require.True(t, l.released)
	})
}

// curious is a log handler that asks the generator back.
type curious struct {
	slog.Handler
	g    *Generator
	said []string
}

func (c *curious) Enabled(context.Context, slog.Level) bool { return true }

func (c *curious) Handle(_ context.Context, r slog.Record) error {
	_ = c.g.Stats()
	c.said = append(c.said, r.Message)
	return nil
}

// TestLogger: what goes wrong is told, and whoever is told may ask back.
func TestLogger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &curious{}
		l, clock := &memLease{}, &stepped{}
		g, err := New(Options{Layout: inBubble(Classic), Lease: l, Now: clock.now, Logger: slog.New(c)})
		require.NoError(t, err)
		c.g = g
		next(t, g)
		clock.back(time.Second)
		next(t, g)
		for _, fail := range []error{errors.New("full"), ErrLeaseLost} {
			l.set(fail)
			clock.back(-time.Minute)
			_, err = g.Next()
			require.ErrorIs(t, err, fail)
			synctest.Wait()
		}
		require.Equal(t, []string{"snowflake: the clock went back", "snowflake: the mark is not durable", "snowflake: lease lost"}, c.said)
		require.NoError(t, g.Close())
	})
}
