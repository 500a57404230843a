package snapshot

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ashlar-go/ashlar/examples/cachecluster/internal/keyspace"
)

// WriteFile replaces a file at once: whoever opens it sees the old bytes or the new ones,
// also after a power cut.
func WriteFile(name string, b []byte) error {
	f, err := os.CreateTemp(filepath.Dir(name), filepath.Base(name)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // fails once it is renamed
	_, err = f.Write(b)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), name); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil && !errors.Is(err, errors.ErrUnsupported) && filepath.Separator == '/' {
		return err
	}
	return nil
}

// ReadFile reads a snapshot into a keyspace; a file that is not there is an empty one.
func ReadFile(name string, d *keyspace.DB) (Meta, error) {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return Meta{}, nil
	}
	if err != nil {
		return Meta{}, err
	}
	defer f.Close()
	return Read(f, d)
}
