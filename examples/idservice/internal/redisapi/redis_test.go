package redisapi

import (
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/idservice/internal/api"
	"github.com/ashlar-go/ashlar/examples/idservice/internal/apitest"
	"github.com/ashlar-go/ashlar/examples/internal/resp"
	"github.com/ashlar-go/ashlar/examples/internal/resp/resptest"
	"github.com/ashlar-go/ashlar/snowflake"
)

type fixture struct {
	*resptest.Session
	fake *apitest.Fake
}

func start(t *testing.T) *fixture {
	t.Helper()
	fake := &apitest.Fake{}
	return &fixture{Session: resptest.Start(t, resp.Options{Handler: New(Options{Service: fake}).Handle, Limits: Limits}), fake: fake}
}

func TestCommands(t *testing.T) {
	f := start(t)
	require.Equal(t, "PONG", f.Say("PING"))
	require.Equal(t, "710000000000000000", f.Say("INCR orders"))
	require.Equal(t, "710000000000000001", f.Say("get next"))
	require.Equal(t, "710000000000000002", f.Say("ID.NEXT"))
	require.Equal(t, snowflake.Base32.Format(apitest.First+3), f.Say("id.next BASE32"))
	require.Equal(t, "[710000000000000004 710000000000000005]", f.Say("ID.FILL 2"))
	require.Equal(t, "["+snowflake.Hex.Format(apitest.First+6)+"]", f.Say("ID.FILL 1 hex"))
	r, err := f.Client.Do("ID.FILL", "10000")
	require.NoError(t, err)
	require.Len(t, r.Elems, 10000)
	require.Contains(t, f.Say("INFO"), "redis_mode")
	decoded := f.Say("ID.DECODE " + snowflake.Base62.Format(apitest.First))
	require.Contains(t, decoded, "[time 2026-05-")
	require.Contains(t, decoded, "plain 710000000000000000")
	require.Equal(t, decoded, f.Say("ID.DECODE 710000000000000000 plain"))
}

// TestBadCommands: each mistake is an error that says what it is; the connection goes on,
// and no id is used up.
func TestBadCommands(t *testing.T) {
	f := start(t)
	for line, says := range map[string]string{
		"INCR":                              "wrong number",
		"INCR a b":                          "wrong number",
		"GET":                               "wrong number",
		"GET orders":                        "only key that can be read is NEXT",
		"SET a b":                           "unknown command",
		"INCRBY a 5":                        "unknown command",
		"DEL a":                             "unknown command",
		"ID.NEXT roman":                     "base62",
		"ID.NEXT a b":                       "wrong number",
		"ID.FILL":                           "wrong number",
		"ID.FILL 0":                         "1 to 10000",
		"ID.FILL -1":                        "1 to 10000",
		"ID.FILL 10001":                     "1 to 10000",
		"ID.FILL x":                         "1 to 10000",
		"ID.FILL 9999999999999999999999":    "1 to 10000",
		"ID.FILL 1 roman":                   "base62",
		"ID.FILL 1 hex more":                "wrong number",
		"ID.DECODE":                         "wrong number",
		"ID.DECODE x":                       "not an id",
		"ID.DECODE 9223372036854775808":     "out of range",
		"ID.DECODE 12345678901":             "several encodings",
		"ID.DECODE 1 roman":                 "base62",
		"SELECT 1":                          "out of range",
		strings.Repeat("x", 200) + " hello": "unknown command",
	} {
		got := f.Say(line)
		require.True(t, strings.HasPrefix(got, "ERR "), "%s: %s", line, got)
		require.Contains(t, got, says, "%s", line)
	}
	r, err := f.Client.Do("ID.NEXT", "")
	require.Error(t, err)
	require.Contains(t, string(r.Bytes), "no such encoding")
	require.Zero(t, f.fake.Calls())
	require.Equal(t, "PONG", f.Say("PING"))
}

func TestTrouble(t *testing.T) {
	f := start(t)
	for _, c := range []struct {
		err  error
		code string
	}{
		{api.ErrNoLease, "TRYAGAIN"},
		{fmt.Errorf("%w: %w", api.ErrNoLease, snowflake.ErrClock), "TRYAGAIN"},
		{&snowflake.ClockError{Back: time.Hour}, "CLOCK"},
		{snowflake.ErrMark, "TRYAGAIN"},
		{snowflake.ErrExhausted, "ERR"},
	} {
		f.fake.Fail(c.err)
		for _, line := range []string{"INCR a", "GET NEXT", "ID.NEXT", "ID.FILL 10"} {
			code, _, _ := strings.Cut(f.Say(line), " ")
			require.Equal(t, c.code, code, "%s: %v", line, c.err)
		}
	}
}

// TestStrangers: what is no command of ours, or too much of it, is refused without harm.
func TestStrangers(t *testing.T) {
	f := start(t)
	for _, sent := range []string{
		"*99999999999\r\n", "*17\r\n", "*1\r\n$5000\r\n", "*1\r\n$-5\r\n", "*1\r\n:5\r\n",
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n", strings.Repeat("a", 10000) + "\r\n", "\"", "\x00\xff\r\n",
	} {
		nc, err := net.Dial("tcp", f.Addr)
		require.NoError(t, err)
		require.NoError(t, nc.SetDeadline(time.Now().Add(10*time.Second)))
		_, err = nc.Write([]byte(sent))
		require.NoError(t, err)
		require.NoError(t, nc.(*net.TCPConn).CloseWrite())
		answer, _ := io.ReadAll(nc) // reset by the server: what had come until then
		require.NotContains(t, string(answer), "+OK", "%q", sent)
		nc.Close()
	}
	require.Zero(t, f.fake.Calls())
	require.Equal(t, "PONG", f.Say("PING"))
}

// TestRedisCLI: the program that everybody has understands the answers.
func TestRedisCLI(t *testing.T) {
	f := start(t)
	require.Equal(t, "710000000000000000", f.CLI("INCR", "orders"))
	require.Len(t, strings.Fields(f.CLI("ID.FILL", "2", "base62")), 2)
}
