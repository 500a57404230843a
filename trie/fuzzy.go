package trie

import "unicode/utf8"

// fuzzyCursor produces the completions of a prefix with exactly so many edits, best first.
//
// First it walks, with an automaton that reads the paths, through all that may match and as
// far down as it must to know: groups in their order, so that the best come early. What it
// finds are nodes below which everything matches, and terms that do. These are the frontier
// of an ordinary search, which comes then. When it is known how many results are wanted,
// each of those nodes stands for one, and what is worse than so many of them is not walked
// into: a frontier of all that is not decided yet would look into a little less, but to
// keep it in order costs more than that.
type fuzzyCursor struct {
	found  cursor
	q      *fuzzyQuery
	edits  int
	path   []byte // from the root to where the walk is
	levels []fuzzyLevel
}

// fuzzyLevel is a group on the way of the walk.
type fuzzyLevel struct {
	pos  int    // of the record to be looked at next
	best uint64 // of the one before, or of the parent
	size int    // of the path of the group
	at   reading
	may  byteSet // first bytes of labels that may match
}

// reading is how far the automaton has come on a path: the last bytes of a path may be the
// beginning of a rune.
type reading struct {
	state editState
	done  uint32 // bytes of the path
}

// read goes on to the end of path. It is false if nothing below matches.
func (p *reading) read(q *fuzzyQuery, edits int, path []byte) bool {
	for !p.state.sure && int(p.done) < len(path) {
		rest := path[p.done:]
		r, n := rune(rest[0]), 1
		if r >= utf8.RuneSelf {
			if rest[0] == aliasMark {
				return p.end(q, edits) // what is behind the mark stands before the word
			}
			if !utf8.FullRune(rest) {
				return true
			}
			r, n = utf8.DecodeRune(rest)
		}
		p.done += uint32(n)
		if !p.state.step(q, edits, r) {
			return false
		}
	}
	return true
}

// end says that there is nothing more to read, and whether what was read matches.
func (p *reading) end(q *fuzzyQuery, edits int) bool {
	p.state.sure = true
	return int(p.state.best) == edits && int(p.state.read) >= min(q.exact, len(q.runes))
}

// start begins with the terms that match with exactly so many edits; limit > 0 promises
// that no more than that many will be asked for. The keys of one edit stay valid when it
// starts with two.
func (c *fuzzyCursor) start(s *Snapshot, q *fuzzyQuery, edits, limit int) {
	f := &c.found
	buf := f.buf
	f.keep = true
	f.begin(s, limit)
	if edits > 1 {
		f.buf = buf
	}
	c.q, c.edits = q, edits
	c.path, c.levels = c.path[:0], c.levels[:0]
	if s.root != 0 {
		c.enter(s.root, s.best, reading{state: startEdits(q, edits)})
		c.walk()
	}
}

func (c *fuzzyCursor) next(h *hit) bool { return c.found.search(h) }

// enter goes down into a group, to which the path leads.
func (c *fuzzyCursor) enter(pos int, best uint64, at reading) {
	all := ^uint64(0)
	l := fuzzyLevel{pos, best, len(c.path), at, byteSet{all, all, all, all}}
	if int(at.done) == len(c.path) { // the path does not end within a rune
		l.may = at.state.alive(c.q, c.edits)
	}
	c.levels = append(c.levels, l)
}

// walk looks at all that may match.
func (c *fuzzyCursor) walk() {
	f := &c.found
	var r record
	for len(c.levels) > 0 && f.steps > 0 {
		l := &c.levels[len(c.levels)-1]
		some := seekSet(f.s.arena, l.pos, l.best, &l.may, true, &r)
		f.steps -= r.next - l.pos
		if !some || f.front.worse(r.best) { // then so is all that is behind it
			c.levels = c.levels[:len(c.levels)-1]
			continue
		}
		size, at := l.size, l.at
		l.pos, l.best = r.next, r.best
		if r.last {
			c.levels = c.levels[:len(c.levels)-1]
		}
		c.path = c.path[:size]
		if r.label {
			c.path = append(c.path, r.first)
			c.path = f.s.symbols.appendDecoded(c.path, f.s.arena[r.codes:r.codeEnd])
		}
		switch {
		case !at.read(c.q, c.edits, c.path):
		case at.state.sure || r.child == 0 && at.end(c.q, c.edits):
			off := len(f.buf)
			f.buf = append(f.buf, c.path[:size]...)
			f.push(&r, r.pos, off, size, true)
		case r.child != 0:
			c.enter(r.child, r.best, at)
		}
	}
}
