package server

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/slots"
	"github.com/ashlar-go/ashlar/examples/internal/resp"
)

// testCluster is some nodes in this process.
type testCluster struct {
	t     *testing.T
	cfg   *Config
	dirs  map[string]string
	nodes map[string]*Node
	o     Options
}

// openCluster starts shards of two nodes each: n1 … n3 lead, r1 … r3 follow.
// They take nobody for gone for 20 seconds: who is slow today is not what is tested.
func openCluster(t *testing.T, o Options) *testCluster {
	t.Helper()
	return openImpatient(t, o, 20_000)
}

// openImpatient has a timeout in milliseconds.
func openImpatient(t *testing.T, o Options, timeout int) *testCluster {
	t.Helper()
	tc := &testCluster{t: t, cfg: &Config{Cluster: "test", Timeout: timeout}, dirs: map[string]string{}, nodes: map[string]*Node{}, o: o}
	held := map[string]net.Listener{}
	for i := range 3 {
		var shard []Member
		for _, kind := range []string{"n", "r"} {
			id := fmt.Sprintf("%s%d", kind, i+1)
			held[id] = listen(t)
			tc.dirs[id] = t.TempDir()
			shard = append(shard, Member{ID: id, Addr: held[id].Addr().String()})
		}
		tc.cfg.Shards = append(tc.cfg.Shards, shard)
	}
	for _, m := range tc.cfg.Members() {
		tc.start(m.ID, held[m.ID])
	}
	t.Cleanup(func() {
		for _, n := range tc.nodes {
			n.Kill()
		}
	})
	tc.ready()
	return tc
}

// start starts a node, on the address of the configuration if there is no listener yet.
func (tc *testCluster) start(id string, l net.Listener) *Node {
	tc.t.Helper()
	m, _, _ := tc.cfg.Member(id)
	if l == nil {
		require.Eventually(tc.t, func() bool {
			var err error
			l, err = net.Listen("tcp", m.Addr)
			return err == nil
		}, patience, 5*time.Millisecond)
	}
	o := tc.o
	o.Listener, o.Cluster, o.ID, o.Dir = l, tc.cfg, id, tc.dirs[id]
	n, err := Open(o)
	require.NoError(tc.t, err)
	tc.nodes[id] = n
	return n
}

func (tc *testCluster) eventually(what string, ok func() bool) {
	tc.t.Helper()
	require.Eventually(tc.t, ok, patience, 5*time.Millisecond, what)
}

// ready waits until every shard is served and every node that follows is in step.
func (tc *testCluster) ready() {
	tc.t.Helper()
	tc.eventually("the cluster is ready", func() bool {
		serving := 0
		for _, n := range tc.nodes {
			n.mu.Lock()
			ok := n.cluster.serving || n.cluster.inSync()
			if n.cluster.serving {
				serving++
			}
			n.mu.Unlock()
			if !ok {
				return false
			}
		}
		return serving == 3
	})
}

func (tc *testCluster) leader(shard int) *Node {
	tc.t.Helper()
	var found *Node
	tc.eventually("the shard has a leader", func() bool {
		for _, m := range tc.cfg.Shards[shard] {
			if n := tc.nodes[m.ID]; n != nil {
				n.mu.Lock()
				serving := n.cluster.serving
				n.mu.Unlock()
				if serving {
					found = n
					return true
				}
			}
		}
		return false
	})
	return found
}

// walker is a client that follows redirections.
type walker struct {
	t     testing.TB
	conns map[string]*resp.Client
	home  string
	asked int
	moved int
}

func (tc *testCluster) walker(id string) *walker {
	m, _, _ := tc.cfg.Member(id)
	return &walker{t: tc.t, conns: map[string]*resp.Client{}, home: m.Addr}
}

func (w *walker) conn(addr string) *resp.Client {
	if w.conns[addr] == nil {
		w.conns[addr] = dial(w.t, addr)
	}
	return w.conns[addr]
}

func (w *walker) do(line string) string {
	w.t.Helper()
	addr, asking := w.home, false
	for range 5000 {
		c := w.conn(addr)
		if asking {
			do(w.t, c, "ASKING")
		}
		r := do(w.t, c, line)
		f := strings.Fields(strings.Trim(r, "()"))
		switch {
		case len(f) == 3 && f[0] == "MOVED":
			addr, asking = f[2], false
			w.moved++
		case len(f) == 3 && f[0] == "ASK":
			addr, asking = f[2], true
			w.asked++
		case len(f) > 0 && (f[0] == "TRYAGAIN" || f[0] == "CLUSTERDOWN"):
			time.Sleep(time.Millisecond) // as clients do; not what is tested
			addr, asking = w.home, false
		default:
			return r
		}
	}
	w.t.Fatal("redirected for ever")
	return ""
}

