package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/internal/program"
	"github.com/ashlar-go/ashlar/examples/internal/program/programtest"
	told "github.com/ashlar-go/ashlar/examples/internal/story"
	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
	"github.com/ashlar-go/ashlar/examples/kv/internal/client"
	"github.com/ashlar-go/ashlar/examples/kv/internal/local"
	"github.com/ashlar-go/ashlar/examples/kv/internal/node"
	"github.com/ashlar-go/ashlar/internal/testkit"
)

func TestMain(m *testing.M) {
	programtest.Main(m, func() int { return run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr, os.Getenv) })
}

// fleet is a cluster of real processes, by the ids of their nodes.
type fleet struct {
	*programtest.Fleet
	t      *testing.T
	dir    string
	config string
	nodes  []node.Member
}

func newFleet(t *testing.T, n int) *fleet {
	t.Helper()
	f := &fleet{Fleet: programtest.NewFleet(t), t: t, dir: t.TempDir()}
	c, err := local.New(local.Options{Name: "fleet", Nodes: n, Partitions: 16}) // for its free ports
	require.NoError(t, err)
	f.nodes = c.Config.Nodes
	b, err := json.Marshal(c.Config)
	require.NoError(t, err)
	f.config = filepath.Join(t.TempDir(), "cluster.json")
	require.NoError(t, os.WriteFile(f.config, b, 0o644))
	for _, m := range f.nodes {
		f.start(m.ID)
	}
	f.awaitReady()
	return f
}

func (f *fleet) start(id string) { f.Start(id, f.args(id)...) }

func (f *fleet) args(id string) []string {
	return []string{"serve", "-config", f.config, "-id", id, "-dir", filepath.Join(f.dir, id)}
}

// awaitReady waits until all nodes are.
func (f *fleet) awaitReady() {
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	for _, m := range f.nodes {
		c, err := client.New(client.Options{Addrs: []string{m.HTTP}})
		require.NoError(f.t, err)
		require.NoError(f.t, told.Await(ctx, func() bool {
			b, err := json.Marshal(c.Status())
			var s node.Status
			return err == nil && json.Unmarshal(b, &s) == nil && s.ID == m.ID && s.Ready
		}), "%s is not ready", m.ID)
	}
}

// acked is what a writer was told is written.
type acked struct {
	mu   sync.Mutex
	sets map[string][]string // guarded by mu: elements by key
}

// TestKill9 runs three processes, adds elements to sets through all of them, and kills or
// freezes processes meanwhile, now and then all of them at once. No element whose addition was
// acknowledged may be missing at the end, on any node.
func TestKill9(t *testing.T) {
	f := newFleet(t, 3)
	rng := testkit.Rand(t)
	var addrs []string
	for _, n := range f.nodes {
		addrs = append(addrs, n.HTTP)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
	defer cancel()
	got := &acked{sets: map[string][]string{}}
	var wg sync.WaitGroup
	for w := range 6 {
		seed := rng.Uint64()
		wg.Go(func() { got.add(ctx, t, addrs, w, seed) })
	}
	for round := 0; ctx.Err() == nil; round++ {
		pause(ctx, 300+rng.IntN(700))
		i := rng.IntN(3)
		victims := f.nodes[i : i+1]
		switch round % 4 {
		case 1:
			f.Freeze(f.nodes[i].ID)
			pause(ctx, 500+rng.IntN(1000))
			f.Thaw(f.nodes[i].ID)
			continue
		case 3:
			victims = f.nodes
		}
		for _, m := range victims {
			f.Kill(m.ID)
			if len(victims) == 1 {
				pause(ctx, rng.IntN(500))
			}
			f.start(m.ID)
		}
		f.awaitReady()
	}
	wg.Wait()
	f.awaitReady()
	total := 0
	for _, addr := range addrs {
		c, err := client.New(client.Options{Addrs: []string{addr}})
		require.NoError(t, err)
		for _, key := range slices.Sorted(maps.Keys(got.sets)) {
			r, err := c.Get(t.Context(), []byte(key), api.ReadOptions{})
			require.NoError(t, err)
			have := map[string]bool{}
			for _, v := range r.Values {
				for e := range strings.FieldsSeq(string(v.Data)) {
					have[e] = true
				}
			}
			for _, e := range got.sets[key] {
				require.True(t, have[e], "%s: %s was acknowledged and is missing at %s", key, e, addr)
			}
			total += len(got.sets[key])
		}
	}
	require.Greater(t, total, 100)
	t.Logf("%d additions acknowledged and found on each of three nodes", total/3)
}

// pause waits a random while, to let processes run between faults.
func pause(ctx context.Context, ms int) {
	select {
	case <-time.After(time.Duration(ms) * time.Millisecond):
	case <-ctx.Done():
	}
}

// add adds elements until ctx ends: it reads a set and writes it back with one more.
func (a *acked) add(ctx context.Context, t *testing.T, addrs []string, worker int, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 0))
	c, err := client.New(client.Options{Addrs: addrs, Timeout: time.Second})
	if err != nil {
		t.Error(err)
		return
	}
	for i := 0; ctx.Err() == nil; i++ {
		key := fmt.Sprintf("set/%d", rng.IntN(8))
		r, err := c.Get(ctx, []byte(key), api.ReadOptions{})
		if err != nil {
			continue
		}
		elems := map[string]bool{}
		for _, v := range r.Values {
			for e := range strings.FieldsSeq(string(v.Data)) {
				elems[e] = true
			}
		}
		elem := fmt.Sprintf("%d.%d", worker, i)
		elems[elem] = true
		value := strings.Join(slices.Sorted(maps.Keys(elems)), " ")
		_, err = c.Put(ctx, []byte(key), []byte(value), api.WriteOptions{Mode: api.Given, Context: r.Context})
		if err == nil {
			a.mu.Lock()
			a.sets[key] = append(a.sets[key], elem)
			a.mu.Unlock()
		}
	}
}

// TestSecondProcess: a directory and a port belong to one process.
func TestSecondProcess(t *testing.T) {
	f := newFleet(t, 1)
	second := f.Command(f.args("n1")...)
	out, err := second.CombinedOutput()
	exit, ok := errors.AsType[*exec.ExitError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, program.ExitFailed, exit.ExitCode(), "%s", out)
	require.Contains(t, string(out), "address already in use")

	// Whoever sends what is no protocol of ours is no harm.
	for _, addr := range []string{f.nodes[0].Peer, f.nodes[0].Gossip, f.nodes[0].HTTP, f.nodes[0].Redis} {
		nc, err := net.Dial("tcp", addr)
		require.NoError(t, err)
		nc.Write([]byte("*99999999999\r\n\x00\xff GARBAGE\r\n\r\n"))
		nc.Close()
	}
	c, err := client.New(client.Options{Addrs: []string{f.nodes[0].HTTP}})
	require.NoError(t, err)
	_, err = c.Put(t.Context(), []byte("k"), []byte("v"), api.WriteOptions{})
	require.NoError(t, err)
}
