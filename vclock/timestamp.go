package vclock

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"time"
)

// Timestamp is a hybrid logical time, as a Clock gives it: Unix milliseconds in the upper
// 48 bits, a logical part in the lower 16. Timestamps order as their numbers do. The zero
// Timestamp is before all others and never given.
type Timestamp uint64

const (
	logicalBits = 16
	maxMillis   = 1<<(64-logicalBits) - 1 // in the year 10889
	// maxTimestamp is the last of all stamps.
	maxTimestamp = 1<<64 - 1
)

// NewTimestamp is the first stamp of the millisecond of t. Times before 1970 are taken for
// 1970, times after the last stamp for its millisecond.
func NewTimestamp(t time.Time) Timestamp {
	// UnixMilli is not defined for all times, Unix is.
	switch s := t.Unix(); {
	case s < 0:
		return 0
	case s > maxMillis/1000:
		return maxMillis << logicalBits
	}
	return Timestamp(min(t.UnixMilli(), maxMillis)) << logicalBits
}

// Time is the physical part, to the millisecond.
func (t Timestamp) Time() time.Time { return time.UnixMilli(int64(t >> logicalBits)) }

// Logical is the logical part: it tells stamps of one millisecond apart.
func (t Timestamp) Logical() uint16 { return uint16(t) }

// Compare is negative if t is before u, positive if after, 0 if they are the same.
func (t Timestamp) Compare(u Timestamp) int { return cmp.Compare(t, u) }

// String is the physical part in UTC and the logical part.
func (t Timestamp) String() string {
	return fmt.Sprintf("%s+%d", t.Time().UTC().Format("2006-01-02T15:04:05.000Z"), t.Logical())
}

// AppendBinary appends the stamp in eight big-endian bytes, which sort as stamps do. The
// error is always nil.
func (t Timestamp) AppendBinary(b []byte) ([]byte, error) {
	return binary.BigEndian.AppendUint64(b, uint64(t)), nil
}

// MarshalBinary is AppendBinary into new memory.
func (t Timestamp) MarshalBinary() ([]byte, error) { return t.AppendBinary(nil) }

// UnmarshalBinary reads the eight bytes that AppendBinary wrote; any other length matches
// ErrCorrupt and leaves t as it was. Every eight bytes are a stamp: whether to believe it
// is for Clock.Observe to say.
func (t *Timestamp) UnmarshalBinary(b []byte) error {
	if len(b) != 8 {
		return corrupt("a timestamp of %d bytes", len(b))
	}
	*t = Timestamp(binary.BigEndian.Uint64(b))
	return nil
}
