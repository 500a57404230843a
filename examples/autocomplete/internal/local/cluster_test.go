package local

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/build"
	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/node"
	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/router"
	"github.com/ashlar-go/ashlar/examples/internal/story"
	"github.com/ashlar-go/ashlar/trie"
)

// clock stands still until it is told to go on.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := &clock{}
	c.at.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time { return time.Unix(0, c.at.Load()) }

func (c *clock) add(d time.Duration) { c.at.Add(int64(d)) }

// words are a few thousand words of few letters, so that prefixes are shared, and their counts.
func words(seed uint64, n int) map[string]uint64 {
	rng := rand.New(rand.NewPCG(seed, 0))
	out := map[string]uint64{}
	for range n {
		out[word(rng, 1+rng.IntN(6))] += uint64(1 + rng.IntN(200))
	}
	return out
}

func word(rng *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = "abcdef"[rng.IntN(6)]
	}
	return string(b)
}

// start starts a cluster with a first generation, and without limits or a cache unless o says so.
func start(t *testing.T, c *clock, o Options, corpus map[string]uint64) *Cluster {
	t.Helper()
	o.Dir = t.TempDir()
	o.Router.Heartbeat = 20 * time.Millisecond
	if c != nil {
		o.Node.Now, o.Router.Now = c.now, c.now
	}
	if o.Router.CacheFor == 0 {
		o.Router.CacheFor = -1 // no answer is given twice
	}
	o.Router.Rate = -1
	o.Router.Timeout = 20 * time.Second // a busy machine is no dead node
	cluster, err := New(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, cluster.Close()) })
	require.NoError(t, cluster.Router.Seed(t.Context(), maps.All(corpus)))
	settled(t, cluster)
	return cluster
}

func settled(t *testing.T, c *Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	require.NoError(t, c.Settled(ctx), "%+v", c.Router.Status())
}

func ask(t *testing.T, c *Cluster, q router.Request) router.Response {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = 10
	}
	r, err := c.Router.Suggest(t.Context(), q)
	require.NoError(t, err)
	return r
}

type scored struct {
	term  string
	score float64
}

// best is the definition of what should be suggested.
func best(scores map[string]float64, prefix string, k int) []scored {
	var all []scored
	for term, score := range scores {
		if strings.HasPrefix(term, prefix) && score > 0 {
			all = append(all, scored{term, score})
		}
	}
	slices.SortFunc(all, func(a, b scored) int { return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.term, b.term)) })
	return all[:min(k, len(all))]
}

func same(t *testing.T, want []scored, got []router.Suggestion, what string) {
	t.Helper()
	require.Len(t, got, len(want), what)
	for i := range want {
		// Terms with the same score to the last bit but one may change places.
		require.InDelta(t, want[i].score, got[i].Frequency, 1e-3+1e-6*want[i].score, what)
		if (i == 0 || want[i-1].score-want[i].score > 1e-3) && (i+1 == len(want) || want[i].score-want[i+1].score > 1e-3) && len(want) > i+1 {
			require.Equal(t, want[i].term, got[i].Query, what)
		}
	}
}

