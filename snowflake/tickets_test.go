package snowflake

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// switched is a source that can be switched off.
type switched struct {
	TicketSource
	off   atomic.Bool
	slow  time.Duration
	takes atomic.Int64
}

var errOff = errors.New("source is off")

func (s *switched) Take(ctx context.Context, n int64) (Block, error) {
	s.takes.Add(1)
	if s.slow > 0 {
		if err := sleep(ctx, s.slow); err != nil {
			return Block{}, err
		}
	}
	if s.off.Load() {
		return Block{}, errOff
	}
	return s.TicketSource.Take(ctx, n)
}

func newSource(t testing.TB, o CounterOptions) *switched {
	t.Helper()
	o.Key = "counter"
	s, err := NewStoreTickets(&MemStore{}, o)
	require.NoError(t, err)
	return &switched{TicketSource: s}
}

func newTickets(t testing.TB, o TicketOptions) *Tickets {
	t.Helper()
	ts, err := NewTickets(o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = ts.Close() })
	return ts
}

// TestTicketsUnique: several servers with several users each, two sources, one of which
// comes and goes.
func TestTicketsUnique(t *testing.T) {
	primary, secondary := newSource(t, CounterOptions{Offset: 0, Step: 2}), newSource(t, CounterOptions{Offset: 1, Step: 2})
	var mu sync.Mutex
	seen := map[ID]bool{}
	var wg sync.WaitGroup
	for range 3 {
		ts := newTickets(t, TicketOptions{Sources: []TicketSource{primary, secondary}, Block: 100, Retry: time.Microsecond})
		for range 3 {
			wg.Go(func() {
				for i := range 3000 {
					id, err := ts.Next(t.Context())
					if err != nil {
						t.Error(err)
						return
					}
					if i%500 == 0 {
						primary.off.Store(!primary.off.Load())
					}
					mu.Lock()
					if seen[id] {
						t.Errorf("%d twice", id)
					}
					seen[id] = true
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	require.Len(t, seen, 27_000)
}

func TestTicketChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		primary, secondary := newSource(t, CounterOptions{Offset: 0, Step: 2}), newSource(t, CounterOptions{Offset: 1, Step: 2})
		gen := newTest(t, Options{Layout: inBubble(Classic)})
		ts := newTickets(t, TicketOptions{Sources: []TicketSource{primary, secondary}, Block: 4, Fallback: gen.Next})
		take := func(want ...ID) {
			t.Helper()
			for _, w := range want {
				id, err := ts.Next(t.Context())
				require.NoError(t, err)
				require.Equal(t, w, id)
				synctest.Wait() // the next block is there, if it can be
			}
		}
		take(0, 2, 4)
		primary.off.Store(true)
		take(6, 8, 10, 12, 14) // the spare block was taken when half of the first was used
		take(1, 3, 5)          // the secondary
		secondary.off.Store(true)
		take(7, 9, 11, 13, 15)
		id, err := ts.Next(t.Context())
		require.NoError(t, err)
		require.Greater(t, id, ID(1<<52), "the generator")
		takes := primary.takes.Load()
		for range 100 {
			_, err = ts.Next(t.Context())
			require.NoError(t, err)
		}
		require.Equal(t, takes, primary.takes.Load(), "left alone for a while")
		primary.off.Store(false)
		time.Sleep(2 * time.Second)
		take(16, 18)
		s := ts.Stats()
		require.Equal(t, int64(18), s.Issued)
		require.Equal(t, int64(101), s.Fallbacks)
		require.Equal(t, []int64{3, 2}, s.Blocks)
		require.Contains(t, s.String(), "18 issued")
		require.NoError(t, ts.Close())
		require.NoError(t, ts.Close())
		_, err = ts.Next(t.Context())
		require.ErrorIs(t, err, ErrClosed)
	})
}

func TestTicketFailures(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		off := newSource(t, CounterOptions{})
		off.off.Store(true)
		ts := newTickets(t, TicketOptions{Sources: []TicketSource{off}})
		_, err := ts.Next(t.Context())
		require.ErrorIs(t, err, ErrTickets)
		require.ErrorIs(t, err, errOff)

		bad := errors.New("no luck")
		ts = newTickets(t, TicketOptions{Sources: []TicketSource{off}, Fallback: func() (ID, error) { return 0, bad }})
		_, err = ts.Next(t.Context())
		require.ErrorIs(t, err, bad)
		require.ErrorIs(t, err, errOff)
		ts = newTickets(t, TicketOptions{Sources: []TicketSource{off}, Fallback: func() (ID, error) { return 1<<52 - 1, nil }})
		_, err = ts.Next(t.Context())
		require.ErrorIs(t, err, ErrRange, "it might be a ticket")

		// A source that hangs is given up; a caller may give up earlier.
		slow := newSource(t, CounterOptions{})
		slow.slow = time.Hour
		ts = newTickets(t, TicketOptions{Sources: []TicketSource{slow}})
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		_, err = ts.Next(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		start := time.Now()
		_, err = ts.Next(t.Context())
		require.ErrorIs(t, err, ErrTickets)
		require.LessOrEqual(t, time.Since(start), time.Second)
		time.Sleep(2 * time.Second)
		go func() { _, _ = ts.Next(t.Context()) }()
		synctest.Wait()
		require.NoError(t, ts.Close(), "with a Take under way")
	})
}

type fixed Block

func (f fixed) Take(context.Context, int64) (Block, error) { return Block(f), nil }

func TestTicketRange(t *testing.T) {
	for _, b := range []Block{
		{First: 1, Count: 0},
		{First: 1, Count: -1},
		{First: -1, Count: 2},
		{First: 1, Count: 2, Step: -1},
		{First: 1 << 52, Count: 1},
		{First: 1<<52 - 1, Count: 2},
		{First: 1, Count: math.MaxInt64, Step: math.MaxInt64},
		{First: 0, Count: 3, Step: 1 << 51},
	} {
		_, err := newTickets(t, TicketOptions{Sources: []TicketSource{fixed(b)}}).Next(t.Context())
		require.ErrorIs(t, err, ErrRange, "%+v", b)
		require.ErrorIs(t, err, ErrTickets)
	}
	ts := newTickets(t, TicketOptions{Sources: []TicketSource{fixed{First: 1<<52 - 2, Count: 2}}})
	for _, want := range []ID{1<<52 - 2, 1<<52 - 1} {
		id, err := ts.Next(t.Context())
		require.NoError(t, err)
		require.Equal(t, want, id)
	}
}

func TestStoreTickets(t *testing.T) {
	for _, o := range []CounterOptions{{}, {Key: "k", Offset: -1}, {Key: "k", Step: -1}, {Key: "k", Offset: 2, Step: 2}} {
		_, err := NewStoreTickets(&MemStore{}, o)
		require.ErrorIs(t, err, ErrOptions, "%+v", o)
	}
	_, err := NewStoreTickets(nil, CounterOptions{Key: "k"})
	require.ErrorIs(t, err, ErrOptions)
	mem := &MemStore{}
	s, err := NewStoreTickets(mem, CounterOptions{Key: "k", Offset: 1000})
	require.NoError(t, err)
	b, err := s.Take(t.Context(), 10)
	require.NoError(t, err)
	require.Equal(t, Block{1000, 10, 1}, b)
	b, err = s.Take(t.Context(), 1)
	require.NoError(t, err)
	require.Equal(t, Block{1010, 1, 1}, b)
	for _, n := range []int64{0, -1} {
		_, err = s.Take(t.Context(), n)
		require.ErrorIs(t, err, ErrRange)
	}
	_, err = s.Take(t.Context(), math.MaxInt64)
	require.ErrorIs(t, err, ErrRange)
	rev := int64(2)
	for _, damage := range []string{"", "x", "-1", "1.5", "99999999999999999999"} {
		rev, err = mem.CompareAndSet(t.Context(), "k", rev, []byte(damage))
		require.NoError(t, err)
		_, err = s.Take(t.Context(), 1)
		require.ErrorIs(t, err, ErrCorrupt, "%q", damage)
	}
	for _, o := range []TicketOptions{{}, {Sources: []TicketSource{s}, Block: -1}, {Sources: []TicketSource{s}, Below: -1}} {
		_, err = NewTickets(o)
		require.ErrorIs(t, err, ErrOptions)
	}
}
