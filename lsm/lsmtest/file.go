package lsmtest

import (
	"io"
	iofs "io/fs"
	"slices"
	"sync/atomic"
	"syscall"

	"github.com/ashlar-go/ashlar/lsm"
)

// inode is a file, whatever its name. Its bytes are written once, at the end, so clones
// share them.
//
//	0 ─────────────── synced ─────────────── len(data)
//	    durable, but for      may be lost
//	    the ranges in lost
type inode struct {
	data    []byte
	synced  int
	lost    []extent // of what a failed sync dropped, below synced
	handles int
	unnamed bool
}

type extent struct{ from, to int }

// sync is what a successful Sync does.
func (n *inode) sync() { n.synced = len(n.data) }

// dropped is what a failed Sync does: the system takes its pages for clean, and no later
// Sync writes them.
func (n *inode) dropped() {
	if n.synced < len(n.data) {
		n.lost = append(n.lost, extent{n.synced, len(n.data)})
		n.synced = len(n.data)
	}
}

// clone is a copy that goes its own way.
func (n *inode) clone() *inode {
	return &inode{data: slices.Clip(n.data), synced: n.synced, lost: slices.Clip(n.lost)}
}

// file is an open handle.
type file struct {
	fs       *FS
	name     string
	node     *inode
	writable bool
	closed   atomic.Bool
}

// handle opens a file. The caller holds mu.
func (f *FS) handle(name string, node *inode, writable bool) lsm.File {
	node.handles++
	f.open[clean(name)]++
	return &file{fs: f, name: name, node: node, writable: writable}
}

func (h *file) usable(op string) error {
	if h.closed.Load() {
		return &iofs.PathError{Op: op, Path: h.name, Err: iofs.ErrClosed}
	}
	return nil
}

// ReadAt reads as io.ReaderAt says.
func (h *file) ReadAt(p []byte, off int64) (int, error) {
	release, err := h.fs.begin(Op{Kind: OpRead, Name: h.name, Bytes: len(p), Offset: off}, true)
	defer release()
	if err != nil {
		return 0, err
	}
	if err := h.usable("read"); err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, &iofs.PathError{Op: "read", Path: h.name, Err: iofs.ErrInvalid}
	}
	if off >= int64(len(h.node.data)) {
		return 0, io.EOF
	}
	n := copy(p, h.node.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// Write appends p. On a full disk, or cut short by a fault, it returns how much of it was
// stored.
func (h *file) Write(p []byte) (int, error) {
	h.fs.mu.RLock()
	at := int64(len(h.node.data))
	h.fs.mu.RUnlock()
	n := 0
	err := h.fs.doPartly(Op{Kind: OpWrite, Name: h.name, Bytes: len(p), Offset: at}, func(share float64) error {
		if err := h.usable("write"); err != nil {
			return err
		}
		if !h.writable {
			return &iofs.PathError{Op: "write", Path: h.name, Err: iofs.ErrPermission}
		}
		n = int(share * float64(len(p)))
		var full error
		if l := h.fs.limit; l > 0 && !h.node.unnamed && h.fs.used+int64(n) > l {
			n = int(max(l-h.fs.used, 0))
			full = &iofs.PathError{Op: "write", Path: h.name, Err: syscall.ENOSPC}
		}
		h.node.data = append(h.node.data, p[:n]...)
		if !h.node.unnamed {
			h.fs.used += int64(n)
		}
		return full
	})
	return n, err
}

// Sync makes what was written so far durable. A Sync that fails by a fault drops it.
func (h *file) Sync() error {
	applied := false
	err := h.fs.do(Op{Kind: OpSync, Name: h.name}, func() error {
		if err := h.usable("sync"); err != nil {
			return err
		}
		h.node.sync()
		applied = true
		return nil
	})
	if err != nil && !applied && h.usable("sync") == nil {
		h.fs.mu.Lock()
		defer h.fs.mu.Unlock()
		if !h.fs.off {
			h.node.dropped()
		}
	}
	return err
}

// Size is the number of bytes written.
func (h *file) Size() (int64, error) {
	return perform(h.fs, Op{Kind: OpSize, Name: h.name}, func() (int64, error) {
		if err := h.usable("size"); err != nil {
			return 0, err
		}
		return int64(len(h.node.data)), nil
	})
}

// Close closes the handle, also when it returns an error, and saves nothing.
func (h *file) Close() error {
	if h.closed.Swap(true) {
		return &iofs.PathError{Op: "close", Path: h.name, Err: iofs.ErrClosed}
	}
	err := h.fs.do(Op{Kind: OpClose, Name: h.name}, func() error { return nil })
	h.fs.mu.Lock()
	defer h.fs.mu.Unlock()
	h.node.handles--
	if h.fs.open[clean(h.name)]--; h.fs.open[clean(h.name)] == 0 {
		delete(h.fs.open, clean(h.name))
	}
	return err
}