// TestSuggestAgainstBruteForce: counts of the past over eight ranges, searches of now that
// fade, and a user's own, all together, compared with sums over all terms.
func TestSuggestAgainstBruteForce(t *testing.T) {
	c := newClock()
	corpus := words(1, 3000)
	cluster := start(t, c, Options{Node: node.Options{Boost: 7, HalfLife: 10 * time.Minute}}, corpus)
	rng := rand.New(rand.NewPCG(2, 0))
	global, own := map[string]float64{}, map[string]float64{}
	for term, n := range corpus {
		global[term] = float64(n)
	}
	hot := map[string]float64{}
	for range 20 {
		for term := range hot {
			hot[term] *= math.Exp2(-2.0 / 10)
		}
		c.add(2 * time.Minute)
		for range 10 {
			w := word(rng, 1+rng.IntN(6))
			user := ""
			if rng.IntN(3) == 0 {
				user = "ada"
				own[w]++
			}
			require.NoError(t, cluster.Router.Search(t.Context(), w, user, false))
			hot[w]++
		}
	}
	for term, n := range hot {
		global[term] += 7 * n
	}
	settled(t, cluster)
	for i := range 150 {
		prefix := word(rng, rng.IntN(4))
		k := 1 + rng.IntN(20)
		same(t, best(global, prefix, k), ask(t, cluster, router.Request{Prefix: prefix, Limit: k}).Suggestions, prefix)

		topOwn, topGlobal := best(own, prefix, 1), best(global, prefix, 1)
		mixed := map[string]float64{}
		if len(topOwn) > 0 {
			for term, n := range global {
				mixed[term] = 0.7*n/topGlobal[0].score + 0.3*own[term]/topOwn[0].score
			}
		} else {
			mixed = global
		}
		same(t, best(mixed, prefix, k), ask(t, cluster, router.Request{Prefix: prefix, Limit: k, User: "ada"}).Suggestions, fmt.Sprint(i, prefix, " of ada"))
	}
	require.NoError(t, cluster.Router.Forget("ada"))
	require.Equal(t, ask(t, cluster, router.Request{Prefix: "a"}).Suggestions, ask(t, cluster, router.Request{Prefix: "a", User: "ada"}).Suggestions)
}

// TestRebuild: what was searched is counted once in the next generation, the past fades,
// and a return brings the old one back, whole.
func TestRebuild(t *testing.T) {
	c := newClock()
	blocked, err := trie.NewBlocklist(trie.FoldDefault, "bad word")
	require.NoError(t, err)
	corpus := words(3, 1000)
	o := Options{Router: router.Options{HalfLife: 24 * time.Hour, Blocked: blocked}, Node: node.Options{Blocked: blocked}}
	cluster := start(t, c, o, corpus)
	r := cluster.Router
	for range 30 {
		require.NoError(t, r.Search(t.Context(), "zebra crossing", "", true))
		require.NoError(t, r.Search(t.Context(), "a BAD word", "", false))
	}
	_, err = r.Rebuild(t.Context())
	require.NoError(t, err)
	c.add(24 * time.Hour) // nothing is hot any more
	settled(t, cluster)
	got := ask(t, cluster, router.Request{Prefix: "zeb"})
	require.Equal(t, uint64(2), got.Generation)
	require.InDelta(t, 30, got.Suggestions[0].Frequency, 0.01)
	require.Empty(t, ask(t, cluster, router.Request{Prefix: "a bad"}).Suggestions)

	m, err := r.Rebuild(t.Context())
	require.NoError(t, err)
	got = ask(t, cluster, router.Request{Prefix: "zeb"})
	require.Equal(t, uint64(3), got.Generation)
	require.InDelta(t, 15, got.Suggestions[0].Frequency, 0.01, "a half-life later, and counted once")
	require.Less(t, m.Terms, len(corpus)+1, "some of those with a count of one are gone")

	require.NoError(t, r.Rollback())
	got = ask(t, cluster, router.Request{Prefix: "zeb"})
	require.Equal(t, uint64(2), got.Generation)
	require.InDelta(t, 30, got.Suggestions[0].Frequency, 0.01)
	require.ErrorIs(t, r.Rollback(), router.ErrNoPrevious)
	_, err = r.Rebuild(t.Context())
	require.NoError(t, err)
	require.Equal(t, uint64(4), ask(t, cluster, router.Request{}).Generation, "a number is never used twice")
	require.Equal(t, uint64(60), r.Status().Logged)
	require.Equal(t, uint64(30), r.Status().Picked)
}

// TestDamagedBuild: a build that a disk damages is never served, and the next one is.
func TestDamagedBuild(t *testing.T) {
	var damage atomic.Bool
	o := Options{Router: router.Options{Built: func(dir string) {
		if damage.Load() {
			path := filepath.Join(dir, build.Range(2))
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			b[len(b)/2] ^= 1
			require.NoError(t, os.WriteFile(path, b, 0o644))
		}
	}}}
	cluster := start(t, nil, o, words(4, 1000))
	before := ask(t, cluster, router.Request{Prefix: "a"})
	damage.Store(true)
	_, err := cluster.Router.Rebuild(t.Context())
	require.ErrorIs(t, err, build.ErrVerify)
	require.ErrorIs(t, err, trie.ErrCorrupt)
	require.Equal(t, before, ask(t, cluster, router.Request{Prefix: "a"}))
	damage.Store(false)
	_, err = cluster.Router.Rebuild(t.Context())
	require.NoError(t, err)
	require.Equal(t, uint64(3), ask(t, cluster, router.Request{Prefix: "a"}).Generation)
	require.Equal(t, uint64(1), cluster.Router.Status().Refused)
}

