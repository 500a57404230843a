package snowflake

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math/bits"
)

// Ids tell when they were made and, in a series, how many others were. A veil is a keyed
// permutation of all ids: what leaves the service looks random, and the service takes it
// back. The permutation is the block cipher Speck64/128, and because a block has a bit more
// than an id, blocks are enciphered again until one has the right sign:
//
//	id ─▶ cipher ─▶ sign bit set? ─ no ──▶ public id
//	        ▲            │ yes
//	        └────────────┘            twice on average
//
// Going round the cycle of a permutation until the first value in the wanted set is itself a
// permutation of that set.
//
// Sources: Beaulieu, Shors, Smith, Treatman-Clark, Weeks, Wingers, "The Simon and Speck
// Families of Lightweight Block Ciphers" (2013), with its test vector; cycle walking:
// Black, Rogaway, "Ciphers with Arbitrary Finite Domains" (2002).

// Veil hides what ids tell from those who may see them, one to one and for ever: to a key
// there is one permutation. It is not encryption of messages: equal ids give equal veiled
// ids, nothing is authenticated (every number unveils to some id), and 63 bits are few. Do
// not let it stand in for a check of who may see what. A Veil is immutable, does not
// allocate, and is safe for concurrent use.
type Veil struct {
	keys [speckRounds]uint32
}

const (
	speckRounds = 27
	minSecret   = 16
)

// NewVeil derives the permutation from a secret of at least 16 bytes, else ErrKey, and a
// context: a kind of id, such as "order". Different contexts give unrelated permutations, so
// that an id of one kind tells nothing about another. Neither can be changed later without
// changing every public id.
func NewVeil(secret []byte, context string) (*Veil, error) {
	if len(secret) < minSecret {
		return nil, fmt.Errorf("%w: %d bytes, at least %d", ErrKey, len(secret), minSecret)
	}
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte("snowflake veil 1\x00" + context))
	sum := mac.Sum(nil)
	var key [4]uint32
	for i := range key {
		key[i] = binary.LittleEndian.Uint32(sum[4*i:])
	}
	return newVeil(key), nil
}

// newVeil expands a key, lowest word first.
func newVeil(key [4]uint32) *Veil {
	v := &Veil{}
	k, l := key[0], [3]uint32{key[1], key[2], key[3]}
	for i := range v.keys {
		v.keys[i] = k
		next := (k + bits.RotateLeft32(l[i%3], -8)) ^ uint32(i)
		l[i%3] = next
		k = bits.RotateLeft32(k, 3) ^ next
	}
	return v
}

// Hide is the public id of an id. A negative id, which no generator makes, has a negative
// one.
func (v *Veil) Hide(id ID) ID {
	out := id
	for {
		out = ID(v.encipher(uint64(out)))
		if out < 0 == (id < 0) {
			return out
		}
	}
}

// Reveal is the inverse of Hide. Every number is the public id of some id: look it up.
func (v *Veil) Reveal(public ID) ID {
	out := public
	for {
		out = ID(v.decipher(uint64(out)))
		if out < 0 == (public < 0) {
			return out
		}
	}
}

func (v *Veil) encipher(block uint64) uint64 {
	x, y := uint32(block>>32), uint32(block)
	for _, k := range v.keys {
		x = (bits.RotateLeft32(x, -8) + y) ^ k
		y = bits.RotateLeft32(y, 3) ^ x
	}
	return uint64(x)<<32 | uint64(y)
}

func (v *Veil) decipher(block uint64) uint64 {
	x, y := uint32(block>>32), uint32(block)
	for i := speckRounds - 1; i >= 0; i-- {
		y = bits.RotateLeft32(y^x, -3)
		x = bits.RotateLeft32((x^v.keys[i])-y, 8)
	}
	return uint64(x)<<32 | uint64(y)
}
