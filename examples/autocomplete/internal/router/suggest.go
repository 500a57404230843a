package router

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/ashlar-go/ashlar/examples/autocomplete/internal/node"
	"github.com/ashlar-go/ashlar/trie"
)

// Bounds of a request.
const (
	MaxPrefix = 200 // bytes
	MaxUser   = 200 // bytes
	MaxLimit  = 100
)

// Values of Request.Edits that are not a number of edits.
const (
	EditsIfNone = -1 // one edit, where nothing is found without
)

// Request asks for suggestions.
type Request struct {
	Prefix string
	Limit  int    // from 1 to MaxLimit
	Edits  int    // 0, 1, 2 or EditsIfNone
	User   string // whose history counts; empty: nobody's
}

func (q *Request) check() error {
	switch {
	case len(q.Prefix) > MaxPrefix:
		return fmt.Errorf("%w: a prefix of %d bytes, of at most %d", ErrRequest, len(q.Prefix), MaxPrefix)
	case !utf8.ValidString(q.Prefix):
		return fmt.Errorf("%w: the prefix is not valid UTF-8", ErrRequest)
	case q.Limit < 1 || q.Limit > MaxLimit:
		return fmt.Errorf("%w: limit %d, from 1 to %d", ErrRequest, q.Limit, MaxLimit)
	case q.Edits < EditsIfNone || q.Edits > 2:
		return fmt.Errorf("%w: fuzzy %d, from 0 to 2", ErrRequest, q.Edits)
	case len(q.User) > MaxUser || !utf8.ValidString(q.User):
		return fmt.Errorf("%w: the user's name has more than %d bytes, or is not valid UTF-8", ErrRequest, MaxUser)
	}
	return nil
}

// Response is what is suggested.
type Response struct {
	Suggestions []Suggestion `json:"suggestions"`
	Generation  uint64       `json:"generation"`
	Cached      bool         `json:"cached,omitempty"`
	Degraded    bool         `json:"degraded,omitempty"` // nodes are away; there may be better ones
}

// Suggestion is one suggestion. Frequency is its score: how often it was searched, faded,
// with more weight for now; with a user, the share of both.
type Suggestion struct {
	Query     string  `json:"query"`
	Frequency float64 `json:"frequency"`
	Edits     uint8   `json:"edits,omitempty"`
}

// Suggest answers a request. Its errors match ErrRequest or ErrEmpty, or are the
// context's; nodes that fail make an answer degraded, not an error.
func (r *Router) Suggest(ctx context.Context, q Request) (res Response, err error) {
	begun := time.Now()
	r.Counters.Requests.Add(1)
	defer func() {
		if err != nil {
			if ctx.Err() == nil { // who goes away before the answer has not been failed
				r.Counters.Errors.Add(1)
			}
			return
		}
		if res.Degraded {
			r.Counters.Degraded.Add(1)
		}
		r.latency.add(time.Since(begun))
	}()
	if err := q.check(); err != nil {
		return res, err
	}
	p := r.plan.Load()
	if p == nil {
		return res, ErrEmpty
	}
	own, terms, err := r.history.Of(r.history.User(q.User), q.Prefix)
	if err != nil {
		r.o.Logger.Warn("autocomplete: a history cannot be read", "err", err) // the suggestions of all are better than none
	}
	if own != nil {
		return r.personal(ctx, p, q, own, terms)
	}
	return r.global(ctx, p, q)
}

// global answers from what all searched.
func (r *Router) global(ctx context.Context, p *plan, q Request) (Response, error) {
	k := question{q.Prefix, q.Limit, q.Edits}
	old, _ := r.cache.Get(k)
	if old != nil && old.generation == p.Generation && r.o.Now().Before(old.until) {
		r.Counters.Hits.Add(1)
		return Response{Suggestions: old.found, Generation: p.Generation, Cached: true}, nil
	}
	r.Counters.Misses.Add(1)
	return r.flights.do(ctx, flightKey{k, p.Generation}, func(ctx context.Context) (Response, error) {
		a, missing, err := r.ask(ctx, p, q, nil) // it ends: each question has a time limit, and each node is asked once
		if err != nil {
			return Response{}, err
		}
		if len(missing) > 0 {
			if old != nil {
				return Response{Suggestions: old.found, Generation: old.generation, Degraded: true}, nil
			}
			return Response{Suggestions: suggestions(r.popular(p, q, a.found, missing)), Generation: p.Generation, Degraded: true}, nil
		}
		found := suggestions(a.found)
		k.prefix = strings.Clone(k.prefix) // not the request that it came with
		r.cache.Set(k, &kept{p.Generation, found, r.o.Now().Add(r.o.CacheFor)})
		return Response{Suggestions: found, Generation: p.Generation}, nil
	})
}

