package sstable

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ashlar-go/ashlar/bloom"
	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

// Errors of a writer's caller.
var (
	ErrOrder    = errors.New("sstable: keys out of order")
	ErrKind     = errors.New("sstable: not a kind that a table holds")
	ErrTooLarge = errors.New("sstable: key or value too large")
	ErrFinished = errors.New("sstable: writer is finished")
)

// WriterOptions are the knobs of a table. The zero value is a table numbered 0 with the
// defaults.
type WriterOptions struct {
	// FileNum is the number of the file. It is in every checksum: the table can only be
	// read as what it was written as.
	FileNum uint64
	// BlockSize is what blocks are filled up to, in bytes before compression; 0 means 4096,
	// and more than 64 MiB that. A single larger entry makes a larger block.
	BlockSize int
	// RestartInterval is how many entries a block's search array has a word for; 0 means 4.
	RestartInterval int
	// Compression is of data blocks; the zero value is None.
	Compression Compression
	// BitsPerKey is the size of the filter; 0 means 10, below 0 means no filter.
	BitsPerKey float64
}

func (o WriterOptions) withDefaults() WriterOptions {
	if o.BlockSize <= 0 {
		o.BlockSize = 4096
	}
	o.BlockSize = min(o.BlockSize, 64<<20)
	if o.RestartInterval <= 0 {
		o.RestartInterval = 4
	}
	if o.BitsPerKey == 0 {
		o.BitsPerKey = 10
	}
	return o
}

// Writer writes a table: entries in order, range tombstones in order, Finish. It writes
// to its destination in pieces of some 256 KiB. It remembers the first error of the
// destination, and returns it from then on. For one goroutine.
type Writer struct {
	w      io.Writer
	o      WriterOptions
	meta   Meta
	filter bloom.Builder
	block  blockBuilder
	index  indexBuilder
	comp   compressor
	raw    []byte
	spans  []byte
	span   key.Span // the last one

	firstStart []byte // of spans

	// the last entry
	lastKey     []byte
	lastTrailer key.Trailer
	// the block that waits for its separator, which depends on the next key
	waiting   bool
	waitingAt uint64

	out      []byte // not yet written
	offset   uint64 // of the end of out in the file
	err      error
	finished bool
}

// outSize is how much is collected before it is written.
const outSize = 256 << 10

// NewWriter makes a writer of a table to w, which the caller syncs and closes.
func NewWriter(w io.Writer, o WriterOptions) *Writer {
	o = o.withDefaults()
	return &Writer{
		w: w, o: o, meta: Meta{FileNum: o.FileNum},
		block: blockBuilder{interval: o.RestartInterval}, comp: compressor{kind: o.Compression},
	}
}

// Add adds an entry of a point kind, which must come after all before it: ErrOrder,
// ErrKind and ErrTooLarge leave the writer as it was. k and v are copied.
func (w *Writer) Add(k []byte, t key.Trailer, v []byte) error {
	switch {
	case w.err != nil:
		return w.err
	case w.finished:
		return ErrFinished
	case !t.Kind().Point() || t.Kind() == key.SetExpiring && len(v) < key.ExpiryLen:
		return fmt.Errorf("%w: %v with %d bytes", ErrKind, t, len(v))
	case len(k) > maxKey || len(v) > maxValue:
		return ErrTooLarge
	}
	shared, fresh := 0, true
	if w.meta.Entries > 0 {
		shared = commonLen(w.lastKey, k)
		fresh = shared < len(k) || shared < len(w.lastKey)
		if ascends := shared < len(k) && (shared == len(w.lastKey) || w.lastKey[shared] < k[shared]); fresh && !ascends || !fresh && t >= w.lastTrailer {
			return fmt.Errorf("%w: %q %v after %q %v", ErrOrder, clip(k), t, clip(w.lastKey), w.lastTrailer)
		}
	}
	if !w.block.empty() && !w.block.fits(k, shared, len(v), w.o.BlockSize) {
		if err := w.flushBlock(); err != nil {
			return err
		}
	}
	if w.waiting {
		w.separate(k, fresh)
	}
	w.block.add(k, t, v, shared)
	if fresh && w.o.BitsPerKey > 0 {
		w.filter.AddHash(bloom.Hash(k))
	}
	if w.meta.Entries == 0 {
		w.meta.Smallest = append([]byte{}, k...) // not nil, even if empty
	}
	w.meta.note(t, len(k), v)
	w.lastKey = append(w.lastKey[:0], k...)
	w.lastTrailer = t
	return nil
}

// clip shortens a key for an error's text.
func clip(k []byte) []byte { return k[:min(len(k), 64)] }

// AddSpan adds a range tombstone, which must come after those before it in the order of
// key.CompareSpans; one equal to the one before is left out. Tombstones may overlap.
// They are independent of entries: either may be added first. s is copied. An error, of
// the caller's or of the destination, is also what Finish then returns.
func (w *Writer) AddSpan(s key.Span) error {
	err := w.addSpan(s)
	if w.err == nil {
		w.err = err
	}
	return err
}

