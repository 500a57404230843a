package trie

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"hash/crc32"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/internal/testkit"
)

var writeGolden = flag.Bool("trie.golden", false, "write the golden file of the format")

// small is a snapshot with all that the format has: heads, aliases, display forms, long
// labels.
func small(t testing.TB) *Snapshot {
	return build(t, BuilderOptions{HeadMin: 4, HeadK: 3, WordStarts: true},
		"New York", 90, "new delhi", 80, "newt", 25, "no", 5, "nothing else matters", 5, "nothing else", 5,
		"a rather long label that no symbol covers: zqxjkvbpwm", 3, "Ελλάδα", 7, "日本語", 7, "a\x00b", 1)
}

func fileOf(t testing.TB, s *Snapshot) []byte {
	var b bytes.Buffer
	n, err := s.WriteTo(&b)
	require.NoError(t, err)
	require.EqualValues(t, b.Len(), n)
	return b.Bytes()
}

func TestFileRoundTrip(t *testing.T) {
	for name, s := range map[string]*Snapshot{"small": small(t), "empty": build(t, BuilderOptions{}), "bytes": build(t, BuilderOptions{Fold: FoldNone}, "A", 1)} {
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, s.WriteFile(path))
		for _, load := range []func() (*Snapshot, error){
			func() (*Snapshot, error) { return Open(path) },
			func() (*Snapshot, error) { return Load(fileOf(t, s)) },
		} {
			got, err := load()
			require.NoError(t, err, name)
			require.Equal(t, s.Len(), got.Len())
			require.Equal(t, s.Fold(), got.Fold())
			require.Equal(t, s.WordStarts(), got.WordStarts())
			require.Equal(t, s.SizeBytes(), got.SizeBytes())
			require.Equal(t, maps.Collect(s.All()), maps.Collect(got.All()))
			for _, prefix := range []string{"", "n", "ne", "new ", "york", "ελ", "A"} {
				require.Equal(t, s.TopK(prefix, 10), got.TopK(prefix, 10))
			}
			require.Equal(t, fileOf(t, s), fileOf(t, got))
		}
		left, err := filepath.Glob(path + "*")
		require.NoError(t, err)
		require.Equal(t, []string{path}, left, "no temporary file stays")
	}
}

func TestMappedFileOutlivesItsName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snapshot")
	require.NoError(t, small(t).WriteFile(path))
	s, err := Open(path)
	require.NoError(t, err)
	require.NoError(t, build(t, BuilderOptions{}, "other", 1).WriteFile(path))
	for range 3 {
		runtime.GC()
		require.Equal(t, []string{"New York", "new delhi"}, termsOf(s.TopK("new ", 5)))
	}
}

func TestResultsOutliveTheMapping(t *testing.T) {
	path := filepath.Join(t.TempDir(), "snapshot")
	require.NoError(t, small(t).WriteFile(path))
	var lists [][]Completion
	for range 20 {
		s, err := Open(path)
		require.NoError(t, err)
		lists = append(lists, s.NewSearcher().Search(Query{Prefix: "n", K: 3}), s.NewSearcher().Search(Query{Prefix: "yor", K: 3}))
		runtime.GC()
	}
	for range 3 {
		runtime.GC() // cleanups run behind it
	}
	for _, list := range lists {
		require.Equal(t, "New York", list[0].Term)
	}
}

