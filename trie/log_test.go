package trie

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/internal/testkit"
)

// contents is all that an index holds.
func contents(x *Index) []Completion { return x.TopK("", math.MaxInt32) }

// copyDir copies the files of an index whose merge may just be cleaning up behind itself.
func copyDir(t testing.TB, from string) (string, error) {
	to := t.TempDir()
	entries, err := os.ReadDir(from)
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(from, e.Name()))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, e.Name()), data, 0o644)
		}
		if err != nil {
			return "", err
		}
	}
	return to, nil
}

func TestDurableIndex(t *testing.T) { checkDurable(t, testkit.Rand(t)) }

func checkDurable(t testing.TB, rng *rand.Rand) {
	dir := filepath.Join(t.TempDir(), "deep", "down")
	o := Options{Dir: dir, Builder: BuilderOptions{Fold: FoldNone, WordStarts: true}, MaxDelta: 60}
	x := &layered{newIndex(t, o), model{}, rng}
	var err error
	for range 30 {
		x.change(t, 40)
		if rng.IntN(3) == 0 {
			require.NoError(t, x.Compact(t.Context()))
		}
		if rng.IntN(2) == 0 {
			require.NoError(t, x.Sync())
			if rng.IntN(2) == 0 { // as if the process had ended here
				x.mu.Lock()
				x.stopMerge()
				o.Dir, err = copyDir(t, o.Dir)
				x.mu.Unlock()
				require.NoError(t, err)
				require.NoError(t, x.Close())
				x.Index = newIndex(t, o)
			}
			same(t, x.model.matches("", true), contents(x.Index), "reopened")
		}
	}
	require.NoError(t, x.Compact(t.Context()))
	require.NoError(t, x.Close())
	names, err := filepath.Glob(filepath.Join(o.Dir, "*"))
	require.NoError(t, err)
	require.Len(t, names, 4, "a base, a log, CURRENT and LOCK: %v", names)
	_, err = New(Options{Dir: o.Dir})
	require.ErrorIs(t, err, ErrFoldMismatch)
}

// TestCutLog: wherever the last log ends, what is back is what was done before that.
func TestCutLog(t *testing.T) {
	rng := testkit.Rand(t)
	dir := t.TempDir()
	o := Options{Dir: dir, Builder: BuilderOptions{Fold: FoldNone}, Durability: Synced}
	x := &layered{newIndex(t, o), model{}, rng}
	x.change(t, 20)
	require.NoError(t, x.Compact(t.Context()))
	path := x.log.path(logName(x.log.number))
	type moment struct {
		size int64
		want []Completion
	}
	var moments []moment
	note := func() {
		info, err := os.Stat(path)
		require.NoError(t, err)
		moments = append(moments, moment{info.Size(), x.model.matches("", false)})
	}
	note()
	for range 6 {
		x.change(t, 1)
		note()
	}
	require.NoError(t, x.Close())
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	for cut := int64(len(whole)); cut >= 0; cut-- {
		require.NoError(t, os.WriteFile(path, whole[:cut], 0o644))
		again, err := New(o)
		require.NoError(t, err, "cut at %d", cut)
		i := len(moments) - 1
		for moments[i].size > cut {
			i--
		}
		same(t, moments[i].want, contents(again), "cut at %d", cut)
		require.NoError(t, again.Add("goes on", 1))
		require.NoError(t, again.Close())
	}

	// A bit that flips: an error, or only the last update is gone.
	bad := bytes.Clone(whole)
	for bit := range len(whole) * 8 {
		bad[bit/8] ^= 1 << (bit % 8)
		require.NoError(t, os.WriteFile(path, bad, 0o644))
		again, err := New(o)
		if err != nil {
			require.ErrorIs(t, err, ErrCorrupt)
			require.Contains(t, err.Error(), path)
		} else {
			got := contents(again)
			require.True(t, slices.ContainsFunc(moments[len(moments)-3:], func(m moment) bool { return slices.Equal(m.want, got) }), "bit %d", bit)
			require.NoError(t, again.Close())
		}
		bad[bit/8] ^= 1 << (bit % 8)
	}
}

