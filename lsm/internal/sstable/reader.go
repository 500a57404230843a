package sstable

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"unsafe"

	"github.com/ashlar-go/ashlar/bloom"
	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

// Reader reads one table. Its index, filter and range tombstones are in memory, its blocks
// come from the cache or the file. It is safe for concurrent use.
//
// Errors about the contents are *CorruptError, with the file's name and an offset;
// errors of the file itself come wrapped with its name.
type Reader struct {
	r    io.ReaderAt
	name string
	meta Meta

	sections footer
	filter   *bloom.Filter // nil: none
	index    index
	spans    []key.Span
	cover    key.Cover

	cache *Cache
	base  uint64                  // of the shards that blocks are spread over
	slots []atomic.Pointer[block] // empty if the cache holds nothing
	done  atomic.Bool

	filterMisses atomic.Int64
}

// Open opens the table numbered num in r, size bytes long. name is for errors. It reads
// everything but the data blocks, checks it, and allocates no more than a small multiple
// of that. Blocks are kept in c, which any number of tables may share; nil means that they
// are not kept.
func Open(r io.ReaderAt, size int64, name string, num uint64, c *Cache) (*Reader, error) {
	if c == nil {
		c = NewCache(0)
	}
	t := &Reader{r: r, name: name, cache: c}
	if size < footerLen {
		return nil, damage(name, 0, "%d bytes are no table", size)
	}
	f, err := t.readFooter(size, num)
	if err != nil {
		return nil, err
	}
	t.sections = f
	for _, open := range [...]func(*footer) error{t.openProperties, t.openIndex, t.openFilter, t.openSpans} {
		if err := open(&t.sections); err != nil {
			return nil, err
		}
	}
	t.meta.FileNum, t.meta.Size = num, uint64(size)
	n := t.index.blocks()
	if (n == 0) != (t.meta.Entries == 0) || uint64(n) > t.meta.Entries {
		return nil, damage(name, int64(f.properties), "%d entries in %d blocks", t.meta.Entries, n)
	}
	if c.shards[0].capacity > 0 {
		t.slots = make([]atomic.Pointer[block], n)
	}
	t.base = c.next.Add(uint64(n)+1) - uint64(n)
	return t, nil
}

func (t *Reader) readFooter(size int64, num uint64) (footer, error) {
	at := size - footerLen
	var buf [footerLen]byte
	if err := t.readAt(buf[:], at); err != nil {
		return footer{}, err
	}
	f, detail := parseFooter(buf[:])
	switch {
	case detail != "":
	case f.file != num:
		detail = fmt.Sprintf("footer: of table %d, not %d", f.file, num)
	case f.end != uint64(at):
		detail = fmt.Sprintf("footer: belongs at %d", f.end)
	}
	if detail != "" {
		return footer{}, damage(t.name, at, "%s", detail)
	}
	return f, nil
}

func (t *Reader) openProperties(f *footer) error {
	p, err := t.readSection(f, f.properties, f.end)
	if err != nil {
		return err
	}
	m, detail := parseMeta(p)
	if detail != "" {
		return damage(t.name, int64(f.properties), "%s", detail)
	}
	t.meta = m
	return nil
}

func (t *Reader) openIndex(f *footer) error {
	p, err := t.readSection(f, f.index, f.filter)
	if err != nil {
		return err
	}
	x, detail := parseIndex(p, f.index)
	if detail != "" {
		return damage(t.name, int64(f.index), "%s", detail)
	}
	t.index = x
	return nil
}

func (t *Reader) openFilter(f *footer) error {
	if f.filter == f.spans {
		return nil
	}
	p, err := t.readSection(f, f.filter, f.spans)
	if err != nil {
		return err
	}
	if t.filter, err = bloom.View(p); err != nil {
		return damage(t.name, int64(f.filter), "filter: %v", err)
	}
	return nil
}

