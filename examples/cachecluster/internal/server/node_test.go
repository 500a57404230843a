package server

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/internal/resp"
)

const patience = 20 * time.Second

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	return l
}

// open starts a node by itself.
func open(t testing.TB, o Options) *Node {
	t.Helper()
	o.Listener = listen(t)
	n, err := Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	return n
}

// both runs a test on every way to serve connections that there is here.
func both(t *testing.T, f func(t *testing.T, o Options)) {
	t.Run("loop", func(t *testing.T) { f(t, Options{}) })
	t.Run("goroutines", func(t *testing.T) { f(t, Options{Portable: true}) })
}

func dial(t testing.TB, addr string) *resp.Client {
	t.Helper()
	c, err := resp.Dial(t.Context(), addr)
	require.NoError(t, err)
	require.NoError(t, c.SetDeadline(time.Now().Add(3*patience)))
	t.Cleanup(func() { c.Close() })
	return c
}

// text is a reply as a person would write it.
func text(r resp.Reply, err error) string {
	switch {
	case err != nil:
		return "(" + err.Error() + ")"
	case r.Null:
		return "nil"
	case r.Kind == ':':
		return fmt.Sprint(r.Int)
	case len(r.Elems) > 0 || strings.IndexByte("*%~>", r.Kind) >= 0:
		var all []string
		for _, e := range r.Elems {
			all = append(all, text(e, e.Err()))
		}
		return "[" + strings.Join(all, " ") + "]"
	}
	return string(r.Bytes)
}

func do(t testing.TB, c *resp.Client, line string) string {
	t.Helper()
	return text(c.Do(strings.Fields(line)...))
}

// TestRedisCLI has the real client talk to a node in both protocols.
func TestRedisCLI(t *testing.T) {
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		t.Skip("redis-cli is not installed (Debian: redis-tools)")
	}
	both(t, func(t *testing.T, o Options) {
		host, port, err := net.SplitHostPort(open(t, o).Addr())
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		for _, proto := range []string{"-2", "-3"} {
			cmd := exec.CommandContext(ctx, cli, "-h", host, "-p", port, proto)
			cmd.Stdin = strings.NewReader("SET greeting \"hello world\"\nGET greeting\nHSET h a 1 b 2\nHGETALL h\nZADD z 1.5 x 2 y\nZRANGE z 0 -1 WITHSCORES\nMULTI\nINCR n\nINCR n\nEXEC\nGET none\nFLUSHALL\nFLY\n")
			out, err := cmd.CombinedOutput()
			require.NoError(t, err, "%s", out)
			text := strings.NewReplacer("a 1", "a\n1", "b 2", "b\n2").Replace(string(out)) // maps of protocol 3
			require.Contains(t, text, "OK\nhello world\n2\na\n1\nb\n2\n2\nx\n1.5\ny\n2\nOK\nQUEUED\nQUEUED\n1\n2\n\nOK\nERR unknown command 'FLY'", proto)
		}
	})
}

// TestRedisBenchmark: the real load generator finds nothing to complain of.
func TestRedisBenchmark(t *testing.T) {
	bench, err := exec.LookPath("redis-benchmark")
	if err != nil {
		t.Skip("redis-benchmark is not installed (Debian: redis-tools)")
	}
	both(t, func(t *testing.T, o Options) {
		n := open(t, o)
		host, port, err := net.SplitHostPort(n.Addr())
		require.NoError(t, err)
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		out, err := exec.CommandContext(ctx, bench, "-h", host, "-p", port, "-n", "2000", "-c", "20", "-P", "4", "-r", "500", "-q").CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "MSET (10 keys)")
		require.NotContains(t, string(out), "rror")
	})
}

