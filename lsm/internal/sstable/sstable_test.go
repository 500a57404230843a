package sstable

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/bloom"
	"github.com/ashlar-go/ashlar/lsm/internal/key"
)

type entry struct {
	k, v []byte
	t    key.Trailer
}

// entries draws n sorted entries of few distinct keys.
func entries(r *rand.Rand, n int) []entry {
	var all []entry
	for i := range n {
		k := fmt.Appendf(nil, "key-%0*d", r.IntN(10), r.IntN(n/2+1))
		v := bytes.Repeat([]byte{byte(i)}, r.IntN(60))
		kind := key.Kind(r.IntN(3))
		if kind == key.SetExpiring {
			v = append(make([]byte, 8), v...)
			v[7] = byte(r.IntN(200))
		}
		all = append(all, entry{k, v, key.Pack(uint64(i+1), kind)})
	}
	slices.SortFunc(all, func(a, b entry) int { return key.Compare(a.k, a.t, b.k, b.t) })
	return all
}

func build(t testing.TB, o WriterOptions, all []entry, spans []key.Span) ([]byte, Meta) {
	var buf bytes.Buffer
	w := NewWriter(&buf, o)
	require.True(t, w.Empty())
	for _, e := range all {
		require.NoError(t, w.Add(e.k, e.t, e.v))
	}
	for _, s := range spans {
		w.AddSpan(s)
	}
	m, err := w.Finish()
	require.NoError(t, err)
	require.EqualValues(t, buf.Len(), m.Size)
	return buf.Bytes(), m
}

func open(t testing.TB, file []byte, c *Cache) *Reader {
	r, err := Open(bytes.NewReader(file), int64(len(file)), "000007.sst", 7, c)
	require.NoError(t, err)
	return r
}

func TestAgainstSortedSlice(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 0))
		all := entries(r, rapid.IntRange(0, 400).Draw(rt, "n"))
		o := WriterOptions{
			FileNum: 7, BlockSize: rapid.SampledFrom([]int{1, 100, 1000, 4096}).Draw(rt, "block"),
			RestartInterval: rapid.IntRange(1, 17).Draw(rt, "restart"), Compression: Compression(rapid.IntRange(0, 2).Draw(rt, "compression")),
			BitsPerKey: rapid.SampledFrom([]float64{-1, 0, 5}).Draw(rt, "bits"),
		}
		file, meta := build(t, o, all, nil)
		var cache *Cache
		if rapid.Bool().Draw(rt, "cache") {
			cache = NewCache(1 << 20)
		}
		tb := open(t, file, cache)
		require.NoError(t, tb.Verify(t.Context()))
		require.Equal(t, meta, *tb.Meta())
		require.EqualValues(t, len(all), meta.Entries)
		if len(all) > 0 {
			require.Equal(t, all[0].k, meta.Smallest)
			require.Equal(t, all[len(all)-1].k, meta.Largest)
		}
		it := tb.Iter(true)
		at := -1
		check := func(what string, ok bool) {
			if ok != (at >= 0) || it.Valid() != ok {
				rt.Fatalf("%s: arrived %v, want %v", what, ok, at >= 0)
			}
			if ok && (!bytes.Equal(it.Key(), all[at].k) || it.Trailer() != all[at].t || !bytes.Equal(it.Value(), all[at].v)) {
				rt.Fatalf("%s: at %q·%d, want %q·%d", what, it.Key(), it.Trailer(), all[at].k, all[at].t)
			}
		}
		for range 100 {
			k := fmt.Appendf(nil, "key-%0*d", r.IntN(10), r.IntN(len(all)/2+2))
			switch r.IntN(7) {
			case 0:
				at = min(0, len(all)-1)
				check("First", it.First())
			case 1:
				at = len(all) - 1
				check("Last", it.Last())
			case 2:
				tr := key.Newest(r.Uint64N(500))
				at = slices.IndexFunc(all, func(e entry) bool { return key.Compare(e.k, e.t, k, tr) >= 0 })
				check("SeekGE", it.SeekGE(k, tr))
			case 3:
				for at = len(all) - 1; at >= 0 && bytes.Compare(all[at].k, k) >= 0; at-- {
				}
				check("SeekLT", it.SeekLT(k))
			case 4, 5:
				if at >= 0 {
					if at++; at == len(all) {
						at = -1
					}
				}
				check("Next", it.Next())
			case 6:
				if at >= 0 {
					at--
				}
				check("Prev", it.Prev())
			}
			seq := r.Uint64N(500)
			i := slices.IndexFunc(all, func(e entry) bool { return bytes.Equal(e.k, k) && e.t.Seq() <= seq })
			v, tr, ok, err := tb.Get(k, bloom.Hash(k), seq, []byte("dst"))
			if err != nil || ok != (i >= 0) || ok && (tr != all[i].t || string(v) != "dst"+string(all[i].v)) {
				rt.Fatalf("Get %q at %d: %v %v", k, seq, ok, err)
			}
		}
		require.NoError(t, it.Err())
	})
}

