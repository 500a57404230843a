package lsm_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/ashlar-go/ashlar/lsm"
)

func benchKey(b []byte, i uint64) []byte {
	return fmt.Appendf(b[:0], "key-%012d", i*0x9e3779b97f4a7c15%1_000_000_007)
}

func BenchmarkPut(b *testing.B) {
	for name, d := range map[string]lsm.Durability{"queued": lsm.Queued, "written": lsm.Written, "synced": lsm.Synced} {
		b.Run(name, func(b *testing.B) {
			db, err := lsm.Open(b.TempDir(), lsm.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			v, k := make([]byte, 100), []byte(nil)
			b.ReportAllocs()
			for i := uint64(0); b.Loop(); i++ {
				k = benchKey(k, i)
				if err := db.Put(k, v, d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	n := uint64(200_000)
	if testing.Short() {
		n = 2000
	}
	db, err := lsm.Open(b.TempDir(), lsm.Options{MemtableSize: 4 << 20})
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	v, k := make([]byte, 100), []byte(nil)
	for i := range n {
		k = benchKey(k, i)
		if err := db.Put(k, v, lsm.Queued); err != nil {
			b.Fatal(err)
		}
	}
	if err := db.Flush(context.Background()); err != nil {
		b.Fatal(err)
	}
	b.Run("hit", func(b *testing.B) {
		dst := make([]byte, 0, 256)
		b.ReportAllocs()
		for i := uint64(0); b.Loop(); i++ {
			k = benchKey(k, i*7919%n)
			if _, err := db.AppendGet(dst, k); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("miss", func(b *testing.B) {
		b.ReportAllocs()
		for i := uint64(0); b.Loop(); i++ {
			k = append(benchKey(k, i%n), 'x')
			if ok, err := db.Has(k); ok || err != nil {
				b.Fatal(ok, err)
			}
		}
	})
	b.Run("scan", func(b *testing.B) {
		b.ReportAllocs()
		entries := 0
		for b.Loop() {
			for _, err := range db.Scan(lsm.Range{}) {
				if err != nil {
					b.Fatal(err)
				}
				entries++
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(entries), "ns/entry")
	})
}
