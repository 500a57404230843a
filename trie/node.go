package trie

// The arena: a radix trie in one slice of bytes, without pointers.
//
// The children of a node stand together as a group of records, best subtree first:
//
//	        group of "ne" (best: new york 90)
//	        ┌──────────────────────┬───────────────────┬─────────────────┐
//	        │ "w "   90, inner ●   │ "ver"  -20, inner │ "on"  -65, last │
//	        └──────────────────│───┴───────────────────┴─────────────────┘
//	        ┌──────────────────▼───┬───────────────────┐
//	        │ "york" 90 (same)     │ "delhi" -10, last │
//	        └──────────────────────┴───────────────────┘
//
// A record, with the sizes that it has most of the time:
//
//	1  head     bits 0-3 label: 0 none, 1-14 a byte and label-1 codes, 15 a byte and a count follows
//	            bit 4 inner   bit 5 last of its group   bit 6 same score as its predecessor
//	            bit 7 has a display form
//	1  first    the first byte of the label, as it is
//	0  count    uvarint, number of codes, if bits 0-3 are 15
//	0-1 drop    uvarint, predecessor's best - own best, unless bit 6
//	0-2 child   uvarint, own position - position of the children's group, if inner
//	0  display  uvarint and as many codes, if bit 7
//	0-9 codes   the rest of the label in symbols
//
// Invariants:
//   - A record's best is the best score of its subtree. It is not stored: the first of a
//     group has its parent's, another its predecessor's less drop. So a search that
//     comes from above knows, exactly and for nothing, the best of what it has not seen.
//   - A group is ordered by best, descending, then by first byte. So "first child, first
//     child, …" ends in the subtree's best term, the first in term order of those that
//     tie, and what comes behind a record in its group is no better than its successor.
//   - First bytes of a group differ. A term that is also a prefix of others has a leaf
//     without a label in its group.
//   - Children stand at lower positions than their parent: whatever bytes a damaged
//     arena holds, following children ends.
//
// Memory accesses of a step: a group is contiguous and most groups end within a cache
// line or two; a group's children were written just before it, those of a small subtree
// within a page. Scores, labels and links together take about as much room as the
// terms would gzipped.
//
// Sources: Hsu and Ottaviano, "Space-Efficient Data Structures for Top-k Completion"
// (2013), whose completion trie this is, with children in place of a succinct tree.

const (
	labelMask  = 15
	labelLong  = 15
	flagInner  = 1 << 4
	flagLast   = 1 << 5
	flagSame   = 1 << 6
	flagShow   = 1 << 7
	firstChild = 1 // position 0 means "no children"; the arena starts with a pad byte
)

// record is a decoded record. Codes and display are ranges of the arena.
type record struct {
	best           uint64
	pos            int
	child          int // position of the children's group; 0 for a leaf
	codes, codeEnd int
	show, showEnd  int
	next           int // position behind the record
	first          byte
	label          bool // false: the leaf without a label
	last           bool
}

// read decodes the record at pos, whose predecessor in its group, or else its parent, has
// the best score prev. It is false for bytes that are no record, which only a damaged
// arena holds.
func read(a []byte, pos int, prev uint64, r *record) bool {
	if uint(pos) >= uint(len(a)) {
		return false
	}
	r.pos = pos
	head := a[pos]
	at := pos + 1
	n := int(head & labelMask)
	r.label = n != 0
	r.last = head&flagLast != 0
	if r.label {
		if uint(at) >= uint(len(a)) {
			return false
		}
		r.first = a[at]
		at++
		n--
		if n == labelLong-1 {
			long, next := uvarint(a, at)
			if next == 0 || long > uint64(len(a)) {
				return false
			}
			n, at = int(long), next
		}
	}
	r.best = prev
	if head&flagSame == 0 {
		if uint(at) < uint(len(a)) && a[at] < 0x80 { // nearly always
			r.best -= uint64(a[at])
			at++
		} else {
			drop, next := uvarint(a, at)
			if next == 0 {
				return false
			}
			r.best -= drop
			at = next
		}
		if r.best > prev {
			return false
		}
	}
	r.child = 0
	if head&flagInner != 0 {
		back, next := uvarint(a, at)
		if next == 0 || back == 0 || back >= uint64(pos) || !r.label {
			return false
		}
		r.child, at = pos-int(back), next
	}
	r.show, r.showEnd = 0, 0
	if head&flagShow != 0 {
		size, next := uvarint(a, at)
		if next == 0 || size > uint64(len(a)-next) {
			return false
		}
		r.show, r.showEnd = next, next+int(size)
		at = r.showEnd
	}
	r.codes, r.codeEnd = at, at+n
	r.next = r.codeEnd
	return r.codeEnd <= len(a)
}

// byteSet is a set of first bytes.
type byteSet [4]uint64

func (s *byteSet) has(b byte) bool { return s[b>>6]>>(b&63)&1 != 0 }
func (s *byteSet) add(b byte)      { s[b>>6] |= 1 << (b & 63) }

// seek reads the record whose label begins with first in the group at pos, whose parent has
// the best score best.
func seek(a []byte, pos int, best uint64, first byte, r *record) bool {
	var set byteSet
	set.add(first)
	return seekSet(a, pos, best, &set, false, r)
}

// seekSet reads the first record, from pos on in its group, whose label begins with a byte of
// the set, or that has no label if bare is true. best is that of the predecessor of the
// record at pos, or of the parent. It passes over the others without decoding more of
// them than it must. If there is none it is false, and r.next is where it gave up.
func seekSet(a []byte, pos int, best uint64, set *byteSet, bare bool, r *record) bool {
	for uint(pos) < uint(len(a)) {
		head := a[pos]
		at := pos + 1
		n := int(head & labelMask)
		if n == 0 {
			if bare {
				return read(a, pos, best, r)
			}
		} else {
			if uint(at) >= uint(len(a)) {
				break
			}
			if set.has(a[at]) {
				return read(a, pos, best, r)
			}
			at++
			n--
		}
		if n == labelLong-1 || head&flagShow != 0 {
			if !read(a, pos, best, r) {
				break
			}
			best, pos = r.best, r.next
		} else {
			if head&flagSame == 0 {
				if uint(at) < uint(len(a)) && a[at] < 0x80 {
					best -= uint64(a[at])
					at++
				} else {
					drop, next := uvarint(a, at)
					if next == 0 {
						break
					}
					best -= drop
					at = next
				}
			}
			if head&flagInner != 0 {
				for uint(at) < uint(len(a)) && a[at] >= 0x80 {
					at++
				}
				at++
			}
			pos = at + n
		}
		if head&flagLast != 0 {
			break
		}
	}
	r.next = pos
	return false
}

// uvarint reads a number at position at and returns it with the position behind it, 0 if
// there is none.
func uvarint(a []byte, at int) (uint64, int) {
	var x uint64
	for shift := uint(0); shift < 64; shift += 7 {
		if uint(at) >= uint(len(a)) {
			return 0, 0
		}
		b := a[at]
		at++
		if b < 0x80 {
			if shift == 63 && b > 1 {
				return 0, 0
			}
			return x | uint64(b)<<shift, at
		}
		x |= uint64(b&0x7f) << shift
	}
	return 0, 0
}
