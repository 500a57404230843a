package node

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/querylog"
	"github.com/ashlar-go/ashlar/trie"
)

func file(t *testing.T, terms map[string]uint64) []byte {
	t.Helper()
	b := trie.NewBuilder(trie.BuilderOptions{})
	for term, n := range terms {
		require.NoError(t, b.Add(term, n))
	}
	var out bytes.Buffer
	require.NoError(t, b.BuildTo(t.Context(), &out))
	return out.Bytes()
}

func open(t *testing.T, o Options) *Node {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	n, err := Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, n.Close()) })
	return n
}

// TestAnswerAgainstBruteForce: what the counts of the past, in several ranges, and the
// searches of now make together, compared with a sum over all terms.
func TestAnswerAgainstBruteForce(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	n := open(t, Options{Boost: 5, HalfLife: time.Minute, Now: func() time.Time { return now }})
	bounds := trie.Shards{Bounds: []string{"b", "cc"}}
	past := []map[string]uint64{{}, {}, {}}
	want := map[string]float64{}
	word := func() string {
		b := make([]byte, 1+rng.IntN(5))
		for i := range b {
			b[i] = "abcd"[rng.IntN(4)]
		}
		return string(b)
	}
	for range 500 {
		w := word()
		c := uint64(1 + rng.IntN(50))
		past[bounds.Of(w)][w] += c
		want[w] += float64(c)
	}
	for r, terms := range past {
		require.NoError(t, n.Stage(1, r, bytes.NewReader(file(t, terms))))
	}
	var feed Feed
	for i := range 300 {
		at := now.Add(-time.Duration(rng.IntN(300)) * time.Second)
		w := word()
		feed.Records = append(feed.Records, querylog.Record{Seq: uint64(i + 1), At: at, Term: w})
		want[w] += 5 * math.Exp2(-now.Sub(at).Minutes())
	}
	for range 2 { // a feed that comes twice counts once
		applied, err := n.Feed(feed)
		require.NoError(t, err)
		require.Equal(t, uint64(300), applied)
	}
	for range 300 {
		prefix := word()[:rng.IntN(2)]
		if rng.IntN(2) == 0 {
			prefix = word()
		}
		lo, hi := rng.IntN(3), 3
		q := Query{Generation: 1, Bounds: bounds.Bounds, Prefix: prefix, K: 1 + rng.IntN(20), Scores: []string{word(), word()}}
		for r := lo; r < hi; r++ {
			q.Ranges = append(q.Ranges, r)
		}
		a, err := n.Answer(q)
		require.NoError(t, err)
		var all []Found
		for term, score := range want {
			if strings.HasPrefix(term, prefix) && bounds.Of(term) >= lo {
				all = append(all, Found{Term: term, Score: score})
			}
		}
		slices.SortFunc(all, func(a, b Found) int {
			return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(a.Term, b.Term))
		})
		all = all[:min(q.K, len(all))]
		require.Len(t, a.Found, len(all))
		for i := range all {
			require.InEpsilon(t, all[i].Score, a.Found[i].Score, 1e-6)
			require.InEpsilon(t, want[a.Found[i].Term], a.Found[i].Score, 1e-6)
		}
		for i, term := range q.Scores {
			if bounds.Of(term) >= lo {
				require.InDelta(t, want[term], a.Scores[i], 1e-5)
			} else {
				require.Zero(t, a.Scores[i])
			}
		}
	}
}

// TestHotOfOtherRanges: all nodes know all that is hot, and answer for what they are asked for.
func TestHotOfOtherRanges(t *testing.T) {
	n := open(t, Options{})
	require.NoError(t, n.Stage(1, 0, bytes.NewReader(file(t, map[string]uint64{"abc": 1}))))
	_, err := n.Feed(Feed{Records: []querylog.Record{{Seq: 1, At: time.Now(), Term: "abd"}, {Seq: 2, At: time.Now(), Term: "xyz"}}})
	require.NoError(t, err)
	q := Query{Generation: 1, Ranges: []int{0}, Bounds: []string{"b"}, K: 9}
	for prefix, want := range map[string]int{"": 2, "a": 2, "x": 0} {
		for _, q.Hot = range []bool{false, true} {
			q.Prefix = prefix
			a, err := n.Answer(q)
			require.NoError(t, err)
			require.Len(t, a.Found, max(0, want-map[bool]int{true: 1}[q.Hot]), "%q, hot alone %v", prefix, q.Hot)
		}
	}
}

