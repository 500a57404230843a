package trie

import (
	"bytes"
	"strings"
	"unsafe"
)

// A Completion is a term that was found.
type Completion struct {
	Term  string  // the form to show
	Score float64 // of a Snapshot or Index the exact score, rounded to a float64
	Edits uint8   // by how many edits the typed prefix differs from how the term begins
}

// A Query is a search for the best completions of a prefix.
type Query struct {
	// Prefix is what was typed; it is folded as the terms were. The empty prefix has all
	// terms as completions, one that is not valid UTF-8 has none.
	Prefix string
	// K is how many completions are wanted. 0 or less: none.
	K int
	// Fuzzy allows typing errors. The zero value does not.
	Fuzzy Fuzzy
	// Filter, if not nil, says which terms may be shown; the search goes on until K of
	// them are found. The string that it gets is valid during the call only. It must not
	// search with the Searcher that calls it.
	Filter func(term string) bool
}

// stream produces hits, ordered by score, descending, and then by key.
type stream interface {
	next(h *hit) bool
}

// A Searcher searches a Snapshot again and again without allocating: it keeps the memory
// that a search needs. It is for one goroutine; a snapshot may have any number of them.
type Searcher struct {
	s      *Snapshot
	cursor cursor
	fuzzy  fuzzyCursor
	out    results
}

// NewSearcher returns a Searcher of s.
func (s *Snapshot) NewSearcher() *Searcher {
	q := &Searcher{s: s}
	q.cursor.keep = true
	return q
}

// Search returns the query's best completions: those that need fewer edits first, then by
// score, descending, then by folded term; of a term that is found by an inner word, the
// part from that word on counts. The slice and the strings in it are valid
// until the next call; copy what you keep, or use [Snapshot.TopK].
func (q *Searcher) Search(query Query) []Completion {
	defer q.s.mapping.alive()
	if !q.out.begin(query, q.s.fold, q.s.aliases) {
		return nil
	}
	prefix := q.out.prefix
	q.cursor.start(q.s, prefix, q.out.limit(q.s.aliases))
	q.out.collect(&q.cursor, 0)
	for edits := 1; edits <= q.out.edits; edits++ {
		if q.out.full() {
			break
		}
		q.fuzzy.start(q.s, &q.out.fuzzyQuery, edits, q.out.limit(q.s.aliases))
		q.out.collect(&q.fuzzy, uint8(edits))
	}
	return q.out.list
}

// results turns hits into the completions that a query wants.
type results struct {
	query      Query
	prefix     []byte // folded
	edits      int    // that are allowed
	fuzzyQuery fuzzyQuery
	text       []byte          // what the terms of aliases are made of
	seen       map[string]bool // keys, if a term can be found in several ways
	list       []Completion
	hit        hit
	scale      func(uint64) float64 // of the scores that are shown; nil: as they are
}

func scaled(score uint64, scale func(uint64) float64) float64 {
	if scale == nil {
		return float64(score)
	}
	return scale(score)
}

// begin prepares for a query; false if it has no result.
func (o *results) begin(query Query, fold Fold, aliases bool) bool {
	o.query, o.list, o.text = query, o.list[:0], o.text[:0]
	if query.K <= 0 {
		return false
	}
	var ok bool
	if o.prefix, ok = fold.query(o.prefix[:0], query.Prefix); !ok {
		return false
	}
	o.edits, o.seen = 0, nil
	if query.Fuzzy.MaxEdits > 0 {
		o.edits = query.Fuzzy.allowed(&o.fuzzyQuery, o.prefix)
		if aliases && o.edits > 0 {
			o.seen = map[string]bool{}
		}
	}
	return true
}

// limit is the number of hits that will still be asked for, 0 if that depends on them.
func (o *results) limit(aliases bool) int {
	if aliases || o.query.Filter != nil {
		return 0
	}
	return o.query.K - len(o.list)
}

func (o *results) full() bool { return len(o.list) >= o.query.K }

// collect takes hits until there are enough.
func (o *results) collect(from stream, edits uint8) {
	h := &o.hit // not a variable: it would be allocated
	for !o.full() && from.next(h) {
		key := h.key
		if mark := bytes.IndexByte(key, aliasMark); mark >= 0 {
			start := len(o.text)
			o.text = append(o.text, key[mark+1:]...)
			o.text = append(o.text, key[:mark]...)
			skipped := len(key) - mark - 1
			key = o.text[start:len(o.text):len(o.text)]
			if edits == 0 && foundBefore(key, o.prefix, skipped) {
				continue
			}
		}
		if o.seen != nil {
			if o.seen[view(key)] {
				continue
			}
			o.seen[view(key)] = true
		}
		term := view(key)
		if h.show != nil {
			term = view(h.show)
		}
		if o.query.Filter == nil || o.query.Filter(term) {
			o.list = append(o.list, Completion{Term: term, Score: scaled(h.score, o.scale), Edits: edits})
		}
	}
}

// view is b as a string that shares its bytes.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// own returns a copy of a list whose strings are backed by one allocation.
func own(list []Completion) []Completion {
	return appendOwn(make([]Completion, 0, len(list)), list)
}

func appendOwn(dst, list []Completion) []Completion {
	n := 0
	for i := range list {
		n += len(list[i].Term)
	}
	var text strings.Builder
	text.Grow(n)
	for _, c := range list {
		from := text.Len()
		text.WriteString(c.Term)
		c.Term = text.String()[from:]
		dst = append(dst, c)
	}
	return dst
}
