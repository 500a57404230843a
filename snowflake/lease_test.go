package snowflake

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/internal/testkit"
)

// faulty is one process's way to a store: cut off, slow, or a liar.
type faulty struct {
	Store
	cut   atomic.Bool // nothing gets through
	delay func() time.Duration
	lie   string
}

var errCut = errors.New("network is down")

func (f *faulty) pause(ctx context.Context) error {
	if f.delay != nil {
		if err := sleep(ctx, f.delay()); err != nil {
			return err
		}
	}
	if f.cut.Load() {
		return errCut
	}
	return nil
}

func (f *faulty) Get(ctx context.Context, key string) ([]byte, int64, error) {
	if err := f.pause(ctx); err != nil {
		return nil, 0, err
	}
	return f.Store.Get(ctx, key)
}

// CompareAndSet may happen long after the caller has given up, and may be applied without
// the caller hearing of it.
func (f *faulty) CompareAndSet(ctx context.Context, key string, rev int64, value []byte) (int64, error) {
	switch f.lie {
	case "forgets":
		return rev + 1, nil
	case "ignores revisions":
		for {
			_, now, err := f.Store.Get(ctx, key)
			if err != nil {
				return 0, err
			}
			if rev, err = f.Store.CompareAndSet(ctx, key, now, value); !errors.Is(err, ErrConflict) {
				return rev, err
			}
		}
	}
	type result struct {
		rev int64
		err error
	}
	done := make(chan result, 1)
	go func() {
		if err := f.pause(context.WithoutCancel(ctx)); err != nil {
			done <- result{0, err}
			return
		}
		rev, err := f.Store.CompareAndSet(context.WithoutCancel(ctx), key, rev, value)
		if f.cut.Load() { // the answer is lost
			rev, err = 0, errCut
		}
		done <- result{rev, err}
	}()
	select {
	case r := <-done:
		return r.rev, r.err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
}

func acquireSoon(t *testing.T, s Store, o LeaseOptions) (*SharedLease, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	return Acquire(ctx, s, o)
}

func TestAcquire(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &MemStore{}
		o := LeaseOptions{Nodes: 3, Prefer: 1}
		var leases []*SharedLease
		for _, want := range []uint64{1, 2, 0} {
			l, err := acquireSoon(t, s, o)
			require.NoError(t, err)
			require.Equal(t, want, l.Node())
			leases = append(leases, l)
		}
		require.NotEqual(t, leases[0].Owner(), leases[1].Owner())
		_, err := acquireSoon(t, s, o)
		require.ErrorIs(t, err, ErrNoNode)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		// Renewed, they stay taken.
		time.Sleep(time.Hour)
		_, err = acquireSoon(t, s, o)
		require.ErrorIs(t, err, ErrNoNode)
		// Somebody waits, and has the node soon after it is released.
		got := make(chan uint64)
		go func() {
			l, err := Acquire(t.Context(), s, o)
			if err != nil {
				t.Error(err)
				close(got)
				return
			}
			got <- l.Node()
			_ = l.Release(context.Background())
		}()
		time.Sleep(time.Minute)
		require.NoError(t, leases[2].Release(t.Context()))
		require.NoError(t, leases[2].Release(t.Context()), "again")
		require.ErrorIs(t, leases[2].Store(t.Context(), time.Now()), ErrLeaseLost)
		_, err = leases[2].Load(t.Context())
		require.ErrorIs(t, err, ErrLeaseLost)
		released := time.Now()
		require.Equal(t, uint64(0), <-got)
		require.LessOrEqual(t, time.Since(released), 10*time.Second/4)
		require.NoError(t, leases[0].Release(t.Context()))
		require.NoError(t, leases[1].Release(t.Context()))
	})
}

func TestLeaseOptions(t *testing.T) {
	for _, o := range []LeaseOptions{{}, {Nodes: -1}, {Nodes: 2, Prefer: 2}, {Nodes: 2, Prefer: -1}, {Nodes: 1, TTL: -1}, {Nodes: 1, TTL: 48 * time.Hour}, {Nodes: 1, Timeout: -1}, {Nodes: 1, Timeout: 2 * time.Hour}} {
		_, err := Acquire(t.Context(), &MemStore{}, o)
		require.ErrorIs(t, err, ErrOptions, "%+v", o)
	}
}

