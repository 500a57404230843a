package bloom

import (
	"bytes"
	"encoding"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

type codec interface {
	encoding.BinaryAppender
	encoding.BinaryMarshaler
	encoding.BinaryUnmarshaler
}

// small builds one small filter of each kind and an empty one to decode into.
func small(t testing.TB) map[string][2]codec {
	f, ct, cl, sc := New(20, 0.01), NewCounting(20, 0.01), NewClassic(20, 0.01), NewScalable(2, 0.1)
	var b Builder
	for i := range 20 {
		f.AddHash(key(i))
		ct.AddHash(key(i))
		cl.Add([]byte{byte(i)})
		sc.AddHash(key(i))
		b.AddHash(key(i))
	}
	f8, err := b.Fuse(8)
	require.NoError(t, err)
	f16, err := b.Fuse(16)
	require.NoError(t, err)
	return map[string][2]codec{
		"filter": {f, new(Filter)}, "counting": {ct, new(Counting)}, "classic": {cl, new(Classic)},
		"scalable": {sc, new(Scalable)}, "fuse8": {f8, new(Fuse)}, "fuse16": {f16, new(Fuse)},
	}
}

func TestEncodingRoundTrips(t *testing.T) {
	for name, c := range small(t) {
		b, err := c[0].MarshalBinary()
		require.NoError(t, err)
		require.NoError(t, c[1].UnmarshalBinary(b), name)
		again, err := c[1].AppendBinary([]byte("prefix"))
		require.NoError(t, err)
		require.Equal(t, "prefix"+string(b), string(again), name)
		if s, ok := c[1].(Set); ok {
			for i := range 20 {
				require.True(t, s.HasHash(key(i)))
			}
		}
	}
}

// Files written by any release must be read by all later ones. -update is not offered:
// a change of format is a new version with a new file.
func TestGoldenEncodings(t *testing.T) {
	for name, c := range small(t) {
		file := filepath.Join("testdata", name+"-v1.hex")
		b, err := c[0].MarshalBinary()
		require.NoError(t, err)
		want, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, strings.Join(strings.Fields(string(want)), ""), hex.EncodeToString(b), "%s changed; a new format needs a new version", file)
	}
}

// Every single flipped bit, every cut and every appended byte is refused.
func TestDamageIsRefused(t *testing.T) {
	for name, c := range small(t) {
		b, err := c[0].MarshalBinary()
		require.NoError(t, err)
		refuse := func(b []byte, what string, at int) {
			t.Helper()
			require.ErrorIs(t, c[1].UnmarshalBinary(b), ErrCorrupt, "%s: %s %d", name, what, at)
			_, err := View(b)
			require.ErrorIs(t, err, ErrCorrupt)
		}
		if name == "filter" {
			_, err = View(b)
			require.NoError(t, err)
		}
		for bit := range len(b) * 8 {
			b[bit/8] ^= 1 << (bit % 8)
			refuse(b, "bit", bit)
			b[bit/8] ^= 1 << (bit % 8)
		}
		for n := range b {
			refuse(b[:n], "cut at", n)
		}
		refuse(append(b[:len(b):len(b)], 0), "appended byte at", len(b))
	}
}

// A filter of one kind is no filter of another, and a failed decode changes nothing.
func TestKindsAreNotMixed(t *testing.T) {
	all := small(t)
	for from, c := range all {
		b, err := c[0].MarshalBinary()
		require.NoError(t, err)
		for to, d := range all {
			if strings.TrimRight(from, "168") == strings.TrimRight(to, "168") {
				continue
			}
			before, err := d[0].MarshalBinary()
			require.NoError(t, err)
			require.ErrorIs(t, d[0].UnmarshalBinary(b), ErrCorrupt)
			after, err := d[0].MarshalBinary()
			require.NoError(t, err)
			require.Equal(t, before, after)
		}
	}
}

