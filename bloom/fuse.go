package bloom

import (
	"math"
	"math/bits"
	"slices"
)

// Fuse is a static filter: binary fuse with three segments (Graf, Lemire 2022). A key has
// three places, in three neighbouring segments, and is "there" if the fingerprints stored
// at them add up (XOR) to the key's own:
//
//	segments  ┌──────┬──────┬──────┬──────┬──────┬── …
//	          │  a   │  b   │   c  │      │      │       a ⊕ b ⊕ c = fingerprint(key)
//	          └──────┴──────┴──────┴──────┴──────┴── …
//
// Building peels: a place that belongs to one key only can always be set last, for that
// key; take both away and repeat. With segments this small the peeling works out for
// 1.13 places a key, which makes 9 bits a key at one false positive in 256, where a
// blocked filter needs 12.
//
// It cannot grow. Look-ups may run beside each other.
type Fuse struct {
	seed      uint64
	segLength uint32 // a power of two
	segSpan   uint32 // number of segments a key may start in, times segLength
	prints8   []uint8
	prints16  []uint16
}

// Builder collects hashes for a static or a tightly sized filter. It keeps its memory
// from filter to filter; the zero Builder is ready. It is not safe for concurrent use.
type Builder struct {
	hashes []uint64
	counts []uint8
	xors   []uint64
	order  []uint64
	places []uint8
	queue  []uint32
}

// AddHash adds the key with hash h. Adding a key twice is harmless.
func (b *Builder) AddHash(h uint64) { b.hashes = append(b.hashes, h) }

// Add adds a key.
func (b *Builder) Add(key []byte) { b.AddHash(Hash(key)) }

// Len is the number of hashes added, duplicates included.
func (b *Builder) Len() int { return len(b.hashes) }

// Reset forgets the keys and keeps the memory.
func (b *Builder) Reset() { b.hashes = b.hashes[:0] }

// Blocked makes a Filter of the keys with a budget of bits bits a key; see NewBits.
func (b *Builder) Blocked(bits float64) *Filter {
	f := NewBits(len(b.hashes), bits)
	for _, h := range b.hashes {
		f.AddHash(h)
	}
	return f
}

// maxTries bounds the seeds tried; each fails with a chance of a few per cent at most.
const maxTries = 100

// Fuse makes a static filter of the keys with fingerprints of 8 bits (0.39 % false
// positives at 9 bits a key) or 16 (0.0015 % at 18). Small sets take more: 10.3 bits a
// key at 10,000. It needs about 24 bytes a key while it builds. O(keys), plus a sort.
// ErrTooLarge beyond 2^31 keys; ErrMismatch for another number of bits.
func (b *Builder) Fuse(fingerprintBits int) (*Fuse, error) {
	if fingerprintBits != 8 && fingerprintBits != 16 {
		return nil, ErrMismatch
	}
	// Equal hashes would wait for each other for ever while peeling.
	slices.Sort(b.hashes)
	b.hashes = slices.Compact(b.hashes)
	if len(b.hashes) > math.MaxInt32 {
		return nil, ErrTooLarge
	}
	f := newFuse(uint32(len(b.hashes)), fingerprintBits)
	for try := range uint64(maxTries) {
		f.seed = mix(try + 1)
		if b.peel(f) {
			b.assign(f)
			return f, nil
		}
	}
	return nil, ErrBuild
}

// newFuse chooses the geometry for n keys by the paper's formulas.
func newFuse(n uint32, fingerprintBits int) *Fuse {
	f := &Fuse{segLength: 4}
	if n > 1 {
		exp := int(math.Floor(math.Log(float64(n))/math.Log(3.33) + 2.25))
		f.segLength = 1 << min(max(exp, 2), 18)
	}
	capacity := 0.0
	if n > 1 {
		factor := math.Max(1.125, 0.875+0.25*math.Log(1e6)/math.Log(float64(n)))
		capacity = math.Round(float64(n) * factor)
	}
	segments := max(int(math.Ceil(capacity/float64(f.segLength)))-2, 1)
	f.segSpan = uint32(segments) * f.segLength
	if size := f.size(); fingerprintBits == 8 {
		f.prints8 = make([]uint8, size)
	} else {
		f.prints16 = make([]uint16, size)
	}
	return f
}

