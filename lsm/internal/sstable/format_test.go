package sstable_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/bloom"
	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

// document is a table as docs/lsm-format.md describes it. It shares no code with the
// package; what it reads, it checks against the page.
type document struct {
	file  []byte
	num   uint64
	zstd  *zstd.Decoder
	t     require.TestingT
	props []uint64
	low   string
	high  string
}

func (d *document) u32(b []byte, at int) int { return int(binary.LittleEndian.Uint32(b[at:])) }

func (d *document) u64(b []byte, at int) uint64 { return binary.LittleEndian.Uint64(b[at:]) }

// stored checks a stored block and returns what is in it.
func (d *document) stored(from, to uint64) []byte {
	b := d.file[from:to]
	sum := append(bytes.Clone(b[:len(b)-4]), make([]byte, 16)...)
	binary.LittleEndian.PutUint64(sum[len(sum)-16:], d.num)
	binary.LittleEndian.PutUint64(sum[len(sum)-8:], from)
	require.Equal(d.t, crc32.Checksum(sum, crc32.MakeTable(crc32.Castagnoli)), binary.LittleEndian.Uint32(b[len(b)-4:]))
	payload := b[:len(b)-5]
	switch b[len(b)-5] {
	case 0:
		return payload
	case 1:
		out, err := snappy.Decode(nil, payload)
		require.NoError(d.t, err)
		return out
	}
	require.Equal(d.t, byte(2), b[len(b)-5])
	length, n := binary.Uvarint(payload)
	out, err := d.zstd.DecodeAll(payload[n:], nil)
	require.NoError(d.t, err)
	require.Len(d.t, out, int(length))
	return out
}

// prefix is eight bytes of a key as a number.
func prefix(k string) uint64 { return binary.BigEndian.Uint64(append([]byte(k), make([]byte, 8)...)) }

// block reads a data block.
func (d *document) block(b []byte) (pts []point) {
	end := len(b) - 8
	common, r := d.u32(b, end), d.u32(b, end+4)
	prefixes := end - 12*r
	offsets := prefixes + 8*r
	restart, at, last := 0, common, ""
	for at < prefixes {
		isRestart := restart < r && d.u32(b, offsets+4*restart) == at
		var n [3]int
		for i := range n {
			v, size := binary.Uvarint(b[at:])
			n[i], at = int(v), at+size
		}
		tr := d.u64(b, at)
		at += 8
		rest := last[:n[0]] + string(b[at:at+n[1]])
		at += n[1]
		if isRestart {
			require.Zero(d.t, n[0])
			require.Equal(d.t, prefix(rest), d.u64(b, prefixes+8*restart))
			restart++
		}
		pts = append(pts, point{k: []byte(string(b[:common]) + rest), t: key.Trailer(tr), v: b[at : at+n[2]]})
		at += n[2]
		last = rest
	}
	require.Equal(d.t, prefixes, at)
	require.Equal(d.t, r, restart)
	return pts
}

// read reads the whole table.
func (d *document) read() (pts []point, spans []key.Span) {
	f := d.file[len(d.file)-64:]
	require.Equal(d.t, "AshT", string(f[60:]))
	require.Equal(d.t, 1, d.u32(f, 48))
	require.Equal(d.t, crc32.Checksum(f[:56], crc32.MakeTable(crc32.Castagnoli)), binary.LittleEndian.Uint32(f[56:]))
	d.num = d.u64(f, 0)
	i, fl, s, p, e := d.u64(f, 8), d.u64(f, 16), d.u64(f, 24), d.u64(f, 32), d.u64(f, 40)
	require.Equal(d.t, uint64(len(d.file)-64), e)

	x := d.stored(i, fl)
	n, common := d.u32(x, 0), d.u32(x, 4)
	shared := string(x[8 : 8+common])
	prefixes := x[8+common:]
	trailers := prefixes[8*n:]
	offsets := trailers[8*n:]
	ends := offsets[8*(n+1):]
	suffixes := ends[4*n:]
	from := 0
	for j := range n {
		entries := d.block(d.stored(d.u64(offsets, 8*j), d.u64(offsets, 8*(j+1))))
		suffix := string(suffixes[from:d.u32(ends, 4*j)])
		from += len(suffix)
		require.Equal(d.t, prefix(suffix), d.u64(prefixes, 8*j))
		separator := point{k: []byte(shared + suffix), t: key.Trailer(d.u64(trailers, 8*j))}
		require.LessOrEqual(d.t, comparePoints(entries[len(entries)-1], separator), 0)
		if len(pts) > 0 {
			require.Negative(d.t, comparePoints(pts[len(pts)-1], entries[0]))
		}
		pts = append(pts, entries...)
	}
	require.Len(d.t, suffixes, from)
	require.Equal(d.t, i, d.u64(offsets, 8*n))

	if fl < s {
		filter, err := bloom.View(d.stored(fl, s))
		require.NoError(d.t, err)
		for _, pt := range pts {
			require.True(d.t, filter.HasHash(bloom.Hash(pt.k)))
		}
	}
	if s < p {
		for b := d.stored(s, p); len(b) > 0; {
			start, n := binary.Uvarint(b)
			end, m := binary.Uvarint(b[n:])
			seq := d.u64(b, n+m)
			b = b[n+m+8:]
			spans = append(spans, key.Span{Start: b[:start], End: b[start : start+end], Seq: seq})
			b = b[start+end:]
		}
	}
	b := d.stored(p, e)
	for w := range 10 {
		d.props = append(d.props, d.u64(b, 8*w))
	}
	low := d.u32(b, 80)
	d.low = string(b[84 : 84+low])
	high := d.u32(b, 84+low)
	d.high = string(b[88+low : 88+low+high])
	require.Len(d.t, b, 88+low+high)
	return pts, spans
}

// TestTheDocumentIsRight reads tables by what the document says.
func TestTheDocumentIsRight(t *testing.T) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	require.NoError(t, err)
	defer dec.Close()
	rapid.Check(t, func(t *rapid.T) {
		pts, sps, o := points(80).Draw(t, "points"), spans(8).Draw(t, "spans"), options().Draw(t, "options")
		file, m := build(t, o, pts, sps)
		d := &document{file: file, t: t, zstd: dec}
		gotPts, gotSpans := d.read()
		require.Equal(t, fmt.Sprintf("%v", pts), fmt.Sprintf("%v", gotPts))
		require.Equal(t, fmt.Sprintf("%v", sps), fmt.Sprintf("%v", gotSpans))
		flags := uint64(0)
		if m.LargestOpen {
			flags = 1
		}
		require.Equal(t, []uint64{
			m.Entries, m.Deletes, m.Expiring, m.Spans, m.SmallestSeq, m.LargestSeq,
			uint64(m.MinExpiry), uint64(m.MaxExpiry), m.RawBytes, flags,
		}, d.props)
		require.Equal(t, string(m.Smallest), d.low)
		require.Equal(t, string(m.Largest), d.high)
		require.Equal(t, o.FileNum, d.num)
	})
}
