package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/internal/dash"
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
	becomes := func(id, health string) {
		t.Helper()
		require.NoError(t, told.Await(ctx, func() bool {
			for _, n := range state().Nodes {
				if n.ID == id {
					return n.State == health
				}
			}
			return false
		}), "%s is not %s", id, health)
	}
	s := state()
	require.Equal(t, "story", s.Cluster)
	require.Len(t, s.Nodes, 5)
	require.Len(t, s.Partitions, 64)
	becomes("n1", page.NodeUp)

	does(page.ActionPut, dash.Args{"node": "n1", "key": "k", "value": "v", "request": "1"})
	does(page.ActionGet, dash.Args{"node": "n2", "key": "k", "request": "2"})
	s = state()
	last := s.Events[len(s.Events)-1]
	require.Equal(t, "2", last.Request)
	require.Equal(t, []string{"v"}, last.Values)
	does(page.ActionResolve, dash.Args{"node": "n3", "key": "k", "value": "w", "request": "3"})

	does(page.ActionKill, dash.Args{"node": "n4"})
	becomes("n4", page.NodeDown)
	for action, args := range map[string]dash.Args{
		page.ActionKill: {"node": "n4"},                         // is down already
		page.ActionGet:  {"node": "n4", "key": "k"},             // cannot be asked
		page.ActionPut:  {"node": "n1", "key": "", "value": ""}, // no key
		page.ActionCut:  {"node": "n9"},                         // is not there
	} {
		status, said := press(action, args)
		require.Equal(t, http.StatusConflict, status, action)
		require.NotEmpty(t, said)
	}
	status, _ := press("dance", dash.Args{"node": "n1"})
	require.Equal(t, http.StatusNotFound, status)
	does(page.ActionStart, dash.Args{"node": "n4"})
	becomes("n4", page.NodeUp)

	does(page.ActionCut, dash.Args{"node": "n5"})
	becomes("n5", page.NodeCut)
	does(page.ActionHeal, dash.Args{})
	becomes("n5", page.NodeUp)
	require.NoError(t, teller.cluster.Ready(ctx))
	r, err := teller.cluster.Node("n5").Get(ctx, []byte("k"), api.ReadOptions{Level: api.All})
	require.NoError(t, err)
	require.Equal(t, "w", string(r.Values[0].Data))
}
