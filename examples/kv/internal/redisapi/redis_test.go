package redisapi

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/examples/internal/resp"
	"github.com/ashlar-go/ashlar/examples/internal/resp/resptest"
	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
	"github.com/ashlar-go/ashlar/examples/kv/internal/apitest"
)

type fixture struct {
	*resptest.Session
	store *apitest.Memory
	now   time.Time
	h     *Handler
}

func start(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{store: apitest.New(), now: time.Unix(1000, 0)}
	f.store.Now = func() time.Time { return f.now }
	f.h = New(Options{Store: f.store, Now: f.store.Now})
	f.Session = resptest.Start(t, resp.Options{Handler: f.h.Handle, Closed: f.h.Close})
	return f
}

func TestCommands(t *testing.T) {
	f := start(t)
	for _, step := range []struct{ say, want string }{
		{"GET a", "nil"},
		{"SET a 1", "OK"},
		{"GET a", "1"},
		{"set a 2 nx", "nil"},
		{"SET b 2 XX", "nil"},
		{"SET a 3 XX GET", "1"},
		{"SET b 4 NX GET", "nil"},
		{"MGET a none b", "[3 nil 4]"},
		{"EXISTS a a none", "2"},
		{"STRLEN a", "1"},
		{"STRLEN none", "0"},
		{"TYPE a", "string"},
		{"TYPE none", "none"},
		{"TTL a", "-1"},
		{"TTL none", "-2"},
		{"EXPIRE none 10", "0"},
		{"EXPIRE a 10", "1"},
		{"TTL a", "10"},
		{"PTTL a", "10000"},
		{"SET a 5 KEEPTTL", "OK"},
		{"TTL a", "10"},
		{"PERSIST a", "1"},
		{"PERSIST a", "0"},
		{"TTL a", "-1"},
		{"SET a 6 PX 1500", "OK"},
		{"PTTL a", "1500"},
		{"EXPIRE a -1", "1"},
		{"GET a", "nil"},
		{"DEL a b none", "1"},
		{"UNLINK b", "0"},
		{"KV.LEVEL all", "OK"},
		{"SET a 7", "OK"},
		{"GET a", "7"},
	} {
		require.Equal(t, step.want, f.Say(step.say), step.say)
	}
	require.Equal(t, "OK", f.Say("SET c x EX 5"))
	f.now = f.now.Add(5 * time.Second)
	require.Equal(t, "nil", f.Say("GET c"))
	require.Contains(t, f.Say("INFO"), "# Server")
}

func TestSiblings(t *testing.T) {
	f := start(t)
	require.Equal(t, "OK", f.Say("SET k one"))
	f.now = f.now.Add(time.Second)
	require.NotContains(t, f.Do("KV.PUT", "k", "two", ""), "ERR")
	r, err := f.Client.Do("KV.GET", "k")
	require.NoError(t, err)
	require.Len(t, r.Elems, 3)
	require.Equal(t, "two", f.Say("GET k"), "the newest by the clock")
	require.NotContains(t, f.Do("KV.PUT", "k", "both", string(r.Elems[0].Bytes)), "ERR")
	require.Equal(t, "both", f.Say("GET k"))
}

func TestScanMeetsEveryKeyOnce(t *testing.T) {
	f := start(t)
	for i := range 95 {
		f.Say(fmt.Sprintf("SET user:%02d x", i))
		f.Say(fmt.Sprintf("SET other:%02d x", i))
	}
	var got []string
	cursor := "0"
	for rounds := 0; ; rounds++ {
		require.Less(t, rounds, 100)
		r, err := f.Client.Do("SCAN", cursor, "MATCH", "user:*", "COUNT", "7")
		require.NoError(t, err)
		for _, e := range r.Elems[1].Elems {
			got = append(got, string(e.Bytes))
		}
		if cursor = string(r.Elems[0].Bytes); cursor == "0" {
			break
		}
	}
	require.Len(t, got, 95)
	require.True(t, slices.IsSorted(got))
	require.Equal(t, "[0 []]", f.Say("SCAN 0 TYPE list"))
}

func TestBadCommands(t *testing.T) {
	f := start(t)
	long := strings.Repeat("k", api.MaxKey+1)
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"GET"}, "wrong number of arguments for 'get'"},
		{[]string{"GET", "a", "b"}, "wrong number"},
		{[]string{"FLY"}, "unknown command"},
		{[]string{"GET", ""}, "empty key"},
		{[]string{"SET", long, "v"}, "key over"},
		{[]string{"SET", "a", "v", "WAT"}, "syntax error"},
		{[]string{"SET", "a", "v", "NX", "XX"}, "syntax error"},
		{[]string{"SET", "a", "v", "EX"}, "syntax error"},
		{[]string{"SET", "a", "v", "EX", "x"}, "not an integer"},
		{[]string{"SET", "a", "v", "EX", "0"}, "invalid expire time"},
		{[]string{"SET", "a", "v", "EX", "999999999999999999"}, "invalid expire time"},
		{[]string{"SET", "a", "v", "EX", "1", "PX", "1"}, "syntax error"},
		{[]string{"SET", "a", "v", "EX", "1", "KEEPTTL"}, "syntax error"},
		{[]string{"EXPIRE", "a", "x"}, "not an integer"},
		{[]string{"EXPIRE", "a", "999999999999999999"}, "invalid expire time"},
		{[]string{"SCAN", "x"}, "invalid cursor"},
		{[]string{"SCAN", "12345"}, "invalid cursor"},
		{[]string{"SCAN", "0", "MATCH"}, "syntax error"},
		{[]string{"SCAN", "0", "COUNT", "0"}, "syntax error"},
		{[]string{"SCAN", "0", "COUNT", "x"}, "not an integer"},
		{[]string{"SCAN", "0", "WAT"}, "syntax error"},
		{[]string{"KV.LEVEL", "most"}, "unknown consistency level"},
		{[]string{"KV.PUT", "a", "v", "forged"}, "malformed or forged"},
		{[]string{"MGET", "a", ""}, "empty key"},
	} {
		require.Contains(t, f.Do(tc.args...), tc.want, "%.40v", tc.args)
	}
	require.Equal(t, "nil", f.Say("GET a"), "nothing was written")
}

