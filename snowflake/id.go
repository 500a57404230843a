package snowflake

import (
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"strconv"
)

// ID is a time-ordered id: never negative when a Generator made it, so that it fits a
// BIGINT of SQL and sorts there as it does here. Its text is the plain decimal number; its
// JSON is that number in quotes, for JavaScript would round it. See Encoding for texts of
// fixed width. The zero ID is never issued by a clock that is past its epoch, and may stand
// for none.
type ID int64

// String is the decimal number.
func (id ID) String() string { return strconv.FormatInt(int64(id), 10) }

// Parse reads what String writes, and nothing else: no sign, no leading zero, no space. Its
// errors match ErrSyntax, or ErrRange for a number of 2^63 and more.
func Parse(s string) (ID, error) { return parseDecimal(s) }

// AppendText appends the decimal number. A negative id, which could not be read again, is
// an ErrRange.
func (id ID) AppendText(b []byte) ([]byte, error) {
	if id < 0 {
		return b, negative(id)
	}
	return strconv.AppendInt(b, int64(id), 10), nil
}

// MarshalText is AppendText into new memory.
func (id ID) MarshalText() ([]byte, error) { return id.AppendText(nil) }

// UnmarshalText is Parse. After an error, id is as it was.
func (id *ID) UnmarshalText(b []byte) error { return id.set(parseDecimal(b)) }

// MarshalJSON is the decimal number in quotes.
func (id ID) MarshalJSON() ([]byte, error) {
	if id < 0 {
		return nil, negative(id)
	}
	b := make([]byte, 0, 21)
	b = append(b, '"')
	b = strconv.AppendInt(b, int64(id), 10)
	return append(b, '"'), nil
}

// UnmarshalJSON reads the decimal number, in quotes or not. A number with a fraction or an
// exponent has been through a float and is refused. As with every type, null changes
// nothing.
func (id *ID) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	if len(b) >= 2 && b[0] == '"' && b[len(b)-1] == '"' {
		b = b[1 : len(b)-1]
	}
	return id.set(parseDecimal(b))
}

// AppendBinary appends eight big-endian bytes, which sort as ids do. Its error is that of
// AppendText.
func (id ID) AppendBinary(b []byte) ([]byte, error) {
	if id < 0 {
		return b, negative(id)
	}
	return binary.BigEndian.AppendUint64(b, uint64(id)), nil
}

// MarshalBinary is AppendBinary into new memory.
func (id ID) MarshalBinary() ([]byte, error) { return id.AppendBinary(nil) }

// UnmarshalBinary reads eight bytes; another number of them is an ErrSyntax, a set sign bit
// an ErrRange.
func (id *ID) UnmarshalBinary(b []byte) error {
	if len(b) != 8 {
		return fmt.Errorf("%w: %d bytes", ErrSyntax, len(b))
	}
	v := ID(binary.BigEndian.Uint64(b))
	if v < 0 {
		return negative(v)
	}
	*id = v
	return nil
}

// Value is the number as an int64, for database/sql.
func (id ID) Value() (driver.Value, error) {
	if id < 0 {
		return nil, negative(id)
	}
	return int64(id), nil
}

// Scan reads an int64 or the decimal text of a column. NULL is an error: scan into a
// sql.Null[ID] where it may occur.
func (id *ID) Scan(src any) error {
	switch v := src.(type) {
	case int64:
		if v < 0 {
			return negative(ID(v))
		}
		*id = ID(v)
		return nil
	case string:
		return id.set(parseDecimal(v))
	case []byte:
		return id.set(parseDecimal(v))
	}
	return fmt.Errorf("%w: a column of type %T", ErrSyntax, src)
}

func (id *ID) set(v ID, err error) error {
	if err == nil {
		*id = v
	}
	return err
}

func negative(id ID) error { return fmt.Errorf("%w: %d is negative", ErrRange, int64(id)) }

// parseDecimal reads the shortest decimal form. It is generic so that neither form of the
// text is copied.
func parseDecimal[T string | []byte](s T) (ID, error) {
	if len(s) == 0 || len(s) > 19 {
		return 0, fmt.Errorf("%w: %d characters", ErrSyntax, len(s))
	}
	var v uint64
	for i := range len(s) {
		c := s[i] - '0'
		if c > 9 {
			return 0, wrongCharacter(s[i], i)
		}
		v = v*10 + uint64(c) // below 10^19, which fits
	}
	if s[0] == '0' && len(s) > 1 {
		return 0, fmt.Errorf("%w: leading zero", ErrSyntax)
	}
	if v > maxID {
		return 0, fmt.Errorf("%w: %d", ErrRange, v)
	}
	return ID(v), nil
}

func wrongCharacter(c byte, at int) error {
	return fmt.Errorf("%w: character %q at %d", ErrSyntax, c, at)
}
