package peers

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	bwmarrin "github.com/bwmarrin/snowflake"
	"github.com/google/uuid"
	"github.com/oklog/ulid/v2"
	"github.com/rs/xid"
	"github.com/sony/sonyflake"

	"github.com/ashlar-go/ashlar/snowflake"
)

// Ids. "format" is what a layout of 4,096 ids a millisecond allows, 244 ns each, and what
// it costs to keep to it: "cpu-%" is of one core. The other rows have a sequence of 22 bits,
// which nobody uses up, so that the generators themselves are measured; "cpu-ns/op", what an
// id takes of all cores, means more than the time where other work goes on. xid, ULID and
// UUIDv7 are wider and partly random. sonyflake's newer versions were not to be had.

// ample leaves all bits but the time's to the sequence, as bwmarrin's is set up below.
var ample = snowflake.Layout{TimeBits: 41, SeqBits: 22}

type idMaker struct {
	name string
	next func()
}

// ids makes one of each. bwmarrin's layout is set in globals, for all nodes made after it.
func ids(b *testing.B, layout snowflake.Layout, o snowflake.Options) []idMaker {
	b.Helper()
	o.Layout = layout
	ours, err := snowflake.New(o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = ours.Close() })
	bwmarrin.NodeBits, bwmarrin.StepBits = layout.NodeBits, layout.SeqBits
	theirs, err := bwmarrin.NewNode(0)
	if err != nil {
		b.Fatal(err)
	}
	return []idMaker{
		{"ashlar", func() {
			if _, err := ours.Next(); err != nil {
				b.Error(err)
			}
		}},
		{"bwmarrin", func() { theirs.Generate() }},
	}
}

func BenchmarkIDFormat(b *testing.B) {
	for _, m := range ids(b, snowflake.Classic, snowflake.Options{}) {
		b.Run(m.name, func(b *testing.B) {
			cpu := cpuTime()
			for b.Loop() {
				m.next()
			}
			b.ReportMetric(100*float64(cpuTime()-cpu)/float64(b.Elapsed()), "cpu-%")
		})
	}
	sony, err := sonyflake.New(sonyflake.Settings{MachineID: func() (uint16, error) { return 1, nil }})
	if err != nil {
		b.Fatal(err)
	}
	b.Run("sonyflake", func(b *testing.B) {
		cpu := cpuTime()
		for b.Loop() {
			if _, err := sony.NextID(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(100*float64(cpuTime()-cpu)/float64(b.Elapsed()), "cpu-%")
	})
}

func BenchmarkID(b *testing.B) {
	makers := append(ids(b, ample, snowflake.Options{}),
		idMaker{"ulid", func() { ulid.Make() }},
		idMaker{"xid", func() { xid.New() }},
		idMaker{"uuidv7", func() {
			if _, err := uuid.NewV7(); err != nil {
				b.Error(err)
			}
		}},
		idMaker{"clock=time.Now", func() { _ = time.Now() }},
	)
	wide := ids(b, snowflake.Wide, snowflake.Options{})[0]
	wide.name = "ashlar-wide"
	makers = append(makers, wide)
	for _, m := range makers {
		b.Run("alone/"+m.name, func(b *testing.B) {
			b.ReportAllocs()
			cpu := cpuTime()
			for b.Loop() {
				m.next()
			}
			b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
		})
	}
	for _, each := range []int{1, 16} {
		for _, m := range makers {
			b.Run(fmt.Sprintf("parallel=%d/%s", each, m.name), func(b *testing.B) {
				cpu := cpuTime()
				b.SetParallelism(each) // goroutines on each core
				b.RunParallel(func(pb *testing.PB) {
					for pb.Next() {
						m.next()
					}
				})
				used := cpuTime() - cpu
				b.ReportMetric(float64(used)/float64(b.N), "cpu-ns/op")
				b.ReportMetric(float64(used)/float64(b.Elapsed()), "cores") // less than there are: somebody else had one
			})
		}
	}
}

// BenchmarkIDFloor is what two cores can do at best, if every id is to be later than those
// before it: they must share a word. The rows are ways to do so, with nothing else: a mutex
// around the clock and the word, as bwmarrin has it; the clock and one atomic operation for
// each id; the clock for one in so many; no clock. The last row has no order between cores:
// each has a word of its own, found by a sync.Pool.
func BenchmarkIDFloor(b *testing.B) {
	type word struct {
		_ [64]byte
		n atomic.Uint64
		_ [64]byte
	}
	var state, free word
	base := time.Now()
	run := func(name string, next func()) {
		b.Run(name, func(b *testing.B) {
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					next()
				}
			})
		})
	}
	var mu sync.Mutex
	n := 0
	run("mutex", func() {
		mu.Lock()
		_ = time.Since(base)
		n++
		mu.Unlock()
	})
	run("clock=1", func() {
		_ = time.Since(base)
		state.n.Add(1)
	})
	for _, each := range []uint64{4, 16, 64, 256} {
		free.n.Store(0)
		run(fmt.Sprintf("clock=1of%d", each), func() {
			if at := state.n.Add(1); at > free.n.Load() {
				_ = time.Since(base)
				free.n.Store(at + each)
			}
		})
	}
	run("clock=0", func() { state.n.Add(1) })
	shards := sync.Pool{New: func() any { return new(word) }}
	run("shards", func() {
		w := shards.Get().(*word)
		_ = time.Since(base)
		w.n.Store(w.n.Load() + 1)
		shards.Put(w)
	})
}

func BenchmarkIDBatch(b *testing.B) {
	g, err := snowflake.New(snowflake.Options{Layout: ample})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = g.Close() })
	for _, n := range []int{16, 1024} {
		batch := make([]snowflake.ID, n)
		b.Run(fmt.Sprintf("ashlar/%d", n), func(b *testing.B) {
			cpu := cpuTime()
			for b.Loop() {
				if err := g.Fill(batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N*n), "cpu-ns/id")
		})
	}
}
