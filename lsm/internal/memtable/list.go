package memtable

import (
	"encoding/binary"
	"math/bits"
	"sync/atomic"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

// A skip list whose links say how the key that they lead to differs from the one that
// they start at.
//
//	        ┌ agrees up to 7, then "204"
//	user001 ┼───────────────────────────▶ user001204 ─────▶ …
//	        └─▶ user001031 ─▶ user00117 ┘
//
// A search that compares keys visits two places in memory, node and key, for every
// comparison, and each is a cache miss. Most comparisons can be had from the link alone.
// Let s be searched, P < s the node that the search stands at, N the next one, m the
// number of bytes that s and P have in common, and l the number that P and N have:
//
//	l > m   N agrees with P where P departs from s: N < s, and m stays
//	l < m   N departs from P where P still agrees with s: N > s
//	l = m   s and N agree up to m: the bytes of N that follow decide
//
// A link holds l and up to three of the bytes of N that follow, its hint. Only if those are
// equal to the searched key's is N's own key looked at, which happens once or twice in a
// search, near its end. No prefix that keys share makes a difference, up to 254 bytes;
// neighbours that share more are compared as in any list.
//
// The hints of a new node S between P and N hardly ever cost a look at their keys. The
// search leaves m and, of N, the number q of bytes that s and N have in common. P's link
// to S says m and what follows in s. S's link to N says q and what follows in N: that is
// P's old hint, less its first q-l bytes. When none are left they are fetched from N.
//
// A link is one word, so that a reader beside the writer sees a whole one, old or new:
//
//	 8  l, or 255: no hint
//	24  the bytes, complemented
//	 2  how many of them are known
//	30  ref of N, 0 if there is none
//
// With a word of s that has m and the bytes of s from m on, and both shifted until only
// known bytes are left, one comparison decides all three cases: if the link is larger,
// N < s; if it is smaller, N > s; if it is equal, so are the bytes.
//
// A node, in words: trailer; ref of the data, in units, and ref of the node before on
// level 0, 32 bits each; then a link for each level. That is 24 bytes for a node of one
// level. The nodes of a table of ordinary size, which are what searches walk over, fit
// the processor's caches.
//
// Invariants: on every level the nodes ascend in internal-key order; a node is on all
// levels below its height; a node is complete before the first link leads to it; the node
// before is one that is before. Nodes are never moved nor removed.
//
// Source: W. Pugh, "Skip Lists: A Probabilistic Alternative to Balanced Trees" (1990);
// to search strings by what neighbours have in common is the idea of U. Manber, G. Myers,
// "Suffix Arrays" (1990).

const (
	linksAt   = 2
	noHint    = 255
	hintBytes = 3
	commonAt  = 56
	bytesAt   = 32
	knownAt   = 30
	refMask   = 1<<knownAt - 1
	maxNode   = refMask
)

// nodeWords is the number of words of a node of so many levels.
func nodeWords(levels int) uint64 { return uint64(linksAt + levels) }

// next returns the node that the node at w leads to on a level.
func next(w []uint64, level int) ref {
	return ref(atomic.LoadUint64(&w[linksAt+level]) & refMask)
}

// link makes a link to a node with key k from one whose key has common bytes in common
// with it.
func link(to ref, k []byte, common int) uint64 {
	if common >= noHint {
		return noHint<<commonAt | uint64(to)
	}
	rest := k[common:]
	known := min(len(rest), hintBytes)
	var bytes uint64
	for i, c := range rest[:known] {
		bytes |= uint64(^c) << (8 * (hintBytes - 1 - i))
	}
	return uint64(common)<<commonAt | bytes<<bytesAt | uint64(known)<<knownAt | uint64(to)
}

// forwarded turns a link from P to N into one from S to N, where S lies between them and
// has common bytes in common with N. It reports false if nothing is left of the hint.
func forwarded(l uint64, common int) (uint64, bool) {
	known, by := int(l>>knownAt&3), common-int(l>>commonAt)
	if common >= noHint || by >= known { // where there was no hint, common is as large
		return 0, false
	}
	bytes := l >> bytesAt << (8 * by) & (1<<(8*hintBytes) - 1)
	return uint64(common)<<commonAt | bytes<<bytesAt | uint64(known-by)<<knownAt | l&refMask, true
}

// searched is a key to be found, with what it takes to compare it with links.
type searched struct {
	key     []byte
	trailer key.Trailer
	end     uint64 // its last eight bytes as a number, or all if it is shorter
}

func search(k []byte, tr key.Trailer) searched {
	s := searched{key: k, trailer: tr}
	if n := len(k); n >= 8 {
		s.end = binary.BigEndian.Uint64(k[n-8:])
	} else {
		for _, c := range k {
			s.end = s.end<<8 | uint64(c)
		}
	}
	return s
}

// word is what links are compared with at a node that has m bytes in common with s; an m
// beyond all that links hold stays so. Where s has no bytes, there are zeros.
func (s *searched) word(m int) uint64 {
	var bytes uint64
	if left := len(s.key) - m; left < 8 {
		bytes = s.end << (8 * (8 - left))
	} else {
		bytes = binary.BigEndian.Uint64(s.key[m:])
	}
	return uint64(min(m, noHint))<<commonAt | ^bytes>>(64-8*hintBytes)<<bytesAt
}

// place is where a key belongs on a level: between two nodes that are neighbours there.
type place struct {
	before, after ref // head, if none is before; 0, if none is after
	low, high     int // bytes that the key has in common with theirs; low may be unknown
}

const unknown = -1

// seek finds the place of s on level 0; and, if path is given, on every level.
func (t *Table) seek(s *searched, path *[maxHeight]place) place {
	p := place{before: t.head}
	w := t.nodes.at(t.head)
	word := s.word(0)
	for level := int(t.height.Load()) - 1; level >= 0; level-- {
		for {
			l := atomic.LoadUint64(&w[linksAt+level])
			to := ref(l & refMask)
			if to == p.after { // known to be after s, or the end
				break
			}
			nw := t.nodes.at(to)
			var n int
			below := false
			shift := bytesAt + 8*hintBytes - 8*(l>>knownAt&3)
			if a, b := l>>shift, word>>shift; l >= noHint<<commonAt {
				n, below = t.compare(s, nw, 0)
			} else if a > b {
				n, below = p.low+sharedBytes(a^b, shift), true
			} else if a < b {
				n = min(int(l>>commonAt)+sharedBytes(a^b, shift), len(s.key))
			} else if known := int(l >> knownAt & 3); p.low+known > len(s.key) {
				n = len(s.key) // the node's key goes on where s was padded
			} else {
				n, below = t.compare(s, nw, p.low+known)
			}
			if !below {
				p.after, p.high = to, n
				break
			}
			if n != p.low {
				word = s.word(n)
			}
			p.before, p.low, w = to, n, nw
		}
		if path != nil {
			path[level] = p
		}
	}
	return p
}

// sharedBytes is how many bytes two words, that were shifted so far, agree in before they
// differ; 0 if they differ in l.
func sharedBytes(diff, shift uint64) int {
	return max(bits.LeadingZeros64(diff)-int(shift)-(64-commonAt), 0) / 8
}

// compare looks at the key of the node at w, of which from bytes are known to be those of
// s. It returns how many they have in common, and whether the node is before s.
func (t *Table) compare(s *searched, w []uint64, from int) (common int, below bool) {
	k := t.key(w)
	n := from
	for end := min(len(k), len(s.key)); ; n += 8 {
		if end-n < 8 {
			for n < end && k[n] == s.key[n] {
				n++
			}
			break
		}
		if x := binary.LittleEndian.Uint64(k[n:]) ^ binary.LittleEndian.Uint64(s.key[n:]); x != 0 {
			n += bits.TrailingZeros64(x) / 8
			break
		}
	}
	switch {
	case n < len(k) && n < len(s.key):
		return n, k[n] < s.key[n]
	case len(k) != len(s.key):
		return n, len(k) < len(s.key)
	}
	return n, key.Trailer(w[0]) > s.trailer
}

// newest returns the last node, or the head.
func (t *Table) newest() ref {
	at := t.head
	w := t.nodes.at(at)
	for level := int(t.height.Load()) - 1; level >= 0; level-- {
		for to := next(w, level); to != 0; to = next(w, level) {
			at, w = to, t.nodes.at(to)
		}
	}
	return at
}
