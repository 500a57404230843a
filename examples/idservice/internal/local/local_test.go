package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/idservice/internal/api"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/client"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/ledger"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/node"
	"github.com/ashlar-go/ashlar/examples/internal/story"
	"github.com/ashlar-go/ashlar/internal/testkit"
	"github.com/ashlar-go/ashlar/snowflake"
)

const ttl = 150 * time.Millisecond

func start(t *testing.T, workers int, ids ...string) *Service {
	t.Helper()
	s, err := New(Options{IDs: ids, Store: &snowflake.MemStore{}, Workers: workers, TTL: ttl})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	for i, h := range s.Hosts() {
		require.NoError(t, h.Start())
		if i < workers {
			require.NoError(t, h.Ready(t.Context()))
		}
	}
	return s
}

func await(t *testing.T, what string, f func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	require.NoError(t, story.Await(ctx, f), what)
}

func take(t *testing.T, h *Host, n int) []snowflake.ID {
	t.Helper()
	ids := make([]snowflake.ID, n)
	require.NoError(t, h.Fill(ids))
	return ids
}

// TestFrozenPastItsLease: the spare gets the worker id of a node that is frozen. What that
// one still issues when it wakes up, with the clock of before and no way to the store, is
// below all of the spare's; when it reaches the store it stops.
func TestFrozenPastItsLease(t *testing.T) {
	s := start(t, 1, "a", "b")
	a, b := s.Host("a"), s.Host("b")
	before := take(t, a, 10)
	require.NoError(t, a.Freeze())
	require.Equal(t, Frozen, a.Look().State)
	waiting := make(chan []snowflake.ID)
	go func() { // a request that is under way when the process freezes
		ids := make([]snowflake.ID, 10)
		if a.Fill(ids) != nil {
			ids = nil
		}
		waiting <- ids
	}()
	await(t, "b gets the worker id", func() bool { return b.Look().Worker == 0 })
	after := take(t, b, 10)
	require.NoError(t, a.Thaw())
	late := <-waiting
	require.NotNil(t, late)
	late = append(late, take(t, a, 1000)...)
	require.Greater(t, late[0], before[9])
	require.Less(t, late[len(late)-1], after[0], "the late ids end before the successor's begin")
	require.NoError(t, a.Connect())
	await(t, "a learns that the lease is lost", func() bool { return a.Look().Lost == 1 })
	err := a.Fill(make([]snowflake.ID, 1))
	require.ErrorIs(t, err, api.ErrNoLease)
	require.ErrorIs(t, err, snowflake.ErrLeaseLost)

	a.Clock.SetRight()
	require.NoError(t, b.Stop())
	await(t, "a gets the worker id again", func() bool { return a.Look().Worker == 0 })
	require.Greater(t, take(t, a, 1)[0], after[9])
	require.Equal(t, int64(2), a.Look().Leases)
}

// TestKilledAndTheClockSetBack: after a crash with the clock set back by more than MaxBack
// the node does not serve until the clock is right; with less it serves at once. Either way
// its ids go on above those of before.
func TestKilledAndTheClockSetBack(t *testing.T) {
	s := start(t, 1, "a")
	a := s.Host("a")
	for _, back := range []time.Duration{10 * time.Minute, time.Second} {
		last := take(t, a, 1000)[999]
		require.NoError(t, a.Kill())
		require.ErrorIs(t, a.Fill(make([]snowflake.ID, 1)), api.ErrNoLease)
		a.Clock.Step(-back)
		require.NoError(t, a.Start())
		if back > time.Minute {
			await(t, "the clock is refused", func() bool { return errors.Is(a.Fill(make([]snowflake.ID, 1)), snowflake.ErrClock) })
			require.Equal(t, int64(-1), a.Look().Worker)
			a.Clock.SetRight()
		}
		await(t, "serves", func() bool { return a.Look().Worker == 0 })
		require.Greater(t, take(t, a, 1)[0], last)
	}
}

