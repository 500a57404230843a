package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/build"
	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/corpus"
	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/local"
	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/page"
	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/router"
	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/view"
	"github.com/ashlar-go/ashlar/examples/internal/dash"
	told "github.com/ashlar-go/ashlar/examples/internal/story"
)

// teller knows what should be suggested.
type teller struct {
	*told.Story
	o       storyFlags
	cluster *local.Cluster
	view    *view.View
	site    *dash.Site
	http    *http.Client
	damage  atomic.Bool // the next build
	clients atomic.Int64

	corpus  corpus.Counts
	terms   []counted // of the corpus, sorted as they are found
	sampled []string  // prefixes
}

// counted is a term as it is found, whatever its case and form, and its count.
type counted struct {
	key   string
	count float64
}

// show has the dashboard show what the story says.
func (t *teller) show(kind, text string) {
	t.view.Add(page.Event{Kind: kind, Text: text})
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

// call makes a request as a client that the rate limit does not know yet, unless it is
// told whom to be.
func (t *teller) call(ctx context.Context, client, method, path string, body, out any) (status int, err error) {
	var in io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return 0, err
		}
		in = bytes.NewReader(b)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://"+t.site.Addr+path, in)
	if err != nil {
		return 0, err
	}
	if client == "" {
		client = fmt.Sprint("client ", t.clients.Add(1))
	}
	r.Header.Set(clientHeader, client)
	r.Header.Set("Content-Type", "application/json")
	res, err := t.http.Do(r)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && out != nil && res.StatusCode == http.StatusOK {
		err = json.Unmarshal(b, out)
	}
	return res.StatusCode, err
}

// suggest asks over HTTP, as everybody does.
func (t *teller) suggest(ctx context.Context, prefix string, limit int, more string) (res router.Response, err error) {
	path := fmt.Sprintf("/api/v1/suggestions?prefix=%s&limit=%d%s", url.QueryEscape(prefix), limit, more)
	status, err := t.call(ctx, "", http.MethodGet, path, nil, &res)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("suggestions for %q: status %d", prefix, status)
	}
	return res, err
}

func (t *teller) search(ctx context.Context, query, user string) error {
	status, err := t.call(ctx, "", http.MethodPost, "/api/v1/searches", map[string]any{"query": query, "user": user}, nil)
	if err == nil && status != http.StatusNoContent {
		err = fmt.Errorf("search for %q: status %d", query, status)
	}
	return err
}

// names are what is suggested, for a line of the story.
func names(res router.Response) string {
	var out []string
	for _, s := range res.Suggestions {
		out = append(out, fmt.Sprintf("%s (%.0f)", s.Query, s.Frequency))
	}
	if len(out) == 0 {
		return "nothing"
	}
	return strings.Join(out, ", ")
}

func (t *teller) begin(ctx context.Context) (err error) {
	t.Chapter("Read what may be suggested")
	begun := time.Now()
	var from string
	if t.corpus, from, err = readTerms(ctx, t.o.terms, t.o.src); err != nil {
		return err
	}
	t.Say("%d terms of %s, counted in %v", len(t.corpus), from, since(begun))
	begun = time.Now()
	if err := t.cluster.Router.Seed(ctx, t.corpus.All()); err != nil {
		return err
	}
	if !t.await(ctx, "the nodes take the first generation", t.cluster.Settled) {
		return errors.New("the service did not start")
	}
	s := t.cluster.Router.Status()
	size := int64(0)
	for _, n := range s.Nodes {
		size += n.Bytes
	}
	t.Check(s.Ready && s.Generation == 1, "generation 1 is built, read back, verified and handed to three nodes in %v; page on http://%s/", since(begun), t.site.Addr)
	t.Say("%d terms in %d ranges of equal weight, that begin at %q; each on two nodes; %.1f bytes a term and copy", s.Terms, len(s.Owners), s.Bounds, float64(size)/2/float64(max(1, s.Terms)))
	t.prepare()
	return nil
}

