package sstable

import (
	"bytes"
	"encoding/binary"
	"sort"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

// A data block is a row of entries and the places where a search may start:
//
//	entry     shared │ unshared │ value length │ key suffix │ trailer 8 │ value
//	restarts  offset 4 … │ count 4
//
// "shared" is how much of the key is that of the entry before; the lengths are varints.
// At every restart point shared is zero, so that a binary search can compare whole keys;
// from there on a search walks.

// blockWriter builds one block.
type blockWriter struct {
	buf      []byte
	last     []byte
	restarts []uint32
	interval int
	count    int // entries since the last restart
}

func (w *blockWriter) reset() {
	w.buf, w.last, w.restarts, w.count = w.buf[:0], w.last[:0], w.restarts[:0], 0
}

func (w *blockWriter) empty() bool { return len(w.buf) == 0 }

// size is what the block would take if it were finished now.
func (w *blockWriter) size() int { return len(w.buf) + 4*len(w.restarts) + 4 }

func (w *blockWriter) add(k []byte, t key.Trailer, v []byte) {
	shared := 0
	if w.count%w.interval == 0 {
		w.restarts = append(w.restarts, uint32(len(w.buf)))
		w.count = 0
	} else {
		for n := min(len(k), len(w.last)); shared < n && k[shared] == w.last[shared]; shared++ {
		}
	}
	w.count++
	w.buf = binary.AppendUvarint(w.buf, uint64(shared))
	w.buf = binary.AppendUvarint(w.buf, uint64(len(k)-shared))
	w.buf = binary.AppendUvarint(w.buf, uint64(len(v)))
	w.buf = append(w.buf, k[shared:]...)
	w.buf = binary.LittleEndian.AppendUint64(w.buf, uint64(t))
	w.buf = append(w.buf, v...)
	w.last = append(w.last[:0], k...)
}

func (w *blockWriter) finish() []byte {
	for _, r := range w.restarts {
		w.buf = binary.LittleEndian.AppendUint32(w.buf, r)
	}
	return binary.LittleEndian.AppendUint32(w.buf, uint32(len(w.restarts)))
}

// blockIter walks one block. Whatever the block holds, it stays within it.
type blockIter struct {
	data     []byte // entries
	restarts []byte
	n        int // number of restarts
	at       int // offset of the present entry; len(data): at no entry
	next     int // offset of the next
	key      []byte
	trailer  key.Trailer
	val      []byte
	bad      bool
}

// init starts on a block; false means that it cannot be one.
func (b *blockIter) init(block []byte) bool {
	b.key, b.val, b.bad = b.key[:0], nil, false
	b.data, b.restarts, b.n, b.at, b.next = nil, nil, 0, 0, 0
	if len(block) < 4 {
		b.bad = true
		return false
	}
	n := uint64(binary.LittleEndian.Uint32(block[len(block)-4:]))
	if n == 0 || n > uint64(len(block)-4)/4 {
		b.bad = true
		return false
	}
	b.n = int(n)
	end := len(block) - 4 - 4*b.n
	b.data, b.restarts = block[:end:end], block[end:len(block)-4]
	b.at = len(b.data)
	return true
}

func (b *blockIter) restart(i int) int { return int(binary.LittleEndian.Uint32(b.restarts[4*i:])) }

func (b *blockIter) valid() bool { return b.at < len(b.data) }

func (b *blockIter) fail() bool {
	b.bad, b.at, b.next = true, len(b.data), len(b.data)
	return false
}

// small reads a varint, which is nearly always one byte.
func small(b []byte) (uint64, int) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	return binary.Uvarint(b)
}

// header decodes the three lengths at off and returns where the key suffix starts.
func (b *blockIter) header(off int) (shared, unshared, vlen, body int, ok bool) {
	d := b.data[off:]
	s, n1 := small(d)
	if n1 <= 0 {
		return
	}
	u, n2 := small(d[n1:])
	if n2 <= 0 {
		return
	}
	v, n3 := small(d[n1+n2:])
	if n3 <= 0 {
		return
	}
	body = off + n1 + n2 + n3
	left := uint64(len(b.data) - body)
	if s > uint64(len(b.data)) || u > left || v > left || u+v+8 > left {
		return
	}
	return int(s), int(u), int(v), body, true
}