// TestClockSteps: a small step back is smoothed over, a large one refused until it is undone.
func TestClockSteps(t *testing.T) {
	var mu sync.Mutex
	var told []string // guarded by mu
	s, err := New(Options{IDs: []string{"a"}, Store: &snowflake.MemStore{}, Workers: 1, TTL: ttl, Event: func(e node.Event) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, e.Kind)
	}})
	require.NoError(t, err)
	defer s.Close()
	a := s.Host("a")
	require.NoError(t, a.Start())
	require.NoError(t, a.Ready(t.Context()))
	last := take(t, a, 1)[0]
	a.Clock.Step(-2 * time.Second)
	next := take(t, a, 1)[0]
	require.Greater(t, next, last)
	require.Equal(t, int64(1), a.Look().Absorbed)
	require.Less(t, a.Look().Drift, -1900.0)
	a.Clock.Step(-time.Hour)
	err = a.Fill(make([]snowflake.ID, 1))
	require.Error(t, a.Fill(make([]snowflake.ID, 1)))
	wrong, ok := errors.AsType[*snowflake.ClockError](err)
	require.True(t, ok, "%v", err)
	require.Greater(t, wrong.Back, 59*time.Minute)
	a.Clock.SetRight()
	require.Greater(t, take(t, a, 2)[0], next)
	mu.Lock()
	defer mu.Unlock()
	require.Equal(t, []string{"lease", "clock", "clock"}, told, "refused, and good again, each told once")
}

// brittle is a store that can be made to stall, or to lose what it acknowledges.
type brittle struct {
	snowflake.MemStore
	mu    sync.Mutex
	stall bool // guarded by mu
	lie   bool // guarded by mu
}

func (s *brittle) set(stall, lie bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stall, s.lie = stall, lie
}

func (s *brittle) CompareAndSet(ctx context.Context, key string, rev int64, value []byte) (int64, error) {
	s.mu.Lock()
	stall, lie := s.stall, s.lie
	s.mu.Unlock()
	switch {
	case stall:
		<-ctx.Done()
		return 0, ctx.Err()
	case lie:
		return rev + 1, nil
	}
	return s.MemStore.CompareAndSet(ctx, key, rev, value)
}

// TestStoreStalls: a store that does not answer ends the ids when what was announced is used
// up, and not before; when it answers again the node goes on.
func TestStoreStalls(t *testing.T) {
	store := &brittle{}
	s, err := New(Options{IDs: []string{"a"}, Store: store, Workers: 1, TTL: ttl})
	require.NoError(t, err)
	defer s.Close()
	a := s.Host("a")
	require.NoError(t, a.Start())
	require.NoError(t, a.Ready(t.Context()))
	take(t, a, 1)
	store.set(true, false)
	take(t, a, 1)
	await(t, "late", func() bool { return a.Look().State == "late" })
	await(t, "no mark, no id", func() bool {
		return errors.Is(a.Fill(make([]snowflake.ID, api.MaxFill)), snowflake.ErrMark)
	})
	store.set(false, false)
	await(t, "goes on", func() bool { return a.Fill(make([]snowflake.ID, 1)) == nil })
	store.set(false, true)
	await(t, "a store that lies costs the lease", func() bool { return a.Look().Lost > 0 })
	require.ErrorIs(t, a.Fill(make([]snowflake.ID, 1)), api.ErrNoLease)
	store.set(false, false)
	await(t, "serves again", func() bool { return a.Fill(make([]snowflake.ID, 1)) == nil })
}

// TestImpossible: what cannot be done to a node is an error.
func TestImpossible(t *testing.T) {
	s := start(t, 1, "a")
	a := s.Host("a")
	require.ErrorIs(t, a.Start(), ErrState)
	require.ErrorIs(t, a.Thaw(), ErrState)
	require.NoError(t, a.Freeze())
	require.ErrorIs(t, a.Freeze(), ErrState)
	require.ErrorIs(t, a.Connect(), ErrState)
	require.NoError(t, a.Kill(), "a frozen process can be killed")
	require.ErrorIs(t, a.Kill(), ErrState)
	require.ErrorIs(t, a.Stop(), ErrState)
	require.ErrorIs(t, a.Freeze(), ErrState)
	require.Equal(t, Down, a.Look().State)
	require.Nil(t, s.Host("x"))
	require.NoError(t, a.Start())
	require.NoError(t, a.Freeze())
	// Close stops a frozen node too.
}

