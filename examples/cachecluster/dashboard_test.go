package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/page"
	"github.com/ashlar-go/ashlar/examples/internal/dash"
	tale "github.com/ashlar-go/ashlar/examples/internal/story"
)

// TestDashboard presses every button of the story's dashboard, over HTTP.
func TestDashboard(t *testing.T) {
	teller := &teller{Story: tale.New(io.Discard, false), o: storyFlags{check: true, dir: t.TempDir()}, want: map[string]string{}}
	require.NoError(t, teller.open())
	t.Cleanup(func() { require.NoError(t, teller.close()) })
	require.Eventually(t, teller.cluster.Ready, patience, 5*time.Millisecond)
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
	node := func(id string) (found page.Node) {
		for _, n := range state().Nodes {
			if n.ID == id {
				found = n
			}
		}
		return found
	}
	becomes := func(id, health string) {
		t.Helper()
		require.Eventually(t, func() bool { return node(id).State == health }, patience, 5*time.Millisecond, "%s is not %s", id, health)
	}
	said := func() string { e := state().Events; return e[len(e)-1].Text }
	require.Equal(t, 3, state().Totals.Serving)
	does(page.ActionRun, dash.Args{page.ArgCommand: "SET greeting hello"})
	require.Equal(t, "greeting hello → OK", said())
	does(page.ActionRun, dash.Args{page.ArgCommand: "GET greeting"})
	require.Equal(t, `greeting → "hello"`, said())
	require.Equal(t, 1, state().Totals.Keys)
	for _, bad := range []string{"", "FLY", "SUBSCRIBE x", "LPUSH greeting x"} {
		status, _ := press(page.ActionRun, dash.Args{page.ArgCommand: bad})
		require.Equal(t, http.StatusConflict, status, bad)
	}
	before := node("n2").Slots
	does(page.ActionMove, dash.Args{page.ArgNode: "n1"})
	require.Equal(t, before+moved, node("n2").Slots)
	does(page.ActionKill, dash.Args{page.ArgNode: "n3"})
	require.Equal(t, page.NodeDown, node("n3").State)
	becomes("n6", page.NodeServing)
	does(page.ActionStart, dash.Args{page.ArgNode: "n3"})
	becomes("n3", page.NodeReplica)
	status, text := press(page.ActionStart, dash.Args{page.ArgNode: "n3"})
	require.Equal(t, http.StatusConflict, status)
	require.Contains(t, text, "n3 runs")
	status, _ = press(page.ActionKill, dash.Args{page.ArgNode: "n9"})
	require.Equal(t, http.StatusConflict, status)
	status, _ = press("dance", dash.Args{})
	require.Equal(t, http.StatusNotFound, status)
}
