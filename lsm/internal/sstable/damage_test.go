package sstable_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/bloom"
	"github.com/ashlar-go/ashlar/lsm/internal/key"
	"github.com/ashlar-go/ashlar/lsm/internal/sstable"
)

// small is a table with everything in it, of a few blocks.
func small(t testing.TB, c sstable.Compression) ([]byte, []point, []key.Span) {
	var pts []point
	for i := range 40 {
		k := fmt.Appendf(nil, "key/%02d", i/2)
		p := point{k: k, v: bytes.Repeat([]byte{byte(i)}, i), t: key.Pack(uint64(100-i), key.Set)}
		if i%5 == 0 {
			p.t, p.v = key.Pack(uint64(100-i), key.SetExpiring), append(key.AppendExpiry(nil, int64(i)), p.v...)
		}
		pts = append(pts, p)
	}
	spans := []key.Span{{Start: []byte("key/03"), End: []byte("key/07"), Seq: 80}, {Start: []byte("x"), End: []byte("y"), Seq: 9}}
	b, _ := build(t, sstable.WriterOptions{FileNum: 7, BlockSize: 300, Compression: c}, pts, spans)
	return b, pts, spans
}

// examine reads everything that is in a table that may be damaged: each answer must be
// right or an error of the damage. It returns the first error.
func examine(file []byte, pts []point, spans []key.Span) (first error) {
	note := func(err error) {
		c, ok := errors.AsType[*sstable.CorruptError](err)
		switch {
		case err == nil:
		case !ok || !errors.Is(err, sstable.ErrCorrupt):
			first = fmt.Errorf("not an error of damage: %w", err)
		case c.File != "test.table" || c.Offset < 0 || c.Offset > int64(len(file)):
			first = fmt.Errorf("wrong place: %w", err)
		case first == nil:
			first = err
		}
	}
	r, err := sstable.Open(bytes.NewReader(file), int64(len(file)), "test.table", 7, nil)
	if err != nil {
		note(err)
		return first
	}
	if len(r.Spans()) != len(spans) {
		return errors.New("wrong: number of tombstones")
	}
	for _, p := range pts {
		v, tr, found, err := r.Find(p.k, bloom.Hash(p.k), p.t.Seq())
		note(err)
		if err == nil && (!found || tr != p.t || !bytes.Equal(v, p.v)) {
			return fmt.Errorf("wrong: %q is %v %v %v", p.k, v, tr, found)
		}
		if got, want := r.CoverSeq(p.k, 90), coverSeq(spans, p.k, 90); got != want {
			return fmt.Errorf("wrong: covered by %d, not %d", got, want)
		}
	}
	for _, fill := range []bool{false, true} {
		it, i := r.Iter(fill), 0
		for ok := it.First(); ok; ok = it.Next() {
			if i >= len(pts) || comparePoints(point{k: it.Key(), t: it.Trailer()}, pts[i]) != 0 || !bytes.Equal(it.Value(), pts[i].v) {
				return errors.New("wrong: entry of a walk")
			}
			i++
		}
		if it.Err() == nil && i != len(pts) {
			return errors.New("wrong: a walk ends early")
		}
		note(it.Close())
		for i = len(pts) - 1; i >= 0 && it.SeekGE(pts[i].k, pts[i].t); i-- {
			if comparePoints(point{k: it.Key(), t: it.Trailer()}, pts[i]) != 0 {
				return errors.New("wrong: entry of a seek")
			}
		}
		if it.Err() == nil && i >= 0 {
			return errors.New("wrong: a seek finds nothing")
		}
		note(it.Err())
	}
	note(r.Verify(context.Background()))
	return first
}

// TestEveryFlippedBit flips each bit of a table. None may go unnoticed, none may lead to a
// wrong answer, and none may cost memory.
func TestEveryFlippedBit(t *testing.T) {
	for _, c := range []sstable.Compression{sstable.None, sstable.Snappy, sstable.Zstd} {
		file, pts, spans := small(t, c)
		require.NoError(t, examine(file, pts, spans))
		step := 1
		if testing.Short() || raceEnabled || c != sstable.None {
			step = 5
		}
		var before, after runtime.MemStats
		for i := 0; i < 8*len(file); i += step {
			file[i/8] ^= 1 << (i % 8)
			runtime.ReadMemStats(&before)
			err := examine(file, pts, spans)
			runtime.ReadMemStats(&after)
			if err == nil {
				t.Fatalf("%v: bit %d goes unnoticed", c, i)
			}
			if s := err.Error(); strings.HasPrefix(s, "wrong") || strings.HasPrefix(s, "not") {
				t.Fatalf("%v: bit %d: %v", c, i, err)
			}
			if spent := after.TotalAlloc - before.TotalAlloc; spent > 1<<20 {
				t.Fatalf("%v: bit %d costs %d bytes", c, i, spent)
			}
			file[i/8] ^= 1 << (i % 8)
		}
	}
}

