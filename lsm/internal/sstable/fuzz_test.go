package sstable

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/ashlar-go/ashlar/bloom"
	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

// seedTable is a small table with everything in it.
func seedTable(f *testing.F, c Compression) []byte {
	var buf bytes.Buffer
	w := NewWriter(&buf, WriterOptions{FileNum: 7, BlockSize: 100, Compression: c})
	for i := range byte(12) {
		if err := w.Add([]byte{'k', i / 3}, key.Pack(uint64(50-i), key.Set), bytes.Repeat([]byte{i}, int(i))); err != nil {
			f.Fatal(err)
		}
	}
	if err := w.AddSpan(key.Span{Start: []byte("a"), End: []byte("k\x02"), Seq: 9}); err != nil {
		f.Fatal(err)
	}
	if _, err := w.Finish(); err != nil {
		f.Fatal(err)
	}
	return buf.Bytes()
}

// walk goes over all of r in every way. Whatever the table holds, this ends, stays within
// the blocks, and does not find more entries than there is room for.
func walk(t *testing.T, r *Reader, size int) {
	room := 1024 * (size + 1)
	for _, fill := range []bool{true, false} {
		it := r.Iter(fill)
		n := 0
		for ok := it.First(); ok; ok = it.Next() {
			if n++; n > room {
				t.Fatal("no end")
			}
			if n < 100 {
				_, _, _, _ = r.Get(it.Key(), bloom.Hash(it.Key()), it.Trailer().Seq(), nil)
				_ = r.CoverSeq(it.Key(), 100)
				_ = append(it.Value(), 0)
			}
		}
		for ok := it.Last(); ok; ok = it.Prev() {
			if n--; n < -room {
				t.Fatal("no end")
			}
		}
		for _, k := range []string{"", "a", "k", "k\x01", "k\x02\x00", "z"} {
			it.SeekGE([]byte(k), key.Newest(30))
			it.Prev()
			it.SeekLT([]byte(k))
			it.Next()
			_, _, _, _ = r.Get([]byte(k), bloom.Hash([]byte(k)), 30, nil)
			_ = r.ApproximateSize([]byte(k), nil)
		}
		_ = it.Close()
	}
	_ = r.Verify(t.Context())
	r.Close()
}

// FuzzTable opens any bytes as a table.
func FuzzTable(f *testing.F) {
	for _, c := range []Compression{None, Snappy, Zstd} {
		f.Add(seedTable(f, c))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := Open(bytes.NewReader(file), int64(len(file)), "fuzz", 7, NewCache(1<<16))
		if err == nil {
			walk(t, r, len(file))
		}
	})
}

// reseal makes all checksums right that can be reached: a forger would do the same.
func reseal(file []byte) []byte {
	file = bytes.Clone(file)
	if len(file) < footerLen {
		return file
	}
	end := len(file) - footerLen
	foot := file[end:]
	binary.LittleEndian.PutUint64(foot, 7)
	binary.LittleEndian.PutUint64(foot[40:], uint64(end))
	binary.LittleEndian.PutUint32(foot[48:], version)
	var at [6]uint64
	for i := range at {
		at[i] = min(binary.LittleEndian.Uint64(foot[8*i:]), uint64(end))
	}
	seal := func(from, to uint64) {
		if to >= from+blockTrailer {
			b := file[from:to]
			binary.LittleEndian.PutUint32(b[len(b)-4:], checksum(b[:len(b)-4], 7, from))
		}
	}
	copy(foot[60:], magic)
	footer := footer{file: 7, index: at[1], filter: at[2], spans: at[3], properties: at[4], end: uint64(end)}
	copy(foot, footer.append(nil))
	for i := 1; i < 5; i++ {
		if i == 2 && at[2]+headerOfFilter < at[3] {
			if filter, err := bloom.New(8, 0.01).AppendBinary(nil); err == nil {
				copy(file[at[2]:at[3]-blockTrailer], filter)
			}
		}
		seal(at[i], at[i+1])
	}
	if at[2] > at[1]+blockTrailer {
		if x, detail := parseIndex(file[at[1]:at[2]-blockTrailer], at[1]); detail == "" {
			for i := range x.blocks() {
				seal(x.offsets[i], x.offsets[i+1])
			}
		}
	}
	return file
}

// headerOfFilter is less than any filter takes.
const headerOfFilter = 72

// FuzzForgedTable opens tables whose checksums do not protect them.
func FuzzForgedTable(f *testing.F) {
	for _, c := range []Compression{None, Snappy, Zstd} {
		f.Add(seedTable(f, c))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		file = reseal(file)
		r, err := Open(bytes.NewReader(file), int64(len(file)), "fuzz", 7, NewCache(1<<16))
		if err == nil {
			walk(t, r, len(file))
		}
	})
}

