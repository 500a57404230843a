package node_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/internal/story"
	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
	"github.com/ashlar-go/ashlar/examples/kv/internal/core"
	"github.com/ashlar-go/ashlar/examples/kv/internal/local"
	"github.com/ashlar-go/ashlar/examples/kv/internal/node"
	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/lsm/lsmtest"
)

// quick makes a cluster's periods short.
func quick(_ string, c *core.Options) { c.Ping, c.Exchange, c.Linger = 100, 300, 200 }

func put(t *testing.T, s api.Store, key, value string, o api.WriteOptions) {
	t.Helper()
	_, err := s.Put(t.Context(), []byte(key), []byte(value), o)
	require.NoError(t, err, key)
}

func requireValue(t *testing.T, s api.Store, key, value string, o api.ReadOptions) {
	t.Helper()
	r, err := s.Get(t.Context(), []byte(key), o)
	require.NoError(t, err, key)
	require.Len(t, r.Values, 1, key)
	require.Equal(t, value, string(r.Values[0].Data))
}

// TestDiskFull: a node whose disk is full refuses what it would have to store, goes on
// answering, and takes writes again when there is room. Nothing acknowledged is lost.
func TestDiskFull(t *testing.T) {
	disks := map[string]*lsmtest.FS{"n1": lsmtest.NewFS(), "n2": lsmtest.NewFS(), "n3": lsmtest.NewFS()}
	c := start(t, local.Options{Nodes: 3, Partitions: 4, FS: func(id string) lsm.FS { return disks[id] }})
	put(t, c.Node("n1"), "before", "1", api.WriteOptions{})
	disks["n1"].Limit(disks["n1"].Used())
	for i := range 20 {
		// Two owners of three are enough.
		put(t, c.Node("n2"), fmt.Sprintf("while %d", i), "2", api.WriteOptions{})
	}
	short, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	_, err := c.Node("n2").Put(short, []byte("at all"), nil, api.WriteOptions{Level: api.All})
	require.Error(t, err, "not with a full disk")
	requireValue(t, c.Node("n1"), "before", "1", api.ReadOptions{})

	disks["n1"].Limit(0)
	require.NoError(t, story.Await(t.Context(), func() bool { return c.Node("n1").Look().DiskError == "" }))
	require.NoError(t, c.Level(t.Context()))
	put(t, c.Node("n1"), "after", "3", api.WriteOptions{Level: api.All})
	for i := range 20 {
		requireValue(t, c.Node("n1"), fmt.Sprintf("while %d", i), "2", api.ReadOptions{Level: api.All})
	}
}

// TestAllDisksFull: a write that nobody can store is refused by name.
func TestAllDisksFull(t *testing.T) {
	disk := lsmtest.NewFS()
	c := start(t, local.Options{Nodes: 1, Replicas: 1, Partitions: 4, FS: func(string) lsm.FS { return disk }})
	put(t, c.Node("n1"), "k", "before", api.WriteOptions{})
	disk.Limit(disk.Used())
	// The first may still be buffered, and its outcome unknown; then it is plain.
	require.NoError(t, story.Await(t.Context(), func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := c.Node("n1").Put(ctx, []byte("k"), []byte("during"), api.WriteOptions{})
		require.Error(t, err)
		return errors.Is(err, api.ErrNoSpace)
	}))
	require.Contains(t, c.Node("n1").Look().DiskError, "no space")
	disk.Limit(0)
	require.NoError(t, story.Await(t.Context(), func() bool { return c.Node("n1").Look().DiskError == "" }))
	put(t, c.Node("n1"), "k", "after", api.WriteOptions{})
	requireValue(t, c.Node("n1"), "k", "after", api.ReadOptions{})
}

