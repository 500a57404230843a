package sstable_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/bloom"
	"github.com/ashlar-go/ashlar/lsm/internal/key"
	"github.com/ashlar-go/ashlar/lsm/internal/sstable"
)

// point is an entry of the model, which is a sorted slice of them.
type point struct {
	k, v []byte
	t    key.Trailer
}

func comparePoints(a, b point) int { return key.Compare(a.k, a.t, b.k, b.t) }

// seek is the index of the first point at or after (k, t).
func seek(points []point, k []byte, t key.Trailer) int {
	i, _ := slices.BinarySearchFunc(points, point{k: k, t: t}, comparePoints)
	return i
}

func coverSeq(spans []key.Span, k []byte, seq uint64) (best uint64) {
	for _, s := range spans {
		if s.Seq <= seq && s.Contains(k) {
			best = max(best, s.Seq)
		}
	}
	return best
}

// build writes a table.
func build(t require.TestingT, o sstable.WriterOptions, points []point, spans []key.Span) ([]byte, sstable.Meta) {
	var buf bytes.Buffer
	w := sstable.NewWriter(&buf, o)
	for _, p := range points {
		require.NoError(t, w.Add(p.k, p.t, p.v))
	}
	for _, s := range spans {
		require.NoError(t, w.AddSpan(s))
	}
	m, err := w.Finish()
	require.NoError(t, err)
	require.Equal(t, uint64(buf.Len()), m.Size)
	require.Equal(t, m.Size, w.Size())
	return buf.Bytes(), m
}

func open(t require.TestingT, b []byte, num uint64, c *sstable.Cache) *sstable.Reader {
	r, err := sstable.Open(bytes.NewReader(b), int64(len(b)), "test.table", num, c)
	require.NoError(t, err)
	return r
}

func keys() *rapid.Generator[[]byte] {
	return rapid.Custom(func(t *rapid.T) []byte {
		head := rapid.SampledFrom([]string{"", "a", "shared/", "shared/long", "shared/longer/than/prefixes"}).Draw(t, "head")
		tail := rapid.SliceOfN(rapid.SampledFrom([]byte{0, 1, 'b', 0xff}), 0, 5).Draw(t, "tail")
		return append([]byte(head), tail...)
	})
}

// points draws sorted, distinct internal keys, with many versions of some.
func points(max int) *rapid.Generator[[]point] {
	return rapid.Custom(func(t *rapid.T) []point {
		var out []point
		for range rapid.IntRange(0, max).Draw(t, "n") {
			kind := rapid.SampledFrom([]key.Kind{key.Set, key.Delete, key.SetExpiring}).Draw(t, "kind")
			p := point{k: keys().Draw(t, "k"), t: key.Pack(rapid.Uint64Range(0, 40).Draw(t, "seq"), kind)}
			switch kind {
			case key.SetExpiring:
				p.v = key.AppendExpiry(nil, rapid.Int64().Draw(t, "expiry"))
				fallthrough
			case key.Set:
				p.v = append(p.v, rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(t, "v")...)
			}
			out = append(out, p)
		}
		slices.SortFunc(out, comparePoints)
		return slices.CompactFunc(out, func(a, b point) bool { return comparePoints(a, b) == 0 })
	})
}

func spans(max int) *rapid.Generator[[]key.Span] {
	return rapid.Custom(func(t *rapid.T) []key.Span {
		var out []key.Span
		for range rapid.IntRange(0, max).Draw(t, "n") {
			s := key.Span{Start: keys().Draw(t, "start"), End: keys().Draw(t, "end"), Seq: rapid.Uint64Range(1, 40).Draw(t, "seq")}
			if !s.Empty() {
				out = append(out, s)
			}
		}
		slices.SortFunc(out, key.CompareSpans)
		return slices.CompactFunc(out, func(a, b key.Span) bool { return key.CompareSpans(a, b) == 0 })
	})
}

