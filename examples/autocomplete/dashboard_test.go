package main

import (
	"io"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/page"
	"github.com/ashlar-go/ashlar/examples/internal/dash"
	"github.com/ashlar-go/ashlar/examples/internal/dash/dashtest"
	told "github.com/ashlar-go/ashlar/examples/internal/story"
)

// TestDashboard presses every button of the story's page, over HTTP.
func TestDashboard(t *testing.T) {
	teller := &teller{Story: told.New(io.Discard, false), o: storyFlags{check: true, dir: filepath.Join(t.TempDir(), "data")}}
	require.NoError(t, teller.open())
	t.Cleanup(func() { require.NoError(t, teller.close()) })
	require.NoError(t, teller.cluster.Router.Seed(t.Context(), func(yield func(string, uint64) bool) { yield("only", 7) }))
	require.NoError(t, teller.cluster.Settled(t.Context()))
	d := dashtest.Remote[page.State]{T: t, Addr: teller.site.Addr}
	becomes := func(id string, up bool) {
		t.Helper()
		require.NoError(t, told.Await(t.Context(), func() bool {
			for _, n := range d.State().Status.Nodes {
				if n.ID == id {
					return n.Up == up
				}
			}
			return false
		}))
	}
	s := d.State()
	require.Len(t, s.Status.Nodes, 3)
	require.Equal(t, uint64(1), s.Status.Generation)
	require.Empty(t, s.Trending)
	require.WithinDuration(t, time.Now(), s.Now, time.Minute)

	require.NoError(t, teller.search(t.Context(), "of now", ""))
	require.NoError(t, teller.cluster.Settled(t.Context()))
	require.Equal(t, "of now", d.State().Trending[0].Query)
	d.Does(page.ActionKill, dash.Args{page.ArgNode: "n2"})
	becomes("n2", false)
	d.Does(page.ActionStart, dash.Args{page.ArgNode: "n2"})
	becomes("n2", true)
	d.Does(page.ActionRebuild, nil)
	require.Equal(t, uint64(2), d.State().Status.Generation)
	d.Does(page.ActionRollback, nil)
	require.Equal(t, uint64(1), d.State().Status.Generation)
	for action, args := range map[string]dash.Args{
		page.ActionKill:     {page.ArgNode: "n9"}, // is not there
		page.ActionStart:    {page.ArgNode: "n1"}, // runs
		page.ActionRollback: {},                   // there is nothing to return to any more
	} {
		d.Press(http.StatusConflict, action, args)
	}
	d.Press(http.StatusNotFound, "dance", nil)
	require.NotEmpty(t, d.State().Events)
}