func TestSpans(t *testing.T) {
	spans := []key.Span{{Start: []byte("a"), End: []byte("f"), Seq: 9}, {Start: []byte("c"), End: []byte("z"), Seq: 4}}
	file, m := build(t, WriterOptions{FileNum: 7}, []entry{{k: []byte("m"), t: key.Pack(1, key.Set)}}, spans)
	require.Equal(t, "a", string(m.Smallest))
	require.Equal(t, "z", string(m.Largest))
	require.EqualValues(t, 1, m.SmallestSeq)
	require.EqualValues(t, 9, m.LargestSeq)
	tb := open(t, file, nil)
	require.Equal(t, spans, tb.Spans())
	require.EqualValues(t, 9, tb.CoverSeq([]byte("d"), 100))
	require.EqualValues(t, 4, tb.CoverSeq([]byte("d"), 8))
	require.Zero(t, tb.CoverSeq([]byte("z"), 100))
	file, _ = build(t, WriterOptions{FileNum: 7}, nil, spans)
	tb = open(t, file, nil)
	require.False(t, tb.Iter(true).First())
	require.False(t, tb.Iter(true).Last())
	_, _, ok, err := tb.Get([]byte("d"), 1, 9, nil)
	require.NoError(t, err)
	require.False(t, ok)
}

func TestOrderIsEnforced(t *testing.T) {
	w := NewWriter(&bytes.Buffer{}, WriterOptions{})
	require.NoError(t, w.Add([]byte("b"), key.Pack(5, key.Set), nil))
	require.ErrorIs(t, w.Add([]byte("a"), key.Pack(9, key.Set), nil), ErrOrder)
	require.ErrorIs(t, w.Add([]byte("b"), key.Pack(5, key.Set), nil), ErrOrder)
	require.NoError(t, w.Add([]byte("b"), key.Pack(4, key.Set), nil))
}