func TestClusterRedirects(t *testing.T) {
	tc := openCluster(t, Options{})
	w := tc.walker("n1")
	for i := range 200 {
		require.Equal(t, "OK", w.do(fmt.Sprintf("SET key%d %d", i, i)))
	}
	require.NotZero(t, w.moved)
	for i := range 200 {
		require.Equal(t, fmt.Sprint(i), w.do(fmt.Sprintf("GET key%d", i)))
	}
	c := dial(t, tc.nodes["n1"].Addr())
	require.Equal(t, "(CROSSSLOT Keys in request don't hash to the same slot)", do(t, c, "MGET a b"))
	require.Equal(t, "OK", w.do("MSET {t}a 1 {t}b 2"))
	require.Equal(t, "[1 2]", w.do("MGET {t}a {t}b"))
	require.Equal(t, fmt.Sprint(slots.Of([]byte("foo"))), do(t, c, "CLUSTER KEYSLOT foo"))
	require.Contains(t, do(t, c, "CLUSTER INFO"), "cluster_state:ok\r\ncluster_slots_assigned:16384")
	require.Equal(t, 6, strings.Count(do(t, c, "CLUSTER NODES"), "\n"))
	require.Contains(t, do(t, c, "CLUSTER SLOTS"), "[0 5460 [127.0.0.1 ")
	require.Contains(t, do(t, c, "CLUSTER SHARDS"), "replication-offset")
	require.Contains(t, do(t, c, "CLUSTER REPLICAS "+do(t, c, "CLUSTER MYID")), "slave")
	require.Contains(t, do(t, c, "INFO replication"), "connected_slaves:1")
	for _, bad := range []string{
		"CLUSTER MEET 127.0.0.1 1", "CLUSTER SETSLOT 99999 STABLE", "CLUSTER SETSLOT 1 NODE nobody", "CLUSTER SETSLOT 16000 MIGRATING x",
		"CLUSTER GETKEYSINSLOT 1 -1", "CLUSTER COUNTKEYSINSLOT x", "MIGRATE 127.0.0.1 1 k 1 100", "MIGRATE 127.0.0.1 1 k 0 x", "SYNCFROM test n1 x 0", "SYNCFROM other r1 x 0", "WAIT x 0", "WAIT 1 -1",
	} {
		require.Contains(t, do(t, c, bad), "(ERR", bad)
	}
	stranger := dial(t, tc.nodes["n1"].Addr())
	require.Contains(t, do(t, stranger, "BUS other {}"), "not a message of this cluster")

	// A replica answers reads for those who ask for that, and sends all others to its primary.
	replica := dial(t, tc.nodes["r1"].Addr())
	key := "key1"
	for i := 0; slots.Of([]byte(key)) >= 5461; i++ {
		key = fmt.Sprintf("mine%d", i)
	}
	require.Equal(t, "OK", w.do("SET "+key+" here"))
	primary := dial(t, tc.nodes["n1"].Addr())
	require.Equal(t, "OK", do(t, primary, "SET "+key+" here"))
	require.Equal(t, "1", do(t, primary, "WAIT 1 0"))
	require.Contains(t, do(t, replica, "GET "+key), "(MOVED ")
	require.Equal(t, "OK", do(t, replica, "READONLY"))
	require.Equal(t, "here", do(t, replica, "GET "+key))
	require.Contains(t, do(t, replica, "SET "+key+" x"), "(MOVED ")
	require.Contains(t, do(t, replica, "FLUSHALL"), "(READONLY")
	require.Contains(t, do(t, replica, "ROLE"), "connected")
}

// TestReplication: a replica ends with the keys of its primary, whatever was done to them.
func TestReplication(t *testing.T) {
	tc := openCluster(t, Options{Policy: 1, MaxMemory: 2 << 20})
	n1 := tc.nodes["n1"]
	c := dial(t, n1.Addr())
	key := func(i int) string { return fmt.Sprintf("{b}%d", i) } // slot 3,300, of the first shard
	require.Less(t, slots.Of([]byte(key(0))), uint16(5461))
	for i := range 3000 {
		switch k, v := key(i), fmt.Sprint(i); i % 7 {
		case 0:
			c.Send("SET", k, v, "EX", "500")
			c.Send("GETEX", k, "PERSIST")
		case 1:
			c.Send("SET", k, v)
			c.Send("INCRBYFLOAT", k, "1.5")
		case 2:
			c.Send("APPEND", k, v)
			c.Send("EXPIRE", k, "1000")
		case 3:
			c.Send("SET", k, v)
			c.Send("EXPIRE", k, "-1")
		case 4:
			c.Send("PSETEX", k, "1", v)
		}
		c.Send("SADD", "{b}set", fmt.Sprint(i))
		c.Send("SPOP", "{b}set")
		c.Send("ZADD", "{b}z", fmt.Sprint(i%10), fmt.Sprint(i))
		c.Send("SET", "{b}long"+fmt.Sprint(i), strings.Repeat("x", 1000))
	}
	c.Send("MULTI")
	c.Send("SET", "{b}tx", "1")
	c.Send("INCR", "{b}tx")
	c.Send("EXEC")
	c.Send("WAIT", "1", "0")
	require.NoError(t, c.Flush())
	for last := ""; last != "[1 2]"; { // of EXEC
		last = text(c.Receive())
		last = strings.Replace(last, "OK", "1", 1)
	}
	require.Equal(t, "1", text(c.Receive()), "WAIT")
	tc.same("n1", "r1")
	require.NotZero(t, n1.Look().Evicted)
}

