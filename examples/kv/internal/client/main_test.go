package client

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
	"github.com/ashlar-go/ashlar/examples/kv/internal/apitest"
)

// shell runs commands against a node.
type shell struct {
	t     *testing.T
	store *apitest.Memory
	addr  string
}

func newShell(t *testing.T) *shell {
	m, addr := memory(t)
	m.Now = func() time.Time { return time.Unix(1e9, 0) }
	return &shell{t, m, addr}
}

type result struct {
	code     int
	out, err string
}

func (s *shell) run(stdin string, args ...string) result {
	return s.with(strings.NewReader(stdin), args...)
}

func (s *shell) with(stdin io.Reader, args ...string) (r result) {
	var out, errs bytes.Buffer
	r.code = Main(args, stdin, &out, &errs, func(name string) string {
		if name == "KV_ADDR" {
			return s.addr
		}
		return ""
	})
	r.out, r.err = out.String(), errs.String()
	return r
}

func (s *shell) read(key string) []string {
	r, err := s.store.Get(s.t.Context(), []byte(key), api.ReadOptions{})
	require.NoError(s.t, err)
	var out []string
	for _, v := range r.Values {
		out = append(out, string(v.Data))
	}
	return out
}

func TestPutGetDel(t *testing.T) {
	s := newShell(t)
	for _, tc := range []struct {
		stdin string
		args  []string
		want  string
	}{
		{"", []string{"put", "k", "value"}, "value"},
		{"", []string{"put", "k", ""}, ""},
		{"from\nstdin\n", []string{"put", "k"}, "from\nstdin\n"},
		{"\x00\xff", []string{"put", "k", "-"}, "\x00\xff"},
		{"", []string{"put", "-w", "3", "-consistency", "one", "k", "flags first"}, "flags first"},
		{"", []string{"put", "k", "flags last", "-w=3", "-sloppy"}, "flags last"},
		{"", []string{"put", "k", "--", "-5"}, "-5"},
		{"", []string{"put", "--", "k", "-"}, ""},
		{"", []string{"put", "-addr", s.addr + "," + s.addr, "k", "elsewhere"}, "elsewhere"},
	} {
		require.Equal(t, result{}, s.run(tc.stdin, tc.args...), "%q", tc.args)
		require.Equal(t, []string{tc.want}, s.read("k"), "%q", tc.args)
		require.Equal(t, result{out: tc.want}, s.run("", "get", "k"))
	}
	require.Equal(t, result{}, s.run("", "del", "k"))
	require.Equal(t, result{code: 1, err: "kv get: \"k\": not found\n"}, s.run("", "get", "k"))
	require.Equal(t, result{}, s.run("", "del", "k"), "nothing to delete is no error")
}

func TestKeysOfAnyBytes(t *testing.T) {
	s := newShell(t)
	for _, key := range []string{"a/b/../c", "..", "%2F", "?#", "\xff\n", "日本"} {
		require.Equal(t, result{}, s.run("", "put", key, key))
		require.Equal(t, []string{key}, s.read(key))
		require.Equal(t, key, s.run("", "get", key).out)
	}
}

func TestTimeToLiveAndConditions(t *testing.T) {
	s := newShell(t)
	require.Equal(t, 0, s.run("", "put", "-ttl", "10", "-if-absent", "k", "v").code)
	r := s.run("", "put", "-if-absent", "k", "w")
	require.Equal(t, 3, r.code)
	require.Contains(t, r.err, "condition")
	s.store.Now = func() time.Time { return time.Unix(1e9+10, 0) }
	require.Equal(t, 1, s.run("", "get", "k").code)
	require.Equal(t, 0, s.run("", "put", "-ttl=1h30m", "-if-absent", "k", "w").code)
}