func (t *Reader) openSpans(f *footer) error {
	if f.spans == f.properties {
		if t.meta.Spans != 0 {
			return damage(t.name, int64(f.spans), "%d range tombstones are missing", t.meta.Spans)
		}
		return nil
	}
	p, err := t.readSection(f, f.spans, f.properties)
	if err != nil {
		return err
	}
	spans, detail := parseSpans(p)
	if detail == "" && uint64(len(spans)) != t.meta.Spans {
		detail = fmt.Sprintf("spans: %d, not %d", len(spans), t.meta.Spans)
	}
	if detail != "" {
		return damage(t.name, int64(f.spans), "%s", detail)
	}
	t.spans, t.cover = spans, key.NewCover(spans)
	return nil
}

// readSection reads the block that fills the file from one offset to another.
func (t *Reader) readSection(f *footer, from, to uint64) ([]byte, error) {
	if to-from < blockTrailer || to-from > maxSection {
		return nil, damage(t.name, int64(from), "impossible section of %d bytes", to-from)
	}
	p := alignedBytes(to - from)
	if err := t.readAt(p, int64(from)); err != nil {
		return nil, err
	}
	payload, kind, err := t.open(p, f.file, from)
	if err == nil && kind != None {
		err = damage(t.name, int64(from), "section is compressed")
	}
	return payload, err
}

// alignedBytes allocates n bytes from a cache line's border on: a filter that is looked up
// in place then has each of its lines in one of the processor's.
func alignedBytes(n uint64) []byte {
	const line = 64
	p := make([]byte, n+line-1)
	skip := -uintptr(unsafe.Pointer(unsafe.SliceData(p))) % line
	return p[skip : uint64(skip)+n : uint64(skip)+n]
}

// open checks a stored block read from offset of file and returns its payload.
func (t *Reader) open(p []byte, file, offset uint64) ([]byte, Compression, error) {
	body := len(p) - 4
	if checksum(p[:body], file, offset) != binary.LittleEndian.Uint32(p[body:]) {
		return nil, None, damage(t.name, int64(offset), "wrong checksum")
	}
	return p[:body-1], Compression(p[body-1]), nil
}

// readAt fills p from offset.
func (t *Reader) readAt(p []byte, offset int64) error {
	n, err := t.r.ReadAt(p, offset)
	switch {
	case n == len(p):
		return nil
	case err == nil || errors.Is(err, io.EOF):
		return damage(t.name, offset, "file ends %d bytes early", len(p)-n)
	}
	return fmt.Errorf("%s: read at %d: %w", t.name, offset, err)
}

// block returns block number i, from the cache or from the file.
func (t *Reader) block(i int) (*block, error) {
	sh := t.cache.shard(t.base, i)
	if i < len(t.slots) {
		if b := t.slots[i].Load(); b != nil {
			if !b.visited.Load() {
				b.visited.Store(true)
			}
			sh.hits.Add(1)
			return b, nil
		}
	}
	b, err := t.readBlock(i)
	if err != nil {
		return nil, err
	}
	sh.misses.Add(1)
	if i < len(t.slots) && !t.done.Load() {
		b = sh.add(&t.slots[i], b)
	}
	return b, nil
}

// readBlock reads block number i from the file.
func (t *Reader) readBlock(i int) (*block, error) {
	from, to := t.index.offsets[i], t.index.offsets[i+1]
	buf := t.cache.buffer(int(to - from))
	defer t.cache.release(buf)
	if err := t.readAt(*buf, int64(from)); err != nil {
		return nil, err
	}
	b := &block{}
	return b, t.decode(b, *buf, from, nil)
}

// decode makes b of the block stored in p, read from offset. The data of b is dst, if
// that is long enough, or newly allocated.
func (t *Reader) decode(b *block, p []byte, offset uint64, dst []byte) error {
	payload, kind, err := t.open(p, t.meta.FileNum, offset)
	if err != nil {
		return err
	}
	n, err := rawLen(payload, kind)
	if err == nil {
		if cap(dst) < n {
			dst = make([]byte, n)
		}
		dst = dst[:n]
		err = decompress(dst, payload, kind)
	}
	if err != nil {
		return damage(t.name, int64(offset), "%v: %v", kind, err)
	}
	if detail := b.parse(dst); detail != "" {
		return damage(t.name, int64(offset), "%s", detail)
	}
	return nil
}