// same waits until two nodes hold the same keys and are at the same place of one stream.
func (tc *testCluster) same(a, b string) {
	tc.t.Helper()
	look := func(id string) string {
		n := tc.nodes[id]
		n.mu.Lock()
		defer n.mu.Unlock()
		return fmt.Sprintf("%s %d %d keys, %d bytes, %d volatile", n.stream.ID(), n.stream.Offset(), n.db.Len(), n.db.Used(), n.db.Volatile())
	}
	tc.eventually("the replica is level", func() bool { return look(a) == look(b) })
}

// TestFailover: a primary is killed under load; its replica takes over with what was
// replicated, and the old primary comes back as its replica.
func TestFailover(t *testing.T) {
	for _, portable := range []bool{false, true} {
		tc := openImpatient(t, Options{Portable: portable}, 500)
		w := tc.walker("n2")
		for i := range 300 {
			require.Equal(t, "OK", w.do(fmt.Sprintf("SET k%d %d", i, i)))
		}
		for _, id := range []string{"n1", "n2", "n3"} {
			require.Equal(t, "1", do(t, dial(t, tc.nodes[id].Addr()), "WAIT 1 0"))
		}
		tc.nodes["n1"].Kill()
		delete(tc.nodes, "n1")
		require.Equal(t, "r1", tc.leader(0).ID())
		w = tc.walker("n2")
		tc.eventually("n2 knows", func() bool {
			return strings.Contains(do(t, w.conn(tc.nodes["n2"].Addr()), "CLUSTER SLOTS"), fmt.Sprintf("[0 5460 [127.0.0.1 %d", tc.nodes["r1"].port()))
		})
		for i := range 300 {
			require.Equal(t, fmt.Sprint(i), w.do(fmt.Sprintf("GET k%d", i)))
			require.Equal(t, "OK", w.do(fmt.Sprintf("SET k%d again", i)))
		}
		tc.start("n1", nil)
		tc.ready()
		require.Equal(t, "r1", tc.leader(0).ID(), "who comes back follows")
		tc.same("r1", "n1")
		require.Equal(t, "slave", strings.Fields(strings.Trim(do(t, dial(t, tc.nodes["n1"].Addr()), "ROLE"), "[]"))[0])
	}
}

// TestPartialResync: a replica whose connection breaks goes on where it was.
func TestPartialResync(t *testing.T) {
	tc := openCluster(t, Options{})
	n1, r1 := tc.nodes["n1"], tc.nodes["r1"]
	c := dial(t, n1.Addr())
	full := n1.Stats().FullSyncs
	for range 3 {
		r1.mu.Lock()
		s := r1.cluster.source
		r1.mu.Unlock()
		s.mu.Lock()
		s.nc.Close()
		s.mu.Unlock()
		for i := range 100 {
			require.Equal(t, "OK", do(t, c, fmt.Sprintf("SET {b}%d x", i)))
		}
		require.Equal(t, "1", do(t, c, "WAIT 1 0"))
	}
	require.Equal(t, full, n1.Stats().FullSyncs)
	require.NotZero(t, n1.Stats().PartSyncs)
	tc.same("n1", "r1")
}

