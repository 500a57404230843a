package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/internal/program"
)

func runMain(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(args, &out, &errs)
	return code, out.String(), errs.String()
}

// TestStory plays the whole story with fewer ids.
func TestStory(t *testing.T) {
	t.Parallel()
	code, out, errs := runMain("-check", "-ids", "200000", "-lease", "700ms")
	require.Zero(t, code, "%s\n%s", out, errs)
	require.Contains(t, out, ", 0 failed\n")
	t.Log(out)
}

func TestUsage(t *testing.T) {
	dir := t.TempDir()
	empty, good, used := filepath.Join(dir, "empty.json"), filepath.Join(dir, "good.json"), filepath.Join(dir, "used.json")
	require.NoError(t, os.WriteFile(empty, []byte(`{"nodes": []}`), 0o644))
	require.NoError(t, os.WriteFile(good, []byte(`{"nodes": [{"id": "n1", "http": "127.0.0.1:0"}]}`), 0o644))
	require.NoError(t, os.WriteFile(used, []byte(`{"nodes": [{"id": "n1", "http": "256.0.0.1:0"}]}`), 0o644))
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"help"}, 0, ""},
		{[]string{"help", "serve"}, 0, "config"},
		{[]string{"-help"}, 0, "-check"},
		{[]string{"dance"}, program.ExitUsage, "unknown command"},
		{[]string{"-x"}, program.ExitUsage, "see idservice help"},
		{[]string{"-check", "more"}, program.ExitUsage, "unexpected"},
		{[]string{"-check", "-ids", "0"}, program.ExitUsage, "1,000"},
		{[]string{"-check", "-lease", "1ms"}, program.ExitUsage, "500ms"},
		{[]string{"-check", "-ids", "many"}, program.ExitUsage, "see idservice help"},
		{[]string{"-check", "-dir", good}, program.ExitFailed, "good.json"},
		{[]string{"serve"}, program.ExitUsage, "-config"},
		{[]string{"serve", "-y"}, program.ExitUsage, "see idservice help serve"},
		{[]string{"serve", "-config", good, "-id", "n1", "-log", "loud"}, program.ExitUsage, "unknown name"},
		{[]string{"serve", "-config", good, "-id", "n1", "more"}, program.ExitUsage, "LEVEL"},
		{[]string{"serve", "-config", good, "-id", "n2", "-dir", dir}, program.ExitFailed, `no node "n2"`},
		{[]string{"serve", "-config", good, "-id", "n1", "-dir", empty}, program.ExitFailed, "empty.json"},
		{[]string{"serve", "-config", empty, "-id", "n1", "-dir", dir}, program.ExitFailed, "no nodes"},
		{[]string{"serve", "-config", used, "-id", "n1", "-dir", dir}, program.ExitFailed, "256.0.0.1"},
		{[]string{"serve", "-config", good + "x", "-id", "n1"}, program.ExitFailed, "good.jsonx"},
	} {
		code, _, errs := runMain(c.args...)
		require.Equal(t, c.code, code, "%q: %s", c.args, errs)
		require.Contains(t, errs, c.says, "%q", c.args)
	}
}

func TestComma(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 1234567: "1,234,567", 100000: "100,000"} {
		require.Equal(t, want, comma(n))
	}
}
