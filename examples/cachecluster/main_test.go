package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
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
		{[]string{"dance"}, exitUsage, "unknown command"},
		{[]string{"-x"}, exitUsage, "see cachecluster help"},
		{[]string{"-check", "more"}, exitUsage, "unexpected"},
		{[]string{"-check", "-files", "1"}, exitUsage, "100 to"},
		{[]string{"-check", "-data", "/does/not/exist"}, exitFailed, "exist"},
		{[]string{"serve"}, exitUsage, "-addr"},
		{[]string{"serve", "-y"}, exitUsage, "see cachecluster help serve"},
		{[]string{"serve", "-addr", "127.0.0.1:0", "-policy", "best"}, exitUsage, "-policy"},
		{[]string{"serve", "-addr", "127.0.0.1:0", "-log", "loud"}, exitUsage, "LEVEL"},
		{[]string{"serve", "-addr", "256.0.0.1:0"}, exitFailed, "256.0.0.1"},
		{[]string{"serve", "-config", good, "-id", "n1"}, exitUsage, "-dir"},
		{[]string{"serve", "-config", good, "-id", "n1", "-dir", dir}, exitFailed, "256.0.0.1"},
		{[]string{"serve", "-config", good, "-id", "n9", "-dir", dir}, exitFailed, `no node "n9"`},
		{[]string{"serve", "-config", empty, "-id", "n1", "-dir", dir}, exitFailed, "0 shards"},
		{[]string{"serve", "-config", twice, "-id", "n1", "-dir", dir}, exitFailed, "twice"},
		{[]string{"serve", "-config", other, "-id", "n1", "-dir", dir}, exitFailed, "unknown field"},
		{[]string{"serve", "-config", good + "x", "-id", "n1", "-dir", dir}, exitFailed, "good.jsonx"},
	} {
		code, _, errs := runMain(c.args...)
		require.Equal(t, c.code, code, "%q: %s", c.args, errs)
		require.Contains(t, errs, c.says, "%q", c.args)
	}
}
