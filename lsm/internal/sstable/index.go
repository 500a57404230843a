package sstable

import (
	"bytes"
	"encoding/binary"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

// The index: for every data block a separator, an internal key at or after the block's
// last entry and before the next block's first, and the block's offset.
//
//	u32 n, u32 common's length, common prefix,
//	n × u64 prefix, n × u64 trailer, (n+1) × u64 offset, n × u32 end of suffix, suffixes
//
// It stays in memory while the table is open, as flat arrays:
//
//	prefixes  │ 00..17 │ 00..2a │ 00..2a │ 00..91 │   searched first, alone; eight bytes each
//	suffixes  │ "…"    │ "…"    │ "…"    │ "…"    │   the whole separators, only if those tie
//	offsets   │ 0      │ 4007   │ 8080   │ 12100  │ 16150
//
// so that a look-up in a table of sixteen thousand blocks reads some fourteen words, and
// no key. Prefixes are what follows the prefix common to all separators. Separators are
// as short as they can be; one is a key of the table, with its trailer, only where the
// versions of that key go on in the next block.
//
// Invariants, checked on opening: separators strictly ascend; prefixes are those of the
// suffixes; offsets begin with 0 and ascend.
type index struct {
	common   []byte
	prefixes []uint64
	trailers []key.Trailer
	offsets  []uint64
	ends     []uint32
	suffixes []byte
}

// blocks is the number of data blocks.
func (x *index) blocks() int { return len(x.prefixes) }

// suffix is what separator i has after the common prefix.
func (x *index) suffix(i int) []byte {
	var from uint32
	if i > 0 {
		from = x.ends[i-1]
	}
	return x.suffixes[from:x.ends[i]]
}

// find returns the first block whose separator is at or after (k, t): the only one that
// can hold the first entry at or after it, unless that is the first of the next block.
// It is the number of blocks if all are before.
func (x *index) find(k []byte, t key.Trailer) int {
	if n := len(x.common); n > 0 {
		if len(k) < n || !bytes.Equal(k[:n], x.common) {
			if bytes.Compare(k, x.common) < 0 {
				return 0
			}
			return len(x.prefixes)
		}
		k = k[n:]
	}
	p := key.Prefix(k)
	lo, n := 0, len(x.prefixes)
	// The first prefix at or after p, by halving without a branch to mispredict.
	for n > 1 {
		half := n >> 1
		if x.prefixes[lo+half-1] < p {
			lo += half
		}
		n -= half
	}
	if n == 1 && x.prefixes[lo] < p {
		lo++
	}
	if lo == len(x.prefixes) || x.prefixes[lo] > p {
		return lo
	}
	// Ties: by the separators themselves.
	hi := lo + 1
	for step := 1; hi < len(x.prefixes) && x.prefixes[hi] == p; step *= 2 {
		hi = min(hi+step, len(x.prefixes))
	}
	for lo < hi {
		mid := int(uint(lo+hi) >> 1)
		if x.prefixes[mid] == p && key.Compare(x.suffix(mid), x.trailers[mid], k, t) < 0 {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// indexBuilder collects separators.
type indexBuilder struct {
	keys     []byte
	ends     []int
	trailers []key.Trailer
	offsets  []uint64
}

func (x *indexBuilder) add(separator []byte, t key.Trailer, offset uint64) {
	x.keys = append(x.keys, separator...)
	x.ends = append(x.ends, len(x.keys))
	x.trailers = append(x.trailers, t)
	x.offsets = append(x.offsets, offset)
}

func (x *indexBuilder) separator(i int) []byte {
	from := 0
	if i > 0 {
		from = x.ends[i-1]
	}
	return x.keys[from:x.ends[i]]
}

// size is about the length of the encoding.
func (x *indexBuilder) size() int { return 8 + len(x.keys) + 28*len(x.ends) + 8 }

// append appends the encoding; data is where the data blocks end.
func (x *indexBuilder) append(dst []byte, data uint64) []byte {
	n, common := len(x.ends), 0
	if n > 0 {
		common = commonLen(x.separator(0), x.separator(n-1))
	}
	dst = binary.LittleEndian.AppendUint32(dst, uint32(n))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(common))
	if n > 0 {
		dst = append(dst, x.separator(0)[:common]...)
	}
	for i := range n {
		dst = binary.LittleEndian.AppendUint64(dst, key.Prefix(x.separator(i)[common:]))
	}
	for _, t := range x.trailers {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(t))
	}
	for _, o := range x.offsets {
		dst = binary.LittleEndian.AppendUint64(dst, o)
	}
	dst = binary.LittleEndian.AppendUint64(dst, data)
	end := 0
	for i := range n {
		end += len(x.separator(i)) - common
		dst = binary.LittleEndian.AppendUint32(dst, uint32(end))
	}
	for i := range n {
		dst = append(dst, x.separator(i)[common:]...)
	}
	return dst
}

// parseIndex reads an index whose data blocks end at data. It keeps p. detail says what
// is wrong with it.
func parseIndex(p []byte, data uint64) (x index, detail string) {
	if len(p) < 8 {
		return x, "index: too short"
	}
	n, common := uint64(binary.LittleEndian.Uint32(p)), uint64(binary.LittleEndian.Uint32(p[4:]))
	p = p[8:]
	if n*28+8+common > uint64(len(p)) {
		return x, "index: impossible number of blocks"
	}
	x.common, p = p[:common], p[common:]
	x.prefixes, p = words[uint64](p, n)
	x.trailers, p = words[key.Trailer](p, n)
	x.offsets, p = words[uint64](p, n+1)
	x.ends = make([]uint32, n)
	for i := range x.ends {
		x.ends[i] = binary.LittleEndian.Uint32(p[4*i:])
	}
	x.suffixes = p[4*n:]
	return x, x.check(data)
}

// words reads n numbers from p and returns what follows them.
func words[T ~uint64](p []byte, n uint64) ([]T, []byte) {
	w := make([]T, n)
	for i := range w {
		w[i] = T(binary.LittleEndian.Uint64(p[8*i:]))
	}
	return w, p[8*n:]
}

// check checks the invariants.
func (x *index) check(data uint64) (detail string) {
	n := x.blocks()
	if x.offsets[0] != 0 || x.offsets[n] != data {
		return "index: blocks do not fill the data"
	}
	var end uint32
	for i := range n {
		if x.ends[i] < end || uint64(x.ends[i]) > uint64(len(x.suffixes)) {
			return "index: separators out of bounds"
		}
		end = x.ends[i]
		if x.offsets[i+1] < x.offsets[i] || x.offsets[i+1]-x.offsets[i] <= blockTrailer {
			return "index: blocks out of order"
		}
		if x.offsets[i+1]-x.offsets[i] > maxBlock+blockTrailer {
			return "index: impossible length of a block"
		}
		if x.prefixes[i] != key.Prefix(x.suffix(i)) {
			return "index: prefix of another separator"
		}
		if i > 0 && key.Compare(x.suffix(i-1), x.trailers[i-1], x.suffix(i), x.trailers[i]) >= 0 {
			return "index: separators out of order"
		}
	}
	if int(end) != len(x.suffixes) {
		return "index: bytes left over"
	}
	return ""
}

// separate returns the shortest key at or after a and before b, of which a < b, or nil if
// none is shorter than a: the result aliases b.
func separate(a, b []byte) []byte {
	d := commonLen(a, b)
	if d+1 < len(b) && d+1 <= len(a) {
		return b[:d+1]
	}
	return nil
}