// TestLostDisk: a node with an empty directory has no say before it is rebuilt.
func TestLostDisk(t *testing.T) {
	o := local.Options{Nodes: 3, Partitions: 4, Dir: t.TempDir(), Tune: quick, Probe: 100 * time.Millisecond}
	c, err := local.New(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	require.NoError(t, c.StartAll())
	require.NoError(t, c.Ready(t.Context()))
	for i := range 50 {
		put(t, c.Node("n1"), fmt.Sprint(i), "v", api.WriteOptions{})
	}
	require.NoError(t, c.Kill("n2"))
	require.NoError(t, os.RemoveAll(filepath.Join(o.Dir, "n2")))
	require.NoError(t, c.Start("n2"))
	require.NoError(t, c.Ready(t.Context()))
	require.NoError(t, c.Level(t.Context()))
	for i := range 50 {
		got, err := c.Node("n2").Local([]byte(fmt.Sprint(i)))
		require.NoError(t, err)
		require.Len(t, got, 1)
	}
}

// TestOldCopy: a directory that is put back from a copy is noticed and brought level
// before anybody counts on it.
func TestOldCopy(t *testing.T) {
	disks := map[string]*lsmtest.FS{"n1": lsmtest.NewFS(), "n2": lsmtest.NewFS(), "n3": lsmtest.NewFS()}
	c := start(t, local.Options{Nodes: 3, Partitions: 4, FS: func(id string) lsm.FS { return disks[id] }})
	put(t, c.Node("n1"), "k", "old", api.WriteOptions{Level: api.All})
	require.NoError(t, c.Kill("n2"))
	backup := disks["n2"].Clone()
	require.NoError(t, c.Start("n2"))
	require.NoError(t, c.Ready(t.Context()))
	put(t, c.Node("n1"), "k", "new", api.WriteOptions{Level: api.All})
	require.NoError(t, c.Kill("n2"))
	disks["n2"] = backup
	require.NoError(t, c.Start("n2"))
	require.NoError(t, c.Ready(t.Context()))
	require.EqualValues(t, 1, c.Node("n2").Look().Stats.Restored)
	got, err := c.Node("n2").Local([]byte("k"))
	require.NoError(t, err)
	require.Equal(t, "new", string(got[0]))
}

// events collects what nodes say.
type events struct {
	mu  sync.Mutex
	all []node.Event // guarded by mu
}

func (e *events) add(ev node.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, ev)
}

func (e *events) count(n, peer, text string) (count int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, ev := range e.all {
		if ev.Node == n && ev.Peer == peer && len(ev.Text) >= len(text) && ev.Text[:len(text)] == text {
			count++
		}
	}
	return count
}

// TestWrongTable: a node that was told another partition table is refused and says so
// once; the others go on.
func TestWrongTable(t *testing.T) {
	var e events
	c := start(t, local.Options{Nodes: 3, Partitions: 4, Event: e.add})
	require.NoError(t, c.Kill("n3"))
	wrong := *c.Config
	wrong.Partitions = 8
	n, err := node.Open(node.Options{Config: &wrong, ID: "n3", Dir: t.TempDir(), Probe: 100 * time.Millisecond, Tune: func(o *core.Options) { quick("", o) }, Event: e.add})
	require.NoError(t, err)
	defer n.Close()
	require.NoError(t, story.Await(t.Context(), func() bool {
		return e.count("n1", "n3", "has another partition table") > 0 && e.count("n3", "n1", "has another partition table") > 0
	}))
	_, err = n.Put(t.Context(), []byte("k"), nil, api.WriteOptions{})
	require.ErrorIs(t, err, api.ErrUnavailable)
	put(t, c.Node("n1"), "k", "v", api.WriteOptions{})
	require.Equal(t, 1, e.count("n1", "n3", "has another partition table"), "said once")
}

// TestTwoNodesOneName: the second process of a name gets no say, whatever it does, and
// the cluster goes on with the first.
func TestTwoNodesOneName(t *testing.T) {
	var e events
	c := start(t, local.Options{Nodes: 3, Partitions: 4, Event: e.add})
	put(t, c.Node("n1"), "k", "v", api.WriteOptions{Level: api.All})

	// On the same addresses it does not even start.
	_, err := node.Open(node.Options{Config: c.Config, ID: "n3", Dir: t.TempDir()})
	require.Error(t, err)

	// On others of its own it does.
	other, err := local.New(local.Options{Nodes: 3, Partitions: 4, Dir: t.TempDir()})
	require.NoError(t, err)
	twisted := *c.Config
	twisted.Nodes = append([]node.Member(nil), c.Config.Nodes...)
	twisted.Nodes[2].Peer, twisted.Nodes[2].Gossip = other.Config.Nodes[2].Peer, other.Config.Nodes[2].Gossip
	twin, err := node.Open(node.Options{Config: &twisted, ID: "n3", Dir: t.TempDir(), Probe: 100 * time.Millisecond, Tune: func(o *core.Options) { quick("", o) }, Event: e.add})
	require.NoError(t, err)
	defer twin.Close()
	require.NoError(t, story.Await(t.Context(), func() bool { return e.count("n1", "n3", "two nodes have this name") > 0 }))
	_, err = twin.Put(t.Context(), []byte("k"), []byte("twin"), api.WriteOptions{})
	require.ErrorIs(t, err, api.ErrUnavailable)
	require.NoError(t, c.Ready(t.Context()))
	requireValue(t, c.Node("n3"), "k", "v", api.ReadOptions{Level: api.All})
	put(t, c.Node("n3"), "k", "w", api.WriteOptions{Level: api.All})
}
