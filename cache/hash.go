package cache

import (
	"hash/maphash"
	"math/bits"
	"reflect"
	"unsafe"
)

// hasher maps keys to 32 bits. Integers are mixed here, everything else goes through
// hash/maphash, whose seed nobody outside the process can know. With a fixed seed, which
// makes evictions reproducible, strings are hashed here too.
type hasher[K comparable] struct {
	kind hashKind
	seed uint64
	mh   maphash.Seed
}

type hashKind uint8

const (
	hashAny hashKind = iota
	hashWord
	hashHalf
	hashString
	hashSeeded
)

func newHasher[K comparable](seed uint64) hasher[K] {
	h := hasher[K]{seed: seed, mh: maphash.MakeSeed()}
	if seed == 0 {
		h.seed = maphash.Comparable(h.mh, 0) | 1
	}
	switch t := reflect.TypeFor[K](); t.Kind() {
	case reflect.Int, reflect.Uint, reflect.Int64, reflect.Uint64, reflect.Int32, reflect.Uint32, reflect.Uintptr:
		h.kind = hashWord
		if t.Size() == 4 {
			h.kind = hashHalf
		}
	case reflect.String:
		h.kind = hashString
		if seed != 0 {
			h.kind = hashSeeded
		}
	}
	return h
}

// of is never 0, which marks holes in queues.
func (h *hasher[K]) of(k K) uint32 {
	var x uint64
	switch h.kind {
	case hashWord:
		x = mix(*(*uint64)(unsafe.Pointer(&k)), h.seed)
	case hashHalf:
		x = mix(uint64(*(*uint32)(unsafe.Pointer(&k))), h.seed)
	case hashString:
		x = maphash.String(h.mh, *(*string)(unsafe.Pointer(&k)))
	case hashSeeded:
		x = hashStringSeeded(*(*string)(unsafe.Pointer(&k)), h.seed)
	default:
		x = maphash.Comparable(h.mh, k)
	}
	if y := uint32(x >> 32); y != 0 {
		return y
	}
	return 1
}

// mix is a multiply and fold in both directions: a single one would let an attacker who
// guesses nothing but the scheme cancel the seed with a key of zero.
func mix(x, seed uint64) uint64 {
	hi, lo := bits.Mul64(x^seed, 0x9e3779b97f4a7c15)
	x = hi ^ lo
	hi, lo = bits.Mul64(x^0xe7037ed1a0b428db, seed|1)
	return hi ^ lo
}

func hashStringSeeded(s string, seed uint64) uint64 {
	x := seed ^ uint64(len(s))*0xa0761d6478bd642f
	for len(s) >= 8 {
		w := uint64(s[0]) | uint64(s[1])<<8 | uint64(s[2])<<16 | uint64(s[3])<<24 | uint64(s[4])<<32 | uint64(s[5])<<40 | uint64(s[6])<<48 | uint64(s[7])<<56
		x = mix(w^x, seed)
		s = s[8:]
	}
	var w uint64
	for i := range len(s) {
		w |= uint64(s[i]) << (8 * i)
	}
	return mix(w^x, seed+1)
}
