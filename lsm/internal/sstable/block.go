package sstable

import (
	"bytes"
	"encoding/binary"
	"math/bits"
	"sync/atomic"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

// A data block, uncompressed:
//
//	┌────────┬─────────┬─────────┬─ … ─┬─────────────────┬─────────────────┬──────────────┐
//	│ common │ entry 0 │ entry 1 │     │ prefixes u64×r  │ offsets u32×r   │ u32 common's │
//	│ prefix │ restart │         │     │ of the restarts │ of the restarts │ length, u32 r│
//	└────────┴─────────┴─────────┴─ … ─┴─────────────────┴─────────────────┴──────────────┘
//
//	entry:  uvarint shared, uvarint unshared, uvarint value's length, u64 trailer,
//	        unshared bytes of the key, value
//
// The prefix common to all keys of the block is stored once. What is left of a key is
// stored as the number of bytes that it shares with what is left of the one before, and
// the rest; at a restart, every few entries, nothing is shared.
//
// A search halves its way over the prefixes, eight bytes of each restart's key after the
// common prefix: a few words next to each other, where a plain block would have it jump
// to entries, decode, and compare keys. Only where prefixes are equal are entries looked
// at. From the restart so found it steps from entry to entry; how much of the searched
// key the last entry matched, and how much the next shares with it, mostly decides without
// looking at key bytes at all.
//
// Invariants, of which parseBlock checks those that cost no walk: the block has a restart;
// the first entry is one; offsets ascend and lie between the common prefix and the
// prefixes; prefixes do not descend. What the entries themselves say is checked as they
// are decoded.
//
// Source: the table format of LevelDB (restarts); the rest follows from the note above.
type block struct {
	data     []byte
	common   int // length of the common prefix
	limit    int // where entries end and prefixes begin
	restarts int

	// of the cache; see cache.go
	visited      atomic.Bool
	newer, older *block
	home         *atomic.Pointer[block]
}

const blockTail = 8

// parseBlock makes a block of data, which it keeps; detail says what is wrong with it.
func parseBlock(data []byte) (b *block, detail string) {
	b = &block{}
	return b, b.parse(data)
}

func (b *block) parse(data []byte) (detail string) {
	if len(data) < blockTail {
		return "block: too short"
	}
	tail := data[len(data)-blockTail:]
	common, restarts := uint64(binary.LittleEndian.Uint32(tail)), uint64(binary.LittleEndian.Uint32(tail[4:]))
	arrays := restarts * 12
	if restarts == 0 || arrays > uint64(len(data)-blockTail) {
		return "block: impossible number of restarts"
	}
	limit := uint64(len(data)-blockTail) - arrays
	if common > limit || common > maxKey {
		return "block: impossible common prefix"
	}
	b.data, b.common, b.limit, b.restarts = data, int(common), int(limit), int(restarts)
	if b.offset(0) != b.common {
		return "block: does not begin with a restart"
	}
	for i := 1; i < b.restarts; i++ {
		if b.offset(i) <= b.offset(i-1) || b.prefix(i) < b.prefix(i-1) {
			return "block: restarts out of order"
		}
	}
	if b.offset(b.restarts-1) >= b.limit {
		return "block: restart beyond the entries"
	}
	return ""
}

// prefix returns the eight bytes of restart i's key after the common prefix.
func (b *block) prefix(i int) uint64 { return binary.LittleEndian.Uint64(b.data[b.limit+8*i:]) }

// offset returns where the entry of restart i begins.
func (b *block) offset(i int) int {
	return int(binary.LittleEndian.Uint32(b.data[b.limit+8*b.restarts+4*i:]))
}

// entry is a decoded entry's place in the block.
type entry struct {
	shared  int // with the entry before, beyond the common prefix
	key     int // where the unshared bytes begin
	value   int // where they end and the value begins
	end     int // where the value ends and the next entry begins
	trailer key.Trailer
}

// entry decodes the entry at off; ok is false if there can be none.
func (b *block) entry(off int) (e entry, ok bool) {
	d := b.data[:b.limit]
	if off < 0 || len(d)-off < 11 {
		return e, false
	}
	d = d[off:]
	var unshared, value uint64
	if d[0]|d[1]|d[2] < 0x80 {
		e.shared, unshared, value = int(d[0]), uint64(d[1]), uint64(d[2])
		off += 3
		d = d[3:]
	} else {
		var shared uint64
		for _, p := range [...]*uint64{&shared, &unshared, &value} {
			v, n := binary.Uvarint(d)
			if n <= 0 {
				return e, false
			}
			*p = v
			off += n
			d = d[n:]
		}
		if shared > maxKey {
			return e, false
		}
		e.shared = int(shared)
		if len(d) < 8 {
			return e, false
		}
	}
	e.trailer = key.Trailer(binary.LittleEndian.Uint64(d))
	off += 8
	if unshared > maxKey || value > uint64(len(d)-8) || unshared > uint64(len(d)-8)-value {
		return e, false
	}
	e.key = off
	e.value = off + int(unshared)
	e.end = e.value + int(value)
	return e, true
}

// restart finds the last restart whose entry is at or before (rest, t), where rest is the
// searched key less the common prefix; -1 if even the first is after it. ok is false if the
// block is damaged.
func (b *block) restart(rest []byte, t key.Trailer) (r int, ok bool) {
	p := key.Prefix(rest)
	lo, n := 0, b.restarts // the first restart after it is in [lo, lo+n]
	for n > 0 {
		half := n >> 1
		mid := lo + half
		q := b.prefix(mid)
		before := q < p
		if q == p {
			e, ok := b.entry(b.offset(mid))
			if !ok || e.shared != 0 {
				return 0, false
			}
			before = key.Compare(b.data[e.key:e.value], e.trailer, rest, t) <= 0
		}
		if before {
			lo = mid + 1
			n -= half + 1
		} else {
			n = half
		}
	}
	return lo - 1, true
}

// find returns the place of the first entry at or after (k, t) if its user key is k.
// intact is false if the block is damaged.
func (b *block) find(k []byte, t key.Trailer) (e entry, found, intact bool) {
	if len(k) < b.common || !bytes.Equal(k[:b.common], b.data[:b.common]) {
		return e, false, true
	}
	rest := k[b.common:]
	r, ok := b.restart(rest, t)
	if !ok {
		return e, false, false
	}
	off := b.offset(max(r, 0))
	matched := 0 // bytes of rest that the entry before has too; it is before rest
	for off < b.limit {
		e, ok = b.entry(off)
		if !ok {
			return e, false, false
		}
		off = e.end
		switch {
		case e.shared == 0:
			matched = 0
		case e.shared > matched:
			continue // like the entry before, it departs from rest where that is larger
		case e.shared < matched:
			return e, false, true // it departs from what rest and the entry before share
		}
		suffix := b.data[e.key:e.value]
		n := commonLen(suffix, rest[matched:])
		matched += n
		switch {
		case n < len(suffix) && (matched == len(rest) || suffix[n] > rest[matched]):
			return e, false, true
		case n == len(suffix) && matched == len(rest) && e.trailer <= t:
			return e, true, true
		}
	}
	return e, false, true
}

// commonLen is the number of bytes at the beginning of a and b that are equal.
func commonLen(a, b []byte) int {
	n := min(len(a), len(b))
	i := 0
	for ; i+8 <= n; i += 8 {
		if x := binary.LittleEndian.Uint64(a[i:]) ^ binary.LittleEndian.Uint64(b[i:]); x != 0 {
			return i + bits.TrailingZeros64(x)/8
		}
	}
	for i < n && a[i] == b[i] {
		i++
	}
	return i
}
