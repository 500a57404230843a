package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/internal/program"
)

func runMain(args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(args, &out, &errs)
	return code, out.String(), errs.String()
}

// TestStory plays the whole story on a small file of terms.
func TestStory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "terms.txt")
	var b strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&b, "%c%c%c term %d\t%d\n", 'a'+i%26, 'a'+i/26%26, 'a'+i%7, i, 1+i*i%997)
	}
	require.NoError(t, os.WriteFile(path, []byte(b.String()), 0o644))
	code, out, errs := runMain("-check", "-terms", path)
	require.Zero(t, code, "%s\n%s", out, errs)
	require.Contains(t, out, ", 0 failed\n")
	t.Log(out)
}

// TestStoryOfWords plays it on real words, of a language that is not written in ASCII.
func TestStoryOfWords(t *testing.T) {
	data := os.Getenv("ASHLAR_DATA")
	if data == "" {
		t.Skip("ASHLAR_DATA names no folder with words/ru-50k.txt.gz")
	}
	code, out, errs := runMain("-check", "-terms", filepath.Join(data, "words", "ru-50k.txt.gz"))
	require.Zero(t, code, "%s\n%s", out, errs)
	t.Log(out)
}

func TestUsage(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
		return path
	}
	good := file("good.json", `{"listen": "127.0.0.1:1", "nodes": [{"id": "n1", "addr": "127.0.0.1:2"}]}`)
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"help"}, 0, ""},
		{[]string{"help", "serve"}, 0, "config"},
		{[]string{"-help"}, 0, "-check"},
		{[]string{"dance"}, program.ExitUsage, "unknown command"},
		{[]string{"-x"}, program.ExitUsage, "see autocomplete help"},
		{[]string{"-check", "more"}, program.ExitUsage, "unexpected"},
		{[]string{"-terms", "a", "-src", "b"}, program.ExitUsage, "unexpected"},
		{[]string{"-check", "-dir", dir}, program.ExitUsage, "not empty"},
		{[]string{"-check", "-terms", "/does/not/exist"}, program.ExitFailed, "no such file"},
		{[]string{"-check", "-terms", file("terms", "word without count\n")}, program.ExitFailed, "line 1"},
		{[]string{"-check", "-src", dir}, program.ExitFailed, "no Go files"},
		{[]string{"serve"}, program.ExitUsage, "-config"},
		{[]string{"serve", "-y"}, program.ExitUsage, "see autocomplete help serve"},
		{[]string{"serve", "-config", good, "-id", "n1", "-log", "loud"}, program.ExitUsage, "unknown name"},
		{[]string{"serve", "-config", good, "-id", "n2"}, program.ExitFailed, "there is no node"},
		{[]string{"serve", "-config", good + "x", "-id", "n1"}, program.ExitFailed, "no such file"},
	} {
		code, _, errs := runMain(c.args...)
		require.Equal(t, c.code, code, "%q: %s", c.args, errs)
		require.Contains(t, errs, c.says, "%q", c.args)
	}
	const nodes = `"nodes": [{"id": "n1", "addr": "127.0.0.1:2"}, {"id": "n2", "addr": "127.0.0.1:3"}]`
	for text, says := range map[string]string{
		``:                                       "EOF",
		`{`:                                      "unexpected EOF",
		`{"listen": "127.0.0.1:1"}`:              "no nodes",
		`{"listen": "127.0.0.1", ` + nodes + `}`: "listen",
		`{"listen": "127.0.0.1:1", ` + nodes + `} {}`:                                   "follows",
		`{"listen": "127.0.0.1:1", "lisden": 7, ` + nodes + `}`:                         "unknown field",
		`{"listen": "127.0.0.1:1", "admin": "127.0.0.1:1", ` + nodes + `}`:              "share",
		`{"listen": "127.0.0.1:1", "admin": "here", ` + nodes + `}`:                     "admin",
		`{"listen": "127.0.0.1:2", ` + nodes + `}`:                                      "share",
		`{"listen": "127.0.0.1:1", "ranges": 7, ` + nodes + `}`:                         "power of two",
		`{"listen": "127.0.0.1:1", "replicas": 3, ` + nodes + `}`:                       "replicas",
		`{"listen": "127.0.0.1:1", "rebuildEvery": "soon", ` + nodes + `}`:              "duration",
		`{"listen": "127.0.0.1:1", "rebuildEvery": "-1s", ` + nodes + `}`:               "duration",
		`{"listen": "127.0.0.1:1", "boost": -1, ` + nodes + `}`:                         "boost",
		`{"listen": "127.0.0.1:1", "nodes": [{"id": "n1", "addr": "here"}]}`:            "n1",
		`{"listen": "127.0.0.1:1", "nodes": [{"id": "", "addr": "127.0.0.1:2"}]}`:       "no id",
		`{"listen": "127.0.0.1:1", "nodes": [{"id": "router", "addr": "127.0.0.1:2"}]}`: "share",
		`{"listen": "127.0.0.1:1", "nodes": [{"id": "n1", "addr": "127.0.0.1:70000"}]}`: "65535",
	} {
		_, err := readConfig(file("c.json", text))
		require.ErrorIs(t, err, errConfig, text)
		require.ErrorContains(t, err, says, text)
	}
}