func TestSiblings(t *testing.T) {
	s := newShell(t)
	s.run("", "put", "k", "one")
	s.store.Now = func() time.Time { return time.Unix(2e9, 0) }
	long := strings.Repeat("x", 5000)
	s.run("", "put", "k", "-context", "none", long)
	s.store.Now = func() time.Time { return time.Unix(1e9+1, 0) }
	s.run("", "put", "k", "-context", "none", "three")
	r := s.run("", "get", "k")
	require.Equal(t, 0, r.code)
	require.Equal(t, long, r.out, "the newest")
	require.Contains(t, r.err, `  1  2001-09-09T01:46:40Z  3 bytes  "one"`+"\n")
	require.Contains(t, r.err, `  2  2033-05-18T03:33:20Z  5000 bytes  "xxx`)
	require.Contains(t, r.err, `  3  2001-09-09T01:46:41Z  5 bytes  "three"`+"\n")
	require.Less(t, len(r.err), 2000)

	r = s.run("", "get", "-json", "k")
	require.Empty(t, r.err)
	var f found
	require.NoError(t, json.Unmarshal([]byte(r.out), &f))
	require.Len(t, f.Siblings, 3)
	require.Equal(t, "one", string(f.Siblings[0].Value))
	require.Equal(t, 2, f.Answers)

	require.Equal(t, 0, s.run("", "put", "-context", f.Context, "k", "all three").code)
	require.Equal(t, []string{"all three"}, s.read("k"))
	s.run("", "put", "k", "-context", f.Context, "late")
	require.Len(t, s.read("k"), 2)
	require.Equal(t, 0, s.run("", "del", "k").code)
	require.Empty(t, s.read("k"))
}

func TestJSON(t *testing.T) {
	s := newShell(t)
	require.Equal(t, result{out: `{"context":"AAAAAAAAAAE","primaries":2,"fallbacks":0,"epoch":1}` + "\n"}, s.run("", "put", "-json", "k", "v"))
	require.Equal(t, result{out: `{"key":"k","context":"AAAAAAAAAAE","siblings":[{"value":"dg==","written":"2001-09-09T01:46:40Z"}],"answers":2,"epoch":1}` + "\n"},
		s.run("", "get", "-json", "k"))
	require.Equal(t, `{"context":"AAAAAAAAAAI","primaries":2,"fallbacks":0,"epoch":1}`+"\n", s.run("", "del", "-json", "k").out)
	r := s.run("", "get", "-json", "k")
	require.Equal(t, 1, r.code)
	require.Equal(t, `{"key":"k","context":"","answers":2,"epoch":1}`+"\n", r.out)
	s.run("", "put", "-ttl", "1s", "\xff", "v")
	require.Contains(t, s.run("", "get", "-json", "\xff").out, `"keyBytes":"/w==","context":"AAAAAAAAAAM","siblings":[{"value":"dg==","written":"2001-09-09T01:46:40Z","expires":"2001-09-09T01:46:41Z"}]`)
}

func TestScan(t *testing.T) {
	s := newShell(t)
	for i := range 120 {
		s.run("", "put", fmt.Sprintf("p/%03d", i), fmt.Sprint(i))
	}
	s.run("", "put", "q\n", "tab\t")
	s.run("", "put", "r", "")
	r := s.run("", "scan")
	require.Equal(t, 122, strings.Count(r.out, "\n"))
	require.True(t, strings.HasPrefix(r.out, "p/000\np/001\n"))
	require.True(t, strings.HasSuffix(r.out, "p/119\n\"q\\n\"\nr\n"))
	r = s.run("", "scan", "p/", "-values", "-limit", "110")
	require.Equal(t, 110, strings.Count(r.out, "\n"))
	require.True(t, strings.HasSuffix(r.out, "p/109\t109\n"))
	require.Equal(t, result{out: "\"q\\n\"\t\"tab\\t\"\n"}, s.run("", "scan", "-values", "q"))
	require.Equal(t, result{out: "r\t\"\"\n"}, s.run("", "scan", "-values", "r"))
	require.Equal(t, result{}, s.run("", "scan", "nothing"))
	require.Equal(t, result{out: `{"key":"r","context":"AAAAAAAAAHo"}` + "\n"}, s.run("", "scan", "-json", "r"))
	require.Equal(t, result{out: `{"key":"r","context":"AAAAAAAAAHo","siblings":[{"value":"","written":"2001-09-09T01:46:40Z"}]}` + "\n"},
		s.run("", "scan", "-json", "-values", "r"))
}

func TestStatusCommand(t *testing.T) {
	s := newShell(t)
	require.Equal(t, result{out: s.addr + ": {\n  \"node\": \"memory\"\n}\n"}, s.run("", "status"))
	require.Equal(t, result{out: `{"` + s.addr + `":{"node":"memory"}}` + "\n"}, s.run("", "status", "-json"))
	dead := deaf(t)
	for _, args := range [][]string{{"status"}, {"status", "-json"}} {
		r := s.run("", append(args, "-addr", dead+","+s.addr)...)
		require.Equal(t, 4, r.code)
		require.Contains(t, r.out, dead)
		require.Contains(t, r.out, "memory")
	}
}

