package wal

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// write makes a log of records, marking it synced after each of the given ones.
func write(t testing.TB, records [][]byte, synced map[int]bool) (log []byte, ends []int64) {
	var buf bytes.Buffer
	w := NewWriter(&buf, 7)
	for i, r := range records {
		w.Append(r)
		require.NoError(t, w.Flush())
		ends = append(ends, w.Offset())
		if synced[i] {
			w.Mark(w.Offset())
		}
	}
	require.NoError(t, w.Flush())
	require.EqualValues(t, buf.Len(), w.Offset())
	return buf.Bytes(), ends
}

func read(log []byte) (records [][]byte, r *Reader, err error) {
	r = NewReader(bytes.NewReader(log), int64(len(log)), 7)
	for {
		rec, err := r.Next()
		if err != nil {
			return records, r, err
		}
		records = append(records, bytes.Clone(rec))
	}
}

func record(i, n int) []byte { return bytes.Repeat([]byte{byte('a' + i%26)}, n) }

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		sizes := rapid.SliceOfN(rapid.OneOf(rapid.IntRange(0, 100), rapid.IntRange(blockSize-60, blockSize+60), rapid.IntRange(0, 4*blockSize)), 0, 12).Draw(t, "sizes")
		marks := rapid.SliceOfN(rapid.Bool(), len(sizes), len(sizes)).Draw(t, "marks")
		var want [][]byte
		synced := map[int]bool{}
		for i, n := range sizes {
			want = append(want, record(i, n))
			synced[i] = marks[i]
		}
		var buf bytes.Buffer
		w := NewWriter(&buf, 7)
		for i, rec := range want {
			w.Append(rec)
			if synced[i] {
				w.Mark(w.Offset())
			}
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		got, r, err := read(append(buf.Bytes(), make([]byte, rapid.IntRange(0, 2*blockSize).Draw(t, "unused"))...))
		if !errors.Is(err, io.EOF) || r.Torn() || len(got) != len(want) {
			t.Fatalf("%d of %d records, torn %v: %v", len(got), len(want), r.Torn(), err)
		}
		for i := range want {
			if !bytes.Equal(got[i], want[i]) {
				t.Fatalf("record %d differs", i)
			}
		}
	})
}

// A log cut at every byte reads as the records that are whole, and says whether it is torn.
func TestCutAtEveryByte(t *testing.T) {
	log, ends := write(t, [][]byte{record(0, 10), record(1, 0), record(2, blockSize), record(3, 300)}, map[int]bool{1: true})
	for n := range len(log) + 1 {
		want := 0
		for _, e := range ends {
			if e <= int64(n) {
				want++
			}
		}
		got, r, err := read(log[:n])
		require.ErrorIs(t, err, io.EOF, n)
		require.Len(t, got, want, "cut at %d", n)
		if !r.Torn() {
			require.True(t, n == 0 || n == len(log) || r.Offset() == int64(n) || blockSize-n%blockSize < headerSize, "cut at %d unnoticed", n)
		}
	}
}

// A flipped bit never changes a record: what comes is a prefix, and where a mark proves
// that the place had been synced, it is an error.
func TestFlipEveryBit(t *testing.T) {
	records := [][]byte{record(0, 50), record(1, 20), record(2, 90), record(3, 5)}
	log, ends := write(t, records, map[int]bool{1: true, 3: true})
	for bit := range len(log) * 8 {
		log[bit/8] ^= 1 << (bit % 8)
		got, r, err := read(log)
		for i, rec := range got {
			require.Equal(t, records[i], rec, "bit %d", bit)
		}
		var damage *CorruptError
		if at := int64(bit / 8); errors.As(err, &damage) {
			require.LessOrEqual(t, damage.Offset, at)
		} else {
			require.ErrorIs(t, err, io.EOF)
			require.True(t, r.Torn() || at >= ends[3], "bit %d went unnoticed", bit)
			require.False(t, at < ends[1], "bit %d: rot in synced space was taken for a torn end", bit)
		}
		log[bit/8] ^= 1 << (bit % 8)
	}
}