// TestSwapUnderLoad: while generations that differ in every score follow each other, no
// answer mixes two of them.
func TestSwapUnderLoad(t *testing.T) {
	// In each generation all terms have the same score: half of that of the one before.
	corpus := map[string]uint64{}
	for i := range 90 { // no more than an answer holds, so that nothing hides behind a limit
		corpus[fmt.Sprintf("%c%d", 'a'+i%26, i)] = 1 << 20
	}
	c := newClock()
	cluster := start(t, c, Options{Router: router.Options{HalfLife: time.Hour}}, corpus)
	ctx, cancel := context.WithCancel(t.Context())
	var asked, mixed atomic.Int64
	var seen sync.Map
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for ctx.Err() == nil {
				r, err := cluster.Router.Suggest(t.Context(), router.Request{Limit: 100})
				if err != nil || len(r.Suggestions) != 90 {
					mixed.Add(1)
					continue
				}
				asked.Add(1)
				seen.Store(r.Generation, true)
				for _, s := range r.Suggestions {
					if s.Frequency != math.Exp2(21-float64(r.Generation)) {
						mixed.Add(1)
					}
				}
			}
		})
	}
	for range 5 {
		c.add(time.Hour)
		_, err := cluster.Router.Rebuild(t.Context())
		require.NoError(t, err)
		n := asked.Load()
		require.NoError(t, story.Await(ctx, func() bool { return asked.Load() > n+10 }))
	}
	cancel()
	wg.Wait()
	require.Zero(t, mixed.Load())
	for gen := range uint64(6) {
		_, ok := seen.Load(gen + 1)
		require.True(t, ok || gen == 0, gen+1)
	}
}

// TestSwapInMidAnswer: a generation takes over while a question is on its way, and then the
// node that it was put to fails: who is asked in its place is asked for the old one.
func TestSwapInMidAnswer(t *testing.T) {
	corpus := map[string]uint64{}
	for i := range 90 { // no more than an answer holds
		corpus[fmt.Sprintf("%c%d", 'a'+i%26, i)] = 1 << 20
	}
	var armed atomic.Bool
	asked, swapped := make(chan struct{}), make(chan struct{})
	around := func(id string, h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if id == "n2" && r.URL.Path == "/query" && armed.CompareAndSwap(true, false) {
				close(asked)
				<-swapped
				http.Error(w, "out of order", http.StatusInternalServerError)
				return
			}
			h.ServeHTTP(w, r)
		})
	}
	c := newClock()
	cluster := start(t, c, Options{Router: router.Options{HalfLife: time.Hour}, Around: around}, corpus)
	armed.Store(true)
	var wg sync.WaitGroup
	wg.Go(func() {
		r := ask(t, cluster, router.Request{Limit: 100})
		require.Equal(t, uint64(1), r.Generation)
		require.False(t, r.Degraded)
		require.Len(t, r.Suggestions, 90)
		for _, s := range r.Suggestions {
			require.Equal(t, float64(1<<20), s.Frequency)
		}
	})
	<-asked
	c.add(time.Hour)
	_, err := cluster.Router.Rebuild(t.Context())
	require.NoError(t, err)
	close(swapped)
	wg.Wait()
	settled(t, cluster)
	require.Equal(t, float64(1<<19), ask(t, cluster, router.Request{}).Suggestions[0].Frequency)
}