// A damaged table answers right or refuses, at every flipped bit and every cut.
func TestDamage(t *testing.T) {
	all := entries(rand.New(rand.NewPCG(1, 1)), 40)
	spans := []key.Span{{Start: []byte("key-1"), End: []byte("key-3"), Seq: 70}}
	for _, c := range []Compression{None, Snappy, Zstd} {
		file, _ := build(t, WriterOptions{FileNum: 7, BlockSize: 300, Compression: c}, all, spans)
		try := func(b []byte, what string, at int) {
			tb, err := Open(bytes.NewReader(b), int64(len(b)), "000007.sst", 7, nil)
			if err == nil {
				err = tb.Verify(t.Context())
			}
			if what == "bit" {
				require.ErrorIs(t, err, ErrCorrupt, "bit %d", at)
			}
			if err != nil {
				var damage *CorruptError
				require.ErrorAs(t, err, &damage, "%s %d", what, at)
				require.Equal(t, "000007.sst", damage.File)
			}
			if tb == nil {
				return
			}
			for _, e := range all {
				v, _, ok, err := tb.Get(e.k, bloom.Hash(e.k), e.t.Seq(), nil)
				if err == nil && (!ok || !bytes.Equal(v, e.v)) {
					t.Fatalf("%s %d: wrong answer", what, at)
				}
			}
			n := 0
			it := tb.Iter(true)
			for ok := it.First(); ok; ok = it.Next() {
				require.Equal(t, all[n].k, it.Key())
				require.Equal(t, all[n].v, it.Value())
				n++
			}
			require.True(t, it.Err() != nil || n == len(all))
		}
		step := 1
		if testing.Short() {
			step = 7
		}
		for bit := 0; bit < len(file)*8; bit += step {
			file[bit/8] ^= 1 << (bit % 8)
			try(file, "bit", bit)
			file[bit/8] ^= 1 << (bit % 8)
		}
		for n := range file {
			try(file[:n], "cut", n)
		}
		_, err := Open(bytes.NewReader(file), int64(len(file)), "000008.sst", 8, nil)
		require.ErrorIs(t, err, ErrCorrupt, "another table's file")
	}
}

type failing struct {
	*bytes.Reader
	err error
}

func (f *failing) ReadAt(b []byte, off int64) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.Reader.ReadAt(b, off)
}

func TestReadErrorsAreNotAbsence(t *testing.T) {
	all := entries(rand.New(rand.NewPCG(1, 1)), 40)
	file, _ := build(t, WriterOptions{FileNum: 7}, all, nil)
	bad := errors.New("bad disk")
	f := &failing{bytes.NewReader(file), bad}
	_, err := Open(f, int64(len(file)), "x", 7, nil)
	require.ErrorIs(t, err, bad)
	f.err = nil
	tb, err := Open(f, int64(len(file)), "x", 7, nil)
	require.NoError(t, err)
	f.err = bad
	_, _, _, err = tb.Get(all[0].k, bloom.Hash(all[0].k), key.MaxSeq, nil)
	require.ErrorIs(t, err, bad)
	it := tb.Iter(true)
	require.False(t, it.First())
	require.ErrorIs(t, it.Err(), bad)
	require.ErrorIs(t, tb.Verify(t.Context()), bad)
}

func TestCache(t *testing.T) {
	c := NewCache(64 << 10)
	for i := range uint64(1000) {
		c.put(blockID{1, i}, make([]byte, 1000))
	}
	st := c.Stats()
	require.LessOrEqual(t, st.Bytes, int64(64<<10))
	require.Positive(t, st.Blocks)
	c.put(blockID{2, 1}, make([]byte, 1<<20))
	require.Nil(t, c.get(blockID{2, 1}), "larger than a shard")
	c.put(blockID{3, 1}, []byte("x"))
	require.Equal(t, "x", string(c.get(blockID{3, 1})))
	c.Drop(3)
	require.Nil(t, c.get(blockID{3, 1}))
	c.Drop(1)
	require.Zero(t, c.Stats().Bytes)
	require.EqualValues(t, 1, c.Stats().Hits)
	// A block that is hit survives a flood of blocks that are not.
	c = NewCache(cacheShards * 20 * 1096)
	hot := blockID{9, 9}
	c.put(hot, make([]byte, 1000))
	for i := range uint64(2000) {
		c.put(blockID{1, i}, make([]byte, 1000))
		require.NotNil(t, c.get(hot), i)
	}
}

