package server

import (
	"fmt"
	"math"
	"math/rand/v2"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/internal/resp"
	"github.com/ashlar-go/ashlar/internal/testkit"
)

// redisServer starts the real one on a port of its own.
func redisServer(t *testing.T) string {
	t.Helper()
	server, err := exec.LookPath("redis-server")
	if err != nil {
		t.Skip("redis-server is not installed (Debian: redis-server)")
	}
	l := listen(t)
	addr := l.Addr().String()
	_, port, err := net.SplitHostPort(addr)
	require.NoError(t, err)
	require.NoError(t, l.Close())
	cmd := exec.Command(server, "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--dir", t.TempDir())
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
	})
	require.Eventually(t, func() bool {
		c, err := resp.Dial(t.Context(), addr)
		if err != nil {
			return false
		}
		defer c.Close()
		_, err = c.Do("PING")
		return err == nil
	}, patience, 5*time.Millisecond)
	return addr
}

// templates of commands; K is a key, V a value, M a member, I an index, N a number, F a
// floating-point number, T seconds.
var templates = strings.Split(`SET K V|SET K V NX|SET K V XX GET|SET K V EX T|SET K V KEEPTTL|SET K V EX|SET K V NX XX|SET K V PX 0|GET K|SETNX K V|SETEX K T V|SETEX K -1 V|PSETEX K 100000 V
GETSET K V|GETDEL K|GETEX K|GETEX K PERSIST|GETEX K EX T|MGET K K K|MSET K V K V|MSET K V K|MSETNX K V K V|APPEND K V|STRLEN K|INCR K|DECR K|INCRBY K N|DECRBY K N|INCRBYFLOAT K F
GETRANGE K I I|SETRANGE K 3 V|SETRANGE K -1 V|SET K 10|INCR K|SET K 1.5|INCRBYFLOAT K nan|INCRBY K x|DECRBY K -9223372036854775808
DEL K K|UNLINK K|EXISTS K K K|TYPE K|EXPIRE K T|EXPIRE K T NX|EXPIRE K T XX|EXPIRE K T GT|EXPIRE K T LT|EXPIRE K 9223372036854775807|PEXPIRE K -1|TTL K|PERSIST K|RENAME K K|RENAMENX K K|COPY K K|COPY K K REPLACE|DBSIZE|TOUCH K K
LPUSH K V V|RPUSH K V V V|LPUSHX K V|RPUSHX K V|LPOP K|RPOP K|LPOP K 2|RPOP K 0|LPOP K -1|LLEN K|LRANGE K I I|LINDEX K I|LSET K I V|LREM K I V|LTRIM K I I|LINSERT K BEFORE V V|LINSERT K AFTER V V|LINSERT K BESIDE V V|RPOPLPUSH K K|LMOVE K K LEFT RIGHT|LMOVE K K RIGHT LEFT|LMOVE K K UP LEFT
SADD K M M M|SREM K M M|SMEMBERS K|SISMEMBER K M|SMISMEMBER K M M|SCARD K|SMOVE K K M|SINTER K K|SUNION K K|SDIFF K K|SINTERSTORE K K K|SUNIONSTORE K K K|SDIFFSTORE K K K|SPOP K -1
HSET K M V M V|HSET K M|HMSET K M V|HSETNX K M V|HGET K M|HMGET K M M|HGETALL K|HDEL K M M|HEXISTS K M|HLEN K|HKEYS K|HVALS K|HSTRLEN K M|HINCRBY K M N|HINCRBYFLOAT K M F
ZADD K F M F M|ZADD K NX F M|ZADD K XX CH F M|ZADD K GT F M|ZADD K LT CH F M|ZADD K INCR F M|ZADD K NX XX 1 M|ZADD K x M|ZADD K inf M|ZADD K -inf M|ZINCRBY K F M|ZREM K M M|ZSCORE K M|ZMSCORE K M M|ZCARD K|ZRANK K M|ZREVRANK K M
ZRANGE K I I|ZRANGE K I I WITHSCORES|ZRANGE K I I REV|ZRANGE K -inf F BYSCORE|ZRANGE K F (F BYSCORE LIMIT 1 2|ZRANGE K +inf F BYSCORE REV|ZRANGE K I I LIMIT 1 2|ZREVRANGE K I I|ZRANGEBYSCORE K (F +inf WITHSCORES|ZRANGEBYSCORE K F F LIMIT 0 -1|ZREVRANGEBYSCORE K +inf F|ZRANGEBYSCORE K x 1
ZCOUNT K F F|ZCOUNT K (F inf|ZADD lex 0 M 0 M|ZRANGEBYLEX lex [a (m3|ZRANGEBYLEX lex - +|ZREVRANGEBYLEX lex + [m2|ZRANGE lex - (m3 BYLEX LIMIT 1 2|ZLEXCOUNT lex - (m4|ZLEXCOUNT K a b|ZREMRANGEBYRANK K I I|ZREMRANGEBYSCORE K F F|ZREMRANGEBYLEX lex [m1 [m2|ZPOPMIN K|ZPOPMAX K 2|ZPOPMIN K -1
ZUNIONSTORE K 2 K K|ZUNIONSTORE K 2 K K WEIGHTS 2 F AGGREGATE MAX|ZINTERSTORE K 2 K K|ZINTERSTORE K 2 K K AGGREGATE MIN|ZUNIONSTORE K 0 K|ZUNIONSTORE K 3 K K|ZADD K F a F b|FLUSHALL SOON`, "|")

