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
	"slices"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// TestGoRedis has the client that most Go services use talk to a node of examples/kv, a
// process of its own.
func TestGoRedis(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: does not build and start a node")
	}
	dir := t.TempDir()
	binary := filepath.Join(dir, "kv.exe")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-C", filepath.Join("..", ".."), "-o", binary, "./examples/kv").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var addrs [4]string
	var held []net.Listener // all at once, so that they differ
	for i := range addrs {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, l)
		addrs[i] = l.Addr().String()
	}
	for _, l := range held {
		l.Close()
	}
	config, err := json.Marshal(map[string]any{"cluster": "go-redis", "nodes": []any{map[string]any{
		"id": "n1", "peer": addrs[0], "gossip": addrs[1], "http": addrs[2], "redis": addrs[3],
	}}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "cluster.json")
	if err := os.WriteFile(path, config, 0o644); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	node := exec.Command(binary, "serve", "-config", path, "-id", "n1", "-dir", filepath.Join(dir, "n1"))
	node.Stderr = &log
	if err := node.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		node.Process.Kill()
		node.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := redis.NewClient(&redis.Options{Addr: addrs[3], MaxRetries: 100, MinRetryBackoff: 20 * time.Millisecond, MaxRetryBackoff: 100 * time.Millisecond})
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
	ok("ping", c.Ping(ctx).Err())
	ok("set", c.Set(ctx, "k", "v", 0).Err())
	got, err := c.Get(ctx, "k").Result()
	ok("get", err)
	same("get", got, "v")
	same("get of nothing", c.Get(ctx, "absent").Err(), redis.Nil)
	ok("set with a time to live", c.Set(ctx, "brief", "v", time.Hour).Err())
	ttl, err := c.TTL(ctx, "brief").Result()
	ok("ttl", err)
	if ttl <= 59*time.Minute || ttl > time.Hour {
		t.Fatalf("ttl: %v", ttl)
	}
	first, err := c.SetNX(ctx, "lock", "me", time.Minute).Result()
	ok("setnx", err)
	second, err := c.SetNX(ctx, "lock", "you", time.Minute).Result()
	ok("setnx again", err)
	same("setnx", []bool{first, second}, []bool{true, false})
	ok("expire", c.Expire(ctx, "k", time.Hour).Err())
	ok("persist", c.Persist(ctx, "k").Err())
	ttl, err = c.TTL(ctx, "k").Result()
	ok("ttl", err)
	same("ttl of a key without", ttl, time.Duration(-1))
	values, err := c.MGet(ctx, "k", "absent", "brief").Result()
	ok("mget", err)
	same("mget", values, []any{"v", nil, "v"})
	n, err := c.Exists(ctx, "k", "absent", "brief").Result()
	ok("exists", err)
	same("exists", n, 2)
	pipe := c.Pipeline()
	for i := range 500 {
		pipe.Set(ctx, fmt.Sprintf("many:%03d", i), i, 0)
	}
	_, err = pipe.Exec(ctx)
	ok("pipeline", err)
	var keys []string
	it := c.Scan(ctx, 0, "many:*", 50).Iterator()
	for it.Next(ctx) {
		keys = append(keys, it.Val())
	}
	ok("scan", it.Err())
	slices.Sort(keys)
	same("scan", len(slices.Compact(keys)), 500)
	n, err = c.Del(ctx, "k", "brief", "absent").Result()
	ok("del", err)
	same("del", n, 2)
	info, err := c.Info(ctx).Result()
	ok("info", err)
	if len(info) == 0 {
		t.Fatal("info is empty")
	}
	same("a command that is not there", c.LPush(ctx, "k", "v").Err() != nil, true)
	ok("and the connection goes on", c.Ping(ctx).Err())
}