func TestExitCodes(t *testing.T) {
	s := newShell(t)
	for err, want := range map[error]int{
		api.ErrCondition: 3, api.ErrSiblings: 3, api.ErrContext: 3, api.ErrQuorum: 3, api.ErrToken: 3,
		api.ErrUnavailable: 4, api.ErrUnknown: 4, api.ErrNoSpace: 4, api.ErrDamaged: 4, api.ErrClosed: 4, errors.New("x"): 4,
	} {
		s.store.Fail(err)
		for _, args := range [][]string{{"put", "k", "v"}, {"get", "k"}, {"del", "k"}, {"scan"}} {
			r := s.run("", args...)
			require.Equal(t, want, r.code, "%q: %v", args, err)
			require.Equal(t, 1, strings.Count(r.err, "\n"), "one line: %q", r.err)
			require.Empty(t, r.out)
		}
	}
	s.store.Fail(nil)
	for want, args := range map[string][]string{
		"too few replicas": {"put", "k", "v", "-addr", deaf(t)},
		"out of range":     {"put", "k", "v", "-w", "4"},
		"empty key":        {"put", "", "v"},
		"key over":         {"get", strings.Repeat("k", api.MaxKey+1)},
	} {
		r := s.run("", args...)
		require.GreaterOrEqual(t, r.code, 3, args[0])
		require.Contains(t, r.err, want)
		require.True(t, strings.HasPrefix(r.err, "kv "+args[0]+": "), r.err)
		require.NotContains(t, r.err, ": kv: ")
	}
	r := s.with(io.LimitReader(zeros{}, api.MaxValue+1), "put", "k")
	require.Equal(t, 3, r.code)
	require.Contains(t, r.err, "value over")
	require.Equal(t, 2, s.with(iotest.ErrReader(errors.New("pulled out")), "put", "k").code)
	require.Empty(t, s.read("k"))
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func TestUsage(t *testing.T) {
	s := newShell(t)
	for _, args := range [][]string{
		nil,
		{"frobnicate"},
		{"help", "frobnicate"},
		{"put"},
		{"put", "a", "b", "c"},
		{"put", "a", "b", "-x"},
		{"put", "a", "-5"},
		{"put", "a", "b", "-r", "1"},
		{"put", "a", "b", "-w", "0"},
		{"put", "a", "b", "-w", "two"},
		{"put", "a", "b", "-w"},
		{"put", "a", "b", "-ttl", "soon"},
		{"put", "a", "b", "-ttl", "-1s"},
		{"put", "a", "b", "-ttl", "0"},
		{"put", "a", "b", "-context", "!!"},
		{"put", "a", "b", "-context", ""},
		{"put", "a", "b", "-consistency", "most"},
		{"put", "a", "b", "-timeout", "never"},
		{"put", "a", "b", "-addr", "nowhere"},
		{"put", "a", "b", "-addr", ""},
		{"get"},
		{"get", "a", "b"},
		{"get", "-w", "1", "a"},
		{"get", "-r", "-1", "a"},
		{"del"},
		{"del", "a", "b"},
		{"del", "-ttl", "1s", "a"},
		{"scan", "a", "b"},
		{"scan", "-limit", "0"},
		{"status", "a"},
		{"load"},
		{"load", "a", "b"},
		{"load", "-parallel", "0", "-"},
		{"load", "-parallel", "1000000", "-"},
		{"load", "-context", "none", "-"},
	} {
		r := s.run("", args...)
		require.Equal(t, 2, r.code, "%q", args)
		require.Empty(t, r.out, "%q", args)
		require.Equal(t, 1, strings.Count(r.err, "\n"), "one line: %q", r.err)
		require.Contains(t, r.err, "see kv help", "%q", args)
	}
	require.Empty(t, s.read("a"))
}

func TestHelp(t *testing.T) {
	s := newShell(t)
	r := s.run("", "help")
	require.Zero(t, r.code)
	for _, c := range all() {
		require.True(t, Knows(c.name))
		require.Contains(t, r.out, c.summary)
		var texts []string
		for _, args := range [][]string{{"help", c.name}, {c.name, "-h"}, {c.name, "--help"}} {
			h := s.run("", args...)
			require.Zero(t, h.code)
			require.Empty(t, h.err)
			require.Contains(t, h.out, "usage: kv "+c.name)
			require.Contains(t, h.out, "-addr host:port")
			require.Contains(t, h.out, s.addr, "the default in force")
			texts = append(texts, h.out)
		}
		require.Equal(t, texts[0], texts[1])
	}
	require.False(t, Knows("serve"))
}
