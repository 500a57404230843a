package cluster

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// node is one member with what it was told.
type node struct {
	*Cluster
	mu        sync.Mutex
	alive     map[string]bool // guarded by mu
	conflicts int             // guarded by mu
	changed   chan struct{}
}

func open(t *testing.T, o Options) *node {
	t.Helper()
	n := &node{alive: map[string]bool{}, changed: make(chan struct{}, 1)}
	o.ProbeInterval, o.Rejoin = 100*time.Millisecond, 50*time.Millisecond
	poke := func() {
		select {
		case n.changed <- struct{}{}:
		default:
		}
	}
	o.OnChange = func(m Member) {
		n.mu.Lock()
		n.alive[m.ID] = m.Alive
		n.mu.Unlock()
		poke()
	}
	o.OnConflict = func(Member, Member) {
		n.mu.Lock()
		n.conflicts++
		n.mu.Unlock()
		poke()
	}
	var err error
	n.Cluster, err = Open(o)
	require.NoError(t, err)
	t.Cleanup(func() {
		require.NoError(t, n.Close())
		require.NoError(t, n.Close())
	})
	return n
}

// await waits, by events and not by sleeping, until ok holds.
func (n *node) await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	limit := time.NewTimer(30 * time.Second)
	defer limit.Stop()
	for {
		n.mu.Lock()
		done := ok()
		n.mu.Unlock()
		if done {
			return
		}
		select {
		case <-n.changed:
		case <-limit.C:
			t.Fatalf("%s: not within 30 s", what)
		}
	}
}

func (n *node) sees(ids ...string) func() bool {
	return func() bool {
		for _, id := range ids {
			if !n.alive[id] {
				return false
			}
		}
		return true
	}
}

func TestMembersMeetAndCrash(t *testing.T) {
	a := open(t, Options{ID: "a", Meta: []byte("meta of a")})
	b := open(t, Options{ID: "b", Peers: []string{a.Addr()}})
	c := open(t, Options{ID: "c", Peers: []string{a.Addr()}})
	for _, n := range []*node{a, b, c} {
		n.await(t, "all three meet", n.sees("a", "b", "c"))
	}
	for _, m := range c.Members() {
		if m.ID == "a" {
			require.Equal(t, "meta of a", string(m.Meta))
			require.Equal(t, a.Addr(), m.Addr)
		}
	}
	require.NoError(t, c.Close())
	a.await(t, "a crash is seen", func() bool { return !a.alive["c"] })
	b.await(t, "a crash is seen", func() bool { return !b.alive["c"] })
}

func TestLeaveIsTold(t *testing.T) {
	a := open(t, Options{ID: "a"})
	b := open(t, Options{ID: "b", Peers: []string{a.Addr()}})
	a.await(t, "they meet", a.sees("b"))
	require.NoError(t, b.Leave(5*time.Second))
	a.await(t, "b has left", func() bool { return !a.alive["b"] })
}

// Two halves that were cut until each took the other for dead find each other again.
func TestRejoinAfterCut(t *testing.T) {
	var cut atomic.Bool
	o := Options{Cut: func(string) bool { return cut.Load() }}
	o.ID = "a"
	a := open(t, o)
	o.ID, o.Peers = "b", []string{a.Addr()}
	b := open(t, o)
	a.AddPeers(b.Addr())
	a.await(t, "they meet", a.sees("b"))
	cut.Store(true)
	a.await(t, "b is lost", func() bool { return !a.alive["b"] })
	b.await(t, "a is lost", func() bool { return !b.alive["a"] })
	cut.Store(false)
	a.await(t, "b is back", a.sees("b"))
	b.await(t, "a is back", b.sees("a"))
}

// A node that comes back under its name at another address is the same member.
func TestRestartElsewhere(t *testing.T) {
	a := open(t, Options{ID: "a"})
	b := open(t, Options{ID: "b", Peers: []string{a.Addr()}})
	a.await(t, "they meet", a.sees("b"))
	require.NoError(t, b.Close())
	a.await(t, "b is lost", func() bool { return !a.alive["b"] })
	open(t, Options{ID: "b", Peers: []string{a.Addr()}})
	a.await(t, "b is back", a.sees("b"))
}

func TestTwoNodesOfOneName(t *testing.T) {
	a := open(t, Options{ID: "a"})
	b := open(t, Options{ID: "b", Peers: []string{a.Addr()}})
	a.await(t, "they meet", a.sees("b"))
	open(t, Options{ID: "b", Peers: []string{a.Addr()}})
	a.await(t, "the conflict is told", func() bool { return a.conflicts > 0 })
	for _, m := range a.Members() {
		if m.ID == "b" {
			require.Equal(t, b.Addr(), m.Addr, "the claimant is not admitted")
		}
	}
}

func TestBadOptions(t *testing.T) {
	for _, o := range []Options{
		{},
		{ID: "a", Meta: make([]byte, MaxMeta+1)},
		{ID: "a", Bind: "nonsense"},
		{ID: "a", Bind: "127.0.0.1:99999"},
		{ID: "a", Rejoin: -1},
	} {
		_, err := Open(o)
		require.ErrorIs(t, err, ErrOptions, fmt.Sprintf("%+.60v", o))
	}
}

// A failed Open gives its port back and leaves no goroutine.
func TestFailedOpen(t *testing.T) {
	a := open(t, Options{ID: "a"})
	for range 10 {
		_, err := Open(Options{ID: "b", Bind: a.Addr()})
		require.Error(t, err)
	}
}
