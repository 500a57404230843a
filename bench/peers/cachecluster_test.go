package peers

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// TestGoRedisCluster has the cluster client that most Go services use talk to six processes
// of examples/cachecluster, of which one is killed.
func TestGoRedisCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: does not build and start nodes")
	}
	dir := t.TempDir()
	binary := filepath.Join(dir, "cachecluster.exe")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-C", filepath.Join("..", ".."), "-o", binary, "./examples/cachecluster").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	type member struct {
		ID   string `json:"id"`
		Addr string `json:"addr"`
	}
	shards := make([][]member, 3)
	var addrs []string
	var held []net.Listener // all at once, so that they differ
	for i := range 6 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, l)
		addrs = append(addrs, l.Addr().String())
		shards[i%3] = append(shards[i%3], member{fmt.Sprintf("n%d", i+1), addrs[i]})
	}
	for _, l := range held {
		l.Close()
	}
	config, err := json.Marshal(map[string]any{"cluster": "go-redis", "timeout": 1000, "shards": shards})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "cluster.json")
	if err := os.WriteFile(path, config, 0o644); err != nil {
		t.Fatal(err)
	}
	var nodes []*exec.Cmd
	for i := range addrs {
		id := fmt.Sprintf("n%d", i+1)
		var log bytes.Buffer
		node := exec.Command(binary, "serve", "-config", path, "-id", id, "-dir", filepath.Join(dir, id))
		node.Stderr = &log
		if err := node.Start(); err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, node)
		t.Cleanup(func() {
			node.Process.Kill()
			node.Wait()
			if t.Failed() {
				t.Log(log.String())
			}
		})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 90*time.Second)
	defer cancel()
	c := redis.NewClusterClient(&redis.ClusterOptions{
		Addrs: addrs, MaxRedirects: 200, MaxRetries: 5, MinRetryBackoff: 20 * time.Millisecond, MaxRetryBackoff: 100 * time.Millisecond,
	})
	defer c.Close()
	ok := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	same := func(what string, got, want any) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%s: got %v, want %v", what, got, want)
		}
	}
	// insist tries until the cluster is ready, or ready again.
	again := time.NewTicker(10 * time.Millisecond)
	defer again.Stop()
	insist := func(what string, f func() error) {
		t.Helper()
		for {
			err := f()
			if err == nil {
				return
			}
			c.ReloadState(ctx)
			select {
			case <-again.C:
			case <-ctx.Done():
				t.Fatalf("%s: %v", what, err)
			}
		}
	}
	for i := range 300 {
		insist("set", func() error { return c.Set(ctx, fmt.Sprintf("key:%d", i), i, 0).Err() })
	}
	info, err := c.ClusterInfo(ctx).Result()
	ok("cluster info", err)
	if !strings.Contains(info, "cluster_state:ok") {
		t.Fatal(info)
	}
	for i := range 300 {
		got, err := c.Get(ctx, fmt.Sprintf("key:%d", i)).Result()
		ok("get", err)
		same("get", got, i)
	}
	ok("rpush", c.RPush(ctx, "list", "a", "b", "c").Err())
	list, err := c.LRange(ctx, "list", 0, -1).Result()
	ok("lrange", err)
	same("lrange", list, "[a b c]")
	ok("hset", c.HSet(ctx, "hash", "f", "1", "g", "2").Err())
	hash, err := c.HGetAll(ctx, "hash").Result()
	ok("hgetall", err)
	same("hgetall", hash, "map[f:1 g:2]")
	ok("sadd", c.SAdd(ctx, "set", "x", "y").Err())
	n, err := c.SCard(ctx, "set").Result()
	ok("scard", err)
	same("scard", n, 2)
	ok("zadd", c.ZAdd(ctx, "zset", redis.Z{Score: 2, Member: "b"}, redis.Z{Score: 1.5, Member: "a"}).Err())
	zs, err := c.ZRangeWithScores(ctx, "zset", 0, -1).Result()
	ok("zrange", err)
	same("zrange", zs, "[{1.5 a} {2 b}]")
	ok("expire", c.Expire(ctx, "list", time.Hour).Err())
	ttl, err := c.TTL(ctx, "list").Result()
	ok("ttl", err)
	if ttl <= 59*time.Minute || ttl > time.Hour {
		t.Fatalf("ttl: %v", ttl)
	}
	cmds, err := c.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Incr(ctx, "{tx}n")
		p.IncrBy(ctx, "{tx}n", 5)
		return nil
	})
	ok("multi", err)
	same("multi", cmds[1].(*redis.IntCmd).Val(), 6)
	pipe := c.Pipeline()
	for i := range 500 {
		pipe.Set(ctx, fmt.Sprintf("many:%03d", i), i, 0)
	}
	_, err = pipe.Exec(ctx)
	ok("pipeline over shards", err)
	sub := c.Subscribe(ctx, "news")
	defer sub.Close()
	_, err = sub.Receive(ctx)
	ok("subscribe", err)
	ok("publish", c.Publish(ctx, "news", "hello").Err())
	msg, err := sub.ReceiveMessage(ctx)
	ok("message", err)
	same("message", msg.Payload, "hello")
	var keys int
	err = c.ForEachMaster(ctx, func(ctx context.Context, m *redis.Client) error {
		n, err := m.Do(ctx, "WAIT", 1, 5000).Int()
		if err == nil && n != 1 {
			err = fmt.Errorf("%d replicas", n)
		}
		return err
	})
	ok("wait", err)
	it := c.Scan(ctx, 0, "many:*", 50).Iterator()
	for it.Next(ctx) {
		keys++
	}
	ok("scan", it.Err())
	if keys == 0 {
		t.Fatal("scan finds nothing on any node")
	}
	if err := nodes[0].Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for i := range 300 {
		insist("get after the loss of n1", func() error {
			got, err := c.Get(ctx, fmt.Sprintf("key:%d", i)).Result()
			if err == nil && got != fmt.Sprint(i) {
				t.Fatalf("key:%d is %q", i, got)
			}
			return err
		})
		insist("set after the loss of n1", func() error { return c.Set(ctx, fmt.Sprintf("key:%d", i), "new", 0).Err() })
	}
}
