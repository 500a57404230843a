package lsmtest_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	iofs "io/fs"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/lsm/lsmtest"
)

func create(t testing.TB, fs *lsmtest.FS, name, data string) lsm.File {
	f, err := fs.Create(name)
	require.NoError(t, err)
	_, err = f.Write([]byte(data))
	require.NoError(t, err)
	return f
}

func content(t testing.TB, fs *lsmtest.FS, name string) string {
	b, err := fs.ReadFile(name)
	if errors.Is(err, iofs.ErrNotExist) {
		return "none"
	}
	require.NoError(t, err)
	return string(b)
}

func TestFilesAndNames(t *testing.T) {
	fs := lsmtest.NewFS()
	_, err := fs.Create("d/a")
	require.ErrorIs(t, err, iofs.ErrNotExist, "no directory")
	_, err = fs.List("d")
	require.ErrorIs(t, err, iofs.ErrNotExist)
	require.ErrorIs(t, fs.SyncDir("d"), iofs.ErrNotExist)
	require.NoError(t, fs.MkdirAll("d/e"))
	f := create(t, fs, "d/a", "hello")
	_, err = f.Write([]byte(" world"))
	require.NoError(t, err)
	size, err := f.Size()
	require.NoError(t, err)
	require.EqualValues(t, 11, size)

	r, err := fs.Open("d/./a")
	require.NoError(t, err)
	b := make([]byte, 5)
	n, err := r.ReadAt(b, 6)
	require.NoError(t, err)
	require.Equal(t, "world", string(b[:n]))
	n, err = r.ReadAt(b, 8)
	require.ErrorIs(t, err, io.EOF)
	require.Equal(t, 3, n)
	_, err = r.ReadAt(b, 11)
	require.ErrorIs(t, err, io.EOF)
	_, err = r.ReadAt(b, -1)
	require.ErrorIs(t, err, iofs.ErrInvalid)
	_, err = r.Write(b)
	require.ErrorIs(t, err, iofs.ErrPermission, "opened for reading")

	require.NoError(t, fs.Rename("d/a", "d/b"))
	require.ErrorIs(t, fs.Rename("d/a", "d/b"), iofs.ErrNotExist)
	require.NoError(t, fs.Rename("d/b", "d/b"))
	require.NoError(t, fs.Rename("d/b", "d/e/c"))
	names, err := fs.List("d")
	require.NoError(t, err)
	require.Equal(t, []string{"e"}, names)
	require.Equal(t, []string{"d/e/c"}, fs.Files())
	require.EqualValues(t, 11, fs.Used())
	require.NoError(t, fs.Remove("d/e/c"))
	require.ErrorIs(t, fs.Remove("d/e/c"), iofs.ErrNotExist)
	require.Zero(t, fs.Used())
	_, err = fs.Open("d/e/c")
	require.ErrorIs(t, err, iofs.ErrNotExist)
	n, err = r.ReadAt(b, 0)
	require.NoError(t, err, "a removed file lives until it is closed")
	require.Equal(t, "hello", string(b[:n]))

	require.Equal(t, []string{"d/a", "d/a"}, fs.OpenFiles())
	require.NoError(t, f.Close())
	require.NoError(t, r.Close())
	require.ErrorIs(t, r.Close(), iofs.ErrClosed)
	_, err = r.ReadAt(b, 0)
	require.ErrorIs(t, err, iofs.ErrClosed)
	_, err = f.Write(b)
	require.ErrorIs(t, err, iofs.ErrClosed)
	require.ErrorIs(t, f.Sync(), iofs.ErrClosed)
	_, err = f.Size()
	require.ErrorIs(t, err, iofs.ErrClosed)
	require.Empty(t, fs.OpenFiles())
}

func TestLock(t *testing.T) {
	fs := lsmtest.NewFS()
	l, err := fs.Lock("LOCK")
	require.NoError(t, err)
	_, err = fs.Lock("./LOCK")
	require.ErrorIs(t, err, lsm.ErrLocked)
	l2, err := fs.CrashClone(lsmtest.Loss{}).Lock("LOCK")
	require.NoError(t, err, "a crash releases it")
	require.NoError(t, l2.Close())
	fs.PowerOff()
	require.NoError(t, l.Close())
	require.NoError(t, l.Close())
	require.Empty(t, fs.OpenFiles())
}

