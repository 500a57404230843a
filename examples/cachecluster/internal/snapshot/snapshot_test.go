package snapshot

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/keyspace"
)

func newDB(t testing.TB) *keyspace.DB {
	t.Helper()
	d, err := keyspace.New(keyspace.Options{Expires: true})
	require.NoError(t, err)
	d.SetTime(1000)
	return d
}

// filled holds values of all kinds, enough for several frames.
func filled(t testing.TB, strings int) *keyspace.DB {
	d := newDB(t)
	for i := range strings {
		e := d.SetString(fmt.Appendf(nil, "s%d", i), bytes.Repeat([]byte{byte(i)}, i), false)
		if i%2 == 0 {
			d.SetExpire(e, int64(1001+i))
		}
	}
	list, set, hash, zset := d.Create([]byte("list"), keyspace.List), d.Create([]byte("set"), keyspace.Set), d.Create([]byte("hash"), keyspace.Hash), d.Create([]byte("zset"), keyspace.ZSet)
	for i := range 20 {
		k := fmt.Appendf(nil, "f%d", i)
		list.List().Push(k, i%2 == 0)
		set.Dict().Put(k, nil)
		hash.Dict().Put(k, k)
		zset.Sorted().Put(k, float64(i)/3)
	}
	for _, e := range []*keyspace.Entry{list, set, hash, zset} {
		d.Changed(e)
	}
	return d
}

// dump is a keyspace as text.
func dump(d *keyspace.DB) map[string]string {
	m := map[string]string{}
	d.All(func(e *keyspace.Entry) bool {
		m[e.Key()] = fmt.Sprintf("%v %d %d %q", e.Kind(), e.Expire(), e.Size(), AppendEntry(nil, e))
		return true
	})
	return m
}

func TestRoundTrip(t *testing.T) {
	d := filled(t, 1000)
	b := Append(nil, d, Meta{"abc", 77})
	got := newDB(t)
	m, err := Read(bytes.NewReader(b), got)
	require.NoError(t, err)
	require.Equal(t, Meta{"abc", 77}, m)
	require.Equal(t, dump(d), dump(got))
	require.Equal(t, d.Used(), got.Used())

	name := filepath.Join(t.TempDir(), "dump")
	require.NoError(t, WriteFile(name, b))
	require.NoError(t, WriteFile(name, b))
	got = newDB(t)
	_, err = ReadFile(name, got)
	require.NoError(t, err)
	require.Equal(t, dump(d), dump(got))
	all, err := os.ReadDir(filepath.Dir(name))
	require.NoError(t, err)
	require.Len(t, all, 1, "nothing is left beside it")
	m, err = ReadFile(name+"x", newDB(t))
	require.NoError(t, err)
	require.Zero(t, m)
}

// TestDamage: every bit that is wrong and every end that is missing is noticed.
func TestDamage(t *testing.T) {
	b := Append(nil, filled(t, 4), Meta{"abc", 77})
	for i := range b {
		_, err := Read(bytes.NewReader(b[:i]), newDB(t))
		require.ErrorIs(t, err, ErrCorrupt, "cut at %d", i)
		for bit := range 8 {
			damaged := bytes.Clone(b)
			damaged[i] ^= 1 << bit
			_, err := Read(bytes.NewReader(damaged), newDB(t))
			require.ErrorIs(t, err, ErrCorrupt, "bit %d of byte %d", bit, i)
		}
	}
	d := filled(t, 1)
	d.All(func(e *keyspace.Entry) bool {
		b := AppendEntry(nil, e)
		got := newDB(t)
		require.NoError(t, Restore(got, []byte(e.Key()), b, 0))
		for i := range b {
			got := newDB(t)
			require.ErrorIs(t, Restore(got, []byte("k"), b[:i], 0), ErrCorrupt)
			damaged := bytes.Clone(b)
			damaged[i] ^= 4
			require.ErrorIs(t, Restore(got, []byte("k"), damaged, 0), ErrCorrupt)
			require.Zero(t, got.Len())
			require.Zero(t, got.Used())
		}
		return true
	})
}

func TestAnnouncedLengthCostsNothing(t *testing.T) {
	b := append([]byte(magic), 0xff, 0xff, 0xff, 0x3f, 1, 2, 3, 4, 5)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	_, err := Read(bytes.NewReader(b), newDB(t))
	runtime.ReadMemStats(&after)
	require.ErrorIs(t, err, ErrCorrupt)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(4<<20))
}

// FuzzRestore: no bytes do more than be refused, and what is taken can be written again.
func FuzzRestore(f *testing.F) {
	filled(f, 1).All(func(e *keyspace.Entry) bool {
		b := AppendEntry(nil, e)
		f.Add(b[:len(b)-4])
		return true
	})
	f.Fuzz(func(t *testing.T, body []byte) {
		d := newDB(t)
		if len(body) == 0 {
			return
		}
		in := decoder{b: body[1:]}
		in.value(d, []byte("k"), keyspace.Kind(body[0]), 0)
		if in.err != nil {
			return
		}
		e := d.Peek([]byte("k"))
		require.NotNil(t, e)
		again := newDB(t)
		require.NoError(t, Restore(again, []byte("k"), AppendEntry(nil, e), 0))
		require.Equal(t, dump(d), dump(again))
	})
}
