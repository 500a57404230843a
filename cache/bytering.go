package cache

import "encoding/binary"

// ring is a buffer in which entries lie one behind the other, oldest at head, the next one
// to be written at tail. An entry does not wrap: what is left at the end of the buffer is
// filled by one that is dead.
//
//	│ tail ▶ free ◀ head │ e │ e │ e │ … │ e │ dead │       or      │ free │ head ▶ e │ e │ e │ tail ▶ free │
type ring struct {
	buf        []byte
	size       int64
	head, tail int64
	used       int64 // bytes between head and tail, with the dead
}

// align is that of all sizes and offsets.
const align = 8

// reserve gives the offset of size free bytes at the tail.
func (r *ring) reserve(size int64) (off int64, ok bool) {
	if r.buf == nil {
		r.buf = make([]byte, r.size)
	}
	if r.used == 0 {
		r.head, r.tail = 0, 0
	}
	if r.size-r.used < size {
		return 0, false
	}
	if rest := r.size - r.tail; r.tail >= r.head && rest < size {
		if r.head < size { // used is not the whole: only the gap would fit
			return 0, false
		}
		if rest > 0 {
			stored(r.buf[r.tail:]).fill(rest)
		}
		r.used += rest
		r.tail = 0
	}
	off = r.tail
	if off < r.head && r.head-off < size {
		return 0, false
	}
	r.tail += size
	r.used += size
	if r.tail == r.size {
		r.tail = 0
	}
	return off, true
}

// pop frees the oldest size bytes.
func (r *ring) pop(size int64) {
	r.used -= size
	if r.head += size; r.head >= r.size {
		r.head = 0
	}
}

// stored is an entry as it lies in a ring, from its header on:
//
//	0 key length, 2 bytes | uses, 1 | dead, 1 | value length, 4
//	8 version, 8          16 end, 8          24 hash, 4 | size in units of eight bytes, 4
//	32 key, value, padding
type stored []byte

const headerSize = 32

func entrySize(key, val int) int64 {
	return (int64(headerSize+key+val) + align - 1) &^ (align - 1)
}

var le = binary.LittleEndian

func (e stored) keyLen() int      { return int(le.Uint16(e)) }
func (e stored) valLen() int      { return int(le.Uint32(e[4:])) }
func (e stored) uses() uint8      { return e[2] }
func (e stored) setUses(n uint8)  { e[2] = n }
func (e stored) dead() bool       { return e[3] != 0 }
func (e stored) kill()            { e[3] = 1 }
func (e stored) version() uint64  { return le.Uint64(e[8:]) }
func (e stored) end() int64       { return int64(le.Uint64(e[16:])) }
func (e stored) setEnd(end int64) { le.PutUint64(e[16:], uint64(end)) }
func (e stored) hash() uint32     { return le.Uint32(e[24:]) }
func (e stored) key() []byte      { return e[headerSize : headerSize+e.keyLen()] }
func (e stored) value() []byte    { k := headerSize + e.keyLen(); return e[k : k+e.valLen()] }

// size of a filler may be less than a header, so its size is kept where every filler has
// bytes: in the first eight.
func (e stored) size() int64 {
	if e[3] == filler {
		return int64(le.Uint32(e[4:])) * align
	}
	return int64(le.Uint32(e[28:])) * align
}

const filler = 2

func (e stored) fill(size int64) {
	e[3] = filler
	le.PutUint32(e[4:], uint32(size/align))
}

func (e stored) use() {
	if e[2] < usesMask {
		e[2]++
	}
}

func (e stored) init(h uint32, key, val []byte, version uint64, end int64) {
	le.PutUint16(e, uint16(len(key)))
	e[2], e[3] = 0, 0
	le.PutUint32(e[4:], uint32(len(val)))
	le.PutUint64(e[8:], version)
	e.setEnd(end)
	le.PutUint32(e[24:], h)
	le.PutUint32(e[28:], uint32(entrySize(len(key), len(val))/align))
	copy(e[headerSize:], key)
	copy(e[headerSize+len(key):], val)
}

// overwrite changes the value in place; the entry's size stays.
func (e stored) overwrite(val []byte, version uint64, end int64) {
	le.PutUint32(e[4:], uint32(len(val)))
	le.PutUint64(e[8:], version)
	e.setEnd(end)
	copy(e[headerSize+e.keyLen():], val)
	e.use()
}

// byteIndex maps hashes to places by open addressing; which of several places with one
// hash is meant, the caller knows. Removal closes the gap, so there are no tombstones.
type byteIndex struct {
	slots []indexSlot
	n     int
}

type indexSlot struct{ hash, at uint32 } // hash 0: free

func (x *byteIndex) home(h uint32) int {
	return int(uint64(h*0x9e3779b1) * uint64(len(x.slots)) >> 32)
}

func (x *byteIndex) next(i int) int {
	if i++; i == len(x.slots) {
		return 0
	}
	return i
}

func (x *byteIndex) find(h uint32, is func(at uint32) bool) (at uint32, ok bool) {
	if x.n == 0 {
		return 0, false
	}
	for i := x.home(h); x.slots[i].hash != 0; i = x.next(i) {
		if x.slots[i].hash == h && is(x.slots[i].at) {
			return x.slots[i].at, true
		}
	}
	return 0, false
}

func (x *byteIndex) add(h, at uint32) {
	if 4*(x.n+1) > 3*len(x.slots) {
		old := x.slots
		x.slots, x.n = make([]indexSlot, max(16, len(old)*3/2)), 0
		for _, s := range old {
			if s.hash != 0 {
				x.add(s.hash, s.at)
			}
		}
	}
	i := x.home(h)
	for x.slots[i].hash != 0 {
		i = x.next(i)
	}
	x.slots[i] = indexSlot{h, at}
	x.n++
}

func (x *byteIndex) remove(h uint32, is func(at uint32) bool) {
	if x.n == 0 {
		return
	}
	i := x.home(h)
	for ; x.slots[i].hash != h || !is(x.slots[i].at); i = x.next(i) {
		if x.slots[i].hash == 0 {
			return
		}
	}
	x.n--
	n := len(x.slots)
	for j := x.next(i); x.slots[j].hash != 0; j = x.next(j) {
		if (j-x.home(x.slots[j].hash)+n)%n >= (j-i+n)%n {
			x.slots[i] = x.slots[j]
			i = j
		}
	}
	x.slots[i] = indexSlot{}
}