func (f *Fuse) size() uint32 { return f.segSpan + 2*f.segLength }

// mix is a bijection of 64-bit words that leaves no pattern (the finaliser of Stafford's
// variant 13 of MurmurHash3).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// places returns the three places of a mixed hash.
func (f *Fuse) places(m uint64) (a, b, c uint32) {
	hi, _ := bits.Mul64(m, uint64(f.segSpan))
	a = uint32(hi)
	b = a + f.segLength
	c = b + f.segLength
	mask := f.segLength - 1
	b ^= uint32(m>>18) & mask
	c ^= uint32(m) & mask
	return a, b, c
}

func (f *Fuse) place(m uint64, i uint8) uint32 {
	a, b, c := f.places(m)
	return [...]uint32{a, b, c}[i]
}

// peel finds an order in which each key owns a place that no later key uses. It fails
// when a core remains in which every place is shared.
func (b *Builder) peel(f *Fuse) bool {
	size := int(f.size())
	b.counts = resize(b.counts, size)
	b.xors = resize(b.xors, size)
	b.order, b.places, b.queue = b.order[:0], b.places[:0], b.queue[:0]
	for _, h := range b.hashes {
		m := mix(h + f.seed)
		x, y, z := f.places(m)
		for i, p := range [...]uint32{x, y, z} {
			// Low two bits: the XOR of which place this is; above: how many keys.
			if b.counts[p] += 4; b.counts[p] < 4 {
				return false // 64 keys at one place: try another seed
			}
			b.counts[p] ^= uint8(i)
			b.xors[p] ^= m
		}
	}
	for p := range b.counts {
		if b.counts[p]>>2 == 1 {
			b.queue = append(b.queue, uint32(p))
		}
	}
	for len(b.queue) > 0 {
		p := b.queue[len(b.queue)-1]
		b.queue = b.queue[:len(b.queue)-1]
		if b.counts[p]>>2 != 1 {
			continue
		}
		m, own := b.xors[p], b.counts[p]&3
		b.order, b.places = append(b.order, m), append(b.places, own)
		x, y, z := f.places(m)
		for i, q := range [...]uint32{x, y, z} {
			b.counts[q] -= 4
			b.counts[q] ^= uint8(i)
			b.xors[q] ^= m
			if b.counts[q]>>2 == 1 {
				b.queue = append(b.queue, q)
			}
		}
	}
	return len(b.order) == len(b.hashes)
}

// assign sets, last peeled first, each key's own place so that its three add up.
func (b *Builder) assign(f *Fuse) {
	for i := len(b.order) - 1; i >= 0; i-- {
		m := b.order[i]
		p := f.place(m, b.places[i])
		x, y, z := f.places(m)
		if f.prints8 != nil {
			t := f.prints8
			t[p] = 0
			t[p] = uint8(print(m)) ^ t[x] ^ t[y] ^ t[z]
		} else {
			t := f.prints16
			t[p] = 0
			t[p] = uint16(print(m)) ^ t[x] ^ t[y] ^ t[z]
		}
	}
}

func print(m uint64) uint64 { return m ^ m>>32 }

// HasHash reports whether the key with hash h may be there; false is sure.
func (f *Fuse) HasHash(h uint64) bool {
	m := mix(h + f.seed)
	x, y, z := f.places(m)
	if t := f.prints8; t != nil {
		return uint8(print(m))^t[x]^t[y]^t[z] == 0
	}
	t := f.prints16
	return uint16(print(m))^t[x]^t[y]^t[z] == 0
}

// Has reports whether key may be there; false is sure.
func (f *Fuse) Has(key []byte) bool { return f.HasHash(Hash(key)) }

// Bits is the filter's size in bits.
func (f *Fuse) Bits() int { return 8*len(f.prints8) + 16*len(f.prints16) }

// FPR is the expected rate of false positives: 1/256 or 1/65536.
func (f *Fuse) FPR() float64 {
	if f.prints8 != nil {
		return 1.0 / (1 << 8)
	}
	return 1.0 / (1 << 16)
}

// resize returns a zeroed slice of n, in s's memory if that is large enough.
func resize[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	s = s[:n]
	clear(s)
	return s
}