func TestCommandsOfTheConnection(t *testing.T) {
	both(t, func(t *testing.T, o Options) {
		n := open(t, o)
		c := dial(t, n.Addr())
		for _, line := range [][2]string{
			{"PING", "PONG"},
			{"PING x", "x"},
			{"ECHO x", "x"},
			{"SELECT 0", "OK"},
			{"SELECT 1", "(ERR DB index is out of range)"},
			{"CLIENT SETNAME me", "OK"},
			{"CLIENT GETNAME", "me"},
			{"HELLO 9", "(NOPROTO unsupported protocol version)"},
			{"HELLO 3 WAT", "(ERR Syntax error in HELLO option 'WAT')"},
			{"CONFIG GET maxmemory*", ""},
			{"CONFIG SET maxmemory 100mb maxmemory-policy allkeys-lru", "OK"},
			{"CONFIG SET maxmemory 1mb maxmemory-policy best", "(ERR CONFIG SET failed - keyspace: bad options: no policy \"best\")"},
			{"CONFIG GET maxmemory", "[maxmemory 104857600]"},
			{"CONFIG SET maxmemory -1", "(ERR CONFIG SET failed - argument must be a memory value)"},
			{"CONFIG SET maxmemory 9999999999999gb", "(ERR CONFIG SET failed - argument must be a memory value)"},
			{"CONFIG SET port 1", "(ERR CONFIG SET failed - unknown or unchangeable setting 'port')"},
			{"COMMAND COUNT", ""},
			{"COMMAND GETKEYS MSET a 1 b 2", "[a b]"},
			{"COMMAND GETKEYS ZUNIONSTORE d 2 a b", "[d a b]"},
			{"CLUSTER INFO", "(ERR This instance has cluster support disabled)"},
			{"ROLE", "[master 0 []]"},
			{"SAVE", "(ERR there is no folder to save to)"},
			{"FLY x", "(ERR unknown command 'FLY')"},
			{"GET", "(ERR wrong number of arguments for 'get' command)"},
			{"MULTI", "OK"},
			{"MULTI", "(ERR MULTI calls can not be nested)"},
			{"SUBSCRIBE x", "(ERR Command not allowed inside a transaction)"},
			{"EXEC", "(EXECABORT Transaction discarded because of previous errors.)"},
			{"EXEC", "(ERR EXEC without MULTI)"},
			{"MULTI", "OK"},
			{"SET a 1", "QUEUED"},
			{"LPUSH a 1", "QUEUED"},
			{"INCR a", "QUEUED"},
			{"EXEC", "[OK (WRONGTYPE Operation against a key holding the wrong kind of value) 2]"},
			{"MULTI", "OK"},
			{"SET a 5", "QUEUED"},
			{"DISCARD", "OK"},
			{"GET a", "2"},
			{"RESET", "RESET"},
			{"QUIT", "OK"},
		} {
			got := do(t, c, line[0])
			if line[1] != "" {
				require.Equal(t, line[1], got, line[0])
			}
		}
		_, err := c.Do("PING")
		require.Error(t, err)
	})
}

// TestWatch: a transaction runs only if nobody has touched what it watches.
func TestWatch(t *testing.T) {
	n := open(t, Options{})
	a, b := dial(t, n.Addr()), dial(t, n.Addr())
	for _, touch := range []string{"SET k 2", "DEL k", "EXPIRE k 100", "FLUSHALL", "MSET x 1 k 2", "RENAME k l"} {
		do(t, a, "SET k 1")
		do(t, a, "WATCH k other")
		do(t, b, touch)
		do(t, a, "MULTI")
		do(t, a, "SET mine 1")
		require.Equal(t, "nil", do(t, a, "EXEC"), touch)
	}
	do(t, a, "SET k 1")
	do(t, a, "WATCH k")
	do(t, b, "GET k")
	do(t, b, "SET j 1")
	do(t, a, "MULTI")
	do(t, a, "SET k 2")
	require.Equal(t, "[OK]", do(t, a, "EXEC"))
	n.mu.Lock()
	defer n.mu.Unlock()
	require.Empty(t, n.watched)
}