// Unsynced sectors lost in any combination leave a prefix, and never an error.
func TestLostSectorsAreNoCorruption(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 0))
		var buf bytes.Buffer
		w := NewWriter(&buf, 7)
		var records [][]byte
		var ends []int64
		synced := int64(0)
		for i := range 20 {
			records = append(records, record(i, r.IntN(3000)))
			w.Append(records[i])
			ends = append(ends, w.Offset())
			if r.IntN(4) == 0 {
				synced = w.Offset()
				w.Mark(synced)
			}
		}
		require.NoError(t, w.Flush())
		log := buf.Bytes()
		for s := (synced + 511) / 512; s*512 < int64(len(log)); s++ {
			if r.IntN(2) == 0 {
				clear(log[s*512 : min((s+1)*512, int64(len(log)))])
			}
		}
		got, _, err := read(log)
		require.ErrorIs(t, err, io.EOF, "seed %d", seed)
		for i, e := range ends {
			if e <= synced {
				require.Greater(t, len(got), i, "seed %d: a synced record is missing", seed)
			}
		}
		for i, rec := range got {
			require.Equal(t, records[i], rec, "seed %d", seed)
		}
	}
}

// Bytes of another log are not this one's.
func TestForeignFragments(t *testing.T) {
	log, _ := write(t, [][]byte{record(0, 10)}, nil)
	r := NewReader(bytes.NewReader(log), int64(len(log)), 8)
	_, err := r.Next()
	require.ErrorIs(t, err, io.EOF)
	require.True(t, r.Torn())
}

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }
func (f failing) Write([]byte) (int, error)         { return 0, f.err }

func TestErrorsOfTheFile(t *testing.T) {
	bad := errors.New("bad disk")
	_, err := NewReader(failing{bad}, 100, 7).Next()
	require.ErrorIs(t, err, bad)
	w := NewWriter(failing{bad}, 7)
	require.NoError(t, w.Flush())
	w.Append([]byte("x"))
	require.NotZero(t, w.Buffered())
	require.ErrorIs(t, w.Flush(), bad)
	w = NewWriter(failing{}, 7)
	w.Append([]byte("x"))
	require.ErrorIs(t, w.Flush(), io.ErrShortWrite)
	w.Append([]byte("y"))
	require.ErrorIs(t, w.Flush(), io.ErrShortWrite, "nothing may follow a hole")
}

// A mark fits wherever the block ends, and one in front of damage proves nothing.
func TestMarksAtTheEndsOfBlocks(t *testing.T) {
	for n := blockSize - 4*headerSize; n <= blockSize; n++ {
		var buf bytes.Buffer
		w := NewWriter(&buf, 7)
		w.Append(record(0, n))
		synced := w.Offset()
		w.Mark(synced)
		w.Append(record(1, 10))
		require.NoError(t, w.Flush())
		got, r, err := read(buf.Bytes())
		require.ErrorIs(t, err, io.EOF)
		require.False(t, r.Torn(), n)
		require.True(t, r.Marked())
		require.Equal(t, [][]byte{record(0, n), record(1, 10)}, got)

		damaged := bytes.Clone(buf.Bytes())
		damaged[synced-1] ^= 1
		_, _, err = read(damaged)
		var damage *CorruptError
		require.ErrorAs(t, err, &damage, n)
		damaged = bytes.Clone(buf.Bytes())
		damaged[len(damaged)-1] ^= 1
		_, r, err = read(damaged)
		require.ErrorIs(t, err, io.EOF, n)
		require.True(t, r.Torn())
	}
}

// Records that hold pieces of the log are not taken for the log.
func TestLogWithinTheLog(t *testing.T) {
	inner, _ := write(t, [][]byte{record(0, 10), record(1, 20)}, map[int]bool{0: true, 1: true})
	log, ends := write(t, [][]byte{inner, inner}, nil)
	for n := range len(log) {
		got, _, err := read(log[:n])
		require.ErrorIs(t, err, io.EOF)
		for i, rec := range got {
			require.Equal(t, inner, rec, i)
		}
	}
	log[ends[0]] ^= 1 // a torn write: the marks inside of it prove nothing
	got, r, err := read(log)
	require.ErrorIs(t, err, io.EOF)
	require.True(t, r.Torn())
	require.Len(t, got, 1)
}

func FuzzReader(f *testing.F) {
	log, _ := write(f, [][]byte{record(0, 10), record(1, 0), record(2, 70)}, map[int]bool{1: true})
	f.Add(log)
	f.Add(make([]byte, 100))
	f.Fuzz(func(t *testing.T, log []byte) {
		_, r, err := read(log)
		var damage *CorruptError
		if !errors.Is(err, io.EOF) && !errors.As(err, &damage) {
			t.Fatal(err)
		}
		if r.Offset() > int64(len(log)) {
			t.Fatal("read past the end")
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	w := NewWriter(io.Discard, 1)
	rec := make([]byte, 140)
	b.ReportAllocs()
	b.SetBytes(int64(len(rec)))
	for b.Loop() {
		w.Append(rec)
		if w.Buffered() > 32<<10 {
			if err := w.Flush(); err != nil {
				b.Fatal(err)
			}
		}
	}
}
