package trie

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"math"
)

// A snapshot's file, all numbers little-endian:
//
//	  0  magic "ATRI"
//	  4  version (1), fold, aliases (0 or 1), zero
//	  8  terms u64
//	 16  position of the root u64
//	 24  score of the best term u64
//	 32  longest key u64
//	 40  longest prefix in the heads' index u64
//	 48  lengths of arena, heads, index, symbols, 4 × u64
//	 80  zero (44 bytes)
//	124  CRC-32C of the first 124 bytes
//	128  arena, heads, index, symbols, each directly behind the other
//	     CRC-32C of every block of 64 KiB of these, the last one short; u32 each
//	     CRC-32C of the table of these, u32
//
// Nothing in it depends on where it lies in memory or on the machine, so that a mapped
// file is a snapshot. A file is checked whole before it is used: its checksums are read
// at the speed of memory, and a wrong suggestion is worse than a late one. Yet no bytes,
// not even ones with valid checksums, can make a search panic, read elsewhere or run
// for ever: every read is checked, and children stand before their parents.

const (
	fileMagic   = "ATRI"
	fileVersion = 1
	fileHeader  = 128
	fileBlock   = 64 << 10
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// WriteTo writes the snapshot as a file.
func (s *Snapshot) WriteTo(w io.Writer) (int64, error) {
	defer s.mapping.alive()
	table := s.symbols.marshal(nil)
	sections := [][]byte{s.arena, s.heads.blob, s.heads.index, table}

	b := append([]byte(fileMagic), fileVersion, byte(s.fold), boolByte(s.aliases), 0)
	for _, n := range []uint64{uint64(s.terms), uint64(s.root), s.best, uint64(s.longest), uint64(s.heads.maxPath)} {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	for _, section := range sections {
		b = binary.LittleEndian.AppendUint64(b, uint64(len(section)))
	}
	b = append(b, make([]byte, fileHeader-4-len(b))...)
	b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))

	var total int64
	put := func(b []byte) error {
		n, err := w.Write(b)
		total += int64(n)
		return err
	}
	if err := put(b); err != nil {
		return total, err
	}
	sums := blockSums{}
	for _, section := range sections {
		sums.add(section)
		if err := put(section); err != nil {
			return total, err
		}
	}
	return total, put(sums.finish())
}

func boolByte(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// blockSums computes the checksums of blocks of what comes in pieces.
type blockSums struct {
	out  []byte
	sum  uint32
	size int
}

func (t *blockSums) add(b []byte) {
	for len(b) > 0 {
		n := min(len(b), fileBlock-t.size)
		t.sum = crc32.Update(t.sum, castagnoli, b[:n])
		t.size += n
		b = b[n:]
		if t.size == fileBlock {
			t.flush()
		}
	}
}

func (t *blockSums) flush() {
	t.out = binary.LittleEndian.AppendUint32(t.out, t.sum)
	t.sum, t.size = 0, 0
}

func (t *blockSums) finish() []byte {
	if t.size > 0 {
		t.flush()
	}
	return binary.LittleEndian.AppendUint32(t.out, crc32.Checksum(t.out, castagnoli))
}

// Load makes a snapshot of the bytes of a file, which it uses in place: they must not be
// changed afterwards. A [CorruptError] if they are not such a file, whole and undamaged.
func Load(data []byte) (*Snapshot, error) {
	if err := verify(data); err != nil {
		return nil, err
	}
	field := func(i int) uint64 { return binary.LittleEndian.Uint64(data[8+8*i:]) }
	s := &Snapshot{fold: Fold(data[5]), aliases: data[6] != 0, best: field(2)}
	for i, to := range []*int{&s.terms, &s.root, nil, &s.longest, &s.heads.maxPath} {
		if to == nil {
			continue
		}
		if field(i) > math.MaxInt32 && field(i) > uint64(len(data)) {
			return nil, corrupt(int64(8+8*i), "number out of range")
		}
		*to = int(field(i))
	}
	rest := data[fileHeader:]
	var table []byte
	for i, to := range []*[]byte{&s.arena, &s.heads.blob, &s.heads.index, &table} {
		n := field(5 + i)
		*to = rest[:n:n]
		rest = rest[n:]
	}
	var ok bool
	if s.symbols, ok = parseSymbols(table); !ok {
		return nil, corrupt(fileHeader, "symbol table")
	}
	n := len(s.heads.index)
	if s.fold > FoldNone || s.heads.maxPath > maxHeadPath || n%8 != 0 || n&(n-1) != 0 || s.root >= max(len(s.arena), 1) {
		return nil, corrupt(0, "header")
	}
	return s, nil
}

// verify checks a file's header and all its checksums.
func verify(data []byte) error {
	if len(data) < fileHeader {
		return corrupt(0, "%d bytes are no header", len(data))
	}
	if string(data[:4]) != fileMagic {
		return corrupt(0, "not a snapshot")
	}
	if data[4] != fileVersion {
		return corrupt(4, "version %d, this library reads %d", data[4], fileVersion)
	}
	if crc32.Checksum(data[:fileHeader-4], castagnoli) != binary.LittleEndian.Uint32(data[fileHeader-4:]) {
		return corrupt(0, "checksum of the header")
	}
	size := uint64(0)
	for at := 48; at < 80; at += 8 {
		n := binary.LittleEndian.Uint64(data[at:])
		if n > uint64(len(data)) {
			return corrupt(int64(at), "a section of %d bytes in a file of %d", n, len(data))
		}
		size += n
	}
	blocks := (size + fileBlock - 1) / fileBlock
	if fileHeader+size+4*blocks+4 != uint64(len(data)) {
		return corrupt(int64(len(data)), "%d bytes, the header says %d", len(data), fileHeader+size+4*blocks+4)
	}
	payload, table := data[fileHeader:fileHeader+size], data[fileHeader+size:]
	sums := table[:4*blocks]
	if crc32.Checksum(sums, castagnoli) != binary.LittleEndian.Uint32(table[4*blocks:]) {
		return corrupt(int64(fileHeader+size), "checksum of the checksums")
	}
	for i := range blocks {
		block := payload[i*fileBlock : min((i+1)*fileBlock, size)]
		if crc32.Checksum(block, castagnoli) != binary.LittleEndian.Uint32(sums[4*i:]) {
			return corrupt(int64(fileHeader+i*fileBlock), "checksum of a block of %d bytes", len(block))
		}
	}
	return nil
}