// TestNoDuplicate does at random what the other tests do in turn, while clients take ids
// over both protocols: none comes twice, and the nodes serve again when it is over.
func TestNoDuplicate(t *testing.T) {
	s := start(t, 3, "a", "b", "c", "d")
	rng := testkit.Rand(t)
	book := ledger.New(t.TempDir(), 1<<16)
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for _, h := range s.Hosts() {
		for _, c := range []client.Taker{client.NewHTTP(h.HTTP), client.NewRedis(h.Redis)} {
			clients.Go(func() {
				defer c.Close()
				for ctx.Err() == nil {
					ids, err := c.Take(ctx, 500)
					if errors.Is(err, client.ErrAnswer) {
						t.Error(err)
					}
					if err := book.Add(ids...); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
	pause := func(most time.Duration) {
		timer := time.NewTimer(time.Duration(rng.Int64N(int64(most))))
		<-timer.C
	}
	for end := time.Now().Add(4 * time.Second); time.Now().Before(end); pause(4 * ttl) {
		h := s.Hosts()[rng.IntN(4)]
		switch rng.IntN(4) {
		case 0:
			require.NoError(t, h.Kill())
			h.Clock.Step(-time.Duration(rng.Int64N(int64(3 * time.Second))))
			pause(ttl)
			require.NoError(t, h.Start())
		case 1:
			require.NoError(t, h.Freeze())
			pause(6 * ttl)
			require.NoError(t, h.Thaw())
			pause(ttl) // awake, and without the store
			require.NoError(t, h.Connect())
		case 2:
			h.Clock.Step(-time.Duration(rng.Int64N(int64(time.Second))))
		default:
			h.Clock.SetRight()
		}
	}
	for _, h := range s.Hosts() {
		h.Clock.SetRight()
	}
	await(t, "three nodes serve", func() bool {
		serving := 0
		for _, h := range s.Hosts() {
			if h.Look().Worker >= 0 {
				serving++
			}
		}
		return serving == 3
	})
	cancel()
	clients.Wait()
	r, err := book.Verify(func(int64, int64) {})
	require.NoError(t, err)
	require.Empty(t, r.Duplicates)
	require.Equal(t, r.Count, r.Distinct)
	require.Greater(t, r.Count, int64(10_000))
	t.Logf("%d ids, none twice", r.Count)
}

// TestDamagedStore: nobody gets a worker id whose record cannot be read, for its mark is
// unknown; the others are as good as before.
func TestDamagedStore(t *testing.T) {
	dir := t.TempDir()
	store, err := snowflake.NewDirStore(dir)
	require.NoError(t, err)
	s, err := New(Options{IDs: []string{"a"}, Store: store, Workers: 2, TTL: ttl})
	require.NoError(t, err)
	defer s.Close()
	a := s.Host("a")
	damage := func(worker int64) {
		files, err := filepath.Glob(filepath.Join(dir, fmt.Sprintf("*-%d", worker)))
		require.NoError(t, err)
		require.Len(t, files, 1)
		b, err := os.ReadFile(files[0])
		require.NoError(t, err)
		b[len(b)/2] ^= 1
		require.NoError(t, os.WriteFile(files[0], b, 0o644))
	}
	for want := range int64(2) {
		require.NoError(t, a.Start())
		require.NoError(t, a.Ready(t.Context()))
		require.Equal(t, want, a.Look().Worker)
		take(t, a, 1)
		require.NoError(t, a.Stop())
		damage(want)
	}
	require.NoError(t, a.Start())
	await(t, "all are damaged", func() bool { return errors.Is(a.Fill(make([]snowflake.ID, 1)), snowflake.ErrCorrupt) })
	require.ErrorIs(t, a.Fill(make([]snowflake.ID, 1)), api.ErrNoLease)

	require.NoError(t, os.RemoveAll(dir))
	await(t, "the folder is gone", func() bool { return errors.Is(a.Fill(make([]snowflake.ID, 1)), fs.ErrNotExist) })
}

// TestClockBeyondTheLayout: a clock before the epoch, or after the last time that an id can
// tell, is refused; when it is set right the node serves.
func TestClockBeyondTheLayout(t *testing.T) {
	const year = 365 * 24 * time.Hour
	s, err := New(Options{IDs: []string{"a"}, Store: &snowflake.MemStore{}, Workers: 1, TTL: ttl})
	require.NoError(t, err)
	defer s.Close()
	a := s.Host("a")
	for step, want := range map[time.Duration]error{-30 * year: snowflake.ErrEpoch, 100 * year: snowflake.ErrExhausted} {
		a.Clock.Step(step)
		require.NoError(t, a.Start())
		await(t, "refused", func() bool { return errors.Is(a.Fill(make([]snowflake.ID, 1)), want) })
		a.Clock.SetRight()
		await(t, "serves", func() bool { return a.Fill(make([]snowflake.ID, 1)) == nil })
		require.NoError(t, a.Stop())
	}
}
