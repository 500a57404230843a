package memtable_test

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
	"github.com/ashlar-go/ashlar/lsm/internal/memtable"
)

// benchKeys are keys of 16 bytes in random order: random ones, and ones that tie in the
// eight bytes that searches compare first.
var benchKeys = map[string]func(k []byte, i uint64){
	"random": func(k []byte, i uint64) {
		binary.BigEndian.PutUint64(k, i*0x9e3779b97f4a7c15)
		k[15] = 0
	},
	"tied": func(k []byte, i uint64) {
		copy(k, "user")
		v := i * 2654435761 % 1e9
		for j := 15; j >= 4; j-- {
			k[j] = byte('0' + v%10)
			v /= 10
		}
	},
	"ascending": func(k []byte, i uint64) { binary.BigEndian.PutUint64(k, i) },
}

const benchEntries = 400_000 // 64 MiB or so

func BenchmarkAdd(b *testing.B) {
	for _, order := range []string{"random", "tied", "ascending"} {
		b.Run(order, func(b *testing.B) {
			b.ReportAllocs()
			t, n := memtable.New(64<<20), uint64(0)
			k, v := make([]byte, 16), make([]byte, 100)
			for b.Loop() {
				if n++; n > benchEntries {
					b.StopTimer()
					t, n = memtable.New(64<<20), 1
					b.StartTimer()
				}
				benchKeys[order](k, n)
				_ = t.Add(n, key.Set, k, v)
			}
		})
	}
}

func BenchmarkRead(b *testing.B) {
	for _, order := range []string{"random", "tied"} {
		t := memtable.New(64 << 20)
		k, v := make([]byte, 16), make([]byte, 100)
		for n := range uint64(benchEntries) {
			benchKeys[order](k, n)
			_ = t.Add(n, key.Set, k, v)
		}
		for _, what := range []string{"hit", "miss"} {
			b.Run(fmt.Sprintf("Get/%s/%s", what, order), func(b *testing.B) {
				b.ReportAllocs()
				for i := uint64(0); b.Loop(); i++ {
					benchKeys[order](k, i*7919%benchEntries)
					if what == "miss" {
						k[15] = 'x'
					}
					if _, _, ok := t.Get(k, key.MaxSeq); ok != (what == "hit") {
						b.Fatal("wrong answer")
					}
				}
			})
		}
		it := t.Iter()
		b.Run("Next/"+order, func(b *testing.B) {
			for b.Loop() {
				if !it.Next() {
					it.First()
				}
			}
		})
		b.Run("Prev/"+order, func(b *testing.B) {
			for b.Loop() {
				if !it.Prev() {
					it.Last()
				}
			}
		})
	}
}
