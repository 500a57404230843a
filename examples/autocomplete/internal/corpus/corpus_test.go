package corpus

import (
	"bytes"
	"compress/gzip"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestGoSources(t *testing.T) {
	dir := t.TempDir()
	source := "package p\n\n// Read the whole file, then read the whole\n// file again.\nfunc Read() { os.ReadFile(name).Close() }\n"
	for _, name := range []string{"a.go", "b.go", "c.go", "d.go", "e.go", "c_test.go", "testdata/d.go", "cmd/e.go", "f.txt"} {
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o755))
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), []byte(source), 0o644))
	}
	c, err := GoSources(t.Context(), dir)
	require.NoError(t, err)
	for term, n := range map[string]uint64{
		"Read": 5, "os.ReadFile": 5, "ReadFile": 5, "read the whole": 10, "whole file": 5, "the whole file": 5, "again": 5,
		"file then": 0, "ReadFile.Close": 0, "read the whole file": 0, "p": 0,
	} {
		require.Equal(t, n, c[term], term)
	}
	_, err = GoSources(t.Context(), t.TempDir())
	require.ErrorIs(t, err, ErrTerms)
	_, err = GoSources(t.Context(), filepath.Join(dir, "nowhere"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func TestRead(t *testing.T) {
	const text = "\ufeffnew york\t9\tmore\r\n\nnew york\t1\nof the 7\nmany\t18446744073709551615\nmany\t1\n"
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, err := z.Write([]byte(text))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	for _, in := range []string{text, zipped.String()} {
		c, err := Read(strings.NewReader(in))
		require.NoError(t, err)
		require.Equal(t, Counts{"new york": 10, "of the": 7, "many": math.MaxUint64}, c)
	}
	for name, in := range map[string]string{
		"empty": "", "no count": "word\n", "a negative count": "word\t-1\n", "a count too many": "word\t18446744073709551616\n",
		"no term": "\t5\n", "invalid UTF-8": "\xff\t5\n", "a line of 100 kB": strings.Repeat("x", 100_000), "half a gzip": zipped.String()[:20],
		"a fraction": "word\t1.5\n",
	} {
		_, err := Read(strings.NewReader(in))
		require.ErrorIs(t, err, ErrTerms, name)
	}
	_, err = ReadFile(filepath.Join(t.TempDir(), "nowhere"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("a\t1\nb 2\n"))
	f.Add([]byte{0x1f, 0x8b, 8})
	f.Fuzz(func(t *testing.T, in []byte) {
		c, err := Read(bytes.NewReader(in))
		require.Equal(t, err != nil, len(c) == 0)
	})
}

// TestWordLists reads real lists of words in seven languages.
func TestWordLists(t *testing.T) {
	data := os.Getenv("ASHLAR_DATA")
	if data == "" {
		t.Skip("ASHLAR_DATA names no folder with words/*.txt.gz")
	}
	lists, err := filepath.Glob(filepath.Join(data, "words", "*.txt.gz"))
	require.NoError(t, err)
	require.NotEmpty(t, lists)
	for _, list := range lists {
		c, err := ReadFile(list)
		require.NoError(t, err)
		require.Greater(t, len(c), 10_000, list)
	}
}