func TestWindows(t *testing.T) {
	fs := lsmtest.NewFS()
	fs.Windows(true)
	f := create(t, fs, "a", "x")
	g := create(t, fs, "b", "x")
	require.ErrorIs(t, fs.Remove("a"), lsmtest.ErrInUse)
	require.ErrorIs(t, fs.Rename("a", "c"), lsmtest.ErrInUse)
	_, err := fs.Create("a")
	require.ErrorIs(t, err, lsmtest.ErrInUse)
	require.NoError(t, f.Close())
	require.ErrorIs(t, fs.Rename("a", "b"), lsmtest.ErrInUse)
	require.NoError(t, g.Close())
	require.NoError(t, fs.Rename("a", "b"))
	require.NoError(t, fs.Remove("b"))
}

func TestFullDisk(t *testing.T) {
	fs := lsmtest.NewFS()
	fs.Limit(10)
	f := create(t, fs, "a", "12345678")
	n, err := f.Write([]byte("abcd"))
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Equal(t, 2, n)
	require.Equal(t, "12345678ab", content(t, fs, "a"))
	n, err = f.Write([]byte("e"))
	require.ErrorIs(t, err, syscall.ENOSPC)
	require.Zero(t, n)
	create(t, fs, "b", "")
	fs.Limit(0)
	_, err = f.Write([]byte("e"))
	require.NoError(t, err)
	fs.Limit(12)
	require.NoError(t, fs.Remove("a"))
	create(t, fs, "c", "0123456789")
	require.EqualValues(t, 10, fs.Used())
}

func TestWhatACrashLeaves(t *testing.T) {
	fs := lsmtest.NewFS()
	nothing := func() *lsmtest.FS { return fs.CrashClone(lsmtest.Loss{}) }
	f := create(t, fs, "a", "one")
	require.Equal(t, "none", content(t, nothing(), "a"))
	require.NoError(t, f.Sync())
	require.Equal(t, "none", content(t, nothing(), "a"), "the name is not durable")
	require.NoError(t, fs.SyncDir("."))
	require.Equal(t, "one", content(t, nothing(), "a"))
	_, err := f.Write([]byte("two"))
	require.NoError(t, err)
	require.Equal(t, "one", content(t, nothing(), "a"))
	require.Equal(t, "onetwo", content(t, fs.Clone(), "a"))
	require.Equal(t, "onet", content(t, fs.CrashClone(lsmtest.Loss{Keep: 0.4, Ordered: true}), "a"))

	require.NoError(t, fs.Rename("a", "b"))
	require.Equal(t, "one", content(t, nothing(), "a"))
	require.Equal(t, "none", content(t, nothing(), "b"))
	require.NoError(t, fs.SyncDir("."))
	require.Equal(t, "none", content(t, nothing(), "a"))
	require.Equal(t, "one", content(t, nothing(), "b"))

	g := create(t, fs, "b", "new")
	require.NoError(t, g.Sync())
	require.Equal(t, "one", content(t, nothing(), "b"), "the old file, for the new one's name is not durable")
	require.NoError(t, fs.Remove("b"))
	require.Equal(t, "one", content(t, nothing(), "b"))
	require.Equal(t, "none", content(t, fs.Clone(), "b"))
	require.Equal(t, "new", content(t, fs.CrashClone(lsmtest.Loss{Keep: 0.5, Ordered: true}), "b"))
	require.NoError(t, fs.SyncDir("."))
	require.Equal(t, "none", content(t, nothing(), "b"))
}

// A sync that failed has lost what it was to save, whatever a later one says.
func TestFailedSyncLoses(t *testing.T) {
	fs := lsmtest.NewFS()
	f := create(t, fs, "a", "one")
	require.NoError(t, errors.Join(f.Sync(), fs.SyncDir(".")))
	_, err := f.Write([]byte("two"))
	require.NoError(t, err)
	fs.Inject(lsmtest.Fault{Kinds: []lsmtest.Kind{lsmtest.OpSync}, Times: 1})
	require.ErrorIs(t, f.Sync(), syscall.EIO)
	require.NoError(t, f.Sync())
	_, err = f.Write([]byte("three"))
	require.NoError(t, err)
	require.NoError(t, f.Sync())
	require.Equal(t, "onetwothree", content(t, fs, "a"))
	require.Equal(t, "one\x00\x00\x00three", content(t, fs.CrashClone(lsmtest.Loss{}), "a"))
	require.Equal(t, "one\x00\x00\x00three", content(t, fs.CrashClone(lsmtest.Loss{Ordered: true}), "a"))
}

