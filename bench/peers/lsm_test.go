package peers

// Stores, each behind the same few methods and at the same sizes: 16 MiB memtables, a
// 64 MiB block cache, Bloom filters of ten bits where there are any. Durability classes are
// never mixed: "queued" stays in the process, "written" is handed to the kernel, "synced"
// is on disk. Pebble runs in its newest format. bbolt is a B+ tree with one writer: it is
// here for those who would pick it, "written" by its NoSync, which its manual warns of.

import (
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	pebblebloom "github.com/cockroachdb/pebble/v2/bloom"
	"github.com/dgraph-io/badger/v4"
	"github.com/syndtr/goleveldb/leveldb"
	"github.com/syndtr/goleveldb/leveldb/filter"
	"github.com/syndtr/goleveldb/leveldb/opt"
	"go.etcd.io/bbolt"

	"github.com/ashlar-go/ashlar/lsm"
)

// store is what all of them can do. put of the fast class is queued or written, by engine.
type store struct {
	name  string
	put   func(k, v []byte, sync bool) error
	get   func(k []byte) (found bool, err error)
	scan  func() (n int, err error)
	fast  string // what put without sync means
	close func() error
}

func stores(b *testing.B) []store {
	var out []store
	must := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	for _, d := range []lsm.Durability{lsm.Queued, lsm.Written} {
		db, err := lsm.Open(b.TempDir(), lsm.Options{MemtableSize: 16 << 20})
		must(err)
		fast := "queued"
		if d == lsm.Written {
			fast = "written"
		}
		buf := make([]byte, 0, 256)
		out = append(out, store{"ashlar", func(k, v []byte, sync bool) error {
			if sync {
				return db.Put(k, v, lsm.Synced)
			}
			return db.Put(k, v, d)
		}, func(k []byte) (bool, error) {
			_, err := db.AppendGet(buf, k)
			if errors.Is(err, lsm.ErrNotFound) {
				return false, nil
			}
			return err == nil, err
		}, func() (n int, err error) {
			for _, err := range db.Scan(lsm.Range{}) {
				if err != nil {
					return n, err
				}
				n++
			}
			return n, nil
		}, fast, db.Close})
	}

	po := &pebble.Options{MemTableSize: 16 << 20, FormatMajorVersion: pebble.FormatNewest, Cache: pebble.NewCache(64 << 20), Logger: quiet{}}
	for i := range po.Levels {
		po.Levels[i].FilterPolicy = pebblebloom.FilterPolicy(10)
	}
	pb, err := pebble.Open(b.TempDir(), po)
	must(err)
	out = append(out, store{"pebble", func(k, v []byte, sync bool) error {
		if sync {
			return pb.Set(k, v, pebble.Sync)
		}
		return pb.Set(k, v, pebble.NoSync)
	}, func(k []byte) (bool, error) {
		_, c, err := pb.Get(k)
		if errors.Is(err, pebble.ErrNotFound) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		return true, c.Close()
	}, func() (n int, err error) {
		it, err := pb.NewIter(nil)
		if err != nil {
			return 0, err
		}
		for ok := it.First(); ok; ok = it.Next() {
			n++
		}
		return n, it.Close()
	}, "queued", pb.Close})

	ld, err := leveldb.OpenFile(b.TempDir(), &opt.Options{WriteBuffer: 16 << 20, BlockCacheCapacity: 64 << 20, Filter: filter.NewBloomFilter(10)})
	must(err)
	out = append(out, store{"goleveldb", func(k, v []byte, sync bool) error {
		return ld.Put(k, v, &opt.WriteOptions{Sync: sync})
	}, func(k []byte) (bool, error) {
		_, err := ld.Get(k, nil)
		if errors.Is(err, leveldb.ErrNotFound) {
			return false, nil
		}
		return err == nil, err
	}, func() (n int, err error) {
		it := ld.NewIterator(nil, nil)
		defer it.Release()
		for it.Next() {
			n++
		}
		return n, it.Error()
	}, "written", ld.Close})

	bd, err := badger.Open(badger.DefaultOptions(b.TempDir()).WithLogger(nil).WithMemTableSize(16 << 20).WithBlockCacheSize(64 << 20))
	must(err)
	out = append(out, store{"badger", func(k, v []byte, sync bool) error {
		err := bd.Update(func(tx *badger.Txn) error { return tx.Set(append([]byte(nil), k...), append([]byte(nil), v...)) })
		if err == nil && sync {
			err = bd.Sync()
		}
		return err
	}, func(k []byte) (found bool, err error) {
		err = bd.View(func(tx *badger.Txn) error {
			it, err := tx.Get(k)
			if err != nil {
				return err
			}
			found = true
			return it.Value(func([]byte) error { return nil })
		})
		if errors.Is(err, badger.ErrKeyNotFound) {
			err = nil
		}
		return found, err
	}, func() (n int, err error) {
		err = bd.View(func(tx *badger.Txn) error {
			it := tx.NewIterator(badger.DefaultIteratorOptions)
			defer it.Close()
			for it.Rewind(); it.Valid(); it.Next() {
				n++
			}
			return nil
		})
		return n, err
	}, "written", bd.Close})

	bb, err := bbolt.Open(filepath.Join(b.TempDir(), "bbolt"), 0o600, nil)
	must(err)
	bucket := []byte("b")
	must(bb.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket(bucket)
		return err
	}))
	out = append(out, store{"bbolt", func(k, v []byte, sync bool) error {
		if sync {
			// Batch lets writers share a sync, and makes one alone wait for others.
			return bb.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put(k, v) })
		}
		bb.NoSync = true
		defer func() { bb.NoSync = false }()
		return bb.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put(k, v) })
	}, func(k []byte) (found bool, err error) {
		err = bb.View(func(tx *bbolt.Tx) error {
			found = tx.Bucket(bucket).Get(k) != nil
			return nil
		})
		return found, err
	}, func() (n int, err error) {
		err = bb.View(func(tx *bbolt.Tx) error {
			return tx.Bucket(bucket).ForEach(func(_, _ []byte) error {
				n++
				return nil
			})
		})
		return n, err
	}, "written", bb.Close})
	return out
}