func TestDamagedFolder(t *testing.T) {
	dir := t.TempDir()
	x := newIndex(t, Options{Dir: dir, Base: build(t, BuilderOptions{}, "a", 1, "b", 2)})
	require.NoError(t, x.Add("c", 3))
	require.NoError(t, x.Close())
	for _, kind := range []string{"CURRENT", "base", "log"} {
		names, err := filepath.Glob(filepath.Join(dir, kind+"*"))
		require.NoError(t, err)
		require.Len(t, names, 1)
		whole, err := os.ReadFile(names[0])
		require.NoError(t, err)
		for i := range whole {
			bad := bytes.Clone(whole)
			bad[i] ^= 4
			require.NoError(t, os.WriteFile(names[0], bad, 0o644))
			x, err := New(Options{Dir: dir})
			if err == nil { // the only record of the log is its end
				require.Equal(t, "log", kind)
				require.NoError(t, x.Close())
				require.NoError(t, os.WriteFile(names[0], whole, 0o644))
				continue
			}
			require.ErrorIs(t, err, ErrCorrupt)
		}
		require.NoError(t, os.Remove(names[0]))
		if kind != "CURRENT" {
			_, err = New(Options{Dir: dir})
			require.ErrorIs(t, err, os.ErrNotExist)
		}
		require.NoError(t, os.WriteFile(names[0], whole, 0o644))
	}
	x = newIndex(t, Options{Dir: dir, Base: build(t, BuilderOptions{}, "not", 1, "looked at", 2)})
	require.Equal(t, []string{"c", "b", "a"}, termsOf(contents(x)))
}

// faultyFile fails at the n-th operation of all files, and after it.
type faultyFile struct {
	logFile
	left *int
}

func (f faultyFile) fail() bool { *f.left--; return *f.left < 0 }

func (f faultyFile) Write(b []byte) (int, error) {
	if f.fail() {
		n, _ := f.logFile.Write(b[:len(b)/2])
		return n, errDisk
	}
	return f.logFile.Write(b)
}

func (f faultyFile) Sync() error {
	if f.fail() {
		return errDisk
	}
	return f.logFile.Sync()
}

// TestFailingDisk fails at every operation of a script. What returned without an error is
// there when the index is opened again; what did not may be, if it was the last.
func TestFailingDisk(t *testing.T) {
	other := build(t, BuilderOptions{}, "other", 1)
	for n := 0; ; n++ {
		dir := t.TempDir()
		left := n
		o := Options{Dir: dir, create: func(path string) (logFile, error) {
			f, err := appendFile(path)
			return faultyFile{f, &left}, err
		}, Durability: Synced}
		x, err := New(o)
		if err != nil {
			require.ErrorIs(t, err, errDisk)
			continue
		}
		want := map[string]uint64{}
		failed := false
		var maybe map[string]uint64
		do := func(err error, change func(m map[string]uint64)) {
			if err == nil {
				require.False(t, failed, "a failed write became a success")
				change(want)
				return
			}
			require.ErrorIs(t, err, errDisk)
			if maybe == nil {
				maybe = maps.Clone(want)
				change(maybe)
			}
			failed = x.err != nil
		}
		for i := range 6 {
			term := fmt.Sprint("term ", i)
			do(x.Set(term, uint64(i)), func(m map[string]uint64) { m[term] = uint64(i) })
			switch {
			case failed:
			case i == 2:
				_ = x.Compact(t.Context())
				failed = x.err != nil
			case i == 4:
				_, err := x.Swap(other)
				do(err, func(m map[string]uint64) { clear(m); m["other"] = 1 })
			}
		}
		_ = x.Close()
		again, err := New(Options{Dir: dir})
		require.NoError(t, err, "operation %d", n)
		got := map[string]uint64{}
		for _, c := range contents(again) {
			got[c.Term] = uint64(c.Score)
		}
		if maybe == nil || !maps.Equal(maybe, got) {
			require.Equal(t, want, got, "operation %d", n)
		}
		require.NoError(t, again.Close())
		if left >= 0 {
			require.Greater(t, n, 15, "operations of the script, all of which failed once")
			return
		}
	}
}

func TestLogRefusesNonsense(t *testing.T) {
	dir := t.TempDir()
	x := newIndex(t, Options{Dir: dir})
	path := x.log.path(logName(x.log.number))
	require.NoError(t, x.Close())
	for _, payload := range []string{"\x03abc", "\x01", "\x01\x05", "\x01\x05\xff", "\x02", "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", "\x02\xff" + strings.Repeat("x", 100)} {
		// Encode a tombstone, and put the payload in place of its own.
		l := &logStore{}
		b := l.encode(nil, []byte(payload[1:]), &leaf{deleted: true})
		b[recordHead] = payload[0]
		b = resealRecord(b)
		require.NoError(t, os.WriteFile(path, b, 0o644))
		_, err := New(Options{Dir: dir})
		require.ErrorIs(t, err, ErrCorrupt, "%q", payload)
	}
}

func FuzzLog(f *testing.F) {
	l := &logStore{}
	f.Add(l.encode(l.encode(nil, []byte("a"), &leaf{value: value{score: 5}}), []byte("a"), &leaf{deleted: true}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := New(Options{})
		require.NoError(t, err)
		path := filepath.Join(t.TempDir(), "log")
		for _, data := range [][]byte{b, resealRecord(bytes.Clone(b))} {
			require.NoError(t, os.WriteFile(path, data, 0o644))
			if err := x.replay(x.now.Load(), path, true); err != nil {
				require.ErrorIs(t, err, ErrCorrupt)
			}
		}
		contents(x)
	})
}
