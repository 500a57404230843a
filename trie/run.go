package trie

import (
	"bufio"
	"container/heap"
	"encoding/binary"
	"errors"
	"io"
	"iter"
	"os"
)

// run is a temporary file of items in order: uvarint key, uvarint show, uvarint score, and
// the two texts.
type run struct {
	file  *os.File
	items int
}

func writeRun(dir string, items iter.Seq2[item, error]) (_ *run, err error) {
	f, err := os.CreateTemp(dir, "ashlar-trie-*.run")
	if err != nil {
		return nil, err
	}
	r := &run{file: f}
	defer func() {
		if err != nil {
			err = errors.Join(err, r.remove())
		}
	}()
	w := bufio.NewWriterSize(f, 1<<20)
	var b []byte
	for i, err := range items {
		if err != nil {
			return nil, err
		}
		r.items++
		b = binary.AppendUvarint(b[:0], uint64(len(i.key)))
		b = binary.AppendUvarint(b, uint64(len(i.show)))
		b = binary.AppendUvarint(b, i.score)
		b = append(append(b, i.key...), i.show...)
		if _, err := w.Write(b); err != nil {
			return nil, err
		}
	}
	return r, w.Flush()
}

func (r *run) remove() error {
	r.file.Close() // a temporary file's data are of no use any more, whatever it says
	return os.Remove(r.file.Name())
}

// read iterates over the run from its start; one reader at a time.
func (r *run) read() iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		if _, err := r.file.Seek(0, io.SeekStart); err != nil {
			yield(item{}, err)
			return
		}
		in := bufio.NewReaderSize(r.file, 256<<10)
		var b []byte
		for {
			n, err := binary.ReadUvarint(in)
			if err == io.EOF {
				return
			}
			m, err2 := binary.ReadUvarint(in)
			score, err3 := binary.ReadUvarint(in)
			if err = errors.Join(err, err2, err3); err == nil && max(n, m) > limitMaxTerm+1 {
				err = errors.New("trie: a temporary file was changed")
			}
			if err == nil {
				if uint64(cap(b)) < n+m {
					b = make([]byte, n+m)
				}
				b = b[:n+m]
				_, err = io.ReadFull(in, b)
			}
			if err != nil {
				yield(item{}, err)
				return
			}
			if !yield(item{b[:n], b[n:], score}, nil) {
				return
			}
		}
	}
}

// mergeItems merges sources into one order; what is equal in key and form is summed.
func mergeItems(sources []iter.Seq2[item, error]) iter.Seq2[item, error] {
	return func(yield func(item, error) bool) {
		var h itemHeap
		for _, s := range sources {
			next, stop := iter.Pull2(s)
			defer stop()
			i, err, ok := next()
			if err != nil {
				yield(item{}, err)
				return
			}
			if ok {
				h = append(h, pulled{i, next})
			}
		}
		heap.Init(&h)
		var sum item
		some := false
		for len(h) > 0 {
			i := h[0].item
			if some && sum.compare(i) == 0 {
				sum.score = addSaturating(sum.score, i.score)
			} else {
				if some && !yield(sum, nil) {
					return
				}
				some = true
				sum.key, sum.show, sum.score = append(sum.key[:0], i.key...), append(sum.show[:0], i.show...), i.score
			}
			i, err, ok := h[0].next()
			if err != nil {
				yield(item{}, err)
				return
			}
			if !ok {
				heap.Pop(&h)
				continue
			}
			h[0].item = i
			heap.Fix(&h, 0)
		}
		if some {
			yield(sum, nil)
		}
	}
}

type pulled struct {
	item
	next func() (item, error, bool)
}

type itemHeap []pulled

func (h itemHeap) Len() int           { return len(h) }
func (h itemHeap) Less(i, j int) bool { return h[i].compare(h[j].item) < 0 }
func (h itemHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *itemHeap) Push(x any)        { *h = append(*h, x.(pulled)) }
func (h *itemHeap) Pop() any {
	old := *h
	x := old[len(old)-1]
	*h = old[:len(old)-1]
	return x
}