func TestFuzzyComesAfterExact(t *testing.T) {
	n := open(t, Options{Boost: 10})
	require.NoError(t, n.Stage(1, 0, bytes.NewReader(file(t, map[string]uint64{"ReadFile": 50, "Reader": 9, "redo": 1000, "reaf": 2}))))
	_, err := n.Feed(Feed{Records: []querylog.Record{{Seq: 1, At: time.Now(), Term: "READFILE"}, {Seq: 2, At: time.Now(), Term: "reed"}}})
	require.NoError(t, err)
	a, err := n.Answer(Query{Generation: 1, Ranges: []int{0}, Prefix: "reaf", K: 9, Edits: 1})
	require.NoError(t, err)
	var got []string
	for _, f := range a.Found {
		got = append(got, fmt.Sprint(f.Term, " ", f.Edits))
	}
	require.Equal(t, []string{"reaf 0", "ReadFile 1", "Reader 1"}, got, "each once, whatever its form")
	require.InDelta(t, 60, a.Found[1].Score, 0.5)
}

func TestBlockedIsNeverHot(t *testing.T) {
	blocked, err := trie.NewBlocklist(trie.FoldDefault, "damn")
	require.NoError(t, err)
	n := open(t, Options{Blocked: blocked})
	require.NoError(t, n.Stage(1, 0, bytes.NewReader(file(t, nil))))
	var f Feed
	for i := range 100 {
		f.Records = append(f.Records, querylog.Record{Seq: uint64(i + 1), At: time.Now(), Term: "Damn it"})
	}
	applied, err := n.Feed(f)
	require.NoError(t, err)
	require.Equal(t, uint64(100), applied)
	a, err := n.Answer(Query{Generation: 1, Ranges: []int{0}, K: 10})
	require.NoError(t, err)
	require.Empty(t, a.Found)
}

// TestHotFades: what was searched more than an hour ago is not suggested as if it were of now,
// as typed or with an error, and is forgotten when something else is searched.
func TestHotFades(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	n := open(t, Options{Now: func() time.Time { return now }})
	require.NoError(t, n.Stage(1, 0, bytes.NewReader(file(t, map[string]uint64{"yesterday": 3}))))
	_, err := n.Feed(Feed{Records: []querylog.Record{{Seq: 1, At: now, Term: "yesteryear"}}})
	require.NoError(t, err)
	q := Query{Generation: 1, Ranges: []int{0}, Prefix: "yester", K: 9, Edits: 1, Scores: []string{"yesteryear"}}
	terms := func(prefix string) (out []string) {
		q.Prefix = prefix
		a, err := n.Answer(q)
		require.NoError(t, err)
		for _, f := range a.Found {
			out = append(out, f.Term)
		}
		return out
	}
	require.Equal(t, []string{"yesteryear", "yesterday"}, terms("yester"))
	require.Equal(t, []string{"yesteryear"}, terms("yetsery"))
	now = now.Add(61 * time.Minute)
	require.Equal(t, []string{"yesterday"}, terms("yester"))
	require.Equal(t, []string{"yesterday"}, terms("yetserd"))
	require.Empty(t, terms("yetsery"))
	_, err = n.Feed(Feed{Records: []querylog.Record{{Seq: 2, At: now, Term: "today"}}})
	require.NoError(t, err)
	_, ok := n.hot.ScoreOf("yesteryear")
	require.False(t, ok)
}

// TestHotIsBounded: a flood of terms that nobody searched before does not take the memory.
func TestHotIsBounded(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	n := open(t, Options{MaxHot: 100, Now: func() time.Time { return now }})
	var f Feed
	for i := range 2000 {
		f.Records = append(f.Records, querylog.Record{Seq: uint64(i + 1), At: now, Term: fmt.Sprint("term ", i)})
	}
	f.Records = append(f.Records, f.Records[0], querylog.Record{Seq: 2001, At: now, Term: "flood"}, querylog.Record{Seq: 2002, At: now, Term: "flood"})
	_, err := n.Feed(f)
	require.NoError(t, err)
	n.mu.Lock()
	terms := n.hotTerms()
	n.mu.Unlock()
	require.LessOrEqual(t, terms, 100)
	require.Equal(t, "flood", n.hot.TopK("", 1)[0].Term)
}

