package lsm

import (
	"bytes"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

// parsed takes a sealed batch apart.
func parsed(rec []byte) (seq uint64, ops []op, ok bool) {
	s, ok := parseBatch(rec)
	if !ok {
		return 0, nil, false
	}
	seq = s.seq
	for o, more := s.next(); more; o, more = s.next() {
		ops = append(ops, o)
	}
	return seq, ops, s.done()
}

func TestBatchRoundTrip(t *testing.T) {
	now := time.UnixMilli(1_700_000_000_000)
	rapid.Check(t, func(t *rapid.T) {
		var b Batch
		var want []op
		part := rapid.SliceOfN(rapid.Byte(), 0, 300)
		for range rapid.IntRange(1, 20).Draw(t, "n") {
			k, v := part.Draw(t, "key"), part.Draw(t, "value")
			switch rapid.IntRange(0, 3).Draw(t, "kind") {
			case 0:
				b.Put(k, v)
				want = append(want, op{key.Set, k, v})
			case 1:
				b.Delete(k)
				want = append(want, op{key.Delete, k, nil})
			case 2:
				d := time.Duration(rapid.Int64().Draw(t, "ttl"))
				b.PutTTL(k, v, d)
				want = append(want, op{key.SetExpiring, k, append(expiryBytes(now, max(d, 0)), v...)})
			case 3:
				b.DeleteRange(k, v)
				if bytes.Compare(k, v) < 0 {
					want = append(want, op{key.RangeDelete, k, v})
				}
			}
		}
		if b.Len() != len(want) {
			t.Fatalf("%d operations, want %d", b.Len(), len(want))
		}
		if len(want) == 0 {
			return
		}
		before := bytes.Clone(b.buf)
		rec := b.seal([]byte("in front"), 42, now)[len("in front"):]
		if !bytes.Equal(before, b.buf) {
			t.Fatal("sealing changed the batch")
		}
		seq, got, ok := parsed(rec)
		if !ok || seq != 42 || len(got) != len(want) || len(rec) != b.Size() {
			t.Fatalf("%d operations of %d, seq %d, ok %v", len(got), len(want), seq, ok)
		}
		for i := range want {
			if got[i].kind != want[i].kind || !bytes.Equal(got[i].k, want[i].k) || !bytes.Equal(got[i].v, want[i].v) {
				t.Fatalf("operation %d is %v, want %v", i, got[i], want[i])
			}
		}
		// Cut anywhere it is no batch.
		for n := range rec {
			if _, _, ok := parsed(rec[:n]); ok {
				t.Fatalf("accepted a batch cut at byte %d of %d", n, len(rec))
			}
		}
		if _, _, ok := parsed(append(bytes.Clone(rec), 0)); ok {
			t.Fatal("accepted a byte too many")
		}
	})
}

func TestBatchReuse(t *testing.T) {
	var b Batch
	require.Zero(t, b.Len())
	require.Zero(t, b.Size())
	k := []byte("key")
	b.Put(k, k)
	k[0] = 'x'
	_, ops, ok := parsed(b.seal(nil, 1, time.UnixMilli(0)))
	require.True(t, ok)
	require.Equal(t, "key", string(ops[0].k), "the batch has its own copy")
	b.DeleteRange([]byte("b"), []byte("a"))
	require.Equal(t, 1, b.Len(), "an empty range is no operation")
	b.Put(make([]byte, MaxKey+1), nil)
	require.ErrorIs(t, b.err, ErrTooLarge)
	b.Reset()
	require.NoError(t, b.err)
	require.Zero(t, b.Len())
	require.Zero(t, b.spans)
	require.Zero(t, b.cost)
	b.Put([]byte("a"), nil)
	_, ops, ok = parsed(b.seal(nil, 1, time.UnixMilli(0)))
	require.True(t, ok)
	require.Len(t, ops, 1)
}

func TestExpiry(t *testing.T) {
	at := func(ms int64) time.Time { return time.UnixMilli(ms) }
	for _, x := range []struct {
		now  int64
		ttl  time.Duration
		want int64
	}{
		{1000, 0, 1000},
		{1000, 1, 1001}, // up, never down: it lives at least so long
		{1000, time.Millisecond, 1001},
		{1000, time.Second, 2000},
		{1000, math.MaxInt64, math.MaxInt64},
		{math.MaxInt64 - 5, time.Second, math.MaxInt64},
		{-5000, time.Second, -4000},
	} {
		require.Equal(t, x.want, expiry(at(x.now), x.ttl), "%d + %v", x.now, x.ttl)
	}
}

// TestForgedBatches: headers and lengths that promise what is not there.
func TestForgedBatches(t *testing.T) {
	var b Batch
	b.Put([]byte("k"), []byte("v"))
	good := b.seal(nil, 7, time.UnixMilli(0))
	change := func(at int, to ...byte) []byte {
		c := bytes.Clone(good)
		copy(c[at:], to)
		return c
	}
	for name, rec := range map[string][]byte{
		"empty":              nil,
		"header only":        good[:batchHeader],
		"sequence zero":      change(0, 0, 0, 0, 0, 0, 0, 0, 0),
		"sequence too large": change(0, 255, 255, 255, 255, 255, 255, 255, 255),
		"last sequence":      change(0, 255, 255, 255, 255, 255, 255, 255, 0),
		"no operations":      change(8, 0, 0, 0, 0),
		"billions":           change(8, 255, 255, 255, 255),
		"two, one there":     change(8, 2, 0, 0, 0),
		"unknown kind":       change(12, 4),
		"long key":           change(13, 200),
		"endless length":     append(bytes.Clone(good[:13]), 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1),
		"no time of expiry":  change(12, byte(key.SetExpiring)),
	} {
		_, _, ok := parsed(rec)
		require.False(t, ok, name)
	}
}

func FuzzBatch(f *testing.F) {
	var b Batch
	b.Put([]byte("key"), []byte("value"))
	b.PutTTL([]byte("key"), nil, time.Hour)
	b.Delete([]byte("other"))
	b.DeleteRange([]byte("a"), []byte("b"))
	f.Add(b.seal(nil, 9, time.UnixMilli(5)))
	f.Add(b.seal(nil, key.MaxSeq-10, time.UnixMilli(5))[:30])
	f.Fuzz(func(t *testing.T, rec []byte) {
		seq, ops, ok := parsed(rec)
		if !ok {
			return
		}
		if seq == 0 || seq+uint64(len(ops)) > key.MaxSeq {
			t.Fatalf("accepted sequence numbers from %d for %d operations", seq, len(ops))
		}
		size := 0
		for _, o := range ops {
			if size += len(o.k) + len(o.v); o.kind == key.SetExpiring && len(o.v) < 8 {
				t.Fatal("no time of expiry")
			}
		}
		if size > len(rec) {
			t.Fatalf("%d bytes of keys and values in a record of %d", size, len(rec))
		}
	})
}