// TestTakeover cuts a holder off, lets another take its node, and holds their ids apart:
// what the first still issues, while it cannot know, is below what the second does.
func TestTakeover(t *testing.T) {
	for name, offset := range map[string]time.Duration{"same clock": 0, "behind": -2 * time.Second, "far behind": -10 * time.Minute, "ahead": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem := &MemStore{}
				net := &faulty{Store: mem}
				o := LeaseOptions{Nodes: 1, TTL: 2 * time.Second}
				first, err := acquireSoon(t, net, o)
				require.NoError(t, err)
				layout := inBubble(Classic)
				g1, err := New(Options{Layout: layout, Lease: first})
				require.NoError(t, err)
				last := next(t, g1)
				net.cut.Store(true)
				clock := &stepped{}
				clock.back(-offset)
				o.Now = clock.now
				second, err := Acquire(t.Context(), mem, o)
				require.NoError(t, err)
				for err == nil {
					var id ID
					if id, err = g1.Next(); err == nil {
						last = id
						time.Sleep(time.Millisecond)
					}
				}
				require.ErrorIs(t, err, ErrMark, "the store does not answer")
				net.cut.Store(false)
				_, err = g1.Next()
				require.ErrorIs(t, err, ErrLeaseLost)
				require.ErrorContains(t, err, second.Owner())
				<-first.Lost()

				g2, err := New(Options{Layout: layout, Lease: second, Now: clock.now, MaxBack: time.Hour})
				require.NoError(t, err)
				id := next(t, g2)
				require.Greater(t, id, last)
				require.Equal(t, layout.Node(last), layout.Node(id))
				require.NoError(t, g1.Close(), "nothing is left to release")
				require.NoError(t, g2.Close())
			})
		})
	}
}

// TestDeadHolderInTheFuture: a record whose expiry never comes, because its writer's clock
// was wrong, is taken when it has not changed for long.
func TestDeadHolderInTheFuture(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := &faulty{Store: &MemStore{}}
		far := LeaseOptions{Nodes: 1, TTL: time.Second, Now: func() time.Time { return time.Now().AddDate(100, 0, 0) }}
		dead, err := acquireSoon(t, net, far)
		require.NoError(t, err)
		net.cut.Store(true)
		start := time.Now()
		l, err := Acquire(t.Context(), net.Store, LeaseOptions{Nodes: 1, TTL: time.Second})
		require.NoError(t, err)
		require.InDelta(t, 3*time.Second, time.Since(start), float64(time.Second))
		require.NoError(t, l.Release(t.Context()))
		require.ErrorIs(t, dead.Release(t.Context()), errCut)
	})
}

func TestDamagedRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &MemStore{}
		for _, damage := range []string{"", "{", "null", "{}", `{"version":2}`, `{"version":1,"mark":"yesterday"}`} {
			_, rev, err := s.Get(t.Context(), "snowflake-node-0")
			require.NoError(t, err)
			_, err = s.CompareAndSet(t.Context(), "snowflake-node-0", rev, []byte(damage))
			require.NoError(t, err)
			_, err = acquireSoon(t, s, LeaseOptions{Nodes: 1})
			require.ErrorIs(t, err, ErrNoNode, "%s", damage)
			require.ErrorIs(t, err, ErrCorrupt, "%s", damage)
			l, err := acquireSoon(t, s, LeaseOptions{Nodes: 2})
			require.NoError(t, err)
			require.Equal(t, uint64(1), l.Node(), "the other one is whole")
			require.NoError(t, l.Release(t.Context()))
		}
		// Damaged under its holder.
		l, err := acquireSoon(t, s, LeaseOptions{Nodes: 2})
		require.NoError(t, err)
		_, rev, err := s.Get(t.Context(), "snowflake-node-1")
		require.NoError(t, err)
		_, err = s.CompareAndSet(t.Context(), "snowflake-node-1", rev, []byte("{"))
		require.NoError(t, err)
		err = l.Store(t.Context(), time.Now())
		require.ErrorIs(t, err, ErrLeaseLost)
		require.ErrorIs(t, err, ErrCorrupt)
		require.NoError(t, l.Release(t.Context()))
		require.ErrorIs(t, l.Store(t.Context(), time.Date(1e5, 1, 1, 0, 0, 0, 0, time.UTC)), ErrLeaseLost)
	})
}

