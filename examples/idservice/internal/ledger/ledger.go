// Package ledger proves that no id was issued twice, over any number of ids and in bounded
// memory. Ids are gathered in a chunk; a full chunk is sorted and written to a file as a
// run; at the end all runs are merged, and equal neighbours are duplicates:
//
//	Add ─▶ chunk (8 MB) ─ full ─▶ sort ─▶ run 1 ┐
//	                                      run 2 ├─ merge ─▶ 5 7 7 9 …
//	                                      run 3 ┘             ▲ a duplicate
//
// A run is the differences from one id to the next as varints. The sum of all that was added
// is held against the sum of what the merge sees, so that a file that lost something does
// not pass for a proof. Source: Knuth, The Art of Computer Programming 3, 5.4.
package ledger

import (
	"bufio"
	"container/heap"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/ashlar-go/ashlar/snowflake"
)

// Chunk is how many ids are held in memory.
const Chunk = 1 << 20

// ErrLost is returned by Verify if the runs do not hold what was added.
var ErrLost = errors.New("ledger: a run lost ids")

// Ledger is safe for concurrent use until Verify.
type Ledger struct {
	dir  string
	size int

	mu    sync.Mutex
	chunk []snowflake.ID // guarded by mu
	runs  []string       // guarded by mu
	count int64          // guarded by mu: ids added
	sum   uint64         // guarded by mu: of their numbers
	err   error          // guarded by mu: of the first run that was not written
}

// New keeps runs in a directory, which belongs to the caller. Chunks hold size ids (0: Chunk).
func New(dir string, size int) *Ledger {
	if size <= 0 {
		size = Chunk
	}
	return &Ledger{dir: dir, size: size}
}

// Add takes note of ids. Its error is that of the file system, and final.
func (l *Ledger) Add(ids ...snowflake.ID) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, id := range ids {
		l.sum += uint64(id)
	}
	l.count += int64(len(ids))
	for len(ids) > 0 && l.err == nil {
		if l.chunk == nil {
			l.chunk = make([]snowflake.ID, 0, l.size)
		}
		n := min(len(ids), l.size-len(l.chunk))
		l.chunk = append(l.chunk, ids[:n]...)
		ids = ids[n:]
		if len(l.chunk) == l.size {
			l.err = l.flush()
		}
	}
	return l.err
}

// Count is the number of ids added.
func (l *Ledger) Count() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count
}

// flush writes the chunk as a run. l.mu is held.
func (l *Ledger) flush() (err error) {
	slices.Sort(l.chunk)
	f, err := os.Create(filepath.Join(l.dir, fmt.Sprintf("run-%d", len(l.runs))))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	w := bufio.NewWriterSize(f, 64<<10)
	var buf []byte
	var last snowflake.ID
	for _, id := range l.chunk {
		buf = binary.AppendUvarint(buf[:0], uint64(id-last))
		if _, err := w.Write(buf); err != nil {
			return err
		}
		last = id
	}
	if err := w.Flush(); err != nil {
		return err
	}
	l.runs = append(l.runs, f.Name())
	l.chunk = l.chunk[:0]
	return nil
}

// Result is what Verify found.
type Result struct {
	Count      int64 // ids
	Distinct   int64
	Runs       int
	Duplicates []snowflake.ID // the first ones, each once
}

// most is how many duplicates are named.
const most = 10

// Verify merges all runs. It tells progress now and then how many ids it has seen. Nothing
// may be added from its begin on.
func (l *Ledger) Verify(progress func(seen, all int64)) (r Result, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.err == nil && len(l.chunk) > 0 {
		l.err = l.flush()
	}
	l.chunk = nil
	if l.err != nil {
		return r, l.err
	}
	r.Runs = len(l.runs)
	var m merge
	defer func() { err = errors.Join(err, m.close()) }()
	for _, name := range l.runs {
		if err := m.open(name); err != nil {
			return r, err
		}
	}
	heap.Init(&m)
	var last snowflake.ID
	var sum uint64
	for len(m.runs) > 0 {
		id := m.runs[0].next
		if r.Count == 0 || id != last {
			r.Distinct++
		} else if n := len(r.Duplicates); n < most && (n == 0 || r.Duplicates[n-1] != id) {
			r.Duplicates = append(r.Duplicates, id)
		}
		last = id
		sum += uint64(id)
		if r.Count++; r.Count%(1<<18) == 0 {
			progress(r.Count, l.count)
		}
		if err := m.step(); err != nil {
			return r, err
		}
	}
	progress(r.Count, l.count)
	if r.Count != l.count || sum != l.sum {
		return r, fmt.Errorf("%w: %d of %d", ErrLost, r.Count, l.count)
	}
	return r, nil
}

// merge is a heap of runs by their next id.
type merge struct {
	runs  []*run
	files []*os.File
}

type run struct {
	r    *bufio.Reader
	next snowflake.ID
}

// advance reads the next id; io.EOF is the end.
func (r *run) advance() error {
	d, err := binary.ReadUvarint(r.r)
	r.next += snowflake.ID(d)
	return err
}

func (m *merge) open(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	m.files = append(m.files, f)
	r := &run{r: bufio.NewReaderSize(f, 64<<10)}
	if err := r.advance(); err != nil {
		return err // no run is empty
	}
	m.runs = append(m.runs, r)
	return nil
}

// step goes past the least id.
func (m *merge) step() error {
	err := m.runs[0].advance()
	switch {
	case err == nil:
		heap.Fix(m, 0)
	case errors.Is(err, io.EOF):
		heap.Pop(m)
	default:
		return err
	}
	return nil
}

func (m *merge) close() error {
	var errs []error
	for _, f := range m.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

func (m *merge) Len() int           { return len(m.runs) }
func (m *merge) Less(i, j int) bool { return m.runs[i].next < m.runs[j].next }
func (m *merge) Swap(i, j int)      { m.runs[i], m.runs[j] = m.runs[j], m.runs[i] }

// Push implements heap.Interface.
func (m *merge) Push(x any) { m.runs = append(m.runs, x.(*run)) }

// Pop implements heap.Interface.
func (m *merge) Pop() any {
	r := m.runs[len(m.runs)-1]
	m.runs = m.runs[:len(m.runs)-1]
	return r
}
