package snowflake

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Store is a compare-and-set store for leases and tickets. It must be linearizable and keep
// what it acknowledged: etcd, Consul, ZooKeeper, a row of a SQL database, or Redis without
// failover. A store that answers from a replica or resolves conflicts later gives one node
// to two holders. Records must not expire: a node's mark is in its record. snowflaketest.Store
// checks an implementation.
type Store interface {
	// Get returns the value of a key and its revision, which is positive and differs from
	// those of all other values that the key had or will have. An absent key is a nil
	// value at revision 0, and no error. The value is the caller's.
	Get(ctx context.Context, key string) (value []byte, rev int64, err error)
	// CompareAndSet replaces the value if it is still at rev (0: absent), and returns the
	// new revision. If it is not, the error matches ErrConflict and nothing has changed.
	// After another error, either may be the case.
	CompareAndSet(ctx context.Context, key string, rev int64, value []byte) (int64, error)
}

// MemStore is a Store in memory: for tests, and for several generators in one process. The
// zero MemStore is ready for use.
type MemStore struct {
	mu      sync.Mutex
	records map[string]memRecord
}

type memRecord struct {
	rev   int64
	value []byte
}

// Get implements Store.
func (s *MemStore) Get(ctx context.Context, key string) ([]byte, int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.records[key]
	return append([]byte(nil), r.value...), r.rev, nil
}

// CompareAndSet implements Store.
func (s *MemStore) CompareAndSet(ctx context.Context, key string, rev int64, value []byte) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.records[key].rev; now != rev {
		return 0, fmt.Errorf("%w: %s is at %d, not %d", ErrConflict, key, now, rev)
	}
	if s.records == nil {
		s.records = map[string]memRecord{}
	}
	s.records[key] = memRecord{rev + 1, append([]byte(nil), value...)}
	return rev + 1, nil
}

// DirStore is a Store in a directory, for the processes of one host: a file for each key,
// replaced whole under a lock, durable when CompareAndSet returns. It is for a handful of
// processes and a few changes a second. It needs a local file system.
type DirStore struct{ dir string }

// NewDirStore uses a directory, which it makes if need be.
func NewDirStore(dir string) (*DirStore, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	return &DirStore{dir}, nil
}

// file is the name of a key's file: the key itself if it is harmless, else in hexadecimal.
func (s *DirStore) file(key string) string {
	name := "k-" + key
	if strings.Trim(key, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || key == "" {
		name = "x-" + hex.EncodeToString([]byte(key))
	}
	return filepath.Join(s.dir, name)
}

// Get implements Store.
func (s *DirStore) Get(ctx context.Context, key string) ([]byte, int64, error) {
	if err := ctx.Err(); err != nil {
		return nil, 0, err
	}
	b, err := os.ReadFile(s.file(key))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, err
	}
	rev, value, err := decodeRecord(string(b))
	if err != nil {
		return nil, 0, fmt.Errorf("%s: %w", s.file(key), err)
	}
	return []byte(value), rev, nil
}

// CompareAndSet implements Store.
func (s *DirStore) CompareAndSet(ctx context.Context, key string, rev int64, value []byte) (int64, error) {
	lock, err := s.lock(ctx)
	if err != nil {
		return 0, err
	}
	defer lock.Close()
	_, now, err := s.Get(ctx, key)
	if err != nil {
		return 0, err
	}
	if now != rev {
		return 0, fmt.Errorf("%w: %s is at %d, not %d", ErrConflict, key, now, rev)
	}
	if err := replaceFile(osDisk{}, s.file(key), encodeRecord(rev+1, string(value))); err != nil {
		return 0, err
	}
	return rev + 1, nil
}

// lock waits for the lock. It asks again and again, for a wait inside of the kernel would not
// end with the context, and the holder may be a suspended process.
func (s *DirStore) lock(ctx context.Context) (*os.File, error) {
	for {
		f, err := openLocked(filepath.Join(s.dir, "lock"))
		if !errors.Is(err, ErrBusy) {
			return f, err
		}
		if serr := sleep(ctx, time.Millisecond); serr != nil {
			return nil, fmt.Errorf("%w: %w", err, serr)
		}
	}
}

// sleep waits for d or the end of the context, which is its error.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// A record's file is its revision, the checksum of all else, and the value.
func encodeRecord(rev int64, value string) string {
	r := strconv.FormatInt(rev, 10)
	return fmt.Sprintf("%s %08x\n%s", r, crc32.ChecksumIEEE([]byte(r+"\n"+value)), value)
}

func decodeRecord(s string) (rev int64, value string, err error) {
	head, value, _ := strings.Cut(s, "\n")
	r, _, _ := strings.Cut(head, " ")
	rev, err = strconv.ParseInt(r, 10, 64)
	if err != nil || rev <= 0 || encodeRecord(rev, value) != s {
		return 0, "", fmt.Errorf("%w: a record's checksum", ErrCorrupt)
	}
	return rev, value, nil
}