// TestLyingStore gives two holders the same node, as stores do that are not linearizable.
func TestLyingStore(t *testing.T) {
	for _, lie := range []string{"forgets", "ignores revisions"} {
		t.Run(lie, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				mem := &MemStore{}
				net := &faulty{Store: mem}
				o := LeaseOptions{Nodes: 1, TTL: time.Second}
				first, err := acquireSoon(t, net, o)
				require.NoError(t, err)
				layout := inBubble(Classic)
				g1, err := New(Options{Layout: layout, Lease: first})
				require.NoError(t, err)
				last := next(t, g1)
				net.lie = lie
				net.cut.Store(true)
				second, err := Acquire(t.Context(), mem, o)
				require.NoError(t, err)
				g2, err := New(Options{Layout: layout, Lease: second})
				require.NoError(t, err)
				require.Greater(t, next(t, g2), last)
				net.cut.Store(false)
				for err == nil {
					time.Sleep(10 * time.Millisecond)
					_, err = g1.Next()
				}
				require.ErrorIs(t, err, ErrLeaseLost)
				_, err = g2.Next()
				require.NoError(t, err)
				require.NoError(t, g1.Close())
				require.NoError(t, g2.Close())
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		net := &faulty{Store: &MemStore{}, lie: "forgets"}
		_, err := acquireSoon(t, net, LeaseOptions{Nodes: 1})
		require.ErrorIs(t, err, ErrStore)
	})
}

// TestLeaseWorld runs processes over a store for a while: they are cut off, crash, are slow,
// and have clocks that differ and are stepped; writes arrive long after their writer gave
// up. All ids of all of them must differ.
func TestLeaseWorld(t *testing.T) {
	rng := testkit.Rand(t)
	worlds := 60
	if testing.Short() {
		worlds = 40
	}
	var total, losses int
	for range worlds {
		synctest.Test(t, func(t *testing.T) {
			w := &world{rng: rng, store: &MemStore{}, seen: map[ID]string{}}
			w.run(t)
			total += len(w.seen)
			losses += w.losses
		})
	}
	t.Logf("%d ids, %d lost leases", total, losses)
	require.Greater(t, losses, worlds/2, "a world in which nothing happens proves nothing")
}

type world struct {
	rng    *rand.Rand
	store  *MemStore
	seen   map[ID]string
	losses int
}

// process is one of a world's, in one of its lives.
type process struct {
	name  string
	net   *faulty
	clock *stepped
	gen   *Generator
}

func (w *world) run(t *testing.T) {
	const nodes = 2
	ps := make([]*process, 3)
	var dead []*process
	for i := range ps {
		ps[i] = w.born(fmt.Sprint("p", i, ".0"))
	}
	for step := range 150 {
		i := w.rng.IntN(len(ps))
		p := ps[i]
		switch w.rng.IntN(12) {
		case 0:
			p.net.cut.Store(!p.net.cut.Load())
		case 1:
			p.clock.back(time.Duration(w.rng.Int64N(int64(4*time.Second))) - 2*time.Second)
		case 2: // kill -9
			p.net.cut.Store(true)
			dead = append(dead, p)
			ps[i] = w.born(fmt.Sprint("p", i, ".", step))
		case 3:
			time.Sleep(time.Duration(w.rng.Int64N(int64(3 * time.Second))))
		default:
			w.live(t, p, nodes)
			time.Sleep(time.Duration(w.rng.Int64N(int64(100 * time.Millisecond))))
		}
	}
	for _, p := range append(ps, dead...) {
		if p.gen != nil {
			_ = p.gen.Close()
		}
	}
	time.Sleep(time.Minute) // what is still under way arrives
}