func TestGenerationsSurviveARestart(t *testing.T) {
	dir := t.TempDir()
	n := open(t, Options{Dir: dir})
	require.NoError(t, n.Stage(1, 0, bytes.NewReader(file(t, map[string]uint64{"a": 1}))))
	require.NoError(t, n.Stage(2, 0, bytes.NewReader(file(t, map[string]uint64{"b": 1, "c": 2}))))
	require.NoError(t, n.Stage(2, 3, bytes.NewReader(file(t, map[string]uint64{"x": 1}))))
	require.NoError(t, n.Drop(1))
	require.NoError(t, n.Close())
	require.ErrorIs(t, n.Stage(3, 0, bytes.NewReader(file(t, nil))), ErrClosed)
	_, err := n.Feed(Feed{})
	require.ErrorIs(t, err, ErrClosed)

	require.NoError(t, os.WriteFile(dir+"/2-9.trie", []byte("not a trie"), 0o644))
	require.NoError(t, os.WriteFile(dir+"/notes.txt", nil, 0o644))
	n = open(t, Options{Dir: dir})
	s := n.Status()
	require.Equal(t, map[uint64][]int{2: {0, 3}}, s.Generations)
	require.Equal(t, 3, s.Terms)
	_, err = os.Stat(dir + "/2-9.trie")
	require.ErrorIs(t, err, os.ErrNotExist, "a damaged file would stand in the way of a whole one")
	_, err = os.Stat(dir + "/notes.txt")
	require.NoError(t, err)
}

// TestBadRequests: each is refused with a status of its own, and the node goes on.
func TestBadRequests(t *testing.T) {
	n := open(t, Options{})
	whole := file(t, map[string]uint64{"a": 1, "b": 2})
	require.NoError(t, n.Stage(1, 0, bytes.NewReader(whole)))
	srv := httptest.NewServer(Handler(n, "key"))
	defer srv.Close()
	flipped := bytes.Clone(whole)
	flipped[len(flipped)/2] ^= 4
	for name, c := range map[string]struct {
		method, path, body string
		code               int
	}{
		"a range that is not here":      {"POST", "/query", `{"generation": 1, "ranges": [1], "k": 5}`, 409},
		"a generation that is not here": {"POST", "/query", `{"generation": 7, "ranges": [0], "k": 5}`, 409},
		"no range":                      {"POST", "/query", `{"generation": 1, "k": 5}`, 400},
		"k below nothing":               {"POST", "/query", `{"generation": 1, "ranges": [0], "k": -1}`, 400},
		"k of a billion":                {"POST", "/query", `{"generation": 1, "ranges": [0], "k": 1000000000}`, 400},
		"no JSON":                       {"POST", "/query", "\x00", 400},
		"a feed that is none":           {"POST", "/feed", `[]`, 400},
		"a query of 5 MB":               {"POST", "/query", `{"prefix": "` + strings.Repeat("x", 5<<20) + `"}`, 413},
		"a foreign file":                {"PUT", "/generations/2/0", "hello", 422},
		"an empty file":                 {"PUT", "/generations/2/0", "", 422},
		"half a file":                   {"PUT", "/generations/2/0", string(whole[:len(whole)/2]), 422},
		"a flipped bit":                 {"PUT", "/generations/2/0", string(flipped), 422},
		"a number that is none":         {"PUT", "/generations/two/0", string(whole), 400},
		"a range below nothing":         {"PUT", "/generations/2/-1", string(whole), 400},
		"a generation that is none":     {"DELETE", "/generations/-", "", 400},
		"another method":                {"PATCH", "/query", "", 405},
		"another path":                  {"GET", "/", "", 404},
	} {
		r, err := http.NewRequest(c.method, srv.URL+c.path, strings.NewReader(c.body))
		require.NoError(t, err)
		r.Header.Set("Authorization", "Bearer key")
		res, err := http.DefaultClient.Do(r)
		require.NoError(t, err, name)
		said, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		res.Body.Close()
		require.Equal(t, c.code, res.StatusCode, "%s: %s", name, said)
		require.NotEmpty(t, said, name)
	}
	res, err := http.Get(srv.URL + "/status")
	require.NoError(t, err)
	res.Body.Close()
	require.Equal(t, http.StatusUnauthorized, res.StatusCode)
	require.Equal(t, map[uint64][]int{1: {0}}, n.Status().Generations, "nothing of what was refused is left")
	files, err := os.ReadDir(n.o.Dir)
	require.NoError(t, err)
	require.Len(t, files, 1)
	b, err := json.Marshal(n.Status())
	require.NoError(t, err)
	require.Contains(t, string(b), `"applied":0`)
}
