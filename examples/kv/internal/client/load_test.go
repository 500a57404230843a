package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
	"github.com/ashlar-go/ashlar/examples/kv/internal/httpapi"
)

func write(t *testing.T, dir, name, content string) {
	t.Helper()
	name = filepath.Join(dir, filepath.FromSlash(name))
	require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o755))
	require.NoError(t, os.WriteFile(name, []byte(content), 0o644))
}

func TestLoadDirectory(t *testing.T) {
	s := newShell(t)
	dir := t.TempDir()
	for i := range 100 {
		write(t, dir, fmt.Sprintf("d%d/f%d.txt", i%7, i), fmt.Sprint("content ", i))
	}
	write(t, dir, "top", "")
	write(t, dir, "日 本/%2F?#", "odd")
	r := s.run("", "load", dir)
	require.Zero(t, r.code, r.err)
	require.Contains(t, r.out, "loaded 102 keys, 993 B in ")
	require.Empty(t, r.err)
	for i := range 100 {
		require.Equal(t, []string{fmt.Sprint("content ", i)}, s.read(fmt.Sprintf("d%d/f%d.txt", i%7, i)))
	}
	require.Equal(t, []string{""}, s.read("top"))
	require.Equal(t, []string{"odd"}, s.read("日 本/%2F?#"))
	r = s.run("", "load", "-if-absent", dir)
	require.Zero(t, r.code)
	require.Contains(t, r.out, "loaded 0 keys")
	require.Contains(t, r.out, "102 skipped")
}

func TestLoadSkipsAndReports(t *testing.T) {
	s := newShell(t)
	dir := t.TempDir()
	write(t, dir, "good", "v")
	require.NoError(t, os.Symlink("good", filepath.Join(dir, "link")))
	r := s.run("", "load", dir)
	require.Zero(t, r.code, r.err)
	require.Equal(t, "link: skipped: not a regular file\n", r.err)
	require.Contains(t, r.out, "loaded 1 keys")

	require.NoError(t, os.Truncate(filepath.Join(dir, "good"), api.MaxValue+1))
	r = s.run("", "load", "-json", dir)
	require.Equal(t, 3, r.code)
	var sum struct {
		tally
		Seconds, Rate float64
	}
	require.NoError(t, json.Unmarshal([]byte(r.out), &sum))
	require.Equal(t, tally{Skipped: 2, Failures: sum.Failures}, sum.tally)
	require.Len(t, sum.Failures, 2)
	require.Equal(t, []string{"v"}, s.read("good"), "as it was")

	r = s.run("", "load", filepath.Join(dir, "missing"))
	require.Equal(t, 2, r.code)
	require.Contains(t, r.err, "missing")
}

func TestLoadLines(t *testing.T) {
	s := newShell(t)
	var tsv strings.Builder
	for i := range 300 {
		fmt.Fprintf(&tsv, "same\t%d\n", i)
	}
	tsv.WriteString("a\tone\n\nb\ttwo\twith tab\r\n\r\nempty\t\nno tab here\n\tempty key\nback\\n\tslash\\t\nlast\tline")
	file := filepath.Join(t.TempDir(), "x.tsv")
	require.NoError(t, os.WriteFile(file, []byte(tsv.String()), 0o644))
	for _, args := range [][]string{{"load", "-", "-parallel", "7"}, {"load", file}} {
		r := s.run(tsv.String(), args...)
		require.Equal(t, 3, r.code)
		require.Contains(t, r.err, "line 306: input: no tab\n")
		require.Contains(t, r.err, `"": kv: empty key`)
		require.Contains(t, r.out, "loaded 305 keys")
		require.Contains(t, r.out, "2 failed")
		require.Equal(t, []string{"299"}, s.read("same"), "lines of a key in their order")
		require.Equal(t, []string{"one"}, s.read("a"))
		require.Equal(t, []string{"two\twith tab"}, s.read("b"))
		require.Equal(t, []string{""}, s.read("empty"))
		require.Equal(t, []string{"slash\\t"}, s.read("back\\n"))
		require.Equal(t, []string{"line"}, s.read("last"))
		require.Zero(t, s.run("", "del", "same").code)
	}
}

func TestLoadVeryLongLines(t *testing.T) {
	s := newShell(t)
	in := io.MultiReader(
		strings.NewReader("a\t1\nhuge\t"), io.LimitReader(letters{}, api.MaxValue+api.MaxKey+100),
		strings.NewReader("\nbig\t"), io.LimitReader(letters{}, api.MaxValue+1),
		strings.NewReader("\nfits\t"), io.LimitReader(letters{}, api.MaxValue),
		strings.NewReader("\nb\t2\n"))
	r := s.with(in, "load", "-")
	require.Equal(t, 3, r.code)
	require.Contains(t, r.out, "loaded 3 keys")
	require.Contains(t, r.out, "2 skipped")
	require.Contains(t, r.err, "line 2: skipped: kv: value over")
	require.Contains(t, r.err, "line 3: skipped: kv: value over")
	require.Len(t, s.read("fits")[0], api.MaxValue)
}

type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	return len(p), nil
}

func TestLoadGivesUp(t *testing.T) {
	s := newShell(t)
	tsv := strings.Repeat("k\tv\n", 5000)
	s.store.Fail(api.ErrUnavailable)
	r := s.run(tsv, "load", "-")
	require.Equal(t, 4, r.code)
	require.Contains(t, r.err, "stopped after 100 failures in a row")
	require.Equal(t, maxListed, strings.Count(r.err, "too few replicas"), "no more than ten are listed")
	require.Regexp(t, `and \d+ more\n`, r.err)
}

// slow is a node that lets the test hold writes.
type slow struct {
	http.Handler
	began chan struct{}
	once  sync.Once
	gate  chan struct{}
}

func (s *slow) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.once.Do(func() { close(s.began) })
	<-s.gate
	s.Handler.ServeHTTP(w, r)
}

// Ctrl-C while standard input is open and a write is under way: the write is finished, and
// the load ends although its input does not.
func TestLoadInterrupted(t *testing.T) {
	s := newShell(t)
	h := &slow{Handler: httpapi.New(httpapi.Options{Store: s.store}), began: make(chan struct{}), gate: make(chan struct{})}
	addr := serve(t, h)
	ctx, interrupt := context.WithCancel(t.Context())
	in, out := io.Pipe()
	defer out.Close()
	var stdout, stderr bytes.Buffer
	code := make(chan int)
	go func() {
		code <- run(ctx, []string{"load", "-addr", addr, "-"}, in, &stdout, &stderr, os.Getenv)
	}()
	_, err := io.WriteString(out, "k\tv\n")
	require.NoError(t, err)
	<-h.began
	interrupt()
	close(h.gate)
	require.Equal(t, 4, <-code)
	require.Equal(t, []string{"v"}, s.read("k"))
	require.Contains(t, stdout.String(), "loaded 1 keys")
	require.Contains(t, stderr.String(), "stopped; not all was loaded")
}

func TestProgressLines(t *testing.T) {
	tl := tally{Keys: 1234567, Bytes: 5_500_000_000, Skipped: 3, Failed: 1000}
	require.Equal(t, "1,234,567 keys, 5.5 GB in 10.0 s: 123,456 keys/s, 550 MB/s, 3 skipped, 1,000 failed", tl.String(10*time.Second))
	require.Equal(t, "0 keys, 0 B in 0.0 s: 0 keys/s, 0 B/s", (&tally{}).String(0))
	require.Equal(t, "999 B", size(999))
	require.Equal(t, "1 kB", size(999.7))
	require.Equal(t, "12", grouped(12))
}
