package vclock

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func encodeInt(b []byte, v int) []byte { return append(b, byte(v)) }

var errInt = errors.New("not an int")

func decodeInt(b []byte) (int, error) {
	if len(b) != 1 {
		return 0, errInt
	}
	return int(b[0]), nil
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

// The bytes on disk and on the wire are frozen.
func TestEncodingsAreFrozen(t *testing.T) {
	b, err := vec(Dot{1, 1}, Dot{0xfedcba9876543210, 300}).MarshalBinary()
	require.NoError(t, err)
	require.Equal(t, unhex(t, "01"+"02"+"000000000000000101"+"fedcba9876543210ac02"), b)
	var s Set[int]
	require.NoError(t, s.Put(Vector{}, Dot{1, 1}, 5))
	require.NoError(t, s.Delete(Vector{}, Dot{2, 1}))
	require.Equal(t, unhex(t, "01"+"02"+"000000000000000101"+"000000000000000201"+"02"+"000000000000000101"+"000105"+"000000000000000201"+"01"),
		AppendSet(nil, &s, encodeInt))
	b, err = Timestamp(0x0102030405060708).AppendBinary([]byte{0})
	require.NoError(t, err)
	require.Equal(t, unhex(t, "000102030405060708"), b)
}

// badVectors are encodings that must be refused, by whatever reads them.
func badVectors() map[string][]byte {
	good, _ := vec(Dot{1, 1}, Dot{2, 300}).MarshalBinary()
	entry := func(actor uint64, counter ...byte) []byte {
		return append(binary.BigEndian.AppendUint64(nil, actor), counter...)
	}
	bad := map[string][]byte{
		"nil":                 nil,
		"empty":               {},
		"version":             append([]byte{2}, good[1:]...),
		"version zero":        append([]byte{0}, good[1:]...),
		"too long":            append(slices.Clone(good), 0),
		"an empty one's tail": {1, 0, 0},
		"count without bytes": {1, 200, 1},
		"count in two bytes":  {1, 0x80, 0},
		"huge count":          append([]byte{1}, binary.AppendUvarint(nil, math.MaxUint64)...),
		"endless count":       append([]byte{1}, bytes.Repeat([]byte{0xff}, 20)...),
		"one too many":        append([]byte{1, 3}, good[2:]...),
		"one too few":         append([]byte{1, 1}, good[2:]...),
		"zero counter":        slices.Concat([]byte{1, 1}, entry(1, 0)),
		"zero actor":          slices.Concat([]byte{1, 1}, entry(0, 1)),
		"long counter":        slices.Concat([]byte{1, 1}, entry(1, 0x81, 0)),
		"overflow":            slices.Concat([]byte{1, 1}, entry(1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2)),
		"order":               slices.Concat([]byte{1, 2}, entry(2, 1), entry(1, 1)),
		"twice":               slices.Concat([]byte{1, 2}, entry(1, 1), entry(1, 2)),
		"order, long":         slices.Concat([]byte{1, 2}, entry(2, 1), entry(1, 0x81, 1)),
	}
	for n := range good {
		bad["cut "+string(rune('a'+n))] = good[:n]
	}
	return bad
}

func TestBadVectors(t *testing.T) {
	good, _ := vec(Dot{1, 1}, Dot{2, 300}).MarshalBinary()
	other, _ := vec(Dot{5, 1}).MarshalBinary()
	for name, b := range badVectors() {
		v := vec(Dot{7, 7})
		require.ErrorIs(t, v.UnmarshalBinary(b), ErrCorrupt, name)
		require.Equal(t, "{7:7}", v.String(), name)
		for _, with := range [][]byte{good, other, {1, 0}, b} {
			_, err := CompareEncoded(b, with)
			require.ErrorIs(t, err, ErrCorrupt, name)
			_, err = CompareEncoded(with, b)
			require.ErrorIs(t, err, ErrCorrupt, name)
		}
	}
}

func TestBadSets(t *testing.T) {
	var s Set[int]
	require.NoError(t, s.Put(Vector{}, Dot{1, 1}, 5))
	require.NoError(t, s.Put(Vector{}, Dot{2, 1}, 6))
	require.NoError(t, s.Delete(Vector{}, Dot{3, 1}))
	good := AppendSet(nil, &s, encodeInt)
	ctx, vals := good[:2+3*9], good[2+3*9:]
	one, two, three := vals[1:13], vals[13:25], vals[25:35]
	bad := map[string][]byte{
		"too long":                append(slices.Clone(good), 0),
		"count without bytes":     append(slices.Clone(ctx), 200, 1),
		"one too many":            slices.Concat(ctx, []byte{4}, one, two, three),
		"order":                   slices.Concat(ctx, []byte{2}, two, one),
		"twice":                   slices.Concat(ctx, []byte{2}, one, one),
		"flag":                    slices.Concat(ctx, []byte{1}, one[:9], []byte{2}),
		"value beyond the end":    slices.Concat(ctx, []byte{1}, one[:9], []byte{0, 9, 1}),
		"length in two bytes":     slices.Concat(ctx, []byte{1}, one[:9], []byte{0, 0x81, 0, 5}),
		"dot outside the context": slices.Concat(ctx, []byte{1}, one[:8], []byte{2, 1}),
		"dot of no actor":         slices.Concat(ctx, []byte{1}, make([]byte, 8), []byte{1, 1}),
	}
	for n := range good {
		bad["cut "+string(rune('a'+n))] = good[:n]
	}
	for name, b := range badVectors() {
		if name != "too long" && name != "an empty one's tail" { // a zero behind a vector is a set without values
			bad["context: "+name] = append(slices.Clone(b), 0)
		}
	}
	// A vector that was cut may be mended by the zero behind it.
	delete(bad, "context: cut b")
	for name, b := range bad {
		_, err := DecodeSet(b, decodeInt)
		require.ErrorIs(t, err, ErrCorrupt, name)
	}
	read, err := DecodeSet(good, decodeInt)
	require.NoError(t, err)
	require.Equal(t, s, read)
}

func TestSetCodecsOfCallers(t *testing.T) {
	var s Set[int]
	require.NoError(t, s.Put(Vector{}, Dot{1, 1}, 5))
	require.NoError(t, s.Put(Vector{}, Dot{2, 1}, 6))
	long := AppendSet(nil, &s, func(b []byte, _ int) []byte { return append(b, make([]byte, 300)...) })
	_, err := DecodeSet(long, decodeInt)
	require.ErrorIs(t, err, errInt)
	wide, err := DecodeSet(long, func(b []byte) (int, error) { return len(b), nil })
	require.NoError(t, err)
	require.Equal(t, []int{300, 300}, values(&wide))
	// An encoder that answers with memory of its own instead of appending, or with none.
	const prefix = "kept"
	for want, enc := range map[string][]byte{"": nil, "own": []byte("own")} {
		b := AppendSet([]byte(prefix), &s, func([]byte, int) []byte { return enc })
		require.Equal(t, prefix, string(b[:len(prefix)]))
		read, err := DecodeSet(b[len(prefix):], func(b []byte) (string, error) { return string(b), nil })
		require.NoError(t, err)
		require.Equal(t, []string{want, want}, values(&read))
	}
	// A decoder that appends to what it is given cannot reach the next value.
	b := AppendSet(nil, &s, encodeInt)
	read, err := DecodeSet(b, func(b []byte) (int, error) { _ = append(b, 0xff, 0xff); return int(b[0]), nil })
	require.NoError(t, err)
	require.Equal(t, []int{5, 6}, values(&read))
}

func TestTimestampEncoding(t *testing.T) {
	stamp := Timestamp(7)
	for _, n := range []int{0, 7, 9} {
		require.ErrorIs(t, stamp.UnmarshalBinary(make([]byte, n)), ErrCorrupt)
		require.Equal(t, Timestamp(7), stamp)
	}
	b, err := Timestamp(math.MaxUint64).MarshalBinary()
	require.NoError(t, err)
	require.NoError(t, stamp.UnmarshalBinary(b))
	require.Equal(t, Timestamp(math.MaxUint64), stamp)
}
