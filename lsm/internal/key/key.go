// Package key defines how the store orders what it keeps.
//
// The store never overwrites: every write of a user's key makes an internal key, which
// is the user's key and a trailer that tells when and what:
//
//	user key                         trailer
//	┌──────────────────────────────┬─────────────────────┬──────────┐
//	│ bytes, ascending             │ sequence, 56 bits   │ kind, 8  │
//	└──────────────────────────────┴─────────────────────┴──────────┘
//	                                 descending
//
// User keys ascend bytewise and the versions of one key go from new to old, so that the
// first version at or after (k, snapshot's sequence) is the one that the snapshot sees.
//
// Everything in this package is pure and safe for concurrent use.
package key

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// Kind says what a write did to its key.
type Kind uint8

// The kinds. Their numbers are part of the file formats.
const (
	Delete      Kind = iota // the key is gone; no value
	Set                     // the value is the user's
	SetExpiring             // the value is the expiry and then the user's; see Expiry
	RangeDelete             // the key is the start of a range, the value its end

	// MaxKind is the largest number that fits: it begins every search, since of equal
	// sequences the larger kind comes first.
	MaxKind Kind = 0xff
)

// String names the kind.
func (k Kind) String() string {
	switch k {
	case Delete:
		return "delete"
	case Set:
		return "set"
	case SetExpiring:
		return "set-expiring"
	case RangeDelete:
		return "range-delete"
	}
	return fmt.Sprintf("kind(%d)", uint8(k))
}

// Point reports whether k is a kind of a single key, as opposed to a range or no kind at all.
func (k Kind) Point() bool { return k <= SetExpiring }

// Trailer is a sequence number and a kind: seq<<8 | kind.
type Trailer uint64

const (
	// MaxSeq is the largest sequence number.
	MaxSeq = 1<<56 - 1
	// MaxTrailer sorts before every version of a key.
	MaxTrailer = Trailer(1<<64 - 1)
)

// Pack makes a trailer. seq must not exceed MaxSeq.
func Pack(seq uint64, k Kind) Trailer { return Trailer(seq<<8 | uint64(k)) }

// Newest is the trailer that sorts before all versions that are not newer than seq.
func Newest(seq uint64) Trailer { return Pack(seq, MaxKind) }

// Seq is the sequence number.
func (t Trailer) Seq() uint64 { return uint64(t >> 8) }

// Kind is what the write did.
func (t Trailer) Kind() Kind { return Kind(t) }

// String prints the trailer as "set@17".
func (t Trailer) String() string { return fmt.Sprintf("%s@%d", t.Kind(), t.Seq()) }

// Compare orders internal keys: user keys ascending, then trailers descending.
func Compare(ak []byte, at Trailer, bk []byte, bt Trailer) int {
	if c := bytes.Compare(ak, bk); c != 0 {
		return c
	}
	switch {
	case at > bt:
		return -1
	case at < bt:
		return 1
	}
	return 0
}

// Prefix is the first eight bytes of k as a number, short keys padded with zeros: if two
// prefixes differ, so do the keys, in the same way. Equal prefixes say nothing.
func Prefix(k []byte) uint64 {
	if len(k) >= 8 {
		return binary.BigEndian.Uint64(k)
	}
	var p uint64
	for i, c := range k {
		p |= uint64(c) << (56 - 8*i)
	}
	return p
}

// ExpiryLen is the length of the expiry at the head of a SetExpiring value.
const ExpiryLen = 8

// Expiry splits the stored value of a SetExpiring entry into the time from which it is
// gone, in milliseconds of Unix time, and the user's value, which aliases stored. It
// reports whether stored is long enough to be one.
func Expiry(stored []byte) (ms int64, value []byte, ok bool) {
	if len(stored) < ExpiryLen {
		return 0, nil, false
	}
	return int64(binary.BigEndian.Uint64(stored)), stored[ExpiryLen:], true
}

// AppendExpiry appends the stored form of an expiring value but for the value itself.
func AppendExpiry(dst []byte, ms int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(ms))
}

// Span is a range tombstone: it deletes every version older than Seq of the keys from
// Start up to, not including, End.
type Span struct {
	Start, End []byte
	Seq        uint64
}

// Empty reports whether the span holds no key.
func (s Span) Empty() bool { return bytes.Compare(s.Start, s.End) >= 0 }

// Contains reports whether k lies in the span.
func (s Span) Contains(k []byte) bool {
	return bytes.Compare(s.Start, k) <= 0 && bytes.Compare(k, s.End) < 0
}

// CompareSpans orders spans by start, then end, then from new to old.
func CompareSpans(a, b Span) int {
	if c := bytes.Compare(a.Start, b.Start); c != 0 {
		return c
	}
	if c := bytes.Compare(a.End, b.End); c != 0 {
		return c
	}
	switch {
	case a.Seq > b.Seq:
		return -1
	case a.Seq < b.Seq:
		return 1
	}
	return 0
}
