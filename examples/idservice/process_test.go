package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/idservice/internal/client"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/ledger"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/node"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/page"
	"github.com/ashlar-go/ashlar/examples/internal/ports"
	"github.com/ashlar-go/ashlar/examples/internal/program"
	"github.com/ashlar-go/ashlar/examples/internal/program/programtest"
	told "github.com/ashlar-go/ashlar/examples/internal/story"
	"github.com/ashlar-go/ashlar/internal/testkit"
)

func TestMain(m *testing.M) {
	programtest.Main(m, func() int { return run(os.Args[1:], os.Stdout, os.Stderr) })
}

// fleet is a service of real processes, by the ids of their nodes.
type fleet struct {
	*programtest.Fleet
	t      *testing.T
	config string
	dir    string
	nodes  []node.Member
}

const fleetTTL = 400 * time.Millisecond

func newFleet(t *testing.T, n, workers int) *fleet {
	t.Helper()
	f := &fleet{Fleet: programtest.NewFleet(t), t: t, dir: t.TempDir()}
	addrs := programtest.FreeAddrs(t, 2*n)
	for i := range n {
		f.nodes = append(f.nodes, node.Member{ID: fmt.Sprintf("n%d", i+1), HTTP: addrs[2*i], Redis: addrs[2*i+1]})
	}
	b, err := json.Marshal(node.Config{Service: "fleet", Workers: workers, TTL: fleetTTL.String(), Nodes: f.nodes})
	require.NoError(t, err)
	f.config = filepath.Join(t.TempDir(), "service.json")
	require.NoError(t, os.WriteFile(f.config, b, 0o644))
	for _, m := range f.nodes {
		f.start(m.ID)
	}
	return f
}

func (f *fleet) start(id string) { f.Start(id, f.args(id)...) }

func (f *fleet) args(id string) []string {
	return []string{"serve", "-config", f.config, "-id", id, "-dir", f.dir}
}

// status asks a process how it is; ok: it answered.
func (f *fleet) status(i int) (s node.Status, ok bool) {
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Second)
	defer cancel()
	return s, ports.Status(ctx, http.DefaultClient, f.nodes[i].HTTP, &s) == nil
}

func httpGet(ctx context.Context, url string) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	return io.ReadAll(res.Body)
}

// awaitServing waits until so many processes have a worker id.
func (f *fleet) awaitServing(want int) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	require.NoError(f.t, told.Await(ctx, func() bool {
		n := 0
		for i := range f.nodes {
			if s, ok := f.status(i); ok && s.Worker >= 0 {
				n++
			}
		}
		return n == want
	}), "%d processes serve", want)
}

// awaitHolder is a random process that has a worker id: others have nothing to lose.
func (f *fleet) awaitHolder(rng *rand.Rand) (id string) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	require.NoError(f.t, told.Await(ctx, func() bool {
		i := rng.IntN(len(f.nodes))
		id = f.nodes[i].ID
		s, ok := f.status(i)
		return ok && s.Worker >= 0
	}), "a process has a worker id")
	return id
}

// TestProcesses runs three processes that share two worker ids, takes ids from all of them
// over both protocols, and meanwhile kills processes, and stops them for longer than their
// leases last, so that the one that waits takes their worker ids. No id may come twice.
func TestProcesses(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 3, 2)
	f.awaitServing(2)
	rng := testkit.Rand(t)
	book := ledger.New(t.TempDir(), 1<<18)
	ctx, cancel := context.WithCancel(t.Context())
	var clients sync.WaitGroup
	for _, m := range f.nodes {
		for _, c := range []client.Taker{client.NewHTTP(m.HTTP), client.NewRedis(m.Redis)} {
			clients.Go(func() {
				defer c.Close()
				takeAlways(ctx, t, c, book)
			})
		}
	}
	end := time.Now().Add(6 * time.Second)
	stops, kills := 0, 0
	for round := 0; time.Now().Before(end); round++ {
		pause(200 + rng.IntN(300))
		if round%2 == 0 && programtest.CanFreeze {
			holder := f.awaitHolder(rng)
			f.Freeze(holder)
			pause(int(4*fleetTTL.Milliseconds()) + rng.IntN(400))
			f.Thaw(holder)
			stops++
			continue
		}
		id := f.nodes[rng.IntN(len(f.nodes))].ID
		f.Kill(id)
		pause(rng.IntN(300))
		f.start(id)
		kills++
	}
	f.awaitServing(2)
	cancel()
	clients.Wait()
	r, err := book.Verify(func(int64, int64) {})
	require.NoError(t, err)
	require.Empty(t, r.Duplicates)
	require.Equal(t, r.Count, r.Distinct)
	require.Greater(t, r.Count, int64(10_000))
	lost := strings.Count(f.Log(), "lost worker id")
	if programtest.CanFreeze {
		require.Positive(t, lost, "no process was stopped for longer than its lease")
	}
	t.Logf("%d ids, none twice; %d times stopped, %d leases lost, %d times killed", r.Count, stops, lost, kills)
}

// takeAlways takes ids until ctx ends, and waits long enough for a stopped process to go on
// and answer: what it says then is what may be wrong.
func takeAlways(ctx context.Context, t *testing.T, c client.Taker, book *ledger.Ledger) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		ask, cancel := context.WithTimeout(ctx, 10*time.Second)
		ids, err := c.Take(ask, 1+rand.IntN(500))
		cancel()
		if errors.Is(err, client.ErrAnswer) {
			t.Error(err)
			return
		}
		if err := book.Add(ids...); err != nil {
			t.Error(err)
			return
		}
	}
}

// pause lets processes run between faults.
func pause(ms int) {
	timer := time.NewTimer(time.Duration(ms) * time.Millisecond)
	<-timer.C
}

// TestSecondProcess: a port belongs to one process, each process shows all of them, and
// strangers do no harm.
func TestSecondProcess(t *testing.T) {
	t.Parallel()
	f := newFleet(t, 2, 8)
	f.awaitServing(2)
	second := f.Command(f.args("n1")...)
	out, err := second.CombinedOutput()
	exit, ok := errors.AsType[*exec.ExitError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, program.ExitFailed, exit.ExitCode(), "%s", out)
	require.Contains(t, string(out), "address already in use")

	for _, addr := range []string{f.nodes[0].HTTP, f.nodes[0].Redis} {
		nc, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		nc.Write([]byte("*99999999999\r\n\x00\xff GARBAGE\r\n\r\n"))
		nc.Close()
	}
	b, err := httpGet(t.Context(), "http://"+f.nodes[0].HTTP+"/state")
	require.NoError(t, err)
	var s page.State
	require.NoError(t, json.Unmarshal(b, &s))
	require.Equal(t, 2, s.Totals.Serving)
	require.False(t, s.Acts)
	b, err = httpGet(t.Context(), "http://"+f.nodes[0].HTTP+"/id?encoding=base62")
	require.NoError(t, err)
	b, err = httpGet(t.Context(), "http://"+f.nodes[1].HTTP+"/decode/"+strings.TrimSpace(string(b)))
	require.NoError(t, err)
	require.Contains(t, string(b), `"read":"base62"`)
	res, err := http.Post("http://"+f.nodes[0].HTTP+"/action/kill", "application/json", strings.NewReader(`{"node":"n2"}`))
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, http.StatusConflict, res.StatusCode)
}