// TestEveryLength cuts a table at every byte, and lets it grow.
func TestEveryLength(t *testing.T) {
	file, pts, spans := small(t, sstable.Snappy)
	for n := range file {
		err := examine(file[:n], pts, spans)
		require.ErrorIs(t, err, sstable.ErrCorrupt, n)
	}
	for _, more := range [][]byte{{0}, bytes.Repeat([]byte{0}, 100), file} {
		require.ErrorIs(t, examine(append(bytes.Clone(file), more...), pts, spans), sstable.ErrCorrupt)
	}
}

// TestMisplacedBlock has sound blocks in places that are not theirs.
func TestMisplacedBlock(t *testing.T) {
	pts := make([]point, 0, 64)
	for i := range 64 {
		pts = append(pts, point{k: fmt.Appendf(nil, "%04d", i), v: make([]byte, 100), t: key.Pack(uint64(i), key.Set)})
	}
	file, _ := build(t, sstable.WriterOptions{FileNum: 7, BlockSize: 512}, pts, nil)
	other, _ := build(t, sstable.WriterOptions{FileNum: 8, BlockSize: 512}, pts, nil)
	require.Equal(t, len(file), len(other))
	_, err := sstable.Open(bytes.NewReader(other), int64(len(other)), "test.table", 7, nil)
	require.ErrorIs(t, err, sstable.ErrCorrupt, "the other's name")
	mixed := bytes.Clone(file)
	copy(mixed, other[:600])
	require.ErrorIs(t, examine(mixed, pts, nil), sstable.ErrCorrupt, "a block of another file")
	size := blockLen(t, file)
	swapped := bytes.Clone(file)
	copy(swapped, file[size:2*size])
	copy(swapped[size:], file[:size])
	require.ErrorIs(t, examine(swapped, pts, nil), sstable.ErrCorrupt, "two blocks swapped")
}

// blockLen is the length of the first block of a table of blocks alike.
func blockLen(t testing.TB, file []byte) int {
	r := open(t, file, 7, nil)
	return int(r.ApproximateSize(nil, nil)) / r.Blocks()
}

// shortFile says less than it is, or fails.
type shortFile struct {
	*bytes.Reader
	err error
}

var errDisk = errors.New("disk is on fire")

func (f *shortFile) ReadAt(p []byte, off int64) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	return f.Reader.ReadAt(p, off)
}

// TestReadErrors tells errors of the file from damage and from absence.
func TestReadErrors(t *testing.T) {
	file, pts, _ := small(t, sstable.None)
	f := &shortFile{Reader: bytes.NewReader(file), err: errDisk}
	_, err := sstable.Open(f, int64(len(file)), "test.table", 7, nil)
	require.ErrorIs(t, err, errDisk)
	require.NotErrorIs(t, err, sstable.ErrCorrupt)
	f.err = nil
	r, err := sstable.Open(f, int64(len(file)), "test.table", 7, nil)
	require.NoError(t, err)
	for _, fail := range []error{errDisk, io.EOF, io.ErrUnexpectedEOF} {
		f.err = fail
		k := pts[0].k
		_, _, found, err := r.Get(k, bloom.Hash(k), 1000, nil)
		require.False(t, found)
		require.Error(t, err)
		require.Contains(t, err.Error(), "test.table")
		require.Equal(t, fail == io.EOF, errors.Is(err, sstable.ErrCorrupt))
		it := r.Iter(true)
		require.False(t, it.First() || it.Last() || it.SeekGE(k, 0) || it.SeekLT([]byte("z")) || it.Valid())
		require.Error(t, it.Err())
		require.Error(t, r.Verify(t.Context()))
		f.err = nil
		require.True(t, it.First(), "an error does not stay")
		require.NoError(t, it.Close())
	}
	v, _, found, err := r.Get(pts[1].k, bloom.Hash(pts[1].k), pts[1].t.Seq(), nil)
	require.NoError(t, err)
	require.True(t, found)
	require.Equal(t, pts[1].v, v)
}
