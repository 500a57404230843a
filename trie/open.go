package trie

import (
	"bufio"
	"errors"
	"os"
	"path/filepath"
	"runtime"
)

// mapping is a file in memory. It is unmapped when nothing refers to it any more; what
// reads its bytes must keep it alive until it is done.
type mapping struct{ data []byte }

// alive keeps the mapping until here; deferred by whatever reads its bytes.
func (m *mapping) alive() { runtime.KeepAlive(m) }

// Open maps the file at path into memory, where the system supports that, checks it whole
// and returns its snapshot. Damage is a [CorruptError] with the path. The file must not
// be changed in place while the snapshot is in use; replace it, as [Snapshot.WriteFile]
// does. The memory is given back some time after the last reference to the snapshot is gone.
func Open(path string) (*Snapshot, error) {
	data, mapped, err := mapFile(path)
	if err != nil {
		return nil, err
	}
	var m *mapping
	if mapped {
		m = &mapping{data}
		runtime.AddCleanup(m, unmap, data)
	}
	s, err := Load(data)
	if err != nil {
		m.alive()
		var damage *CorruptError
		if errors.As(err, &damage) {
			damage.Path = path
		}
		return nil, err
	}
	s.mapping = m
	return s, nil
}

// WriteFile writes the snapshot to path so that, whatever happens on the way, there is
// either what was there before or all of the new file: it writes beside it, syncs, and
// renames. Snapshots that were opened from the old file are not affected.
func (s *Snapshot) WriteFile(path string) error {
	return replaceFile(path, func(f *os.File) error {
		w := bufio.NewWriterSize(f, 1<<20)
		if _, err := s.WriteTo(w); err != nil {
			return err
		}
		return w.Flush()
	})
}

// replaceFile writes a file beside path, makes it durable and puts it in path's place.
func replaceFile(path string, write func(f *os.File) error) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*.tmp")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err = write(f); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
