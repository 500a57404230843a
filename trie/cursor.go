package trie

import "math"

// hit is a completion as the arena has it. Its slices are valid until the cursor's next
// start, or the next hit of a cursor that does not keep.
type hit struct {
	key   []byte // the folded term
	show  []byte // the form to show, nil if it is the key
	score uint64
}

// cursor produces the completions of a prefix, best first, as many as are asked for. It
// is the one search of the package: it looks into the entry that promises most until
// what it finds is a term. Since promises are exact, every look but the last of each
// term is on the way to that term, and k terms cost about k walks to a leaf.
//
// A cursor may be started again any number of times and then allocates nothing.
type cursor struct {
	s      *Snapshot
	buf    []byte // paths and keys; entries point into it
	front  frontier[struct{}]
	keep   bool // keys stay valid until the next start
	floor  int  // of a cursor that does not keep: size of buf to tidy it at
	head   head
	left   int  // answers still to come from the head
	given  int  // answers that came from it
	then   bool // a search comes after them
	steps  int  // records that a search may still look into
	hashes [maxHeadPath + 1]uint64
}

const forgetBytes = 1 << 20

// start begins with the completions of prefix. limit > 0 promises that no more than that
// many hits will be asked for.
func (c *cursor) start(s *Snapshot, prefix []byte, limit int) {
	c.begin(s, limit)
	if s.root == 0 {
		return
	}
	if !s.heads.longest(prefix, &c.hashes, &c.head) {
		c.walk(prefix, 0, s.root, s.best)
		return
	}
	path := c.head.path
	n := common(path, prefix)
	switch {
	case n < len(path) && n < len(prefix): // all that begins as prefix does goes on as path
	case n < len(prefix):
		c.walk(prefix, n, c.head.group, c.head.best)
	case limit > 0 && (limit <= c.head.answers || c.head.complete):
		c.left = c.head.answers
	case limit == 0:
		c.left, c.then = c.head.answers, !c.head.complete
	default:
		c.openGroup(c.head.group, c.head.best, path)
	}
}

// startGroup begins with what is below a group.
func (c *cursor) startGroup(s *Snapshot, path []byte, group int, best uint64, limit int) {
	c.begin(s, limit)
	c.openGroup(group, best, path)
}

func (c *cursor) begin(s *Snapshot, limit int) {
	c.s, c.buf, c.floor = s, c.buf[:0], forgetBytes
	c.left, c.given, c.then = 0, 0, false
	c.steps = s.maxSteps()
	c.front.reset(limit)
}

// openGroup pushes the group whose nodes begin with path.
func (c *cursor) openGroup(group int, best uint64, path []byte) {
	off := len(c.buf)
	c.buf = append(c.buf, path...)
	var r record
	if read(c.s.arena, group, best, &r) {
		c.push(&r, group, off, len(path), false)
	}
}

func (c *cursor) push(r *record, pos, off, size int, alone bool) {
	c.front.push(with[struct{}]{entry: entry{r.best, pos, off, uint32(size), uint16(order(r.label, r.first)), alone}}, c.buf)
}

// walk goes down to prefix, of which done bytes lead to the group, and pushes what is there.
func (c *cursor) walk(prefix []byte, done, group int, best uint64) {
	if done == len(prefix) {
		c.openGroup(group, best, prefix)
		return
	}
	a := c.s.arena
	var r record
	for {
		if !seek(a, group, best, prefix[done], &r) {
			return
		}
		best = r.best
		n, same := c.s.symbols.match(a[r.codes:r.codeEnd], prefix[done+1:])
		if !same {
			return
		}
		if done+1+n >= len(prefix) { // the prefix ends in this label
			off := len(c.buf)
			c.buf = append(c.buf, prefix[:done]...)
			c.push(&r, r.pos, off, done, true)
			return
		}
		if r.child == 0 {
			return
		}
		done += 1 + n
		group = r.child
	}
}

// next finds the next completion; false if there is none.
func (c *cursor) next(h *hit) bool {
	if c.left > 0 {
		c.left--
		c.given++
		rest, show, ok := c.s.heads.next(&c.head)
		if !ok {
			return false
		}
		off := len(c.buf)
		c.buf = append(c.buf, c.head.path...)
		c.buf = append(c.buf, rest...)
		h.key, h.show, h.score = c.buf[off:len(c.buf):len(c.buf)], nil, c.head.score
		if show != nil { // a copy: results may outlive the mapping
			off = len(c.buf)
			c.buf = append(c.buf, show...)
			h.show = c.buf[off:len(c.buf):len(c.buf)]
		}
		return true
	}
	if c.then {
		// The head is used up and more is wanted: search, and pass over what it gave.
		c.then = false
		c.openGroup(c.head.group, c.head.best, c.head.path)
		for range c.given {
			if !c.search(h) {
				return false
			}
		}
	}
	return c.search(h)
}

// search finds the next completion in the arena.
func (c *cursor) search(h *hit) bool {
	if c.front.empty() {
		return false
	}
	if !c.keep {
		c.forget()
	}
	e := c.front.pop(c.buf)
	a := c.s.arena
	var r record
	if !read(a, e.pos, math.MaxUint64, &r) {
		return false
	}
	r.best = e.best
	// The path of the group that r stands in is buf[off:off+size]; its copy at the end of
	// the buffer grows, label by label, into the key, and serves as the path of all
	// groups on the way.
	off, size := e.path, int(e.size)
	if !e.alone {
		c.pushNext(&r, off, size)
	}
	start := len(c.buf)
	c.buf = append(c.buf, c.buf[off:off+size]...)
	for {
		if r.label {
			c.buf = append(c.buf, r.first)
			c.buf = c.s.symbols.appendDecoded(c.buf, a[r.codes:r.codeEnd])
		}
		if r.child == 0 {
			break
		}
		if c.steps--; c.steps < 0 || !read(a, r.child, r.best, &r) {
			return false
		}
		c.pushNext(&r, start, len(c.buf)-start)
	}
	c.front.found()
	h.key, h.show, h.score = c.buf[start:len(c.buf):len(c.buf)], nil, r.best
	if r.showEnd > 0 {
		from := len(c.buf)
		c.buf = c.s.symbols.appendDecoded(c.buf, a[r.show:r.showEnd])
		h.show = c.buf[from:len(c.buf):len(c.buf)]
	}
	return true
}

// pushNext pushes the successor of r in its group.
func (c *cursor) pushNext(r *record, off, size int) {
	if r.last {
		return
	}
	var n record
	if read(c.s.arena, r.next, r.best, &n) {
		c.push(&n, r.next, off, size, false)
	}
}

// forget makes room in the buffer of a long iteration: once in a while it keeps only the
// paths that entries still need.
func (c *cursor) forget() {
	if len(c.buf) < c.floor {
		return
	}
	live := c.front.entries[c.front.head:]
	old := c.buf
	c.buf = make([]byte, 0, len(old))
	off, size, at := 0, uint32(0), 0
	for i := range live {
		e := &live[i]
		if i == 0 || e.path != off || e.size != size {
			off, size, at = e.path, e.size, len(c.buf)
			c.buf = append(c.buf, e.of(old)...)
		}
		e.path = at
	}
	c.floor = max(forgetBytes, 2*len(c.buf))
}
