package core

import (
	"encoding/binary"
	"fmt"

	"github.com/cespare/xxhash/v2"

	"github.com/ashlar-go/ashlar/vclock"
)

// Value is one sibling's content.
type Value struct {
	Data    []byte
	Expires int64 // Unix milliseconds; 0: never
	Written int64 // Unix milliseconds by the clock of the replica that issued the dot
}

// Object is what a replica stores for a key: the siblings and their causal context. Two
// objects are only ever merged, never compared by time; so no write is lost that another
// did not see.
type Object = vclock.Set[Value]

func encodeValue(b []byte, v Value) []byte {
	b = binary.AppendVarint(b, v.Expires)
	b = binary.AppendVarint(b, v.Written)
	return append(b, v.Data...)
}

func decodeValue(b []byte) (Value, error) {
	var v Value
	for _, p := range []*int64{&v.Expires, &v.Written} {
		x, n := binary.Varint(b)
		if n <= 0 {
			return v, fmt.Errorf("%w: value", ErrMalformed)
		}
		*p, b = x, b[n:]
	}
	v.Data = append([]byte(nil), b...)
	return v, nil
}

// EncodeObject is canonical: replicas that hold the same hold the same bytes.
func EncodeObject(o *Object) []byte { return vclock.AppendSet(nil, o, encodeValue) }

// DecodeObject reads what EncodeObject wrote; no bytes at all are the key that was never
// written.
func DecodeObject(b []byte) (Object, error) {
	if len(b) == 0 {
		return Object{}, nil
	}
	o, err := vclock.DecodeSet(b, decodeValue)
	if err != nil {
		return Object{}, fmt.Errorf("%w: object: %w", ErrMalformed, err)
	}
	return o, nil
}

// Digest is what replicas compare; 0 stands for an absent key alone.
func Digest(encoded []byte) uint64 {
	if len(encoded) == 0 {
		return 0
	}
	return max(xxhash.Sum64(encoded), 1)
}

// live yields the values that are neither deleted nor expired.
func live(o *Object, now int64) []Value {
	var out []Value
	for _, v := range o.Values() {
		if v.Expires == 0 || v.Expires > now {
			out = append(out, v)
		}
	}
	return out
}