// FuzzBlock searches and walks any bytes as a block.
func FuzzBlock(f *testing.F) {
	b := blockBuilder{interval: 2}
	var last []byte
	for _, k := range []string{"a", "ab", "abc", "abd", "b"} {
		b.add([]byte(k), key.Pack(5, key.Set), []byte(k), commonLen(last, []byte(k)))
		last = []byte(k)
	}
	f.Add(b.appendTo(nil), []byte("abc"))
	f.Add([]byte{0, 0, 0, 0, 0, 0, 0, 0}, []byte(""))
	f.Fuzz(func(t *testing.T, data, k []byte) {
		b, detail := parseBlock(data)
		if detail != "" {
			return
		}
		steps := 0
		for off := b.common; off < b.limit; steps++ {
			e, ok := b.entry(off)
			if !ok {
				break
			}
			if e.end <= off || e.end > b.limit || e.value < e.key || e.end < e.value {
				t.Fatalf("entry %+v at %d", e, off)
			}
			off = e.end
		}
		if e, found, _ := b.find(k, key.Newest(30)); found {
			_ = b.data[e.value:e.end]
		}
	})
}

// FuzzIndex searches any bytes as an index. If it is one, it must say where all its
// separators are.
func FuzzIndex(f *testing.F) {
	var x indexBuilder
	x.add([]byte("shared/a"), 0, 0)
	x.add([]byte("shared/a\x00"), 9, 100)
	x.add([]byte("shared/a\x00"), 3, 200)
	x.add([]byte("shared/longer than that"), 0, 300)
	f.Add(x.append(nil, 400), []byte("shared/b"), uint64(400))
	f.Fuzz(func(t *testing.T, p, k []byte, data uint64) {
		x, detail := parseIndex(p, data)
		if detail != "" {
			return
		}
		for i := range x.blocks() {
			sep := append(bytes.Clone(x.common), x.suffix(i)...)
			if got := x.find(sep, x.trailers[i]); got != i {
				t.Fatalf("separator %d found at %d", i, got)
			}
		}
		if i := x.find(k, key.MaxTrailer); i < 0 || i > x.blocks() {
			t.Fatalf("found at %d", i)
		}
	})
}

// FuzzParts reads any bytes as spans, properties and footer. What is accepted is written
// back as it was.
func FuzzParts(f *testing.F) {
	f.Add(appendSpan(appendSpan(nil, key.Span{Start: []byte("a"), End: []byte("b"), Seq: 3}), key.Span{Start: []byte("a"), End: []byte("c"), Seq: 3}))
	m := Meta{Smallest: []byte("a"), Largest: []byte("b"), Entries: 3, Deletes: 1, Expiring: 2, LargestSeq: 9}
	f.Add(m.append(nil))
	foot := footer{file: 7, index: 1, filter: 2, spans: 3, properties: 4, end: 5}
	f.Add(foot.append(nil))
	f.Fuzz(func(t *testing.T, p []byte) {
		if spans, detail := parseSpans(p); detail == "" {
			var again []byte
			for _, s := range spans {
				again = appendSpan(again, s)
			}
			if len(again) > len(p) {
				t.Fatal("spans do not come back")
			}
		}
		if m, detail := parseMeta(p); detail == "" && m.Entries+m.Spans > 0 && !bytes.Equal(m.append(nil), p) {
			t.Fatal("properties do not come back")
		}
		if len(p) == footerLen {
			if f, detail := parseFooter(p); detail == "" && !bytes.Equal(f.append(nil)[:52], p[:52]) {
				t.Fatal("footer does not come back")
			}
		}
	})
}

// FuzzDecompress decompresses any bytes as a payload: to what was compressed, or not at
// all, and never into more memory than the payload justifies.
func FuzzDecompress(f *testing.F) {
	raw := bytes.Repeat([]byte("compressible "), 100)
	for _, c := range []Compression{Snappy, Zstd} {
		comp := compressor{kind: c}
		p, kind, err := comp.compress(raw)
		if err != nil || kind != c {
			f.Fatal(kind, err)
		}
		f.Add(bytes.Clone(p), byte(c))
	}
	f.Fuzz(func(t *testing.T, p []byte, kind byte) {
		n, err := rawLen(p, Compression(kind))
		if err != nil {
			return
		}
		if n > len(p)*maxRatio+ratioSlack {
			t.Fatal("too much memory")
		}
		_ = decompress(make([]byte, n), p, Compression(kind))
	})
}
