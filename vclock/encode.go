package vclock

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// An encoded vector: the version (1), the number of actors, then for each, ascending, the
// actor in eight big-endian bytes and its counter. Numbers are unsigned varints in their
// shortest form. Equal vectors have equal bytes, and unequal ones unequal bytes.
//
// An encoded set: the version (1), the vector of its context without its own version
// byte, the number of values, then for each, in the order of the dots: the dot, 0 for a
// value or 1 for a delete, and for a value its length and its bytes.

const version = 1

// maxVarint is the longest encoding of a counter.
const maxVarint = binary.MaxVarintLen64

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCorrupt, fmt.Sprintf(format, args...))
}

// reader walks an encoding; the first problem sticks.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(format string, args ...any) {
	if r.err == nil {
		r.err = corrupt(format, args...)
		r.b = nil
	}
}

func (r *reader) version() {
	if len(r.b) == 0 || r.b[0] != version {
		r.fail("unknown version")
		return
	}
	r.b = r.b[1:]
}

// uvarint reads a number in its shortest form.
func (r *reader) uvarint() uint64 {
	x, n := binary.Uvarint(r.b)
	if n <= 0 || n > 1 && r.b[n-1] == 0 {
		r.fail("bad number")
		return 0
	}
	r.b = r.b[n:]
	return x
}

// count reads the number of things to follow, each at least size bytes long.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/size) {
		r.fail("%d entries in %d bytes", n, len(r.b))
		return 0
	}
	return int(n)
}

func (r *reader) dot() Dot {
	if len(r.b) < 9 {
		r.fail("cut short")
		return Dot{}
	}
	d := Dot{Actor: Actor(binary.BigEndian.Uint64(r.b))}
	r.b = r.b[8:]
	d.Counter = r.uvarint()
	if !d.valid() {
		r.fail("dot %v", d)
	}
	return d
}

func (r *reader) vector() Vector {
	n := r.count(9)
	var v Vector
	if n > 0 {
		v.dots = make([]Dot, 0, n)
	}
	for range n {
		d := r.dot()
		if r.err != nil {
			return Vector{}
		}
		if len(v.dots) > 0 && v.dots[len(v.dots)-1].Actor >= d.Actor {
			r.fail("actors out of order")
			return Vector{}
		}
		v.dots = append(v.dots, d)
	}
	return v
}

func (r *reader) end() error {
	if len(r.b) > 0 {
		r.fail("%d bytes too many", len(r.b))
	}
	return r.err
}

func appendDot(b []byte, d Dot) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(d.Actor))
	return binary.AppendUvarint(b, d.Counter)
}

func (v Vector) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(v.dots)))
	for _, d := range v.dots {
		b = appendDot(b, d)
	}
	return b
}

// AppendBinary appends the canonical encoding: equal vectors, equal bytes. At most 18
// bytes an actor, 10 as a rule. The error is always nil.
func (v Vector) AppendBinary(b []byte) ([]byte, error) { return v.append(append(b, version)), nil }

// MarshalBinary is AppendBinary into new memory.
func (v Vector) MarshalBinary() ([]byte, error) { return v.AppendBinary(nil) }

// UnmarshalBinary replaces v by the vector encoded in b, all of b. It is strict: what
// AppendBinary would not write matches ErrCorrupt and leaves v as it was.
func (v *Vector) UnmarshalBinary(b []byte) error {
	r := reader{b: b}
	r.version()
	w := r.vector()
	if err := r.end(); err != nil {
		return err
	}
	*v = w
	return nil
}