func options() *rapid.Generator[sstable.WriterOptions] {
	return rapid.Custom(func(t *rapid.T) sstable.WriterOptions {
		return sstable.WriterOptions{
			FileNum:         rapid.Uint64().Draw(t, "num"),
			BlockSize:       rapid.SampledFrom([]int{0, 1, 100, 500}).Draw(t, "block"),
			RestartInterval: rapid.SampledFrom([]int{0, 1, 2, 16}).Draw(t, "interval"),
			Compression:     rapid.SampledFrom([]sstable.Compression{sstable.None, sstable.Snappy, sstable.Zstd}).Draw(t, "compression"),
			BitsPerKey:      rapid.SampledFrom([]float64{-1, 0, 2, 20}).Draw(t, "bits"),
		}
	})
}

func TestTableAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		pts, sps, o := points(80).Draw(t, "points"), spans(10).Draw(t, "spans"), options().Draw(t, "options")
		b, m := build(t, o, pts, sps)
		r := open(t, b, o.FileNum, sstable.NewCache(rapid.SampledFrom([]int64{0, 1000, 1 << 20}).Draw(t, "cache")))
		require.NoError(t, r.Verify(t.Context()))
		require.Equal(t, &m, r.Meta())
		checkMeta(t, m, pts, sps)
		require.Len(t, r.Spans(), len(sps))
		for i, s := range r.Spans() {
			require.Zero(t, key.CompareSpans(sps[i], s))
		}
		its := []*sstable.Iter{r.Iter(true), r.Iter(false), r.Iter(false)}
		sstable.SetReadAhead(its[2], 300)
		pos := -1
		for range 40 {
			k, seq := keys().Draw(t, "ask"), rapid.Uint64Range(0, 41).Draw(t, "at")
			i := seek(pts, k, key.Pack(seq, key.MaxKind))
			v, tr, found, err := r.Get(k, bloom.Hash(k), seq, []byte("dst"))
			require.NoError(t, err)
			require.Equal(t, i < len(pts) && bytes.Equal(pts[i].k, k), found)
			if found {
				require.Equal(t, pts[i].t, tr)
				require.Equal(t, "dst"+string(pts[i].v), string(v))
			} else {
				require.Equal(t, "dst", string(v))
			}
			require.Equal(t, coverSeq(sps, k, seq), r.CoverSeq(k, seq))
			move := rapid.IntRange(0, 5).Draw(t, "move")
			was := pos
			for _, it := range its {
				pos = step(it, pts, was, move, k, key.Pack(seq, key.MaxKind))
				require.Equal(t, pos >= 0, it.Valid())
				require.NoError(t, it.Err())
				if pos >= 0 {
					require.Equal(t, pts[pos].t, it.Trailer())
					require.Equal(t, string(pts[pos].k), string(it.Key()))
					require.Equal(t, string(pts[pos].v), string(it.Value()))
				}
			}
		}
		r.Close()
		r.Close()
	})
}

// step makes a move with the iterator and in the model, and returns where that is; -1 is nowhere.
func step(it key.Iterator, pts []point, pos, move int, k []byte, t key.Trailer) int {
	var ok bool
	switch move {
	case 0:
		pos, ok = seek(pts, k, t), it.SeekGE(k, t)
	case 1:
		pos, ok = seek(pts, k, key.MaxTrailer)-1, it.SeekLT(k)
	case 2:
		pos, ok = 0, it.First()
	case 3:
		pos, ok = len(pts)-1, it.Last()
	case 4:
		if ok = it.Next(); pos >= 0 {
			pos++
		}
	case 5:
		if ok = it.Prev(); pos >= 0 {
			pos--
		}
	}
	if pos < 0 || pos >= len(pts) {
		pos = -1
	}
	if ok != it.Valid() {
		panic("a move reports what is not so")
	}
	return pos
}

