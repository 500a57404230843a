package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/router"
	"github.com/ashlar-go/ashlar/examples/internal/program/programtest"
	told "github.com/ashlar-go/ashlar/examples/internal/story"
)

func TestMain(m *testing.M) {
	programtest.Main(m, func() int { return run(os.Args[1:], os.Stdout, os.Stderr) })
}

// fleet is the service as real processes.
type fleet struct {
	*programtest.Fleet
	t      *testing.T
	dir    string
	config config
}

func newFleet(t *testing.T, nodes int) *fleet {
	t.Helper()
	f := &fleet{Fleet: programtest.NewFleet(t), t: t, dir: t.TempDir()}
	addrs := programtest.FreeAddrs(t, nodes+2)
	f.config = config{Listen: addrs[0], Admin: addrs[1], Secret: "of the fleet", Rate: -1, Ranges: 4, Blocked: []string{"not this"}}
	for i, addr := range addrs[2:] {
		f.config.Nodes = append(f.config.Nodes, router.Member{ID: fmt.Sprintf("n%d", i+1), Addr: addr})
	}
	// Durations are left out: they are written as texts.
	b, err := json.Marshal(map[string]any{
		"listen": f.config.Listen, "admin": f.config.Admin, "nodes": f.config.Nodes, "secret": f.config.Secret, "rate": -1, "ranges": 4, "blocked": f.config.Blocked, "halfLife": "720h",
	})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, "config.json"), b, 0o644))
	var terms strings.Builder
	for i := range 500 {
		fmt.Fprintf(&terms, "%c term %d\t%d\n", 'a'+i%26, i, i+1)
	}
	require.NoError(t, os.WriteFile(filepath.Join(f.dir, "terms.txt"), []byte(terms.String()), 0o644))
	return f
}

func (f *fleet) start(id string) {
	f.t.Helper()
	f.Start(id, "serve", "-config", filepath.Join(f.dir, "config.json"), "-id", id, "-dir", filepath.Join(f.dir, id), "-terms", filepath.Join(f.dir, "terms.txt"))
}

func (f *fleet) get(path string, out any) bool {
	addr := f.config.Listen
	if path == "/status" {
		addr = f.config.Admin
	}
	res, err := http.Get("http://" + addr + path)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	return res.StatusCode == http.StatusOK && (out == nil || json.NewDecoder(res.Body).Decode(out) == nil)
}

func (f *fleet) await(what string, ok func() bool) {
	f.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	require.NoError(f.t, told.Await(f.t.Context(), func() bool { return ok() || time.Now().After(deadline) }))
	require.True(f.t, ok(), what)
}

// search returns whether the search was acknowledged.
func (f *fleet) search(query string) bool {
	b, err := json.Marshal(map[string]any{"query": query})
	require.NoError(f.t, err)
	res, err := http.Post("http://"+f.config.Listen+"/api/v1/searches", "application/json", bytes.NewReader(b))
	if err != nil {
		return false
	}
	res.Body.Close()
	return res.StatusCode == http.StatusNoContent
}

// TestProcesses: two nodes and the router as processes; each is killed while searches come
// in, and started again. What was acknowledged is known to all, and answers never stop
// while a node is away.
func TestProcesses(t *testing.T) {
	f := newFleet(t, 2)
	f.start(routerID) // before there is a node that could take the first generation
	f.start("n1")
	f.start("n2")
	f.await("the service is ready", func() bool { return f.get("/healthz", nil) })
	res, err := http.Get("http://" + f.config.Nodes[0].Addr + "/status")
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, http.StatusUnauthorized, res.StatusCode, "nodes speak to their router only")

	acked := 0
	for i := range 60 {
		switch i {
		case 20:
			f.Kill("n1")
		case 40:
			f.Kill(routerID)
			f.start(routerID)
			f.await("the router is back", func() bool { return f.get("/healthz", nil) })
		}
		if f.search("zebra fish") {
			acked++
		}
		var got router.Response
		require.True(t, f.get("/api/v1/suggestions?prefix=b", &got), i)
		require.NotEmpty(t, got.Suggestions)
		require.False(t, got.Degraded, "n2 has all that n1 had")
	}
	require.Equal(t, 60, acked)
	f.start("n1")
	var s router.Status
	f.await("n1 has caught up", func() bool {
		return f.get("/status", &s) && s.Nodes[0].Up && s.Nodes[0].Applied == 60 && s.Nodes[1].Applied == 60
	})
	require.Equal(t, uint64(60), s.Logged)
	res, err = http.Post("http://"+f.config.Admin+"/action/rebuild", "application/json", strings.NewReader("{}"))
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, http.StatusNoContent, res.StatusCode)
	var got router.Response
	require.True(t, f.get("/api/v1/suggestions?prefix=zeb&limit=1", &got))
	require.Equal(t, uint64(2), got.Generation)
	require.Equal(t, "zebra fish", got.Suggestions[0].Query)
	require.GreaterOrEqual(t, got.Suggestions[0].Frequency, 60.0)
	for _, id := range []string{"n1", "n2", routerID} {
		f.Stop(id)
	}
}
