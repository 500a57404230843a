package server

import (
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/keyspace"
)

// TestMalformed: whatever a client sends is answered with an error before its connection is
// closed, and all others go on.
func TestMalformed(t *testing.T) {
	both(t, func(t *testing.T, o Options) {
		n := open(t, o)
		good := dial(t, n.Addr())
		for name, in := range map[string]string{
			"a count of 2^63":              "*9223372036854775808\r\n",
			"a length of 2^63":             "*1\r\n$9223372036854775808\r\n",
			"a negative length":            "*1\r\n$-5\r\n",
			"nested arrays, 10,000 deep":   strings.Repeat("*1\r\n", 10_000),
			"an inline line without end":   strings.Repeat("garbage", 20_000),
			"an open quote":                "SET \"a\r\n",
			"no end of an argument":        "*1\r\n$4\r\nPINGxx",
			"a count that is no number":    "*x\r\n",
			"an argument without a header": "*1\r\nPING\r\n",
		} {
			nc, err := net.Dial("tcp", n.Addr())
			require.NoError(t, err)
			require.NoError(t, nc.SetDeadline(time.Now().Add(patience)))
			go io.WriteString(nc, in) // the server may close before it has taken all
			out, _ := io.ReadAll(nc)
			require.True(t, strings.HasPrefix(string(out), "-ERR Protocol error"), "%s: %q", name, out)
			nc.Close()
			require.Equal(t, "PONG", do(t, good, "PING"))
		}
		// Binary garbage is an inline command that nobody knows.
		require.Equal(t, "(ERR unknown command '\x00\x01\xff')", text(good.Do("\x00\x01\xff")))
	})
}

