package merkle

import (
	"math/bits"

	"github.com/cespare/xxhash/v2"
)

// Sum is the fingerprint of a set of (key, version) items: the sum modulo 2^128 of the items'
// digests, and how many items there are. The zero Sum is that of the empty set.
//
// Addition, and not the customary XOR, because under XOR an item folded twice cancels out and
// the set looks as if it were not there; under addition the second fold is a difference that
// the next exchange sees.
type Sum struct {
	Lo, Hi uint64
	N      int64
}

// Plus returns the fingerprint of the union of two disjoint sets.
func (s Sum) Plus(o Sum) Sum {
	lo, carry := bits.Add64(s.Lo, o.Lo, 0)
	hi, _ := bits.Add64(s.Hi, o.Hi, carry)
	return Sum{lo, hi, s.N + o.N}
}

// Minus returns the fingerprint of s without its subset o.
func (s Sum) Minus(o Sum) Sum {
	lo, borrow := bits.Sub64(s.Lo, o.Lo, 0)
	hi, _ := bits.Sub64(s.Hi, o.Hi, borrow)
	return Sum{lo, hi, s.N - o.N}
}

// keys are the words that every hash of a tree depends on, drawn from its seed.
type keys [4]uint64

// Odd constants: the fractional parts of the square roots of 2, 3, 5 and 7.
const (
	c0 = 0x6a09e667f3bcc909
	c1 = 0xbb67ae8584caa73b
	c2 = 0x3c6ef372fe94f82b
	c3 = 0xa54ff53a5f1d36f1
)

// newKeys spreads the seed, so that neither word alone determines a key.
func newKeys(seed [2]uint64) keys {
	a, b := mix(seed[0]+c0), mix(seed[1]+c1)
	return keys{mix(a + 3*b), mix(a ^ bits.RotateLeft64(b, 17)), mix(b + c2), mix(a - b + c3)}
}

// mix is a bijection of 64 bits in which every output bit depends on every input bit: the
// multiply and xor-shift finisher of Stafford's thirteenth variant, as used by SplitMix64.
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// hash names a key: xxhash, and over it a keyed bijection, so that somebody who does not know
// the seed cannot aim keys at one leaf.
func (k *keys) hash(key []byte) uint64 {
	return mix(xxhash.Sum64(key) ^ k[0])
}

// item is the digest of one key, given by its hash, at one version. For a fixed key each half
// is a bijection of the version, so two versions of a key never share a digest.
func (k *keys) item(hash, version uint64) Sum {
	if version == 0 {
		return Sum{}
	}
	v := mix(version ^ k[1])
	return Sum{mix(hash ^ v ^ k[2]), mix(hash*c3 + bits.RotateLeft64(v, 29) + k[3]), 1}
}

// fold shortens a sum to the eight bytes that travel. Two different sums share a fold with
// probability 2^-64.
func (k *keys) fold(s Sum) uint64 {
	return mix(s.Lo ^ mix(s.Hi^k[2]) ^ mix(uint64(s.N)+k[3]))
}

// join is the version under which keys that share a hash travel together: independent of
// their order, never 0.
func (k *keys) join(versions uint64, version uint64) uint64 {
	return max(1, versions+mix(version^k[3]))
}