func TestErrorsOfTheStore(t *testing.T) {
	f := start(t)
	for err, code := range map[error]string{
		api.ErrUnavailable: "UNAVAILABLE", api.ErrUnknown: "UNKNOWN", api.ErrNoSpace: "OOM", api.ErrDamaged: "IOERR",
		api.ErrSiblings: "SIBLINGS", errors.New("else"): "ERR",
	} {
		f.store.Fail(fmt.Errorf("wrapped: %w", err))
		for _, line := range []string{"GET a", "SET a 1", "DEL a", "EXISTS a", "MGET a b", "SCAN 0", "TTL a", "EXPIRE a 1", "PERSIST a", "TYPE a", "STRLEN a", "KV.GET a"} {
			require.True(t, strings.HasPrefix(f.Say(line), code+" "), "%s: %s", line, f.Say(line))
		}
	}
	f.store.Fail(nil)
	require.Equal(t, "OK", f.Say("SET a 1"))
}

// The level of a connection is forgotten with it.
func TestLevelsAreForgotten(t *testing.T) {
	f := start(t)
	c, err := resp.Dial(t.Context(), f.Addr)
	require.NoError(t, err)
	_, err = c.Do("KV.LEVEL", "one")
	require.NoError(t, err)
	_, err = c.Do("QUIT")
	require.NoError(t, err)
	_, err = c.Receive() // the server has closed the connection
	require.Error(t, err)
	c.Close()
	require.Eventually(t, func() bool {
		f.h.mu.Lock()
		defer f.h.mu.Unlock()
		return len(f.h.levels) == 0
	}, 20*time.Second, time.Millisecond)
}

func TestMatch(t *testing.T) {
	for _, tc := range []struct {
		pattern, s string
		want       bool
	}{
		{"*", "", true},
		{"", "", true},
		{"", "a", false},
		{"h?llo", "hello", true},
		{"h[ae]llo", "hallo", true},
		{"h[^e]llo", "hello", false},
		{"h[a-c]llo", "hbllo", true},
		{"h[c-a]llo", "hbllo", true},
		{`h\*llo`, "h*llo", true},
		{`h\*llo`, "hello", false},
		{"[", "[", true},
		{"[abc", "[abc", true},
		{"[]", "a", false},
		{`[\]]`, "]", true},
		{"a*b*c", "aXbYc", true},
		{"a*b*c", "aXbY", false},
		{"a/*", "a/b/c", true},
		{`x\`, `x\`, true},
	} {
		require.Equal(t, tc.want, match([]byte(tc.pattern), []byte(tc.s)), "%q %q", tc.pattern, tc.s)
	}
	slow := strings.Repeat("a*", 1000) + "b"
	require.False(t, match([]byte(slow), []byte(strings.Repeat("a", 2000))), "no exponential time")
}

// On patterns that path.Match reads alike, it agrees.
func TestMatchAgainstPathMatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringOfN(rapid.SampledFrom([]rune("ab*?")), 0, 8, -1).Draw(t, "pattern")
		s := rapid.StringOfN(rapid.SampledFrom([]rune("ab")), 0, 8, -1).Draw(t, "s")
		want, err := path.Match(pattern, s)
		if err != nil {
			t.Skip(err)
		}
		if got := match([]byte(pattern), []byte(s)); got != want {
			t.Fatalf("%q %q: %v", pattern, s, got)
		}
	})
}

func FuzzMatch(f *testing.F) {
	f.Add([]byte("a[^b-c]*?"), []byte("axyz"))
	f.Fuzz(func(t *testing.T, pattern, s []byte) {
		if len(pattern) > 100 || len(s) > 100 {
			return
		}
		match(pattern, s)
		if len(literal(pattern)) == len(pattern) && match(pattern, s) != (string(pattern) == string(s)) {
			t.Fatal("a literal matches only itself")
		}
	})
}

// The real redis-cli, when it is installed.
func TestRedisCLI(t *testing.T) {
	f := start(t)
	require.Equal(t, "OK", f.CLI("SET", "greeting", "hello world", "EX", "100"))
	require.Equal(t, "hello world", f.CLI("GET", "greeting"))
	require.Equal(t, "100", f.CLI("TTL", "greeting"))
	for i := range 30 {
		f.CLI("SET", fmt.Sprint("k", i), "v")
	}
	require.Len(t, strings.Fields(f.CLI("--scan", "--pattern", "k*")), 30)
}
