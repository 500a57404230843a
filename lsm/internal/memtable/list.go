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
//	        ┌ agrees up to 7, then "204…"
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
// A link holds l and the five bytes of N that follow, its hint. Only if the five are equal
// to the searched key's is N itself looked at, which happens about once in a search, at
// its end. No prefix that keys share, whatever its length, makes any difference.
//
// The hints of a new node S between P and N cost no look at their keys either. The search
// leaves m and, of N, the number q of bytes that s and N have in common. P's link to S
// says m and what follows in s. S's link to N says q and what follows in N: that is P's
// old hint, shifted by q-l. Bytes are lost by the shift, never gained; when too few are
// left they are fetched from N's key.
//
// A hint is a word, and so are a pair of refs; together they are not one that a processor
// reads at once. The writer takes the hint away, stores the ref, and stores the new hint.
// A reader loads hint, ref, and the hint once more: if it is there and the same, it is
// that of the ref (or one like it). If not, the reader looks at the node.
//
// A node, in words:
//
//	0   trailer
//	1   ref of the data, in units | ref of the node before on level 0
//	2   ref on level 1 | ref on level 0
//	3   hint on level 0
//	4   hint on level 1
//	5   ref on level 3 | ref on level 2; and so on
//
// up to the last level's hint: 32 bytes for a node of one level. The nodes of a table of
// ordinary size, which are what searches walk over, fit the processor's caches.
//
// A hint, from the high bits:
//
//	16  l    3  number of bytes known    1  N ends after them    4  zero    40  bytes
//
// Invariants: on every level the nodes ascend in internal-key order; a node is on all
// levels below its height; a node is complete before the first ref leads to it; the node
// before is one that is before. Nodes are never moved nor removed.
//
// Source: W. Pugh, "Skip Lists: A Probabilistic Alternative to Balanced Trees" (1990);
// the idea to search strings by what neighbours have in common is that of U. Manber, G.
// Myers, "Suffix Arrays" (1990).

const (
	noHint    = ^uint64(0)
	maxCommon = 1<<16 - 2
	hintBytes = 5
	hintMask  = 1<<(8*hintBytes) - 1
	ended     = 1 << 44
	knownAt   = 45
	commonAt  = 48
)

// refsAt and hintAt are the words of a node that level's ref and hint are in.
func refsAt(level int) int { return 2 + 3*(level>>1) }
func hintAt(level int) int { return 3 + 3*(level>>1) + level&1 }

// nodeWords is the number of words of a node of so many levels.
func nodeWords(levels int) uint64 { return uint64(hintAt(levels-1) + 1) }

// nextRef returns the ref of the node at w on a level.
func nextRef(w []uint64, level int) ref {
	return ref(uint32(atomic.LoadUint64(&w[refsAt(level)]) >> (32 * (level & 1))))
}

// setRef stores a ref of the node at w.
func setRef(w []uint64, level int, r ref) {
	at, shift := refsAt(level), 32*(level&1)
	other := w[at] &^ (uint64(1<<32-1) << shift)
	atomic.StoreUint64(&w[at], other|uint64(r)<<shift)
}

// hint makes a hint to k from a key with which it has common bytes in common.
func hint(k []byte, common int) uint64 {
	if common > maxCommon {
		return noHint
	}
	rest := k[common:]
	h := uint64(common) << commonAt
	if len(rest) <= hintBytes {
		h |= ended
	}
	known := min(len(rest), hintBytes)
	for i, c := range rest[:known] {
		h |= uint64(c) << (8 * (hintBytes - 1 - i))
	}
	return h | uint64(known)<<knownAt
}

// shifted turns a hint from P to N into one from S to N, where S lies between them and has
// common bytes in common with N. It reports false if not enough is left of it.
func shifted(h uint64, common int) (uint64, bool) {
	if h == noHint || common > maxCommon {
		return 0, false
	}
	known := int(h >> knownAt & 7)
	by := common - int(h>>commonAt)
	left := known - by
	if left < 0 || h&ended == 0 && left < 2 {
		return 0, false
	}
	return uint64(common)<<commonAt | uint64(left)<<knownAt | h&ended | h<<(8*by)&hintMask, true
}

// searched is a key to be found, with what comparing it with hints takes.
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

// bytes returns the five bytes of the key from m on, padded with zeros.
func (s *searched) bytes(m int) uint64 {
	if left := len(s.key) - m; left < 8 {
		return s.end << (8 * (8 - left)) >> (8 * (8 - hintBytes))
	}
	return binary.BigEndian.Uint64(s.key[m:]) >> (8 * (8 - hintBytes))
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
	for level := int(t.height.Load()) - 1; level >= 0; level-- {
		refs, hints, shift := refsAt(level), hintAt(level), 32*(level&1)
		for {
			h := atomic.LoadUint64(&w[hints])
			next := ref(uint32(atomic.LoadUint64(&w[refs]) >> shift))
			if next == p.after { // known to be after s, or the end
				break
			}
			common := int(h >> commonAt)
			if h == noHint || h != atomic.LoadUint64(&w[hints]) {
				nw := t.nodes.at(next)
				n, below := t.compare(s, nw, 0)
				if !below {
					p.after, p.high = next, n
					break
				}
				p.before, p.low, w = next, n, nw
				continue
			}
			if common > p.low {
				p.before, w = next, t.nodes.at(next)
				continue
			}
			if common < p.low {
				p.after, p.high = next, common
				break
			}
			nw := t.nodes.at(next)
			n, below := t.follow(s, h, nw, common)
			if !below {
				p.after, p.high = next, n
				break
			}
			p.before, p.low, w = next, n, nw
		}
		if path != nil {
			path[level] = p
		}
	}
	return p
}

// follow compares s with the node at w, which has m bytes in common with it and to which
// the hint is h: it returns how many it has in all, and whether the node is before s.
func (t *Table) follow(s *searched, h uint64, w []uint64, m int) (common int, below bool) {
	known := int(h >> knownAt & 7)
	left := len(s.key) - m
	k := min(known, left)
	a, b := h&hintMask>>(8*(hintBytes-k)), s.bytes(m)>>(8*(hintBytes-k))
	if diff := a ^ b; diff != 0 {
		return m + k - (bits.Len64(diff)+7)/8, a < b
	}
	switch {
	case known > k: // the node's key goes on
		return m + k, false
	case h&ended == 0:
		return t.compare(s, w, m+k)
	case left > k: // the searched one goes on
		return m + k, true
	}
	return m + k, key.Trailer(w[0]) > s.trailer
}

// compare is follow without a hint: it looks at the node's key, of which from bytes are
// known to be those of s.
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
		for next := nextRef(w, level); next != 0; next = nextRef(w, level) {
			at, w = next, t.nodes.at(next)
		}
	}
	return at
}
