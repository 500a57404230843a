package lsm

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
	"github.com/ashlar-go/ashlar/lsm/internal/memtable"
)

// A batch in the log: the sequence number of its first operation (8 bytes), the number of
// operations (4), then for each its kind, and its key and value, each after its length.
// Operations have consecutive sequence numbers. In a batch that waits to be applied, the
// first eight bytes of an expiring value are the time to live; Apply turns them into the
// time of expiry, in its own copy.

const batchHeader = 12

// Batch collects writes that Apply commits as one: all of them or none, whatever their
// number and size. The zero Batch is ready; Reset keeps its memory. It copies keys and
// values. It is not safe for concurrent use, and can be applied more than once. A key or
// value that is too large is remembered and reported by Apply.
type Batch struct {
	buf   []byte // with room for the header in front
	count uint32
	spans uint32 // range deletes among them
	ttls  []int  // where in buf a time to live stands
	cost  int    // what it takes of a memtable
	err   error
}

func (b *Batch) add(kind key.Kind, k, v []byte, ttl time.Duration) {
	switch {
	case b.err != nil:
		return
	case len(k) > MaxKey:
		b.err = fmt.Errorf("%w: key of %d bytes", ErrTooLarge, len(k))
		return
	case len(v) > MaxValue:
		b.err = fmt.Errorf("%w: value of %d bytes", ErrTooLarge, len(v))
		return
	}
	if len(b.buf) == 0 {
		b.buf = append(b.buf, make([]byte, batchHeader)...)
	}
	size := len(v)
	if kind == key.SetExpiring {
		size += 8
	}
	b.buf = append(b.buf, byte(kind))
	b.buf = binary.AppendUvarint(b.buf, uint64(len(k)))
	b.buf = append(b.buf, k...)
	b.buf = binary.AppendUvarint(b.buf, uint64(size))
	if kind == key.SetExpiring {
		b.ttls = append(b.ttls, len(b.buf))
		b.buf = binary.BigEndian.AppendUint64(b.buf, uint64(ttl))
	}
	b.buf = append(b.buf, v...)
	b.count++
	b.cost += memtable.Cost(len(k), size)
	if kind == key.RangeDelete {
		b.spans++
	}
}

// Put sets key to value.
func (b *Batch) Put(k, v []byte) { b.add(key.Set, k, v, 0) }

// PutTTL sets key to value until d after the batch is applied, by Options.Now; d of zero
// or less is a value that has expired at once.
func (b *Batch) PutTTL(k, v []byte, d time.Duration) { b.add(key.SetExpiring, k, v, max(d, 0)) }

// Delete removes key, if it is there.
func (b *Batch) Delete(k []byte) { b.add(key.Delete, k, nil, 0) }

// DeleteRange removes all keys from start up to, not including, end. A range that ends
// before it starts is empty.
func (b *Batch) DeleteRange(start, end []byte) {
	if string(start) < string(end) {
		b.add(key.RangeDelete, start, end, 0)
	}
}

// Reset empties the batch and keeps its memory.
func (b *Batch) Reset() { *b = Batch{buf: b.buf[:0], ttls: b.ttls[:0]} }

// Len is the number of operations.
func (b *Batch) Len() int { return int(b.count) }

// Size is the number of bytes that the batch takes in the log.
func (b *Batch) Size() int { return len(b.buf) }

// seal writes the header and the times of expiry into a copy of the batch, made in dst.
func (b *Batch) seal(dst []byte, seq uint64, now time.Time) []byte {
	at := len(dst)
	dst = append(dst, b.buf...)
	rec := dst[at:]
	binary.LittleEndian.PutUint64(rec, seq)
	binary.LittleEndian.PutUint32(rec[8:], b.count)
	for _, i := range b.ttls {
		ttl := time.Duration(binary.BigEndian.Uint64(rec[i:]))
		binary.BigEndian.PutUint64(rec[i:], uint64(expiry(now, ttl)))
	}
	return dst
}

// expiry is now plus ttl in Unix milliseconds; what is too far ahead to be said is as
// far as can be.
func expiry(now time.Time, ttl time.Duration) int64 {
	ms := now.UnixMilli()
	d := int64((ttl + time.Millisecond - 1) / time.Millisecond)
	if ttl > time.Duration(1<<63-1)-time.Millisecond || ms > 0 && d > (1<<63-1)-ms {
		return 1<<63 - 1
	}
	return ms + d
}

// op is one operation of a sealed batch. Its slices are parts of the batch.
type op struct {
	kind key.Kind
	k, v []byte
}

// sealed walks a batch as it stands in the log.
type sealed struct {
	b     []byte
	seq   uint64
	count uint32
}

// parseBatch reads the header of a record.
func parseBatch(rec []byte) (sealed, bool) {
	if len(rec) < batchHeader {
		return sealed{}, false
	}
	s := sealed{b: rec[batchHeader:], seq: binary.LittleEndian.Uint64(rec), count: binary.LittleEndian.Uint32(rec[8:])}
	// Three bytes are the least that an operation takes.
	ok := s.count > 0 && uint64(s.count) <= uint64(len(s.b)/3) && s.seq > 0 && s.seq <= key.MaxSeq-uint64(s.count)
	return s, ok
}

// next takes the next operation off; false at the end and for a malformed batch, which
// done tells apart.
func (s *sealed) next() (op, bool) {
	if s.count == 0 || len(s.b) == 0 || s.b[0] > byte(key.RangeDelete) {
		return op{}, false
	}
	o := op{kind: key.Kind(s.b[0])}
	b := s.b[1:]
	for _, p := range []*[]byte{&o.k, &o.v} {
		n, size := binary.Uvarint(b)
		if size <= 0 || n > uint64(len(b)-size) {
			return op{}, false
		}
		end := size + int(n)
		*p, b = b[size:end:end], b[end:]
	}
	if o.kind == key.SetExpiring && len(o.v) < 8 {
		return op{}, false
	}
	s.b = b
	s.count--
	return o, true
}

// done reports whether every operation was taken and nothing is left.
func (s *sealed) done() bool { return s.count == 0 && len(s.b) == 0 }

// expiryBytes is the time of expiry as it stands before an expiring value.
func expiryBytes(now time.Time, ttl time.Duration) []byte {
	return binary.BigEndian.AppendUint64(nil, uint64(expiry(now, ttl)))
}
