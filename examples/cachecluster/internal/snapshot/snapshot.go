// Package snapshot writes a keyspace to bytes and reads it back: as a file that a node
// starts from, as what a new replica is sent, and, one value at a time, as what moves
// between nodes with a slot.
//
// A file is a header and frames; every frame carries the checksum of its bytes, and the last
// one says how many keys there were, so that damage and a missing end are found before
// anything is served:
//
//	"ashlar-cache 1\n"  frame …  frame(count)
//	frame: length, 4 bytes │ CRC-32C, 4 bytes │ records
//	record: kind │ expiry │ key │ value          integers as varints, strings with a length
//
// What a length announces costs no memory before it arrives.
package snapshot

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/keyspace"
)

// ErrCorrupt is matched by every error about bytes that are not what was written.
var ErrCorrupt = errors.New("snapshot: corrupt")

const (
	magic    = "ashlar-cache 1\n"
	frameLen = 64 << 10 // a frame ends after so many bytes
	maxFrame = 1 << 30
	end      = 0xff // the kind of the last record
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Meta is where in a replication stream a snapshot stands.
type Meta struct {
	ID     string // of the stream
	Offset int64  // of the first byte after the snapshot
}

// Append appends a snapshot of a whole keyspace to b.
func Append(b []byte, d *keyspace.DB, m Meta) []byte {
	b = append(b, magic...)
	frame := appendString(nil, m.ID)
	frame = binary.AppendVarint(frame, m.Offset)
	count := uint64(0)
	flush := func() {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(frame)))
		b = binary.LittleEndian.AppendUint32(b, crc32.Checksum(frame, castagnoli))
		b = append(b, frame...)
		frame = frame[:0]
	}
	flush()
	d.All(func(e *keyspace.Entry) bool {
		frame = append(frame, byte(e.Kind()))
		frame = binary.AppendVarint(frame, e.Expire())
		frame = appendString(frame, e.Key())
		frame = appendValue(frame, e)
		if count++; len(frame) >= frameLen {
			flush()
		}
		return true
	})
	frame = append(frame, end)
	frame = binary.AppendUvarint(frame, count)
	flush()
	return b
}

// Read adds what a snapshot holds to a keyspace, which should be empty; keys whose time has
// come are left out. After an error the keyspace holds a part.
func Read(r io.Reader, d *keyspace.DB) (m Meta, err error) {
	br := bufio.NewReaderSize(r, 64<<10)
	head := make([]byte, len(magic))
	if _, err := io.ReadFull(br, head); err != nil || string(head) != magic {
		return m, fmt.Errorf("%w: not a snapshot", ErrCorrupt)
	}
	first, err := readFrame(br)
	if err != nil {
		return m, err
	}
	in := decoder{b: first}
	m.ID, m.Offset = string(in.bytes()), in.varint()
	if in.err != nil || len(in.b) > 0 || len(m.ID) > 64 || m.Offset < 0 {
		return Meta{}, fmt.Errorf("%w: bad header", ErrCorrupt)
	}
	for count := uint64(0); ; {
		frame, err := readFrame(br)
		if err != nil {
			return m, err
		}
		in := decoder{b: frame}
		for len(in.b) > 0 {
			kind := in.byte()
			if kind == end {
				if n := in.uvarint(); in.err != nil || n != count || len(in.b) > 0 {
					return m, fmt.Errorf("%w: %d keys read, %d announced", ErrCorrupt, count, n)
				}
				return m, nil
			}
			expire := in.varint()
			key := in.bytes()
			if in.err == nil && d.Peek(key) != nil {
				in.fail("a key twice")
			}
			if in.value(d, key, keyspace.Kind(kind), expire); in.err != nil {
				return m, in.err
			}
			count++
		}
	}
}

func readFrame(br *bufio.Reader) ([]byte, error) {
	var head [8]byte
	if _, err := io.ReadFull(br, head[:]); err != nil {
		return nil, cut(err)
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n > maxFrame {
		return nil, fmt.Errorf("%w: a frame of %d bytes", ErrCorrupt, n)
	}
	const step = 256 << 10
	frame := make([]byte, 0, min(n, step))
	for rest := int(n); rest > 0; {
		at, m := len(frame), min(rest, step)
		frame = append(frame, make([]byte, m)...)
		if _, err := io.ReadFull(br, frame[at:]); err != nil {
			return nil, cut(err)
		}
		rest -= m
	}
	if crc32.Checksum(frame, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		return nil, fmt.Errorf("%w: a checksum does not match", ErrCorrupt)
	}
	return frame, nil
}

func cut(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it is cut short", ErrCorrupt)
	}
	return err
}

