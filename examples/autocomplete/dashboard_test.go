package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/page"
	"github.com/ashlar-go/ashlar/examples/internal/dash"
	told "github.com/ashlar-go/ashlar/examples/internal/story"
)

// TestDashboard presses every button of the story's page, over HTTP.
func TestDashboard(t *testing.T) {
	teller := &teller{Story: told.New(io.Discard, false), o: storyFlags{check: true, dir: filepath.Join(t.TempDir(), "data")}}
	require.NoError(t, teller.open())
	t.Cleanup(func() { require.NoError(t, teller.close()) })
	require.NoError(t, teller.cluster.Router.Seed(t.Context(), func(yield func(string, uint64) bool) { yield("only", 7) }))
	require.NoError(t, teller.cluster.Settled(t.Context()))
	state := func() (s page.State) {
		res, err := http.Get("http://" + teller.site.Addr + "/state")
		require.NoError(t, err)
		defer res.Body.Close()
		require.NoError(t, json.NewDecoder(res.Body).Decode(&s))
		return s
	}
	press := func(action string, args dash.Args) (status int, said string) {
		b, err := json.Marshal(args)
		require.NoError(t, err)
		res, err := http.Post("http://"+teller.site.Addr+"/action/"+action, "application/json", bytes.NewReader(b))
		require.NoError(t, err)
		defer res.Body.Close()
		out, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res.StatusCode, string(out)
	}
	does := func(action string, args dash.Args) {
		t.Helper()
		status, said := press(action, args)
		require.Equal(t, http.StatusNoContent, status, said)
	}
	becomes := func(id string, up bool) {
		t.Helper()
		require.NoError(t, told.Await(t.Context(), func() bool {
			for _, n := range state().Status.Nodes {
				if n.ID == id {
					return n.Up == up
				}
			}
			return false
		}))
	}
	s := state()
	require.Len(t, s.Status.Nodes, 3)
	require.Equal(t, uint64(1), s.Status.Generation)
	require.Empty(t, s.Trending)
	require.WithinDuration(t, time.Now(), s.Now, time.Minute)

	require.NoError(t, teller.search(t.Context(), "of now", ""))
	require.NoError(t, teller.cluster.Settled(t.Context()))
	require.Equal(t, "of now", state().Trending[0].Query)
	does(page.ActionKill, dash.Args{page.ArgNode: "n2"})
	becomes("n2", false)
	does(page.ActionStart, dash.Args{page.ArgNode: "n2"})
	becomes("n2", true)
	does(page.ActionRebuild, nil)
	require.Equal(t, uint64(2), state().Status.Generation)
	does(page.ActionRollback, nil)
	require.Equal(t, uint64(1), state().Status.Generation)
	for action, args := range map[string]dash.Args{
		page.ActionKill:     {page.ArgNode: "n9"}, // is not there
		page.ActionStart:    {page.ArgNode: "n1"}, // runs
		page.ActionRollback: {},                   // there is nothing to return to any more
	} {
		status, said := press(action, args)
		require.Equal(t, http.StatusConflict, status, action)
		require.NotEmpty(t, said)
	}
	status, _ := press("dance", nil)
	require.Equal(t, http.StatusNotFound, status)
	require.NotEmpty(t, state().Events)
}