func checkMeta(t require.TestingT, m sstable.Meta, pts []point, sps []key.Span) {
	want := sstable.Meta{FileNum: m.FileNum, Size: m.Size, Smallest: m.Smallest, Largest: m.Largest, LargestOpen: m.LargestOpen}
	var lows, highs [][]byte
	var seqs []uint64
	var expiries []int64
	for _, p := range pts {
		want.Entries++
		want.RawBytes += uint64(len(p.k) + len(p.v))
		seqs, lows, highs = append(seqs, p.t.Seq()), append(lows, p.k), append(highs, p.k)
		switch p.t.Kind() {
		case key.Delete:
			want.Deletes++
		case key.SetExpiring:
			want.Expiring++
			ms, _, _ := key.Expiry(p.v)
			expiries = append(expiries, ms)
		}
	}
	for _, s := range sps {
		want.Spans++
		want.RawBytes += uint64(len(s.Start) + len(s.End))
		seqs, lows, highs = append(seqs, s.Seq), append(lows, s.Start), append(highs, s.End)
	}
	if len(seqs) > 0 {
		want.SmallestSeq, want.LargestSeq = slices.Min(seqs), slices.Max(seqs)
		low, high := slices.MinFunc(lows, bytes.Compare), slices.MaxFunc(highs, bytes.Compare)
		require.Equal(t, string(low), string(m.Smallest))
		require.Equal(t, string(high), string(m.Largest))
		isKey := slices.ContainsFunc(pts, func(p point) bool { return bytes.Equal(p.k, high) })
		require.Equal(t, !isKey, m.LargestOpen)
	}
	if len(expiries) > 0 {
		want.MinExpiry, want.MaxExpiry = slices.Min(expiries), slices.Max(expiries)
	}
	require.Equal(t, want, m)
}

// TestManyBlocks has an index large enough to be searched, with and without ties in it.
func TestManyBlocks(t *testing.T) {
	for _, shape := range []string{"user%08d", "a-long-common-prefix/and-a-long-tie/%03d/%05d"} {
		var pts []point
		for i := range 20000 {
			k := fmt.Appendf(nil, shape, i)
			if shape[0] == 'a' {
				k = fmt.Appendf(nil, shape, i/4000, i)
			}
			pts = append(pts, point{k: k, v: k, t: key.Pack(uint64(i), key.Set)})
		}
		slices.SortFunc(pts, comparePoints)
		b, _ := build(t, sstable.WriterOptions{Compression: sstable.Snappy, BlockSize: 512}, pts, nil)
		r := open(t, b, 0, sstable.NewCache(1<<20))
		require.Greater(t, r.Blocks(), 500)
		for i, p := range pts {
			v, _, found, err := r.Find(p.k, bloom.Hash(p.k), key.MaxSeq)
			require.NoError(t, err)
			require.True(t, found, i)
			require.True(t, bytes.Equal(p.v, v))
		}
		it, n := r.Iter(false), 0
		sstable.SetReadAhead(it, 1<<14)
		for ok := it.First(); ok; ok = it.Next() {
			n++
		}
		for ok := it.Last(); ok; ok = it.Prev() {
			n--
		}
		require.NoError(t, it.Close())
		require.Zero(t, n)
		all := r.ApproximateSize(nil, nil)
		half := r.ApproximateSize(pts[len(pts)/2].k, nil)
		require.InDelta(t, float64(all)/2, float64(half), float64(all)/20)
		require.LessOrEqual(t, r.ApproximateSize([]byte("zzz"), nil), uint64(512))
		require.Zero(t, r.ApproximateSize(pts[9].k, []byte("")))
		require.Positive(t, r.Memory())
	}
}

// TestVersionsAcrossBlocks has one key's versions fill many blocks.
func TestVersionsAcrossBlocks(t *testing.T) {
	var pts []point
	pts = append(pts, point{k: []byte("a"), t: key.Pack(1, key.Set)})
	for seq := 5000; seq > 0; seq-- {
		pts = append(pts, point{k: []byte("hot"), t: key.Pack(uint64(2*seq), key.Set), v: fmt.Append(nil, seq)})
	}
	pts = append(pts, point{k: []byte("z"), t: key.Pack(1, key.Set)})
	b, _ := build(t, sstable.WriterOptions{}, pts, nil)
	r := open(t, b, 0, sstable.NewCache(1<<20))
	require.NoError(t, r.Verify(t.Context()))
	h := bloom.Hash([]byte("hot"))
	for seq := 1; seq <= 5000; seq += 7 {
		for _, at := range []uint64{uint64(2 * seq), uint64(2*seq + 1)} {
			v, tr, found, err := r.Find([]byte("hot"), h, at)
			require.NoError(t, err)
			require.True(t, found)
			require.Equal(t, uint64(2*seq), tr.Seq())
			require.Equal(t, fmt.Sprint(seq), string(v))
		}
	}
	_, _, found, err := r.Find([]byte("hot"), h, 1)
	require.NoError(t, err)
	require.False(t, found)
}

