package main

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestRun measures for a moment.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: does not build and start a node")
	}
	for _, tool := range []string{"redis-server", "redis-benchmark"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed (Debian: redis-server, redis-tools)", tool)
		}
	}
	binary := filepath.Join(t.TempDir(), "cachecluster.exe")
	out, err := exec.Command("go", "build", "-C", filepath.Join("..", ".."), "-o", binary, "./examples/cachecluster").CombinedOutput()
	require.NoError(t, err, "%s", out)
	var b bytes.Buffer
	require.NoError(t, run(options{binary: binary, rounds: 1, requests: 500, clients: 5, tests: "set,get"}, &b))
	require.Contains(t, b.String(), "P16  GET")
	require.Error(t, run(options{}, &b))
}

func TestMedian(t *testing.T) {
	require.Equal(t, 2.0, median([]float64{3, 1, 2}))
	require.Equal(t, 2.5, median([]float64{4, 1, 2, 3}))
}
