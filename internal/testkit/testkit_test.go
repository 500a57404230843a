package testkit

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// record is a test that is looked at instead of failing.
type record struct {
	testing.TB
	failed   bool
	log      strings.Builder
	cleanups []func()
}

func (r *record) Helper()                   {}
func (r *record) Name() string              { return "TestX" }
func (r *record) Failed() bool              { return r.failed }
func (r *record) Cleanup(f func())          { r.cleanups = append(r.cleanups, f) }
func (r *record) Logf(f string, a ...any)   { fmt.Fprintf(&r.log, f+"\n", a...) }
func (r *record) Fatal(a ...any)            { r.Fatalf("%s", fmt.Sprint(a...)) }
func (r *record) Fatalf(f string, a ...any) { r.failed = true; r.Logf(f, a...); runtime.Goexit() }

// run calls f as the body of a test and returns what became of it.
func run(f func(t testing.TB)) *record {
	r := &record{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(r)
	}()
	<-done
	for _, c := range r.cleanups {
		c()
	}
	return r
}

func TestSeed(t *testing.T) {
	t.Setenv(seedEnv, "42")
	good := run(func(t testing.TB) { require.Equal(t, uint64(42), Seed(t)) })
	require.Empty(t, good.log.String(), "a test that passes says nothing")

	bad := run(func(t testing.TB) { Seed(t); t.Fatal("broken") })
	require.True(t, bad.failed)
	require.Contains(t, bad.log.String(), "go test -run '^TestX$' -seed 42")

	var a, b uint64
	run(func(t testing.TB) { a = Rand(t).Uint64() })
	run(func(t testing.TB) { b = Rand(t).Uint64() })
	require.Equal(t, a, b, "the same seed, the same numbers")

	t.Setenv(seedEnv, "many")
	require.True(t, run(func(t testing.TB) { Seed(t) }).failed)
}

func TestParseSeed(t *testing.T) {
	seed, err := parseSeed("7", "8")
	require.NoError(t, err)
	require.Equal(t, uint64(7), seed, "the flag comes first")
	for _, word := range []string{"-1", "0x1", " 1", "18446744073709551616"} {
		_, err = parseSeed(word)
		require.Error(t, err, word)
	}
	a, _ := parseSeed("", "")
	b, _ := parseSeed("", "")
	require.NotEqual(t, a, b, "drawn anew")
}

func TestGolden(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "trace.txt")
	check := func(got string, update bool) *record {
		return run(func(t testing.TB) { golden(t, path, got, update) })
	}
	missing := check("a\nb\n", false)
	require.True(t, missing.failed)
	require.Contains(t, missing.log.String(), "-update")

	require.False(t, check("a\nb\n", true).failed)
	require.False(t, check("a\nb\n", false).failed)

	other := check("a\nc\n", false)
	require.True(t, other.failed)
	require.Contains(t, other.log.String(), "line 2\n want \"b\"\n  got \"c\"")
	short := check("a", false)
	require.Contains(t, short.log.String(), "line 2\n want \"b\"\n  got end of text")

	require.NoError(t, os.WriteFile(path, []byte("a\r\nb\r\n"), 0o644))
	require.False(t, check("a\nb\n", false).failed, "a checkout on Windows")
	require.True(t, run(func(t testing.TB) { golden(t, filepath.Join(path, "x"), "", true) }).failed, "a file in the way")
}
