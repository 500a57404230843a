package neardup

// The index.
//
// Of four blocks of 16 bits, a change of three bits leaves one as it was. So the hash is
// kept four times, in one table for each block; a look-up goes through four buckets, those
// of its own blocks, and compares.
//
//	hash     │ block 3 │ block 2 │ block 1 │ block 0 │
//	table 0    bucket = block 0: entry = blocks 3 2 1, and a quarter of the id
//	table 1    bucket = block 1: entry = blocks 3 2 0, and a quarter of the id
//	…
//
// The block that names a bucket need not be kept in it. In its 16 bits there is room for a
// quarter of the page's id; who has found a hash finds it in the other tables as well, and
// so has the whole id. A page takes four words, id included.
//
// A small index has no tables: going through a few thousand hashes is as fast.

import "iter"

// MaxDistance is the greatest distance that an Index can look for.
const MaxDistance = 3

const (
	tables = 4
	// smallMax is how many hashes are kept in one list before tables are made.
	smallMax = 2048
)

// Match is a hash that was found.
type Match struct {
	Hash, ID uint64
	Distance int // bits in which it differs
}

// Index holds hashes with an id each. The zero value is an empty index.
type Index struct {
	n      int
	hashes []uint64 // while there are no tables
	ids    []uint64
	bucket [tables][][]uint64
}

// Len returns the number of hashes.
func (x *Index) Len() int { return x.n }

// Add adds a hash with the id of its page. A hash that is there already stays with its
// first id; Add reports whether it was new.
func (x *Index) Add(hash, id uint64) bool {
	if _, ok := x.ID(hash); ok {
		return false
	}
	x.add(hash, id)
	return true
}

// AddNew adds a hash unless one within MaxDistance is there; then it returns that one,
// and found is true. An index that grows by AddNew alone stays fast even if it is asked
// for millions of variants of one text.
func (x *Index) AddNew(hash, id uint64) (m Match, found bool) {
	for m := range x.Near(hash, MaxDistance) {
		return m, true
	}
	x.add(hash, id)
	return Match{}, false
}

func (x *Index) add(hash, id uint64) {
	x.n++
	if x.bucket[0] == nil {
		x.hashes, x.ids = append(x.hashes, hash), append(x.ids, id)
		if len(x.hashes) <= smallMax {
			return
		}
		for t := range x.bucket {
			x.bucket[t] = make([][]uint64, 1<<16)
		}
		for i, h := range x.hashes {
			x.insert(h, x.ids[i])
		}
		x.hashes, x.ids = nil, nil
		return
	}
	x.insert(hash, id)
}

// insert puts a hash into the tables.
func (x *Index) insert(hash, id uint64) {
	for t := range x.bucket {
		shift := 16 * t
		b := &x.bucket[t][uint16(hash>>shift)]
		if len(*b) == cap(*b) { // grow by an eighth: append would double
			grown := make([]uint64, len(*b), len(*b)+len(*b)/8+2)
			copy(grown, *b)
			*b = grown
		}
		quarter := id >> shift & 0xFFFF
		*b = append(*b, hash&^(0xFFFF<<shift)|quarter<<shift)
	}
}

// ID returns the id that a hash was added with.
func (x *Index) ID(hash uint64) (id uint64, ok bool) {
	if x.bucket[0] == nil {
		for i, h := range x.hashes {
			if h == hash {
				return x.ids[i], true
			}
		}
		return 0, false
	}
	for t := range x.bucket {
		shift := 16 * t
		mask := uint64(0xFFFF) << shift
		found := false
		for _, e := range x.bucket[t][uint16(hash>>shift)] {
			if (e^hash)&^mask == 0 {
				id |= e & mask
				found = true
				break
			}
		}
		if !found {
			return 0, false
		}
	}
	return id, true
}

// Near returns all hashes within distance k, each once, in no order; k above MaxDistance
// counts as MaxDistance. The index must not change meanwhile.
func (x *Index) Near(hash uint64, k int) iter.Seq[Match] {
	k = min(k, MaxDistance)
	return func(yield func(Match) bool) {
		for i, h := range x.hashes {
			if d := Distance(h, hash); d <= k && !yield(Match{h, x.ids[i], d}) {
				return
			}
		}
		if x.bucket[0] == nil {
			return
		}
		for t := range x.bucket {
			shift := 16 * t
			mask := uint64(0xFFFF) << shift
			for _, e := range x.bucket[t][uint16(hash>>shift)] {
				d := Distance(e&^mask, hash&^mask)
				if d > k {
					continue
				}
				h := e&^mask | hash&mask
				if earlier(h^hash, t) {
					continue
				}
				id, _ := x.ID(h)
				if !yield(Match{h, id, d}) {
					return
				}
			}
		}
	}
}

// earlier reports whether a table before t has shown a hash that differs in diff: one of
// its earlier blocks does not differ.
func earlier(diff uint64, t int) bool {
	for range t {
		if uint16(diff) == 0 {
			return true
		}
		diff >>= 16
	}
	return false
}
