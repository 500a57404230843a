package ledger

import (
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/ashlar-go/ashlar/snowflake"
)

func silent(int64, int64) {}

// TestAgainstMap: the ledger says of any ids what a map of them says.
func TestAgainstMap(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		require.NoError(rt, err)
		l := New(dir, rapid.IntRange(1, 20).Draw(rt, "chunk"))
		batches := rapid.SliceOf(rapid.SliceOf(rapid.OneOf(rapid.Int64Range(0, 50), rapid.Int64Range(0, 1<<63-1)))).Draw(rt, "ids")
		seen := map[snowflake.ID]int{}
		var twice []snowflake.ID
		var count int64
		for _, b := range batches {
			var ids []snowflake.ID
			for _, v := range b {
				ids = append(ids, snowflake.ID(v))
				if seen[snowflake.ID(v)]++; seen[snowflake.ID(v)] == 2 {
					twice = append(twice, snowflake.ID(v))
				}
				count++
			}
			require.NoError(rt, l.Add(ids...))
		}
		r, err := l.Verify(silent)
		require.NoError(rt, err)
		require.Equal(rt, count, r.Count)
		require.Equal(rt, count, l.Count())
		require.Equal(rt, int64(len(seen)), r.Distinct)
		slices.Sort(twice)
		require.Equal(rt, len(r.Duplicates), min(len(twice), most))
		for i, id := range r.Duplicates {
			require.Equal(rt, twice[i], id)
		}
	})
}

// TestOneAmongMany: a single duplicate among many ids, added by several goroutines, is found.
func TestOneAmongMany(t *testing.T) {
	l := New(t.TempDir(), 10_000)
	const each = 100_000
	planted := snowflake.ID(rand.Int64N(4 * each))
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := range each {
				if err := l.Add(snowflake.ID(w*each + i)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	require.NoError(t, l.Add(planted))
	calls := 0
	r, err := l.Verify(func(seen, all int64) { calls++; require.LessOrEqual(t, seen, all) })
	require.NoError(t, err)
	require.Equal(t, []snowflake.ID{planted}, r.Duplicates)
	require.Equal(t, r.Count-1, r.Distinct)
	require.Positive(t, calls)
}

// TestDamagedRun: a file that lost its end, or was changed, proves nothing.
func TestDamagedRun(t *testing.T) {
	for name, harm := range map[string]func(b []byte) []byte{
		"short":   func(b []byte) []byte { return b[:len(b)-1] },
		"empty":   func([]byte) []byte { return nil },
		"changed": func(b []byte) []byte { b[0]++; return b },
		"torn":    func(b []byte) []byte { b[len(b)-1] |= 0x80; return b },
	} {
		t.Run(name, func(t *testing.T) {
			l := New(t.TempDir(), 4)
			require.NoError(t, l.Add(1, 2, 3, 4, 5))
			b, err := os.ReadFile(l.runs[0])
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(l.runs[0], harm(b), 0o644))
			_, err = l.Verify(silent)
			require.Error(t, err)
		})
	}
}

// TestNoRoom: a ledger that cannot write says so, and does not claim a proof.
func TestNoRoom(t *testing.T) {
	l := New("/does/not/exist", 2)
	require.Error(t, l.Add(1, 2))
	require.Error(t, l.Add(3))
	_, err := l.Verify(silent)
	require.Error(t, err)
}

func BenchmarkLedger(b *testing.B) {
	ids := make([]snowflake.ID, 1000)
	dir := b.TempDir()
	l := New(dir, 0)
	next := snowflake.ID(1 << 60)
	for b.Loop() {
		for i := range ids {
			next++
			ids[i] = next
		}
		if err := l.Add(ids...); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(l.Count()), "ns/id")
}
