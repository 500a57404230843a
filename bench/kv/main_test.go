package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func smallPlan(t *testing.T) plan {
	p := defaultPlan()
	// A store in memory does for the generator; one node, since several would not share it.
	p.pkg, p.nodes = "github.com/ashlar-go/ashlar/examples/kv/internal/apitest/memserve", 1
	p.dir = t.TempDir()
	p.keys, p.conns, p.step, p.duration, p.users = 300, []int{1, 4}, 100*time.Millisecond, 300*time.Millisecond, 16
	return p
}

func TestWholeRun(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: builds a program and loads it for seconds")
	}
	p := smallPlan(t)
	file := filepath.Join(t.TempDir(), "out.txt")
	var out, log bytes.Buffer
	require.NoError(t, p.report(t.Context(), file, &out, &log), log.String())
	got, err := os.ReadFile(file)
	require.NoError(t, err)
	for _, want := range []string{"goos: ", "go: go1.", "commit: ", "date: ", "nodes: 1\n", "keys: 300\n"} {
		require.Contains(t, string(got), want)
	}
	for _, size := range []string{"100", "10000"} {
		for _, name := range []string{"keys=each/loop=load/conns=32", "keys=zipf/loop=closed/conns=1", "keys=zipf/loop=closed/conns=4", "keys=uniform/loop=closed/conns=4", "keys=uniform/loop=open/rate="} {
			require.Contains(t, string(got), "BenchmarkKV/value="+size+"/"+name)
		}
	}
	for line := range strings.Lines(string(got)) {
		if strings.HasPrefix(line, "Benchmark") {
			require.True(t, strings.HasSuffix(line, "\t0 errors\n"), line)
			require.NotContains(t, line, "\t0\t", "requests were made")
		}
	}
	require.Contains(t, out.String(), "p99.9")
	require.Equal(t, 2*7, strings.Count(log.String(), "\n"))
	left, err := os.ReadDir(p.dir)
	require.NoError(t, err)
	require.Empty(t, left, "nothing is left behind")
}

func TestNodesThatEnd(t *testing.T) {
	tool, err := exec.LookPath("go") // it knows no "serve" and says so
	require.NoError(t, err)
	c, err := startCluster(t.Context(), tool, t.TempDir(), 2, false)
	require.ErrorContains(t, err, "n1 ended; it said:\ngo serve: unknown command")
	require.Nil(t, c)
}

func TestRunStops(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	p := smallPlan(t)
	var out, log bytes.Buffer
	file := filepath.Join(t.TempDir(), "out.txt")
	require.Error(t, p.report(ctx, file, &out, &log))
	require.NoFileExists(t, file)
	require.Error(t, p.report(t.Context(), filepath.Join(t.TempDir(), "missing", "out.txt"), &out, &log))
}

func TestFlags(t *testing.T) {
	var out, log bytes.Buffer
	require.Equal(t, 0, run(t.Context(), []string{"-help"}, &out, &log))
	require.Contains(t, log.String(), "-quick")
	for _, args := range [][]string{{"-duration", "0s"}, {"-duration", "x"}, {"-keys", "0"}, {"more"}, {"-x"}} {
		require.Equal(t, 2, run(t.Context(), args, &out, &log), "%q", args)
	}
	require.Equal(t, 1, run(t.Context(), []string{"-out", filepath.Join(t.TempDir(), "missing", "out.txt")}, &out, &log))
}

func TestTable(t *testing.T) {
	r := newResult()
	for range 1000 {
		r.latency.add(1500 * time.Microsecond)
	}
	r.latency.add(2 * time.Second)
	r.ok, r.failed, r.took = 999, 2, 2*time.Second
	r.notes = map[string]int64{"siblings": 3, "time-out": 2, "write 503": 3}
	rows := []row{{10_000, "zipf", "closed", 8, 0, r}}
	var out bytes.Buffer
	table(&out, rows)
	require.Equal(t, `  value  keys    loop  conns  ops/s    p50    p99  p99.9  max  errors                                notes
  10 KB  zipf  closed      8    500  1.5ms  1.5ms  1.5ms   2s       2  siblings 3, write 503 3, time-out 2
`, out.String())
	out.Reset()
	raw(&out, rows)
	require.Regexp(t, `^BenchmarkKV/value=10000/keys=zipf/loop=closed/conns=8\t1001\t\d+ ns/op\t499\.5 ops/s\t\d+ p50-ns\t.*\t2000000000 max-ns\t2 errors\n$`, out.String())
	require.Equal(t, "100 B", bytesOf(100))
	require.Equal(t, []string{"12µs", "999µs", "1ms", "999ms", "1s"}, []string{
		micros(12 * time.Microsecond), micros(999 * time.Microsecond), micros(time.Millisecond), micros(999 * time.Millisecond), micros(time.Second),
	})
}

// The wait before a request is due takes no millisecond too long.
func TestPrecisely(t *testing.T) {
	pause := precisely()
	var h histogram
	for range 100 {
		start := time.Now()
		pause(200 * time.Microsecond)
		took := time.Since(start)
		require.GreaterOrEqual(t, took, 200*time.Microsecond)
		h.add(took - 200*time.Microsecond)
	}
	t.Logf("late by %v, p99 %v", h.quantile(0.5), h.quantile(0.99))
}
