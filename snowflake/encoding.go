package snowflake

import (
	"fmt"
	"strconv"
)

// Encoding is a text form of fixed width that sorts byte by byte as ids do: good for file
// names, keys of an ordered store, and URLs. Every id has exactly one text; all others are
// refused, whether they are too short, in the wrong case, beyond 2^63 - 1, or hold a letter
// that merely looks like another. The zero Encoding is Decimal.
type Encoding uint8

const (
	// Decimal is 19 digits with leading zeros.
	Decimal Encoding = iota
	// Base32 is 13 characters of Crockford's alphabet: digits and capitals without I, L, O
	// and U. The best to read aloud. Only capitals are read.
	Base32
	// Base62 is 11 characters: digits, capitals, small letters. The shortest; it needs an
	// index that tells case.
	Base62
	// Hex is 16 small hexadecimal digits.
	Hex
)

// maxID is the greatest id of any layout.
const maxID = 1<<63 - 1

// alphabet is one encoding's digits in ASCII order, which makes texts sort as numbers do.
type alphabet struct {
	name   string
	digits string
	width  int
	values [256]uint8 // 0xff: not a digit
	most   uint64     // the greatest number that another digit may follow
}

var alphabets = [...]alphabet{
	Decimal: newAlphabet("decimal", "0123456789", 19),
	Base32:  newAlphabet("base32", "0123456789ABCDEFGHJKMNPQRSTVWXYZ", 13),
	Base62:  newAlphabet("base62", "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", 11),
	Hex:     newAlphabet("hex", "0123456789abcdef", 16),
}

func newAlphabet(name, digits string, width int) alphabet {
	a := alphabet{name: name, digits: digits, width: width, most: maxID / uint64(len(digits))}
	for i := range a.values {
		a.values[i] = 0xff
	}
	for i := range len(digits) {
		a.values[digits[i]] = uint8(i)
	}
	return a
}

// table is the encoding's alphabet; numbers that are no encoding are Decimal.
func (e Encoding) table() *alphabet {
	if int(e) >= len(alphabets) {
		e = Decimal
	}
	return &alphabets[e]
}

// String is the encoding's name.
func (e Encoding) String() string {
	if int(e) >= len(alphabets) {
		return "Encoding(" + strconv.Itoa(int(e)) + ")"
	}
	return e.table().name
}

// Width is the number of characters of every text.
func (e Encoding) Width() int { return e.table().width }

// Append appends the id's text. It does not allocate if dst has room. A negative id, which
// no generator makes, is written without its sign bit.
func (e Encoding) Append(dst []byte, id ID) []byte {
	a := e.table()
	var buf [19]byte
	out := buf[:a.width]
	v := uint64(id) & maxID
	// A division by a constant is a multiplication, or a shift.
	switch len(a.digits) {
	case 16:
		for i := len(out) - 1; i >= 0; i, v = i-1, v/16 {
			out[i] = a.digits[v%16]
		}
	case 32:
		for i := len(out) - 1; i >= 0; i, v = i-1, v/32 {
			out[i] = a.digits[v%32]
		}
	case 62:
		for i := len(out) - 1; i >= 0; i, v = i-1, v/62 {
			out[i] = a.digits[v%62]
		}
	default:
		for i := len(out) - 1; i >= 0; i, v = i-1, v/10 {
			out[i] = a.digits[v%10]
		}
	}
	return append(dst, out...)
}

// Format is Append as a string.
func (e Encoding) Format(id ID) string {
	var buf [19]byte
	return string(e.Append(buf[:0], id))
}

// Parse reads what Append writes and nothing else. Its errors match ErrSyntax or ErrRange.
func (e Encoding) Parse(s string) (ID, error) { return parseText(e, s) }

// ParseBytes is Parse for bytes.
func (e Encoding) ParseBytes(b []byte) (ID, error) { return parseText(e, b) }

func parseText[T string | []byte](e Encoding, s T) (ID, error) {
	a := e.table()
	if len(s) != a.width {
		return 0, fmt.Errorf("%w: %d characters, %s has %d", ErrSyntax, len(s), a.name, a.width)
	}
	var v uint64
	base := uint64(len(a.digits))
	for i := range len(s) {
		d := uint64(a.values[s[i]])
		if d == 0xff {
			return 0, wrongCharacter(s[i], i)
		}
		// What is at most a.most cannot leave 64 bits here, only 63.
		if v > a.most || v*base+d > maxID {
			return 0, fmt.Errorf("%w: %q exceeds 63 bits", ErrRange, s)
		}
		v = v*base + d
	}
	return ID(v), nil
}
