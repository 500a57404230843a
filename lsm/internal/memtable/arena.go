package memtable

import "math/bits"

// An arena hands out memory by the word and takes none back. What it hands out is named
// by a ref, not by a pointer, so that the collector never looks inside:
//
//	ref  0 … main            one block of the size asked for: one bounds check to reach
//	ref  main …              overflow, blocks of 512, 512, 1024, 2048 … words,
//	                         the block found by the length of the number in bits
//
// The main block is sized so that a table of ordinary use never leaves it. Overflow is
// for what comes on top: a batch that must fit whole whatever its size.
//
// One goroutine allocates. Others may look at a ref once they have come by it through an
// atomic load: the block was in place before the ref was stored.
type arena struct {
	main     []uint64
	overflow [overflowBlocks][]uint64
	next     uint64 // first free word
}

// ref is the place of a word. 0 is no place.
type ref uint64

const (
	refBits        = 40
	refMask        = 1<<refBits - 1
	firstBits      = 9                        // the first overflow block's words, as a power of two
	overflowBlocks = refBits - firstBits - 1  // so that all refs fit refBits
	minMain        = 1 << firstBits           // words
	maxMain        = 1 << (refBits - 1) >> 12 // words: 1 GiB
)

func (a *arena) init(bytes int) {
	a.main = make([]uint64, min(max(bytes/8, minMain), maxMain))
	a.next = 1
}

// at returns the memory from r to its block's end.
func (a *arena) at(r ref) []uint64 {
	if uint64(r) < uint64(len(a.main)) {
		return a.main[r:]
	}
	return a.beyond(r)
}

func (a *arena) beyond(r ref) []uint64 {
	i, start, _ := a.block(uint64(r))
	return a.overflow[i][uint64(r)-start:]
}

// block returns the overflow block that holds word at, its first word and its length.
func (a *arena) block(at uint64) (i int, start, length uint64) {
	rel := at - uint64(len(a.main))
	i = bits.Len64(rel >> firstBits)
	if i == 0 {
		return 0, uint64(len(a.main)), 1 << firstBits
	}
	length = 1 << (firstBits + i - 1)
	return i, uint64(len(a.main)) + length, length
}

// alloc returns a place for n words, or 0 if there is none in 2^40.
func (a *arena) alloc(n uint64) ref {
	if a.next+n <= uint64(len(a.main)) {
		r := ref(a.next)
		a.next += n
		return r
	}
	a.next = max(a.next, uint64(len(a.main)))
	for {
		i, start, length := a.block(a.next)
		if i >= overflowBlocks {
			return 0
		}
		if a.next+n <= start+length {
			if a.overflow[i] == nil {
				a.overflow[i] = make([]uint64, length)
			}
			r := ref(a.next)
			a.next += n
			return r
		}
		a.next = start + length
	}
}