func (w *Writer) addSpan(s key.Span) error {
	switch {
	case w.err != nil:
		return w.err
	case w.finished:
		return ErrFinished
	case s.Empty() || s.Seq > key.MaxSeq:
		return fmt.Errorf("%w: empty range tombstone", ErrKind)
	case len(s.Start) > maxKey || len(s.End) > maxKey+1:
		return ErrTooLarge
	}
	if w.meta.Spans > 0 {
		if c := key.CompareSpans(w.span, s); c > 0 {
			return fmt.Errorf("%w: tombstone from %q after one from %q", ErrOrder, clip(s.Start), clip(w.span.Start))
		} else if c == 0 {
			return nil
		}
	}
	w.spans = appendSpan(w.spans, s)
	w.span = key.Span{Start: append([]byte{}, s.Start...), End: bytes.Clone(s.End), Seq: s.Seq}
	if w.meta.Spans == 0 {
		w.firstStart = w.span.Start
	}
	w.meta.noteSeq(s.Seq)
	w.meta.Spans++
	w.meta.RawBytes += uint64(len(s.Start) + len(s.End))
	if w.meta.Largest == nil || bytes.Compare(s.End, w.meta.Largest) > 0 {
		w.meta.Largest = w.span.End // for the time being the greatest end
	}
	return nil
}

// Empty reports whether nothing was added.
func (w *Writer) Empty() bool { return w.meta.Entries+w.meta.Spans == 0 }

// separate enters the waiting block into the index, now that the key after it is known.
func (w *Writer) separate(k []byte, fresh bool) {
	w.waiting = false
	if !fresh {
		w.index.add(w.lastKey, w.lastTrailer, w.waitingAt)
		return
	}
	s := separate(w.lastKey, k)
	if s == nil {
		s = w.lastKey
	}
	w.index.add(s, 0, w.waitingAt) // 0 comes after all versions
}

// flushBlock writes the pending block.
func (w *Writer) flushBlock() error {
	w.raw = w.block.appendTo(w.raw[:0])
	payload, kind, err := w.comp.compress(w.raw)
	if err != nil {
		w.err = err
		return err
	}
	w.waiting, w.waitingAt = true, w.offset
	return w.writeBlock(payload, kind)
}

// writeBlock appends a block with its trailer.
func (w *Writer) writeBlock(payload []byte, kind Compression) error {
	start := len(w.out)
	w.out = append(append(w.out, payload...), byte(kind))
	w.out = binary.LittleEndian.AppendUint32(w.out, checksum(w.out[start:], w.o.FileNum, w.offset))
	w.offset += uint64(len(w.out) - start)
	if len(w.out) >= outSize {
		return w.flushOut()
	}
	return nil
}

// writeSection writes one of the sections behind the data blocks.
func (w *Writer) writeSection(b []byte) error {
	if len(b) > maxSection-blockTrailer {
		w.err = fmt.Errorf("%w: section of %d bytes", ErrTooLarge, len(b))
		return w.err
	}
	return w.writeBlock(b, None)
}

func (w *Writer) flushOut() error {
	if _, err := w.w.Write(w.out); err != nil {
		w.err = err
		return err
	}
	w.out = w.out[:0]
	if cap(w.out) > 4*outSize {
		w.out = nil
	}
	return nil
}

// Size is about how large the file would be if it were finished now.
func (w *Writer) Size() uint64 {
	if w.finished {
		return w.offset
	}
	filter := uint64(float64(w.filter.Len()) * max(w.o.BitsPerKey, 0) / 8)
	return w.offset + uint64(w.block.size()+w.index.size()+len(w.spans)) + filter + footerLen
}

// Finish writes what is pending and the rest of the table, and says what is in it. A
// table without entries and tombstones is a table, too. Nothing may follow.
func (w *Writer) Finish() (Meta, error) {
	switch {
	case w.err != nil:
		return Meta{}, w.err
	case w.finished:
		return Meta{}, ErrFinished
	}
	w.finished = true
	if !w.block.empty() {
		if err := w.flushBlock(); err != nil {
			return Meta{}, err
		}
		w.waiting = false
		w.index.add(w.lastKey, 0, w.waitingAt)
	}
	w.bounds()
	f := footer{file: w.o.FileNum, index: w.offset}
	if err := w.writeSection(w.index.append(w.raw[:0], w.offset)); err != nil {
		return Meta{}, err
	}
	f.filter = w.offset
	if w.o.BitsPerKey > 0 {
		b, err := w.filter.Blocked(w.o.BitsPerKey).AppendBinary(w.raw[:0])
		if err == nil {
			err = w.writeSection(b)
		}
		if err != nil {
			w.err = err
			return Meta{}, err
		}
	}
	f.spans = w.offset
	if len(w.spans) > 0 {
		if err := w.writeSection(w.spans); err != nil {
			return Meta{}, err
		}
	}
	f.properties = w.offset
	if err := w.writeSection(w.meta.append(w.raw[:0])); err != nil {
		return Meta{}, err
	}
	f.end = w.offset
	w.out = f.append(w.out)
	w.offset += footerLen
	w.meta.Size = w.offset
	return w.meta, w.flushOut()
}

// bounds settles the table's bounds, of entries and tombstones together.
func (w *Writer) bounds() {
	m := &w.meta
	m.LargestOpen = m.Spans > 0
	if m.Entries > 0 && (m.Spans == 0 || bytes.Compare(w.lastKey, m.Largest) >= 0) {
		m.Largest, m.LargestOpen = append([]byte{}, w.lastKey...), false
	}
	if m.Spans == 0 {
		return
	}
	if m.Entries == 0 || bytes.Compare(w.firstStart, m.Smallest) < 0 {
		m.Smallest = w.firstStart
	}
}
