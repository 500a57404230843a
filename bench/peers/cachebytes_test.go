package peers

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/VictoriaMetrics/fastcache"
	"github.com/allegro/bigcache/v3"
	"github.com/coocood/freecache"

	"github.com/ashlar-go/ashlar/cache"
)

// byteStore is what the tables need of a cache of bytes.
type byteStore struct {
	name string
	get  func(dst, k []byte) ([]byte, bool)
	set  func(k, v []byte)
}

func byteStores(size int) []byteStore {
	ours := must(cache.NewBytes(cache.BytesOptions{MaxBytes: int64(size)}))
	free, fast := freecache.NewCache(size), fastcache.New(size)
	o := bigcache.DefaultConfig(time.Hour)
	o.HardMaxCacheSize, o.Verbose, o.CleanWindow, o.Shards = max(1, size>>20), false, 0, 16
	big := must(bigcache.New(context.Background(), o))
	return []byteStore{
		{"ashlar", ours.Append, func(k, v []byte) { _ = ours.Set(k, v, 0) }},
		{"freecache", func(dst, k []byte) ([]byte, bool) {
			v, err := free.Get(k)
			return v, err == nil
		}, func(k, v []byte) { _ = free.Set(k, v, 0) }},
		{"fastcache", fast.HasGet, fast.Set},
		{"bigcache", func(dst, k []byte) ([]byte, bool) {
			v, err := big.Get(string(k))
			return v, err == nil
		}, func(k, v []byte) { _ = big.Set(string(k), v) }},
	}
}

// TestCacheBytesHitRatios replays traces with values of 1000 to 2000 bytes at equal budgets.
// fastcache takes no less than 32 MB and is not a rival here.
func TestCacheBytesHitRatios(t *testing.T) {
	dir := os.Getenv("ASHLAR_DATA")
	if dir == "" {
		t.Skip("ASHLAR_DATA does not name a folder of traces (NAME.i32.gz)")
	}
	val := make([]byte, 2000)
	for _, p := range []struct {
		trace string
		size  int
	}{{"web12", 2 << 20}, {"oltp", 4 << 20}, {"scarab", 32 << 20}} {
		tr := traceOf(t, dir, p.trace)
		for _, s := range byteStores(p.size) {
			if s.name == "fastcache" && p.size < 32<<20 {
				continue
			}
			hits, dst, k := 0, make([]byte, 0, 2000), make([]byte, 8)
			for _, x := range tr {
				binary.LittleEndian.PutUint64(k, x)
				if _, ok := s.get(dst, k); ok {
					hits++
				} else {
					s.set(k, val[:1000+spread(int(x))%1000])
				}
			}
			fmt.Printf("bytes %-8s %3d MiB %-10s %6.2f\n", p.trace, p.size>>20, s.name, 100*float64(hits)/float64(len(tr)))
		}
	}
}

// BenchmarkCacheBytes gets and sets entries of 8 and 100 bytes that all fit.
func BenchmarkCacheBytes(b *testing.B) {
	const n = 100_000
	for _, s := range byteStores(64 << 20) {
		val, k, dst := make([]byte, 100), make([]byte, 8), make([]byte, 0, 200)
		for i := range n {
			binary.LittleEndian.PutUint64(k, spread(i))
			s.set(k, val)
		}
		b.Run("get/"+s.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				binary.LittleEndian.PutUint64(k, spread(i*7919%n))
				s.get(dst, k)
			}
		})
		b.Run("set/"+s.name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				binary.LittleEndian.PutUint64(k, spread(i*7919%n))
				s.set(k, val)
			}
		})
	}
}