func (w *world) born(name string) *process {
	delays := rand.New(rand.NewPCG(w.rng.Uint64(), 0))
	mu := make(chan struct{}, 1)
	p := &process{name: name, clock: &stepped{}}
	p.net = &faulty{Store: w.store, delay: func() time.Duration {
		mu <- struct{}{}
		defer func() { <-mu }()
		if delays.IntN(20) == 0 {
			return time.Duration(delays.Int64N(int64(8 * time.Second)))
		}
		return time.Duration(delays.Int64N(int64(20 * time.Millisecond)))
	}}
	p.clock.back(time.Duration(w.rng.Int64N(int64(6*time.Second))) - 3*time.Second)
	return p
}

// live is a moment in a process's life: it gets a lease, or some ids.
func (w *world) live(t *testing.T, p *process, nodes int) {
	if p.gen == nil {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		l, err := Acquire(ctx, p.net, LeaseOptions{Nodes: nodes, TTL: time.Second, Now: p.clock.now})
		if err != nil {
			return
		}
		g, err := New(Options{Layout: inBubble(Classic), Lease: l, Now: p.clock.now, MarkEvery: 300 * time.Millisecond})
		if err != nil {
			require.ErrorIs(t, err, ErrClock)
			return
		}
		p.gen = g
	}
	ids := make([]ID, 1+w.rng.IntN(50))
	err := p.gen.Fill(ids)
	if errors.Is(err, ErrLeaseLost) {
		w.losses++
		_ = p.gen.Close()
		p.gen = nil
		return
	}
	if err != nil {
		require.True(t, errors.Is(err, ErrMark) || errors.Is(err, ErrClock), "%v", err)
		return
	}
	for _, id := range ids {
		require.Empty(t, w.seen[id], "%d of %s too", id, p.name)
		w.seen[id] = p.name
	}
}

// TestAcquireRace: of those who see a free node at the same time, one gets it.
func TestAcquireRace(t *testing.T) {
	rng := testkit.Rand(t)
	for range 20 {
		synctest.Test(t, func(t *testing.T) {
			mem := &MemStore{}
			leases := make(chan *SharedLease, 6)
			var wg sync.WaitGroup
			for range cap(leases) {
				d := time.Duration(1 + rng.IntN(3))
				wg.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), time.Second)
					defer cancel()
					l, err := Acquire(ctx, &faulty{Store: mem, delay: func() time.Duration { return d }}, LeaseOptions{Nodes: 2})
					if err == nil {
						leases <- l
					} else if !errors.Is(err, ErrNoNode) {
						t.Error(err)
					}
				})
			}
			wg.Wait()
			require.Len(t, leases, 2)
			a, b := <-leases, <-leases
			require.NotEqual(t, a.Node(), b.Node())
			require.NoError(t, a.Release(t.Context()))
			require.NoError(t, b.Release(t.Context()))
		})
	}
}

// FuzzLeaseRecord leases a node whose record is anything: it is taken, left alone, or
// refused, and what is taken keeps its mark.
func FuzzLeaseRecord(f *testing.F) {
	f.Add(`{"version":1,"owner":"","expires":"0001-01-01T00:00:00Z","mark":"2026-11-26T09:00:00Z"}`)
	f.Add(`{"version":1,"owner":"x","expires":"2000-01-01T00:00:00Z","mark":"2026-11-26T09:00:00Z"}`)
	f.Add(`{"version":1,"owner":"x","expires":"9999-01-01T00:00:00Z"}`)
	f.Add(`{"version":1e0}`)
	f.Add(`null`)
	o, err := LeaseOptions{Nodes: 1}.validate()
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, value string) {
		s := &MemStore{}
		_, err := s.CompareAndSet(t.Context(), "snowflake-node-0", 0, []byte(value))
		require.NoError(t, err)
		l, err := acquire(t.Context(), s, o, map[uint64]sighting{})
		if err != nil {
			require.ErrorIs(t, err, ErrCorrupt)
			return
		}
		if l == nil {
			return
		}
		var was leaseRecord
		require.NoError(t, json.Unmarshal([]byte(value), &was))
		mark, err := l.Load(t.Context())
		require.NoError(t, err)
		require.True(t, was.Mark.Equal(mark))
		require.NoError(t, l.Release(t.Context()))
	})
}