// TestBadCommands: wrong types, numbers and arguments are each refused by name, and change
// nothing.
func TestBadCommands(t *testing.T) {
	n := open(t, Options{})
	c := dial(t, n.Addr())
	for _, line := range []string{"SET s x", "SET n 9223372036854775807", "RPUSH l a", "SADD set a", "HSET h f x", "ZADD z 1 a"} {
		do(t, c, line)
	}
	n.mu.Lock()
	dirty := n.db.Dirty
	n.mu.Unlock()
	for want, lines := range map[string][]string{
		"WRONGTYPE":                                 {"LPUSH s a", "GET l", "SADD l a", "HGET s f", "ZADD h 1 a", "INCR l", "APPEND z x", "SINTER set l", "ZUNIONSTORE d 1 s", "LMOVE l s LEFT LEFT"},
		"ERR value is not an integer":               {"INCRBY n x", "INCR s", "EXPIRE s x", "LRANGE l x 1", "SETRANGE s x y", "INCRBY n 9223372036854775808", "SET s x EX y", "SPOP set x"},
		"ERR increment or decrement would overflow": {"INCR n", "INCRBY n 1", "HINCRBY h g 9223372036854775807 extra"},
		"ERR value is not a valid float":            {"INCRBYFLOAT s2 x", "ZADD z x a", "ZADD z nan a", "ZINCRBY z 0x1 a", "HINCRBYFLOAT h g 1e999"},
		"ERR syntax error":                          {"SET s x NX XX", "SET s x EX", "SET s x WAT", "ZADD z NX XX 1 a", "LINSERT l AROUND a b", "SCAN 0 COUNT", "SCAN 0 COUNT 0", "RESTORE k 0 x WAT"},
		"ERR invalid expire time":                   {"SETEX s 0 x", "SETEX s -9223372036854775808 x", "EXPIRE s 9223372036854775807", "PEXPIRE s 9223372036854775807", "SET s x PX -1", "RESTORE k -1 x"},
		"ERR wrong number of arguments":             {"GET", "GET a b", "SET s", "MSET a", "MSET a 1 b", "HSET h f", "LPUSH l", "PING a b"},
		"ERR string exceeds":                        {"SETRANGE s 99999999999 x", "SETRANGE s 67108864 x"},
		"ERR invalid cursor":                        {"SCAN -1", "SCAN x", "HSCAN h 18446744073709551616"},
		"ERR min or max":                            {"ZRANGEBYSCORE z x 1", "ZRANGEBYLEX z a b", "ZCOUNT z nan 1"},
		"ERR value is out of range":                 {"LPOP l -1", "SPOP set -1", "ZPOPMIN z -1", "SRANDMEMBER set -99999999"},
		"ERR DUMP payload":                          {"RESTORE k 0 garbage", "RESTORE k 0 \x00\x01\x02\x03\x04\x05"},
		"BUSYKEY":                                   {"RESTORE s 0 x"},
		"ERR no such key":                           {"RENAME none x", "LSET none 0 x", "OBJECT FREQ none"},
		"ERR index out of range":                    {"LSET l 5 x", "LSET l -9223372036854775808 x"},
	} {
		for _, line := range lines {
			got := do(t, c, line)
			if strings.HasSuffix(line, "extra") {
				require.Contains(t, got, "wrong number")
				continue
			}
			require.True(t, strings.HasPrefix(got, "("+want), "%s: %s, not %s", line, got, want)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	require.Equal(t, dirty, n.db.Dirty)
}

// TestHugeIndexes: numbers at the ends of their range are no trouble where they are allowed.
func TestHugeIndexes(t *testing.T) {
	c := dial(t, open(t, Options{}).Addr())
	do(t, c, "RPUSH l a b c")
	do(t, c, "ZADD z 1 a 2 b")
	do(t, c, "SET s hello")
	const low, high = "-9223372036854775808", "9223372036854775807"
	for _, line := range [][2]string{
		{"LRANGE l " + low + " " + high, "[a b c]"},
		{"LRANGE l " + high + " " + low, "[]"},
		{"LINDEX l " + low, "nil"},
		{"GETRANGE s " + low + " " + high, "hello"},
		{"ZRANGE z " + low + " " + high, "[a b]"},
		{"ZRANGEBYSCORE z -inf inf LIMIT " + high + " " + high, "[]"},
		{"ZRANGEBYSCORE z -inf inf LIMIT 0 " + high, "[a b]"},
		{"LREM l " + low + " c", "1"},
		{"LPOP l " + high, "[a b]"},
		{"ZPOPMAX z " + high, "[b 2 a 1]"},
		{"SCAN 18446744073709551615 COUNT " + high, "[0 [s]]"},
		{"EXPIREAT s 9223372036854775", "1"},
		{"PERSIST s", "1"},
		{"EXPIREAT s " + "-9223372036854775", "1"},
		{"EXISTS s", "0"},
	} {
		require.Equal(t, line[1], do(t, c, line[0]), line[0])
	}
}

// TestSubscriberThatNeverReads: what it leaves unread is bounded, then it is dropped, and
// the publisher notices nothing.
func TestSubscriberThatNeverReads(t *testing.T) {
	both(t, func(t *testing.T, o Options) {
		o.ClientBuffer = 256 << 10
		n := open(t, o)
		sub, pub := dial(t, n.Addr()), dial(t, n.Addr())
		do(t, sub, "SUBSCRIBE news")
		message := strings.Repeat("x", 32<<10)
		received := "1"
		for i := 0; received == "1"; i++ {
			require.Less(t, i, 5000)
			received = text(pub.Do("PUBLISH", "news", message))
			n.mu.Lock()
			for c := range n.conns {
				require.LessOrEqual(t, len(c.out.B)+c.l.unsent(), o.ClientBuffer+64<<10)
			}
			n.mu.Unlock()
		}
		require.EqualValues(t, 1, n.Stats().Dropped)
		n.mu.Lock()
		defer n.mu.Unlock()
		require.Empty(t, n.channels)
	})
}

// TestClientThatNeverReads: its commands wait, and it costs no more than a bound.
func TestClientThatNeverReads(t *testing.T) {
	both(t, func(t *testing.T, o Options) {
		n := open(t, o)
		other := dial(t, n.Addr())
		require.Equal(t, "OK", text(other.Do("SET", "big", strings.Repeat("x", 64<<10))))
		nc, err := net.Dial("tcp", n.Addr())
		require.NoError(t, err)
		defer nc.Close()
		cmd := strings.Repeat("GET big\r\n", 1000)
		require.NoError(t, nc.SetWriteDeadline(time.Now().Add(300*time.Millisecond)))
		for err == nil {
			_, err = io.WriteString(nc, cmd) // until the node stops to read
		}
		n.mu.Lock()
		for c := range n.conns {
			require.LessOrEqual(t, len(c.out.B)+c.l.unsent(), 2*soft+64<<10)
		}
		n.mu.Unlock()
		require.Equal(t, "PONG", do(t, other, "PING"))
		require.Zero(t, n.Stats().Dropped)
		// It begins to read, and gets what it asked for.
		require.NoError(t, nc.SetReadDeadline(time.Now().Add(patience)))
		_, err = io.CopyN(io.Discard, nc, 50<<20)
		require.NoError(t, err)
	})
}

// TestManyConnections: connections that come and go leave nothing behind.
func TestManyConnections(t *testing.T) {
	both(t, func(t *testing.T, o Options) {
		n := open(t, o)
		for range 100 {
			c := dial(t, n.Addr())
			do(t, c, "SUBSCRIBE a b")
			c.Close()
		}
		require.Eventually(t, func() bool {
			n.mu.Lock()
			defer n.mu.Unlock()
			return len(n.conns) == 0 && len(n.channels) == 0
		}, patience, time.Millisecond)
	})
}

// TestCloseLeavesNothing: no goroutine outlives its node.
func TestCloseLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	for _, portable := range []bool{false, true} {
		n, err := Open(Options{Listener: listen(t), Portable: portable})
		require.NoError(t, err)
		c := dial(t, n.Addr())
		do(t, c, "SUBSCRIBE x")
		require.NoError(t, n.Close())
		_, err = c.Receive()
		require.Error(t, err)
	}
	for deadline := time.Now().Add(patience); runtime.NumGoroutine() > before; runtime.Gosched() {
		require.True(t, time.Now().Before(deadline), "%d goroutines, not %d", runtime.NumGoroutine(), before)
	}
}

// FuzzCommands: no bytes make a node panic or hang, and its account stays right.
func FuzzCommands(f *testing.F) {
	f.Add([]byte("SET a 1\r\nINCR a\r\nMULTI\r\nLPUSH l a b\r\nEXEC\r\n"))
	f.Add([]byte("*3\r\n$4\r\nZADD\r\n$1\r\nz\r\n$3\r\n1 a\r\nZADD z 1 a 2 b\r\nZRANGEBYSCORE z (1 +inf WITHSCORES LIMIT 0 1\r\nZUNIONSTORE d 2 z z WEIGHTS 1 2\r\n"))
	f.Add([]byte("HSET h a 1\r\nHSCAN h 0 MATCH [a-\r\nSETRANGE s 10 x\r\nGETRANGE s -5 2\r\nLPOP l 5\r\nSPOP s 2\r\nRESTORE k 0 x\r\n"))
	f.Add([]byte("HELLO 3\r\nSUBSCRIBE a\r\nPUBLISH a b\r\nCONFIG SET maxmemory 1kb maxmemory-policy allkeys-adaptive\r\nSET a b\r\nSET b c EX 1\r\n"))
	f.Add([]byte("COMMAND GETKEYS ZINTERSTORE a 99 b\r\nCOPY a b\r\nEXPIRE a -1\r\nOBJECT FREQ a\r\nCLIENT LIST\r\nWATCH a\r\nRESET\r\n"))
	n, err := Open(Options{Listener: listen(f), Portable: true})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(n.Kill)
	f.Fuzz(func(t *testing.T, in []byte) {
		n.mu.Lock()
		defer n.mu.Unlock()
		n.db.Clear()
		if err := n.db.Configure(0, 0, 5); err != nil {
			t.Fatal(err)
		}
		l := &sink{}
		c := n.attach(l)
		for len(in) > 0 && !c.ended {
			k := copy(c.in.Space(), in)
			c.in.Filled(k)
			in = in[k:]
			l.b = 0 // it reads at once
			n.turn(c)
			n.endTurn()
		}
		n.detach(c)
		n.events = nil
		if len(n.channels)+len(n.patterns)+len(n.watched)+len(n.conns) > 0 {
			t.Fatal("something is left of a connection")
		}
		used := int64(0)
		for cursor, more := uint64(0), true; more; more = cursor != 0 {
			cursor = n.db.Scan(cursor, 1000, func(e *keyspace.Entry) { used += e.Size() })
		}
		if n.db.Volatile() == 0 && used != n.db.Used() {
			t.Fatalf("%d bytes are counted, %d are there", n.db.Used(), used)
		}
	})
}

// sink is a link to nowhere.
type sink struct{ b int }

func (s *sink) send(b []byte)  { s.b += len(b) }
func (s *sink) unsent() int    { return s.b }
func (s *sink) hangUp()        {}
func (s *sink) cut()           {}
func (s *sink) resume()        {}
func (s *sink) remote() string { return "nowhere" }
