package trie

import (
	"bytes"
	"iter"
	"slices"
	"sync"
)

// A Snapshot is an immutable set of terms with scores that finds the best completions of
// a prefix. It is made by a [Builder] or read from a file by [Open] or [Load], and is safe
// for any number of goroutines. What it holds is a few slices of bytes, with no pointer
// in them, whatever the number of terms.
type Snapshot struct {
	arena   []byte
	root    int    // position of the root's group; 0 if there is no term
	best    uint64 // score of the best term
	terms   int
	symbols *symbols
	heads   heads
	fold    Fold
	aliases bool // built with WordStarts
	longest int  // bytes of the longest key
	mapping *mapping
	pool    sync.Pool // of *Searcher
}

// Len is the number of terms.
func (s *Snapshot) Len() int { return s.terms }

// Fold is how the terms were folded.
func (s *Snapshot) Fold() Fold { return s.fold }

// WordStarts reports whether terms are found by their inner words, too.
func (s *Snapshot) WordStarts() bool { return s.aliases }

// SizeBytes is what the snapshot takes in memory, nearly: everything but a few hundred
// bytes. Its file is a little larger, by the checksums.
func (s *Snapshot) SizeBytes() int64 {
	return int64(len(s.arena)) + int64(len(s.heads.blob)) + int64(len(s.heads.index)) + 256*9
}

// maxSteps is more than a search can look into of an arena that a builder wrote, in which a
// record has one parent. In a forged one nodes may share children, and so have more terms
// than there are atoms.
func (s *Snapshot) maxSteps() int { return len(s.arena) + 1 }

// TopK returns the k best completions of prefix by score, descending, and by folded term
// among equals. It allocates twice, however large k is: the list and the text.
func (s *Snapshot) TopK(prefix string, k int) []Completion {
	return s.Search(Query{Prefix: prefix, K: k})
}

// AppendTopK appends the k best completions of prefix to dst, with one allocation for all
// their text if dst has room.
func (s *Snapshot) AppendTopK(dst []Completion, prefix string, k int) []Completion {
	q := s.searcher()
	defer s.pool.Put(q)
	return appendOwn(dst, q.Search(Query{Prefix: prefix, K: k}))
}

// Search returns the query's best completions; see [Searcher.Search] for their order.
func (s *Snapshot) Search(query Query) []Completion {
	q := s.searcher()
	defer s.pool.Put(q)
	return own(q.Search(query))
}

func (s *Snapshot) searcher() *Searcher {
	if q, ok := s.pool.Get().(*Searcher); ok {
		return q
	}
	return s.NewSearcher()
}

// Completions iterates over all completions of prefix, best first. It is lazy: the first
// ten cost what TopK of ten costs.
func (s *Snapshot) Completions(prefix string) iter.Seq[Completion] {
	return func(yield func(Completion) bool) {
		defer s.mapping.alive()
		q := s.searcher()
		defer s.pool.Put(q)
		var ok bool
		if q.out.prefix, ok = s.fold.query(q.out.prefix[:0], prefix); !ok {
			return
		}
		q.cursor.keep = false // every term is copied before the next is looked for
		defer func() { q.cursor.keep = true }()
		q.cursor.start(s, q.out.prefix, 0)
		q.out.yieldAll(&q.cursor, nil, yield)
	}
}

// yieldAll yields the hits of a stream, for o.prefix, as completions.
func (o *results) yieldAll(from stream, scale func(uint64) float64, yield func(Completion) bool) {
	h := &o.hit
	for from.next(h) {
		key := h.key
		if mark := bytes.IndexByte(key, aliasMark); mark >= 0 {
			key = append(slices.Clone(key[mark+1:]), key[:mark]...)
			if foundBefore(key, o.prefix, len(h.key)-mark-1) {
				continue
			}
		}
		if h.show != nil {
			key = h.show
		}
		if !yield(Completion{Term: string(key), Score: scaled(h.score, scale)}) {
			return
		}
	}
}

// Score returns the exact score of a term.
func (s *Snapshot) Score(term string) (score uint64, ok bool) {
	defer s.mapping.alive()
	q := s.searcher()
	defer s.pool.Put(q)
	if q.out.prefix, ok = s.fold.query(q.out.prefix[:0], term); !ok {
		return 0, false
	}
	score, _, ok = s.lookup(q.out.prefix)
	return score, ok
}

// ScoreOf is Score as [Merge] wants it.
func (s *Snapshot) ScoreOf(term string) (float64, bool) {
	score, ok := s.Score(term)
	return float64(score), ok
}