// damaged is the error for a block whose entries make no sense.
func (t *Reader) damaged(i int) error {
	return damage(t.name, int64(t.index.offsets[i]), "block: impossible entry")
}

// MayContain reports whether the table may have an entry for a user key of hash h, which
// is bloom.Hash of it; false is sure.
func (t *Reader) MayContain(h uint64) bool {
	if t.filter == nil || t.filter.HasHash(h) {
		return true
	}
	t.filterMisses.Add(1)
	return false
}

// FilterMisses is how often the filter made a look-up unnecessary.
func (t *Reader) FilterMisses() int64 { return t.filterMisses.Load() }

// Find returns the newest entry of user key k that is not newer than seq. h is
// bloom.Hash(k). The stored value must not be written to; it stays valid as long as
// anyone holds it, and keeps its block in memory as long. Range tombstones are not
// looked at; ask CoverSeq. No allocation if the block is cached.
func (t *Reader) Find(k []byte, h, seq uint64) (value []byte, tr key.Trailer, found bool, err error) {
	if !t.MayContain(h) {
		return nil, 0, false, nil
	}
	at := key.Pack(seq, key.MaxKind)
	i := t.index.find(k, at)
	if i == t.index.blocks() {
		return nil, 0, false, nil
	}
	b, err := t.block(i)
	if err != nil {
		return nil, 0, false, err
	}
	e, found, intact := b.find(k, at)
	switch {
	case !intact:
		return nil, 0, false, t.damaged(i)
	case !found:
		return nil, 0, false, nil
	}
	return b.data[e.value:e.end:e.end], e.trailer, true, nil
}

// Get is Find with the value appended to dst, which is returned as it is if nothing is found.
func (t *Reader) Get(k []byte, h, seq uint64, dst []byte) (value []byte, tr key.Trailer, found bool, err error) {
	v, tr, found, err := t.Find(k, h, seq)
	return append(dst, v...), tr, found, err
}

// Spans returns the range tombstones in the order of key.CompareSpans; read-only.
func (t *Reader) Spans() []key.Span { return t.spans }

// Cover returns the range tombstones as a Cover.
func (t *Reader) Cover() key.Cover { return t.cover }

// CoverSeq returns the highest sequence number of a range tombstone that contains k and
// is not newer than seq; 0 if there is none.
func (t *Reader) CoverSeq(k []byte, seq uint64) uint64 { return t.cover.Seq(k, seq) }

// Meta says what is in the table; read-only.
func (t *Reader) Meta() *Meta { return &t.meta }

// Blocks is the number of data blocks.
func (t *Reader) Blocks() int { return t.index.blocks() }

// Memory is the number of bytes that the open table holds besides cached blocks.
func (t *Reader) Memory() int64 {
	x := &t.index
	n := int64(len(x.common)+len(x.suffixes)) + int64(x.blocks())*28 + int64(len(t.slots))*8
	if t.filter != nil {
		n += int64(t.filter.Bits() / 8)
	}
	for _, s := range t.spans {
		n += int64(len(s.Start)+len(s.End)) + spanCost
	}
	return n
}

// spanCost is about what a tombstone and its part of the cover take besides its bounds.
const spanCost = 160

// ApproximateSize is about how many bytes of the file hold the user keys from start up to
// end, exact to a block at either side; nil as end means to the last.
func (t *Reader) ApproximateSize(start, end []byte) uint64 {
	x := &t.index
	if end != nil && bytes.Compare(start, end) >= 0 {
		return 0
	}
	from := x.offsets[x.find(start, key.MaxTrailer)]
	to := x.offsets[x.blocks()]
	if end != nil {
		to = x.offsets[min(x.find(end, key.MaxTrailer)+1, x.blocks())]
	}
	return to - from
}

// Close drops the table's blocks from the cache; the file is the caller's to close, after.
// The table must not be used any more, but for what it has handed out.
func (t *Reader) Close() {
	t.done.Store(true)
	for i := range t.slots {
		t.cache.shard(t.base, i).drop(&t.slots[i])
	}
}