// AppendEntry appends one value, without key and time to live, with a checksum: what DUMP
// answers.
func AppendEntry(b []byte, e *keyspace.Entry) []byte {
	at := len(b)
	b = append(b, byte(e.Kind()))
	b = appendValue(b, e)
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b[at:], castagnoli))
}

// Restore stores what AppendEntry wrote under a key, which must not be there. Nothing is
// stored if it is not whole.
func Restore(d *keyspace.DB, key, b []byte, expire int64) error {
	if len(b) < 5 {
		return fmt.Errorf("%w: a value of %d bytes", ErrCorrupt, len(b))
	}
	body, sum := b[:len(b)-4], binary.LittleEndian.Uint32(b[len(b)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return fmt.Errorf("%w: a checksum does not match", ErrCorrupt)
	}
	in := decoder{b: body[1:]}
	in.value(d, key, keyspace.Kind(body[0]), expire)
	if in.err == nil && len(in.b) > 0 {
		in.fail("bytes after the end")
	}
	if in.err != nil {
		d.Delete(key)
	}
	return in.err
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendBytes(b, s []byte) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendValue(b []byte, e *keyspace.Entry) []byte {
	switch e.Kind() {
	case keyspace.String:
		b = appendBytes(b, e.Str)
	case keyspace.List:
		q := e.List()
		b = binary.AppendUvarint(b, uint64(q.Len()))
		for i := range q.Len() {
			b = appendBytes(b, q.At(i))
		}
	case keyspace.Set, keyspace.Hash:
		d := e.Dict()
		b = binary.AppendUvarint(b, uint64(d.Len()))
		for i := range d.Len() {
			f := d.At(i)
			b = appendString(b, f.Name)
			if e.Kind() == keyspace.Hash {
				b = appendBytes(b, f.Value)
			}
		}
	case keyspace.ZSet:
		z := e.Sorted()
		b = binary.AppendUvarint(b, uint64(z.Len()))
		z.Range(0, z.Len(), false, func(name string, score float64) bool {
			b = appendString(b, name)
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(score))
			return true
		})
	}
	return b
}

// decoder takes values off the front of b. After the first mistake all it returns is zero.
type decoder struct {
	b   []byte
	err error
}

func (in *decoder) fail(what string) {
	if in.err == nil {
		in.err = fmt.Errorf("%w: %s", ErrCorrupt, what)
	}
	in.b = nil
}

func (in *decoder) byte() byte {
	if len(in.b) == 0 {
		in.fail("a record is cut short")
		return 0
	}
	c := in.b[0]
	in.b = in.b[1:]
	return c
}

func (in *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(in.b)
	if n <= 0 {
		in.fail("a bad integer")
		return 0
	}
	in.b = in.b[n:]
	return v
}

func (in *decoder) varint() int64 {
	v, n := binary.Varint(in.b)
	if n <= 0 {
		in.fail("a bad integer")
		return 0
	}
	in.b = in.b[n:]
	return v
}

func (in *decoder) bytes() []byte {
	n := in.uvarint()
	if n > uint64(len(in.b)) {
		in.fail("a string is cut short")
		return nil
	}
	s := in.b[:n:n]
	in.b = in.b[n:]
	return s
}

// value reads a value into a new entry.
func (in *decoder) value(d *keyspace.DB, key []byte, kind keyspace.Kind, expire int64) {
	if in.err != nil {
		return
	}
	if kind > keyspace.ZSet || expire < 0 {
		in.fail("a bad kind or time")
		return
	}
	var e *keyspace.Entry
	if kind == keyspace.String {
		s := in.bytes()
		if in.err != nil {
			return
		}
		e = d.SetString(key, s, false)
	} else {
		n := in.uvarint()
		if in.err != nil {
			return
		}
		if n == 0 || n > uint64(len(in.b)) {
			in.fail("a bad count")
			return
		}
		e = d.Create(key, kind)
		for ; n > 0 && in.err == nil; n-- {
			in.element(e)
		}
		d.Changed(e)
	}
	if expire != 0 {
		d.SetExpire(e, expire)
	}
}

func (in *decoder) element(e *keyspace.Entry) {
	s := in.bytes()
	switch e.Kind() {
	case keyspace.List:
		if in.err == nil {
			e.List().Push(s, false)
		}
	case keyspace.Set:
		if in.err == nil {
			e.Dict().Put(s, nil)
		}
	case keyspace.Hash:
		v := in.bytes()
		if in.err == nil {
			e.Dict().Put(s, v)
		}
	case keyspace.ZSet:
		if len(in.b) < 8 {
			in.fail("a score is cut short")
			return
		}
		score := math.Float64frombits(binary.LittleEndian.Uint64(in.b))
		in.b = in.b[8:]
		if !keyspace.ValidScore(score) {
			in.fail("a score that is no number")
			return
		}
		e.Sorted().Put(s, score)
	}
}
