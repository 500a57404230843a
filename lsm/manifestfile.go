package lsm

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/ashlar-go/ashlar/lsm/internal/manifest"
	"github.com/ashlar-go/ashlar/lsm/internal/wal"
)

// manifestFile is the log of edits that is open for writing. It starts with a description
// of the whole state and becomes the manifest by a rename of CURRENT, which names it.
type manifestFile struct {
	*wal.Writer
	file File
	name string
	num  uint64
	err  error // the first failure; nothing is appended after it
}

// newManifest writes state to a new manifest and makes it the current one. The caller
// holds mu, or is alone. After an error renamed says whether it may be the current one
// all the same: then whatever it names must stay.
func (db *DB) newManifest(state *manifest.State) (_ *manifestFile, renamed bool, err error) {
	num := state.NextFile
	state.NextFile++
	name := manifestName(num)
	f, err := db.o.FS.Create(db.path(name))
	if err != nil {
		return nil, false, fmt.Errorf("lsm: create manifest: %w", err)
	}
	m := &manifestFile{Writer: wal.NewWriter(f, uint32(num)), file: f, name: name, num: num}
	m.Append(state.Snapshot().Append(nil))
	err = m.Flush()
	if err == nil {
		err = f.Sync()
	}
	if err == nil {
		renamed, err = db.setCurrent(name)
	}
	if err != nil {
		f.Close()
		return nil, renamed, fmt.Errorf("lsm: write manifest: %w", err)
	}
	m.Mark(m.Offset())
	return m, true, nil
}

// setCurrent names the manifest in CURRENT, atomically and durably. It tells whether it
// came to the rename, which may have happened even if it failed.
func (db *DB) setCurrent(name string) (renamed bool, err error) {
	if err := db.o.FS.SyncDir(db.dir); err != nil {
		return false, err
	}
	tmp := db.path(currentName + ".tmp")
	f, err := db.o.FS.Create(tmp)
	if err != nil {
		return false, err
	}
	_, err = f.Write([]byte(name + "\n"))
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return false, err
	}
	if err := db.o.FS.Rename(tmp, db.path(currentName)); err != nil {
		return true, err
	}
	return true, db.o.FS.SyncDir(db.dir)
}

// append makes an edit durable. The caller holds mu. After an error it is not known
// whether the edit took place; only a new manifest settles that, so the error stays: an
// edit after a hole would be lost with it.
func (m *manifestFile) append(e *manifest.Edit) error {
	if m.err != nil {
		return m.err
	}
	m.Append(e.Append(nil))
	if err := m.Flush(); err != nil {
		m.err = fmt.Errorf("lsm: write manifest: %w", err)
	} else if err := m.file.Sync(); err != nil {
		m.err = fmt.Errorf("lsm: sync manifest: %w", err)
	} else {
		m.Mark(m.Offset())
	}
	return m.err
}

// readManifest returns the state that the current manifest describes, and its name; found
// is false where there is no database yet.
func (db *DB) readManifest() (state manifest.State, name string, found bool, err error) {
	current, err := db.readSmall(currentName)
	if errors.Is(err, fs.ErrNotExist) {
		return state, "", false, nil
	}
	if err != nil {
		return state, "", false, fmt.Errorf("lsm: read %s: %w", currentName, err)
	}
	name = strings.TrimSuffix(string(current), "\n")
	var num uint64
	if _, err := fmt.Sscanf(name, "MANIFEST-%d", &num); err != nil || name+"\n" != string(current) || manifestName(num) != name {
		return state, "", false, &CorruptError{File: currentName, Offset: 0, Detail: fmt.Sprintf("%q names no manifest", current)}
	}
	f, err := db.o.FS.Open(db.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return state, "", false, &CorruptError{File: name, Offset: -1, Detail: "missing, though CURRENT names it"}
	}
	if err != nil {
		return state, "", false, fmt.Errorf("lsm: open manifest: %w", err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return state, "", false, fmt.Errorf("lsm: open manifest: %w", err)
	}
	r := wal.NewReader(f, size, uint32(num))
	edits := 0
	for {
		rec, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return state, name, false, public(name, err)
		}
		e, err := manifest.Parse(rec)
		if err == nil {
			err = state.Apply(&e)
		}
		if err != nil {
			return state, name, false, public(name, err)
		}
		edits++
	}
	if edits == 0 {
		return state, name, false, &CorruptError{File: name, Offset: 0, Detail: "no description of the database"}
	}
	return state, name, true, public(name, state.Check())
}

// readSmall reads a file that is known to be small.
func (db *DB) readSmall(name string) ([]byte, error) {
	f, err := db.o.FS.Open(db.path(name))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b := make([]byte, 256)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b[:n], nil
}

func (db *DB) sizeOf(name string) (int64, error) {
	f, err := db.o.FS.Open(db.path(name))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.Size()
}
