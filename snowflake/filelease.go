package snowflake

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// AcquireFile leases the first free one of the nodes 0 to nodes-1 among the processes of
// one host that share a directory, which is made if need be. Each node there is a FileMark,
// whose lock is the lease: it ends with the process, at the latest, and cannot be lost while
// the process is merely suspended. A node whose mark is damaged is left alone. Errors match
// ErrNoNode, if none is left, ErrOptions, or those of the file system.
//
// Hosts that share the directory over a network must not use it: the locks of such file
// systems are not to be relied on. See Acquire for them.
func AcquireFile(dir string, nodes int) (Lease, error) {
	if nodes <= 0 {
		return nil, fmt.Errorf("%w: %d nodes", ErrOptions, nodes)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	var damaged error
	for n := range nodes {
		m := &fileMark{path: filepath.Join(dir, fmt.Sprintf("node-%d", n)), disk: osDisk{}}
		_, err := m.Load(context.Background())
		if err == nil {
			return &fileLease{fileMark: m, node: uint64(n)}, nil
		}
		_ = m.Close()
		switch {
		case errors.Is(err, ErrBusy):
		case errors.Is(err, ErrCorrupt):
			damaged = err // how far its ids came is unknown, so nobody may have it
		default:
			return nil, err
		}
	}
	if damaged != nil {
		return nil, fmt.Errorf("%w: those of %s in use, but for %w", ErrNoNode, dir, damaged)
	}
	return nil, fmt.Errorf("%w: all %d of %s are in use", ErrNoNode, nodes, dir)
}

type fileLease struct {
	*fileMark
	node uint64
}

// Node implements Lease.
func (l *fileLease) Node() uint64 { return l.node }

// Release implements Lease.
func (l *fileLease) Release(context.Context) error { return l.Close() }
