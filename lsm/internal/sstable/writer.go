package sstable

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/ashlar-go/ashlar/bloom"
	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

// ErrOrder is returned by Add for an entry that does not come after the one before.
var ErrOrder = errors.New("sstable: entries out of order")

// WriterOptions configures a Writer; zero fields mean the defaults in brackets.
type WriterOptions struct {
	FileNum         uint64
	BlockSize       int // bytes before compression (4 KiB)
	RestartInterval int // entries (16)
	Compression     Compression
	BitsPerKey      float64 // of the filter (10); negative: no filter
}

// Meta describes a finished table.
type Meta struct {
	FileNum                 uint64
	Size                    uint64
	Smallest, Largest       []byte // user keys; Largest may be the exclusive end of a range tombstone
	SmallestSeq, LargestSeq uint64
	Entries, Deletes, Spans uint64
	Expiring                uint64
	MinExpiry, MaxExpiry    int64 // Unix milliseconds; both 0 if nothing expires
	RawBytes                uint64
}

// Writer writes one table. It is not safe for concurrent use.
type Writer struct {
	w       io.Writer
	o       WriterOptions
	off     uint64
	block   blockWriter
	index   []byte
	blocks  uint64
	filter  bloom.Builder
	spans   []byte
	scratch []byte
	out     []byte
	lastKey []byte
	lastT   key.Trailer
	meta    Meta
	err     error
}

// NewWriter starts a table on an empty file.
func NewWriter(w io.Writer, o WriterOptions) *Writer {
	if o.BlockSize <= 0 {
		o.BlockSize = 4 << 10
	}
	if o.RestartInterval <= 0 {
		o.RestartInterval = 16
	}
	if o.BitsPerKey == 0 {
		o.BitsPerKey = 10
	}
	t := &Writer{w: w, o: o, meta: Meta{FileNum: o.FileNum, SmallestSeq: key.MaxSeq}}
	t.block.interval = o.RestartInterval
	return t
}

// Add appends a point entry, which must come after the one before.
func (w *Writer) Add(k []byte, t key.Trailer, v []byte) error {
	if w.err != nil {
		return w.err
	}
	first := w.meta.Entries == 0
	if !first && key.Compare(w.lastKey, w.lastT, k, t) >= 0 {
		return fmt.Errorf("%w: %q after %q", ErrOrder, k, w.lastKey)
	}
	if w.o.BitsPerKey > 0 && (first || string(k) != string(w.lastKey)) {
		w.filter.AddHash(bloom.Hash(k))
	}
	w.block.add(k, t, v)
	w.lastKey, w.lastT = append(w.lastKey[:0], k...), t
	m := &w.meta
	m.Entries++
	m.RawBytes += uint64(len(k) + len(v))
	switch t.Kind() {
	case key.Delete:
		m.Deletes++
	case key.SetExpiring:
		if len(v) >= 8 {
			at := int64(binary.BigEndian.Uint64(v))
			if m.Expiring == 0 || at < m.MinExpiry {
				m.MinExpiry = at
			}
			m.MaxExpiry = max(m.MaxExpiry, at)
			m.Expiring++
		}
	}
	w.widen(k, k, t.Seq())
	if w.block.size() >= w.o.BlockSize {
		w.flush()
	}
	return w.err
}

// AddSpan appends a range tombstone, at any time before Finish.
func (w *Writer) AddSpan(s key.Span) {
	w.spans = binary.AppendUvarint(w.spans, s.Seq)
	w.spans = binary.AppendUvarint(w.spans, uint64(len(s.Start)))
	w.spans = append(w.spans, s.Start...)
	w.spans = binary.AppendUvarint(w.spans, uint64(len(s.End)))
	w.spans = append(w.spans, s.End...)
	w.meta.Spans++
	w.widen(s.Start, s.End, s.Seq)
}

// widen takes keys and a sequence number into the table's bounds.
func (w *Writer) widen(lo, hi []byte, seq uint64) {
	m := &w.meta
	if m.Entries+m.Spans == 1 || string(lo) < string(m.Smallest) {
		m.Smallest = append([]byte(nil), lo...)
	}
	if string(hi) >= string(m.Largest) {
		m.Largest = append(m.Largest[:0], hi...)
	}
	m.SmallestSeq, m.LargestSeq = min(m.SmallestSeq, seq), max(m.LargestSeq, seq)
}

// Size estimates the size of the file if it were finished now.
func (w *Writer) Size() uint64 {
	return w.off + uint64(w.block.size()+len(w.index)+len(w.spans)) + uint64(float64(w.filter.Len())*max(w.o.BitsPerKey, 0)/8)
}

// Empty reports whether nothing was added.
func (w *Writer) Empty() bool { return w.meta.Entries+w.meta.Spans == 0 }

// flush writes the present data block and notes its last key in the index.
func (w *Writer) flush() {
	if w.block.empty() || w.err != nil {
		return
	}
	h := w.write(w.block.finish(), w.o.Compression)
	w.index = binary.AppendUvarint(w.index, uint64(len(w.lastKey)))
	w.index = append(w.index, w.lastKey...)
	w.index = binary.LittleEndian.AppendUint64(w.index, uint64(w.lastT))
	w.index = binary.AppendUvarint(w.index, h.off)
	w.index = binary.AppendUvarint(w.index, uint64(h.len))
	w.blocks++
	w.block.reset()
}

func (w *Writer) write(raw []byte, c Compression) handle {
	if w.err != nil {
		return handle{}
	}
	w.out, w.scratch = appendBlock(w.out[:0], raw, c, w.o.FileNum, w.off, w.scratch)
	n, err := w.w.Write(w.out)
	if err == nil && n != len(w.out) {
		err = io.ErrShortWrite
	}
	w.err = err
	h := handle{w.off, uint32(len(w.out))}
	w.off += uint64(n)
	return h
}

// Finish writes what remains and returns the table's description. The caller syncs and
// closes the file.
func (w *Writer) Finish() (Meta, error) {
	w.flush()
	var f footer
	var filter []byte
	if w.filter.Len() > 0 {
		filter, _ = w.filter.Blocked(w.o.BitsPerKey).MarshalBinary()
	}
	f.filter = w.write(filter, None)
	f.spans = w.write(w.spans, None)
	f.props = w.write(w.meta.append(nil), None)
	f.index = w.write(append(binary.AppendUvarint(nil, w.blocks), w.index...), None)
	if w.err != nil {
		return Meta{}, w.err
	}
	b := f.append(nil, w.o.FileNum)
	if n, err := w.w.Write(b); err != nil || n != len(b) {
		if err == nil {
			err = io.ErrShortWrite
		}
		return Meta{}, err
	}
	w.meta.Size = w.off + footerSize
	return w.meta, nil
}

// append encodes what a reader cannot see from the blocks alone.
func (m *Meta) append(b []byte) []byte {
	for _, k := range [][]byte{m.Smallest, m.Largest} {
		b = binary.AppendUvarint(b, uint64(len(k)))
		b = append(b, k...)
	}
	for _, n := range m.numbers() {
		b = binary.AppendUvarint(b, *n)
	}
	b = binary.AppendVarint(b, m.MinExpiry)
	return binary.AppendVarint(b, m.MaxExpiry)
}

func (m *Meta) numbers() []*uint64 {
	return []*uint64{&m.SmallestSeq, &m.LargestSeq, &m.Entries, &m.Deletes, &m.Spans, &m.Expiring, &m.RawBytes}
}
