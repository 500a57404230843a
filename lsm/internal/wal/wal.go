// Package wal is the record log under the write-ahead log and the manifest.
//
// A log is a row of blocks of 32 KiB. A record is cut into fragments, one in each block
// that it touches, each with a header of eleven bytes:
//
//	┌──────────┬──────────┬────────┬─────────┬─────────┐
//	│ CRC32C 4 │ length 2 │ type 1 │ log 4   │ payload │     little-endian
//	└──────────┴──────────┴────────┴─────────┴─────────┘
//	                       └─ the checksum covers ────┘
//
// The checksum covers the offset of the header in the log too (8 bytes, in front of the
// rest), so that neither bytes of an older file nor a copy of this one's are taken for a
// fragment.
//
// Types: full, first, middle, last; mark, whose payload (8 bytes) says up to which offset
// the log had been synced when it was written; and fill, which means nothing.
//
// What a power cut does to a log: everything after the last sync may be missing, in part,
// in any order. What it does not do: damage what was synced. So a bad fragment means the
// end of the log, unless a later fragment proves that this place had been synced; then it
// is rot, and an error. That is what the marks are for.
//
// The idea of the blocks is LevelDB's (log format, 2011); the marks follow Pebble's sync
// offsets.
package wal

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

const (
	blockSize  = 32 << 10
	headerSize = 11
)

type fragment uint8

const (
	typeZero fragment = iota // never written: space that was allocated but not used
	typeFull
	typeFirst
	typeMiddle
	typeLast
	typeMark
	typeFill
)

// markSize is the length of a mark.
const markSize = headerSize + 8

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CorruptError is damage that cannot be the work of a power cut.
type CorruptError struct {
	Offset int64
	Detail string
}

// Error describes the damage.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("log damaged at %d: %s", e.Offset, e.Detail)
}

// Writer appends records to a buffer and writes it when told to. It is not safe for
// concurrent use. An error from Flush stays: part of the buffer may have been written, and
// nothing may follow that.
type Writer struct {
	err    error
	w      io.Writer
	log    uint32
	buf    []byte
	offset int64 // of the end of buf in the log
	marked int64 // the last mark's payload
}

// NewWriter starts a log with the given number on an empty file.
func NewWriter(w io.Writer, log uint32) *Writer { return &Writer{w: w, log: log} }

// Append buffers one record, which may be empty and of any size. It keeps nothing of it.
func (w *Writer) Append(rec []byte) {
	first := true
	for {
		room := w.room()
		n := min(room-headerSize, len(rec))
		last := n == len(rec)
		t := typeMiddle
		switch {
		case first && last:
			t = typeFull
		case first:
			t = typeFirst
		case last:
			t = typeLast
		}
		w.put(t, rec[:n])
		rec, first = rec[n:], false
		if last {
			return
		}
	}
}

// Mark buffers a note that the log was synced up to offset, unless it says nothing new.
// Call it before each Append, and before the file is closed: what no mark follows cannot
// be told from a torn end if it is damaged.
func (w *Writer) Mark(offset int64) {
	if offset <= w.marked {
		return
	}
	if room := w.room(); room < markSize {
		// Padding with zeros would look like a hole.
		w.put(typeFill, make([]byte, room-headerSize))
	}
	w.marked = offset
	w.put(typeMark, binary.LittleEndian.AppendUint64(nil, uint64(offset)))
}

// room is the space left in the present block, enough for a header.
func (w *Writer) room() int {
	room := blockSize - int(w.offset%blockSize)
	if room < headerSize {
		w.pad(room)
		room = blockSize
	}
	return room
}

func (w *Writer) pad(n int) {
	w.buf = append(w.buf, make([]byte, n)...)
	w.offset += int64(n)
}

func (w *Writer) put(t fragment, payload []byte) {
	at := len(w.buf)
	w.buf = append(w.buf, 0, 0, 0, 0)
	w.buf = binary.LittleEndian.AppendUint16(w.buf, uint16(len(payload)))
	w.buf = append(w.buf, byte(t))
	w.buf = binary.LittleEndian.AppendUint32(w.buf, w.log)
	w.buf = append(w.buf, payload...)
	binary.LittleEndian.PutUint32(w.buf[at:], checksum(w.offset, w.buf[at+4:]))
	w.offset += int64(headerSize + len(payload))
}

// checksum is that of a fragment whose header starts at offset; b is the fragment without
// its checksum.
func checksum(offset int64, b []byte) uint32 {
	var at [8]byte
	binary.LittleEndian.PutUint64(at[:], uint64(offset))
	return crc32.Update(crc32.Checksum(at[:], castagnoli), castagnoli, b)
}

// Flush hands all that is buffered to the file in one Write. Once it has failed it always
// fails.
func (w *Writer) Flush() error {
	if w.err != nil || len(w.buf) == 0 {
		return w.err
	}
	n, err := w.w.Write(w.buf)
	if err == nil && n != len(w.buf) {
		err = io.ErrShortWrite
	}
	const keep = 1 << 20
	if w.buf = w.buf[:0]; cap(w.buf) > keep {
		w.buf = nil
	}
	w.err = err
	return err
}

// Offset is the length of the log, with what is buffered.
func (w *Writer) Offset() int64 { return w.offset }

// Buffered is the number of bytes that wait for Flush.
func (w *Writer) Buffered() int { return len(w.buf) }

// Reader reads the records of a log.
type Reader struct {
	r      io.ReaderAt
	size   int64
	log    uint32
	block  []byte
	at     int64 // offset of block in the log
	pos    int   // in block
	rec    []byte
	marked bool
	torn   bool
}

