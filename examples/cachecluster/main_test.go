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

// TestStory plays the whole story with fewer files.
func TestStory(t *testing.T) {
	code, out, errs := runMain("-check", "-files", "1000")
	require.Zero(t, code, "%s\n%s", out, errs)
	require.Contains(t, out, ", 0 failed\n")
	t.Log(out)
}

func TestUsage(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		return path
	}
	good := file("good.json", `{"cluster": "c", "shards": [[{"id": "n1", "addr": "256.0.0.1:1"}]]}`)
	empty := file("empty.json", `{"cluster": "c", "shards": []}`)
	twice := file("twice.json", `{"cluster": "c", "shards": [[{"id": "n1", "addr": "127.0.0.1:1"}, {"id": "n1", "addr": "127.0.0.1:2"}]]}`)
	other := file("other.json", `{"cluster": "c", "nodes": []}`)
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"help"}, 0, ""},
		{[]string{"help", "serve"}, 0, "config"},
		{[]string{"-help"}, 0, "-check"},
		{[]string{"dance"}, program.ExitUsage, "unknown command"},
		{[]string{"-x"}, program.ExitUsage, "see cachecluster help"},
		{[]string{"-check", "more"}, program.ExitUsage, "unexpected"},
		{[]string{"-check", "-files", "1"}, program.ExitUsage, "100 to"},
		{[]string{"-check", "-data", "/does/not/exist"}, program.ExitFailed, "exist"},
		{[]string{"serve"}, program.ExitUsage, "-addr"},
		{[]string{"serve", "-y"}, program.ExitUsage, "see cachecluster help serve"},
		{[]string{"serve", "-addr", "127.0.0.1:0", "-policy", "best"}, program.ExitUsage, "-policy"},
		{[]string{"serve", "-addr", "127.0.0.1:0", "-log", "loud"}, program.ExitUsage, "unknown name"},
		{[]string{"serve", "-addr", "256.0.0.1:0"}, program.ExitFailed, "256.0.0.1"},
		{[]string{"serve", "-config", good, "-id", "n1"}, program.ExitUsage, "-dir"},
		{[]string{"serve", "-config", good, "-id", "n1", "-dir", dir}, program.ExitFailed, "256.0.0.1"},
		{[]string{"serve", "-config", good, "-id", "n9", "-dir", dir}, program.ExitFailed, `no node "n9"`},
		{[]string{"serve", "-config", empty, "-id", "n1", "-dir", dir}, program.ExitFailed, "0 shards"},
		{[]string{"serve", "-config", twice, "-id", "n1", "-dir", dir}, program.ExitFailed, "twice"},
		{[]string{"serve", "-config", other, "-id", "n1", "-dir", dir}, program.ExitFailed, "unknown field"},
		{[]string{"serve", "-config", good + "x", "-id", "n1", "-dir", dir}, program.ExitFailed, "good.jsonx"},
	} {
		code, _, errs := runMain(c.args...)
		require.Equal(t, c.code, code, "%q: %s", c.args, errs)
		require.Contains(t, errs, c.says, "%q", c.args)
	}
}
