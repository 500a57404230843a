package trie

import "unicode/utf8"

// Fuzzy allows typing errors in a query's prefix. An edit is a rune too many, a rune too
// few, a wrong rune, or two neighbours in the wrong order; runes are counted as they are
// folded. A term matches with n edits if n, and no fewer, turn what was typed into some
// beginning of it.
type Fuzzy struct {
	// MaxEdits is how many edits are allowed: 0 (none), 1 or 2. More are taken for 2.
	MaxEdits int
	// OneFrom and TwoFrom are the lengths in runes from which a prefix may have one and two
	// edits: nearly all short prefixes are beginnings of something. 0: 4 and 8.
	OneFrom, TwoFrom int
	// ExactRunes is how many runes at the beginning must be right, and there. People seldom err in
	// the first, and an index is several times faster for knowing it: 1 is a good choice.
	// 0: none.
	ExactRunes int
}

// allowed prepares q for a folded prefix and returns how many edits it may have.
func (f Fuzzy) allowed(q *fuzzyQuery, prefix []byte) int {
	q.runes = q.runes[:0]
	for i := 0; i < len(prefix); {
		r, n := utf8.DecodeRune(prefix[i:])
		q.runes = append(q.runes, r)
		i += n
	}
	q.exact = max(f.ExactRunes, 0)
	from := func(n, def int) int {
		if n <= 0 {
			return def
		}
		return n
	}
	switch n := len(q.runes); {
	case f.MaxEdits >= 2 && n >= from(f.TwoFrom, 8):
		return 2
	case f.MaxEdits >= 1 && n >= from(f.OneFrom, 4):
		return 1
	}
	return 0
}

// fuzzyQuery is a prefix in runes.
type fuzzyQuery struct {
	runes []rune
	exact int // runes at the beginning that must be right
}

// The automaton. Reading a path rune by rune, it carries a row of the table of distances
// between the beginnings of the path and those of the query, of which only the cells next
// to the diagonal can be within e edits, and, for transpositions, the row before:
//
//	      n  e  w     y  o          e = 1: three cells of a row are of interest,
//	   0  1  ·  ·  ·  ·  ·          e = 2: five
//	n  1  0  1  ·  ·  ·  ·          ·: more than e
//	w  ·  1  1  1  ·  ·  ·  ◀ state: this row, the row above, the rune read last
//	e  ·  ·  1  1  2  ·  ·
//
// So a state is two words, a step a dozen operations, and nothing is built for a query
// whose tables would have to be kept, evicted or bounded.
//
// The last column is the distance of the whole query from the path: the least that it ever
// was is best. No cell to come can be less than the least of the row (a transposition
// goes back two rows, but costs one, as much as the row between can have lost). So once
// best is not above that, everything below the path matches with best edits.
//
// Sources: Schulz and Mihov, "Fast String Correction with Levenshtein Automata" (2002), for
// the bound on what a state must hold; Ukkonen, "Algorithms for Approximate String
// Matching" (1985), for the band.
type editState struct {
	row, above uint16 // cells of three bits, the lowest leftmost
	last       rune   // 0 before the first
	read       int32  // runes
	best       uint8
	sure       bool // everything below the path matches with best edits
}

const (
	cellBits = 3
	cellMask = 1<<cellBits - 1
)

// startEdits is the state before the first rune, with at most e edits.
func startEdits(q *fuzzyQuery, e int) editState {
	s := editState{best: uint8(e + 1)}
	for c := range 2*e + 1 {
		j := c - e
		d := e + 1
		if j >= 0 && j <= len(q.runes) {
			d = min(j, e+1)
		}
		s.row |= uint16(d) << (cellBits * c)
		s.above |= uint16(e+1) << (cellBits * c)
		if j == len(q.runes) {
			s.best = min(s.best, uint8(d))
		}
	}
	return s
}

// step reads a rune. It is false if nothing below the path matches with exactly e edits.
func (s *editState) step(q *fuzzyQuery, e int, r rune) bool {
	i := int(s.read) + 1
	if i <= min(q.exact, len(q.runes)) && q.runes[i-1] != r {
		return false
	}
	over := e + 1
	var row uint16
	left, least := over, over
	for c := range 2*e + 1 {
		j := i - e + c
		d := over
		switch {
		case j == 0:
			d = min(i, over)
		case j > 0 && j <= len(q.runes):
			d = int(s.row>>(cellBits*c)) & cellMask
			if q.runes[j-1] != r {
				d++
				if j > 1 && i > 1 && q.runes[j-1] == s.last && q.runes[j-2] == r && !planted(bugNoSwap) {
					d = min(d, int(s.above>>(cellBits*c))&cellMask+1)
				}
				if c < 2*e {
					d = min(d, int(s.row>>(cellBits*(c+1)))&cellMask+1)
				}
				d = min(d, left+1, over)
			}
			if j == len(q.runes) {
				s.best = min(s.best, uint8(d))
			}
		}
		left = d
		least = min(least, d)
		row |= uint16(d) << (cellBits * c)
	}
	s.above, s.row, s.last, s.read = s.row, row, r, int32(i)
	return s.judge(e, least)
}

// judge draws the conclusions of a row whose least cell is least.
func (s *editState) judge(e, least int) bool {
	if int(s.best) < e {
		return false // found with fewer edits
	}
	if int(s.best) <= least || int(s.best) <= e && planted(bugSureTooSoon) {
		s.sure = true
		return int(s.best) == e
	}
	return least <= e
}

// alive returns the first bytes of the runes that step may be true for. If it is false for a
// rune that is nowhere in the query, it can only be true for one near the diagonal.
func (s *editState) alive(q *fuzzyQuery, e int) byteSet {
	all := ^uint64(0)
	other := *s
	if other.step(q, e, -1) {
		return byteSet{all, all, all, all}
	}
	set := byteSet{0, 0, all, all} // what is not ASCII is looked at whole
	i := int(s.read)
	for j := max(i-e-1, 0); j <= min(i+e, len(q.runes)-1); j++ {
		if r := q.runes[j]; r < utf8.RuneSelf {
			set.add(byte(r))
		}
	}
	return set
}