func TestLargeEntries(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 1))
	noise := make([]byte, 3<<20)
	for i := 0; i < len(noise); i += 8 {
		binary.LittleEndian.PutUint64(noise[i:], rnd.Uint64())
	}
	zeros := make([]byte, 8<<20)
	for _, c := range []sstable.Compression{sstable.None, sstable.Snappy, sstable.Zstd} {
		pts := []point{
			{k: bytes.Repeat([]byte("k"), 1<<20), v: noise, t: key.Pack(3, key.Set)},
			{k: append(bytes.Repeat([]byte("k"), 1<<20-1), 'l'), v: nil, t: key.Pack(2, key.Set)},
			{k: []byte("l"), v: zeros, t: key.Pack(1, key.Set)},
		}
		if c == sstable.None {
			pts = pts[:2]
		}
		b, _ := build(t, sstable.WriterOptions{Compression: c}, pts, nil)
		r := open(t, b, 0, nil)
		for _, p := range pts {
			v, _, found, err := r.Find(p.k, bloom.Hash(p.k), 9)
			require.NoError(t, err)
			require.True(t, found)
			require.True(t, bytes.Equal(p.v, v))
		}
	}
}

func TestWriterRefuses(t *testing.T) {
	var buf bytes.Buffer
	w := sstable.NewWriter(&buf, sstable.WriterOptions{})
	set := func(seq uint64) key.Trailer { return key.Pack(seq, key.Set) }
	require.NoError(t, w.Add([]byte("b"), set(5), nil))
	require.ErrorIs(t, w.Add([]byte("a"), set(6), nil), sstable.ErrOrder)
	require.ErrorIs(t, w.Add([]byte("b"), set(5), nil), sstable.ErrOrder)
	require.ErrorIs(t, w.Add([]byte("b"), set(6), nil), sstable.ErrOrder)
	require.ErrorIs(t, w.Add([]byte(""), set(6), nil), sstable.ErrOrder)
	require.ErrorIs(t, w.Add([]byte("c"), key.Pack(1, key.RangeDelete), nil), sstable.ErrKind)
	require.ErrorIs(t, w.Add([]byte("c"), key.Pack(1, key.Kind(77)), nil), sstable.ErrKind)
	require.ErrorIs(t, w.Add([]byte("c"), key.Pack(1, key.SetExpiring), []byte("1234567")), sstable.ErrKind)
	require.ErrorIs(t, w.Add(make([]byte, 1<<20+1), set(1), nil), sstable.ErrTooLarge)
	span := key.Span{Start: []byte("b"), End: []byte("d"), Seq: 3}
	require.NoError(t, w.AddSpan(span))
	require.NoError(t, w.AddSpan(span), "once more is once")
	m, err := w.Finish()
	require.NoError(t, err)
	require.Equal(t, uint64(1), m.Entries)
	require.Equal(t, uint64(1), m.Spans)
	_, err = w.Finish()
	require.ErrorIs(t, err, sstable.ErrFinished)
	require.ErrorIs(t, w.Add([]byte("x"), set(9), nil), sstable.ErrFinished)
	require.ErrorIs(t, w.AddSpan(span), sstable.ErrFinished)
	require.NoError(t, open(t, buf.Bytes(), 0, nil).Verify(t.Context()))
}