// load decodes the entry at off, which must be the one after the present entry or a
// restart point.
func (b *blockIter) load(off int) bool {
	if off >= len(b.data) {
		b.at, b.next = len(b.data), len(b.data)
		return false
	}
	shared, unshared, vlen, body, ok := b.header(off)
	if !ok || shared > len(b.key) {
		return b.fail()
	}
	b.key = append(b.key[:shared], b.data[body:body+unshared]...)
	body += unshared
	b.trailer = key.Trailer(binary.LittleEndian.Uint64(b.data[body:]))
	body += 8
	b.val = b.data[body : body+vlen : body+vlen]
	b.at, b.next = off, body+vlen
	return true
}

func (b *blockIter) first() bool {
	b.key = b.key[:0]
	return b.load(0)
}

func (b *blockIter) step() bool { return b.load(b.next) }

// seekRestart goes to restart i.
func (b *blockIter) seekRestart(i int) bool {
	off := b.restart(i)
	if off >= len(b.data) {
		return b.fail()
	}
	b.key = b.key[:0]
	return b.load(off)
}

// findRestart is the last restart whose key is before (k, t), or 0.
func (b *blockIter) findRestart(k []byte, t key.Trailer) int {
	i := sort.Search(b.n, func(i int) bool {
		off := b.restart(i)
		if off >= len(b.data) {
			b.bad = true
			return true
		}
		shared, unshared, _, body, ok := b.header(off)
		if !ok || shared != 0 {
			b.bad = true
			return true
		}
		tr := key.Trailer(binary.LittleEndian.Uint64(b.data[body+unshared:]))
		return key.Compare(b.data[body:body+unshared], tr, k, t) >= 0
	})
	return max(i-1, 0)
}

// seekGE goes to the first entry at or after (k, t).
func (b *blockIter) seekGE(k []byte, t key.Trailer) bool {
	i := b.findRestart(k, t)
	if b.bad {
		return b.fail()
	}
	ok := b.seekRestart(i)
	for ok && key.Compare(b.key, b.trailer, k, t) < 0 {
		ok = b.step()
	}
	return ok
}

// seekLT goes to the last entry of a key before k.
func (b *blockIter) seekLT(k []byte) bool {
	i := b.findRestart(k, key.Newest(key.MaxSeq))
	if b.bad {
		return b.fail()
	}
	if !b.seekRestart(i) {
		return false
	}
	if bytes.Compare(b.key, k) >= 0 {
		b.at, b.next = len(b.data), len(b.data)
		return false
	}
	for b.next < len(b.data) {
		at := b.at
		if !b.step() {
			return false
		}
		if bytes.Compare(b.key, k) >= 0 {
			return b.walkTo(i, at)
		}
	}
	return true
}

// walkTo goes to the entry at offset, from restart i.
func (b *blockIter) walkTo(i, offset int) bool {
	ok := b.seekRestart(i)
	for ok && b.at < offset {
		ok = b.step()
	}
	return ok
}

func (b *blockIter) last() bool {
	if !b.seekRestart(b.n - 1) {
		return false
	}
	for b.next < len(b.data) {
		if !b.step() {
			return false
		}
	}
	return true
}

// prev goes to the entry before the present one.
func (b *blockIter) prev() bool {
	at := b.at
	if at == 0 || at >= len(b.data) {
		b.at, b.next = len(b.data), len(b.data)
		return false
	}
	i := sort.Search(b.n, func(i int) bool { return b.restart(i) >= at }) - 1
	if i < 0 {
		return b.fail()
	}
	ok := b.seekRestart(i)
	for ok && b.next < at {
		ok = b.step()
	}
	if ok && b.next != at {
		return b.fail()
	}
	return ok
}
