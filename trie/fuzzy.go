package trie

import (
	"math"
	"unicode/utf8"
)

// fuzzyCursor produces the completions of a prefix with exactly so many edits, best first:
// the search of cursor with an automaton that reads the paths. A group below which not
// everything matches is looked through at once, and what cannot match never gets to the
// frontier; below a path that matches for sure it goes on as cursor does.
type fuzzyCursor struct {
	s     *Snapshot
	q     *fuzzyQuery
	edits int
	buf   []byte
	front frontier[reading]
	steps int // bytes that the search may still look into
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

// start begins with the terms that match with exactly so many edits. The keys of one edit
// stay valid when it starts with two.
func (c *fuzzyCursor) start(s *Snapshot, q *fuzzyQuery, edits int) {
	if edits == 1 {
		c.buf = c.buf[:0]
	}
	c.s, c.q, c.edits, c.steps = s, q, edits, s.maxSteps()
	c.front.reset(0)
	if s.root != 0 {
		c.pushGroup(s.root, s.best, 0, 0, reading{state: startEdits(q, edits)})
	}
}

func (c *fuzzyCursor) push(r *record, pos, off, size int, alone bool, at reading) {
	c.front.push(with[reading]{entry{r.best, pos, off, uint32(size), uint16(order(r.label, r.first)), alone}, at}, c.buf)
}

// pushGroup pushes the records of a group that may match. Most cannot, and for most of
// these their first byte is enough to see it.
func (c *fuzzyCursor) pushGroup(pos int, best uint64, off, size int, at reading) {
	all := ^uint64(0)
	may := byteSet{all, all, all, all}
	whole := int(at.done) == size // the path does not end within a rune
	if whole {
		may = at.state.alive(c.q, c.edits)
	}
	var r record
	r.best = best
	for c.steps > 0 {
		found := seekSet(c.s.arena, pos, r.best, &may, true, &r)
		c.steps -= r.next - pos
		if !found {
			return
		}
		end := len(c.buf)
		now, start := at, end
		if whole {
			now.done = 0 // what is behind the path can be read without it
		} else {
			c.buf = append(c.buf, c.buf[off:off+size]...)
		}
		if c.label(&r, start, &now) {
			c.push(&r, r.pos, off, size, true, at)
		}
		c.buf = c.buf[:end]
		if r.last {
			return
		}
		pos = r.next
	}
}

// label appends a record's label to the path that starts at start and reads it. It is false
// if nothing below matches.
func (c *fuzzyCursor) label(r *record, start int, at *reading) bool {
	if r.label {
		c.buf = append(c.buf, r.first)
		c.buf = c.s.symbols.appendDecoded(c.buf, c.s.arena[r.codes:r.codeEnd])
	}
	if !at.read(c.q, c.edits, c.buf[start:]) {
		return false
	}
	return r.child != 0 || at.state.sure || at.end(c.q, c.edits)
}

func (c *fuzzyCursor) next(h *hit) bool {
	a := c.s.arena
	for !c.front.empty() {
		e := c.front.pop(c.buf)
		var r record
		if !read(a, e.pos, math.MaxUint64, &r) {
			return false
		}
		r.best = e.best
		off, size, at := e.path, int(e.size), e.extra
		if !e.alone {
			c.pushNext(&r, off, size, at)
		}
		start := len(c.buf)
		c.buf = append(c.buf, c.buf[off:off+size]...)
		for c.label(&r, start, &at) {
			if r.child == 0 {
				h.key, h.show, h.score = c.buf[start:len(c.buf):len(c.buf)], nil, r.best
				if r.showEnd > 0 {
					from := len(c.buf)
					c.buf = c.s.symbols.appendDecoded(c.buf, a[r.show:r.showEnd])
					h.show = c.buf[from:len(c.buf):len(c.buf)]
				}
				return true
			}
			if !at.state.sure {
				c.pushGroup(r.child, r.best, start, len(c.buf)-start, at)
				break
			}
			if c.steps--; c.steps < 0 || !read(a, r.child, r.best, &r) {
				return false
			}
			c.pushNext(&r, start, len(c.buf)-start, at)
		}
	}
	return false
}

// pushNext pushes the successor of r in a group where all match.
func (c *fuzzyCursor) pushNext(r *record, off, size int, at reading) {
	if r.last {
		return
	}
	var n record
	if read(c.s.arena, r.next, r.best, &n) {
		c.push(&n, r.next, off, size, false, at)
	}
}