// lookup finds a key and the codes of its display form, nil if it has none.
func (s *Snapshot) lookup(key []byte) (score uint64, show []byte, ok bool) {
	if s.root == 0 || len(key) == 0 || len(key) > s.longest {
		return 0, nil, false
	}
	done, group, best := 0, s.root, s.best
	var h head
	var hashes [maxHeadPath + 1]uint64
	if s.heads.longest(key, &hashes, &h) && len(h.path) <= len(key) {
		if !bytes.HasPrefix(key, h.path) {
			return 0, nil, false
		}
		done, group, best = len(h.path), h.group, h.best
	}
	var r record
	for {
		rest := key[done:]
		if len(rest) == 0 {
			// A term that is a prefix of others: a leaf without a label, somewhere in its group.
			for pos := group; ; pos = r.next {
				if !read(s.arena, pos, best, &r) {
					return 0, nil, false
				}
				if !r.label {
					break
				}
				if r.last {
					return 0, nil, false
				}
				best = r.best
			}
		} else if !seek(s.arena, group, best, rest[0], &r) {
			return 0, nil, false
		}
		best = r.best
		if r.label {
			n, same := s.symbols.match(s.arena[r.codes:r.codeEnd], rest[1:])
			if !same || n != s.symbols.length(s.arena[r.codes:r.codeEnd]) {
				return 0, nil, false
			}
			done += 1 + n
		}
		if r.child != 0 {
			group = r.child
			continue
		}
		if done != len(key) {
			return 0, nil, false
		}
		if r.showEnd > 0 {
			show = s.arena[r.show:r.showEnd]
		}
		return r.best, show, true
	}
}

// All iterates over all terms and their exact scores in the order of their folded bytes.
func (s *Snapshot) All() iter.Seq2[string, uint64] { return s.Range("") }

// Range iterates over the terms that begin with prefix, in the order of their folded bytes.
// Word starts do not count.
func (s *Snapshot) Range(prefix string) iter.Seq2[string, uint64] {
	return func(yield func(string, uint64) bool) {
		defer s.mapping.alive()
		key, ok := s.fold.query(nil, prefix)
		if !ok {
			return
		}
		for k, v := range s.entries(key) {
			if s.aliases && bytes.IndexByte(k, aliasMark) >= 0 {
				continue
			}
			term := k
			if v.show != nil {
				term = v.show
			}
			if !yield(string(term), v.score) {
				return
			}
		}
	}
}

// value is what belongs to a key.
type value struct {
	score uint64
	show  []byte // the form to show, nil if it is the key
}

// entries iterates over keys that begin with prefix, in key order, aliases among them. The
// key and the value are valid until the next.
func (s *Snapshot) entries(prefix []byte) iter.Seq2[[]byte, value] {
	return func(yield func([]byte, value) bool) {
		var c cursor
		c.start(s, prefix, 0)
		if c.left > 0 { // of a heavy prefix we want the node, not the answers
			c.left, c.then = 0, false
			c.openGroup(c.head.group, c.head.best, c.head.path)
		}
		if c.front.empty() {
			return
		}
		e := c.front.pop(c.buf)
		k := keyOrder{s: s, steps: s.maxSteps(), path: slices.Clone(e.of(c.buf))}
		k.group(e.pos, e.best, e.alone)
		for k.next(yield) {
		}
	}
}

// keyOrder walks an arena in key order: a stack of records, each to be read below the
// first size bytes of path, the next on top.
type keyOrder struct {
	s     *Snapshot
	steps int
	path  []byte
	stack []keyed
	show  []byte
}

type keyed struct {
	pos  int
	best uint64
	size int
	rank uint16
}

// group pushes the records of a group, in reverse order of their first bytes.
func (k *keyOrder) group(pos int, best uint64, alone bool) {
	from := len(k.stack)
	var r record
	r.best = best
	for {
		first := len(k.stack) == from
		prev := r.best
		if first && alone {
			prev = ^uint64(0) // the best of one that stands alone is known, its predecessor's not
		}
		if k.steps--; k.steps < 0 || !read(k.s.arena, pos, prev, &r) {
			break
		}
		if first {
			r.best = best
		}
		k.stack = append(k.stack, keyed{pos, r.best, len(k.path), uint16(order(r.label, r.first))})
		if r.last || alone {
			break
		}
		pos = r.next
	}
	slices.SortFunc(k.stack[from:], func(a, b keyed) int { return int(b.rank) - int(a.rank) })
}

func (k *keyOrder) next(yield func([]byte, value) bool) bool {
	if len(k.stack) == 0 {
		return false
	}
	top := k.stack[len(k.stack)-1]
	k.stack = k.stack[:len(k.stack)-1]
	var r record
	if !read(k.s.arena, top.pos, ^uint64(0), &r) {
		return false
	}
	k.path = k.path[:top.size]
	if r.label {
		k.path = append(k.path, r.first)
		k.path = k.s.symbols.appendDecoded(k.path, k.s.arena[r.codes:r.codeEnd])
	}
	if r.child != 0 {
		k.group(r.child, top.best, false)
		return true
	}
	v := value{score: top.best}
	if r.showEnd > 0 {
		k.show = k.s.symbols.appendDecoded(k.show[:0], k.s.arena[r.show:r.showEnd])
		v.show = k.show
	}
	return yield(k.path, v)
}
