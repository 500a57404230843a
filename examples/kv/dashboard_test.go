package main

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/internal/dash"
	"github.com/ashlar-go/ashlar/examples/internal/dash/dashtest"
	told "github.com/ashlar-go/ashlar/examples/internal/story"
	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
	"github.com/ashlar-go/ashlar/examples/kv/internal/page"
)

// TestDashboard presses every button of the story's dashboard, over HTTP.
func TestDashboard(t *testing.T) {
	teller := &teller{Story: told.New(io.Discard, false), want: map[string][]byte{}}
	require.NoError(t, teller.open(storyFlags{check: true, dir: t.TempDir()}))
	t.Cleanup(func() { require.NoError(t, teller.close()) })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	require.NoError(t, teller.cluster.Ready(ctx))
	d := dashtest.Remote[page.State]{T: t, Addr: teller.site.Addr}
	becomes := func(id, health string) {
		t.Helper()
		require.NoError(t, told.Await(ctx, func() bool {
			for _, n := range d.State().Nodes {
				if n.ID == id {
					return n.State == health
				}
			}
			return false
		}), "%s is not %s", id, health)
	}
	s := d.State()
	require.Equal(t, "story", s.Cluster)
	require.Len(t, s.Nodes, 5)
	require.Len(t, s.Partitions, 64)
	becomes("n1", page.NodeUp)

	d.Does(page.ActionPut, dash.Args{"node": "n1", "key": "k", "value": "v", "request": "1"})
	d.Does(page.ActionGet, dash.Args{"node": "n2", "key": "k", "request": "2"})
	s = d.State()
	last := s.Events[len(s.Events)-1]
	require.Equal(t, "2", last.Request)
	require.Equal(t, []string{"v"}, last.Values)
	d.Does(page.ActionResolve, dash.Args{"node": "n3", "key": "k", "value": "w", "request": "3"})

	d.Does(page.ActionKill, dash.Args{"node": "n4"})
	becomes("n4", page.NodeDown)
	for action, args := range map[string]dash.Args{
		page.ActionKill: {"node": "n4"},                         // is down already
		page.ActionGet:  {"node": "n4", "key": "k"},             // cannot be asked
		page.ActionPut:  {"node": "n1", "key": "", "value": ""}, // no key
		page.ActionCut:  {"node": "n9"},                         // is not there
	} {
		d.Press(http.StatusConflict, action, args)
	}
	d.Press(http.StatusNotFound, "dance", dash.Args{"node": "n1"})
	d.Does(page.ActionStart, dash.Args{"node": "n4"})
	becomes("n4", page.NodeUp)

	d.Does(page.ActionCut, dash.Args{"node": "n5"})
	becomes("n5", page.NodeCut)
	d.Does(page.ActionHeal, dash.Args{})
	becomes("n5", page.NodeUp)
	require.NoError(t, teller.cluster.Ready(ctx))
	r, err := teller.cluster.Node("n5").Get(ctx, []byte("k"), api.ReadOptions{Level: api.All})
	require.NoError(t, err)
	require.Equal(t, "w", string(r.Values[0].Data))
}
