package sstable

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
)

// Compression says how blocks are compressed. The numbers are part of the format.
type Compression uint8

// The compressions.
const (
	None   Compression = iota
	Snappy             // fast both ways
	Zstd               // smaller; slower by several times
)

// String names the compression.
func (c Compression) String() string {
	switch c {
	case None:
		return "none"
	case Snappy:
		return "snappy"
	case Zstd:
		return "zstd"
	}
	return fmt.Sprintf("compression(%d)", uint8(c))
}

// A compressed payload starts with the uvarint length of what it was, which is snappy's
// own header. Nobody who reads a damaged or a forged file shall allocate by its word
// alone: a block may not be longer than maxRatio times its payload, plus slack. A writer
// that does better than that, on a large value of one byte over and over, keeps to it.
const (
	maxRatio   = 1024
	ratioSlack = 64 << 10
)

var errRatio = errors.New("stated length out of bounds")

// compressor compresses blocks for one writer.
type compressor struct {
	kind Compression
	buf  []byte
}

// compress returns the payload for raw and how it is compressed, None if it would not
// save an eighth. The result is valid until the next call.
func (c *compressor) compress(raw []byte) ([]byte, Compression, error) {
	switch c.kind {
	case Snappy:
		c.snappy(raw)
	case Zstd:
		if err := c.zstandard(raw); err != nil {
			return nil, None, err
		}
		if uint64(len(raw)) > bound(c.buf) { // snappy cannot be that good
			c.snappy(raw)
			return c.buf, Snappy, nil
		}
	default:
		return raw, None, nil
	}
	if len(c.buf) > len(raw)-len(raw)/8 {
		return raw, None, nil
	}
	return c.buf, c.kind, nil
}

func (c *compressor) snappy(raw []byte) {
	c.buf = s2.EncodeSnappy(c.buf[:cap(c.buf)], raw)
}

func (c *compressor) zstandard(raw []byte) error {
	e, err := zstdEncoder()
	if err != nil {
		return err
	}
	c.buf = binary.AppendUvarint(c.buf[:0], uint64(len(raw)))
	c.buf = e.EncodeAll(raw, c.buf)
	return nil
}

// bound is the longest that a block with payload p may be.
func bound(p []byte) uint64 { return min(uint64(len(p))*maxRatio+ratioSlack, maxBlock) }

// rawLen returns the length of the block that payload p decompresses to.
func rawLen(p []byte, kind Compression) (int, error) {
	if kind == None {
		return len(p), nil
	}
	n, read := binary.Uvarint(p)
	if read <= 0 || n > bound(p) {
		return 0, errRatio
	}
	return int(n), nil
}

// decompress decompresses p into dst, which has exactly the right length.
func decompress(dst, p []byte, kind Compression) error {
	switch kind {
	case None:
		copy(dst, p)
		return nil
	case Snappy:
		out, err := s2.Decode(dst, p)
		if err == nil && len(out) != len(dst) {
			err = errRatio
		}
		return err
	case Zstd:
		d, err := zstdDecoder()
		if err != nil {
			return err
		}
		_, read := binary.Uvarint(p)
		out, err := d.DecodeAll(p[read:], dst[:0:len(dst)])
		if err == nil && len(out) != len(dst) {
			err = errRatio
		}
		return err
	}
	return fmt.Errorf("unknown %s", kind)
}

// The coders are shared by all tables: they are large, safe for concurrent use, have no
// goroutines, and are made only if a block needs them. Blocks have a checksum of their own.
// The decoder never writes beyond the capacity it is given.
var (
	zstdEncoder = sync.OnceValues(func() (*zstd.Encoder, error) {
		return zstd.NewWriter(nil, zstd.WithEncoderCRC(false))
	})
	zstdDecoder = sync.OnceValues(func() (*zstd.Decoder, error) {
		return zstd.NewReader(nil, zstd.WithDecoderConcurrency(0), zstd.WithDecodeAllCapLimit(true), zstd.WithDecoderLowmem(true))
	})
)
