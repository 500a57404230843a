package core

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/examples/kv/internal/api"
	"github.com/ashlar-go/ashlar/vclock"
)

func drawBytes(t *rapid.T, name string) []byte {
	return rapid.SliceOfN(rapid.Byte(), 0, 20).Draw(t, name)
}

func drawMessage(t *rapid.T) *Message {
	u := func(name string) uint64 { return rapid.Uint64().Draw(t, name) }
	return &Message{
		Kind: Kind(rapid.IntRange(1, len(kinds)-1).Draw(t, "kind")), Reply: rapid.Bool().Draw(t, "reply"),
		Code: Code(rapid.IntRange(0, len(codes)-1).Draw(t, "code")),
		ID:   u("id"), Epoch: u("epoch"), Tenure: u("tenure"), Stamp: u("stamp"), ToTenure: u("to"), Echo: u("echo"), Digest: u("digest"),
		Partition: rapid.IntRange(0, 1<<20-1).Draw(t, "partition"), Key: drawBytes(t, "key"), Object: drawBytes(t, "object"),
		Frame: drawBytes(t, "frame"), Target: string(drawBytes(t, "target")),
		Counts: [2]int{rapid.IntRange(0, 1023).Draw(t, "c0"), rapid.IntRange(0, 1023).Draw(t, "c1")},
	}
}

func TestMessageRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawMessage(t)
		b := m.Append(nil)
		got, err := ParseMessage(b)
		require.NoError(t, err)
		require.Equal(t, b, got.Append(nil))
		require.NotEmpty(t, got.String())
		for i := range b {
			_, err := ParseMessage(b[:i])
			require.ErrorIs(t, err, ErrMalformed, "cut at %d", i)
		}
		_, err = ParseMessage(append(b, 0))
		require.ErrorIs(t, err, ErrMalformed)
	})
}

func TestObjectRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var o Object
		for i := range rapid.IntRange(1, 4).Draw(t, "writes") {
			d := vclock.Dot{Actor: vclock.Actor(rapid.Uint64Range(1, 3).Draw(t, "actor")), Counter: uint64(i + 1)}
			v := Value{Data: drawBytes(t, "data"), Expires: rapid.Int64().Draw(t, "expires"), Written: rapid.Int64().Draw(t, "written")}
			var ctx vclock.Vector
			if rapid.Bool().Draw(t, "over") {
				ctx = o.Context()
			}
			require.NoError(t, o.Put(ctx, d, v))
		}
		b := EncodeObject(&o)
		got, err := DecodeObject(b)
		require.NoError(t, err)
		require.Equal(t, vclock.Equal, got.Compare(o))
		require.Equal(t, b, EncodeObject(&got))
		for i := 1; i < len(b); i++ {
			if _, err := DecodeObject(b[:i]); err != nil {
				require.ErrorIs(t, err, ErrMalformed)
			}
		}
	})
}

func TestOrderRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := &order{
			del: rapid.Bool().Draw(t, "del"), sloppy: rapid.Bool().Draw(t, "sloppy"),
			mode: api.ContextMode(rapid.IntRange(0, 2).Draw(t, "mode")), cond: api.Condition(rapid.IntRange(0, 2).Draw(t, "cond")),
			r: rapid.IntRange(0, 255).Draw(t, "r"), w: rapid.IntRange(0, 255).Draw(t, "w"),
			ttl: rapid.Int64Range(0, 1<<60).Draw(t, "ttl"), life: rapid.Int64Range(0, 1<<60).Draw(t, "life"),
			token: drawBytes(t, "token"), value: drawBytes(t, "value"),
		}
		got, err := decodeOrder(&Message{Frame: o.encode(), Object: o.value})
		require.NoError(t, err)
		require.Equal(t, o.encode(), got.encode())
	})
	for _, bad := range [][]byte{nil, {0}, {4, 0, 0, 1, 1, 0, 0}, {0, 9, 0, 1, 1, 0, 0}, {0, 0, 9, 1, 1, 0, 0}, {0, 0, 0, 1, 1, 0x80, 0x80}} {
		_, err := decodeOrder(&Message{Frame: bad})
		require.ErrorIs(t, err, ErrMalformed, "% x", bad)
	}
}

func TestGravesRoundTrip(t *testing.T) {
	gs := []grave{{[]byte("a"), 1}, {[]byte("key"), 1 << 63}}
	got, ok := decodeGraves(encodeGraves(gs))
	require.True(t, ok)
	require.Equal(t, gs, got)
	for _, bad := range [][]byte{{1}, {1, 'a'}, {0, 8, 1, 2, 3, 4, 5, 6, 7, 8}, {1, 'a', 1, 2}} {
		_, ok := decodeGraves(bad)
		require.False(t, ok, "% x", bad)
	}
}

// FuzzMessage: whatever bytes a peer sends, a node steps on.
func FuzzMessage(f *testing.F) {
	f.Add((&Message{Kind: Read, Key: []byte("k")}).Append(nil))
	f.Add((&Message{Kind: Exchange, Frame: []byte{1, 2, 3}}).Append(nil))
	f.Add((&Message{Kind: Vote, Frame: encodeGraves([]grave{{[]byte("a"), 1}})}).Append(nil))
	f.Add((&Message{Kind: Forward, Key: []byte("k"), Frame: (&order{r: 1, w: 1}).encode()}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ParseMessage(b)
		if err != nil {
			require.ErrorIs(t, err, ErrMalformed)
			return
		}
		again, err := ParseMessage(m.Append(nil))
		require.NoError(t, err)
		require.Equal(t, m.Append(nil), again.Append(nil))
		// As from a peer that is well known, for a key of that partition.
		n := alone(t)
		m.Epoch, m.ToTenure, m.Echo = n.epoch, n.tenure, uint64(n.now.Mono)
		if len(m.Key) > 0 {
			m.Partition = n.o.Table.PartitionOf(m.Key)
		}
		n.Step(Time{Mono: 2, Wall: 2}, Received{From: "b", Message: m})
		n.Step(Time{Mono: 60_000, Wall: 60_000}, Tick{})
	})
}

// FuzzObject: objects come from disks and peers.
func FuzzObject(f *testing.F) {
	var o Object
	if err := o.Put(vclock.Vector{}, vclock.Dot{Actor: 1, Counter: 1}, Value{Data: []byte("v")}); err != nil {
		f.Fatal(err)
	}
	f.Add(EncodeObject(&o))
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := DecodeObject(b)
		if err != nil {
			require.ErrorIs(t, err, ErrMalformed)
			return
		}
		if len(b) > 0 {
			again, err := DecodeObject(EncodeObject(&o))
			require.NoError(t, err)
			require.Equal(t, vclock.Equal, again.Compare(o))
		}
	})
}
