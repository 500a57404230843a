package node

import (
	"cmp"
	"fmt"
	"iter"
	"math"
	"slices"
	"unicode/utf8"

	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"github.com/ashlar-go/ashlar/trie"
)

// base is the terms of some ranges of one generation, as a trie.Source. No two ranges
// have a term in common.
type base []*trie.Snapshot

// Completions implements trie.Source.
func (b base) Completions(prefix string) iter.Seq[trie.Completion] {
	if len(b) == 1 {
		return b[0].Completions(prefix)
	}
	sources := make([]trie.Source, len(b))
	for i, s := range b {
		sources[i] = s
	}
	return trie.Union(prefix, sources...)
}

// ScoreOf implements trie.Source.
func (b base) ScoreOf(term string) (float64, bool) {
	for _, s := range b {
		if score, ok := s.ScoreOf(term); ok {
			return score, true
		}
	}
	return 0, false
}

// hotWithin is what is hot of some ranges, and has not faded: a search of an hour ago is
// one of the past, which the next generation counts.
type hotWithin struct {
	*trie.Trending
	has func(term string) bool
}

// Completions implements trie.Source.
func (h hotWithin) Completions(prefix string) iter.Seq[trie.Completion] {
	return func(yield func(trie.Completion) bool) {
		for c := range h.Trending.Completions(prefix) {
			if c.Score < faded {
				return // and so have all that follow
			}
			if h.has(c.Term) && !yield(c) {
				return
			}
		}
	}
}

// ScoreOf implements trie.Source.
func (h hotWithin) ScoreOf(term string) (float64, bool) {
	if !h.has(term) {
		return 0, false
	}
	score, ok := h.Trending.ScoreOf(term)
	if score < faded {
		return 0, false
	}
	return score, ok
}

// Answer answers a query.
func (n *Node) Answer(q Query) (Answer, error) {
	if q.K < 0 || q.K > MaxK || len(q.Scores) > MaxScores || len(q.Ranges) == 0 || !utf8.ValidString(q.Prefix) {
		return Answer{}, fmt.Errorf("%w: k %d, %d scores, %d ranges", ErrQuery, q.K, len(q.Scores), len(q.Ranges))
	}
	gen := (*n.held.Load())[q.Generation]
	var of base
	for _, r := range q.Ranges {
		s := gen[r]
		if s == nil {
			return Answer{}, fmt.Errorf("%w: %d of generation %d", ErrGeneration, r, q.Generation)
		}
		of = append(of, s)
	}
	n.queries.Add(1)
	bounds := trie.Shards{Bounds: q.Bounds}
	hot := hotWithin{n.hot, func(term string) bool { return slices.Contains(q.Ranges, bounds.Of(term)) }}
	sources := []trie.Weighted{{Source: of, Weight: 1}, {Source: hot, Weight: n.o.Boost}}
	if q.Hot {
		sources = sources[1:]
		sources[0].Weight = 1
	}
	a := Answer{Found: make([]Found, 0, q.K)}
	for _, c := range trie.Merge(q.Prefix, q.K, sources...) {
		a.Found = append(a.Found, Found{Term: c.Term, Score: c.Score})
	}
	if q.Edits > 0 && len(a.Found) < q.K && !q.Hot {
		a.Found = append(a.Found, n.fuzzy(q, of, hot, q.K-len(a.Found))...)
	}
	for _, term := range q.Scores {
		score := 0.0
		for _, s := range sources {
			if of, ok := s.Source.ScoreOf(term); ok {
				score += s.Weight * of
			}
		}
		a.Scores = append(a.Scores, min(score, math.MaxFloat64))
	}
	return a, nil
}

// exactRunes is how many runes at the beginning of a prefix must be right. The router
// counts on it when it chooses ranges.
const exactRunes = 1

// fuzzy returns up to k completions that match with edits, fewest first, and with their
// scores as they are without. The candidates are the k best of the past and the k best
// of now: unlike exact completions, a term may be missed that is among neither.
func (n *Node) fuzzy(q Query, of base, hot hotWithin, k int) (out []Found) {
	query := trie.Query{
		Prefix: q.Prefix, K: q.K + k, // those without edits come first; they are fewer than q.K, and known already
		Fuzzy: trie.Fuzzy{MaxEdits: q.Edits, OneFrom: 3, TwoFrom: 6, ExactRunes: exactRunes},
	}
	var all []trie.Completion
	for _, s := range of {
		all = append(all, withEdits(s.Search(query), k)...)
	}
	query.Filter = hot.has
	all = append(all, withEdits(hot.Search(query), k)...)
	slices.SortStableFunc(all, func(a, b trie.Completion) int { return cmp.Compare(a.Edits, b.Edits) })
	seen := map[string]bool{}
	for _, c := range all {
		key := folded(c.Term)
		if seen[key] {
			continue
		}
		seen[key] = true
		score, _ := of.ScoreOf(c.Term)
		now, _ := hot.ScoreOf(c.Term)
		if score += n.o.Boost * now; score > 0 {
			out = append(out, Found{Term: c.Term, Score: score, Edits: c.Edits})
		}
	}
	slices.SortStableFunc(out, func(a, b Found) int {
		return cmp.Or(cmp.Compare(a.Edits, b.Edits), cmp.Compare(b.Score, a.Score), cmp.Compare(a.Term, b.Term))
	})
	return out[:min(k, len(out))]
}

// withEdits are the first k that needed an edit.
func withEdits(found []trie.Completion, k int) []trie.Completion {
	found = slices.DeleteFunc(found, func(c trie.Completion) bool { return c.Edits == 0 })
	return found[:min(k, len(found))]
}

// folded is the same for terms that package trie takes for the same.
func folded(term string) string {
	return norm.NFKC.String(cases.Fold().String(norm.NFKC.String(term)))
}
