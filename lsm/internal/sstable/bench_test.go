package sstable_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/ashlar-go/ashlar/bloom"
	"github.com/ashlar-go/ashlar/lsm/internal/key"
	"github.com/ashlar-go/ashlar/lsm/internal/sstable"
)

const benchEntries = 400_000

// benchPoints are keys of 16 bytes with half-compressible values of 100.
func benchPoints() []point {
	rnd := rand.New(rand.NewPCG(1, 2))
	pts := make([]point, benchEntries)
	for i := range pts {
		v := make([]byte, 100)
		for j := range 50 {
			v[j] = byte(rnd.Uint32())
		}
		pts[i] = point{k: fmt.Appendf(nil, "user%012d", i*3), v: v, t: key.Pack(uint64(i+1), key.Set)}
	}
	return pts
}

func benchTable(b *testing.B, pts []point, o sstable.WriterOptions) []byte {
	var buf bytes.Buffer
	w := sstable.NewWriter(&buf, o)
	for _, p := range pts {
		if err := w.Add(p.k, p.t, p.v); err != nil {
			b.Fatal(err)
		}
	}
	if _, err := w.Finish(); err != nil {
		b.Fatal(err)
	}
	return buf.Bytes()
}

func BenchmarkGet(b *testing.B) {
	pts := benchPoints()
	file := benchTable(b, pts, sstable.WriterOptions{Compression: sstable.Snappy, BitsPerKey: 10})
	for _, where := range []string{"cached", "uncached"} {
		c := sstable.NewCache(256 << 20)
		if where == "uncached" {
			c = sstable.NewCache(0)
		}
		t, err := sstable.Open(bytes.NewReader(file), int64(len(file)), "bench", 0, c)
		if err != nil {
			b.Fatal(err)
		}
		order := rand.New(rand.NewPCG(3, 4)).Perm(len(pts))
		dst := make([]byte, 0, 256)
		for _, i := range order {
			if where == "cached" {
				_, _, _, _ = t.Get(pts[i].k, bloom.Hash(pts[i].k), key.MaxSeq, dst)
			}
		}
		for _, what := range []string{"hit", "miss"} {
			b.Run(what+"/"+where, func(b *testing.B) {
				b.ReportAllocs()
				k := make([]byte, 16)
				for i := 0; b.Loop(); i++ {
					copy(k, pts[order[i%len(order)]].k)
					if what == "miss" {
						k[15]++
					}
					if _, _, _, err := t.Get(k, bloom.Hash(k), key.MaxSeq, dst); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkIter(b *testing.B) {
	pts := benchPoints()
	file := benchTable(b, pts, sstable.WriterOptions{Compression: sstable.Snappy, BitsPerKey: 10})
	for _, where := range []string{"cached", "readahead"} {
		t, err := sstable.Open(bytes.NewReader(file), int64(len(file)), "bench", 0, sstable.NewCache(256<<20))
		if err != nil {
			b.Fatal(err)
		}
		it := t.Iter(where == "cached")
		for ok := it.First(); ok; ok = it.Next() {
		}
		b.Run("Next/"+where, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !it.Next() {
					it.First()
				}
			}
		})
		b.Run("Prev/"+where, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if !it.Prev() {
					it.Last()
				}
			}
		})
		if where == "readahead" {
			continue
		}
		order := rand.New(rand.NewPCG(3, 4)).Perm(len(pts))
		b.Run("Seek/"+where, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				it.SeekGE(pts[order[i%len(order)]].k, key.Pack(key.MaxSeq, 0xff))
			}
		})
	}
}

func BenchmarkWrite(b *testing.B) {
	pts := benchPoints()
	for _, c := range []sstable.Compression{sstable.None, sstable.Snappy, sstable.Zstd} {
		b.Run(fmt.Sprint(c), func(b *testing.B) {
			b.ReportAllocs()
			i := len(pts)
			w := sstable.NewWriter(io.Discard, sstable.WriterOptions{Compression: c, BitsPerKey: 10})
			for b.Loop() {
				if i++; i >= len(pts) {
					_, _ = w.Finish()
					i, w = 0, sstable.NewWriter(io.Discard, sstable.WriterOptions{Compression: c, BitsPerKey: 10})
				}
				if err := w.Add(pts[i].k, pts[i].t, pts[i].v); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