func generate(rng *rand.Rand, template string) []string {
	words := strings.Fields(template)
	for i, w := range words {
		pre := ""
		if strings.HasPrefix(w, "(") {
			pre, w = "(", w[1:]
		}
		switch w {
		case "K":
			w = fmt.Sprintf("k%d", rng.IntN(6))
		case "V":
			w = []string{"", "a", "b", "10", "xyz", "-3", "3.5"}[rng.IntN(7)]
		case "M":
			w = fmt.Sprintf("m%d", rng.IntN(6))
		case "I":
			w = fmt.Sprint(rng.IntN(9) - 4)
		case "N":
			w = fmt.Sprint(rng.IntN(2000) - 1000)
		case "F":
			w = fmt.Sprint(float64(rng.IntN(40)-20) / 4)
		case "T":
			w = fmt.Sprint(1000 + rng.IntN(1000)*100)
		}
		words[i] = pre + w
	}
	return words
}

// unordered are commands whose replies have no order.
var unordered = map[string]bool{"SMEMBERS": true, "SINTER": true, "SUNION": true, "SDIFF": true, "HKEYS": true, "HVALS": true}

// TestAgainstRedis sends the same random commands to a node and to the real Redis: every
// reply must be the same, errors by their first word.
func TestAgainstRedis(t *testing.T) {
	rng := testkit.Rand(t)
	theirs, ours := dial(t, redisServer(t)), dial(t, open(t, Options{}).Addr())
	var all []string
	for _, line := range templates {
		for t := range strings.SplitSeq(line, "\n") {
			all = append(all, t)
		}
	}
	const rounds, depth = 400, 100
	wrong := map[string]bool{}
	for range rounds {
		var cmds [][]string
		for range depth {
			cmd := generate(rng, all[rng.IntN(len(all))])
			cmds = append(cmds, cmd)
			theirs.Send(cmd...)
			ours.Send(cmd...)
		}
		if rng.IntN(10) == 0 {
			cmds = append(cmds, []string{"FLUSHALL"})
			theirs.Send("FLUSHALL")
			ours.Send("FLUSHALL")
		}
		require.NoError(t, theirs.Flush())
		require.NoError(t, ours.Flush())
		same := true // until they differ: from then on their keys do
		for _, cmd := range cmds {
			want, got := normal(cmd, theirs), normal(cmd, ours)
			if same && want != got {
				same = false
				if strings.HasSuffix(cmd[0], "INCRBYFLOAT") && near(want, got) {
					continue // Redis has 80 bits for it
				}
				wrong[fmt.Sprintf("%q: %s, Redis says %s", cmd, got, want)] = true
			}
		}
		if !same {
			do(t, theirs, "FLUSHALL")
			do(t, ours, "FLUSHALL")
		}
	}
	for w := range wrong {
		t.Error(w)
	}
}

// near tells whether two texts are the same number but for rounding.
func near(a, b string) bool {
	x, err1 := strconv.ParseFloat(a, 64)
	y, err2 := strconv.ParseFloat(b, 64)
	return err1 == nil && err2 == nil && math.Abs(x-y) <= 1e-9*(1+math.Abs(x))
}

func normal(cmd []string, c *resp.Client) string {
	r, err := c.Receive()
	if err != nil {
		word, _, _ := strings.Cut(err.Error(), " ")
		return "(" + word + ")"
	}
	if unordered[cmd[0]] {
		slices.SortFunc(r.Elems, func(a, b resp.Reply) int { return strings.Compare(string(a.Bytes), string(b.Bytes)) })
	}
	if cmd[0] == "HGETALL" {
		var pairs []string
		for i := 0; i+1 < len(r.Elems); i += 2 {
			pairs = append(pairs, string(r.Elems[i].Bytes)+"="+string(r.Elems[i+1].Bytes))
		}
		slices.Sort(pairs)
		return fmt.Sprint(pairs)
	}
	return text(r, nil)
}
