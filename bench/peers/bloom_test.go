package peers

// Filters. blobloom was not to be had when this table was made.

import (
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/FastFilter/xorfilter"
	standard "github.com/bits-and-blooms/bloom/v3"
	"github.com/seiflotfy/cuckoofilter"

	"github.com/ashlar-go/ashlar/bloom"
)

// spread makes distinct pseudo-random numbers of 0, 1, 2, …
func spread(i int) uint64 {
	x := uint64(i)
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func keyOf(i int) []byte { return binary.LittleEndian.AppendUint64(nil, spread(i)) }

// BenchmarkBloom asks filters of n keys at one false positive in a hundred (cuckoo and
// fuse: what their eight bits give). All hash the key's eight bytes themselves but
// xorfilter, which takes hashes.
func BenchmarkBloom(b *testing.B) {
	sizes := []int{10_000, 1_000_000, 10_000_000}
	if testing.Short() {
		sizes = sizes[:1]
	}
	for _, n := range sizes {
		ours, theirs, cuckoo := bloom.New(n, 0.01), standard.NewWithEstimates(uint(n), 0.01), cuckoo.NewFilter(uint(n))
		var bd bloom.Builder
		hashes := make([]uint64, n)
		for i := range n {
			k := keyOf(i)
			ours.Add(k)
			theirs.Add(k)
			cuckoo.Insert(k)
			bd.Add(k)
			hashes[i] = bloom.Hash(k)
		}
		fuse, err := bd.Fuse(8)
		if err != nil {
			b.Fatal(err)
		}
		xor, err := xorfilter.PopulateBinaryFuse8(hashes)
		if err != nil {
			b.Fatal(err)
		}
		var k [8]byte
		for _, kind := range []string{"hit", "miss"} {
			key := func(i int) []byte {
				if i %= n; kind == "miss" {
					i += 1 << 30
				}
				binary.LittleEndian.PutUint64(k[:], spread(i))
				return k[:]
			}
			for _, f := range []struct {
				name string
				has  func([]byte) bool
			}{
				{"ashlar", ours.Has}, {"ashlar-fuse8", fuse.Has}, {"bits-and-blooms", theirs.Test}, {"cuckoofilter", cuckoo.Lookup},
				{"xorfilter-fuse8", func(k []byte) bool { return xor.Contains(bloom.Hash(k)) }},
			} {
				b.Run(fmt.Sprintf("%s/%d/%s", kind, n, f.name), func(b *testing.B) {
					for i := 0; b.Loop(); i++ {
						f.has(key(i * 7919))
					}
				})
			}
		}
		b.Run(fmt.Sprintf("add/%d/ashlar", n), func(b *testing.B) {
			f := bloom.New(n, 0.01)
			for i := 0; b.Loop(); i++ {
				binary.LittleEndian.PutUint64(k[:], spread(i))
				f.Add(k[:])
			}
		})
		b.Run(fmt.Sprintf("add/%d/bits-and-blooms", n), func(b *testing.B) {
			f := standard.NewWithEstimates(uint(n), 0.01)
			for i := 0; b.Loop(); i++ {
				binary.LittleEndian.PutUint64(k[:], spread(i))
				f.Add(k[:])
			}
		})
	}
}
