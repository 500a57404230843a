//go:build unix

package snowflake

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/internal/testkit"
)

// These tests use real processes, which are killed and suspended. The test binary starts
// itself again as such a process.

var (
	trialsFlag = flag.Int("snowflake.trials", 8, "trials with processes that are killed or suspended")
	ttlFlag    = flag.Duration("snowflake.ttl", 80*time.Millisecond, "lease of processes that are suspended, for five times as long")
)

const childEnv = "SNOWFLAKE_TEST_CHILD"

func TestMain(m *testing.M) {
	if args := os.Getenv(childEnv); args != "" {
		if err := child(strings.Fields(args)); err != nil {
			fmt.Println("error", err)
		}
		return
	}
	os.Exit(m.Run())
}

// child issues ids until something stops it, and prints the rows of states that it had:
// "ids first count". args are what New needs to know.
func child(args []string) error {
	what, path, number := args[0], args[1], args[2]
	d, err := time.ParseDuration(number)
	if err != nil {
		return err
	}
	o := Options{Layout: Wide, MarkEvery: 20 * time.Millisecond}
	switch what {
	case "mark":
		o.Mark = FileMark(path)
		o.MaxBack = mostBack
		o.Now = func() time.Time { return time.Now().Add(-d) }
	case "lease":
		s, err := NewDirStore(path)
		if err != nil {
			return err
		}
		l, err := Acquire(context.Background(), s, LeaseOptions{Nodes: 1, TTL: d})
		if err != nil {
			return err
		}
		// A mark at every moment would have the process stopped with the store's lock in its hands.
		o.Lease, o.MarkEvery = l, max(d/10, o.MarkEvery)
	}
	g, err := New(o)
	if err != nil {
		return err
	}
	ids := make([]ID, 512)
	for {
		if err := g.Fill(ids); errors.Is(err, ErrMark) {
			continue // the store is busy: try again
		} else if err != nil {
			return err
		}
		for rest := ids; len(rest) > 0; {
			first, n := stateOf(g, rest[0]), 1
			for n < len(rest) && stateOf(g, rest[n]) == first+uint64(n) {
				n++
			}
			fmt.Printf("ids %d %d\n", first, n)
			rest = rest[n:]
		}
	}
}

// row is a row of consecutive states.
type row struct{ first, count uint64 }

// spawned is a running child.
type spawned struct {
	cmd   *exec.Cmd
	out   *bufio.Scanner
	pipe  io.Closer
	rows  []row
	ended string // the error that it ended with
}

func spawn(t *testing.T, args ...string) *spawned {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	c := &spawned{cmd: exec.Command(exe)}
	c.cmd.Env = append(os.Environ(), childEnv+"="+strings.Join(args, " "))
	c.cmd.Stderr = os.Stderr
	pipe, err := c.cmd.StdoutPipe()
	require.NoError(t, err)
	c.pipe, c.out = pipe, bufio.NewScanner(pipe)
	require.NoError(t, c.cmd.Start())
	t.Cleanup(c.kill)
	return c
}

// kill ends the child and reads what it had still printed.
func (c *spawned) kill() {
	if c.cmd.ProcessState == nil {
		_ = c.cmd.Process.Kill()
		for c.read() {
		}
		_ = c.cmd.Wait()
	}
}

// read takes one line; false at the end.
func (c *spawned) read() bool {
	if !c.out.Scan() {
		return false
	}
	f := strings.Fields(c.out.Text())
	if len(f) == 3 && f[0] == "ids" {
		first, err := strconv.ParseUint(f[1], 10, 64)
		count, err2 := strconv.ParseUint(f[2], 10, 64)
		if err == nil && err2 == nil { // else it was killed within the line
			c.rows = append(c.rows, row{first, count})
		}
	} else if len(f) > 0 && f[0] == "error" {
		c.ended = c.out.Text()
	}
	return true
}

// requireDisjoint holds that no id is in two rows.
func requireDisjoint(t *testing.T, rows []row) {
	t.Helper()
	slices.SortFunc(rows, func(a, b row) int {
		switch {
		case a.first < b.first:
			return -1
		case a.first > b.first:
			return 1
		}
		return 0
	})
	for i := 1; i < len(rows); i++ {
		require.GreaterOrEqual(t, rows[i].first, rows[i-1].first+rows[i-1].count, "an id twice")
	}
}

// TestKilledProcess kills a process with SIGKILL while it issues ids, again and again on one
// mark, and each next one has its clock ten minutes further back.
func TestKilledProcess(t *testing.T) {
	trials := *trialsFlag
	if testing.Short() {
		trials = min(trials, 5)
	}
	rng := testkit.Rand(t)
	path := filepath.Join(t.TempDir(), "mark")
	var all []row
	var highest uint64
	for trial := range trials {
		c := spawn(t, "mark", path, (time.Duration(trial) * 10 * time.Minute).String())
		for range 1 + rng.IntN(200) {
			require.True(t, c.read(), "%s", c.ended)
		}
		c.kill()
		require.Empty(t, c.ended)
		require.Greater(t, c.rows[0].first, highest, "issued before the kill")
		last := c.rows[len(c.rows)-1]
		highest = last.first + last.count - 1
		all = append(all, c.rows...)
	}
	requireDisjoint(t, all)
	t.Logf("%d rows of ids", len(all))
}

// TestSuspendedProcess suspends a process with SIGSTOP while it issues ids, lets another one
// take over its only node, and wakes it up again. With -snowflake.trials=200
// -snowflake.ttl=2s -test.parallel=20 it takes three minutes.
func TestSuspendedProcess(t *testing.T) {
	trials := *trialsFlag
	if testing.Short() {
		trials = min(trials, 3)
	}
	rng := testkit.Rand(t)
	var takeovers atomic.Int64
	t.Run("trials", func(t *testing.T) {
		for range trials {
			before := 1 + rng.IntN(100) // rows of ids until it is stopped
			t.Run("", func(t *testing.T) {
				t.Parallel()
				if suspend(t, before) {
					takeovers.Add(1)
				}
			})
		}
	})
	t.Logf("%d takeovers in %d trials", takeovers.Load(), trials)
	require.Positive(t, takeovers.Load())
}

// suspend is one trial. It tells whether the other process took over.
func suspend(t *testing.T, before int) (takeover bool) {
	dir := t.TempDir()
	a := spawn(t, "lease", dir, ttlFlag.String())
	for range before {
		require.True(t, a.read(), "%s", a.ended)
	}
	require.NoError(t, a.cmd.Process.Signal(syscall.SIGSTOP))
	stopped := time.NewTimer(5 * *ttlFlag)
	defer stopped.Stop()
	b := spawn(t, "lease", dir, ttlFlag.String())
	got := make(chan bool)
	go func() { got <- b.read() }()
	select {
	case takeover = <-got:
		require.True(t, takeover, "%s", b.ended)
		<-stopped.C
	case <-stopped.C:
		// It was stopped with the directory's lock in its hands: nobody takes over until it
		// goes on. Or the machine is busy.
	}
	require.NoError(t, a.cmd.Process.Signal(syscall.SIGCONT))
	if takeover {
		for a.read() {
		}
		require.Contains(t, a.ended, ErrLeaseLost.Error())
	} else {
		a.kill()
		require.True(t, <-got, "%s", b.ended)
	}
	for range 50 {
		require.True(t, b.read(), "%s", b.ended)
	}
	a.kill()
	b.kill()
	requireDisjoint(t, append(a.rows, b.rows...))
	return takeover
}