func TestGoldenFile(t *testing.T) {
	b := fileOf(t, small(t))
	path := filepath.Join("testdata", "v1.trie")
	if *writeGolden {
		require.NoError(t, os.MkdirAll("testdata", 0o755))
		require.NoError(t, os.WriteFile(path, b, 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	s, err := Load(want)
	require.NoError(t, err)
	require.Equal(t, []string{"New York", "new delhi", "newt", "no", "nothing else"}, termsOf(s.TopK("n", 5)))
	require.True(t, bytes.Equal(want, b), "the same terms make the same file (-trie.golden writes a new one)")
}

// TestDamageIsRefused flips every bit and cuts at every byte, and then flips a million
// random bits, several at a time.
func TestDamageIsRefused(t *testing.T) {
	file := fileOf(t, small(t))
	for cut := range file {
		_, err := Load(file[:cut])
		require.ErrorIs(t, err, ErrCorrupt)
	}
	_, err := Load(append(bytes.Clone(file), 0))
	require.ErrorIs(t, err, ErrCorrupt)
	bad := bytes.Clone(file)
	for i := range bad {
		for bit := range 8 {
			bad[i] ^= 1 << bit
			if _, err := Load(bad); !errors.Is(err, ErrCorrupt) {
				t.Fatalf("bit %d of byte %d: %v", bit, i, err)
			}
			bad[i] ^= 1 << bit
		}
	}
	rng := testkit.Rand(t)
	flips := 1_000_000
	if testing.Short() {
		flips = 50_000
	}
	for flips > 0 {
		n := 1 + rng.IntN(5)
		flips -= n
		at := make([]int, n)
		for i := range at {
			at[i] = rng.IntN(len(bad) * 8)
			bad[at[i]/8] ^= 1 << (at[i] % 8)
		}
		if _, err := Load(bad); !errors.Is(err, ErrCorrupt) && !bytes.Equal(bad, file) {
			t.Fatalf("bits %v: %v", at, err)
		}
		for _, bit := range at {
			bad[bit/8] ^= 1 << (bit % 8)
		}
	}
	for name, foreign := range map[string][]byte{"empty": nil, "text": []byte("term\t5\n"), "zeros": make([]byte, 4096)} {
		path := filepath.Join(t.TempDir(), name)
		require.NoError(t, os.WriteFile(path, foreign, 0o644))
		_, err := Open(path)
		var damage *CorruptError
		require.ErrorAs(t, err, &damage, name)
		require.Equal(t, path, damage.Path)
		require.Contains(t, err.Error(), path)
	}
	_, err = Open(filepath.Join(t.TempDir(), "absent"))
	require.ErrorIs(t, err, os.ErrNotExist)
	_, err = Open(t.TempDir())
	require.Error(t, err, "a folder")
}

// reseal makes the checksums of a file right.
func reseal(b []byte) {
	if len(b) < fileHeader {
		return
	}
	binary.LittleEndian.PutUint32(b[fileHeader-4:], crc32.Checksum(b[:fileHeader-4], castagnoli))
	size := uint64(0)
	for at := 48; at < 80; at += 8 {
		size += binary.LittleEndian.Uint64(b[at:])
	}
	if size > uint64(len(b)) || fileHeader+size+8 > uint64(len(b)) {
		return
	}
	var sums blockSums
	sums.add(b[fileHeader : fileHeader+size])
	copy(b[fileHeader+size:], sums.finish())
}

// use does with a snapshot all that reads it. It bounds what it takes, for a forged file
// may share its nodes and so have more terms than bytes.
func use(s *Snapshot) {
	for _, prefix := range []string{"", "n", "ne", "new york", "a rather long label that", "\u03b5", "zz"} {
		s.TopK(prefix, 3)
		s.Search(Query{Prefix: prefix, K: 100, Filter: func(string) bool { return true }})
		s.Search(Query{Prefix: prefix, K: 20, Fuzzy: Fuzzy{MaxEdits: 2}})
		s.Score(prefix)
		n := 0
		for range s.Completions(prefix) {
			if n++; n == 100 {
				break
			}
		}
		for range s.Range(prefix) {
			if n++; n == 200 {
				break
			}
		}
	}
}

// TestForgedFiles: bytes whose checksums are right but that no builder wrote may give wrong
// answers, but no panic and no endless loop.
func TestForgedFiles(t *testing.T) {
	file := fileOf(t, small(t))
	bad := bytes.Clone(file)
	step := 1
	if testing.Short() {
		step = 13
	}
	for i := 0; i < len(file); i += step {
		for _, x := range []byte{1, 0x10, 0x80, 0xff} {
			copy(bad, file)
			bad[i] ^= x
			reseal(bad)
			if s, err := Load(bad); err == nil {
				use(s)
			}
		}
	}
}

type failing struct{ left int }

var errDisk = errors.New("disk full")

func (w *failing) Write(b []byte) (int, error) {
	if w.left -= len(b); w.left < 0 {
		return 0, errDisk
	}
	return len(b), nil
}

func TestWriteErrors(t *testing.T) {
	s := small(t)
	for left := range fileOf(t, s) {
		_, err := s.WriteTo(&failing{left})
		require.ErrorIs(t, err, errDisk)
	}
	b := NewBuilder(BuilderOptions{})
	require.NoError(t, b.Add("a", 1))
	require.ErrorIs(t, b.BuildTo(t.Context(), &failing{}), errDisk)
	require.Error(t, s.WriteFile(filepath.Join(t.TempDir(), "no", "folder")))
}
