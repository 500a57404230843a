package sstable

import (
	"encoding/binary"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

// blockBuilder collects the entries of one block. They are encoded when the block is
// complete, for only then is it known what all keys have in common.
type blockBuilder struct {
	interval int // entries from restart to restart

	keys    []byte // whole keys, one after the other
	values  []byte
	pending []pendingEntry

	// size of the encoding but for what the common prefix saves at restarts
	encoded, restarts int
	common            int
}

// pendingEntry is an entry's share of keys and values.
type pendingEntry struct {
	key, value int // lengths
	shared     int // with the key before; 0 at a restart
	trailer    key.Trailer
}

// shape says what an entry would add.
func (b *blockBuilder) shape(k []byte, shared int, value int) (entry pendingEntry, encoded, restarts, common int) {
	common = b.common
	switch {
	case len(b.pending) == 0:
		common = len(k)
	default:
		// Keys ascend: what the first and the last share, all share.
		common = min(common, shared)
	}
	restarts = b.restarts
	if len(b.pending)%b.interval == 0 {
		shared = 0
		restarts++
	}
	entry = pendingEntry{key: len(k), value: value, shared: shared}
	encoded = b.encoded + uvarintLen(shared) + uvarintLen(len(k)-shared) + uvarintLen(value) + 8 + len(k) - shared + value
	return entry, encoded, restarts, common
}

// fits reports whether the block stays within limit bytes with an entry of key k, which
// shares shared bytes with the key before, and a value of so many bytes.
func (b *blockBuilder) fits(k []byte, shared, value, limit int) bool {
	_, encoded, restarts, common := b.shape(k, shared, value)
	return encoded+restarts*12-(restarts-1)*common+blockTail <= limit
}

// add adds an entry whose key shares shared bytes with the one before. Keys must ascend.
func (b *blockBuilder) add(k []byte, t key.Trailer, v []byte, shared int) {
	var e pendingEntry
	e, b.encoded, b.restarts, b.common = b.shape(k, shared, len(v))
	e.trailer = t
	b.pending = append(b.pending, e)
	b.keys = append(b.keys, k...)
	b.values = append(b.values, v...)
}

// empty reports whether the block has no entry.
func (b *blockBuilder) empty() bool { return len(b.pending) == 0 }

// size is about the length of the encoding.
func (b *blockBuilder) size() int { return b.encoded + b.restarts*12 + blockTail }

// appendTo appends the encoding of the block and empties the builder.
func (b *blockBuilder) appendTo(dst []byte) []byte {
	start := len(dst)
	keys, values := b.keys, b.values
	dst = append(dst, keys[:b.common]...)
	prefixes, offsets := make([]uint64, 0, b.restarts), make([]uint32, 0, b.restarts)
	for i, e := range b.pending {
		k, v := keys[b.common:e.key], values[:e.value]
		keys, values = keys[e.key:], values[e.value:]
		shared := max(e.shared-b.common, 0)
		if i%b.interval == 0 {
			prefixes = append(prefixes, key.Prefix(k))
			offsets = append(offsets, uint32(len(dst)-start))
			shared = 0
		}
		dst = binary.AppendUvarint(dst, uint64(shared))
		dst = binary.AppendUvarint(dst, uint64(len(k)-shared))
		dst = binary.AppendUvarint(dst, uint64(len(v)))
		dst = binary.LittleEndian.AppendUint64(dst, uint64(e.trailer))
		dst = append(dst, k[shared:]...)
		dst = append(dst, v...)
	}
	for _, p := range prefixes {
		dst = binary.LittleEndian.AppendUint64(dst, p)
	}
	for _, o := range offsets {
		dst = binary.LittleEndian.AppendUint32(dst, o)
	}
	dst = binary.LittleEndian.AppendUint32(dst, uint32(b.common))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(b.restarts))
	*b = blockBuilder{interval: b.interval, keys: b.keys[:0], values: b.values[:0], pending: b.pending[:0]}
	return dst
}

func uvarintLen(n int) int {
	l := 1
	for ; n >= 0x80; n >>= 7 {
		l++
	}
	return l
}
