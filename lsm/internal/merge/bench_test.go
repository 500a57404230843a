package merge_test

import (
	"fmt"
	"testing"

	"github.com/ashlar-go/ashlar/lsm/internal/key"
	"github.com/ashlar-go/ashlar/lsm/internal/memtable"
	"github.com/ashlar-go/ashlar/lsm/internal/merge"
)

// BenchmarkNext merges sources that take turns, and ones of which the first has most.
func BenchmarkNext(b *testing.B) {
	for _, n := range []int{1, 2, 5, 10} {
		for _, skewed := range []bool{false, true} {
			b.Run(fmt.Sprintf("%d/skewed=%v", n, skewed), func(b *testing.B) {
				tables := make([]*memtable.Table, n)
				for i := range tables {
					tables[i] = memtable.New(4 << 20)
				}
				for i := range uint64(50_000) {
					t := tables[i*2654435761%1_000_003%uint64(n)]
					if skewed && i%16 != 0 {
						t = tables[0]
					}
					_ = t.Add(i+1, key.Set, fmt.Appendf(nil, "%016d", i), nil)
				}
				var its []key.Iterator
				for _, t := range tables {
					its = append(its, t.Iter())
				}
				m := merge.New(its...)
				b.ReportAllocs()
				for b.Loop() {
					if !m.Next() {
						m.First()
					}
				}
			})
		}
	}
}
