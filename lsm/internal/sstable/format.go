// Package sstable writes and reads sorted tables: immutable files of entries in the order
// of internal keys.
//
//	┌────────┬────────┬─────┬────────┬───────┬────────────┬───────┬────────┐
//	│ data 0 │ data 1 │  …  │ filter │ spans │ properties │ index │ footer │
//	└────────┴────────┴─────┴────────┴───────┴────────────┴───────┴────────┘
//
// Each part but the footer is a block: its content, a byte that names the compression,
// and a CRC32C. The checksum also covers the table's number and the block's offset, so
// that a block that ended up in the wrong place is noticed. docs/lsm-format.md has every
// byte.
//
// An open table keeps its index, its filter and its range tombstones in memory; a look-up
// then costs one cache line of the filter, a binary search in flat arrays, and at most
// one data block.
package sstable

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// Compression names how data blocks are stored. Blocks that do not shrink by an eighth
// are stored as they are.
type Compression uint8

// The compressions. They are part of the format.
const (
	None Compression = iota
	Snappy
	Zstd
)

const (
	blockTrailer = 5 // compression, CRC32C
	footerSize   = 80
	magic        = 0x656c626174687361 // "ashtable"
	version      = 1

	// maxBlock bounds what a block may decompress to: the largest value and its key.
	maxBlock = 1<<30 + 1<<21
)

// ErrCorrupt is matched by every error about damaged contents.
var ErrCorrupt = errors.New("sstable: corrupt table")

// CorruptError says where a table is damaged.
type CorruptError struct {
	File   string
	Offset int64
	Detail string
}

// Error describes the damage.
func (e *CorruptError) Error() string {
	return fmt.Sprintf("sstable: %s damaged at %d: %s", e.File, e.Offset, e.Detail)
}

// Is makes errors.Is(err, ErrCorrupt) hold.
func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// handle is where a block lies: its offset, and its length with the trailer.
type handle struct {
	off uint64
	len uint32
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum covers the stored bytes, the compression, and the place where they belong.
func checksum(stored []byte, file, off uint64) uint32 {
	var place [16]byte
	binary.LittleEndian.PutUint64(place[:], file)
	binary.LittleEndian.PutUint64(place[8:], off)
	return crc32.Update(crc32.Checksum(stored, castagnoli), castagnoli, place[:])
}

var (
	zstdEncoder = sync.OnceValue(func() *zstd.Encoder {
		e, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false))
		if err != nil {
			panic(err) // the options are constants
		}
		return e
	})
	zstdDecoder = sync.OnceValue(func() *zstd.Decoder {
		d, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecoderMaxMemory(maxBlock))
		if err != nil {
			panic(err) // the options are constants
		}
		return d
	})
)

// appendBlock appends a block as it is stored, using scratch for the compressor.
func appendBlock(dst, raw []byte, c Compression, file, off uint64, scratch []byte) (out, scratchOut []byte) {
	start := len(dst)
	packed := raw
	switch c {
	case Snappy:
		scratch = s2.EncodeSnappy(scratch[:cap(scratch)], raw)
		packed = scratch
	case Zstd:
		scratch = zstdEncoder().EncodeAll(raw, scratch[:0])
		packed = scratch
	}
	if len(packed) > len(raw)-len(raw)/8 {
		packed, c = raw, None
	}
	dst = append(dst, packed...)
	dst = append(dst, byte(c))
	return binary.LittleEndian.AppendUint32(dst, checksum(dst[start:], file, off)), scratch
}

// readBlock reads, checks and unpacks a block into new memory.
func readBlock(r io.ReaderAt, name string, file uint64, h handle, buf []byte) ([]byte, error) {
	if cap(buf) < int(h.len) {
		buf = make([]byte, h.len)
	}
	buf = buf[:h.len]
	if n, err := r.ReadAt(buf, int64(h.off)); n < len(buf) {
		if err == nil || errors.Is(err, io.EOF) {
			return nil, &CorruptError{name, int64(h.off), "block reaches past the end of the file"}
		}
		return nil, fmt.Errorf("sstable: read %s: %w", name, err)
	}
	return unpack(buf, name, file, h)
}

func unpack(buf []byte, name string, file uint64, h handle) ([]byte, error) {
	stored := buf[:len(buf)-4]
	if checksum(stored, file, h.off) != binary.LittleEndian.Uint32(buf[len(stored):]) {
		return nil, &CorruptError{name, int64(h.off), "checksum"}
	}
	raw := stored[:len(stored)-1]
	switch c := Compression(stored[len(raw)]); c {
	case None:
		return raw, nil
	case Snappy:
		n, err := s2.DecodedLen(raw)
		if err != nil || n > maxBlock {
			return nil, &CorruptError{name, int64(h.off), "snappy length"}
		}
		out, err := s2.Decode(make([]byte, n), raw)
		if err != nil {
			return nil, &CorruptError{name, int64(h.off), err.Error()}
		}
		return out, nil
	case Zstd:
		out, err := zstdDecoder().DecodeAll(raw, nil)
		if err != nil {
			return nil, &CorruptError{name, int64(h.off), err.Error()}
		}
		return out, nil
	default:
		return nil, &CorruptError{name, int64(h.off), fmt.Sprintf("unknown compression %d", c)}
	}
}

// footer is the last part of a file, the only one at a known place.
type footer struct {
	filter, spans, props, index handle
}

func (f footer) append(b []byte, file uint64) []byte {
	start := len(b)
	for _, h := range []handle{f.filter, f.spans, f.props, f.index} {
		b = binary.LittleEndian.AppendUint64(b, h.off)
		b = binary.LittleEndian.AppendUint64(b, uint64(h.len))
	}
	b = binary.LittleEndian.AppendUint32(b, version)
	b = binary.LittleEndian.AppendUint32(b, checksum(b[start:], file, 0))
	return binary.LittleEndian.AppendUint64(b, magic)
}

// parseFooter reads the footer of a table of size bytes.
func parseFooter(b []byte, name string, file uint64, size int64) (footer, error) {
	bad := func(detail string) (footer, error) {
		return footer{}, &CorruptError{name, size - footerSize, detail}
	}
	if binary.LittleEndian.Uint64(b[72:]) != magic {
		return bad("no table")
	}
	if v := binary.LittleEndian.Uint32(b[64:]); v != version {
		return bad(fmt.Sprintf("version %d, this library reads %d", v, version))
	}
	if checksum(b[:68], file, 0) != binary.LittleEndian.Uint32(b[68:]) {
		return bad("footer checksum")
	}
	var f footer
	for i, h := range []*handle{&f.filter, &f.spans, &f.props, &f.index} {
		off, n := binary.LittleEndian.Uint64(b[16*i:]), binary.LittleEndian.Uint64(b[16*i+8:])
		limit := uint64(size - footerSize)
		if n < blockTrailer || n > 1<<32-1 || off > limit || n > limit-off {
			return bad("a part lies outside of the file")
		}
		*h = handle{off, uint32(n)}
	}
	return f, nil
}