type quiet struct{}

func (quiet) Infof(string, ...any)      {}
func (quiet) Errorf(string, ...any)     {}
func (quiet) Fatalf(f string, a ...any) { panic(fmt.Sprintf(f, a...)) }

func BenchmarkStore(b *testing.B) {
	n := 200_000
	if testing.Short() {
		n = 2_000
	}
	v := make([]byte, 100)
	for i := range 50 {
		v[i] = byte(spread(i))
	}
	key := func(buf []byte, i int) []byte { return fmt.Appendf(buf[:0], "%016x", spread(i)) }
	for _, s := range stores(b) {
		name := s.name + "-" + s.fast
		var k []byte
		next := 0
		b.Run("fillrandom/"+name, func(b *testing.B) {
			for b.Loop() {
				k = key(k, next)
				if err := s.put(k, v, false); err != nil {
					b.Fatal(err)
				}
				next++
			}
		})
		for ; next < n; next++ {
			k = key(k, next)
			if err := s.put(k, v, false); err != nil {
				b.Fatal(err)
			}
		}
		b.Run("readhit/"+name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				k = key(k, i*7919%n)
				if ok, err := s.get(k); !ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
		b.Run("readmiss/"+name, func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				k = append(key(k, i%n), 'x')
				if ok, err := s.get(k); ok || err != nil {
					b.Fatal(ok, err)
				}
			}
		})
		b.Run("scan/"+name, func(b *testing.B) {
			total := 0
			for b.Loop() {
				c, err := s.scan()
				if err != nil || c < n {
					b.Fatal(c, err)
				}
				total += c
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(total), "ns/entry")
		})
		if s.fast == "queued" || s.name != "ashlar" {
			b.Run("fillsync/"+s.name, func(b *testing.B) {
				for b.Loop() {
					k = key(k, next)
					if err := s.put(k, v, true); err != nil {
						b.Fatal(err)
					}
					next++
				}
			})
			b.Run("fillsync16/"+s.name, func(b *testing.B) {
				var at atomic.Int64
				at.Store(int64(next))
				b.SetParallelism(max(1, 16/runtime.GOMAXPROCS(0)))
				b.RunParallel(func(pb *testing.PB) {
					var k []byte
					for pb.Next() {
						k = key(k, int(at.Add(1)))
						if err := s.put(k, v, true); err != nil {
							b.Error(err)
							return
						}
					}
				})
				next = int(at.Load()) + 1
			})
		}
		if err := s.close(); err != nil {
			b.Fatal(err)
		}
	}
}