// CompareEncoded is Compare for two encoded vectors, without decoding or allocating. An
// encoding that is seen to be bad matches ErrCorrupt; the parts that do not matter to
// the result are not checked as strictly as UnmarshalBinary does.
func CompareEncoded(a, b []byte) (Order, error) {
	if bytes.Equal(a, b) && len(a) > 1 && a[0] == version {
		return Equal, nil
	}
	x, y := cursor{b: a}, cursor{b: b}
	if !x.start() || !y.start() {
		return 0, corrupt("unknown version or cut short")
	}
	var more, less bool
	for x.next(); ; {
		if !x.has {
			break
		}
		if !y.has && !y.done {
			y.next()
		}
		if !y.has {
			break
		}
		switch {
		case x.d.Actor < y.d.Actor:
			more = true
			x.next()
		case x.d.Actor > y.d.Actor:
			less = true
			y.next()
		default:
			more = more || x.d.Counter > y.d.Counter
			less = less || x.d.Counter < y.d.Counter
			x.next()
			y.next()
		}
	}
	if !x.has && !y.has && !y.done {
		y.next()
	}
	more, less = more || x.has, less || y.has
	for x.has {
		x.next()
	}
	for y.has {
		y.next()
	}
	if x.bad || y.bad || len(x.b) > 0 || len(y.b) > 0 {
		return 0, corrupt("bad vector")
	}
	return order(more, less), nil
}

// cursor steps through an encoded vector.
type cursor struct {
	b    []byte
	left uint64
	d    Dot
	has  bool // d is the current entry
	done bool // there are no more
	bad  bool
}

func (c *cursor) start() bool {
	if len(c.b) < 2 || c.b[0] != version {
		return false
	}
	n, size := binary.Uvarint(c.b[1:])
	if size <= 0 {
		return false
	}
	c.left, c.b = n, c.b[1+size:]
	return true
}

func (c *cursor) next() {
	c.has = false
	if c.left == 0 || c.bad {
		c.done = true
		return
	}
	if len(c.b) < 9 {
		c.bad, c.done = true, true
		return
	}
	d := Dot{Actor: Actor(binary.BigEndian.Uint64(c.b))}
	n := 0
	if d.Counter, n = binary.Uvarint(c.b[8:]); n <= 0 || d.Actor <= c.d.Actor || d.Counter == 0 {
		c.bad, c.done = true, true
		return
	}
	c.b, c.d, c.has = c.b[8+n:], d, true
	c.left--
}

// AppendSet appends the canonical encoding of s, its values by encode: equal sets have
// equal bytes if equal values have.
func AppendSet[T any](b []byte, s *Set[T], encode func(b []byte, v T) []byte) []byte {
	b = s.ctx.append(append(b, version))
	b = binary.AppendUvarint(b, uint64(len(s.vals)))
	for _, v := range s.vals {
		b = appendDot(b, v.Dot)
		if v.Deleted {
			b = append(b, 1)
			continue
		}
		b = append(b, 0)
		// The length comes before the bytes but is known after them: make room for the
		// longest and close the gap.
		at := len(b)
		b = append(b, make([]byte, maxVarint)...)
		b = encode(b, v.V)
		size := len(b) - at - maxVarint
		n := binary.PutUvarint(b[at:], uint64(size))
		copy(b[at+n:], b[at+maxVarint:])
		b = b[:at+n+size]
	}
	return b
}

// DecodeSet reads a set that AppendSet wrote, all of b. The bytes given to decode are
// part of b: copy what is kept. Errors match ErrCorrupt or are those of decode.
func DecodeSet[T any](b []byte, decode func(b []byte) (T, error)) (Set[T], error) {
	r := reader{b: b}
	r.version()
	s := Set[T]{ctx: r.vector()}
	n := r.count(10)
	if n > 0 {
		s.vals = make([]Value[T], 0, n)
	}
	for range n {
		v := Value[T]{Dot: r.dot()}
		if r.err == nil && !s.ctx.Contains(v.Dot) {
			r.fail("dot %v outside of the context", v.Dot)
		}
		if i := len(s.vals); r.err == nil && i > 0 && s.vals[i-1].Dot.Compare(v.Dot) >= 0 {
			r.fail("dots out of order")
		}
		switch flag := r.uvarint(); {
		case r.err != nil:
		case flag == 1:
			v.Deleted = true
		case flag == 0:
			size := r.count(1)
			if r.err != nil {
				break
			}
			var err error
			if v.V, err = decode(r.b[:size:size]); err != nil {
				return Set[T]{}, err
			}
			r.b = r.b[size:]
		default:
			r.fail("flag %d", flag)
		}
		if r.err != nil {
			return Set[T]{}, r.err
		}
		s.vals = append(s.vals, v)
	}
	if err := r.end(); err != nil {
		return Set[T]{}, err
	}
	s.vals = slices.Clip(s.vals)
	return s, nil
}
