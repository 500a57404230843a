package transport

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
)

// On the wire, all numbers little-endian:
//
//	hello   "AKV1" | length of what follows (1 byte each) and bytes: cluster, from, to
//	frame   length u32 | CRC32C of the payload u32 | payload
//
// The checksum is there because TCP's sixteen bits let one damaged segment in some tens
// of thousands pass, and a store must not write what a bad cable made up.

const (
	magic   = "AKV1"
	maxName = 255
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// hello is what each side says first.
type hello struct{ cluster, from, to string }

func appendHello(b []byte, h hello) []byte {
	b = append(b, magic...)
	for _, s := range []string{h.cluster, h.from, h.to} {
		b = append(b, byte(len(s)))
		b = append(b, s...)
	}
	return b
}

func readHello(r io.Reader) (hello, error) {
	var m [len(magic)]byte
	if _, err := io.ReadFull(r, m[:]); err != nil {
		return hello{}, fmt.Errorf("%w: %w", ErrHandshake, err)
	}
	if string(m[:]) != magic {
		return hello{}, fmt.Errorf("%w: unknown protocol %q", ErrHandshake, m[:])
	}
	var h hello
	for _, s := range []*string{&h.cluster, &h.from, &h.to} {
		var n [1]byte
		if _, err := io.ReadFull(r, n[:]); err != nil {
			return hello{}, fmt.Errorf("%w: %w", ErrHandshake, err)
		}
		name := make([]byte, n[0])
		if _, err := io.ReadFull(r, name); err != nil {
			return hello{}, fmt.Errorf("%w: %w", ErrHandshake, err)
		}
		*s = string(name)
	}
	if h.from == "" {
		return hello{}, fmt.Errorf("%w: the peer has no name", ErrHandshake)
	}
	return h, nil
}

const headerSize = 8

func writeFrame(w io.Writer, frame []byte) error {
	var h [headerSize]byte
	binary.LittleEndian.PutUint32(h[0:], uint32(len(frame)))
	binary.LittleEndian.PutUint32(h[4:], crc32.Checksum(frame, castagnoli))
	if _, err := w.Write(h[:]); err != nil {
		return err
	}
	_, err := w.Write(frame)
	return err
}

// readFrame returns io.EOF only between frames. Memory grows with what arrives, not
// with the length that is announced.
func readFrame(r io.Reader, limit int) ([]byte, error) {
	var h [headerSize]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return nil, err
	}
	n := int64(binary.LittleEndian.Uint32(h[0:]))
	if n > int64(limit) {
		return nil, fmt.Errorf("%w: %d bytes announced, at most %d", ErrFrame, n, limit)
	}
	const step = 1 << 20
	frame := make([]byte, 0, min(n, step))
	for int64(len(frame)) < n {
		at := len(frame)
		frame = append(frame, make([]byte, min(n-int64(at), step))...)
		if _, err := io.ReadFull(r, frame[at:]); err != nil {
			return nil, fmt.Errorf("%w: cut short: %w", ErrFrame, err)
		}
	}
	if crc32.Checksum(frame, castagnoli) != binary.LittleEndian.Uint32(h[4:]) {
		return nil, fmt.Errorf("%w: checksum", ErrFrame)
	}
	return frame, nil
}