func TestGetDoesNotAllocate(t *testing.T) {
	all := entries(rand.New(rand.NewPCG(1, 1)), 4000)
	file, _ := build(t, WriterOptions{FileNum: 7, Compression: Snappy}, all, nil)
	tb := open(t, file, NewCache(8<<20))
	k, absent := all[1234].k, []byte("key-absent")
	h := bloom.Hash(k)
	dst := make([]byte, 0, 256)
	require.Zero(t, testing.AllocsPerRun(100, func() {
		if _, _, ok, err := tb.Get(k, h, key.MaxSeq, dst); !ok || err != nil {
			t.Fatal("lost")
		}
		if _, _, ok, _ := tb.Get(absent, bloom.Hash(absent), key.MaxSeq, dst); ok {
			t.Fatal("found")
		}
	}))
	require.Positive(t, tb.FilterMisses())
	require.Positive(t, tb.Memory())
}

func FuzzBlock(f *testing.F) {
	w := blockWriter{interval: 2}
	for _, k := range []string{"a", "ab", "abc", "b"} {
		w.add([]byte(k), key.Pack(1, key.Set), []byte("v"))
	}
	f.Add(w.finish(), []byte("ab"))
	f.Add([]byte{0, 0, 0, 0, 1, 0, 0, 0}, []byte{})
	f.Fuzz(func(_ *testing.T, block, k []byte) {
		var b blockIter
		if !b.init(block) {
			return
		}
		const limit = 1 << 12 // a hostile block may loop backwards; the store never does so for ever
		n := 0
		for ok := b.first(); ok && n < limit; ok = b.step() {
			n++
		}
		b.init(block)
		b.seekGE(k, key.Newest(3))
		b.init(block)
		b.lookup(k, key.Newest(3))
		b.init(block)
		for ok := b.seekLT(k); ok && n < 2*limit; ok = b.prev() {
			n++
		}
		b.init(block)
		for ok := b.last(); ok && n < 3*limit; ok = b.prev() {
			n++
		}
	})
}

func FuzzOpen(f *testing.F) {
	all := entries(rand.New(rand.NewPCG(1, 1)), 10)
	file, _ := build(f, WriterOptions{FileNum: 7}, all, []key.Span{{Start: []byte("a"), End: []byte("b"), Seq: 3}})
	f.Add(file)
	f.Add(file[len(file)-footerSize:])
	f.Fuzz(func(t *testing.T, file []byte) {
		tb, err := Open(bytes.NewReader(file), int64(len(file)), "x", 7, nil)
		if err != nil {
			if !errors.Is(err, ErrCorrupt) {
				t.Fatal(err)
			}
			return
		}
		if err := tb.Verify(t.Context()); err != nil && !errors.Is(err, ErrCorrupt) {
			t.Fatal(err)
		}
	})
}

func FuzzParts(f *testing.F) {
	f.Add([]byte{1, 1, 'a', 0, 0, 0, 0, 0, 0, 0, 0, 0, 5}, uint64(5))
	f.Fuzz(func(_ *testing.T, b []byte, limit uint64) {
		if x, problem := parseIndex(b, limit); problem == "" {
			x.find([]byte("a"), 0)
		}
		parseSpans(b, limit)
		parseMeta(b)
	})
}

func BenchmarkGet(b *testing.B) {
	var all []entry
	for i := range 100_000 {
		all = append(all, entry{fmt.Appendf(nil, "key-%012d", i), bytes.Repeat([]byte("v"), 100), key.Pack(uint64(i+1), key.Set)})
	}
	file, _ := build(b, WriterOptions{FileNum: 7, Compression: Snappy}, all, nil)
	tb := open(b, file, NewCache(64<<20))
	dst := make([]byte, 0, 256)
	for _, what := range []string{"hit", "miss"} {
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			k := make([]byte, 16)
			for i := 0; b.Loop(); i++ {
				copy(k, all[i*7919%len(all)].k)
				if what == "miss" {
					k[15] = 'x'
				}
				if _, _, _, err := tb.Get(k, bloom.Hash(k), key.MaxSeq, dst); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("next", func(b *testing.B) {
		it := tb.Iter(true)
		for b.Loop() {
			if !it.Next() {
				it.First()
			}
		}
	})
}
