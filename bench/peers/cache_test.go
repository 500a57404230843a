package peers

// Caches. phuslu/lru, samber/hot and elastic/go-freelru were not to be had when these tables
// were made.

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/Yiling-J/theine-go"
	"github.com/dgraph-io/ristretto/v2"
	hashicorp "github.com/hashicorp/golang-lru/v2"
	"github.com/hashicorp/golang-lru/v2/expirable"
	"github.com/maypok86/otter/v2"

	"github.com/ashlar-go/ashlar/cache"
	"github.com/ashlar-go/ashlar/cache/sim"
)

// rival is what the tables need of a cache.
type rival[K comparable, V any] struct {
	name  string
	get   func(K) (V, bool)
	set   func(K, V)
	quiet func() // waits for what it does with Sets in the background
	close func()
}

// done is the quiet of those who do everything in the caller's time.
func done() {}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

type ristrettoKey interface {
	uint64 | string
}

// makers are one function for each rival, so that a table can have one at a time.
func makers[K ristrettoKey, V any](n int, ttl time.Duration) []func() rival[K, V] {
	list := []func() rival[K, V]{
		func() rival[K, V] {
			c := must(cache.New(cache.Options[K, V]{MaxEntries: n, TTL: ttl}))
			return rival[K, V]{"ashlar", c.Get, func(k K, v V) { c.Set(k, v) }, done, func() { c.Close() }}
		},
		func() rival[K, V] {
			o := &otter.Options[K, V]{MaximumSize: n}
			if ttl > 0 {
				o.ExpiryCalculator = otter.ExpiryWriting[K, V](ttl)
			}
			c := otter.Must(o)
			return rival[K, V]{"otter", c.GetIfPresent, func(k K, v V) { c.Set(k, v) }, c.CleanUp, func() { c.StopAllGoroutines() }}
		},
		func() rival[K, V] {
			c := must(theine.NewBuilder[K, V](int64(n)).Build())
			return rival[K, V]{"theine", c.Get, func(k K, v V) { c.SetWithTTL(k, v, 1, ttl) }, c.Wait, c.Close}
		},
		func() rival[K, V] {
			c := must(ristretto.NewCache(&ristretto.Config[K, V]{NumCounters: int64(10 * n), MaxCost: int64(n), BufferItems: 64, IgnoreInternalCost: true}))
			return rival[K, V]{"ristretto", c.Get, func(k K, v V) { c.SetWithTTL(k, v, 1, ttl) }, c.Wait, c.Close}
		},
	}
	if ttl > 0 {
		return append(list, func() rival[K, V] {
			c := expirable.NewLRU[K, V](n, nil, ttl)
			return rival[K, V]{"golang-lru", c.Get, func(k K, v V) { c.Add(k, v) }, done, done}
		})
	}
	return append(list,
		func() rival[K, V] {
			c := must(hashicorp.New[K, V](n))
			return rival[K, V]{"golang-lru", c.Get, func(k K, v V) { c.Add(k, v) }, done, done}
		},
		func() rival[K, V] {
			c := must(hashicorp.New2Q[K, V](n))
			return rival[K, V]{"golang-lru-2q", c.Get, func(k K, v V) { c.Add(k, v) }, done, done}
		})
}

// zipfKeys are drawn beforehand, so that no time is spent on drawing.
func zipfKeys(keys int) []uint64 {
	const n = 1 << 20
	t := sim.Zipf(n, keys, 1.0, 42)
	for i, k := range t {
		t[i] = spread(int(k))
	}
	return t
}

// mixed replays keys on both processors; of a hundred operations, writes are Sets.
func mixed[K comparable, V any](b *testing.B, s rival[K, V], keys []K, writes int, value V) {
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		i := rand.IntN(len(keys))
		mask := len(keys) - 1
		for n := 0; pb.Next(); n++ {
			k := keys[(i+n)&mask]
			if n%100 < writes {
				s.set(k, value)
			} else {
				s.get(k)
			}
		}
	})
}

// BenchmarkCacheGet hits: every key is there.
func BenchmarkCacheGet(b *testing.B) {
	b.Run("int/16k", func(b *testing.B) {
		keys := zipfKeys(16 << 10)
		for _, mk := range makers[uint64, uint64](16<<10, 0) {
			s := mk()
			for _, k := range keys {
				s.set(k, k)
			}
			s.quiet()
			b.Run(s.name, func(b *testing.B) { mixed(b, s, keys, 0, 1) })
			s.close()
		}
	})
	b.Run("string/1M", func(b *testing.B) {
		keys := make([]string, 1<<20)
		for i := range keys {
			keys[i] = fmt.Sprintf("key:%012d", spread(i)%1e12)
		}
		order := make([]string, len(keys))
		for i, j := range rand.New(rand.NewPCG(1, 1)).Perm(len(keys)) {
			order[i] = keys[j]
		}
		for _, mk := range makers[string, uint64](len(keys)*11/10, 0) {
			s := mk()
			for _, k := range keys {
				s.set(k, 1)
			}
			for range 4 { // a cache in use: first uses cost ours a store each
				for _, k := range keys {
					s.get(k)
				}
			}
			s.quiet()
			b.Run(s.name, func(b *testing.B) { mixed(b, s, order, 0, 1) })
			s.close()
		}
	})
	b.Run("int/16k/ttl", func(b *testing.B) {
		keys := zipfKeys(16 << 10)
		for _, mk := range makers[uint64, uint64](16<<10, time.Hour) {
			s := mk()
			for _, k := range keys {
				s.set(k, k)
			}
			s.quiet()
			b.Run(s.name, func(b *testing.B) { mixed(b, s, keys, 0, 1) })
			s.close()
		}
	})
}

// BenchmarkCacheMixed is a zipf over keys that all fit, some of the operations Sets.
func BenchmarkCacheMixed(b *testing.B) {
	keys := zipfKeys(16 << 10)
	for _, writes := range []int{25, 50, 100} {
		for _, mk := range makers[uint64, uint64](16<<10, 0) {
			s := mk()
			for _, k := range keys {
				s.set(k, k)
			}
			s.quiet()
			b.Run(fmt.Sprintf("writes=%d/%s", writes, s.name), func(b *testing.B) { mixed(b, s, keys, writes, 1) })
			s.close()
		}
	}
}

// BenchmarkCacheEvict inserts keys that were never seen into a full cache.
func BenchmarkCacheEvict(b *testing.B) {
	for _, n := range []int{16 << 10, 1 << 20} {
		for _, mk := range makers[uint64, uint64](n, 0) {
			s := mk()
			next := 0
			for ; next < n+n/8; next++ {
				s.set(spread(next), 1)
			}
			s.quiet()
			b.Run(strconv.Itoa(n)+"/"+s.name, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					s.set(spread(next), 1)
					next++
				}
			})
			s.close()
		}
	}
}

// BenchmarkCacheMemory is the heap that a million entries take: 16-byte strings, numbers,
// and an hour to live. The keys' bytes are counted.
func BenchmarkCacheMemory(b *testing.B) {
	const n = 1_000_000
	for i, mk := range makers[string, uint64](n, time.Hour) {
		b.Run([]string{"ashlar", "otter", "theine", "ristretto", "golang-lru"}[i], func(b *testing.B) {
			for b.Loop() {
				before := heapNow()
				s := mk()
				for k := range n {
					s.set(fmt.Sprintf("key:%012d", k), uint64(k))
				}
				s.quiet()
				b.ReportMetric(float64(heapNow()-before)/n, "bytes/entry")
				runtime.KeepAlive(s)
				s.close()
			}
		})
	}
}

// heapNow is the live heap.
func heapNow() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