func TestPubSub(t *testing.T) {
	both(t, func(t *testing.T, o Options) {
		n := open(t, o)
		sub, sub3, pub := dial(t, n.Addr()), dial(t, n.Addr()), dial(t, n.Addr())
		require.Equal(t, "[subscribe news 1]", do(t, sub, "SUBSCRIBE news"))
		require.Equal(t, "[psubscribe n?ws 2]", do(t, sub, "PSUBSCRIBE n?ws"))
		require.Contains(t, do(t, sub, "GET x"), "only (P)SUBSCRIBE")
		require.Equal(t, "[pong ]", do(t, sub, "PING"))
		do(t, sub3, "HELLO 3")
		require.Equal(t, "[subscribe news 1]", do(t, sub3, "SUBSCRIBE news"))
		require.Equal(t, "nil", do(t, sub3, "GET x"))
		require.Equal(t, "3", do(t, pub, "PUBLISH news hello"))
		require.Equal(t, "[news 2]", do(t, pub, "PUBSUB NUMSUB news"))
		require.Equal(t, "[news]", do(t, pub, "PUBSUB CHANNELS"))
		require.Equal(t, "1", do(t, pub, "PUBSUB NUMPAT"))
		require.Equal(t, "[message news hello]", text(sub.Receive()))
		require.Equal(t, "[pmessage n?ws news hello]", text(sub.Receive()))
		r, err := sub3.Receive()
		require.Equal(t, "[message news hello]", text(r, err))
		require.Equal(t, byte('>'), r.Kind)
		require.Equal(t, "[unsubscribe news 1]", do(t, sub, "UNSUBSCRIBE"))
		require.Equal(t, "[punsubscribe n?ws 0]", do(t, sub, "PUNSUBSCRIBE"))
		require.Equal(t, "nil", do(t, sub, "GET x"))
		require.Equal(t, "1", do(t, pub, "PUBLISH news x"))
	})
}

// TestMemory: what is over the bound is refused or evicted.
func TestMemory(t *testing.T) {
	n := open(t, Options{})
	c := dial(t, n.Addr())
	require.Equal(t, "OK", do(t, c, "CONFIG SET maxmemory 100kb"))
	v := strings.Repeat("v", 1000)
	refused := 0
	for i := range 200 {
		if r := do(t, c, fmt.Sprintf("SET k%d %s", i, v)); r != "OK" {
			require.Equal(t, "(OOM command not allowed when used memory > 'maxmemory'.)", r)
			refused++
		}
	}
	require.Greater(t, refused, 100)
	require.Equal(t, "1", do(t, c, "DEL k0"), "what frees memory is allowed")
	require.Equal(t, v, do(t, c, "GET k1"))
	for _, p := range []string{"allkeys-lru", "allkeys-adaptive", "allkeys-lfu"} {
		do(t, c, "CONFIG SET maxmemory-policy "+p)
		for i := range 200 {
			require.Equal(t, "OK", do(t, c, fmt.Sprintf("SET k%d %s", i, v)), p)
		}
	}
	require.Contains(t, do(t, c, "INFO memory"), "maxmemory_policy:allkeys-lfu")
	n.mu.Lock()
	defer n.mu.Unlock()
	require.LessOrEqual(t, n.db.Used(), int64(102_400+2000))
}

// TestRestart: a node that is closed finds its keys again, one that is killed those of its
// last snapshot.
func TestRestart(t *testing.T) {
	dir := t.TempDir()
	start := func() (*Node, *resp.Client) {
		n, err := Open(Options{Listener: listen(t), Dir: dir})
		require.NoError(t, err)
		return n, dial(t, n.Addr())
	}
	n, c := start()
	do(t, c, "SET a 1")
	do(t, c, "RPUSH l 1 2 3")
	require.Equal(t, "OK", do(t, c, "SAVE"))
	do(t, c, "SET b 1")
	n.Kill()
	n, c = start()
	require.Equal(t, "nil", do(t, c, "GET b"))
	require.Equal(t, "[1 2 3]", do(t, c, "LRANGE l 0 -1"))
	do(t, c, "SET c 1")
	require.NoError(t, n.Close())
	require.NoError(t, n.Close())
	n, c = start()
	require.Equal(t, "1", do(t, c, "GET c"))
	n.Kill()
	_, err := Open(Options{})
	require.ErrorIs(t, err, ErrOptions)
}
