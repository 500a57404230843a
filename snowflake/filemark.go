package snowflake

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// FileMark is a Mark in a file, for the one generator at a time that uses it: New takes a
// lock, which Close or the end of the process gives back, and another New matches ErrBusy.
// The file is one line of text,
//
//	snowflake-mark 1 2026-11-26T09:00:00.123456789Z 1c291ca3
//
// with a checksum over what is before it. Store writes a new file, syncs it, renames it
// over the old one and syncs the directory: after a power cut either the old mark or the
// new one is there, whole. So a file that cannot be read was damaged later, and is an error
// rather than a fresh start. Removing the file forgets the mark; keep it where the other
// state of the service is, on a local file system. Its directory must exist. Beside it
// there is path.lock, which stays empty, and path.tmp for a moment.
//
// The file belongs to one node: processes that share a node, one after the other, must
// share it too.
func FileMark(path string) Mark { return &fileMark{path: path, disk: osDisk{}} }

type fileMark struct {
	path string
	disk disk

	mu   sync.Mutex
	lock *os.File // nil: not held
}

// Load takes the lock and reads the file. Errors match ErrBusy, ErrCorrupt or those of the
// file system.
func (m *fileMark) Load(context.Context) (time.Time, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.acquire(); err != nil {
		return time.Time{}, err
	}
	b, err := m.disk.read(m.path)
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	t, err := decodeMark(string(b))
	if err != nil {
		return time.Time{}, fmt.Errorf("%s: %w", m.path, err)
	}
	return t, nil
}

// Store replaces the file. It fails if Load does not hold the lock, or if somebody removed
// or replaced the lock's file, for then nobody is kept out any more. A context that has
// ended is an error, but a running fsync is waited for.
func (m *fileMark) Store(ctx context.Context, t time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := m.held(); err != nil {
		return err
	}
	line := encodeMark(t)
	if _, err := decodeMark(line); err != nil {
		return fmt.Errorf("%w: the year %d", ErrRange, t.Year()) // beyond 9999
	}
	return replaceFile(m.disk, m.path, line)
}

// Close gives the lock back. It may be called again, and Load after it.
func (m *fileMark) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.lock == nil {
		return nil
	}
	err := m.lock.Close()
	m.lock = nil
	return err
}

// acquire takes the lock if this mark does not have it.
func (m *fileMark) acquire() error {
	if m.lock != nil {
		return m.held()
	}
	f, err := openLocked(m.path + ".lock")
	if err != nil {
		return err
	}
	m.lock = f
	return nil
}

// held checks that the lock's file is still the one of that name.
func (m *fileMark) held() error {
	if m.lock == nil {
		return fmt.Errorf("%w: %s.lock is not held", ErrLeaseLost, m.path)
	}
	if !sameFile(m.lock, m.path+".lock") {
		return fmt.Errorf("%w: %s.lock was removed or replaced", ErrLeaseLost, m.path)
	}
	return nil
}

// openLocked opens and locks a file, which it makes if need be. A lock that somebody else
// has is an ErrBusy.
func openLocked(name string) (*os.File, error) {
	for {
		f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, err
		}
		busy, err := lockFile(f)
		if err == nil && sameFile(f, name) {
			return f, nil
		}
		_ = f.Close()
		switch {
		case busy:
			return nil, fmt.Errorf("%w: %s", ErrBusy, name)
		case err != nil:
			return nil, &fs.PathError{Op: "lock", Path: name, Err: err}
		}
		// Locked, but removed by somebody in between: try the new one.
	}
}

func sameFile(f *os.File, name string) bool {
	ours, err := f.Stat()
	if err != nil {
		return false
	}
	named, err := os.Stat(name)
	return err == nil && os.SameFile(ours, named)
}

const markMagic = "snowflake-mark 1 "

func encodeMark(t time.Time) string {
	s := markMagic + t.UTC().Format(time.RFC3339Nano)
	return fmt.Sprintf("%s %08x\n", s, crc32.ChecksumIEEE([]byte(s)))
}

// decodeMark reads what encodeMark writes, and nothing else.
func decodeMark(s string) (time.Time, error) {
	body, sum, ok := strings.Cut(strings.TrimPrefix(s, markMagic), " ")
	want, err := strconv.ParseUint(strings.TrimSuffix(sum, "\n"), 16, 32)
	if !ok || err != nil || uint32(want) != crc32.ChecksumIEEE([]byte(markMagic+body)) {
		return time.Time{}, fmt.Errorf("%w: a mark's checksum", ErrCorrupt)
	}
	t, err := time.Parse(time.RFC3339Nano, body)
	if err != nil || encodeMark(t) != s {
		return time.Time{}, fmt.Errorf("%w: a mark's text", ErrCorrupt)
	}
	return t, nil
}
