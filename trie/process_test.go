package trie

import (
	"bufio"
	"bytes"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/internal/testkit"
)

// inProcess is set in the process that is killed: the folder, and the updates before.
const inProcess = "ASHLAR_TRIE_PROCESS"

var kills = flag.Int("trie.kills", 12, "how often TestKilledProcess kills")

// TestMain lets the binary of the tests be the process that is killed.
func TestMain(m *testing.M) {
	if dir, from, ok := strings.Cut(os.Getenv(inProcess), "|"); ok {
		n, err := strconv.Atoi(from)
		if err == nil {
			err = updateUntilKilled(dir, n, os.Stdout)
		}
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// killed is how the index of the process works: it merges all the time.
func killed(dir string) Options { return Options{Dir: dir, MaxDelta: 64} }

// updateUntilKilled says the number of each update once it has returned.
func updateUntilKilled(dir string, from int, said io.Writer) error {
	x, err := New(killed(dir))
	if err != nil {
		return err
	}
	for n := from; ; n++ {
		if err := nthUpdate(x, n); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(said, n); err != nil {
			return err
		}
	}
}

// nthUpdate does the n-th of an endless list of updates.
func nthUpdate(x *Index, n int) error {
	term := fmt.Sprint("term ", n*7919%301)
	switch {
	case n%7 == 3:
		return x.Delete(term)
	case n%5 == 2:
		return x.Set(term, uint64(n))
	}
	return x.Add(term, uint64(n%1000))
}

// TestKilledProcess kills a process that updates a durable index, again and again. All that
// it had acknowledged is there, and of what it was at when it was killed all or nothing.
func TestKilledProcess(t *testing.T) {
	checkKilledProcess(t, t.TempDir(), *kills)
}

func checkKilledProcess(t testing.TB, dir string, kills int) {
	rng := testkit.Rand(t)
	self, err := os.Executable()
	require.NoError(t, err)
	model := newIndex(t, Options{}) // in memory
	done := 0                       // updates that are in the model
	for range kills {
		var failed bytes.Buffer
		cmd := exec.Command(self)
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s|%d", inProcess, dir, done))
		cmd.Stderr = &failed
		out, err := cmd.StdoutPipe()
		require.NoError(t, err)
		require.NoError(t, cmd.Start())
		said := bufio.NewScanner(out)
		after, acknowledged := 1+rng.IntN(1500), done
		for i := 0; said.Scan(); i++ {
			n, err := strconv.Atoi(said.Text())
			if err != nil {
				break // cut by the kill
			}
			acknowledged = n + 1
			if i == 0 {
				_, err := New(killed(dir))
				require.ErrorIs(t, err, ErrLocked, "the process has the folder open")
			}
			if i == after {
				require.NoError(t, cmd.Process.Kill())
			}
		}
		require.Error(t, cmd.Wait())
		require.Empty(t, failed.String())
		require.Greater(t, acknowledged, done)

		x, err := New(killed(dir))
		require.NoError(t, err, "the lock ended with the process")
		got := contents(x)
		for ; done < acknowledged; done++ {
			require.NoError(t, nthUpdate(model, done))
		}
		if !slices.Equal(contents(model), got) {
			require.NoError(t, nthUpdate(model, done))
			done++
			require.Equal(t, contents(model), got, "%d updates were acknowledged", acknowledged)
		}
		require.NoError(t, x.Close())
	}
	t.Logf("%d updates, %d kills", done, kills)
}

func TestFolderIsLocked(t *testing.T) {
	dir := t.TempDir()
	x := newIndex(t, Options{Dir: dir})
	_, err := New(Options{Dir: dir})
	require.ErrorIs(t, err, ErrLocked)
	require.NoError(t, x.Add("a", 1))
	require.NoError(t, x.Close())
	require.NoError(t, x.Close())

	_, err = New(Options{Dir: dir, Builder: BuilderOptions{Fold: FoldNone}})
	require.ErrorIs(t, err, ErrFoldMismatch)
	again := newIndex(t, Options{Dir: dir}) // neither who closed it nor who failed to open it has it
	require.Equal(t, []string{"a"}, termsOf(contents(again)))
}
