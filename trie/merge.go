package trie

import (
	"cmp"
	"iter"
	"slices"
	"strings"
)

// A Source is what can be merged: a [Snapshot], an [Index], a [Trending], or one of your own.
// Completions come best first; ScoreOf is the score of a term, and it folds terms as
// Completions does.
type Source interface {
	Completions(prefix string) iter.Seq[Completion]
	ScoreOf(term string) (score float64, ok bool)
}

// Weighted is a source of [Merge] and what it counts. Weights below 0, and NaN, count as 0.
type Weighted struct {
	Source Source
	Weight float64
	// Normalize measures scores in parts of the source's best for the prefix, so that a
	// source of millions and one of a few searches can be mixed: 0.7 and 0.3 are then 70
	// and 30 per cent.
	Normalize bool
}

// Merge returns the k completions of prefix with the greatest sum of weighted scores, a
// source that does not have a term counting nothing, and by folded term among equals. A term that
// sources show in different forms comes in the form in which it came up first.
//
// It is the threshold algorithm: it reads the sources' completions in turn and asks all
// sources for the score of each term that comes up, until no term that has not come up
// can be better than the k best that have. So it is exact and reads, most of the time,
// little more than k of each source.
//
// Source: Fagin, Lotem, Naor, "Optimal Aggregation Algorithms for Middleware" (2001).
func Merge(prefix string, k int, sources ...Weighted) []Completion {
	if k <= 0 {
		return []Completion{}
	}
	streams := make([]mergeStream, 0, len(sources))
	for _, s := range sources {
		next, stop := iter.Pull(s.Source.Completions(prefix))
		defer stop()
		m := mergeStream{source: s.Source, next: next, weight: s.Weight}
		if !(m.weight > 0) {
			m.weight = 0
		}
		m.pull()
		if s.Normalize && m.some && m.head.Score > 0 {
			m.weight /= m.head.Score
		}
		streams = append(streams, m)
	}
	fold := foldOf(streams)
	seen := map[string]bool{}
	var best []ranked
	for {
		// What has not come up has no more than this.
		limit, more := 0.0, false
		for i := range streams {
			if m := &streams[i]; m.some {
				limit += m.weight * m.head.Score
				more = true
			}
		}
		if !more || len(best) == k && best[k-1].Score > limit {
			break
		}
		for i := range streams {
			m := &streams[i]
			if !m.some {
				continue
			}
			term := m.head.Term
			m.pull()
			key := string(fold.append(nil, term))
			if seen[key] {
				continue
			}
			seen[key] = true
			r := ranked{Completion{Term: term}, key}
			for j := range streams {
				if score, ok := streams[j].source.ScoreOf(term); ok {
					r.Score += streams[j].weight * score
				}
			}
			at, _ := slices.BinarySearchFunc(best, r, ranked.compare)
			if at < k {
				best = slices.Insert(best, at, r)[:min(len(best)+1, k)]
			}
		}
	}
	out := make([]Completion, len(best))
	for i := range best {
		out[i] = best[i].Completion
	}
	return out
}

type mergeStream struct {
	source Source
	next   func() (Completion, bool)
	weight float64
	head   Completion
	some   bool
}

func (m *mergeStream) pull() { m.head, m.some = m.next() }

type ranked struct {
	Completion
	key string
}

func (r ranked) compare(o ranked) int {
	return cmp.Or(cmp.Compare(o.Score, r.Score), strings.Compare(r.key, o.key))
}

// foldOf is how terms of the sources are told apart: by bytes if one of them does so.
func foldOf(streams []mergeStream) Fold {
	for i := range streams {
		if f, ok := streams[i].source.(interface{ Fold() Fold }); ok && f.Fold() == FoldNone {
			return FoldNone
		}
	}
	return FoldDefault
}

// Union iterates over the completions of sources that have no term in common, shards for
// example, best first and by folded term among equals. It is lazy.
func Union(prefix string, sources ...Source) iter.Seq[Completion] {
	return func(yield func(Completion) bool) {
		streams := make([]mergeStream, len(sources))
		for i, s := range sources {
			next, stop := iter.Pull(s.Completions(prefix))
			defer stop()
			streams[i] = mergeStream{source: s, next: next}
			streams[i].pull()
		}
		fold := foldOf(streams)
		for {
			var first *mergeStream
			for i := range streams {
				if m := &streams[i]; m.some && (first == nil || m.before(first, fold)) {
					first = m
				}
			}
			if first == nil || !yield(first.head) {
				return
			}
			first.pull()
		}
	}
}

func (m *mergeStream) before(o *mergeStream, fold Fold) bool {
	if m.head.Edits != o.head.Edits {
		return m.head.Edits < o.head.Edits
	}
	if m.head.Score != o.head.Score {
		return m.head.Score > o.head.Score
	}
	return string(fold.append(nil, m.head.Term)) < string(fold.append(nil, o.head.Term))
}

// Shards is a division of all terms into ranges of folded terms: the i-th ends where
// Bounds[i] begins. The zero Shards is one shard.
type Shards struct {
	Bounds []string
	Fold   Fold
}

// SplitByWeight divides the terms of s into up to n shards of equal sums of scores, or as
// near as terms allow: for terms whose scores are how often they are searched, shards
// with the same load. It reads all terms twice.
func SplitByWeight(s *Snapshot, n int) Shards {
	out := Shards{Fold: s.fold}
	var total float64
	s.eachKey(func(_ []byte, score uint64) { total += float64(score) })
	var sum float64
	var last []byte
	s.eachKey(func(key []byte, score uint64) {
		// The shard ends before the term that would take it further beyond its share than
		// the shard is short of it now.
		if want := total / float64(max(n, 1)) * float64(len(out.Bounds)+1); len(out.Bounds) < n-1 && last != nil && sum+float64(score)/2 >= want {
			out.Bounds = append(out.Bounds, boundary(last, key))
		}
		sum += float64(score)
		last = append(last[:0], key...)
	})
	return out
}

func (s *Snapshot) eachKey(f func(key []byte, score uint64)) {
	defer s.mapping.alive()
	for k, v := range s.entries(nil) {
		if !s.aliases || !slices.Contains(k, aliasMark) {
			f(k, v.score)
		}
	}
}

// boundary is the shortest beginning of key, in whole runes, that is after last.
func boundary(last, key []byte) string {
	n := common(last, key)
	for i := range string(key) {
		if i > n {
			return string(key[:i])
		}
	}
	return string(key)
}

// Len is the number of shards.
func (s Shards) Len() int { return len(s.Bounds) + 1 }

// Of is the shard that a term belongs to.
func (s Shards) Of(term string) int { return s.upTo(string(s.Fold.append(nil, term)), false) }

// Range returns the shards that may have completions of prefix: from lo to hi, without hi.
func (s Shards) Range(prefix string) (lo, hi int) {
	key := string(s.Fold.append(nil, prefix))
	return s.upTo(key, false), s.upTo(key, true) + 1
}

// upTo counts the bounds that are at most key, or begin with it.
func (s Shards) upTo(key string, within bool) int {
	n, _ := slices.BinarySearchFunc(s.Bounds, key, func(bound, key string) int {
		if bound <= key || within && strings.HasPrefix(bound, key) {
			return -1
		}
		return 1
	})
	return n
}
