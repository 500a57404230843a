package cache

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"time"
)

// A snapshot is a magic word and blocks, each with its length and its CRC-32C:
//
//	"ashlarB1" ( length u32 | crc u32 | record … )* ( 0 u32 | crc u32 of the count | count u64 )
//	record: key length | value length | milliseconds to live, 0: for ever (all uvarint) | key | value
//
// Entries are in the order in which they would leave, so restoring into a smaller cache
// keeps those that were to stay longest. Versions are not kept: every entry gets a new one.
const (
	snapMagic = "ashlarB1"
	snapBlock = 64 << 10
	snapMost  = 16 << 30 / bytesShards
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

type record struct {
	key, val []byte
	left     int64 // milliseconds; 0: for ever
}

// copyAll copies the live entries of a shard, those of the small ring first.
func (s *bytesShard) copyAll(now int64) (out []record) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range []*ring{&s.small, &s.main} {
		for at, left := r.head, r.used; left > 0; {
			e := stored(r.buf[at:])
			size := e.size()
			if end := e.end0(); !e.dead() && (end == 0 || end > now) {
				b := append(append(make([]byte, 0, e.keyLen()+e.valLen()), e.key()...), e.value()...)
				x := record{key: b[:e.keyLen():e.keyLen()], val: b[e.keyLen():]}
				if end != 0 {
					x.left = end - now
				}
				out = append(out, x)
			}
			left -= size
			if at += size; at >= r.size {
				at = 0
			}
		}
	}
	return out
}

// end0 is end for what may be a filler without room for one.
func (e stored) end0() int64 {
	if e.dead() {
		return 0
	}
	return e.end()
}

// Snapshot writes all live entries to w. Shards are copied one after the other, so it is a
// snapshot of each shard, not of one moment.
func (b *Bytes) Snapshot(w io.Writer) error {
	bw := bufio.NewWriterSize(w, snapBlock)
	if _, err := bw.WriteString(snapMagic); err != nil {
		return err
	}
	var block []byte
	count := uint64(0)
	flush := func() error {
		err := writeBlock(bw, uint32(len(block)), block)
		block = block[:0]
		return err
	}
	for i := range b.shards {
		for _, r := range b.shards[i].copyAll(b.now()) {
			block = binary.AppendUvarint(block, uint64(len(r.key)))
			block = binary.AppendUvarint(block, uint64(len(r.val)))
			block = binary.AppendUvarint(block, uint64(r.left))
			block = append(append(block, r.key...), r.val...)
			count++
			if len(block) >= snapBlock {
				if err := flush(); err != nil {
					return err
				}
			}
		}
	}
	if len(block) > 0 {
		if err := flush(); err != nil {
			return err
		}
	}
	if err := writeBlock(bw, 0, le.AppendUint64(nil, count)); err != nil {
		return err
	}
	return bw.Flush()
}

func writeBlock(w io.Writer, length uint32, payload []byte) error {
	var head [8]byte
	le.PutUint32(head[:], length)
	le.PutUint32(head[4:], crc32.Checksum(payload, castagnoli))
	if _, err := w.Write(head[:]); err != nil {
		return err
	}
	_, err := w.Write(payload)
	return err
}

// Restore adds the entries of a snapshot, replacing those of the same keys; their times to
// live go on from where they were. Entries too large for this cache are left out. Errors
// about the snapshot wrap ErrCorrupt; the entries of whole blocks before the damage have
// been added then, and are right.
func (b *Bytes) Restore(r io.Reader) error {
	br := bufio.NewReaderSize(r, snapBlock)
	var head [8]byte
	if _, err := io.ReadFull(br, head[:]); err != nil {
		return readError(err)
	}
	if string(head[:]) != snapMagic {
		return fmt.Errorf("%w: no snapshot", ErrCorrupt)
	}
	var block []byte
	for count := uint64(0); ; {
		if _, err := io.ReadFull(br, head[:]); err != nil {
			return readError(err)
		}
		length, sum := int64(le.Uint32(head[:])), le.Uint32(head[4:])
		last := length == 0
		if last {
			length = 8
		}
		if length > snapMost {
			return fmt.Errorf("%w: block of %d bytes", ErrCorrupt, length)
		}
		var err error
		if block, err = readBlock(br, block[:0], length); err != nil {
			return readError(err)
		}
		if crc32.Checksum(block, castagnoli) != sum {
			return fmt.Errorf("%w: checksum", ErrCorrupt)
		}
		if last {
			if n := le.Uint64(block); n != count {
				return fmt.Errorf("%w: %d entries of %d", ErrCorrupt, count, n)
			}
			return nil
		}
		n, err := b.restoreBlock(block)
		if err != nil {
			return err
		}
		count += n
	}
}

// readBlock reads a length that may be a lie: memory grows with what is really there.
func readBlock(r io.Reader, dst []byte, length int64) ([]byte, error) {
	for length > 0 {
		n := min(length, snapBlock)
		dst = append(dst, make([]byte, n)...)
		if _, err := io.ReadFull(r, dst[int64(len(dst))-n:]); err != nil {
			return dst, err
		}
		length -= n
	}
	return dst, nil
}

func (b *Bytes) restoreBlock(block []byte) (count uint64, err error) {
	var f [3]uint64
	for len(block) > 0 {
		for i := range f {
			v, n := binary.Uvarint(block)
			if n <= 0 {
				return count, fmt.Errorf("%w: length", ErrCorrupt)
			}
			f[i], block = v, block[n:]
		}
		if f[0] > maxKey || f[1] > uint64(len(block)) || f[0]+f[1] > uint64(len(block)) || f[2] > uint64(forever/time.Millisecond) {
			return count, fmt.Errorf("%w: lengths", ErrCorrupt)
		}
		key, val := block[:f[0]], block[f[0]:f[0]+f[1]]
		block = block[f[0]+f[1]:]
		// The one error is ErrTooLarge, and that is no fault of the snapshot.
		_ = b.Set(key, val, time.Duration(f[2])*time.Millisecond)
		count++
	}
	return count, nil
}

func readError(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return fmt.Errorf("%w: it ends early", ErrCorrupt)
	}
	return err
}
