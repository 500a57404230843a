package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ashlar-go/ashlar/examples/internal/dash"
	"github.com/ashlar-go/ashlar/examples/internal/resp"
	told "github.com/ashlar-go/ashlar/examples/internal/story"
	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
	"github.com/ashlar-go/ashlar/examples/kv/internal/client"
	"github.com/ashlar-go/ashlar/examples/kv/internal/local"
	"github.com/ashlar-go/ashlar/examples/kv/internal/node"
	"github.com/ashlar-go/ashlar/examples/kv/internal/page"
	"github.com/ashlar-go/ashlar/examples/kv/internal/view"
	"github.com/ashlar-go/ashlar/ring"
)

// teller knows what the store should hold.
type teller struct {
	*told.Story
	seed    uint64
	cluster *local.Cluster
	view    *view.View
	site    *dash.Site

	mu      sync.Mutex
	want    map[string][]byte // guarded by mu; nil: deleted
	retries atomic.Int64
}

// show has the dashboard show what the story says.
func (t *teller) show(kind, text string) {
	t.view.Add(page.Event{Kind: kind, Text: text})
}

// writers is how many requests the story has under way.
const writers = 16

// write is one change of the story; no value deletes.
type write struct {
	key   string
	value []byte
}

// await waits with the story's patience.
func (t *teller) await(ctx context.Context, what string, f func(context.Context) error) bool {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if err := f(ctx); err != nil {
		return t.CheckErr(err, "%s", what)
	}
	return true
}

func (t *teller) begin(ctx context.Context) error {
	t.Chapter("Five nodes, three copies of everything")
	begun := time.Now()
	if !t.await(ctx, "five nodes find each other", t.cluster.Ready) {
		return errors.New("the cluster did not start")
	}
	t.Say("n1 … n5 are up and know each other after %v; dashboard on http://%s/", since(begun), t.site.Addr)
	t.Say("%d partitions, each owned by 3 nodes; a write counts when 2 have it on disk, a read asks 2", t.cluster.Config.Partitions)
	return nil
}

// store is a random node that runs.
func (t *teller) store(rng *rand.Rand) api.Store {
	ids := t.cluster.IDs()
	for {
		if n := t.cluster.Node(ids[rng.IntN(len(ids))]); n != nil {
			return n
		}
	}
}

