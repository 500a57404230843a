package robots

// Matching.
//
// A rule's pattern is anchored at the start of the path; "*" stands for any run of octets,
// "$" at the end for the end of the path. Of the rules that match, the longest pattern
// wins, and allow wins a tie.
//
// Most rules have no wildcard. These are kept sorted, each with a link to the longest
// other rule that is a prefix of it:
//
//	/          ◀─┐ ◀────┐
//	/a           ├─┐    │       path /ab/x: binary search ends at /ab/c, the last rule
//	/ab/       ──┘ │ ◀┐ │       that sorts before it; the two share 4 octets; the links
//	/ab/c      ────│──┘ │       lead to /ab/, the first that is no longer than that
//	/b         ────┘────┘
//
// Every rule that is a prefix of the path is on that chain, for it sorts before the path
// and is a prefix of all that lies between. Rules with a wildcard are tried after that,
// longest first, until the next is too short to win. A wildcard takes the first place
// where what follows it fits; a later place could only leave less for the rest.
//
// By the RFC, patterns and paths are compared in one form: what need not be encoded is
// decoded, what must be is encoded with capital digits, and a "*" or "$" in a path, which
// in a pattern can only be written encoded, is encoded.

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"
	"unsafe"
)

// Rules are those that hold for one agent, compiled. The zero value allows everything.
type Rules struct {
	mode     Mode
	closed   bool
	delay    time.Duration
	hasDelay bool
	literal  []literal
	wild     []wild
}

// literal is a rule without wildcard.
type literal struct {
	prefix string
	up     int32 // the longest rule that is a proper prefix of this one; -1: none
	rule   Rule
}

// wild is a rule with a wildcard.
type wild struct {
	size     int // of the pattern: its rank
	head     string
	rest     []string // what must follow, in this order, each after any run of octets
	anchored bool     // the last must end the path
	rule     Rule
}

// CrawlDelay returns the pause that the site asks for between two requests, and whether
// it asks for one. Of several the longest counts; ten years is the most.
func (r *Rules) CrawlDelay() (d time.Duration, ok bool) { return r.delay, r.hasDelay }

// Len returns the number of rules.
func (r *Rules) Len() int { return len(r.literal) + len(r.wild) }

// Allowed reports whether pathQuery, a URL's path with its query if it has one, may be
// fetched. A fragment is ignored; an empty path is "/". It does not allocate.
func (r *Rules) Allowed(pathQuery string) bool {
	rule, _ := r.find(pathQuery)
	return rule == nil && !r.closed || rule != nil && rule.Allow
}

// Match returns the rule that decides about pathQuery; ok is false if none does, and it is
// then allowed, unless the file could not be had.
func (r *Rules) Match(pathQuery string) (rule Rule, ok bool) {
	if p, ok := r.find(pathQuery); ok {
		return *p, true
	}
	return Rule{}, false
}

// always is the rule for what no file can forbid.
var always = Rule{Allow: true, Pattern: "/robots.txt"}

func (r *Rules) find(pathQuery string) (*Rule, bool) {
	if r.mode == RFC9309 && pathQuery == always.Pattern {
		return &always, true
	}
	if len(r.literal) == 0 && len(r.wild) == 0 {
		return nil, false
	}
	n := canonicalPrefix(pathQuery, r.mode)
	if n > 0 && n == len(pathQuery) {
		return r.best(pathQuery)
	}
	if n > 0 && pathQuery[n] == '#' {
		return r.best(pathQuery[:n])
	}
	return r.findRewritten(pathQuery)
}

// scratch keeps buffers for paths that the stack has no room for.
var scratch = sync.Pool{New: func() any { return new([]byte) }}

// findRewritten looks a path up that is not in canonical form.
func (r *Rules) findRewritten(p string) (*Rule, bool) {
	if i := strings.IndexByte(p, '#'); i >= 0 {
		p = p[:i]
	}
	var stack [512]byte
	if 3*len(p)+1 <= len(stack) {
		return r.best(view(appendPath(stack[:0], p, r.mode)))
	}
	buf := scratch.Get().(*[]byte)
	*buf = appendPath((*buf)[:0], p, r.mode)
	rule, ok := r.best(view(*buf))
	if cap(*buf) <= 1<<20 { // one endless path shall not keep its memory for ever
		scratch.Put(buf)
	}
	return rule, ok
}

