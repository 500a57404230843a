package cache

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// world is a few groups in one process that reach each other by calls.
type world struct {
	groups []*Group
	down   []atomic.Bool
	loads  atomic.Int64
	clock  testClock
	hold   func()
}

var errDown = errors.New("cannot be reached")

// link is the transport from one to another.
type link struct {
	w  *world
	to int
}

func (l link) Fetch(ctx context.Context, _, key string) (Item, error) {
	if l.w.down[l.to].Load() {
		return Item{}, errDown
	}
	it, err := l.w.groups[l.to].Serve(ctx, key)
	if l.w.down[l.to].Load() {
		return Item{}, errDown // it died meanwhile
	}
	return it, err
}

func (l link) Remove(_ context.Context, _, key string) error {
	if l.w.down[l.to].Load() {
		return errDown
	}
	l.w.groups[l.to].Drop(key)
	return nil
}

// seats is a ring of the simplest kind.
type seats int

func (s seats) Owner(key string) (int, bool) { return int(key[0]) % int(s), true }

func newWorld(t *testing.T, n int, o GroupOptions) *world {
	w := &world{down: make([]atomic.Bool, n), hold: func() {}}
	for i := range n {
		o.Name, o.Now = "g", w.clock.now
		o.Picker = PickBy(seats(n), func(at int) Peer {
			if at == i {
				return nil
			}
			return link{w, at}
		}, func() (all []Peer) {
			for j := range n {
				if j != i {
					all = append(all, link{w, j})
				}
			}
			return all
		})
		o.Load = func(_ context.Context, key string) (Item, error) {
			w.hold()
			if key == "a-missing" {
				return Item{}, ErrNotFound
			}
			return Item{Value: fmt.Appendf(nil, "%s-%d", key, w.loads.Add(1))}, nil
		}
		g, err := NewGroup(o)
		require.NoError(t, err)
		t.Cleanup(func() { require.NoError(t, g.Close()) })
		w.groups = append(w.groups, g)
	}
	return w
}

func TestGroupLoadsOnce(t *testing.T) {
	w := newWorld(t, 3, GroupOptions{TTL: time.Minute})
	for _, key := range []string{"a", "b", "c"} {
		var wg sync.WaitGroup
		for range 100 {
			for _, g := range w.groups {
				wg.Go(func() {
					it, err := g.Get(t.Context(), key)
					if err != nil || it.Value[0] != key[0] {
						t.Errorf("%v, %v", it, err)
					}
				})
			}
		}
		wg.Wait()
	}
	require.Equal(t, int64(3), w.loads.Load())
	_, err := w.groups[0].Get(t.Context(), "a-missing")
	require.ErrorIs(t, err, ErrNotFound)
	w.clock.advance(2 * time.Minute)
	_, err = w.groups[0].Get(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, int64(4), w.loads.Load(), "values end")
}

func TestGroupMirrorsWhatIsHot(t *testing.T) {
	w := newWorld(t, 2, GroupOptions{})
	stranger := w.groups[(int('a')+1)%2]
	for range 2000 {
		w.clock.advance(time.Millisecond)
		_, err := stranger.Get(t.Context(), "a")
		require.NoError(t, err)
	}
	s := stranger.Stats()
	require.Less(t, s.Asked, uint64(300), "after some hundred requests the key is mirrored")
	require.NoError(t, stranger.Remove(t.Context(), "a"))
	it, err := stranger.Get(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, "a-2", string(it.Value), "removed everywhere")
	require.Equal(t, int64(2), w.loads.Load())
	// A key that is asked for now and then is not mirrored.
	for range 100 {
		w.clock.advance(time.Second)
		_, err = stranger.Get(t.Context(), "aa")
		require.NoError(t, err)
	}
	require.Equal(t, s.Asked+1+100, stranger.Stats().Asked)
}

func TestGroupOwnerDies(t *testing.T) {
	w := newWorld(t, 3, GroupOptions{})
	owner := int('a') % 3
	other := w.groups[(owner+1)%3]
	w.hold = func() { w.down[owner].Store(true) } // in the middle of the load
	it, err := other.Get(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, "a-2", string(it.Value))
	for range 10 {
		_, err = other.Get(t.Context(), "a")
		require.NoError(t, err)
	}
	require.Equal(t, int64(2), w.loads.Load(), "one load more than with the owner alive")
	require.Equal(t, uint64(1), other.Stats().Failed)
	require.ErrorIs(t, other.Remove(t.Context(), "a"), errDown)
}

func TestGroupItemsExpire(t *testing.T) {
	w := newWorld(t, 1, GroupOptions{TTL: time.Hour})
	g := w.groups[0]
	now := w.clock.now()
	require.Equal(t, time.Hour, g.lifeOf(Item{}, time.Hour))
	require.Equal(t, time.Minute, g.lifeOf(Item{Expires: now.Add(time.Minute)}, time.Hour))
	require.Equal(t, time.Hour, g.lifeOf(Item{Expires: now.Add(2 * time.Hour)}, time.Hour))
	require.Equal(t, time.Minute, g.lifeOf(Item{Expires: now.Add(time.Minute)}, 0))
	require.Negative(t, g.lifeOf(Item{Expires: now}, 0))
	load := func(context.Context, string) (Item, error) { return Item{}, nil }
	for _, o := range []GroupOptions{
		{},
		{Name: "g", Picker: g.o.Picker},
		{Name: "g", Picker: g.o.Picker, Load: load, MaxBytes: -1},
		{Name: "g", Picker: g.o.Picker, Load: load, TTL: -1, MirrorTTL: -1},
		{Name: "g", Picker: g.o.Picker, Load: load, HotQPS: math.NaN()},
		{Name: "g", Picker: g.o.Picker, Load: load, LoadTimeout: -1},
	} {
		_, err := NewGroup(o)
		require.ErrorIs(t, err, ErrOptions)
	}
}