// apply makes writes through random coordinators. One that fails since its coordinator
// died is made again through another.
func (t *teller) apply(ctx context.Context, writes []write, done func(i int)) error {
	var next atomic.Int64
	var failed atomic.Pointer[error]
	var wg sync.WaitGroup
	for w := range writers {
		rng := rand.New(rand.NewPCG(t.seed, uint64(w)))
		wg.Go(func() {
			for failed.Load() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(writes) {
					return
				}
				if err := t.write(ctx, rng, writes[i]); err != nil {
					err = fmt.Errorf("%s: %w", writes[i].key, err)
					failed.Store(&err)
					return
				}
				done(i + 1)
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

func (t *teller) write(ctx context.Context, rng *rand.Rand, w write) (err error) {
	const attempts = 20
	for range attempts {
		store := t.store(rng)
		if w.value == nil {
			_, err = store.Delete(ctx, []byte(w.key), api.WriteOptions{})
		} else {
			_, err = store.Put(ctx, []byte(w.key), w.value, api.WriteOptions{})
		}
		if err == nil {
			t.mu.Lock()
			t.want[w.key] = w.value
			t.mu.Unlock()
			return nil
		}
		if ctx.Err() != nil {
			return err
		}
		t.retries.Add(1)
	}
	return err
}

func (t *teller) load(ctx context.Context, dir string) error {
	t.Chapter("Load %s through random coordinators", dir)
	writes, size, err := readAll(dir)
	if err != nil {
		return err
	}
	begun := time.Now()
	var kill sync.Once
	err = t.apply(ctx, writes, func(done int) {
		t.Progress(done, len(writes), "%d of %d files, %.0f a second", done, len(writes), float64(done)/time.Since(begun).Seconds())
		if done > len(writes)*2/5 {
			kill.Do(func() {
				if err := t.cluster.Kill("n3"); err != nil {
					t.CheckErr(err, "kill n3")
				}
				t.Say("n3 is killed after %d files; the load goes on", done)
			})
		}
	})
	took := time.Since(begun)
	t.CheckErr(err, "%d files, %s, were acknowledged in %v (%.0f files and %s a second); %d requests were lost with n3 and made again",
		len(writes), size, round(took), float64(len(writes))/took.Seconds(), bytesOf(float64(size)/took.Seconds()), t.retries.Load())
	return err
}

// readAll reads the files below a folder that the store can hold.
func readAll(dir string) (writes []write, size bytesOf, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		if err != nil || len(b) > api.MaxValue {
			return err
		}
		writes = append(writes, write{filepath.ToSlash(rel), b})
		size += bytesOf(len(b))
		return nil
	})
	if err == nil && len(writes) == 0 {
		err = fmt.Errorf("no files in %s", dir)
	}
	return writes, size, err
}

// outage writes and deletes while n3 is away.
func (t *teller) outage(ctx context.Context) error {
	t.Chapter("Write and delete while n3 is away")
	rng := rand.New(rand.NewPCG(t.seed, 1000))
	keys := t.keys()
	rng.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	var writes []write
	changed, deleted := min(400, len(keys)/3), min(200, len(keys)/3)
	for i, k := range keys[:changed+deleted] {
		w := write{key: k}
		if i < changed {
			w.value = append([]byte(fmt.Sprintf("// changed %d\n", i)), t.want[k]...)
		}
		writes = append(writes, w)
	}
	if err := t.apply(ctx, writes, func(int) {}); err != nil {
		t.CheckErr(err, "writes during the outage")
		return err
	}
	t.Check(true, "%d files were changed and %d deleted with two owners of three", changed, deleted)
	st := t.sum()
	t.Say("%d writes wait for n3 as hints (%s; each node keeps at most %s for it)", st.hints, st.hintBytes, bytesOf(hintLimit))
	return nil
}

// sums over all nodes that run.
type sums struct {
	hints               int64
	hintBytes           bytesOf
	hintSent, exchanged bytesOf
	differences         int64
}

func (t *teller) sum() (s sums) {
	for _, id := range t.cluster.IDs() {
		if n := t.cluster.Node(id); n != nil {
			st := n.Look().Stats
			s.hints += st.Hints
			s.hintBytes += bytesOf(st.HintBytes)
			s.hintSent += bytesOf(st.HintSent)
			s.exchanged += bytesOf(st.RepairSent)
			s.differences += st.Differences
		}
	}
	return s
}

// comeBack restarts n3 and watches it catch up.
func (t *teller) comeBack(ctx context.Context) error {
	t.Chapter("n3 returns")
	before := t.sum()
	t.cluster.CutOff("n3") // until it is known what it lacks
	if err := t.cluster.Start("n3"); err != nil {
		t.CheckErr(err, "n3 starts again")
		return err
	}
	behind, missing, err := t.behind("n3")
	if err != nil {
		return err
	}
	t.Say("n3 has missed %d keys, %s", behind, missing)
	t.cluster.Heal()
	begun := time.Now()
	if !t.await(ctx, "n3 is in reach of all others", t.cluster.Ready) || !t.await(ctx, "n3 holds what the other owners hold", t.cluster.Level) {
		return errors.New("n3 did not catch up")
	}
	after := t.sum()
	hints, exchanged := after.hintSent-before.hintSent, after.exchanged-before.exchanged
	t.Check(after.hints == 0, "n3 is level after %v: %s of hints, and %s of comparisons and what they found, for %s of difference",
		since(begun), hints, exchanged, missing)
	behind, _, err = t.behind("n3")
	t.Check(err == nil && behind == 0, "every one of its keys is what the last writer wrote")
	return err
}

// behind counts the keys that a node owns and does not hold as they should be.
func (t *teller) behind(id string) (keys int, size bytesOf, err error) {
	table, err := t.cluster.Config.Table()
	if err != nil {
		return 0, 0, err
	}
	n := t.cluster.Node(id)
	for _, k := range t.keys() {
		if !owns(table, id, k) {
			continue
		}
		ok, err := t.holds(n, k)
		if err != nil {
			return keys, size, err
		}
		if !ok {
			keys++
			size += bytesOf(len(k) + len(t.want[k]))
		}
	}
	return keys, size, nil
}

// keys are all that were ever written, sorted.
func (t *teller) keys() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	keys := make([]string, 0, len(t.want))
	for k := range t.want {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func owns(table *ring.Table, id, key string) bool {
	return slices.ContainsFunc(table.Owners(table.Partition(key)), func(o ring.Node) bool { return o.ID == id })
}

// holds tells whether a node's own disk has what a key should be.
func (t *teller) holds(n *node.Node, key string) (bool, error) {
	got, err := n.Local([]byte(key))
	if err != nil {
		return false, err
	}
	want := t.want[key]
	if want == nil {
		return len(got) == 0, nil
	}
	// A request that was lost with its coordinator and made again may have happened twice,
	// and left siblings that do not differ.
	return len(got) > 0 && !slices.ContainsFunc(got, func(v []byte) bool { return !bytes.Equal(v, want) }), nil
}

// cutOff separates n5, writes on both sides and heals.
func (t *teller) cutOff(ctx context.Context) error {
	t.Chapter("n5 is cut off, and both sides write")
	table, err := t.cluster.Config.Table()
	if err != nil {
		return err
	}
	key := ""
	for i := 0; key == ""; i++ {
		if k := fmt.Sprintf("notes/%d.txt", i); owns(table, "n5", k) {
			key = k
		}
	}
	n1, n5 := t.cluster.Node("n1"), t.cluster.Node("n5")
	k := []byte(key)
	first, err := n1.Put(ctx, k, []byte("as it was"), api.WriteOptions{Level: api.All})
	if !t.CheckErr(err, "%s is written to all its owners", key) {
		return err
	}
	t.cluster.CutOff("n5")
	if !t.await(ctx, "both sides notice", t.cluster.Ready) {
		return errors.New("the cut was not noticed")
	}
	_, err = n5.Put(ctx, k, []byte("nobody will see this"), api.WriteOptions{})
	t.Check(errors.Is(err, api.ErrUnavailable), "n5 alone refuses a write at a quorum")
	over := api.WriteOptions{Mode: api.Given, Context: first.Context}
	_, err = n1.Put(ctx, k, []byte("from the majority"), over)
	t.CheckErr(err, "the majority takes one")
	over.Level = api.One
	_, err = n5.Put(ctx, k, []byte("from n5"), over)
	t.CheckErr(err, "n5 takes one that asks for one owner only")
	t.cluster.Heal()
	if !t.await(ctx, "the network heals", t.cluster.Ready) || !t.await(ctx, "the owners agree", t.cluster.Level) {
		return errors.New("the cluster did not heal")
	}
	r, err := t.cluster.Node("n2").Get(ctx, k, api.ReadOptions{Level: api.All})
	if !t.Check(err == nil && len(r.Values) == 2, "after it heals, a read shows both, as siblings: neither side lost its write") {
		return fmt.Errorf("no siblings: %w", err)
	}
	for _, v := range r.Values {
		t.Say("sibling: %q", v.Data)
	}
	both := []byte("from the majority, and from n5")
	_, err = t.cluster.Node("n4").Put(ctx, k, both, api.WriteOptions{Mode: api.Given, Context: r.Context, Level: api.All})
	t.CheckErr(err, "a write with the context of that read resolves them")
	t.want[key] = both
	return t.speak(ctx, key, both)
}

// speak reads a key through the front doors.
func (t *teller) speak(ctx context.Context, key string, want []byte) error {
	m := t.cluster.Config.Nodes[3]
	c, err := client.New(client.Options{Addrs: []string{m.HTTP}})
	if err != nil {
		return err
	}
	r, err := c.Get(ctx, []byte(key), api.ReadOptions{})
	t.Check(err == nil && len(r.Values) == 1 && bytes.Equal(r.Values[0].Data, want), "curl http://%s/kv/%s says: %q", m.HTTP, key, want)
	rc, err := resp.Dial(ctx, m.Redis)
	if err != nil {
		return err
	}
	defer rc.Close()
	got, err := rc.Do("GET", key)
	t.Check(err == nil && bytes.Equal(got.Bytes, want), "redis-cli -p %s get %s says the same", port(m.Redis), key)
	return nil
}

// compare holds every replica against what was written.
func (t *teller) compare(ctx context.Context) error {
	t.Chapter("Compare every file on every replica with the disk it came from")
	table, err := t.cluster.Config.Table()
	if err != nil {
		return err
	}
	copies, wrong := 0, 0
	for _, k := range t.keys() {
		for _, o := range table.Owners(table.Partition(k)) {
			ok, err := t.holds(t.cluster.Node(o.ID), k)
			if err != nil {
				return err
			}
			copies++
			if !ok {
				wrong++
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	t.Check(wrong == 0, "%d keys, %d copies compared byte by byte: %d wrong", len(t.keys()), copies, wrong)
	return nil
}

// restartAll turns everything off and on again.
func (t *teller) restartAll(ctx context.Context) error {
	t.Chapter("All five are killed and start again")
	if err := t.cluster.Close(); err != nil {
		t.CheckErr(err, "all nodes stop")
		return err
	}
	begun := time.Now()
	if err := t.cluster.StartAll(); err != nil {
		t.CheckErr(err, "all nodes start again")
		return err
	}
	if !t.await(ctx, "they find each other", t.cluster.Ready) {
		return errors.New("the cluster did not start again")
	}
	t.Say("they serve again after %v", since(begun))
	rng := rand.New(rand.NewPCG(t.seed, 2000))
	keys := t.keys()
	begun = time.Now()
	wrong, asked := 0, min(2000, len(keys))
	for range asked {
		k := keys[rng.IntN(len(keys))]
		r, err := t.store(rng).Get(ctx, []byte(k), api.ReadOptions{})
		if err != nil {
			return err
		}
		if v, ok := r.Newest(); ok != (t.want[k] != nil) || !bytes.Equal(v.Data, t.want[k]) {
			wrong++
		}
	}
	t.Check(wrong == 0, "%d files read through random coordinators in %v: %d wrong", asked, since(begun), wrong)
	return nil
}

func since(t time.Time) time.Duration { return round(time.Since(t)) }

func round(d time.Duration) time.Duration { return d.Round(10 * time.Millisecond) }

// bytesOf prints a number of bytes.
type bytesOf float64

func (b bytesOf) String() string {
	switch {
	case b >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(b)/(1<<20))
	case b >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(b)/(1<<10))
	}
	return fmt.Sprintf("%.0f B", float64(b))
}

// Look implements view.Cluster.
func (t *teller) Look(_ context.Context, id string) (s node.Status, up bool) {
	if n := t.cluster.Node(id); n != nil {
		return n.Look(), true
	}
	return s, false
}

// Cut implements view.Cluster.
func (t *teller) Cut(id string) bool {
	for _, other := range t.cluster.IDs() {
		if other != id && !t.cluster.IsCutFrom(id, other) {
			return false
		}
	}
	return true
}

// Store implements view.Cluster.
func (t *teller) Store(id string) (api.Store, error) {
	if n := t.cluster.Node(id); n != nil {
		return n, nil
	}
	return nil, fmt.Errorf("%s is down", id)
}

// Act implements view.Cluster.
func (t *teller) Act(action, id string) error {
	switch action {
	case page.ActionKill:
		return t.cluster.Kill(id)
	case page.ActionStart:
		return t.cluster.Start(id)
	case page.ActionCut:
		t.cluster.CutOff(id)
	case page.ActionHeal:
		t.cluster.Heal()
	}
	return nil
}