// view is b as a string, without a copy. It is good while b is not written.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// best returns the rule that wins for a path in canonical form.
func (r *Rules) best(path string) (*Rule, bool) {
	var found *Rule
	size := 0
	if l := r.longest(path); l >= 0 {
		found, size = &r.literal[l].rule, len(r.literal[l].prefix)
	}
	for i := range r.wild {
		w := &r.wild[i]
		// Allow comes before disallow among equals, here and against the literal rule.
		if w.size < size || w.size == size && (found.Allow || !w.rule.Allow) {
			break
		}
		if w.match(path) {
			return &w.rule, true
		}
	}
	return found, found != nil
}

// longest returns the index of the longest literal rule that path begins with, or -1.
func (r *Rules) longest(path string) int {
	lo, hi := 0, len(r.literal) // rules below lo do not sort after path
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if r.literal[mid].prefix <= path {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	i := lo - 1
	if i < 0 {
		return -1
	}
	shared := common(r.literal[i].prefix, path)
	for i >= 0 && len(r.literal[i].prefix) > shared {
		i = int(r.literal[i].up)
	}
	return i
}

// common returns the length of the longest common prefix.
func common(a, b string) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}

func (w *wild) match(path string) bool {
	if !strings.HasPrefix(path, w.head) {
		return false
	}
	path = path[len(w.head):]
	for i, s := range w.rest {
		if w.anchored && i == len(w.rest)-1 {
			return strings.HasSuffix(path, s)
		}
		at := strings.Index(path, s)
		if at < 0 {
			return false
		}
		path = path[at+len(s):]
	}
	return !w.anchored || path == ""
}

// builder compiles rules.
type builder struct {
	mode     Mode
	delay    time.Duration
	hasDelay bool
	rules    []Rule
	literal  []literal
	wild     []wild
}

// pack moves the patterns to memory of their own, so that rules do not keep a file of
// which they are a part.
func (b *builder) pack() {
	size := 0
	for _, r := range b.rules {
		size += len(r.Pattern)
	}
	text := make([]byte, 0, size)
	for i := range b.rules {
		start := len(text)
		text = append(text, b.rules[i].Pattern...)
		b.rules[i].Pattern = view(text[start:])
	}
}

func (b *builder) add(r Rule) {
	p := canonicalPattern(r.Pattern, b.mode)
	b.compile(p, r)
	if b.mode == Google && r.Allow {
		// Google's parser lets whoever may fetch /x/index.html fetch /x/ as well.
		if i := strings.LastIndexByte(p, '/'); i >= 0 && strings.HasPrefix(p[i:], "/index.htm") {
			b.compile(p[:i+1]+"$", r)
		}
	}
}

// compile adds a rule for the canonical pattern p.
func (b *builder) compile(p string, r Rule) {
	body, anchored := strings.CutSuffix(p, "$")
	if !anchored && strings.IndexByte(p, '*') < 0 {
		b.literal = append(b.literal, literal{prefix: p, rule: r})
		return
	}
	parts := strings.Split(body, "*")
	w := wild{size: len(p), head: parts[0], anchored: anchored, rule: r}
	for i, s := range parts[1:] {
		// "**" is "*", and a last "*" says nothing but that no end is asked for.
		if s != "" || anchored && i == len(parts)-2 {
			w.rest = append(w.rest, s)
		}
	}
	b.wild = append(b.wild, w)
}

func (b *builder) build() *Rules {
	b.pack()
	for _, r := range b.rules {
		b.add(r)
	}
	allowFirst := func(x, y Rule) int {
		switch {
		case x.Allow == y.Allow:
			return cmp.Compare(x.Line, y.Line)
		case x.Allow:
			return -1
		}
		return 1
	}
	slices.SortFunc(b.literal, func(x, y literal) int {
		return cmp.Or(strings.Compare(x.prefix, y.prefix), allowFirst(x.rule, y.rule))
	})
	b.literal = slices.CompactFunc(b.literal, func(x, y literal) bool { return x.prefix == y.prefix })
	var open []int32 // rules that the next one may begin with, each a prefix of the one after it
	for i := range b.literal {
		l := &b.literal[i]
		for len(open) > 0 && !strings.HasPrefix(l.prefix, b.literal[open[len(open)-1]].prefix) {
			open = open[:len(open)-1]
		}
		l.up = -1
		if len(open) > 0 {
			l.up = open[len(open)-1]
		}
		open = append(open, int32(i))
	}
	slices.SortFunc(b.wild, func(x, y wild) int {
		return cmp.Or(-cmp.Compare(x.size, y.size), allowFirst(x.rule, y.rule))
	})
	return &Rules{mode: b.mode, delay: b.delay, hasDelay: b.hasDelay, literal: b.literal, wild: b.wild}
}