// TestNodeDies: with one node of three dead answers are the same; with two, what only
// they had is answered from what is popular, and said to be; and when they return, one of
// them with an empty disk, all is as before, what is hot included.
func TestNodeDies(t *testing.T) {
	cluster := start(t, newClock(), Options{}, words(5, 3000))
	rng := rand.New(rand.NewPCG(6, 0))
	for range 50 {
		require.NoError(t, cluster.Router.Search(t.Context(), "new "+word(rng, 3), "", false))
	}
	settled(t, cluster)
	all := func() (out []router.Response) {
		for _, p := range []string{"", "a", "b", "c", "d", "e", "f", "n", "new", "ab", "fe"} {
			r := ask(t, cluster, router.Request{Prefix: p, Limit: 20})
			r.Cached = false
			out = append(out, r)
		}
		return out
	}
	want := all()
	require.NoError(t, cluster.Kill("n2"))
	require.Equal(t, want, all(), "asked before the router knows")
	settled(t, cluster)
	require.Equal(t, want, all())
	require.NoError(t, cluster.Router.Search(t.Context(), "new while n2 is away", "", false))
	require.NoError(t, cluster.Kill("n3"))
	degraded := 0
	for i, r := range all() {
		require.NotEmpty(t, r.Suggestions, want[i])
		if r.Degraded {
			degraded++
		}
	}
	require.NotZero(t, degraded)
	fresh := ask(t, cluster, router.Request{Limit: 3}) // was not asked before
	require.True(t, fresh.Degraded)
	require.Len(t, fresh.Suggestions, 3)
	require.NoError(t, cluster.Start("n3"))
	require.NoError(t, cluster.Wipe("n2"))
	require.NoError(t, cluster.Start("n2"))
	require.NoError(t, cluster.Kill("n1"))
	settled(t, cluster)
	r := ask(t, cluster, router.Request{Prefix: "new while"})
	require.Len(t, r.Suggestions, 1, "it was searched while both were away")
	require.NoError(t, cluster.Start("n1"))
	settled(t, cluster)
	for i, r := range all() {
		require.False(t, r.Degraded)
		if !strings.HasPrefix("new while n2 is away", []string{"", "a", "b", "c", "d", "e", "f", "n", "new", "ab", "fe"}[i]) {
			require.Equal(t, want[i], r)
		}
	}
	require.Error(t, cluster.Kill("n9"))
	require.Error(t, cluster.Start("n1"))
}

// TestRouterRestarts: log, histories, generations and the way back are on disk.
func TestRouterRestarts(t *testing.T) {
	c := newClock()
	cluster := start(t, c, Options{}, words(7, 1000))
	for range 5 {
		require.NoError(t, cluster.Router.Search(t.Context(), "zoo keeper", "ada", false))
	}
	_, err := cluster.Router.Rebuild(t.Context())
	require.NoError(t, err)
	require.NoError(t, cluster.Router.Search(t.Context(), "zoo door", "", false))
	settled(t, cluster)
	want := ask(t, cluster, router.Request{Prefix: "zoo", User: "ada"})
	require.NoError(t, cluster.RestartRouter())
	settled(t, cluster)
	require.Equal(t, want, ask(t, cluster, router.Request{Prefix: "zoo", User: "ada"}))
	require.Equal(t, uint64(6), cluster.Router.Status().Logged)
	require.NoError(t, cluster.Router.Rollback())
	require.Equal(t, uint64(1), ask(t, cluster, router.Request{}).Generation)
	require.NoError(t, cluster.RestartRouter())
	settled(t, cluster)
	require.Equal(t, uint64(1), ask(t, cluster, router.Request{}).Generation)
}

// TestTypos: nothing is found as typed, and something with one edit; with two edits only
// who asks for them.
func TestTypos(t *testing.T) {
	cluster := start(t, nil, Options{}, map[string]uint64{"ReadFile": 9, "WriteFile": 4, "new york": 7, "strings.Builder": 3})
	for typed, want := range map[router.Request]string{
		{Prefix: "raedf", Edits: router.EditsIfNone}: "ReadFile",
		{Prefix: "raedf", Edits: 0}:                  "",
		{Prefix: "new yrok", Edits: 1}:               "new york",
		{Prefix: "strnigs.Bulid", Edits: 1}:          "",
		{Prefix: "strnigs.Bulid", Edits: 2}:          "strings.Builder",
		{Prefix: "qrite", Edits: router.EditsIfNone}: "",
		{Prefix: "READFILE", Edits: 0}:               "ReadFile",
		{Prefix: "w\x00", Edits: router.EditsIfNone}: "",
		{Prefix: "ｎｅｗ", Edits: router.EditsIfNone}:   "new york",
	} {
		got := ask(t, cluster, typed).Suggestions
		if want == "" {
			require.Empty(t, got, "%+v", typed)
			continue
		}
		require.NotEmpty(t, got, "%+v", typed)
		require.Equal(t, want, got[0].Query, "%+v", typed)
	}
}

