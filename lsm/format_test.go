package lsm_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/lsm/lsmtest"
)

// A second reader of logs and manifests, written from docs/lsm-format.md alone.

// frames returns the records of a sound file, and the offset that its last mark names.
func frames(b []byte, file uint32) (records [][]byte, marked uint64, err error) {
	var rec []byte
	for at := 0; at < len(b); {
		if left := 32<<10 - at%(32<<10); left < 11 {
			at += left
			continue
		}
		if len(bytes.Trim(b[at:], "\x00")) == 0 {
			break
		}
		n := int(binary.LittleEndian.Uint16(b[at+4:]))
		frag := b[at : at+11+n]
		sum := crc32.New(crc32.MakeTable(crc32.Castagnoli))
		_ = binary.Write(sum, binary.LittleEndian, uint64(at))
		_, _ = sum.Write(frag[4:])
		if sum.Sum32() != binary.LittleEndian.Uint32(frag) || binary.LittleEndian.Uint32(frag[7:]) != file {
			return nil, 0, fmt.Errorf("bad fragment at %d", at)
		}
		switch payload := frag[11:]; frag[6] {
		case 1, 4:
			records, rec = append(records, append(rec, payload...)), nil
		case 2, 3:
			rec = append(rec, payload...)
		case 5:
			marked = binary.LittleEndian.Uint64(payload)
		case 6:
		default:
			return nil, 0, fmt.Errorf("type %d at %d", frag[6], at)
		}
		at += len(frag)
	}
	return records, marked, nil
}

// taker takes fields off the front of a record.
type taker struct{ b []byte }

func (t *taker) uvarint() uint64 {
	v, n := binary.Uvarint(t.b)
	t.b = t.b[n:]
	return v
}

func (t *taker) zigzag() int64 {
	v := t.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

func (t *taker) bytes() string {
	n := t.uvarint()
	v := string(t.b[:n])
	t.b = t.b[n:]
	return v
}

func TestFormatOfLogs(t *testing.T) {
	r := unflushed(t, 60)
	name, b := newest(t, r.disk, "*.log")
	var num uint32
	_, err := fmt.Sscanf(path.Base(name), "%d.log", &num)
	require.NoError(t, err)
	records, marked, err := frames(b, num)
	require.NoError(t, err)
	require.Positive(t, marked)
	require.Less(t, marked, uint64(len(b)))
	next := uint64(1)
	got := content{}
	for _, rec := range records {
		require.Equal(t, next, binary.LittleEndian.Uint64(rec))
		n := binary.LittleEndian.Uint32(rec[8:])
		ops := taker{rec[12:]}
		for range n {
			kind := ops.b[0]
			ops.b = ops.b[1:]
			k, v := ops.bytes(), ops.bytes()
			switch kind {
			case 0:
				delete(got, k)
			case 1:
				got[k] = cell{v: v}
			case 2:
				got[k] = cell{v[8:], int64(binary.BigEndian.Uint64([]byte(v[:8])))}
			case 3:
				maps.DeleteFunc(got, func(x string, _ cell) bool { return x >= k && x < v })
			default:
				t.Fatalf("kind %d", kind)
			}
		}
		require.Empty(t, ops.b)
		next += uint64(n)
	}
	require.Equal(t, r.s.contents[r.issued.Load()], got)
}

func TestFormatOfManifests(t *testing.T) {
	r := finished(t, flavours[2], 50)
	current, err := r.disk.ReadFile("db/CURRENT")
	require.NoError(t, err)
	name := strings.TrimSuffix(string(current), "\n")
	var num uint32
	_, err = fmt.Sscanf(name, "MANIFEST-%d", &num)
	require.NoError(t, err)
	b, err := r.disk.ReadFile("db/" + name)
	require.NoError(t, err)
	records, marked, err := frames(b, num)
	require.NoError(t, err)
	require.Equal(t, uint64(len(b)), marked+11+8, "it was closed in good order")
	tables := map[string]uint64{} // name: size
	var nextFile, log, seq uint64
	for _, rec := range records {
		in := taker{rec}
		for len(in.b) > 0 {
			switch tag := in.uvarint(); tag {
			case 1:
				nextFile = max(nextFile, in.uvarint())
			case 2:
				log = max(log, in.uvarint())
			case 3:
				seq = max(seq, in.uvarint())
			case 4:
				level := in.uvarint()
				require.Less(t, level, uint64(7))
				require.LessOrEqual(t, in.bytes(), in.bytes())
				file, size := in.uvarint(), in.uvarint()
				tables[fmt.Sprintf("db/%06d.sst", file)] = size
				require.LessOrEqual(t, in.uvarint(), in.uvarint())
				for range 5 {
					in.uvarint()
				}
				require.LessOrEqual(t, in.zigzag(), in.zigzag())
			case 5:
				require.Less(t, in.uvarint(), uint64(7))
				file := fmt.Sprintf("db/%06d.sst", in.uvarint())
				require.Contains(t, tables, file)
				delete(tables, file)
			default:
				t.Fatalf("tag %d", tag)
			}
		}
	}
	found := map[string]uint64{}
	for _, n := range r.disk.Files() {
		b, err := r.disk.ReadFile(n)
		require.NoError(t, err)
		if path.Ext(n) == ".sst" {
			found[n] = uint64(len(b))
			var file uint64
			_, err = fmt.Sscanf(path.Base(n), "%d.sst", &file)
			require.NoError(t, err)
			require.Less(t, file, nextFile)
		}
	}
	require.Equal(t, found, tables)
	require.True(t, slices.Contains(r.disk.Files(), fmt.Sprintf("db/%06d.log", log)))
	require.Positive(t, seq)
}

// TestNewStore: what the first Open writes, to the byte.
func TestNewStore(t *testing.T) {
	disk := lsmtest.NewFS()
	db, err := lsm.Open("db", lsm.Options{FS: disk})
	require.NoError(t, err)
	require.NoError(t, db.Put([]byte("k"), []byte("v")))
	require.NoError(t, db.Close())
	require.Equal(t, []string{"db/000001.log", "db/CURRENT", "db/LOCK", "db/MANIFEST-000002"}, disk.Files())
	for name, want := range map[string]string{
		"db/CURRENT":         "MANIFEST-000002\n",
		"db/LOCK":            "",
		"db/000001.log":      goldenLog,
		"db/MANIFEST-000002": goldenManifest,
	} {
		b, err := disk.ReadFile(name)
		require.NoError(t, err)
		if strings.HasPrefix(want, "hex ") {
			require.Equal(t, want, fmt.Sprintf("hex %x", b), name)
		} else {
			require.Equal(t, want, string(b), name)
		}
	}
}

const (
	goldenLog      = "hex ec02211a1100010100000001000000000000000100000001016b0176a9a74966080005010000001c00000000000000"
	goldenManifest = "hex 9ba88f6704000102000000010302013b0627b0080005020000000f00000000000000"
)
