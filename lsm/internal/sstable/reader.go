package sstable

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"github.com/ashlar-go/ashlar/bloom"
	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

// Reader reads one table. It is safe for concurrent use.
type Reader struct {
	r      io.ReaderAt
	name   string
	num    uint64
	size   int64
	cache  *Cache // nil: none
	foot   footer
	index  *index
	filter *bloom.Filter // nil: none
	spans  []key.Span
	cover  key.Cover
	meta   Meta

	filterMisses atomic.Int64
}

// Open reads and checks everything but the data blocks of the table with the given file
// number; name is for errors. The caller closes r when it is done with the table. What a
// damaged file can make it allocate is bounded by the file's size.
func Open(r io.ReaderAt, size int64, name string, num uint64, c *Cache) (*Reader, error) {
	t := &Reader{r: r, name: name, num: num, size: size, cache: c}
	if size < footerSize {
		return nil, t.corrupt(0, "too short for a table")
	}
	b := make([]byte, footerSize)
	if n, err := r.ReadAt(b, size-footerSize); n < len(b) {
		if err == nil || errors.Is(err, io.EOF) {
			return nil, t.corrupt(size-footerSize, "too short for a table")
		}
		return nil, fmt.Errorf("sstable: read %s: %w", name, err)
	}
	var err error
	if t.foot, err = parseFooter(b, name, num, size); err != nil {
		return nil, err
	}
	if err := t.load(); err != nil {
		return nil, err
	}
	return t, nil
}

// load reads the parts that stay in memory.
func (t *Reader) load() error {
	parts := [4][]byte{}
	for i, h := range []handle{t.foot.props, t.foot.spans, t.foot.filter, t.foot.index} {
		var err error
		if parts[i], err = readBlock(t.r, t.name, t.num, h, nil); err != nil {
			return err
		}
	}
	var problem string
	if t.meta, problem = parseMeta(parts[0]); problem != "" {
		return t.corrupt(int64(t.foot.props.off), problem)
	}
	t.meta.FileNum, t.meta.Size = t.num, uint64(t.size)
	if t.spans, problem = parseSpans(parts[1], t.meta.Spans); problem != "" {
		return t.corrupt(int64(t.foot.spans.off), problem)
	}
	t.cover = key.NewCover(t.spans)
	if len(parts[2]) > 0 {
		var err error
		if t.filter, err = bloom.View(parts[2]); err != nil {
			return t.corrupt(int64(t.foot.filter.off), err.Error())
		}
	}
	if t.index, problem = parseIndex(parts[3], t.foot.filter.off); problem != "" {
		return t.corrupt(int64(t.foot.index.off), problem)
	}
	return nil
}

func (t *Reader) corrupt(off int64, detail string) error {
	return &CorruptError{File: t.name, Offset: off, Detail: detail}
}

// Meta describes the table; read-only.
func (t *Reader) Meta() *Meta { return &t.meta }

// Spans returns the range tombstones; read-only.
func (t *Reader) Spans() []key.Span { return t.spans }

// Cover is the range tombstones as a cover.
func (t *Reader) Cover() key.Cover { return t.cover }

// CoverSeq is the newest range tombstone not newer than limit over k; 0 for none.
func (t *Reader) CoverSeq(k []byte, limit uint64) uint64 {
	if t.cover.Empty() {
		return 0
	}
	return t.cover.Seq(k, limit)
}

// MayContain reports whether a key of this hash may be in the table; false is sure.
func (t *Reader) MayContain(h uint64) bool {
	if t.filter == nil || t.filter.HasHash(h) {
		return true
	}
	t.filterMisses.Add(1)
	return false
}

// FilterMisses is how often the filter made a look-up unnecessary.
func (t *Reader) FilterMisses() int64 { return t.filterMisses.Load() }

// Memory is the size of what the open table keeps in memory, in bytes.
func (t *Reader) Memory() int64 {
	n := len(t.index.keys) + t.index.len()*(8+4+8+16)
	if t.filter != nil {
		n += t.filter.Bits() / 8
	}
	return int64(n)
}

// Get returns the newest version of k visible at seq; its value is appended to dst. h is
// the key's bloom.Hash. It allocates only if dst is too small or the block is not cached.
func (t *Reader) Get(k []byte, h, seq uint64, dst []byte) (v []byte, tr key.Trailer, found bool, err error) {
	if !t.MayContain(h) {
		return dst, 0, false, nil
	}
	target := key.Newest(seq)
	i := t.index.find(k, target)
	if i == t.index.len() {
		return dst, 0, false, nil
	}
	block, err := t.block(i, true)
	if err != nil {
		return dst, 0, false, err
	}
	var b blockIter
	b.init(block)
	if !b.bad {
		v, tr, found = b.lookup(k, target)
	}
	if b.bad {
		return dst, 0, false, t.corrupt(int64(t.index.handles[i].off), "unreadable block")
	}
	if !found {
		return dst, 0, false, nil
	}
	return append(dst, v...), tr, true, nil
}

// block returns data block i, from the cache if it is there.
func (t *Reader) block(i int, fill bool) ([]byte, error) {
	h := t.index.handles[i]
	if t.cache == nil {
		return readBlock(t.r, t.name, t.num, h, nil)
	}
	id := blockID{t.num, h.off}
	if b := t.cache.get(id); b != nil {
		return b, nil
	}
	b, err := readBlock(t.r, t.name, t.num, h, nil)
	if err == nil && fill {
		t.cache.put(id, b)
	}
	return b, err
}

// Verify reads everything and checks every checksum and the order of all entries.
func (t *Reader) Verify(ctx context.Context) error {
	if err := (&Reader{r: t.r, name: t.name, num: t.num, size: t.size, foot: t.foot}).load(); err != nil {
		return err
	}
	var last []byte
	var lastT key.Trailer
	var entries uint64
	var b blockIter
	for i := range t.index.len() {
		if err := ctx.Err(); err != nil {
			return err
		}
		h := t.index.handles[i]
		block, err := readBlock(t.r, t.name, t.num, h, nil)
		if err != nil {
			return err
		}
		b.init(block)
		for ok := !b.bad && b.first(); ok; ok = b.step() {
			if entries > 0 && key.Compare(last, lastT, b.key, b.trailer) >= 0 {
				return t.corrupt(int64(h.off), "entries out of order")
			}
			if t.filter != nil && !t.filter.HasHash(bloom.Hash(b.key)) {
				return t.corrupt(int64(h.off), "an entry is missing from the filter")
			}
			last, lastT = append(last[:0], b.key...), b.trailer
			entries++
		}
		if b.bad || !bytes.Equal(last, t.index.key(i)) || lastT != t.index.trailers[i] {
			return t.corrupt(int64(h.off), "block does not hold what the index says")
		}
	}
	if entries != t.meta.Entries {
		return t.corrupt(int64(t.foot.props.off), fmt.Sprintf("%d entries, the properties say %d", entries, t.meta.Entries))
	}
	return nil
}
