package node_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
	"github.com/ashlar-go/ashlar/examples/kv/internal/local"
)

func start(t *testing.T, o local.Options) *local.Cluster {
	t.Helper()
	o.Dir = t.TempDir()
	if o.Tune == nil {
		o.Tune = quick
	}
	o.Probe = 100 * time.Millisecond
	c, err := local.New(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, c.Close()) })
	require.NoError(t, c.StartAll())
	require.NoError(t, c.Ready(t.Context()))
	return c
}

func TestCluster(t *testing.T) {
	c := start(t, local.Options{Nodes: 4, Partitions: 8})
	ctx := t.Context()
	for i := range 100 {
		key := fmt.Appendf(nil, "key %d", i)
		_, err := c.Node(c.IDs()[i%4]).Put(ctx, key, fmt.Appendf(nil, "value %d", i), api.WriteOptions{})
		require.NoError(t, err)
		r, err := c.Node(c.IDs()[(i+1)%4]).Get(ctx, key, api.ReadOptions{})
		require.NoError(t, err)
		require.Len(t, r.Values, 1)
		require.Equal(t, fmt.Sprintf("value %d", i), string(r.Values[0].Data))
	}
	page, err := c.Node("n1").Scan(ctx, []byte("key "), api.ScanOptions{Limit: 1000})
	require.NoError(t, err)
	require.Len(t, page.Entries, 100)

	// One goes; the others go on and keep what it misses.
	require.NoError(t, c.Kill("n2"))
	require.NoError(t, c.Ready(ctx))
	for i := range 100 {
		_, err := c.Node("n1").Delete(ctx, fmt.Appendf(nil, "key %d", i), api.WriteOptions{})
		require.NoError(t, err)
	}
	require.NoError(t, c.Start("n2"))
	require.NoError(t, c.Ready(ctx))
	require.NoError(t, c.Level(ctx))
	page, err = c.Node("n2").Scan(ctx, nil, api.ScanOptions{ReadOptions: api.ReadOptions{Level: api.All}})
	require.NoError(t, err)
	require.Empty(t, page.Entries)
	require.Nil(t, page.Next)
}

func TestCut(t *testing.T) {
	c := start(t, local.Options{Nodes: 3, Partitions: 4})
	ctx := t.Context()
	key := []byte("k")
	c.CutOff("n1")
	require.NoError(t, c.Ready(ctx))
	_, err := c.Node("n1").Put(ctx, key, []byte("alone"), api.WriteOptions{})
	require.ErrorIs(t, err, api.ErrUnavailable)
	_, err = c.Node("n1").Put(ctx, key, []byte("one side"), api.WriteOptions{Level: api.One, Mode: api.Blind})
	require.NoError(t, err)
	_, err = c.Node("n2").Put(ctx, key, []byte("other side"), api.WriteOptions{})
	require.NoError(t, err)
	c.Heal()
	require.NoError(t, c.Ready(ctx))
	require.NoError(t, c.Level(ctx))
	r, err := c.Node("n3").Get(ctx, key, api.ReadOptions{Level: api.All})
	require.NoError(t, err)
	require.Len(t, r.Values, 2)
	_, err = c.Node("n1").Put(ctx, key, []byte("both"), api.WriteOptions{Mode: api.Given, Context: r.Context})
	require.NoError(t, err)
	r, err = c.Node("n2").Get(ctx, key, api.ReadOptions{})
	require.NoError(t, err)
	require.Len(t, r.Values, 1)
}

func TestDeadlineAndClose(t *testing.T) {
	c := start(t, local.Options{Nodes: 3, Partitions: 4})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	n := c.Node("n1")
	_, err := n.Get(ctx, []byte("k"), api.ReadOptions{})
	if err != nil { // it may have been faster
		require.ErrorIs(t, err, api.ErrUnavailable)
	}
	require.NoError(t, c.Kill("n1"))
	_, err = n.Get(t.Context(), []byte("k"), api.ReadOptions{})
	require.ErrorIs(t, err, api.ErrClosed)
	_, err = n.Put(t.Context(), []byte("k"), nil, api.WriteOptions{})
	require.ErrorIs(t, err, api.ErrClosed)
	require.Equal(t, "n1", n.Look().ID)
	require.NoError(t, n.Close(), "again")
}