// TestCache: an answer is given again while it is fresh, and not after a swap.
func TestCache(t *testing.T) {
	c := newClock()
	cluster := start(t, c, Options{Router: router.Options{CacheFor: time.Second, CacheSize: 64}}, words(8, 500))
	require.False(t, ask(t, cluster, router.Request{Prefix: "a"}).Cached)
	require.True(t, ask(t, cluster, router.Request{Prefix: "a"}).Cached)
	require.False(t, ask(t, cluster, router.Request{Prefix: "a", Limit: 3}).Cached)
	c.add(2 * time.Second)
	require.False(t, ask(t, cluster, router.Request{Prefix: "a"}).Cached)
	_, err := cluster.Router.Rebuild(t.Context())
	require.NoError(t, err)
	r := ask(t, cluster, router.Request{Prefix: "a"})
	require.False(t, r.Cached)
	require.Equal(t, uint64(2), r.Generation)
	rng := rand.New(rand.NewPCG(1, 1))
	for range 500 { // more than it holds
		ask(t, cluster, router.Request{Prefix: word(rng, 4)})
	}
	s := cluster.Router.Status()
	require.Equal(t, s.Requests, s.Hits+s.Misses)
}

// TestLimits: counts as great as they get, terms of one rune, of NUL bytes, of markup and
// of all lengths that are allowed, are terms as all others, through two rebuilds.
func TestLimits(t *testing.T) {
	c := newClock()
	corpus := map[string]uint64{
		"max": math.MaxUint64, "maximum": math.MaxUint64 - 1, "m": 1, "\x00": 5, "a\x00b": 6, "<script>": 7, "\U0001F600": 8,
		strings.Repeat("l", 200): 9, strings.Repeat("l", 201): 10, "": 11, "\xff": 12, "zero": 0,
	}
	cluster := start(t, c, Options{}, corpus)
	for range 2 {
		for prefix, want := range map[string]string{
			"m": "max", "maxi": "maximum", "\x00": "\x00", "a\x00": "a\x00b", "<s": "<script>", "\U0001F600": "\U0001F600", "ll": strings.Repeat("l", 200),
		} {
			got := ask(t, cluster, router.Request{Prefix: prefix}).Suggestions
			require.NotEmpty(t, got, "%q", prefix)
			require.Equal(t, want, got[0].Query)
		}
		require.Len(t, ask(t, cluster, router.Request{Limit: 100}).Suggestions, 8)
		require.InEpsilon(t, float64(math.MaxUint64), ask(t, cluster, router.Request{Prefix: "max"}).Suggestions[0].Frequency, 0.01)
		c.add(time.Minute)
		_, err := cluster.Router.Rebuild(t.Context())
		require.NoError(t, err)
	}
}

// TestNightly: generations follow each other by themselves, and one that fails is tried again.
func TestNightly(t *testing.T) {
	var builds atomic.Int64
	o := Options{Router: router.Options{RebuildEvery: 50 * time.Millisecond, Built: func(dir string) {
		if builds.Add(1) == 2 {
			require.NoError(t, os.Remove(filepath.Join(dir, build.Whole)))
		}
	}}}
	cluster := start(t, nil, o, words(9, 200))
	require.NoError(t, story.Await(t.Context(), func() bool { return cluster.Router.Status().Rebuilds >= 3 }))
	s := cluster.Router.Status()
	require.Equal(t, uint64(1), s.Refused)
	require.GreaterOrEqual(t, s.Generation, uint64(4), "the one that failed had a number, too")
	require.False(t, ask(t, cluster, router.Request{Prefix: "a"}).Degraded)
}
