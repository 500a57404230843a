package vclock

import (
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

// maxVarint is the longest encoding of a number.
const maxVarint = binary.MaxVarintLen64

// minEntry is the shortest entry of a vector: an actor and a counter below 128.
const minEntry = 8 + 1

// shortUvarint reads a number and how many bytes it takes: 0 if it is cut, too long, or
// not in its shortest form, for two forms of one number would be two encodings of one
// vector.
func shortUvarint(b []byte) (uint64, int) {
	x, n := binary.Uvarint(b)
	if n <= 0 || n > 1 && b[n-1] == 0 {
		return 0, 0
	}
	return x, n
}

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
	x, n := shortUvarint(r.b)
	if n == 0 {
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
	if len(r.b) < minEntry {
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
	n := r.count(minEntry)
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

// CompareEncoded is Compare for two encoded vectors, without decoding or allocating: for
// a store that must know whether a stored version is older before it reads it. It is as
// strict as UnmarshalBinary: an encoding that one refuses, so does the other.
func CompareEncoded(a, b []byte) (Order, error) {
	var x, y cursor
	if !x.start(a) || !y.start(b) {
		return 0, errCompare
	}
	more, less := lockstep(&x, &y)
	if x.left == 0 && y.left == 0 && x.at == len(a) && y.at == len(b) {
		return order(more, less), nil
	}
	x.next()
	y.next()
	for x.actor != 0 && y.actor != 0 {
		switch {
		case x.actor < y.actor:
			more = true
			x.next()
		case x.actor > y.actor:
			less = true
			y.next()
		default:
			more = more || x.counter > y.counter
			less = less || x.counter < y.counter
			x.next()
			y.next()
		}
	}
	// What is left of one side cannot change the result, but must still be well formed.
	for x.actor != 0 {
		more = true
		x.next()
	}
	for y.actor != 0 {
		less = true
		y.next()
	}
	if x.bad || y.bad || x.at != len(a) || y.at != len(b) {
		return 0, errCompare
	}
	return order(more, less), nil
}

// lockstep reads both vectors as long as they name the same actors with counters of one
// byte: as a rule all of them, for versions of one key share their replicas.
func lockstep(x, y *cursor) (more, less bool) {
	a, b := x.b[x.at:], y.b[y.at:]
	var last uint64
	n := 0
	for most := min(x.left, y.left); n < most && len(a) >= minEntry && len(b) >= minEntry; n++ {
		actor, c, d := binary.BigEndian.Uint64(a), a[8], b[8]
		if actor != binary.BigEndian.Uint64(b) || actor <= last || c-1 >= 0x7f || d-1 >= 0x7f {
			break
		}
		more = more || c > d
		less = less || c < d
		last = actor
		a, b = a[minEntry:], b[minEntry:]
	}
	x.actor, y.actor = last, last
	x.left -= n
	y.left -= n
	x.at += n * minEntry
	y.at += n * minEntry
	return more, less
}

var errCompare = fmt.Errorf("%w: not a vector", ErrCorrupt)

// cursor steps through an encoded vector. Actor zero, which no entry has, is its end.
type cursor struct {
	b       []byte
	at      int // where the next entry begins
	left    int // entries not yet read
	actor   uint64
	counter uint64
	bad     bool
}

// start reads what comes before the entries. It refuses a count that the bytes cannot
// hold, so that left is honest.
func (c *cursor) start(b []byte) bool {
	if len(b) < 2 || b[0] != version {
		return false
	}
	n, size := shortUvarint(b[1:])
	if size == 0 || n > uint64(len(b)-1-size)/minEntry {
		return false
	}
	c.b, c.at, c.left = b, 1+size, int(n)
	return true
}

// next reads an entry. Most counters fit into one byte; the others take the long way.
func (c *cursor) next() {
	if c.left > 0 && len(c.b)-c.at >= minEntry {
		e := c.b[c.at:][:minEntry]
		actor, n := binary.BigEndian.Uint64(e), uint64(e[8])
		if n-1 < 0x7f && actor > c.actor {
			c.actor, c.counter = actor, n
			c.at += minEntry
			c.left--
			return
		}
	}
	c.long()
}

// long reads an entry with a longer counter, or finds the end or what is wrong.
func (c *cursor) long() {
	last := c.actor
	c.actor = 0
	if c.left == 0 {
		return
	}
	if c.bad = len(c.b)-c.at < minEntry; c.bad {
		return
	}
	actor := binary.BigEndian.Uint64(c.b[c.at:])
	n, size := shortUvarint(c.b[c.at+8:])
	if c.bad = size == 0 || n == 0 || actor <= last; c.bad {
		return
	}
	c.actor, c.counter = actor, n
	c.at += 8 + size
	c.left--
}

// AppendSet appends the canonical encoding of s. encode appends one value to the slice it
// is given and returns the result, as AppendBinary methods do. Equal sets have equal bytes
// if encode gives equal values equal bytes: what replicas that compare digests need.
// O(actors + encoded bytes).
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
		// The length comes before the bytes but is known after them: the value is built
		// behind room for the longest length and moved up. What encode returns is only
		// read, so that one which answers with other memory does no harm.
		b = slices.Grow(b, maxVarint)
		at := len(b) + maxVarint
		enc := encode(b[at:at], v.V)
		b = binary.AppendUvarint(b, uint64(len(enc)))
		b = append(b, enc...)
	}
	return b
}

// DecodeSet reads a set that AppendSet wrote, all of b, and refuses what AppendSet would
// not write. The bytes given to decode are part of b: copy what is kept. Errors match
// ErrCorrupt or are those of decode. Memory is in proportion to len(b), whatever b says.
func DecodeSet[T any](b []byte, decode func(b []byte) (T, error)) (Set[T], error) {
	r := reader{b: b}
	r.version()
	s := Set[T]{ctx: r.vector()}
	n := r.count(minEntry + 1)
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
	return s, nil
}