// TestMoveSlotsUnderLoad: while slots move to another shard, every key stays readable and
// writable, and no write is lost.
func TestMoveSlotsUnderLoad(t *testing.T) {
	tc := openCluster(t, Options{})
	const n = 400
	w := tc.walker("n1")
	for i := range n {
		require.Equal(t, "OK", w.do(fmt.Sprintf("SET {%d}c 0", i)))
	}
	var wg sync.WaitGroup
	stop := make(chan struct{})
	counts := make([][]int, 4)
	for g := range counts {
		counts[g] = make([]int, n)
		w := tc.walker([]string{"n1", "n2", "n3", "n1"}[g])
		wg.Go(func() {
			for i := g; ; i = (i + 7) % n {
				select {
				case <-stop:
					return
				default:
				}
				r := w.do(fmt.Sprintf("INCR {%d}c", i))
				if strings.HasPrefix(r, "(") {
					w.t.Errorf("INCR: %s", r)
					return
				}
				counts[g][i]++
			}
		})
	}
	from, to := dial(t, tc.nodes["n1"].Addr()), dial(t, tc.nodes["n2"].Addr())
	moved := 0
	for slot := range 5461 {
		r, err := from.Do("CLUSTER", "COUNTKEYSINSLOT", fmt.Sprint(slot))
		require.NoError(t, err)
		if r.Int > 0 && moved < 60 {
			moveSlot(t, tc, from, to, slot)
			moved++
		}
	}
	close(stop)
	wg.Wait()
	require.Greater(t, moved, 50)
	for i := range n {
		want := 0
		for g := range counts {
			want += counts[g][i]
		}
		require.Equal(t, fmt.Sprint(want), w.do(fmt.Sprintf("GET {%d}c", i)), i)
	}
	tc.same("n1", "r1")
	tc.same("n2", "r2")
	tc.eventually("all agree on the map", func() bool {
		seen := map[string]bool{}
		for _, n := range tc.nodes {
			n.mu.Lock()
			seen[fmt.Sprint(n.cluster.slots.Ranges())] = true
			n.mu.Unlock()
		}
		return len(seen) == 1
	})
}

// moveSlot does what redis-cli does.
func moveSlot(t testing.TB, tc *testCluster, from, to *resp.Client, slot int) {
	t.Helper()
	src, dst := do(t, from, "CLUSTER MYID"), do(t, to, "CLUSTER MYID")
	require.Equal(t, "OK", do(t, to, fmt.Sprintf("CLUSTER SETSLOT %d IMPORTING %s", slot, src)))
	require.Equal(t, "OK", do(t, from, fmt.Sprintf("CLUSTER SETSLOT %d MIGRATING %s", slot, dst)))
	host, port, _ := net.SplitHostPort(tc.nodes["n2"].Addr())
	for {
		r, err := from.Do("CLUSTER", "GETKEYSINSLOT", fmt.Sprint(slot), "10")
		require.NoError(t, err)
		if len(r.Elems) == 0 {
			break
		}
		args := []string{"MIGRATE", host, port, "", "0", "5000", "REPLACE", "KEYS"}
		for _, e := range r.Elems {
			args = append(args, string(e.Bytes))
		}
		require.Equal(t, "OK", text(from.Do(args...)))
	}
	require.Equal(t, "OK", do(t, to, fmt.Sprintf("CLUSTER SETSLOT %d NODE %s", slot, dst)))
	require.Equal(t, "OK", do(t, from, fmt.Sprintf("CLUSTER SETSLOT %d NODE %s", slot, dst)))
}

// TestRedisCLICluster: the real client finds the cluster healthy, follows redirections and
// moves slots.
func TestRedisCLICluster(t *testing.T) {
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		t.Skip("redis-cli is not installed (Debian: redis-tools)")
	}
	tc := openCluster(t, Options{})
	run := func(stdin string, args ...string) string {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		cmd := exec.CommandContext(ctx, cli, args...)
		cmd.Stdin = strings.NewReader(stdin)
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		return string(out)
	}
	addr := tc.nodes["n1"].Addr()
	host, port, _ := net.SplitHostPort(addr)
	var in strings.Builder
	for i := range 100 {
		fmt.Fprintf(&in, "SET key%d %d\n", i, i)
	}
	require.Equal(t, 100, strings.Count(run(in.String(), "-c", "-h", host, "-p", port), "OK"))
	out := run("", "--cluster", "check", addr)
	require.Contains(t, out, "[OK] All nodes agree about slots configuration.")
	require.Contains(t, out, "[OK] All 16384 slots covered.")
	a, b := dial(t, addr), dial(t, tc.nodes["n2"].Addr())
	run("", "--cluster", "reshard", addr, "--cluster-from", do(t, a, "CLUSTER MYID"), "--cluster-to", do(t, b, "CLUSTER MYID"), "--cluster-slots", "300", "--cluster-yes")
	tc.eventually("all know", func() bool {
		for _, n := range tc.nodes {
			n.mu.Lock()
			owned := n.cluster.slots.Owned(0)
			n.mu.Unlock()
			if owned != 5461-300 {
				return false
			}
		}
		return true
	})
	require.Contains(t, run("", "--cluster", "check", addr), "[OK] All 16384 slots covered.")
	w := tc.walker("n3")
	for i := range 100 {
		require.Equal(t, fmt.Sprint(i), w.do(fmt.Sprintf("GET key%d", i)))
	}
}