// personal mixes what all searched with what the user did, each measured by its best for
// the prefix. The result is exact: a term that is not the user's own ranks as it does
// for all, so that no more than the first Limit of these can come up; and of the user's
// own, all are looked at. What matches with edits only comes after.
func (r *Router) personal(ctx context.Context, p *plan, q Request, own trie.Source, terms []string) (Response, error) {
	r.Counters.Misses.Add(1)
	a, missing, err := r.ask(ctx, p, q, terms)
	if err != nil {
		return Response{}, err
	}
	if len(missing) > 0 {
		a.found = r.popular(p, q, a.found, missing)
	}
	exact, fuzzy := a.found, a.found[:0]
	if i := slices.IndexFunc(a.found, func(c trie.Completion) bool { return c.Edits > 0 }); i >= 0 {
		exact, fuzzy = a.found[:i:i], a.found[i:]
	}
	global := scored{exact, map[string]float64{}}
	for i, t := range terms {
		global.scores[t] = a.scores[i]
		if a.scores[i] > 0 {
			global.found = append(global.found, trie.Completion{Term: t, Score: a.scores[i]}) // perhaps for the second time
		}
	}
	slices.SortStableFunc(global.found, func(a, b trie.Completion) int { return cmp.Compare(b.Score, a.Score) })
	merged := trie.Merge(q.Prefix, q.Limit,
		trie.Weighted{Source: own, Weight: r.o.Personal, Normalize: true},
		trie.Weighted{Source: global, Weight: 1 - r.o.Personal, Normalize: true})
	merged = append(merged, fuzzy[:min(len(fuzzy), q.Limit-len(merged))]...)
	return Response{Suggestions: suggestions(merged), Generation: p.Generation, Degraded: len(missing) > 0}, nil
}

// scored is an answer of the nodes as a source to merge.
type scored struct {
	found  []trie.Completion
	scores map[string]float64 // of terms that may not be among those found
}

// Completions implements trie.Source.
func (s scored) Completions(string) iter.Seq[trie.Completion] { return slices.Values(s.found) }

// ScoreOf implements trie.Source.
func (s scored) ScoreOf(term string) (float64, bool) {
	if score, ok := s.scores[term]; ok {
		return score, score > 0
	}
	for _, c := range s.found {
		if c.Term == term {
			return c.Score, true
		}
	}
	return 0, false
}

// popular completes an answer that lacks some ranges by what was popular in them when the
// generation was made.
func (r *Router) popular(p *plan, q Request, found []trie.Completion, missing []int) []trie.Completion {
	s := scored{}
	for c := range p.popular.Completions(q.Prefix) {
		if slices.Contains(missing, p.shards.Of(c.Term)) {
			if s.found = append(s.found, c); len(s.found) == q.Limit {
				break
			}
		}
	}
	return first(q.Limit, trie.Union(q.Prefix, scored{found: found}, s))
}

// answer is what nodes said, together.
type answer struct {
	found  []trie.Completion
	scores []float64
}

// ask asks the nodes that have a prefix's ranges. missing are the ranges of which none
// answered.
func (r *Router) ask(ctx context.Context, p *plan, q Request, scores []string) (a answer, missing []int, err error) {
	edits := max(q.Edits, 0)
	a, missing, err = r.askRanges(ctx, p, q, edits, scores)
	if err == nil && q.Edits == EditsIfNone && len(a.found)+len(scores)+len(missing) == 0 {
		return r.askRanges(ctx, p, q, 1, scores)
	}
	return a, missing, err
}

// rangesOf are the ranges that may have completions. With edits the first rune is right,
// and no more is known.
func rangesOf(p *plan, prefix string, edits int) (lo, hi int) {
	if edits > 0 {
		_, n := utf8.DecodeRuneInString(prefix)
		prefix = prefix[:n]
	}
	return p.shards.Range(prefix)
}

func (r *Router) askRanges(ctx context.Context, p *plan, q Request, edits int, scores []string) (answer, []int, error) {
	lo, hi := rangesOf(p, q.Prefix, edits)
	var left []int
	for i := lo; i < hi; i++ {
		left = append(left, i)
	}
	a := answer{scores: make([]float64, len(scores))}
	query := node.Query{Generation: p.Generation, Bounds: p.Bounds, Prefix: q.Prefix, K: q.Limit, Edits: edits, Scores: scores}
	sources, left, err := r.scatter(ctx, query, left, func(got node.Answer) {
		for i, s := range got.Scores {
			if i < len(a.scores) {
				a.scores[i] += s // a term is in one range
			}
		}
	})
	if err != nil {
		return answer{}, nil, err
	}
	a.found = first(q.Limit, trie.Union(q.Prefix, sources...))
	return a, left, nil
}

