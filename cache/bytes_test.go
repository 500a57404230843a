package cache

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func newBytes(t testing.TB, o BytesOptions) *Bytes {
	t.Helper()
	b, err := NewBytes(o)
	require.NoError(t, err)
	return b
}

// check walks all rings and compares them with the indexes.
func (b *Bytes) check(t require.TestingT) {
	for i := range b.shards {
		s := &b.shards[i]
		n, live := 0, int64(0)
		for bit, r := range []*ring{&s.small, &s.main} {
			used := int64(0)
			for at := r.head; used < r.used; {
				e := stored(r.buf[at:])
				if !e.dead() {
					n++
					live += e.size()
					place, ok := s.index.find(e.hash(), func(p uint32) bool { return p == uint32(at/align)<<1|uint32(bit) })
					require.True(t, ok)
					require.Equal(t, e.key(), s.at(place).key())
				}
				used += e.size()
				if at += e.size(); at >= r.size {
					at = 0
				}
			}
			require.Equal(t, r.used, used)
			require.LessOrEqual(t, used, r.size)
		}
		require.Equal(t, n, s.index.n)
		require.Equal(t, live, s.live)
	}
}

func TestBytesModel(t *testing.T) {
	type want struct {
		val     string
		version uint64
		end     time.Time
	}
	rapid.Check(t, func(t *rapid.T) {
		var clock testClock
		b, err := NewBytes(BytesOptions{MaxBytes: minBytes, Now: clock.now})
		require.NoError(t, err)
		m := map[string]want{}
		expire := func(ttl time.Duration) time.Time {
			if ttl == 0 {
				return time.Time{}
			}
			return clock.now().Add(ttl)
		}
		live := func(k string) (want, bool) {
			w, ok := m[k]
			return w, ok && (w.end.IsZero() || clock.now().Before(w.end))
		}
		for range rapid.IntRange(1, 200).Draw(t, "ops") {
			k := fmt.Sprint("k", rapid.IntRange(0, 60).Draw(t, "k"))
			val := strings.Repeat("v", rapid.SampledFrom([]int{0, 1, 10, 100, 500, 2000, 4000, 5000}).Draw(t, "len"))
			ttl := time.Duration(rapid.SampledFrom([]int{0, 0, 10, 1000}).Draw(t, "ttl")) * time.Millisecond
			large := len(k)+len(val)+headerSize > minBytes/16
			switch rapid.IntRange(0, 7).Draw(t, "op") {
			case 0, 1, 2:
				err := b.Set([]byte(k), []byte(val), ttl)
				require.Equal(t, large, errors.Is(err, ErrTooLarge))
				if !large {
					_, v, ok := b.AppendVersion(nil, []byte(k))
					require.True(t, ok)
					require.Greater(t, v, m[k].version)
					m[k] = want{val, v, expire(ttl)}
				}
			case 3:
				_, v, _ := b.AppendVersion(nil, []byte(k))
				guess := v + uint64(rapid.IntRange(0, 1).Draw(t, "off"))
				now, swapped, err := b.Swap([]byte(k), []byte(val), guess, ttl)
				if large {
					require.ErrorIs(t, err, ErrTooLarge)
					continue
				}
				require.NoError(t, err)
				require.Equal(t, guess == v, swapped)
				if swapped {
					m[k] = want{val, now, expire(ttl)}
				} else {
					require.Equal(t, v, now)
				}
			case 4:
				_, is := live(k)
				if b.Delete([]byte(k)) {
					require.True(t, is)
				}
				delete(m, k)
			case 5:
				if b.Touch([]byte(k), ttl) {
					w, is := live(k)
					require.True(t, is)
					w.end = expire(ttl)
					m[k] = w
				}
			case 6:
				clock.advance(time.Duration(rapid.IntRange(0, 500).Draw(t, "step")) * time.Millisecond)
			}
			got, ok := b.Append([]byte("x"), []byte(k))
			if w, is := live(k); ok {
				require.True(t, is)
				require.Equal(t, "x"+w.val, string(got))
			}
		}
		b.check(t)
		for k, v := range b.All() {
			w, is := live(string(k))
			require.True(t, is)
			require.Equal(t, w.val, string(v))
		}
	})
}

func TestBytesStaysInItsBound(t *testing.T) {
	b := newBytes(t, BytesOptions{MaxBytes: 1 << 20})
	rng := rand.New(rand.NewPCG(1, 1))
	val := make([]byte, 1<<16-100)
	for i := range 20_000 {
		n := rng.IntN(2000)
		if i%100 == 0 {
			n = len(val)
		}
		k := fmt.Appendf(nil, "%d", rng.IntN(3000))
		if _, ok := b.Append(nil, k); !ok {
			require.NoError(t, b.Set(k, val[:n], 0))
			require.True(t, b.Has(k), "what was set is there")
		}
		require.LessOrEqual(t, b.Stats().Size, int64(1<<20))
	}
	b.check(t)
	require.Greater(t, b.Stats().Size, int64(700_000))
	require.ErrorIs(t, b.Set(make([]byte, maxKey+1), nil, 0), ErrTooLarge)
	require.ErrorIs(t, b.Set([]byte("a"), make([]byte, 1<<16), 0), ErrTooLarge)
	b.Clear()
	require.Zero(t, b.Len())
	b.check(t)
	for _, n := range []int64{-1, 1, minBytes - 1, maxBytes + 1} {
		_, err := NewBytes(BytesOptions{MaxBytes: n})
		require.ErrorIs(t, err, ErrOptions)
	}
}

