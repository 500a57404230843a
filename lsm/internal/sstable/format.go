package sstable

import (
	"encoding/binary"
	"hash/crc32"
)

// A table file; docs/lsm-format.md has it byte by byte.
//
//	┌────────────┬─────┬────────────┬───────┬────────┬───────┬────────────┬────────┐
//	│ data block │  …  │ data block │ index │ filter │ spans │ properties │ footer │
//	└────────────┴─────┴────────────┴───────┴────────┴───────┴────────────┴────────┘
//	0                               ▲       ▲        ▲       ▲            ▲ size-64
//	                                └───────┴────────┴───────┴────────────┴── the footer says
//
// Sections follow each other without a gap and end where the footer begins, so that a
// file that was cut or grew is told from its length alone. The filter and the spans may
// be missing: their sections are then empty.
//
// Every block, of data or other, is followed by five bytes:
//
//	payload | u8 compression | u32 CRC32C of payload, compression, file number u64, offset u64
//
// The number of the file and the offset in it are in the checksum but not in the block:
// a sound block in a place that is not its own does not pass.
//
// All numbers are little-endian.

const (
	footerLen    = 64
	blockTrailer = 5
	version      = 1
	magic        = "AshT"

	// maxBlock bounds the length of a block before compression: the largest value, the
	// largest key, and room for what surrounds them.
	maxBlock = 1<<30 + 1<<20 + 1<<12
	// maxSection bounds the length of a section, so that its length is an int anywhere.
	maxSection = 1<<31 - 1<<12

	maxKey   = 1 << 20
	maxValue = 1<<30 + 8 // with the expiry before it
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// checksum is that of a block's payload and compression byte, for the place it is in.
func checksum(block []byte, file, offset uint64) uint32 {
	var place [16]byte
	binary.LittleEndian.PutUint64(place[:], file)
	binary.LittleEndian.PutUint64(place[8:], offset)
	return crc32.Update(crc32.Update(0, castagnoli, block), castagnoli, place[:])
}

// footer says where the sections begin. Each ends where the next begins.
type footer struct {
	file                             uint64
	index, filter, spans, properties uint64
	end                              uint64 // the footer's own offset
}

func (f *footer) append(b []byte) []byte {
	start := len(b)
	for _, v := range [...]uint64{f.file, f.index, f.filter, f.spans, f.properties, f.end} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	b = binary.LittleEndian.AppendUint32(b, version)
	b = binary.LittleEndian.AppendUint32(b, 0)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[start:], castagnoli))
	return append(b, magic...)
}

// parseFooter reads a footer of footerLen bytes; detail says what is wrong with it.
func parseFooter(b []byte) (f footer, detail string) {
	switch {
	case string(b[60:]) != magic:
		return f, "no table: wrong magic"
	case crc32.Checksum(b[:56], castagnoli) != binary.LittleEndian.Uint32(b[56:]):
		return f, "footer: wrong checksum"
	case binary.LittleEndian.Uint32(b[48:]) != version:
		return f, "footer: a version that this library does not read"
	}
	for i, p := range [...]*uint64{&f.file, &f.index, &f.filter, &f.spans, &f.properties, &f.end} {
		*p = binary.LittleEndian.Uint64(b[8*i:])
	}
	if f.index > f.filter || f.filter > f.spans || f.spans > f.properties || f.properties > f.end {
		return f, "footer: sections out of order"
	}
	return f, ""
}