// prepare sorts the terms, and chooses prefixes as people type them: the beginnings of
// terms, those that are searched more often more often.
func (t *teller) prepare() {
	rng := rand.New(rand.NewPCG(t.o.seed, 1))
	type weighted struct {
		term string
		upTo uint64
	}
	var all []weighted
	sum := uint64(0)
	for _, term := range slices.Sorted(func(yield func(string) bool) {
		for term := range t.corpus {
			if !yield(term) {
				return
			}
		}
	}) {
		t.terms = append(t.terms, counted{folded(term), float64(t.corpus[term])})
		sum += t.corpus[term]
		all = append(all, weighted{term, sum})
	}
	slices.SortFunc(t.terms, func(a, b counted) int { return strings.Compare(a.key, b.key) })
	for range 2000 {
		at := rng.Uint64N(max(sum, 1))
		i, _ := slices.BinarySearchFunc(all, at, func(w weighted, at uint64) int {
			if w.upTo <= at {
				return -1
			}
			return 1
		})
		runes := []rune(all[min(i, len(all)-1)].term)
		t.sampled = append(t.sampled, string(runes[:1+rng.IntN(min(len(runes), 12))]))
	}
}

// best sorts all terms that begin with prefix: the plainest way to know.
func (t *teller) best(prefix string, k int) (scores []float64) {
	prefix = folded(prefix)
	i, _ := slices.BinarySearchFunc(t.terms, prefix, func(c counted, prefix string) int { return strings.Compare(c.key, prefix) })
	for last := ""; i < len(t.terms) && strings.HasPrefix(t.terms[i].key, prefix); i++ {
		if c := t.terms[i]; c.key == last {
			scores[len(scores)-1] += c.count // differs in case only, and is the same term
		} else {
			scores, last = append(scores, c.count), c.key
		}
	}
	slices.SortFunc(scores, func(a, b float64) int { return cmp.Compare(b, a) })
	return scores[:min(k, len(scores))]
}

// folded is what terms that differ in case, width or composition only have in common.
func folded(s string) string { return norm.NFKC.String(cases.Fold().String(norm.NFKC.String(s))) }

func (t *teller) typing(ctx context.Context) error {
	t.Chapter("Type")
	words := []string{"strings.Builder", "the number of", "context"}
	if t.o.terms != "" {
		words = nil
		for _, p := range t.sampled {
			if len([]rune(p)) > 4 && len(words) < 3 {
				words = append(words, p)
			}
		}
	}
	for _, word := range words {
		runes := []rune(word)
		for n := 1; n <= min(len(runes), 9); n += 2 {
			res, err := t.suggest(ctx, string(runes[:n]), 3, "")
			if err != nil {
				return err
			}
			t.Say("%-10s ▸ %s", string(runes[:n]), names(res))
		}
	}
	wrong, asked := 0, 0
	for _, p := range t.sampled[:min(500, len(t.sampled))] {
		res, err := t.suggest(ctx, p, 10, "&fuzzy=0")
		if err != nil {
			return err
		}
		want := t.best(p, 10)
		asked++
		if len(want) != len(res.Suggestions) {
			wrong++
			continue
		}
		for i, s := range res.Suggestions {
			if s.Frequency != want[i] {
				wrong++
				break
			}
		}
	}
	t.Check(wrong == 0 && asked > 0, "%d prefixes, ten suggestions each, compared with a sort of all terms: %d wrong", asked, wrong)
	s := t.cluster.Router.Status()
	t.Say("p50 %.2f ms, p95 %.2f ms, p99 %.2f ms, nodes and all; %d %% from the cache", s.P50, s.P95, s.P99, 100*s.Hits/max(1, s.Hits+s.Misses))
	if t.o.terms != "" {
		return nil
	}
	for _, typo := range [][2]string{{"contxet", "context"}, {"strnigs.bui", "strings.bui"}, {"raedf", "readf"}} {
		res, err := t.suggest(ctx, typo[0], 3, "")
		if err != nil {
			return err
		}
		ok := slices.ContainsFunc(res.Suggestions, func(s router.Suggestion) bool { return strings.HasPrefix(strings.ToLower(s.Query), typo[1]) })
		t.Check(ok, "a typing error: %q finds %s", typo[0], names(res))
	}
	return nil
}

