package merkle

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"
)

// A frame is one message of an exchange.
//
//	byte 0      protocol version
//	byte 1      kind
//	byte 2      sequence number of the frame in the exchange, modulo 256
//	…           body
//	last 4      low half of xxhash over all before it, little endian
//
// The checksum is there for accidents, not for attackers: a flipped bit becomes an error and
// not a false difference. Integers are little endian, or unsigned varints in their shortest form.
const (
	protocol  = 1
	headerLen = 3
	sumLen    = 4

	// minFrame holds the children of one node at the greatest fan-out, and what goes with them.
	minFrame = 4 << 10
	stdFrame = 64 << 10
	maxFrame = 16 << 20
)

// kind says what a frame's body is.
type kind byte

const (
	kindHello   kind = iota + 1 // geometry, root, limits
	kindEqual                   // nothing: the roots are equal
	kindWelcome                 // limits, and the folds of the root's children
	kindSums                    // verdict on the last folds, and the next
	kindItems                   // verdict if folds were last, and a run of items
	kindDiffs                   // what differs in the last run
	kindMore                    // nothing: go on with the diffs
)

// begin opens a frame with room for size bytes of body.
func begin(k kind, seq, size int) []byte {
	return append(make([]byte, 0, headerLen+size+sumLen), protocol, byte(k), byte(seq))
}

// seal closes a frame.
func seal(f []byte) []byte {
	return binary.LittleEndian.AppendUint32(f, uint32(xxhash.Sum64(f)))
}

// reader takes a body apart. After the first thing that is missing or malformed it yields
// zeros and err is set; the caller looks once at the end of a group of reads.
type reader struct {
	b   []byte
	err error
}

// unseal checks what surrounds a frame's body.
func unseal(f []byte, seq int) (kind, reader, error) {
	switch {
	case len(f) == 0:
		return 0, reader{}, fmt.Errorf("%w: the peer ended the exchange", ErrFrame)
	case f[0] != protocol:
		return 0, reader{}, fmt.Errorf("%w: %d", ErrVersion, f[0])
	case len(f) < headerLen+sumLen:
		return 0, reader{}, fmt.Errorf("%w: %d bytes", ErrFrame, len(f))
	}
	body := f[:len(f)-sumLen]
	if binary.LittleEndian.Uint32(f[len(body):]) != uint32(xxhash.Sum64(body)) {
		return 0, reader{}, fmt.Errorf("%w: checksum", ErrFrame)
	}
	if f[2] != byte(seq) {
		return 0, reader{}, fmt.Errorf("%w: number %d in place of %d", ErrFrame, f[2], byte(seq))
	}
	return kind(f[1]), reader{b: body[headerLen:]}, nil
}

// fail remembers the first error.
func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrFrame, what)
	}
	r.b = nil
}

// take returns the next n bytes, or nil.
func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.fail("cut short")
		return nil
	}
	p := r.b[:n]
	r.b = r.b[n:]
	return p
}

func (r *reader) byte() byte {
	if p := r.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (r *reader) uint64() uint64 {
	if p := r.take(8); p != nil {
		return binary.LittleEndian.Uint64(p)
	}
	return 0
}

func (r *reader) uint32() uint32 {
	if p := r.take(4); p != nil {
		return binary.LittleEndian.Uint32(p)
	}
	return 0
}

// uvarint reads a varint in its shortest form.
func (r *reader) uvarint() uint64 {
	x, n := binary.Uvarint(r.b)
	if n <= 0 || (n > 1 && r.b[n-1] == 0) {
		r.fail("bad varint")
		return 0
	}
	r.b = r.b[n:]
	return x
}

// end checks that nothing is left over.
func (r *reader) end() error {
	if r.err == nil && len(r.b) > 0 {
		r.fail("trailing bytes")
	}
	return r.err
}
