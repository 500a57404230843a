package trie

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
)

// lockName is a file in the folder of a durable index that whoever has it open keeps locked.
// It is never removed: two processes could each lock a file of that name.
const lockName = "LOCK"

// held are the locked folders of this process: some systems let one process lock a file
// twice.
var held struct {
	mu   sync.Mutex
	dirs map[string]bool
}

type folderLock struct {
	dir  string
	file *os.File
}

// lockFolder locks a folder until release, or until the process ends. ErrLocked if somebody
// else has.
func lockFolder(dir string) (*folderLock, error) {
	abs, err := filepath.Abs(dir)
	if err == nil {
		abs, err = filepath.EvalSymlinks(abs)
	}
	if err != nil {
		return nil, err
	}
	held.mu.Lock()
	defer held.mu.Unlock()
	if held.dirs[abs] {
		return nil, fmt.Errorf("%w: %s, by this process", ErrLocked, dir)
	}
	f, err := lockFile(filepath.Join(abs, lockName))
	if err != nil {
		return nil, err
	}
	if held.dirs == nil {
		held.dirs = map[string]bool{}
	}
	held.dirs[abs] = true
	return &folderLock{abs, f}, nil
}

func (l *folderLock) release() error {
	held.mu.Lock()
	defer held.mu.Unlock()
	delete(held.dirs, l.dir)
	return l.file.Close()
}
