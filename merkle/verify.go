package merkle

import (
	"fmt"
	"math/bits"
)

// Verification, by arithmetic on the positions alone (RFC 9162, sections 2.1.3.2 and 2.1.4.2).
//
// On the way from a leaf to the root of an incomplete tree a node has a sibling on its left if
// the bit of its position is one; on its right if the bit is zero, unless it is the last node of
// its level, which has none and moves up as it is:
//
//	position  fn = 0110         is the node a right child? fn & 1
//	last      sn = 1010         is it the last of its level? fn == sn
//	each level: fn >>= 1, sn >>= 1
//
// The length of a proof thus follows from size and index, and a proof that is longer or
// shorter is refused. Nothing a proof contains can do worse than fail.

// VerifyInclusion checks that proof shows leaf to be at index in the tree of the given size and
// root. It returns [ErrRange] if there can be no such leaf, [ErrProof] if the proof does not hold,
// and nil if it does. It takes one hash for each node of the proof and does not allocate.
//
// Leaf has to be [LeafHash] of data that the verifier hashed, or trusts the source of: a node
// from anywhere else might be an inner one. Root and size have to come together from where they
// are trusted (a signed tree head), for the root alone does not commit to the size.
func VerifyInclusion(root Node, size, index uint64, leaf Node, proof []Node) error {
	if index >= size {
		return fmt.Errorf("%w: leaf %d of %d", ErrRange, index, size)
	}
	at, last := index, size-1
	for _, p := range proof {
		if last == 0 {
			return fmt.Errorf("%w: too long", ErrProof)
		}
		if at&1 == 1 || at == last {
			leaf = pair(p, leaf)
			at, last = climb(at, last)
		} else {
			leaf = pair(leaf, p)
		}
		at, last = at>>1, last>>1
	}
	if last != 0 {
		return fmt.Errorf("%w: too short", ErrProof)
	}
	if leaf != root {
		return fmt.Errorf("%w: another root", ErrProof)
	}
	return nil
}

// climb skips the levels at which a last node has no sibling.
func climb(at, last uint64) (uint64, uint64) {
	if at&1 == 0 && at != 0 {
		n := bits.TrailingZeros64(at)
		return at >> n, last >> n
	}
	return at, last
}

// VerifyConsistency checks that proof shows the tree of size1 and root1 to be the beginning of
// the tree of size2 and root2. It returns [ErrRange] if size1 exceeds size2, [ErrProof] if the proof
// does not hold, and nil if it does. Every tree begins with the empty one, and a tree of the same size
// must have the same root; both proofs are empty. It does not allocate.
func VerifyConsistency(root1, root2 Node, size1, size2 uint64, proof []Node) error {
	switch {
	case size1 > size2:
		return fmt.Errorf("%w: size %d of %d", ErrRange, size1, size2)
	case size1 == 0 || size1 == size2:
		if len(proof) > 0 {
			return fmt.Errorf("%w: too long", ErrProof)
		}
		if (size1 == 0 && root1 != EmptyRoot()) || (size1 == size2 && root1 != root2) {
			return fmt.Errorf("%w: another root", ErrProof)
		}
		return nil
	}
	// Begin at the subtree that ends the old tree: at the level where its last leaf is no
	// longer a right child. If that is all of the old tree, its root is known.
	at, last := size1-1, size2-1
	n := bits.TrailingZeros64(^at)
	at, last = at>>n, last>>n
	var older Node
	if size1&(size1-1) == 0 {
		older = root1
	} else if len(proof) > 0 {
		older, proof = proof[0], proof[1:]
	} else {
		return fmt.Errorf("%w: too short", ErrProof)
	}
	newer := older
	for _, p := range proof {
		if last == 0 {
			return fmt.Errorf("%w: too long", ErrProof)
		}
		if at&1 == 1 || at == last {
			older, newer = pair(p, older), pair(p, newer)
			at, last = climb(at, last)
		} else {
			newer = pair(newer, p)
		}
		at, last = at>>1, last>>1
	}
	if last != 0 {
		return fmt.Errorf("%w: too short", ErrProof)
	}
	if older != root1 || newer != root2 {
		return fmt.Errorf("%w: another root", ErrProof)
	}
	return nil
}