func TestBytesRace(t *testing.T) {
	b := newBytes(t, BytesOptions{MaxBytes: 1 << 17})
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for i := range 5000 {
				k := fmt.Appendf(nil, "%d", i*7%501)
				switch i % 8 {
				case 0:
					b.Delete(k)
				case 1, 2, 3:
					_ = b.Set(k, bytes.Repeat(k, 1+(i+g)%40), 0)
				case 4:
					b.Touch(k, time.Minute)
				default:
					if v, ok := b.Append(nil, k); ok && !bytes.HasPrefix(v, k) {
						t.Errorf("%s: %s", k, v)
					}
				}
			}
		})
	}
	wg.Wait()
	b.check(t)
}

func snapshotOf(t testing.TB, b *Bytes) []byte {
	var w bytes.Buffer
	require.NoError(t, b.Snapshot(&w))
	return w.Bytes()
}

func TestSnapshot(t *testing.T) {
	var clock testClock
	b := newBytes(t, BytesOptions{MaxBytes: 1 << 20, Now: clock.now})
	for i := range 1000 {
		require.NoError(t, b.Set(fmt.Append(nil, i), bytes.Repeat([]byte{byte(i)}, i%300), time.Duration(i%3)*time.Hour))
	}
	clock.advance(90 * time.Minute)
	snap := snapshotOf(t, b)
	r := newBytes(t, BytesOptions{MaxBytes: 4 << 20, Now: clock.now})
	require.NoError(t, r.Restore(bytes.NewReader(snap)))
	for i := range 1000 {
		v, ok := r.Append(nil, fmt.Append(nil, i))
		require.Equal(t, i%3 != 1, ok)
		if ok {
			require.Equal(t, bytes.Repeat([]byte{byte(i)}, i%300), append([]byte{}, v...))
		}
	}
	clock.advance(31 * time.Minute)
	require.False(t, r.Has([]byte("2")), "times to live go on")
	require.True(t, r.Has([]byte("3")))
	small := newBytes(t, BytesOptions{MaxBytes: minBytes, Now: clock.now})
	require.NoError(t, small.Restore(bytes.NewReader(snap)))
	require.Positive(t, small.Len())
	// Every damaged byte and every cut is found.
	for i := range snap {
		if testing.Short() && i%97 != 0 {
			continue
		}
		bad := bytes.Clone(snap[:min(len(snap), 70_000)])
		if i < len(bad) {
			bad[i] ^= 0x40
			require.ErrorIs(t, small.Restore(bytes.NewReader(bad)), ErrCorrupt, "byte %d", i)
		}
		if i > 2000 {
			break
		}
		require.ErrorIs(t, small.Restore(bytes.NewReader(snap[:i])), ErrCorrupt)
	}
	full := errors.New("full")
	require.ErrorIs(t, b.Snapshot(failing{full}), full)
	require.ErrorIs(t, b.Restore(iotest.ErrReader(full)), full)
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func FuzzRestore(f *testing.F) {
	b := newBytes(f, BytesOptions{MaxBytes: minBytes})
	f.Add(snapshotOf(f, b))
	for i := range 20 {
		_ = b.Set(fmt.Append(nil, i), make([]byte, i), time.Hour)
	}
	f.Add(snapshotOf(f, b))
	f.Add([]byte(snapMagic + "\xff\xff\xff\x7f\x00\x00\x00\x00"))
	f.Fuzz(func(t *testing.T, in []byte) {
		b := newBytes(t, BytesOptions{MaxBytes: minBytes})
		if err := b.Restore(bytes.NewReader(in)); err != nil {
			require.ErrorIs(t, err, ErrCorrupt)
		}
		b.check(t)
		require.NoError(t, b.Snapshot(io.Discard))
	})
}

// TestGoldenSnapshot: snapshots of earlier versions can be restored.
func TestGoldenSnapshot(t *testing.T) {
	text, err := os.ReadFile("testdata/snapshot-v1.hex")
	require.NoError(t, err)
	snap, err := hex.DecodeString(strings.TrimSpace(string(text)))
	require.NoError(t, err)
	var clock testClock
	b := newBytes(t, BytesOptions{MaxBytes: minBytes, Now: clock.now})
	require.NoError(t, b.Restore(bytes.NewReader(snap)))
	require.Equal(t, 3, b.Len())
	v, ok := b.Append(nil, []byte("plain"))
	require.True(t, ok)
	require.Equal(t, "value", string(v))
	require.True(t, b.Has(nil))
	clock.advance(59 * time.Minute)
	v, ok = b.Append(nil, []byte("ends"))
	require.True(t, ok)
	require.Equal(t, "in an hour", string(v))
	clock.advance(2 * time.Minute)
	require.False(t, b.Has([]byte("ends")))
}
