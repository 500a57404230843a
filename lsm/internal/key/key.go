// Package key has the order in which all of the store's parts keep their entries.
//
// An internal key is a user key and a trailer: the entry's sequence number and its kind in
// one word. Keys ascend bytewise; of one key, the newest version comes first:
//
//	"a"·9·set  <  "a"·4·delete  <  "a"·1·set  <  "b"·7·set
package key

import "bytes"

// Kind says what an entry does.
type Kind uint8

// The kinds. They are part of the file formats.
const (
	Delete      Kind = iota // the key is gone
	Set                     // the key has this value
	SetExpiring             // as Set; the value starts with its expiry (8 bytes, big-endian Unix milliseconds)
	RangeDelete             // all keys from this one up to, not including, the value are gone
)

// MaxSeq is the largest sequence number.
const MaxSeq = 1<<56 - 1

// Trailer is a sequence number and a kind. Larger trailers are newer.
type Trailer uint64

// Pack makes a trailer.
func Pack(seq uint64, k Kind) Trailer { return Trailer(seq<<8 | uint64(k)) }

// Newest is the trailer that sorts before all versions visible at seq.
func Newest(seq uint64) Trailer { return Trailer(seq<<8 | 0xff) }

// Seq is the sequence number.
func (t Trailer) Seq() uint64 { return uint64(t) >> 8 }

// Kind is the kind.
func (t Trailer) Kind() Kind { return Kind(t) }

// Compare orders internal keys.
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

// Prefix is the first eight bytes of k as a number, padded with zeros: comparing two
// prefixes decides nearly all comparisons of keys without a look at the rest.
func Prefix(k []byte) uint64 {
	if len(k) >= 8 {
		return uint64(k[0])<<56 | uint64(k[1])<<48 | uint64(k[2])<<40 | uint64(k[3])<<32 |
			uint64(k[4])<<24 | uint64(k[5])<<16 | uint64(k[6])<<8 | uint64(k[7])
	}
	var p uint64
	for i, c := range k {
		p |= uint64(c) << (56 - 8*i)
	}
	return p
}

// Iterator walks entries in the order of internal keys. Slices that it returns are valid
// until it moves. A move returns whether it arrived at an entry; where it did not, Err
// tells why.
type Iterator interface {
	First() bool
	Last() bool
	SeekGE(k []byte, t Trailer) bool // the first entry at or after (k, t)
	SeekLT(k []byte) bool            // the last entry of a key before k
	Next() bool
	Prev() bool
	Valid() bool
	Key() []byte
	Trailer() Trailer
	Value() []byte
	Err() error
	Close() error
}