// scatter asks one owner of each range, several ranges of one node together, and those
// that are left another owner, until there are no more to ask.
func (r *Router) scatter(ctx context.Context, q node.Query, left []int, also func(node.Answer)) (sources []trie.Source, missing []int, err error) {
	var failed []*remote
	for len(left) > 0 {
		groups := map[*remote][]int{}
		start := int(r.turnover.Add(1) % math.MaxInt32)
		for _, i := range left {
			if n := r.choose(i, start, failed); n != nil {
				groups[n] = append(groups[n], i)
			} else {
				missing = append(missing, i)
			}
		}
		left = nil
		var mu sync.Mutex
		var wg sync.WaitGroup
		for n, ranges := range groups {
			one := func() {
				q := q
				q.Ranges = ranges
				sub, cancel := context.WithTimeout(ctx, r.o.Timeout)
				got, err := n.query(sub, q)
				cancel()
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					failed = append(failed, n)
					left = append(left, ranges...)
					if ctx.Err() == nil && !refused(err) {
						r.Counters.NodeFailures.Add(1)
						n.down(err)
					}
					return
				}
				found := make([]trie.Completion, len(got.Found))
				for i, f := range got.Found {
					found[i] = trie.Completion{Term: f.Term, Score: f.Score, Edits: f.Edits}
				}
				sources = append(sources, scored{found: found})
				if also != nil {
					also(got)
				}
			}
			if len(groups) == 1 {
				one()
			} else {
				wg.Go(one)
			}
		}
		wg.Wait()
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
	}
	return sources, missing, nil
}

// choose picks an owner of a range that is up and has not failed.
func (r *Router) choose(i, start int, failed []*remote) *remote {
	owners := r.owners(i)
	for j := range owners {
		if n := owners[(start+j)%len(owners)]; n.up.Load() && !slices.Contains(failed, n) {
			return n
		}
	}
	return nil
}

// Trending are the terms that are searched most right now, of all that begin with prefix.
func (r *Router) Trending(ctx context.Context, prefix string, limit int) (Response, error) {
	q := Request{Prefix: prefix, Limit: limit}
	if err := q.check(); err != nil {
		return Response{}, err
	}
	p := r.plan.Load()
	if p == nil {
		return Response{}, ErrEmpty
	}
	lo, hi := rangesOf(p, prefix, 0)
	var ranges []int
	for i := lo; i < hi; i++ {
		ranges = append(ranges, i)
	}
	query := node.Query{Generation: p.Generation, Bounds: p.Bounds, Prefix: prefix, K: limit, Hot: true}
	sources, missing, err := r.scatter(ctx, query, ranges, nil)
	if err != nil {
		return Response{}, err
	}
	return Response{
		Suggestions: suggestions(first(limit, trie.Union(prefix, sources...))), Generation: p.Generation, Degraded: len(missing) > 0,
	}, nil
}

func first(k int, all iter.Seq[trie.Completion]) (out []trie.Completion) {
	for c := range all {
		if out = append(out, c); len(out) == k {
			break
		}
	}
	return out
}

func suggestions(found []trie.Completion) []Suggestion {
	out := make([]Suggestion, len(found))
	for i, c := range found {
		out[i] = Suggestion{Query: c.Term, Frequency: math.Round(c.Score*1000) / 1000, Edits: c.Edits}
	}
	return out
}

// Search logs that something was searched, and returns when that is on disk. picked says
// that it was one of our suggestions.
func (r *Router) Search(ctx context.Context, term, user string, picked bool) error {
	switch {
	case term == "" || len(term) > MaxPrefix:
		return fmt.Errorf("%w: a query of %d bytes, from 1 to %d", ErrRequest, len(term), MaxPrefix)
	case !utf8.ValidString(term):
		return fmt.Errorf("%w: the query is not valid UTF-8", ErrRequest)
	case len(user) > MaxUser || !utf8.ValidString(user):
		return fmt.Errorf("%w: the user's name has more than %d bytes, or is not valid UTF-8", ErrRequest, MaxUser)
	}
	by := r.history.User(user)
	rec, err := r.log.Append(ctx, term, by, picked)
	if err != nil {
		return err
	}
	r.Counters.Searches.Add(1)
	if picked {
		r.Counters.Picked.Add(1)
	}
	if r.o.Blocked.Blocks(term) {
		return nil
	}
	if err := r.history.Add(by, term, rec.At); err != nil {
		r.o.Logger.Warn("autocomplete: a history cannot be written", "err", err) // the search counts all the same
	}
	return nil
}

// Forget removes a user's history.
func (r *Router) Forget(user string) error {
	if user == "" || len(user) > MaxUser {
		return fmt.Errorf("%w: a user's name has 1 to %d bytes", ErrRequest, MaxUser)
	}
	return r.history.Forget(r.history.User(user))
}