func TestFaults(t *testing.T) {
	boom := errors.New("boom")
	fs := lsmtest.NewFS()
	require.NoError(t, fs.MkdirAll("d"))
	fs.Inject(
		lsmtest.Fault{Kinds: []lsmtest.Kind{lsmtest.OpWrite}, Match: "*.log", Skip: 1, Times: 1, Err: boom, Partial: 0.5},
		lsmtest.Fault{Kinds: []lsmtest.Kind{lsmtest.OpRename}, Match: "CURRENT", Times: 2, Partial: 1},
	)
	l := create(t, fs, "d/1.log", "abcd")
	other := create(t, fs, "d/1.sst", "abcd")
	n, err := l.Write([]byte("efgh"))
	require.ErrorIs(t, err, boom)
	require.Equal(t, 2, n)
	_, err = l.Write([]byte("!"))
	require.NoError(t, err)
	_, err = other.Write([]byte("!"))
	require.NoError(t, err)
	require.Equal(t, "abcdef!", content(t, fs, "d/1.log"))

	require.ErrorIs(t, fs.Rename("d/1.sst", "d/CURRENT"), syscall.EIO)
	require.Equal(t, "abcd!", content(t, fs, "d/CURRENT"), "it happened all the same")
	require.ErrorIs(t, fs.Rename("d/CURRENT", "d/x"), syscall.EIO)
	require.NoError(t, fs.Rename("d/x", "d/CURRENT"))

	fs.FailAt(2, nil)
	_, err = fs.List("d")
	require.NoError(t, err)
	_, err = fs.List("d")
	require.ErrorIs(t, err, syscall.EIO)
	require.ErrorIs(t, fs.MkdirAll("e"), syscall.EIO)
	require.ErrorIs(t, l.Close(), syscall.EIO)
	fs.Heal()
	_, err = fs.Open("d/1.log")
	require.NoError(t, err)
	require.Equal(t, []string{"d/1.log", "d/1.sst"}, fs.OpenFiles(), "the failed close closed")

	var seen []string
	before := fs.Ops()
	fs.Before(func(o lsmtest.Op) { seen = append(seen, o.String()) })
	require.NoError(t, fs.Remove("d/1.log"))
	_, err = other.Write([]byte("12"))
	require.NoError(t, err)
	fs.Before(nil)
	require.NoError(t, fs.SyncDir("d"))
	require.EqualValues(t, 3, fs.Ops()-before)
	require.Equal(t, []string{fmt.Sprintf("#%d remove d/1.log", before+1), fmt.Sprintf("#%d write d/1.sst, 2 bytes at 5", before+2)}, seen)

	fs.PowerOff()
	_, err = fs.Open("d/1.sst")
	require.ErrorIs(t, err, lsmtest.ErrPowerOff)
	require.ErrorIs(t, other.Sync(), lsmtest.ErrPowerOff)
}

func TestDamageByHand(t *testing.T) {
	fs := lsmtest.NewFS()
	fs.WriteFile("d/e/a", []byte("abc"))
	copied := fs.Clone()
	require.NoError(t, fs.Flip("d/e/a", 1, 0))
	require.Equal(t, "acc", content(t, fs, "d/e/a"))
	require.NoError(t, fs.Truncate("d/e/a", 1))
	require.Equal(t, "a", content(t, fs, "d/e/a"))
	require.Equal(t, "abc", content(t, copied, "d/e/a"), "clones keep to themselves")
	require.EqualValues(t, 1, fs.Used())
	require.Error(t, fs.Flip("d/e/a", 1, 0))
	require.Error(t, fs.Flip("d/e/a", 0, 8))
	require.Error(t, fs.Flip("d/e/b", 0, 0))
	require.Error(t, fs.Truncate("d/e/a", 2))
	require.Error(t, fs.Truncate("x", 0))
	require.Contains(t, fs.String(), "d/e/a")
	require.True(t, strings.HasPrefix(lsmtest.Kind(99).String(), "kind("))
}