func TestWriterRefusesSpans(t *testing.T) {
	b := []byte("b")
	for want, bad := range map[error][]key.Span{
		sstable.ErrKind:     {{Start: b, End: b, Seq: 1}, {Start: b, End: []byte("c"), Seq: 1 << 56}, {Start: b, End: make([]byte, 2<<20)}},
		sstable.ErrTooLarge: {{Start: []byte("x"), End: bytes.Repeat([]byte("y"), 2<<20)}},
		sstable.ErrOrder:    {{Start: []byte("a"), End: []byte("d"), Seq: 3}, {Start: b, End: []byte("d"), Seq: 4}},
	} {
		for _, s := range bad {
			w := sstable.NewWriter(io.Discard, sstable.WriterOptions{})
			require.NoError(t, w.AddSpan(key.Span{Start: b, End: []byte("d"), Seq: 3}))
			require.ErrorIs(t, w.AddSpan(s), want)
			_, err := w.Finish()
			require.ErrorIs(t, err, want)
		}
	}
}

// fullDisk takes so many bytes.
type fullDisk struct{ left int }

var errFull = fmt.Errorf("disk is full")

func (d *fullDisk) Write(p []byte) (int, error) {
	if len(p) > d.left {
		return d.left, errFull
	}
	d.left -= len(p)
	return len(p), nil
}

func TestWriterKeepsTheFirstError(t *testing.T) {
	for _, room := range []int{0, 300 << 10} {
		w := sstable.NewWriter(&fullDisk{room}, sstable.WriterOptions{})
		var err error
		for i := 0; err == nil && i < 100000; i++ {
			err = w.Add(binary.BigEndian.AppendUint64(nil, uint64(i)), key.Pack(1, key.Set), make([]byte, 50))
		}
		require.ErrorIs(t, err, errFull)
		require.ErrorIs(t, w.Add([]byte("zzzzzzzzzzz"), 1, nil), errFull)
		require.ErrorIs(t, w.AddSpan(key.Span{Start: []byte("a"), End: []byte("b")}), errFull)
		_, err = w.Finish()
		require.ErrorIs(t, err, errFull)
	}
}

func TestEmptyTable(t *testing.T) {
	b, m := build(t, sstable.WriterOptions{FileNum: 3}, nil, nil)
	require.Zero(t, m.Entries)
	r := open(t, b, 3, sstable.NewCache(100))
	_, _, found, err := r.Find([]byte("a"), bloom.Hash([]byte("a")), key.MaxSeq)
	require.NoError(t, err)
	require.False(t, found)
	it := r.Iter(true)
	require.False(t, it.First() || it.Last() || it.SeekGE(nil, key.MaxTrailer) || it.SeekLT([]byte("z")) || it.Next() || it.Prev())
	require.NoError(t, it.Close())
	require.NoError(t, r.Verify(t.Context()))
	require.Zero(t, r.ApproximateSize(nil, nil))
}

// TestReadersShareACache has goroutines read tables through a cache too small for them.
func TestReadersShareACache(t *testing.T) {
	var pts []point
	for i := range 3000 {
		k := fmt.Appendf(nil, "key-%06d", i)
		pts = append(pts, point{k: k, v: bytes.Repeat(k, 5), t: key.Pack(uint64(i), key.Set)})
	}
	c := sstable.NewCache(60 << 10)
	var rs []*sstable.Reader
	for num := range uint64(3) {
		b, _ := build(t, sstable.WriterOptions{FileNum: num}, pts, nil)
		rs = append(rs, open(t, b, num, c))
	}
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(uint64(g), 0))
			for range 1500 {
				p, r := pts[min(rnd.IntN(len(pts)), rnd.IntN(len(pts)))], rs[rnd.IntN(len(rs))]
				v, _, found, err := r.Find(p.k, bloom.Hash(p.k), key.MaxSeq)
				if err != nil || !found || !bytes.Equal(v, p.v) {
					t.Errorf("%s: %v %v", p.k, found, err)
					return
				}
			}
		})
	}
	wg.Wait()
	s := c.Stats()
	require.Equal(t, int64(6000), s.Hits+s.Misses)
	require.Positive(t, s.Hits)
	require.Positive(t, s.Evicted)
	require.LessOrEqual(t, s.Bytes, s.Capacity)
	for _, r := range rs {
		r.Close()
	}
	require.Zero(t, c.Stats().Bytes)
	require.Zero(t, c.Stats().Blocks)
}