// Headers that carry a right checksum but impossible sizes, as a hostile peer would.
func TestForgedHeaders(t *testing.T) {
	for name, h := range map[string]header{
		"no lines":        {kind: kindBlocked},
		"many lines":      {kind: kindBlocked, a: 1 << 60},
		"lines overflow":  {kind: kindBlocked, a: 1<<58 + 1, payloadLen: 64},
		"counting":        {kind: kindCounting, a: 2, payloadLen: 64},
		"no stages":       {kind: kindScalable, b: 0x3f847ae147ae147b},
		"missing stage":   {kind: kindScalable, a: 1, b: 0x3f847ae147ae147b, payloadLen: 8},
		"fuse segment":    {kind: kindFuse8, b: 3, c: 3, payloadLen: 9},
		"fuse span":       {kind: kindFuse8, b: 4, c: 0, payloadLen: 8},
		"fuse span large": {kind: kindFuse16, b: 4, c: 1 << 40, payloadLen: 8},
		"empty classic":   {kind: kindClassic},
		"zero classic":    {kind: kindClassic, payloadLen: 24},
	} {
		b := seal(append(h.append(nil), make([]byte, h.payloadLen%1024)...), 0)
		for _, d := range []encoding.BinaryUnmarshaler{new(Filter), new(Counting), new(Classic), new(Scalable), new(Fuse)} {
			require.ErrorIs(t, d.UnmarshalBinary(b), ErrCorrupt, name)
		}
	}
}

func TestStreams(t *testing.T) {
	f := New(5000, 0.01)
	for i := range 5000 {
		f.AddHash(key(i))
	}
	var buf bytes.Buffer
	n, err := f.WriteTo(&buf)
	require.NoError(t, err)
	require.EqualValues(t, buf.Len(), n)
	whole := buf.Bytes()
	in := bytes.NewReader(append(whole[:n:n], "rest"...))
	g := new(Filter)
	m, err := g.ReadFrom(in)
	require.NoError(t, err)
	require.Equal(t, n, m)
	rest, _ := io.ReadAll(in)
	require.Equal(t, "rest", string(rest))
	for i := range 5000 {
		require.True(t, g.HasHash(key(i)))
	}
	_, err = new(Filter).ReadFrom(bytes.NewReader(whole[:n-1]))
	require.ErrorIs(t, err, ErrCorrupt)
	_, err = new(Filter).ReadFrom(bytes.NewReader(whole[:10]))
	require.ErrorIs(t, err, ErrCorrupt)
}

// A header that announces an exabyte costs nothing.
func TestAnnouncedSizeCostsNothing(t *testing.T) {
	b := header{kind: kindBlocked, a: 1 << 50, payloadLen: 1 << 56}.append(nil)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := new(Filter).ReadFrom(bytes.NewReader(b))
	runtime.ReadMemStats(&after)
	require.ErrorIs(t, err, ErrCorrupt)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4<<20))
}

// View reads in place, and copies where the bytes lie askew.
func TestView(t *testing.T) {
	f := New(100, 0.01)
	for i := range 100 {
		f.AddHash(key(i))
	}
	b, err := f.MarshalBinary()
	require.NoError(t, err)
	for shift := range 9 {
		moved := append(make([]byte, shift, shift+len(b)), b...)[shift:]
		v, err := View(moved)
		require.NoError(t, err)
		for i := range 100 {
			require.True(t, v.HasHash(key(i)))
		}
	}
	require.Zero(t, int(testing.AllocsPerRun(10, func() {
		v, _ := View(b)
		v.HasHash(1)
	}))/2)
}

func FuzzUnmarshal(f *testing.F) {
	for _, c := range small(f) {
		b, err := c[0].MarshalBinary()
		require.NoError(f, err)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, d := range []codec{new(Filter), new(Counting), new(Classic), new(Scalable), new(Fuse)} {
			if d.UnmarshalBinary(b) != nil {
				continue
			}
			if s, ok := d.(Set); ok {
				for i := range 100 {
					s.HasHash(key(i)) // must stay in bounds
				}
			}
			again, err := d.MarshalBinary()
			if err != nil || !bytes.Equal(again, b) {
				t.Fatalf("%T does not encode as it was read", d)
			}
		}
	})
}

func FuzzParseStandard(f *testing.F) {
	c := NewClassic(10, 0.1)
	c.AddString("a")
	b, err := c.AppendStandard(nil)
	require.NoError(f, err)
	f.Add(b)
	f.Fuzz(func(_ *testing.T, b []byte) {
		if c, err := ParseStandard(b); err == nil {
			c.HasString("a")
			c.Len()
		}
	})
}
