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

	told "github.com/ashlar-go/ashlar/examples/internal/story"
	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
	"github.com/ashlar-go/ashlar/examples/kv/internal/client"
	"github.com/ashlar-go/ashlar/examples/kv/internal/local"
	"github.com/ashlar-go/ashlar/examples/kv/internal/node"
	"github.com/ashlar-go/ashlar/internal/testkit"
)

// fleet is a cluster of real processes.
type fleet struct {
	t      *testing.T
	binary string
	config string
	nodes  []node.Member
	procs  []*exec.Cmd
	log    *os.File
}

func newFleet(t *testing.T, n int) *fleet {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: does not build and start processes")
	}
	goTool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("there is no go command to build the program with")
	}
	f := &fleet{t: t, binary: filepath.Join(t.TempDir(), "kv.exe"), procs: make([]*exec.Cmd, n)}
	out, err := exec.CommandContext(t.Context(), goTool, "build", "-o", f.binary, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)
	c, err := local.New(local.Options{Name: "fleet", Nodes: n, Partitions: 16}) // for its free ports
	require.NoError(t, err)
	f.nodes = c.Config.Nodes
	b, err := json.Marshal(c.Config)
	require.NoError(t, err)
	f.config = filepath.Join(t.TempDir(), "cluster.json")
	require.NoError(t, os.WriteFile(f.config, b, 0o644))
	f.log, err = os.Create(filepath.Join(t.TempDir(), "log"))
	require.NoError(t, err)
	dir := t.TempDir()
	for i := range f.procs {
		f.start(i, dir)
	}
	t.Cleanup(func() {
		for i := range f.procs {
			f.kill(i)
		}
		if t.Failed() {
			b, _ := os.ReadFile(f.log.Name())
			t.Logf("%s", b[max(0, len(b)-8000):])
		}
		f.log.Close()
	})
	for i := range f.procs {
		f.awaitReady(i)
	}
	return f
}

func (f *fleet) start(i int, dir string) {
	id := f.nodes[i].ID
	cmd := exec.Command(f.binary, "serve", "-config", f.config, "-id", id, "-dir", filepath.Join(dir, id))
	cmd.Stderr = f.log
	require.NoError(f.t, cmd.Start())
	f.procs[i] = cmd
}

// kill is kill -9.
func (f *fleet) kill(i int) (dir string) {
	p := f.procs[i]
	if p == nil {
		return ""
	}
	f.procs[i] = nil
	p.Process.Kill()
	p.Wait()
	return filepath.Dir(p.Args[len(p.Args)-1])
}

func (f *fleet) awaitReady(i int) {
	c, err := client.New(client.Options{Addrs: []string{f.nodes[i].HTTP}})
	require.NoError(f.t, err)
	ctx, cancel := context.WithTimeout(f.t.Context(), time.Minute)
	defer cancel()
	require.NoError(f.t, told.Await(ctx, func() bool {
		b, err := json.Marshal(c.Status())
		var s node.Status
		return err == nil && json.Unmarshal(b, &s) == nil && s.ID == f.nodes[i].ID && s.Ready
	}), "%s is not ready", f.nodes[i].ID)
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
		victims := []int{rng.IntN(3)}
		switch round % 4 {
		case 1:
			p := f.procs[victims[0]].Process
			require.NoError(t, freeze(p))
			pause(ctx, 500+rng.IntN(1000))
			require.NoError(t, thaw(p))
			continue
		case 3:
			victims = []int{0, 1, 2}
		}
		for _, i := range victims {
			dir := f.kill(i)
			if len(victims) == 1 {
				pause(ctx, rng.IntN(500))
			}
			f.start(i, dir)
		}
		for i := range f.procs {
			f.awaitReady(i)
		}
	}
	wg.Wait()
	for i := range f.procs {
		f.awaitReady(i)
	}
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
	dir := filepath.Dir(f.procs[0].Args[len(f.procs[0].Args)-1])
	second := exec.CommandContext(t.Context(), f.binary, "serve", "-config", f.config, "-id", "n1", "-dir", filepath.Join(dir, "n1"))
	out, err := second.CombinedOutput()
	exit, ok := errors.AsType[*exec.ExitError](err)
	require.True(t, ok, "%v", err)
	require.Equal(t, exitFailed, exit.ExitCode(), "%s", out)
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
