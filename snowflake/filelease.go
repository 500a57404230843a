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
// the process is merely suspended. No error but these: ErrNoNode, if all are taken,
// ErrOptions, or those of the file system.
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
	for n := range nodes {
		m := &fileMark{path: filepath.Join(dir, fmt.Sprintf("node-%d", n))}
		err := m.acquire()
		if err == nil {
			return &fileLease{fileMark: m, node: uint64(n)}, nil
		}
		if !errors.Is(err, ErrBusy) {
			return nil, err
		}
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
