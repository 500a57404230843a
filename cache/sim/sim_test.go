package sim

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/cache"
)

// bruteForce tries every eviction: the most hits that any policy can have.
func bruteForce(size int, trace []uint64) int {
	type state struct {
		at   int
		held string
	}
	memo := map[state]int{}
	var best func(at int, held []byte) int
	best = func(at int, held []byte) int {
		if at == len(trace) {
			return 0
		}
		s := state{at, string(held)}
		if n, ok := memo[s]; ok {
			return n
		}
		k, n := byte(trace[at]), 0
		switch {
		case bytes.IndexByte(held, k) >= 0:
			n = 1 + best(at+1, held)
		case len(held) < size:
			n = best(at+1, append(bytes.Clone(held), k))
		default:
			for i := range held {
				next := bytes.Clone(held)
				next[i] = k
				n = max(n, best(at+1, next))
			}
		}
		memo[s] = n
		return n
	}
	return best(0, nil)
}

func TestBeladyIsOptimal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		trace := rapid.SliceOfN(rapid.Uint64Range(0, 6), 0, 14).Draw(t, "trace")
		size := rapid.IntRange(0, 4).Draw(t, "size")
		want := 0
		if size > 0 {
			want = bruteForce(size, trace)
		}
		require.Equal(t, want, Belady(size, trace).Hits)
	})
}

// TestNobodyBeatsBelady, and the adaptive policy takes what the shape of a load offers.
func TestNobodyBeatsBelady(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 30_000
	}
	for name, trace := range map[string][]uint64{
		"zipf":     Zipf(n, 10_000, 0.9, 1),
		"loop":     Loop(n, 600),
		"scan":     Scan(n, 10_000, 1000, 0.9, 1),
		"shifting": Shifting(n, 10_000, n/10, 0.9, 1),
	} {
		best, lru := Belady(500, trace), 0.0
		for p := cache.Adaptive; p < cache.Unbounded; p++ {
			r, err := Run(p, 500, trace, 1)
			require.NoError(t, err)
			require.LessOrEqual(t, r.Hits, best.Hits, "%s %v", name, p)
			if p == cache.LRU {
				lru = r.Ratio()
			}
		}
		a, err := Run(cache.Adaptive, 500, trace, 1)
		require.NoError(t, err)
		t.Logf("%s: %v of %v, LRU %.2f %%", name, a, best, 100*lru)
		floor := 0.25
		if name == "shifting" { // nothing but recency helps against that
			floor = -0.05
		}
		require.Greater(t, (a.Ratio()-lru)/(best.Ratio()-lru), floor, name)
		again, err := Run(cache.Adaptive, 500, trace, 1)
		require.NoError(t, err)
		require.Equal(t, a, again, "a seed makes it reproducible")
	}
}

func TestUnboundedMissesEveryKeyOnce(t *testing.T) {
	r, err := Run(cache.Unbounded, 0, Loop(1000, 100), 1)
	require.NoError(t, err)
	require.Equal(t, 900, r.Hits)
	_, err = Run(cache.Adaptive, -1, nil, 1)
	require.ErrorIs(t, err, cache.ErrOptions)
	require.Zero(t, Result{}.Ratio())
}

func pack(t testing.TB, keys ...uint32) []byte {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	require.NoError(t, binary.Write(z, binary.LittleEndian, keys))
	require.NoError(t, z.Close())
	return b.Bytes()
}

func TestRead(t *testing.T) {
	keys := make([]uint32, 70_000)
	for i := range keys {
		keys[i] = uint32(i * 3)
	}
	got, err := Read(bytes.NewReader(pack(t, keys...)))
	require.NoError(t, err)
	require.Len(t, got, len(keys))
	require.Equal(t, uint64(3*69_999), got[69_999])
	_, err = Read(strings.NewReader("no gzip"))
	require.ErrorIs(t, err, ErrTrace)
	whole := pack(t, keys...)
	_, err = Read(bytes.NewReader(whole[:len(whole)-30]))
	require.ErrorIs(t, err, ErrTrace)
	_, err = ReadFile(filepath.Join(t.TempDir(), "none"))
	require.ErrorIs(t, err, os.ErrNotExist)
}

func FuzzRead(f *testing.F) {
	f.Add(pack(f, 1, 2, 3))
	f.Add([]byte{0x1f, 0x8b})
	f.Fuzz(func(t *testing.T, in []byte) {
		if len(in) > 4096 {
			return
		}
		if _, err := Read(bytes.NewReader(in)); err != nil {
			require.ErrorIs(t, err, ErrTrace)
		}
	})
}

func ExampleRun() {
	r, err := Run(cache.LRU, 10, Loop(100, 11), 1)
	if err != nil {
		panic(err)
	}
	os.Stdout.WriteString(r.String() + " of " + Belady(10, Loop(100, 11)).String())
	// Output: 0.00 % of 81.00 %
}

// TestTraces replays the real traces of a folder that ASHLAR_DATA names, and holds the
// adaptive policy to a share of the way from LRU to Belady's optimum.
func TestTraces(t *testing.T) {
	dir := os.Getenv("ASHLAR_DATA")
	if dir == "" {
		t.Skip("ASHLAR_DATA does not name a folder of traces (NAME.i32.gz)")
	}
	for name, floor := range map[string]float64{"oltp": 0.4, "web12": 0.25, "scarab": 0.2, "orm-night": 0.05} {
		trace, err := ReadFile(filepath.Join(dir, name+".i32.gz"))
		require.NoError(t, err)
		best := Belady(1000, trace).Ratio()
		lru, err := Run(cache.LRU, 1000, trace, 1)
		require.NoError(t, err)
		a, err := Run(cache.Adaptive, 1000, trace, 1)
		require.NoError(t, err)
		share := (a.Ratio() - lru.Ratio()) / (best - lru.Ratio())
		t.Logf("%s: %v, LRU %v, Belady %.2f %%: %.0f %% of the gap", name, a, lru, 100*best, 100*share)
		require.Greater(t, share, floor, name)
	}
}
