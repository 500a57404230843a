package program

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRun(t *testing.T) {
	for _, c := range []struct {
		args   []string
		code   int
		stdout string
		stderr string // ends with
	}{
		{nil, 0, "story []", ""},
		{[]string{"-check"}, 0, "story [] checked", ""},
		{[]string{"-help"}, 0, "", "only look\n"},
		{[]string{"-x"}, ExitUsage, "", "sys: usage: see sys help\n"},
		{[]string{"-check", "more"}, ExitUsage, "", "sys: usage: unexpected \"more\"; see sys help\n"},
		{[]string{"help"}, 0, "how to use it", ""},
		{[]string{"help", "key"}, 0, "how to use it", ""},
		{[]string{"help", "serve"}, 0, "", "which node\n"},
		{[]string{"serve", "-id", "n1", "rest"}, 0, "serve n1 [rest]", ""},
		{[]string{"serve", "-y"}, ExitUsage, "", "sys: usage: see sys help serve\n"},
		{[]string{"serve"}, ExitFailed, "", "sys: no id\n"},
		{[]string{"key", "a"}, 0, "key [a]", ""},
		{[]string{"dance"}, ExitUsage, "", "sys: unknown command \"dance\"; see sys help\n"},
	} {
		var out, errs bytes.Buffer
		p := Program{
			Name: "sys", Usage: func(w io.Writer) { fmt.Fprint(w, "how to use it") },
			Story: func(args []string) error {
				fs := Flags("sys", &errs)
				check := fs.Bool("check", false, "only look")
				if err := ParseAll(fs, args); err != nil {
					return err
				}
				fmt.Fprint(&out, "story ", fs.Args(), map[bool]string{true: " checked"}[*check])
				return nil
			},
			Serve: func(args []string) error {
				fs := Flags("sys serve", &errs)
				id := fs.String("id", "", "which node")
				if err := Parse(fs, args); err != nil {
					return err
				}
				if *id == "" {
					return errors.New("no id")
				}
				fmt.Fprint(&out, "serve ", *id, " ", fs.Args())
				return nil
			},
			More: map[string]func([]string) error{"key": func(args []string) error {
				fmt.Fprint(&out, "key ", args)
				return nil
			}},
		}
		require.Equal(t, c.code, p.Run(c.args, &out, &errs), "%q: %s", c.args, &errs)
		require.Equal(t, c.stdout, out.String(), "%q", c.args)
		require.Equal(t, c.stderr, errs.String()[max(0, errs.Len()-len(c.stderr)):], "%q", c.args)
	}
}

func TestFolder(t *testing.T) {
	own := t.TempDir()
	dir := own
	remove, err := Folder(&dir, "ashlar-test-")
	require.NoError(t, err)
	require.Equal(t, own, dir)
	remove()
	require.DirExists(t, own)

	t.Setenv("TMPDIR", own)
	t.Setenv("TMP", own) // on Windows
	dir = ""
	remove, err = Folder(&dir, "ashlar-test-")
	require.NoError(t, err)
	require.Equal(t, own, filepath.Dir(dir))
	require.DirExists(t, dir)
	remove()
	require.NoDirExists(t, dir)
}