// NewReader reads a log of size bytes that was written under the given number.
func NewReader(r io.ReaderAt, size int64, log uint32) *Reader {
	return &Reader{r: r, size: size, log: log}
}

// Offset is where the next record would start: after io.EOF, the length of what is good.
func (r *Reader) Offset() int64 { return r.at + int64(r.pos) }

// Torn reports, after io.EOF, whether the log ended in something other than the end of
// the file or untouched space.
func (r *Reader) Torn() bool { return r.torn }

// Marked reports whether a mark was read: whether the log was ever synced and then
// written to again.
func (r *Reader) Marked() bool { return r.marked }

// Next returns the next record, valid until the call after. io.EOF is the end of the log,
// torn or not; a *CorruptError is damage to what had been synced; other errors are the
// file's.
func (r *Reader) Next() ([]byte, error) {
	r.rec = r.rec[:0]
	start := r.Offset()
	inside := false
	for {
		t, payload, err := r.fragment()
		if err != nil {
			if errors.Is(err, io.EOF) && inside {
				r.torn = true
			}
			return nil, err
		}
		if t == typeMark {
			r.marked = true
			if !inside {
				start = r.Offset()
			}
			continue
		}
		if inside != (t == typeMiddle || t == typeLast) {
			return nil, r.bad(start, "fragments out of order")
		}
		if t == typeFull {
			return payload, nil
		}
		r.rec = append(r.rec, payload...)
		if t == typeLast {
			return r.rec, nil
		}
		inside = true
	}
}

// fragment returns the next fragment; the payload is valid until the next call.
func (r *Reader) fragment() (fragment, []byte, error) {
	for {
		if len(r.block)-r.pos < headerSize {
			if len(r.block) == blockSize || r.block == nil {
				more, err := r.load()
				if err != nil {
					return 0, nil, err
				}
				if !more {
					return 0, nil, io.EOF
				}
				continue
			}
			if len(r.block) > r.pos && !zero(r.block[r.pos:]) {
				r.torn = true
			}
			return 0, nil, io.EOF
		}
		h := r.block[r.pos:]
		n := int(binary.LittleEndian.Uint16(h[4:]))
		t := fragment(h[6])
		if t == typeZero && n == 0 && zero(h[:headerSize]) {
			// Either untouched space at the end, or a hole that a power cut left.
			off := r.Offset()
			clean, err := r.zeroFrom(off)
			if err != nil {
				return 0, nil, err
			}
			if clean {
				return 0, nil, io.EOF
			}
			return 0, nil, r.bad(off, "hole")
		}
		if headerSize+n > len(h) {
			return 0, nil, r.bad(r.Offset(), "fragment longer than its block")
		}
		if checksum(r.Offset(), h[4:headerSize+n]) != binary.LittleEndian.Uint32(h) {
			return 0, nil, r.bad(r.Offset(), "checksum")
		}
		if binary.LittleEndian.Uint32(h[7:]) != r.log {
			return 0, nil, r.bad(r.Offset(), "fragment of another log")
		}
		if t < typeFull || t > typeFill || t == typeMark && headerSize+n != markSize {
			return 0, nil, r.bad(r.Offset(), fmt.Sprintf("unknown fragment type %d", t))
		}
		r.pos += headerSize + n
		if t == typeFill {
			continue
		}
		return t, h[headerSize : headerSize+n], nil
	}
}

// load reads the next block.
func (r *Reader) load() (bool, error) {
	next := r.at + int64(len(r.block))
	if next >= r.size {
		return false, nil
	}
	n := min(r.size-next, blockSize)
	if cap(r.block) < int(n) {
		r.block = make([]byte, blockSize)
	}
	r.block = r.block[:n]
	if _, err := r.r.ReadAt(r.block, next); err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	r.at, r.pos = next, 0
	return true, nil
}

// bad judges damage at offset: rot if a later mark says that it had been synced, the
// torn end of the log otherwise.
func (r *Reader) bad(offset int64, detail string) error {
	r.torn = true
	later := &Reader{r: r.r, size: r.size, log: r.log}
	for block := offset / blockSize * blockSize; block < r.size; block += blockSize {
		later.block, later.at = make([]byte, 0, blockSize), block
		if _, err := later.load(); err != nil {
			return err
		}
		if later.provesSynced(offset) {
			return &CorruptError{Offset: offset, Detail: detail}
		}
	}
	return io.EOF
}

// provesSynced looks for a mark beyond offset in the present block. The damage may have
// hit the length of a fragment, so a mark can be anywhere; its checksum covers where it
// is, so that no record can be taken for one.
func (r *Reader) provesSynced(offset int64) bool {
	for b, at := r.block, r.at; len(b) >= markSize; b, at = b[1:], at+1 {
		if fragment(b[6]) == typeMark && binary.LittleEndian.Uint16(b[4:]) == markSize-headerSize &&
			binary.LittleEndian.Uint32(b[7:]) == r.log && checksum(at, b[4:markSize]) == binary.LittleEndian.Uint32(b) &&
			int64(binary.LittleEndian.Uint64(b[headerSize:])) > offset {
			return true
		}
	}
	return false
}

// zeroFrom reports whether only zeros follow offset.
func (r *Reader) zeroFrom(offset int64) (bool, error) {
	buf := make([]byte, blockSize)
	for offset < r.size {
		n, err := r.r.ReadAt(buf[:min(int64(len(buf)), r.size-offset)], offset)
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		if !zero(buf[:n]) {
			return false, nil
		}
		if n == 0 {
			break
		}
		offset += int64(n)
	}
	return true, nil
}

func zero(b []byte) bool {
	for _, c := range b {
		if c != 0 {
			return false
		}
	}
	return true
}
