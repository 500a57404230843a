package lsm_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"testing"

	"github.com/ashlar-go/ashlar/lsm"
	"github.com/ashlar-go/ashlar/lsm/internal/wal"
)

// FuzzOpen puts a file of any content in the place of one of a sound database. Open says
// that it is damaged, or what it opens can be read and written.
func FuzzOpen(f *testing.F) {
	r := unflushed(f, 12)
	flushed := finished(f, flavours[1], 3)
	names := []string{}
	for _, r := range []*run{r, flushed} {
		for _, n := range r.disk.Files() {
			b, err := r.disk.ReadFile(n)
			if err != nil {
				f.Fatal(err)
			}
			names = append(names, n)
			f.Add(uint8(len(names)-1), b)
			f.Add(uint8(len(names)-1), b[:len(b)/2])
		}
	}
	first := len(r.disk.Files())
	f.Fuzz(func(t *testing.T, which uint8, b []byte) {
		at := int(which) % len(names)
		base := r
		if at >= first {
			base = flushed
		}
		disk := base.disk.Clone()
		disk.WriteFile(names[at], b)
		// Much larger than what is there: allocations have a bound.
		disk.Limit(disk.Used() + 1<<20)
		db, err := lsm.Open("db", base.options(disk))
		if err != nil {
			if _, ok := errors.AsType[*lsm.CorruptError](err); !ok {
				t.Fatalf("Open: %v", err)
			}
			if open := disk.OpenFiles(); len(open) > 0 {
				t.Fatalf("left open: %v", open)
			}
			return
		}
		_, err = read(db, base.s.keys)
		if err = errors.Join(err, db.Put([]byte("k"), nil)); err != nil && !errors.Is(err, lsm.ErrCorrupt) {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// FuzzForgedRecords puts records with sound checksums and any content into the log and the
// manifest, as only a bug or an enemy would.
func FuzzForgedRecords(f *testing.F) {
	r := finished(f, flavours[1], 3)
	logName, log := newest(f, r.disk, "*.log")
	manifestName, man := newest(f, r.disk, "MANIFEST-*")
	forge := func(name, old string, rec []byte) []byte {
		var num uint32
		if _, err := fmt.Sscanf(path.Base(name), old, &num); err != nil {
			f.Fatal(err)
		}
		var buf bytes.Buffer
		w := wal.NewWriter(&buf, num)
		if name == manifestName {
			first, err := wal.NewReader(bytes.NewReader(man), int64(len(man)), num).Next()
			if err != nil {
				f.Fatal(err)
			}
			w.Append(first)
		}
		w.Append(rec)
		w.Mark(w.Offset())
		if err := w.Flush(); err != nil {
			f.Fatal(err)
		}
		return buf.Bytes()
	}
	f.Add(false, log[11:60])
	f.Add(true, man[11:40])
	f.Add(true, []byte{1, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Add(true, []byte{2, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Add(true, []byte{3, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1})
	f.Add(true, []byte{5, 0, 3})
	f.Fuzz(func(t *testing.T, manifest bool, rec []byte) {
		disk := r.disk.Clone()
		if manifest {
			disk.WriteFile(manifestName, forge(manifestName, "MANIFEST-%d", rec))
		} else {
			disk.WriteFile(logName, forge(logName, "%d.log", rec))
		}
		disk.Limit(disk.Used() + 1<<20)
		db, err := lsm.Open("db", r.options(disk))
		if err != nil {
			if !errors.Is(err, lsm.ErrCorrupt) {
				t.Fatalf("Open: %v", err)
			}
			return
		}
		_, err = read(db, r.s.keys)
		if err = errors.Join(err, db.Put([]byte("k"), nil), db.Flush(context.Background())); err != nil && !errors.Is(err, lsm.ErrCorrupt) {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
