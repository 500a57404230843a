package trie

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"slices"
)

// Heads: written answers for heavy prefixes.
//
// Short prefixes are what people type most and what costs most: their best ten lie
// anywhere in megabytes. So every node with at least HeadMin terms below it has a head,
// its best HeadK completions in plain bytes. There are few such nodes (two or three
// among a thousand terms), and below them a search stays within a few kilobytes.
//
// Heads are found by hash, not by walking down: the index maps every prefix that ends in
// or on the way to a heavy node to its head. Prefixes of a heavy prefix are heavy, so
// that the longest heavy prefix of what was typed is found by bisection over its length,
// and the walk begins there:
//
//	typed  "new york res|taurants"          index: … "new york re" ✓  "new york res" ✓  "new york rest" ✗
//	                    └ walk from here
//
// A head:
//
//	uvarint n, path of n bytes
//	uvarint best, uvarint group
//	uvarint answers<<1 | complete
//	answers: uvarint drop in score, uvarint n<<1|has display, n bytes behind path, [uvarint, display]
//
// An index entry is 24 bits of hash and 40 bits of position + 1; 0 is empty. It may lie:
// what it leads to is compared with the prefix, and if it differs the walk begins at the
// root. An entry that is missing never lies.
type heads struct {
	blob    []byte
	index   []byte // entries, little-endian; a power of two of them
	maxPath int    // longest prefix in the index
}

const (
	maxHeadPath = 64 // longer prefixes are walked to
	hashSeed    = 0x9e3779b97f4a7c15
	hashStep    = 0xff51afd7ed558ccd
)

func hashByte(h uint64, b byte) uint64 { return (bits.RotateLeft64(h, 23) ^ uint64(b)) * hashStep }

func hashMix(h uint64) uint64 {
	h ^= h >> 32
	return h * hashStep
}

// find returns the position of the head of the prefix with hash h, -1 if there is none.
func (t *heads) find(h uint64) int {
	h = hashMix(h)
	mask := uint64(len(t.index)/8) - 1
	tag := h & (1<<24 - 1)
	for slot, tries := h>>32&mask, uint64(0); tries <= mask; slot, tries = (slot+1)&mask, tries+1 {
		e := binary.LittleEndian.Uint64(t.index[slot*8:])
		if e == 0 {
			return -1
		}
		if e>>40 == tag {
			return int(e&(1<<40-1)) - 1
		}
	}
	return -1
}

// head is an opened head, at its first answer.
type head struct {
	path     []byte
	best     uint64
	group    int
	answers  int
	complete bool // the answers are all there are
	at       int  // next answer
	score    uint64
}

func (t *heads) open(pos int, h *head) bool {
	n, at := uvarint(t.blob, pos)
	if at == 0 || n > uint64(len(t.blob)-at) {
		return false
	}
	h.path = t.blob[at : at+int(n)]
	at += int(n)
	h.best, at = uvarint(t.blob, at)
	if at == 0 {
		return false
	}
	group, at := uvarint(t.blob, at)
	if at == 0 || group > 1<<40 {
		return false
	}
	answers, at := uvarint(t.blob, at)
	if at == 0 || answers > uint64(len(t.blob)) {
		return false
	}
	h.group, h.answers, h.complete = int(group), int(answers>>1), answers&1 != 0
	h.at, h.score = at, h.best
	return true
}

// next reads the next answer; the caller counts.
func (t *heads) next(h *head) (rest, show []byte, ok bool) {
	drop, at := uvarint(t.blob, h.at)
	if at == 0 || drop > h.score {
		return nil, nil, false
	}
	h.score -= drop
	n, at := uvarint(t.blob, at)
	if at == 0 || n>>1 > uint64(len(t.blob)-at) {
		return nil, nil, false
	}
	end := at + int(n>>1)
	rest = t.blob[at:end]
	if n&1 != 0 {
		size, from := uvarint(t.blob, end)
		if from == 0 || size > uint64(len(t.blob)-from) {
			return nil, nil, false
		}
		end = from + int(size)
		show = t.blob[from:end]
	}
	h.at = end
	return rest, show, true
}

