package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/internal/program"
)

func runMain(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(args, strings.NewReader(""), &out, &errs, func(string) string { return "" })
	return code, out.String(), errs.String()
}

// TestStory plays the whole story on a small folder.
func TestStory(t *testing.T) {
	dir := t.TempDir()
	for i := range 300 {
		path := filepath.Join(dir, "files", string(rune('a'+i%26)), strings.Repeat("x", i%7+1)+string(rune('0'+i/30))+string(rune('0'+i%10)))
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
		require.NoError(t, os.WriteFile(path, bytes.Repeat([]byte{byte(i)}, i*37%5000), 0o644))
	}
	code, out, errs := runMain("-check", "-data", dir)
	require.Zero(t, code, "%s\n%s", out, errs)
	require.Contains(t, out, ", 0 failed\n")
	t.Log(out)
}

func TestUsage(t *testing.T) {
	config := filepath.Join(t.TempDir(), "c.json")
	require.NoError(t, os.WriteFile(config, []byte(`{"cluster": "c", "nodes": []}`), 0o644))
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"help"}, 0, ""},
		{[]string{"help", "put"}, 0, ""},
		{[]string{"help", "serve"}, 0, "config"},
		{[]string{"-help"}, 0, "-check"},
		{[]string{"dance"}, program.ExitUsage, "unknown command"},
		{[]string{"-x"}, program.ExitUsage, "see kv help"},
		{[]string{"-check", "more"}, program.ExitUsage, "unexpected"},
		{[]string{"-check", "-data", "/does/not/exist"}, program.ExitFailed, "exist"},
		{[]string{"serve"}, program.ExitUsage, "-config"},
		{[]string{"serve", "-y"}, program.ExitUsage, "see kv help serve"},
		{[]string{"serve", "-config", config, "-id", "n1", "-log", "loud"}, program.ExitUsage, "unknown name"},
		{[]string{"serve", "-config", config, "-id", "n1"}, program.ExitFailed, "nodes"},
		{[]string{"serve", "-config", config + "x", "-id", "n1"}, program.ExitFailed, "no such file"},
		{[]string{"get"}, program.ExitUsage, "too few arguments"},
	} {
		code, _, errs := runMain(c.args...)
		require.Equal(t, c.code, code, "%q: %s", c.args, errs)
		require.Contains(t, errs, c.says, "%q", c.args)
	}
}