// now is about what nobody searched for before.
func (t *teller) now(ctx context.Context) error {
	t.Chapter("Something happens that nobody searched for before")
	const news, prefix = "zyzzyva sighted in the wild", "zyz"
	before, err := t.suggest(ctx, prefix, 5, "&fuzzy=0")
	if err != nil {
		return err
	}
	t.Say("%q finds %s", prefix, names(before))
	begun := time.Now()
	const burst = 200
	for range burst {
		if err := t.search(ctx, news, ""); err != nil {
			return err
		}
	}
	logged := time.Now()
	found := func() bool {
		res, err := t.suggest(ctx, prefix, 5, "&fuzzy=0")
		return err == nil && len(res.Suggestions) > 0 && res.Suggestions[0].Query == news
	}
	if !t.await(ctx, "the burst is suggested", func(ctx context.Context) error { return told.Await(ctx, found) }) {
		return nil
	}
	took := time.Since(logged)
	t.Check(took < time.Second, "%d people searched for %q, each on disk before it counts, in %v; it is the first suggestion %v after the last of them",
		burst, news, since(begun), took.Round(time.Millisecond))
	for range burst {
		if err := t.search(ctx, "Do NOT suggest this, please", ""); err != nil {
			return err
		}
	}
	if !t.await(ctx, "all nodes know of it", t.cluster.Settled) {
		return nil
	}
	res, err := t.suggest(ctx, "do not sugg", 5, "&fuzzy=0")
	if err != nil {
		return err
	}
	blocked := slices.ContainsFunc(res.Suggestions, func(s router.Suggestion) bool { return strings.Contains(strings.ToLower(s.Query), blockedPhrase) })
	t.Check(!blocked, "%d searches with a blocked phrase in it do not bring that up", burst)
	return nil
}

// own is about one user's history.
func (t *teller) own(ctx context.Context) error {
	t.Chapter("One user's own searches")
	// A prefix where the twelfth is out of sight for all, three searches more or less, and
	// where 30 % are enough to bring it into sight.
	const seen, far, shift = 5, 12, 3*20 + 1
	p, mine := "", ""
	for _, c := range t.sampled {
		if len([]rune(c)) > 3 {
			continue
		}
		all, err := t.suggest(ctx, c, far, "&fuzzy=0")
		if err != nil {
			return err
		}
		if s := all.Suggestions; len(s) == far {
			first, fifth, last := s[0].Frequency, s[seen-1].Frequency, s[far-1].Frequency
			if fifth > last+shift && 0.7*(fifth-last) < 0.29*first {
				p, mine = c, s[far-1].Query
				break
			}
		}
	}
	if p == "" {
		t.Say("there is no prefix with enough terms to tell one user's from another's")
		return nil
	}
	all, err := t.suggest(ctx, p, seen, "")
	if err != nil {
		return err
	}
	for range 3 {
		if err := t.search(ctx, mine, "ada"); err != nil {
			return err
		}
	}
	ada, err := t.suggest(ctx, p, 5, "&user=ada")
	if err != nil {
		return err
	}
	bob, err := t.suggest(ctx, p, 5, "&user=bob")
	if err != nil {
		return err
	}
	has := func(res router.Response) bool {
		return slices.ContainsFunc(res.Suggestions, func(s router.Suggestion) bool { return s.Query == mine })
	}
	t.Say("%q for all  ▸ %s", p, names(all))
	t.Say("ada searches three times for %q, the twelfth of them", mine)
	var hers []string
	for _, s := range ada.Suggestions {
		hers = append(hers, s.Query)
	}
	t.Say("%q for ada  ▸ %s", p, strings.Join(hers, ", "))
	t.Check(has(ada) && !has(bob), "ada's own come up for her, mixed 70 to 30 with everybody's; bob does not see them")
	status, err := t.call(ctx, "", http.MethodDelete, "/api/v1/history?user=ada", nil, nil)
	if err != nil {
		return err
	}
	ada, err = t.suggest(ctx, p, 5, "&user=ada")
	t.Check(err == nil && status == http.StatusNoContent && !has(ada), "when ada wants it forgotten, it is")
	return err
}

// built is called with the folder of each generation before it is verified.
func (t *teller) built(dir string) {
	if !t.damage.Load() {
		return
	}
	path := filepath.Join(dir, build.Range(0))
	b, err := os.ReadFile(path)
	if err != nil {
		return // then it is damaged enough
	}
	b[len(b)/2] ^= 1
	_ = os.WriteFile(path, b, 0o644)
}

func since(t time.Time) time.Duration { return time.Since(t).Round(time.Millisecond) }
