package trie

import "bytes"

// entry stands for a record and all that come behind it in its group: what a search has
// seen of a group and not yet looked into.
type entry struct {
	best  uint64
	pos   int
	path  int // range of cursor.buf: the path of the group
	size  uint32
	first uint16 // order of the record's first byte
	alone bool   // only the record, not what is behind it
}

// of is the path of e's group.
func (e *entry) of(buf []byte) []byte { return buf[e.path : e.path+int(e.size)] }

// frontier holds the entries of a search, best first. Entries of equal score come in term
// order, which the path of the group and the record's first byte decide: no entry's
// record lies below another's.
//
// When it is known how many results are still wanted, that many entries are enough, for
// each has one result that is as good as the entry: few enough to be kept sorted, and
// most of what comes is worse than all of them and dropped by one comparison. Otherwise
// it is a heap.
//
// With an entry goes what else a search must know when it comes back to it.
type frontier[T any] struct {
	entries []with[T]
	head    int // of a sorted frontier: what is before it was popped
	limit   int // of a sorted frontier: results still wanted; 0 for a heap
}

const maxSorted = 64

func (f *frontier[T]) reset(limit int) {
	if limit > maxSorted {
		limit = 0
	}
	f.entries, f.head, f.limit = f.entries[:0], 0, limit
}

func (f *frontier[T]) empty() bool { return f.head == len(f.entries) }

type with[T any] struct {
	entry
	extra T
}

// before reports whether a's best term comes before b's.
func before(a, b *entry, buf []byte) bool {
	if a.best != b.best || planted(bugTies) {
		return a.best > b.best
	}
	return beforeTie(a, b, buf)
}

func beforeTie(a, b *entry, buf []byte) bool {
	x, y := a.of(buf), b.of(buf)
	n := min(len(x), len(y))
	if c := bytes.Compare(x[:n], y[:n]); c != 0 {
		return c < 0
	}
	p, q := a.first, b.first
	if len(x) > n {
		p = 1 + uint16(x[n])
	} else if len(y) > n {
		q = 1 + uint16(y[n])
	}
	return p < q
}

// worse reports whether what is no better than best cannot be among the results wanted.
func (f *frontier[T]) worse(best uint64) bool {
	n := len(f.entries)
	return f.limit > 0 && n-f.head >= f.limit && best < f.entries[n-1].best
}

func (f *frontier[T]) push(e with[T], buf []byte) {
	if f.limit == 0 {
		f.heapPush(e, buf)
		return
	}
	limit := f.limit
	if planted(bugFrontierShort) {
		limit = max(limit-2, 1) // one of them is being looked into
	}
	if n := len(f.entries); n-f.head >= limit {
		if !before(&e.entry, &f.entries[n-1].entry, buf) {
			return
		}
		f.entries = f.entries[:n-1]
	}
	f.entries = append(f.entries, e)
	i := len(f.entries) - 1
	for ; i > f.head && before(&e.entry, &f.entries[i-1].entry, buf); i-- {
		f.entries[i] = f.entries[i-1]
	}
	f.entries[i] = e
}

// pop removes the first entry; the frontier is not empty.
func (f *frontier[T]) pop(buf []byte) with[T] {
	if f.limit == 0 {
		return f.heapPop(buf)
	}
	e := f.entries[f.head]
	f.head++
	return e
}

// found tells the frontier that one result fewer is wanted.
func (f *frontier[T]) found() {
	if f.limit > 1 {
		f.limit--
		f.entries = f.entries[:min(len(f.entries), f.head+f.limit)]
	}
}

func (f *frontier[T]) heapPush(e with[T], buf []byte) {
	f.entries = append(f.entries, e)
	i := len(f.entries) - 1
	for i > 0 {
		up := (i - 1) / 2
		if !before(&e.entry, &f.entries[up].entry, buf) {
			break
		}
		f.entries[i] = f.entries[up]
		i = up
	}
	f.entries[i] = e
}

func (f *frontier[T]) heapPop(buf []byte) with[T] {
	top := f.entries[0]
	n := len(f.entries) - 1
	e := f.entries[n]
	f.entries = f.entries[:n]
	if n == 0 {
		return top
	}
	i := 0
	for {
		down := 2*i + 1
		if down >= n {
			break
		}
		if down+1 < n && before(&f.entries[down+1].entry, &f.entries[down].entry, buf) {
			down++
		}
		if !before(&f.entries[down].entry, &e.entry, buf) {
			break
		}
		f.entries[i] = f.entries[down]
		i = down
	}
	f.entries[i] = e
	return top
}