// TestCrashesAgainstModel runs random operations beside a plain account of what must and
// what may be on the disk, and compares crashes with it.
func TestCrashesAgainstModel(t *testing.T) {
	type file struct {
		data   []byte
		synced int
	}
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		fs := lsmtest.NewFS()
		names := []string{"a", "b", "c"}
		handles := map[string]lsm.File{}
		files := map[lsm.File]*file{}
		sure := map[string]*file{}           // names that are durable, and whose they are
		could := map[string]map[*file]bool{} // what each name may stand for
		may := func(name string, f *file) {  // f nil: nothing
			if could[name] == nil {
				could[name] = map[*file]bool{sure[name]: true}
			}
			could[name][f] = true
		}
		for range 60 {
			name := names[r.IntN(len(names))]
			h := handles[name]
			switch r.IntN(6) {
			case 0:
				h, err := fs.Create(name)
				require.NoError(t, err)
				handles[name], files[h] = h, &file{}
				may(name, files[h])
			case 1, 2:
				if h != nil {
					b := bytes.Repeat([]byte{byte(1 + r.IntN(255))}, r.IntN(1500))
					_, err := h.Write(b)
					require.NoError(t, err)
					files[h].data = append(files[h].data, b...)
				}
			case 3:
				if h != nil {
					require.NoError(t, h.Sync())
					files[h].synced = len(files[h].data)
				}
			case 4:
				to := names[r.IntN(len(names))]
				if h == nil || to == name {
					break
				}
				if r.IntN(2) == 0 {
					require.NoError(t, fs.Remove(name))
				} else {
					require.NoError(t, fs.Rename(name, to))
					may(to, files[h])
					handles[to] = h
				}
				may(name, nil)
				delete(handles, name)
			case 5:
				require.NoError(t, fs.SyncDir("."))
				could, sure = map[string]map[*file]bool{}, map[string]*file{}
				for n, h := range handles {
					sure[n] = files[h]
				}
			}
			l := lsmtest.Loss{Seed: r.Uint64(), Keep: float64(r.IntN(5)) / 4, Ordered: r.IntN(2) == 0}
			after := fs.CrashClone(l)
			again := fs.CrashClone(l)
			require.Equal(t, after.String(), again.String(), "a seed gives one disk")
			for _, n := range names {
				got, err := after.ReadFile(n)
				if same, _ := again.ReadFile(n); !bytes.Equal(got, same) {
					t.Fatalf("seed %d: %v gives two disks", seed, l)
				}
				possible := []*file{sure[n]}
				if could[n] != nil {
					possible = slices.Collect(maps.Keys(could[n]))
				}
				if !slices.ContainsFunc(possible, func(f *file) bool {
					if f == nil || err != nil {
						return f == nil && err != nil
					}
					whole := len(got) <= len(f.data) && len(got) >= f.synced && bytes.Equal(got[:f.synced], f.data[:f.synced])
					return whole && (l.Keep < 1 || bytes.Equal(got, f.data)) && (l.Keep > 0 || len(got) == f.synced || !l.Ordered)
				}) {
					t.Fatalf("seed %d, %v: %s holds %d bytes (%v), which it cannot", seed, l, n, len(got), err)
				}
			}
		}
	}
}

func TestConcurrentUse(t *testing.T) {
	fs := lsmtest.NewFS()
	fs.Before(func(o lsmtest.Op) {
		if o.N%50 == 0 {
			fs.CrashClone(lsmtest.Loss{Seed: uint64(o.N), Keep: 0.5})
		}
	})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			name := path.Join("d", fmt.Sprint(g))
			if err := fs.MkdirAll("d"); err != nil {
				t.Error(err)
			}
			for range 50 {
				f, err := fs.Create(name)
				if err != nil {
					t.Error(err)
					return
				}
				_, werr := f.Write(make([]byte, 700))
				_, rerr := f.ReadAt(make([]byte, 10), 0)
				if err := errors.Join(werr, rerr, f.Sync(), fs.SyncDir("d"), f.Close(), fs.Rename(name, name+"x"), fs.Remove(name+"x")); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.Empty(t, fs.OpenFiles())
	require.Zero(t, fs.Used())
}
