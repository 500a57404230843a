package lsm_test

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/lsm/lsmtest"
)

// unflushed runs a script that stays in the log and stops as a killed process does.
func unflushed(t testing.TB, writes int) *run {
	f := flavours[4]
	f.name, f.writes, f.value, f.memtable, f.windows = "log", writes, 50, 64<<10, false
	f.flushes, f.compacts, f.reopens = 0, 0, 0
	r := newRun(f, f.draw(9))
	require.NoError(t, r.open())
	for more := true; more; {
		var err error
		more, err = r.next()
		require.NoError(t, err)
	}
	disk := r.disk.Clone()
	require.NoError(t, r.close())
	r.disk = disk
	return r
}

// newest is the file with the highest number of a kind.
func newest(t testing.TB, disk *lsmtest.FS, pattern string) (string, []byte) {
	var name string
	for _, n := range disk.Files() {
		b, err := disk.ReadFile(n)
		require.NoError(t, err)
		if ok, err := path.Match(pattern, path.Base(n)); ok && err == nil && len(b) > 0 {
			name = n
		}
	}
	require.NotEmpty(t, name, "no %s among %v", pattern, disk.Files())
	b, err := disk.ReadFile(name)
	require.NoError(t, err)
	return name, b
}

// TestLogCutAtEveryByte: whatever is left of the log gives the content after the last of
// the writes that are whole, and each cut gives at least what a shorter one gives.
func TestLogCutAtEveryByte(t *testing.T) {
	t.Parallel()
	r := unflushed(t, 60)
	name, log := newest(t, r.disk, "*.log")
	last := int64(0)
	for n := 0; n <= len(log); n += stride {
		disk := r.disk.Clone()
		require.NoError(t, disk.Truncate(name, int64(n)))
		at, err := r.check(disk, 0, r.issued.Load())
		require.NoError(t, err, "log cut at byte %d of %d", n, len(log))
		require.LessOrEqual(t, last, at, "log cut at byte %d of %d", n, len(log))
		// Content can be the same after different writes; check names the latest of them,
		// this takes the earliest.
		for r.s.contents[last].visible(r.now.Load()) != r.s.contents[at].visible(r.now.Load()) {
			last++
		}
	}
	at, err := r.check(r.disk.Clone(), last, r.issued.Load())
	require.NoError(t, err)
	require.Equal(t, r.issued.Load(), at)
}

// TestTailsOfLogs appends what a file system may leave behind the end of a log: zeros,
// noise, and a piece of an older log. None of it may show.
func TestTailsOfLogs(t *testing.T) {
	t.Parallel()
	r := unflushed(t, 30)
	name, log := newest(t, r.disk, "*.log")
	rnd := rand.New(rand.NewPCG(3, 3))
	noise := make([]byte, 3000)
	for i := range noise {
		noise[i] = byte(rnd.Uint32())
	}
	older := bytes.Clone(log)
	for what, tail := range map[string][]byte{
		"zeros": make([]byte, 100_000), "one zero": {0}, "noise": noise, "noise after zeros": append(make([]byte, 600), noise...),
		"itself": older[:len(older)/2], "half a header": older[:5],
	} {
		disk := r.disk.Clone()
		disk.WriteFile(name, slices.Concat(log, tail))
		at, err := r.check(disk, 0, r.issued.Load())
		if what == "itself" && errors.Is(err, lsm.ErrCorrupt) {
			continue // records out of sequence: refused rather than believed
		}
		require.NoError(t, err, what)
		require.Equal(t, r.issued.Load(), at, what)
	}
}

// TestScrambledSectorsOfLog overwrites sectors of a log all of which was synced: the right
// answer, a prefix if the damage looks like a torn end, or an error that names the log.
func TestScrambledSectorsOfLog(t *testing.T) {
	t.Parallel()
	r := unflushed(t, 120)
	name, log := newest(t, r.disk, "*.log")
	rnd := rand.New(rand.NewPCG(4, 4))
	refused := 0
	for at := 0; at < len(log); at += 512 {
		for _, zero := range []bool{true, false} {
			b := bytes.Clone(log)
			for i := at; i < min(at+512, len(b)); i++ {
				b[i] = byte(rnd.Uint32())
				if zero {
					b[i] = 0
				}
			}
			disk := r.disk.Clone()
			disk.WriteFile(name, b)
			_, err := r.check(disk, 0, r.issued.Load())
			if errors.Is(err, lsm.ErrCorrupt) {
				require.NoError(t, blames(err, path.Base(name)))
				refused++
				continue
			}
			require.NoError(t, err, "sector at %d", at)
			require.GreaterOrEqual(t, at+2*512, len(log), "damage in the middle of what had been synced was taken for the end")
		}
	}
	require.NotZero(t, refused)
}

