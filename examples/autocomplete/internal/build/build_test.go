package build

import (
	"errors"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/trie"
)

func searches(terms ...string) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		for _, t := range terms {
			if !yield(t, nil) {
				return
			}
		}
	}
}

func corpus(n int) map[string]uint64 {
	c := map[string]uint64{}
	for i := range n {
		c[fmt.Sprintf("%c%c term %d", 'a'+i%26, 'a'+i/26%26, i)] = uint64(1 + i%50)
	}
	return c
}

func TestRun(t *testing.T) {
	dir := t.TempDir()
	blocked, err := trie.NewBlocklist(trie.FoldDefault, "term 7")
	require.NoError(t, err)
	at := time.Date(2026, 3, 1, 3, 0, 0, 0, time.UTC)
	o := Options{Dir: filepath.Join(dir, "1"), Generation: 1, Base: maps.All(corpus(3000)), Keep: 1, Blocked: blocked, Now: at}
	first, err := Run(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, 2999, first.Terms)
	require.Len(t, first.Bounds, 7)
	whole, err := trie.Open(filepath.Join(o.Dir, Whole))
	require.NoError(t, err)

	o = Options{
		Dir: filepath.Join(dir, "2"), Generation: 2, Base: whole.All(), Keep: 0.5, Parent: first, Blocked: blocked, Now: at.Add(24 * time.Hour),
		Searches: searches("brand new", "BRAND new", "term 7 again", "\xff", "", "brand new"), UpTo: 6,
	}
	second, err := Run(t.Context(), o)
	require.NoError(t, err)
	require.Equal(t, uint64(1), second.Parent)
	require.InEpsilon(t, first.Mass/2, second.Mass, 0.02, "half of the past is left, whatever the counts")
	read, err := Read(o.Dir)
	require.NoError(t, err)
	require.Equal(t, second, read)
	whole, err = trie.Open(filepath.Join(o.Dir, Whole))
	require.NoError(t, err)
	score, ok := whole.Score("brand new")
	require.True(t, ok)
	require.Equal(t, uint64(3), score)
	for term := range whole.All() {
		require.NotContains(t, term, "term 7 ")
	}
	popular, err := trie.Open(filepath.Join(o.Dir, Popular))
	require.NoError(t, err)
	require.Equal(t, whole.TopK("", 10), popular.TopK("", 10))
}

// TestVerify: a generation that is damaged, or has lost too much, is refused and has no
// manifest.
func TestVerify(t *testing.T) {
	dir := t.TempDir()
	damage := func(name string, change func([]byte) []byte) func(string) {
		return func(dir string) {
			path := filepath.Join(dir, name)
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(path, change(b), 0o644))
		}
	}
	flip := func(b []byte) []byte { b[len(b)/3] ^= 16; return b }
	cut := func(b []byte) []byte { return b[:len(b)-9] }
	for name, change := range map[string]func(*Options){
		"a flipped bit in a range":     func(o *Options) { o.Built = damage(Range(3), flip) },
		"a range cut short":            func(o *Options) { o.Built = damage(Range(0), cut) },
		"a flipped bit in the whole":   func(o *Options) { o.Built = damage(Whole, flip) },
		"a flipped bit in the popular": func(o *Options) { o.Built = damage(Popular, flip) },
		"a range twice":                func(o *Options) { o.Built = func(dir string) { copyFile(t, dir, Range(1), Range(2)) } },
		"a range that is not there": func(o *Options) {
			o.Built = func(dir string) { require.NoError(t, os.Remove(filepath.Join(dir, Range(5)))) }
		},
		"nothing in it":           func(o *Options) { o.Base = maps.All(map[string]uint64{}) },
		"far less than there was": func(o *Options) { o.Parent = &Manifest{Generation: 8, Mass: 1e9} },
		"keeping more than all":   func(o *Options) { o.Keep = 1.5 },
		"a log that cannot be read": func(o *Options) {
			o.Searches = func(yield func(string, error) bool) { yield("", errors.New("bad sector")) }
		},
	} {
		o := Options{Dir: filepath.Join(dir, "g"), Generation: 9, Base: maps.All(corpus(2000)), Keep: 1}
		change(&o)
		_, err := Run(t.Context(), o)
		require.Error(t, err, name)
		_, err = Read(o.Dir)
		require.ErrorIs(t, err, os.ErrNotExist, name)
	}
	for _, text := range []string{"", "{", `{"bounds": ["b", "a"]}`} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, manifest), []byte(text), 0o644))
		_, err := Read(dir)
		require.ErrorIs(t, err, ErrManifest)
	}
}

func copyFile(t *testing.T, dir, from, to string) {
	b, err := os.ReadFile(filepath.Join(dir, from))
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, to), b, 0o644))
}

// TestFade: counts of one fade as fast as large ones, and alike every time.
func TestFade(t *testing.T) {
	o := Options{Keep: 0.9, Generation: 5}
	left := uint64(0)
	var chosen []uint64
	for i := range 10_000 {
		n := o.fade(fmt.Sprint("term ", i), 1)
		chosen = append(chosen, n)
		left += n
	}
	require.InDelta(t, 9000, left, 150)
	again := slices.Clone(chosen)
	for i := range again {
		again[i] = o.fade(fmt.Sprint("term ", i), 1)
	}
	require.Equal(t, chosen, again)
	require.Equal(t, uint64(900), o.fade("x", 1000))
	o.Keep = 0
	require.Zero(t, o.fade("x", 1<<63))
}
