package merkle

import (
	"crypto/sha256"
	"fmt"
	"math/bits"
	"slices"
)

// A tree in one flat slice.
//
// RFC 6962 defines the root of n leaves by splitting them at the greatest power of two below n.
// So the tree is a row of complete subtrees of falling size, joined from the right, and only
// complete subtrees are worth keeping: they never change again. Append writes the new leaf and
// then each subtree that it completes, which makes the slice the post-order of the tree:
//
//	      6
//	   ╱     ╲
//	  2       5       9       slice: 0 1 2 3 4 5 6 7 8 9 10
//	 ╱ ╲     ╱ ╲     ╱ ╲             leaves are 0 1 3 4 7 8 10
//	0   1   3   4   7   8   10       nodes of n leaves: 2n − (ones of n)
//
// The subtree over the 2^l leaves that end at leaf e (exclusive) was written while leaf e−1 was
// appended, which completed as many subtrees as e has trailing zeros, the l-th of them this one.
// Its place therefore follows from arithmetic; there are no pointers. Nodes that cover an
// incomplete range (those on the right edge, the root among them) are hashed when asked for, at most one a level.
//
// Leaves are hashed after a zero byte and nodes after a one, so that no node can be passed off
// as a leaf (a second preimage); and nothing is duplicated to fill a level, so that the list
// A B C and the list A B C C have different roots (which in Bitcoin they had: CVE-2012-2459).

// Node is a SHA-256 hash in a proof tree: of a leaf ([LeafHash]) or of two nodes.
type Node [sha256.Size]byte

const (
	leafPrefix = 0
	nodePrefix = 1
)

// LeafHash returns the node of a leaf that holds data.
func LeafHash(data []byte) Node {
	var short [256]byte
	if len(data) < len(short) {
		short[0] = leafPrefix
		return sha256.Sum256(short[:1+copy(short[1:], data)])
	}
	h := sha256.New()
	h.Write([]byte{leafPrefix})
	h.Write(data)
	var n Node
	h.Sum(n[:0])
	return n
}

// pair returns the parent of two nodes.
func pair(left, right Node) Node {
	var b [1 + 2*sha256.Size]byte
	b[0] = nodePrefix
	copy(b[1:], left[:])
	copy(b[1+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}

// EmptyRoot is the root of the tree without leaves: the hash of nothing.
func EmptyRoot() Node { return sha256.Sum256(nil) }

// Tree is an append-only Merkle tree as in RFC 6962, from which proofs are drawn. The zero Tree
// is empty and ready to use. It keeps the hashes of its leaves and of complete subtrees,
// 64 bytes a leaf (up to twice that after many appends), and none of the leaves' data.
//
// Reading methods may run concurrently with each other, but not with Append.
type Tree struct {
	nodes []Node
	size  uint64
}

// Build returns the tree over leaves, which it does not retain. It takes one hash a leaf.
func Build(leaves []Node) *Tree {
	t := &Tree{nodes: make([]Node, 0, nodesOf(uint64(len(leaves))))}
	for _, n := range leaves {
		t.Append(n)
	}
	return t
}

// Append adds a leaf. It takes one hash on average and at most one a level.
func (t *Tree) Append(leaf Node) {
	if len(t.nodes) == cap(t.nodes) { // doubling: append's own steps copy large slices too often
		t.nodes = slices.Grow(t.nodes, max(8, len(t.nodes)))
	}
	t.nodes = append(t.nodes, leaf)
	t.size++
	// Every zero at the end of the new size is a subtree that is complete now.
	for l := range bits.TrailingZeros64(t.size) {
		right := len(t.nodes) - 1
		left := right - (1<<(l+1) - 1) // behind the right subtree of 2^(l+1)−1 nodes
		t.nodes = append(t.nodes, pair(t.nodes[left], t.nodes[right]))
	}
}

// Size returns the number of leaves.
func (t *Tree) Size() uint64 { return t.size }

// Root returns the root. It takes at most one hash a level.
func (t *Tree) Root() Node {
	if t.size == 0 {
		return EmptyRoot()
	}
	return t.cover(0, t.size)
}

// RootAt returns the root that the tree had when it held size leaves; [ErrRange] if it never did.
func (t *Tree) RootAt(size uint64) (Node, error) {
	switch {
	case size > t.size:
		return Node{}, fmt.Errorf("%w: size %d of %d", ErrRange, size, t.size)
	case size == 0:
		return EmptyRoot(), nil
	}
	return t.cover(0, size), nil
}

// nodesOf returns the length of the slice that holds n leaves.
func nodesOf(n uint64) uint64 { return 2*n - uint64(bits.OnesCount64(n)) }

// cover returns the node over the leaves from lo up to hi, which must be a range that the
// recursive definition meets: it begins at a multiple of a power of two not less than its length.
func (t *Tree) cover(lo, hi uint64) Node {
	n := hi - lo
	if n&(n-1) == 0 {
		l := bits.TrailingZeros64(n)
		return t.nodes[nodesOf(hi)-1-uint64(bits.TrailingZeros64(hi)-l)]
	}
	mid := lo + split(n)
	return pair(t.cover(lo, mid), t.cover(mid, hi))
}

// split returns the greatest power of two below n, which is at least 2.
func split(n uint64) uint64 { return 1 << (bits.Len64(n-1) - 1) }

// Inclusion appends to dst the proof that the leaf at index is in the tree: the siblings on the
// way from the leaf to the root, at most one a level. It fails with [ErrRange] if there is no
// such leaf. See RFC 6962, section 2.1.1.
func (t *Tree) Inclusion(dst []Node, index uint64) ([]Node, error) {
	if index >= t.size {
		return dst, fmt.Errorf("%w: leaf %d of %d", ErrRange, index, t.size)
	}
	from := len(dst)
	for lo, hi := uint64(0), t.size; hi-lo > 1; {
		mid := lo + split(hi-lo)
		if index < mid {
			dst = append(dst, t.cover(mid, hi))
			hi = mid
		} else {
			dst = append(dst, t.cover(lo, mid))
			lo = mid
		}
	}
	slices.Reverse(dst[from:]) // collected from the root down
	return dst, nil
}

// Consistency appends to dst the proof that the tree begins with the leaves it had at size from.
// The proof is empty if from is 0 or the present size; [ErrRange] if from is beyond it. See
// RFC 6962, section 2.1.2.
func (t *Tree) Consistency(dst []Node, from uint64) ([]Node, error) {
	if from > t.size {
		return dst, fmt.Errorf("%w: size %d of %d", ErrRange, from, t.size)
	}
	if from == 0 || from == t.size {
		return dst, nil
	}
	start := len(dst)
	lo, hi := uint64(0), t.size
	for hi != from {
		mid := lo + split(hi-lo)
		if from <= mid {
			dst = append(dst, t.cover(mid, hi))
			hi = mid
		} else {
			dst = append(dst, t.cover(lo, mid))
			lo = mid
		}
	}
	// What is left is the last subtree of the old tree. The verifier has it as the old root if
	// it is all of the old tree, and needs it otherwise.
	if lo > 0 {
		dst = append(dst, t.cover(lo, hi))
	}
	slices.Reverse(dst[start:])
	return dst, nil
}