// TestManifestCutAtEveryByte: the right answer, or an error; no table is forgotten in
// silence.
func TestManifestCutAtEveryByte(t *testing.T) {
	t.Parallel()
	r := finished(t, flavours[2], 31)
	name, b := newest(t, r.disk, "MANIFEST-*")
	refused := 0
	for n := range len(b) + 1 {
		disk := r.disk.Clone()
		require.NoError(t, disk.Truncate(name, int64(n)))
		if _, err := r.check(disk, r.issued.Load(), r.issued.Load()); err != nil {
			require.ErrorIs(t, err, lsm.ErrCorrupt, "manifest cut at byte %d of %d", n, len(b))
			refused++
		}
	}
	require.Greater(t, refused, 0)
	require.Less(t, refused, len(b)+1)
}

// TestMissingFiles takes away one file at a time.
func TestMissingFiles(t *testing.T) {
	t.Parallel()
	r := finished(t, flavours[2], 32)
	for _, name := range r.disk.Files() {
		if path.Base(name) == "LOCK" {
			continue
		}
		disk := r.disk.Clone()
		require.NoError(t, disk.Remove(name))
		_, err := r.check(disk, r.issued.Load(), r.issued.Load())
		require.ErrorIs(t, err, lsm.ErrCorrupt, "without %s", name)
	}
}

// TestForeignFilesStay: what is not ours is not touched.
func TestForeignFilesStay(t *testing.T) {
	t.Parallel()
	r := finished(t, flavours[1], 33)
	foreign := []string{"db/notes.txt", "db/x.sst", "db/1.log", "db/MANIFEST", "db/CURRENT.bak", "db/sub/000001.sst"}
	for _, n := range foreign {
		r.disk.WriteFile(n, []byte("mine"))
	}
	leftover := []string{"db/999990.sst", "db/CURRENT.tmp"}
	for _, n := range leftover {
		r.disk.WriteFile(n, []byte("of a crash"))
	}
	_, err := r.check(r.disk, r.issued.Load(), r.issued.Load())
	require.NoError(t, err)
	files := strings.Join(r.disk.Files(), " ")
	for _, n := range foreign {
		require.Contains(t, files, n)
	}
	for _, n := range leftover {
		require.NotContains(t, files, n)
	}
}

// TestOldestLogCut: a log that ends too early, though a later one shows that it had been
// synced whole, is damage and not the end.
func TestOldestLogCut(t *testing.T) {
	t.Parallel()
	live := lsmtest.NewFS()
	// Flushes wait, so that two logs are there at the same time.
	gate := make(chan struct{})
	live.Before(func(o lsmtest.Op) {
		if o.Kind == lsmtest.OpCreate && strings.HasSuffix(o.Name, ".sst") {
			<-gate
		}
	})
	db, err := lsm.Open("db", lsm.Options{FS: live, MemtableSize: 4 << 10})
	require.NoError(t, err)
	var disk *lsmtest.FS
	var logs []string
	var next []byte
	for i := 0; len(next) < 600; i++ {
		require.Less(t, i, 1000, "this needs two logs")
		require.NoError(t, db.Put(fmt.Append(nil, i), make([]byte, 150)))
		disk, logs = live.Clone(), nil
		for _, n := range disk.Files() {
			if strings.HasSuffix(n, ".log") {
				logs = append(logs, n)
			}
		}
		if len(logs) > 1 {
			next, err = disk.ReadFile(logs[1])
			require.NoError(t, err)
		}
	}
	close(gate)
	require.NoError(t, db.Close())
	b, err := disk.ReadFile(logs[0])
	require.NoError(t, err)
	for n := 0; n < len(b); n += 1 + n/64 { // every byte at first, then ever fewer
		cut := disk.Clone()
		require.NoError(t, cut.Truncate(logs[0], int64(n)))
		_, err := lsm.Open("db", lsm.Options{FS: cut, MemtableSize: 4 << 10})
		require.ErrorIs(t, err, lsm.ErrCorrupt, "cut at byte %d of %d: writes are missing and nobody noticed", n, len(b))
	}
}
