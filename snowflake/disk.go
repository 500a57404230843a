package snowflake

import (
	"io"
	"os"
	"path/filepath"
)

// disk is what a file needs to be replaced whole and durably: tests have one that loses power.
type disk interface {
	read(name string) ([]byte, error)
	create(name string) (diskFile, error)
	rename(from, to string) error
	remove(name string) error
	syncDir(dir string) error
}

type diskFile interface {
	io.WriteCloser
	Sync() error
}

// replaceFile puts a file in place whole and durably.
func replaceFile(d disk, name string, content string) error {
	tmp := name + ".tmp"
	f, err := d.create(tmp)
	if err != nil {
		return err
	}
	_, err = io.WriteString(f, content)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = d.rename(tmp, name)
	}
	if err != nil {
		_ = d.remove(tmp) // it may be what fills the disk
		return err
	}
	return d.syncDir(filepath.Dir(name))
}

// osDisk is the system's.
type osDisk struct{}

func (osDisk) read(name string) ([]byte, error)     { return os.ReadFile(name) }
func (osDisk) create(name string) (diskFile, error) { return os.Create(name) }
func (osDisk) rename(from, to string) error         { return os.Rename(from, to) }
func (osDisk) remove(name string) error             { return os.Remove(name) }
func (osDisk) syncDir(dir string) error             { return syncDir(dir) }
