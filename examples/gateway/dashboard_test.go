package main

import (
	"context"
	"io"
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/gateway/internal/local"
	"github.com/ashlar-go/ashlar/examples/gateway/internal/page"
	"github.com/ashlar-go/ashlar/examples/internal/dash"
	"github.com/ashlar-go/ashlar/examples/internal/dash/dashtest"
	told "github.com/ashlar-go/ashlar/examples/internal/story"
)

// TestDashboard presses every button of the story's dashboard, over HTTP.
func TestDashboard(t *testing.T) {
	teller := &teller{Story: told.New(io.Discard, false), data: folder(t, 30)}
	require.NoError(t, teller.open(t.Context(), storyFlags{check: true, data: teller.data}))
	t.Cleanup(func() { require.NoError(t, teller.close()) })
	require.NoError(t, teller.local.Gateways[0].Ready(t.Context()))
	d := dashtest.Remote[page.State]{T: t, Addr: teller.site.Addr}
	backend := func(id string) (found page.Backend) {
		for _, p := range d.State().Pools {
			for _, b := range p.Backends {
				if b.ID == id {
					found = b
				}
			}
		}
		return found
	}
	becomes := func(id, health string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		require.NoError(t, told.Await(ctx, func() bool { return backend(id).State == health }), "%s is not %s", id, health)
	}
	s := d.State()
	require.Len(t, s.Gateways, 2)
	require.Len(t, s.Pools, 2)
	require.Len(t, s.Routes, 6)
	require.False(t, s.Real)

	path := local.Escape("/src/", teller.names[0])
	d.Does(page.ActionSend, dash.Args{"path": path, "key": local.StandbyKey, "from": "10.0.0.1", "count": "20", "request": "1"})
	s = d.State()
	last := s.Events[len(s.Events)-1]
	require.Equal(t, "1", last.Request)
	require.Equal(t, map[string]int{"200": 20}, last.Statuses)
	require.NotEmpty(t, last.Limit)
	require.Equal(t, "key eve-1", s.Clients[0].Name)
	require.EqualValues(t, 20, s.Clients[0].Admitted)

	d.Does(page.ActionKill, dash.Args{"backend": "s1"})
	becomes("s1", page.BackendDown)
	require.False(t, backend("s1").Runs)
	d.Does(page.ActionStart, dash.Args{"backend": "s1"})
	becomes("s1", page.BackendUp)
	d.Does(page.ActionSlow, dash.Args{"backend": "s2"})
	require.True(t, backend("s2").Slow)
	d.Does(page.ActionFast, dash.Args{"backend": "s2"})
	d.Does(page.ActionDrain, dash.Args{"pool": "sources", "backend": "s3"})
	becomes("s3", page.BackendDrained)
	d.Does(page.ActionAdmit, dash.Args{"pool": "sources", "backend": "s3"})
	becomes("s3", page.BackendUp)
	d.Does(page.ActionPolicy, dash.Args{"pool": "sources", "policy": "ip-hash"})
	s = d.State()
	require.Equal(t, "ip-hash", s.Pools[0].Policy)
	require.Equal(t, "dashboard", s.Audits[len(s.Audits)-1].By)
	if teller.local.Redis != nil {
		d.Does(page.ActionRedis, dash.Args{"to": "down"})
		d.Does(page.ActionSend, dash.Args{"path": path, "count": "8", "request": "2"})
		require.True(t, d.State().Gateways[0].Down)
		d.Does(page.ActionRedis, dash.Args{"to": "up"})
	} else {
		t.Log(teller.local.NoRedis)
	}

	for _, bad := range []struct {
		action string
		args   dash.Args
	}{
		{page.ActionKill, dash.Args{"backend": "s9"}},
		{page.ActionStart, dash.Args{"backend": "s1"}}, // runs already
		{page.ActionDrain, dash.Args{"pool": "sources", "backend": "s9"}},
		{page.ActionDrain, dash.Args{"pool": "none", "backend": "s1"}},
		{page.ActionPolicy, dash.Args{"pool": "sources", "policy": "best"}},
		{page.ActionPolicy, dash.Args{"pool": "none", "policy": "ip-hash"}},
		{page.ActionRedis, dash.Args{"to": "the moon"}},
		{page.ActionSend, dash.Args{"path": path, "count": "0"}},
		{page.ActionSend, dash.Args{"path": path, "count": "many"}},
		{page.ActionSend, dash.Args{"path": path, "count": "501"}},
		{page.ActionSend, dash.Args{"path": "no path", "count": "1"}},
	} {
		d.Press(http.StatusConflict, bad.action, bad.args)
	}
	d.Press(http.StatusNotFound, "dance", dash.Args{})
}