// longest finds the head of the longest heavy prefix of prefix, and whether the prefix
// itself, or a node that it leads to alone, has it. It is false if there is none.
func (t *heads) longest(prefix []byte, hashes *[maxHeadPath + 1]uint64, h *head) bool {
	if len(t.index) < 8 {
		return false
	}
	n := min(len(prefix), t.maxPath)
	x := uint64(hashSeed)
	hashes[0] = x
	for i, b := range prefix[:n] {
		x = hashByte(x, b)
		hashes[i+1] = x
	}
	// The whole prefix first: it is what most queries are for.
	pos := t.find(x)
	if pos < 0 {
		lo, hi := 0, n // lo is in the index, or nothing is; hi is not
		for hi-lo > 1 {
			mid := int(uint(lo+hi) / 2)
			if p := t.find(hashes[mid]); p >= 0 {
				lo, pos = mid, p
			} else {
				hi = mid
			}
		}
		if pos < 0 && n > 0 {
			pos = t.find(hashes[0])
		}
		n = lo
	}
	if pos < 0 || !t.open(pos, h) {
		return false
	}
	return bytes.HasPrefix(h.path, prefix[:n])
}

// buildHeads writes the heads of the heavy nodes of a finished trie.
func buildHeads(s *Snapshot, heavy []heavyNode, headK int) {
	slices.SortFunc(heavy, func(a, b heavyNode) int { return bytes.Compare(a.path, b.path) })
	var t heads
	type place struct {
		hash uint64
		pos  int
	}
	var places []place
	var above []int // lengths of the paths of the nodes above
	var prev []byte
	var c cursor
	for _, n := range heavy {
		shared := common(prev, n.path)
		for len(above) > 0 && above[len(above)-1] > shared {
			above = above[:len(above)-1]
		}
		from := 0
		if len(above) > 0 {
			from = above[len(above)-1] + 1
		}
		prev, above = n.path, append(above, len(n.path))

		pos := len(t.blob)
		to := min(len(n.path), maxHeadPath)
		h := uint64(hashSeed)
		for i := 0; i <= to; i++ {
			if i > 0 {
				h = hashByte(h, n.path[i-1])
			}
			if i >= from {
				places = append(places, place{h, pos})
				t.maxPath = max(t.maxPath, i)
			}
		}
		c.startGroup(s, n.path, n.group, n.best, headK)
		t.blob = appendHead(t.blob, &c, n, headK)
	}
	size := 1
	for size*2 < len(places)*3 {
		size *= 2
	}
	if len(places) > 0 {
		t.index = make([]byte, size*8)
	}
	for _, p := range places {
		h := hashMix(p.hash)
		slot := h >> 32 & uint64(size-1)
		for binary.LittleEndian.Uint64(t.index[slot*8:]) != 0 {
			slot = (slot + 1) & uint64(size-1)
		}
		binary.LittleEndian.PutUint64(t.index[slot*8:], h<<40|uint64(p.pos+1))
	}
	s.heads = t
}

func appendHead(b []byte, c *cursor, n heavyNode, headK int) []byte {
	b = binary.AppendUvarint(b, uint64(len(n.path)))
	b = append(b, n.path...)
	b = binary.AppendUvarint(b, n.best)
	b = binary.AppendUvarint(b, uint64(n.group))
	complete := 0
	if n.count <= headK || planted(bugHeadIsAll) {
		complete = 1
	}
	b = binary.AppendUvarint(b, uint64(min(n.count, headK)<<1|complete))
	score := n.best
	var h hit
	for range min(n.count, headK) {
		c.next(&h)
		b = binary.AppendUvarint(b, score-h.score)
		score = h.score
		rest := h.key[len(n.path):]
		if h.show == nil {
			b = binary.AppendUvarint(b, uint64(len(rest))<<1)
			b = append(b, rest...)
			continue
		}
		b = binary.AppendUvarint(b, uint64(len(rest))<<1|1)
		b = append(b, rest...)
		b = binary.AppendUvarint(b, uint64(len(h.show)))
		b = append(b, h.show...)
	}
	return b
}
