package memtable

import "math/bits"

// An arena hands out memory by the cell, a byte or a word, and takes none back. What it
// hands out is named by a ref, not by a pointer, so that the collector never looks inside:
//
//	ref  0 … main            one block of the size asked for: one comparison to reach
//	ref  main …              overflow, blocks of 4096, 4096, 8192, 16384 … cells,
//	                         the block found by the length of the number in bits
//
// The main block is sized so that a table of ordinary use hardly leaves it. Overflow is
// for what comes on top: a batch that must fit whole whatever its size.
//
// One goroutine allocates. Others may look at a ref once they have come by it through an
// atomic load: the block was in place before the ref was stored.
type arena[T byte | uint64] struct {
	main     []T
	overflow [overflowBlocks][]T
	next     uint64 // first free cell
}

// ref is the place of a cell. 0 is no place.
type ref uint64

const (
	refBits        = 40
	firstCell      = 4                       // 0 is no place, and what is allocated in units stays so
	firstBits      = 12                      // the first overflow block's cells, as a power of two
	overflowBlocks = refBits - firstBits - 1 // so that all refs fit refBits
)

func (a *arena[T]) init(cells int) {
	a.main = make([]T, cells)
	a.next = firstCell
}

// at returns the memory from r to its block's end.
func (a *arena[T]) at(r ref) []T {
	if uint64(r) < uint64(len(a.main)) {
		return a.main[r:]
	}
	return a.beyond(uint64(r))
}

//go:noinline
func (a *arena[T]) beyond(r uint64) []T {
	i, start, _ := a.block(r)
	return a.overflow[i][r-start:]
}

// block returns the overflow block that holds cell r, its first cell and its length.
func (a *arena[T]) block(r uint64) (i int, start, length uint64) {
	base := uint64(len(a.main))
	i = bits.Len64((r - base) >> firstBits)
	if i == 0 {
		return 0, base, 1 << firstBits
	}
	length = 1 << (firstBits + i - 1)
	return i, base + length, length
}

// alloc returns a place for n cells; ok is false if there is none among 2^40.
func (a *arena[T]) alloc(n uint64) (r ref, ok bool) {
	if a.next+n <= uint64(len(a.main)) {
		r = ref(a.next)
		a.next += n
		return r, true
	}
	a.next = max(a.next, uint64(len(a.main)))
	for {
		i, start, length := a.block(a.next)
		if i >= overflowBlocks {
			return 0, false
		}
		if a.next+n <= start+length {
			if a.overflow[i] == nil {
				a.overflow[i] = make([]T, length)
			}
			r = ref(a.next)
			a.next += n
			return r, true
		}
		a.next = start + length
	}
}