// TestCacheGoesOnAfterAClose closes tables while the cache is in the middle of evicting.
func TestCacheGoesOnAfterAClose(t *testing.T) {
	var pts []point
	for i := range 400 {
		pts = append(pts, point{k: fmt.Appendf(nil, "%06d", i), v: make([]byte, 500), t: key.Pack(uint64(i), key.Set)})
	}
	b, _ := build(t, sstable.WriterOptions{BlockSize: 600}, pts, nil)
	c := sstable.NewCache(20 << 10)
	rnd := rand.New(rand.NewPCG(4, 4))
	var rs []*sstable.Reader
	for range 300 {
		for len(rs) < 4 {
			rs = append(rs, open(t, b, 0, c))
		}
		for range 1 + rnd.IntN(30) {
			p := pts[rnd.IntN(20)]
			_, _, found, err := rs[rnd.IntN(len(rs))].Find(p.k, bloom.Hash(p.k), key.MaxSeq)
			require.True(t, found)
			require.NoError(t, err)
		}
		s := c.Stats()
		require.LessOrEqual(t, s.Bytes, s.Capacity)
		require.GreaterOrEqual(t, s.Bytes, 600*s.Blocks)
		gone := rnd.IntN(len(rs))
		rs[gone].Close()
		rs = slices.Delete(rs, gone, gone+1)
	}
	for _, r := range rs {
		r.Close()
	}
	require.Zero(t, c.Stats().Bytes)
	require.Zero(t, c.Stats().Blocks)
}

// TestStepsBackInBlocksAlike has blocks that differ in nothing but what is in them.
func TestStepsBackInBlocksAlike(t *testing.T) {
	var pts []point
	for i := range 640 {
		k := fmt.Appendf(nil, "%06d", i)
		pts = append(pts, point{k: k, v: k, t: key.Pack(uint64(i), key.Set)})
	}
	b, _ := build(t, sstable.WriterOptions{BlockSize: 600, RestartInterval: 16}, pts, nil)
	r := open(t, b, 0, sstable.NewCache(1<<20))
	require.Greater(t, r.Blocks(), 10)
	for _, fill := range []bool{true, false} {
		it := r.Iter(fill)
		for i := 20; i < 620; i++ {
			for _, at := range []int{i, (i*7 + 33) % 600, (i + 17) % 640} {
				ok := it.SeekGE(pts[at].k, key.MaxTrailer)
				for back := at - 1; back >= max(at-3, 0); back-- {
					if ok = ok && it.Prev(); !ok || !bytes.Equal(pts[back].k, it.Key()) || !bytes.Equal(pts[back].v, it.Value()) {
						t.Fatalf("%v: %s where %s should be", ok, it.Key(), pts[back].k)
					}
				}
			}
		}
	}
}

func TestCachedReadsDoNotAllocate(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector allocates")
	}
	var pts []point
	for i := range 5000 {
		k := fmt.Appendf(nil, "key-%06d", i)
		pts = append(pts, point{k: k, v: k, t: key.Pack(uint64(i), key.Set)})
	}
	b, _ := build(t, sstable.WriterOptions{Compression: sstable.Snappy}, pts, []key.Span{{Start: []byte("a"), End: []byte("b"), Seq: 1}})
	r := open(t, b, 0, sstable.NewCache(1<<20))
	dst := make([]byte, 0, 100)
	it := r.Iter(true)
	i := 0
	read := func() {
		k := pts[i*37%len(pts)].k
		i++
		_, _, found, err := r.Get(k, bloom.Hash(k), key.MaxSeq, dst)
		if !found || err != nil || r.CoverSeq(k, 99) != 0 || !it.SeekGE(k, key.MaxTrailer) {
			panic("not found")
		}
		it.Next()
		it.Prev()
	}
	for range len(pts) {
		read()
	}
	require.Zero(t, testing.AllocsPerRun(1000, read))
}
